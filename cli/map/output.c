/* SPDX-License-Identifier: MIT */
/* Output rows and the output file. */
#include "output.h"

#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char rows_remedy[] =
    "--out DTYPE:ROWSHAPE, as in f8: (a double per item), f4:3, i4:2x3; or none";

static int parse_shape(struct fmc_rows *rows, const char *text)
{
    while (*text != '\0') {
        char *end;
        errno = 0;
        const long long length = strtoll(text, &end, 10);
        if (*text < '0' || *text > '9' || errno != 0 || length < 1 || rows->ndim == FM_MAX_DIMS - 1)
            return -EINVAL;
        rows->shape[rows->ndim++] = length;
        if (*end == 'x' && end[1] != '\0')
            end++;
        else if (*end != '\0')
            return -EINVAL;
        text = end;
    }
    return 0;
}

int fmc_output_parse(struct fmc_rows *rows, const char *spec)
{
    char dtype[24];
    const char *colon = strchrnul(spec, ':');
    const size_t length = (size_t)(colon - spec);
    *rows = (struct fmc_rows){.none = strcmp(spec, "none") == 0};
    if (rows->none)
        return FMC_DONE;
    if (length == 0 || length >= sizeof dtype)
        return fmc_say_error(FMC_USAGE, rows_remedy, "--out %s: no such type", spec);
    memcpy(dtype, spec, length);
    dtype[length] = '\0';
    if (fm_dtype_parse(dtype, &rows->dtype) != 0)
        return fmc_say_error(FMC_USAGE, rows_remedy, "--out %s: %s", spec, fm_error_detail());
    if (parse_shape(rows, *colon == ':' ? colon + 1 : colon) != 0)
        return fmc_say_error(FMC_USAGE, rows_remedy,
                             "--out %s: the row shape is not up to %d lengths joined by x", spec,
                             FM_MAX_DIMS - 1);
    return FMC_DONE;
}

void fmc_output_look(struct fmc_seen *seen, const fm_array *array)
{
    *seen = (struct fmc_seen){.data = fm_array_data(array)};
    if (seen->data == NULL)
        return;
    seen->dtype = fm_array_dtype(array);
    seen->ndim = fm_array_ndim(array);
    seen->row_bytes = fm_array_row_bytes(array);
    const int64_t *shape = fm_array_shape(array), *strides = fm_array_strides(array);
    for (int i = 0; i < seen->ndim && i < FM_MAX_DIMS && shape != NULL && strides != NULL; i++) {
        seen->shape[i] = shape[i];
        seen->strides[i] = strides[i];
    }
}

int fmc_output_is_as_seen(const struct fmc_seen *seen, const fm_array *array)
{
    struct fmc_seen now;
    fmc_output_look(&now, array);
    return now.data == seen->data && now.dtype == seen->dtype && now.ndim == seen->ndim &&
           now.row_bytes == seen->row_bytes &&
           memcmp(now.shape, seen->shape, sizeof now.shape) == 0 &&
           memcmp(now.strides, seen->strides, sizeof now.strides) == 0;
}

void fmc_output_clear_failed(const struct fmc_seen *out, const struct fmc_seen *status)
{
    const unsigned char *states = (const unsigned char *)status->data;
    for (int64_t i = 0; i < status->shape[0]; i++)
        if (states[i] != FM_ITEM_DONE)
            memset(out->data + i * out->strides[0], 0, out->row_bytes);
}

static int reserve(struct fmc_output *o, const char *path, fm_dtype dtype, int ndim,
                   const int64_t *shape)
{
    *o = (struct fmc_output){.path = path};
    const int code = fm_npy_reserve(path, dtype, ndim, shape, &o->writer);
    if (code == 0)
        return FMC_DONE;
    fmc_say_code(code, path,
                 code == -ENOSPC
                     ? "nothing was computed: make room, or choose another place with -o"
                     : "nothing was computed: choose another place with -o");
    return FMC_ENVIRONMENT;
}

int fmc_output_reserve(struct fmc_output *o, const char *path, const fm_array *array)
{
    return reserve(o, path, fm_array_dtype(array), fm_array_ndim(array), fm_array_shape(array));
}

int fmc_output_is_to_map(int map, size_t bytes)
{
    return map == FMC_MAP_ALWAYS || (map == FMC_MAP_AUTO && bytes >= FMC_MAP_BYTES);
}

static int create_in_heap(fm_array **out, const struct fmc_rows *rows, const int64_t *shape)
{
    char what[80], type[24];
    const int code = fm_array_zeros(out, rows->dtype, rows->ndim + 1, shape);
    if (code == 0)
        return FMC_DONE;
    fm_dtype_name(rows->dtype, type, sizeof type);
    snprintf(what, sizeof what, "output of %" PRId64 " rows of %s", shape[0], type);
    return fmc_say_code(code, what, NULL);
}

/* Too large to count, it is refused as an array is. */
static size_t count_bytes(const struct fmc_rows *rows, const int64_t *shape)
{
    size_t bytes = fm_dtype_bytes(rows->dtype);
    for (int i = 0; i <= rows->ndim; i++)
        if (__builtin_mul_overflow(bytes, (size_t)shape[i], &bytes))
            return 0;
    return bytes;
}

int fmc_output_open(struct fmc_output *o, const char *path, int map, const struct fmc_rows *rows,
                    int64_t n, fm_array **out)
{
    int64_t shape[FM_MAX_DIMS] = {n};
    memcpy(shape + 1, rows->shape, sizeof rows->shape);
    if (!fmc_output_is_to_map(map, count_bytes(rows, shape))) {
        const int rc = create_in_heap(out, rows, shape);
        return rc == FMC_DONE ? fmc_output_reserve(o, path, *out) : rc;
    }
    int rc = reserve(o, path, rows->dtype, rows->ndim + 1, shape);
    if (rc != FMC_DONE)
        return rc;
    const int code = fm_npy_map_reserved(o->writer, out);
    if (code == -ENOTSUP || (code != 0 && map == FMC_MAP_AUTO)) /* then it is written at the end */
        return create_in_heap(out, rows, shape);
    return code == 0 ? FMC_DONE : fmc_say_code(code, path, "--map never makes a copy in memory");
}

int fmc_output_open_part(struct fmc_output *o, const char *path, const char *journal,
                         const struct fmc_rows *rows, int64_t n, fm_array **out)
{
    int64_t shape[FM_MAX_DIMS] = {n};
    memcpy(shape + 1, rows->shape, sizeof rows->shape);
    *o = (struct fmc_output){.path = path};
    return fmc_part_open(&o->part, path, journal, rows->dtype, rows->ndim + 1, shape, out);
}

int fmc_output_is_open(const struct fmc_output *o)
{
    return o->writer != NULL || o->part.target != NULL;
}

int fmc_output_commit(struct fmc_output *o, const fm_array *array)
{
    if (o->part.target != NULL)
        return fmc_part_commit(&o->part);
    fm_npy_writer *writer = o->writer;
    if (writer == NULL)
        return FMC_DONE;
    o->writer = NULL;
    const int code = fm_npy_commit(writer, array);
    if (code == 0)
        return FMC_DONE;
    fmc_say_code(code, o->path, "the results could not be written");
    return FMC_ENVIRONMENT;
}

void fmc_output_abandon(struct fmc_output *o)
{
    fm_npy_abandon(o->writer);
    o->writer = NULL;
    fmc_part_abandon(&o->part, o->is_begun);
}
