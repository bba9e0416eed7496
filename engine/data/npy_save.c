/* SPDX-License-Identifier: MIT */
/*
 * Saving .npy files, in two steps for whoever works long for the result: reserve finds out that the file cannot
 * be written before the work, commit writes it after.
 */
#include "array.h"
#include "checked.h"
#include "dtype.h"
#include "error.h"
#include "infile.h"
#include "npy_header.h"
#include "outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 4 * 64 };    /* what format_header() writes at most */
enum { GATHER_BYTES = 256 << 10 }; /* bounce buffer for elements that do not lie together */

struct fm_npy_writer {
    struct fmi_outfile output;
    size_t header_bytes;
    int64_t shape[FM_MAX_DIMS];
    fm_dtype dtype;
    int ndim;
    const char *mapped; /* the first element of the file as an array; NULL: it is not mapped */
};

/*
 * Prefix and header of version 1.0, padded to a multiple of 64 bytes that is at least `min_bytes`; returns
 * its size [bytes]. Up to 8 axes without fields never need version 2.0.
 */
static size_t format_header(char text[HEADER_BYTES], size_t min_bytes, fm_dtype dtype, int order,
                            int ndim, const int64_t *shape)
{
    static const char magic[8] = "\x93NUMPY\x01\x00";
    char name[16];
    fm_dtype_name(dtype, name, sizeof name);
    char mark = fmi_dtype_swap_unit(dtype) == 1             ? '|'
                : __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? '<'
                                                            : '>';
    size_t cap = HEADER_BYTES;
    int n = FMI_NPY_PREFIX_BYTES;
    n += snprintf(text + n, cap - (size_t)n, "{'descr': '%c%s', 'fortran_order': %s, 'shape': (",
                  mark, name, order == FM_ORDER_F ? "True" : "False");
    for (int i = 0; i < ndim; i++)
        n += snprintf(text + n, cap - (size_t)n, "%" PRId64 "%s", shape[i],
                      i + 1 < ndim ? ", "
                      : ndim == 1  ? ","
                                   : "");
    n += snprintf(text + n, cap - (size_t)n, "), }");
    size_t total = ((size_t)n + 1 + 63) / 64 * 64; /* one more for the newline */
    if (total < min_bytes)
        total = min_bytes;
    memset(text + n, ' ', total - (size_t)n);
    text[total - 1] = '\n';
    size_t length = total - FMI_NPY_PREFIX_BYTES;
    memcpy(text, magic, sizeof magic);
    text[8] = (char)(length & 0xff);
    text[9] = (char)(length >> 8);
    return total;
}

int fm_npy_reserve(const char *path, fm_dtype dtype, int ndim, const int64_t *shape,
                   fm_npy_writer **out)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    size_t bytes;
    int code = fmi_array_size(dtype, ndim, shape, &bytes);
    if (code != 0)
        return code;
    char header[HEADER_BYTES];
    /* C order has the longer word ("False"); a header for Fortran order is padded to the same size. */
    size_t header_bytes = format_header(header, 0, dtype, FM_ORDER_C, ndim, shape);
    if (!fmi_checked_add(bytes, header_bytes, &bytes))
        return fmi_error(-EOVERFLOW, "header and elements pass 2^64 bytes");
    fm_npy_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return fmi_error(-ENOMEM, "no memory for a writer");
    code = fmi_outfile_open(&w->output, path, bytes, 0);
    if (code != 0) {
        free(w);
        return code;
    }
    w->header_bytes = header_bytes;
    w->dtype = dtype;
    w->ndim = ndim;
    memcpy(w->shape, shape, (size_t)ndim * sizeof *shape);
    *out = w;
    return 0;
}

static int check_array(const fm_npy_writer *w, const struct fmi_array_view *v)
{
    if (v->dtype != w->dtype || v->ndim != w->ndim)
        return fmi_error(-EINVAL,
                         "%s: the array's dtype or number of axes is not what was reserved",
                         w->output.path);
    for (int i = 0; i < v->ndim; i++)
        if (v->shape[i] != w->shape[i])
            return fmi_error(-EINVAL, "%s: axis %d has length %" PRId64 ", reserved were %" PRId64,
                             w->output.path, i, v->shape[i], w->shape[i]);
    return 0;
}

/* Collects pieces, so that the file gets few and large ones. */
struct gather {
    struct fmi_outfile *output;
    char *buffer;
    size_t used;
};

static int flush_gather(struct gather *g)
{
    int code = fmi_outfile_write(g->output, g->buffer, g->used);
    g->used = 0;
    return code;
}

static int add_piece(struct gather *g, const char *piece, size_t bytes)
{
    int code = 0;
    if (bytes > GATHER_BYTES - g->used)
        code = flush_gather(g);
    if (code != 0 || bytes > GATHER_BYTES)
        return code != 0 ? code : fmi_outfile_write(g->output, piece, bytes);
    memcpy(g->buffer + g->used, piece, bytes);
    g->used += bytes;
    return 0;
}

/* Number of leading axes to step through; what lies below them is one piece of `bytes` bytes. */
static int find_pieces(const struct fmi_array_view *v, size_t *bytes)
{
    int axis = v->ndim;
    *bytes = v->item_bytes;
    while (axis > 0 && v->strides[axis - 1] == (int64_t)*bytes)
        *bytes *= (size_t)v->shape[--axis];
    return axis;
}

