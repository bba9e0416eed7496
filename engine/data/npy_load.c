/* SPDX-License-Identifier: MIT */
/*
 * Loading .npy files. Nothing in the file is believed before it was compared with the file's size, so a header
 * can neither make us allocate more than the file fills nor read past its end.
 */
#include "array.h"
#include "error.h"
#include "infile.h"
#include "npy_header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Where the header's text lies, [begin, begin + n). */
struct header_place {
    uint64_t begin;
    size_t n;
};

static int read_prefix(const struct fmi_infile *in, struct header_place *place)
{
    uint8_t b[12] = {0};
    if (in->bytes < FMI_NPY_PREFIX_BYTES)
        return fmi_error(FM_EFORMAT, "%s: offset 0: %" PRIu64 " bytes are too few for a .npy file",
                         in->path, in->bytes);
    int code = fmi_infile_read(in, b, FMI_NPY_PREFIX_BYTES, 0);
    if (code != 0)
        return code;
    if (memcmp(b, "\x93NUMPY", 6) != 0)
        return fmi_error(
            FM_EFORMAT, "%s: offset 0: no .npy file (it does not begin with \\x93NUMPY)", in->path);
    if (b[6] < 1 || b[6] > 3 || b[7] != 0)
        return fmi_error(FM_EFORMAT, "%s: offset 6: version %d.%d; 1.0, 2.0 and 3.0 are known",
                         in->path, b[6], b[7]);
    place->begin = b[6] == 1 ? FMI_NPY_PREFIX_BYTES : sizeof b;
    place->n = (size_t)b[8] | (size_t)b[9] << 8;
    if (b[6] == 1)
        return 0;
    code = fmi_infile_read(in, b + FMI_NPY_PREFIX_BYTES, 2, FMI_NPY_PREFIX_BYTES);
    place->n |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    return code;
}

static int read_header(const struct fmi_infile *in, struct fmi_infile_layout *layout)
{
    struct header_place place = {0};
    int code = read_prefix(in, &place);
    if (code != 0)
        return code;
    if (place.n > in->bytes - place.begin)
        return fmi_error(FM_EFORMAT,
                         "%s: offset 8: a header of %zu bytes in a file of %" PRIu64 "; truncated?",
                         in->path, place.n, in->bytes);
    if (place.n > FMI_NPY_MAX_HEADER)
        return fmi_error(FM_EFORMAT, "%s: offset 8: a header of %zu bytes; at most %d are read",
                         in->path, place.n, FMI_NPY_MAX_HEADER);
    char *text = malloc(place.n + 1);
    if (text == NULL)
        return fmi_error(-ENOMEM, "%s: no memory for a header of %zu bytes", in->path, place.n);
    code = fmi_infile_read(in, text, place.n, place.begin);
    if (code == 0)
        code = fmi_npy_parse(in->path, text, place.n, place.begin, layout);
    free(text);
    layout->offset = place.begin + place.n;
    return code;
}

/* Bytes after the elements are left alone: NumPy writes several arrays into one file that way. */
static int check_size(const struct fmi_infile *in, const struct fmi_infile_layout *layout)
{
    size_t bytes;
    int code = fmi_array_size(layout->dtype, layout->ndim, layout->shape, &bytes);
    if (code == -EOVERFLOW)
        return fmi_error(code, "%s: offset 10: the shape's size passes 2^63 - 1 bytes", in->path);
    if (code == 0 && bytes > in->bytes - layout->offset)
        return fmi_error(FM_EFORMAT,
                         "%s: offset %" PRIu64
                         ": the header promises %zu bytes of elements, the file "
                         "has %" PRIu64 "; truncated?",
                         in->path, layout->offset, bytes, in->bytes - layout->offset);
    return code;
}

int fm_npy_load(const char *path, int mode, fm_array **out)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    struct fmi_infile in;
    struct fmi_infile_layout layout = {0};
    int code = fmi_infile_check_mode(mode);
    if (code == 0)
        code = fmi_infile_open(&in, path, mode == FM_NPY_MAP_WRITE);
    if (code != 0)
        return code;
    code = read_header(&in, &layout);
    if (code == 0)
        code = check_size(&in, &layout);
    if (code == 0)
        code = fmi_infile_array(&in, &layout, mode, out);
    fmi_infile_close(&in);
    return code;
}
