/* SPDX-License-Identifier: MIT */
/* Array files: open, check what they are, read into the heap. */
#include "infile.h"
#include "array.h"
#include "dtype.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_BYTES = 1 << 30 }; /* Linux moves at most 2^31 - 4096 bytes in one call */

static const char *name_kind(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFIFO:
        return "a FIFO";
    case S_IFSOCK:
        return "a socket";
    case S_IFCHR:
    case S_IFBLK:
        return "a device";
    default:
        return "no regular file";
    }
}

static int check_kind(struct fmi_infile *in)
{
    struct stat st;
    if (fstat(in->fd, &st) != 0)
        return fmi_error(-errno, "%s: fstat: %s", in->path, fm_strerror(-errno));
    if (S_ISDIR(st.st_mode))
        return fmi_error(-EISDIR, "%s is a directory; name a file in it", in->path);
    if (!S_ISREG(st.st_mode))
        return fmi_error(FM_EFORMAT, "%s is %s; its size must be known, so copy it to a file first",
                         in->path, name_kind(st.st_mode));
    in->bytes = (uint64_t)st.st_size;
    return 0;
}

int fmi_infile_open(struct fmi_infile *in, const char *path, int is_writable)
{
    in->fd = -1;
    in->path = path;
    if (path == NULL)
        return fmi_error(-EINVAL, "path is NULL");
    in->fd = open(path, (is_writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (in->fd < 0)
        return fmi_error(-errno, "%s: %s", path, fm_strerror(-errno));
    int code = check_kind(in);
    if (code != 0)
        fmi_infile_close(in);
    return code;
}

int fmi_infile_read(const struct fmi_infile *in, void *to, size_t bytes, uint64_t at)
{
    char *p = to;
    while (bytes > 0) {
        ssize_t n = pread(in->fd, p, bytes < READ_BYTES ? bytes : READ_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fmi_error(-errno, "%s: offset %" PRIu64 ": %s", in->path, at,
                             fm_strerror(-errno));
        if (n == 0)
            return fmi_error(FM_EFORMAT,
                             "%s: offset %" PRIu64 ": the file ends, %zu bytes are missing",
                             in->path, at, bytes);
        p += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

void fmi_infile_close(struct fmi_infile *in)
{
    if (in->fd >= 0)
        close(in->fd);
    in->fd = -1;
}

int fmi_infile_load(const struct fmi_infile *in, const struct fmi_infile_layout *layout,
                    fm_array **out)
{
    int code = fm_array_create(out, layout->dtype, layout->ndim, layout->shape,
                               FM_ARRAY_OPTS(.order = layout->order));
    if (code != 0)
        return code;
    size_t bytes = fm_array_bytes(*out);
    void *data = fm_array_data(*out);
    code = fmi_infile_read(in, data, bytes, layout->offset);
    if (code != 0) {
        fm_array_destroy(*out);
        *out = NULL;
        return code;
    }
    fmi_dtype_swap(data, bytes, layout->swap_unit);
    return 0;
}

/* Of the elements' begin: mapped memory begins at a page, and code for vectors may count on whole elements. */
enum { MAP_ALIGNMENT = 16 };

int fmi_infile_map(struct fmi_infile *in, const struct fmi_infile_layout *layout, int is_writable,
                   fm_array **out)
{
    size_t bytes;
    int code = fmi_array_size(layout->dtype, layout->ndim, layout->shape, &bytes);
    if (code != 0)
        return code;
    if (layout->swap_unit > 1)
        return fmi_error(-EINVAL,
                         "%s has another byte order than this machine, so it cannot be "
                         "mapped; FM_NPY_READ converts it",
                         in->path);
    if (layout->offset % MAP_ALIGNMENT != 0)
        return fmi_error(-EINVAL,
                         "%s: the elements begin at offset %" PRIu64
                         ", no multiple of %d, so it cannot be mapped; FM_NPY_READ copies it",
                         in->path, layout->offset, MAP_ALIGNMENT);
    if (bytes == 0) /* there is nothing to map */
        return fmi_infile_load(in, layout, out);
    code = fmi_array_of_file(out, layout, in->fd, layout->offset + bytes, is_writable);
    in->fd = -1;
    if (code != 0) {
        char why[160];
        snprintf(why, sizeof why, "%s", fm_error_detail());
        fmi_error_note("%s: %s", in->path, why);
    }
    return code;
}

int fmi_infile_check_mode(int mode)
{
    if (mode >= FM_NPY_READ && mode <= FM_NPY_MAP_WRITE)
        return 0;
    return fmi_error(-EINVAL, "mode %d is none; FM_NPY_READ, FM_NPY_MAP or FM_NPY_MAP_WRITE", mode);
}

int fmi_infile_array(struct fmi_infile *in, const struct fmi_infile_layout *layout, int mode,
                     fm_array **out)
{
    if (mode == FM_NPY_READ)
        return fmi_infile_load(in, layout, out);
    return fmi_infile_map(in, layout, mode == FM_NPY_MAP_WRITE, out);
}