/* All elements in C order, whatever the strides: an odometer over the axes above the pieces. */
static int write_strided(struct fmi_outfile *output, const struct fmi_array_view *v)
{
    size_t bytes;
    int n_axes = find_pieces(v, &bytes);
    int64_t index[FM_MAX_DIMS] = {0};
    struct gather g = {.output = output, .buffer = malloc(GATHER_BYTES)};
    if (g.buffer == NULL)
        return fmi_error(-ENOMEM, "no memory for %d bytes", GATHER_BYTES);
    const char *p = v->data;
    int code, axis;
    do {
        code = add_piece(&g, p, bytes);
        for (axis = n_axes - 1; axis >= 0; axis--) {
            p += v->strides[axis];
            if (++index[axis] < v->shape[axis])
                break;
            p -= v->strides[axis] * v->shape[axis];
            index[axis] = 0;
        }
    } while (code == 0 && axis >= 0);
    if (code == 0)
        code = flush_gather(&g);
    free(g.buffer);
    return code;
}

static int write_all(fm_npy_writer *w, const struct fmi_array_view *v)
{
    char header[HEADER_BYTES];
    int is_c = fmi_array_is_packed(v, FM_ORDER_C);
    int is_f = !is_c && fmi_array_is_packed(v, FM_ORDER_F);
    size_t bytes = format_header(header, w->header_bytes, v->dtype, is_f ? FM_ORDER_F : FM_ORDER_C,
                                 v->ndim, v->shape);
    int code = fmi_outfile_write(&w->output, header, bytes);
    if (code != 0 || v->n_elements == 0)
        return code;
    if (is_c || is_f)
        return fmi_outfile_write(&w->output, v->data, (size_t)(v->hi - v->lo));
    return write_strided(&w->output, v);
}

/* The header comes last: a writer that could not be mapped is as it was. */
static int map_output(fm_npy_writer *w, struct fmi_infile *in, fm_array **out)
{
    char header[HEADER_BYTES];
    size_t n = format_header(header, w->header_bytes, w->dtype, FM_ORDER_C, w->ndim, w->shape);
    struct fmi_infile_layout layout = {
        .offset = n, .dtype = w->dtype, .ndim = w->ndim, .order = FM_ORDER_C};
    memcpy(layout.shape, w->shape, sizeof layout.shape);
    int code = fmi_infile_map(in, &layout, 1, out);
    if (code == 0 && (code = fmi_outfile_write_at(&w->output, header, n, 0)) != 0) {
        fm_array_destroy(*out);
        *out = NULL;
    }
    return code;
}

int fm_npy_map_reserved(fm_npy_writer *w, fm_array **out)
{
    if (out == NULL || w == NULL)
        return fmi_error(-EINVAL, "%s is NULL", out == NULL ? "out" : "writer");
    *out = NULL;
    if (w->mapped != NULL)
        return fmi_error(-EINVAL, "%s is mapped already", w->output.path);
    if (w->output.name == NULL)
        return fmi_error(-ENOTSUP, "%s is a pipe, a device or a descriptor, and cannot be mapped",
                         w->output.path);
    struct fmi_infile in = {.path = w->output.path};
    in.fd = fcntl(w->output.fd, F_DUPFD_CLOEXEC, 3);
    if (in.fd < 0)
        return fmi_error(-errno, "%s: %s", w->output.path, fm_strerror(-errno));
    int code = map_output(w, &in, out);
    if (code == 0)
        w->mapped = fm_array_data(*out);
    fmi_infile_close(&in);
    return code;
}

int fm_npy_create(const char *path, fm_dtype dtype, int ndim, const int64_t *shape, fm_array **out)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    fm_npy_writer *w;
    int code = fm_npy_reserve(path, dtype, ndim, shape, &w);
    if (code == 0 && (code = fm_npy_map_reserved(w, out)) != 0)
        fm_npy_abandon(w);
    if (code == 0 && (code = fm_npy_commit(w, *out)) != 0) {
        fm_array_destroy(*out);
        *out = NULL;
    }
    return code;
}

/* What is mapped lies in the file already. */
static int write_unless_mapped(fm_npy_writer *w, const struct fmi_array_view *v)
{
    if (w->mapped == NULL)
        return write_all(w, v);
    if (v->data == w->mapped)
        return 0;
    return fmi_error(-EINVAL, "%s is mapped; commit the array that fm_npy_map_reserved() gave",
                     w->output.path);
}

int fm_npy_commit(fm_npy_writer *w, const fm_array *a)
{
    if (w == NULL)
        return fmi_error(-EINVAL, "writer is NULL");
    struct fmi_array_view v;
    int code = fmi_array_inspect(a, &v);
    if (code == 0)
        code = check_array(w, &v);
    if (code == 0)
        code = write_unless_mapped(w, &v);
    if (code == 0) {
        code = fmi_outfile_commit(&w->output);
        free(w);
        return code;
    }
    fm_npy_abandon(w);
    return code;
}

void fm_npy_abandon(fm_npy_writer *w)
{
    if (w == NULL)
        return;
    fmi_outfile_abandon(&w->output);
    free(w);
}

int fm_npy_save(const char *path, const fm_array *a)
{
    struct fmi_array_view v;
    fm_npy_writer *w;
    int code = fmi_array_inspect(a, &v);
    if (code == 0)
        code = fm_npy_reserve(path, v.dtype, v.ndim, v.shape, &w);
    return code == 0 ? fm_npy_commit(w, a) : code;
}
