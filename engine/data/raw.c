/* SPDX-License-Identifier: MIT */
/* Raw binary files, described by a text: "raw:f4:65536x6:F". */
#include "array.h"
#include "dtype.h"
#include "error.h"
#include "infile.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

struct raw_spec {
    struct fmi_infile_layout layout;
    int open_axis; /* whose length follows from the file's size; -1: none */
};

static int fail(const char *spec, const char *why)
{
    return fmi_error(
        -EINVAL, "'%.80s': %s; the form is raw:DTYPE:SHAPE[:ORDER], for example raw:f4:65536x6:F",
        spec, why);
}

/* The dtype, with '>' for the order that this machine does not have (or has, on a big-endian one). */
static int parse_dtype(const char *spec, const char *text, size_t n, struct raw_spec *raw)
{
    char name[24];
    if (n == 0 || n >= sizeof name)
        return fail(spec, "no dtype");
    memcpy(name, text, n);
    name[n] = '\0';
    int is_big = name[0] == '>';
    int code = fm_dtype_parse(name + is_big, &raw->layout.dtype);
    if (code != 0)
        return code;
    if (is_big && (name[1] == '<' || name[1] == '='))
        return fail(spec, "two byte orders");
    int is_foreign = is_big && __BYTE_ORDER__ != __ORDER_BIG_ENDIAN__;
    raw->layout.swap_unit = is_foreign ? fmi_dtype_swap_unit(raw->layout.dtype) : 1;
    if (is_big && fmi_dtype_kind(raw->layout.dtype) == 'V')
        return fail(spec, "the bytes of records cannot be put in another order");
    return 0;
}

/* One length: digits, or '?'. Returns what follows it, or NULL. */
static const char *parse_length(const char *p, const char *end, int64_t *length)
{
    *length = 0;
    if (p < end && *p == '?') {
        *length = -1;
        return p + 1;
    }
    const char *begin = p;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(*length, 10, length) ||
            __builtin_add_overflow(*length, *p - '0', length))
            return NULL;
    return p > begin ? p : NULL;
}

static int parse_shape(const char *spec, const char *text, size_t n, struct raw_spec *raw)
{
    struct fmi_infile_layout *layout = &raw->layout;
    const char *p = text, *end = text + n;
    raw->open_axis = -1;
    for (;;) {
        if (layout->ndim == FM_MAX_DIMS)
            return fail(spec, "more than 8 axes");
        int64_t *length = &layout->shape[layout->ndim++];
        p = parse_length(p, end, length);
        if (p == NULL)
            return fail(spec, "a length is no number below 2^63, nor '?'");
        if (*length < 0 && raw->open_axis >= 0)
            return fail(spec, "two lengths are '?'");
        if (*length < 0)
            raw->open_axis = layout->ndim - 1;
        if (p == end)
            return 0;
        if (*p++ != 'x')
            return fail(spec, "lengths are joined by 'x'");
    }
}

static int parse_spec(const char *spec, struct raw_spec *raw)
{
    memset(raw, 0, sizeof *raw);
    raw->layout.order = FM_ORDER_C;
    if (spec == NULL)
        return fail("", "NULL");
    if (strncmp(spec, "raw:", 4) != 0)
        return fail(spec, "it does not begin with raw:");
    const char *dtype = spec + 4;
    const char *shape = strchr(dtype, ':');
    if (shape == NULL)
        return fail(spec, "no shape");
    const char *shape_end = strchrnul(++shape, ':');
    int code = parse_dtype(spec, dtype, (size_t)(shape - 1 - dtype), raw);
    if (code == 0)
        code = parse_shape(spec, shape, (size_t)(shape_end - shape), raw);
    if (code != 0 || *shape_end == '\0')
        return code;
    if (strcmp(shape_end, ":F") == 0)
        raw->layout.order = FM_ORDER_F;
    else if (strcmp(shape_end, ":C") != 0)
        return fail(spec, "the order is C or F");
    return 0;
}

/* The open length is what makes the sizes equal, if one does. */
static int fit_shape(const struct fmi_infile *in, const char *spec, struct raw_spec *raw)
{
    struct fmi_infile_layout *layout = &raw->layout;
    size_t bytes;
    if (raw->open_axis >= 0)
        layout->shape[raw->open_axis] = 1;
    int code = fmi_array_size(layout->dtype, layout->ndim, layout->shape, &bytes);
    if (code != 0)
        return code;
    if (raw->open_axis >= 0 && bytes == 0)
        return fail(spec, "'?' beside a length of 0");
    if (raw->open_axis >= 0 && in->bytes % bytes != 0)
        return fmi_error(
            FM_EFORMAT, "%s: %" PRIu64 " bytes are no multiple of the %zu bytes for each '?' of %s",
            in->path, in->bytes, bytes, spec);
    if (raw->open_axis >= 0)
        layout->shape[raw->open_axis] = (int64_t)(in->bytes / bytes);
    else if (bytes != in->bytes)
        return fmi_error(FM_EFORMAT, "%s has %" PRIu64 " bytes, but %s takes %zu", in->path,
                         in->bytes, spec, bytes);
    return 0;
}

int fm_raw_load(const char *path, const char *spec, fm_array **out)
{
    return fm_raw_open(path, spec, FM_NPY_READ, out);
}

int fm_raw_open(const char *path, const char *spec, int mode, fm_array **out)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    struct raw_spec raw;
    struct fmi_infile in;
    int code = fmi_infile_check_mode(mode);
    if (code == 0)
        code = parse_spec(spec, &raw);
    if (code == 0)
        code = fmi_infile_open(&in, path, mode == FM_NPY_MAP_WRITE);
    if (code != 0)
        return code;
    code = fit_shape(&in, spec, &raw);
    if (code == 0)
        code = fmi_infile_array(&in, &raw.layout, mode, out);
    fmi_infile_close(&in);
    return code;
}
