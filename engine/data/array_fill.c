/* SPDX-License-Identifier: MIT */
/* Arrays that start with something in them: zeros, a copy, a range of numbers. */
#include "array.h"
#include "dtype.h"
#include "error.h"

#include <errno.h>
#include <math.h>
#include <string.h>

int fm_array_zeros(fm_array **out, fm_dtype dtype, int ndim, const int64_t *shape)
{
    return fm_array_create(out, dtype, ndim, shape, FM_ARRAY_OPTS(.zero = 1));
}

int fm_array_from(fm_array **out, const void *data, fm_dtype dtype, int ndim, const int64_t *shape)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    size_t bytes;
    int code = fmi_array_size(dtype, ndim, shape, &bytes);
    if (code != 0)
        return code;
    if (data == NULL && bytes > 0)
        return fmi_error(-EINVAL, "data is NULL, but the shape takes %zu bytes", bytes);
    code = fm_array_create(out, dtype, ndim, shape, NULL);
    if (code == 0 && bytes > 0)
        memcpy(fm_array_data(*out), data, bytes);
    return code;
}

struct range {
    double begin, end, step;
};

static double value_at(const struct range *r, double i)
{
    return r->begin + i * r->step;
}

static int is_before_end(const struct range *r, double value)
{
    return r->step > 0 ? value < r->end : value > r->end;
}

/* Number of values before `end`: the quotient, put right where its rounding and that of the values differ. */
static int count_values(const struct range *r, int64_t *n)
{
    double count = ceil((r->end - r->begin) / r->step);
    if (!(count > 0)) {
        *n = 0;
        return 0;
    }
    if (count > 0x1p53) /* beyond it not every index is a double */
        return fmi_error(-EOVERFLOW, "a range of %g values", count);
    *n = (int64_t)count;
    if (!is_before_end(r, value_at(r, (double)(*n - 1))))
        *n -= 1;
    else if (is_before_end(r, value_at(r, (double)*n)))
        *n += 1;
    return 0;
}

/* Smallest and largest double of an integer type's range; the conversion of any other is undefined. */
static int fits_integer(double value, char kind, size_t bytes)
{
    int bits = (int)(8 * bytes);
    double above = ldexp(1.0, kind == 'u' ? bits : bits - 1);
    value = trunc(value);
    return value < above && value >= (kind == 'u' ? 0.0 : -above);
}

#define STORE_AS(type)                                                                             \
    do {                                                                                           \
        type *to = data;                                                                           \
        for (int64_t i = 0; i < n; i++)                                                            \
            to[i] = (type)value_at(r, (double)i);                                                  \
    } while (0)

static void store_values(fm_dtype dtype, void *data, const struct range *r, int64_t n)
{
    switch (dtype) {
    case FM_I8:
        STORE_AS(int8_t);
        break;
    case FM_I16:
        STORE_AS(int16_t);
        break;
    case FM_I32:
        STORE_AS(int32_t);
        break;
    case FM_I64:
        STORE_AS(int64_t);
        break;
    case FM_U8:
        STORE_AS(uint8_t);
        break;
    case FM_U16:
        STORE_AS(uint16_t);
        break;
    case FM_U32:
        STORE_AS(uint32_t);
        break;
    case FM_U64:
        STORE_AS(uint64_t);
        break;
    case FM_F32:
        STORE_AS(float);
        break;
    default:
        STORE_AS(double);
        break;
    }
}

int fm_array_arange(fm_array **out, fm_dtype dtype, double begin, double end, double step)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    size_t bytes = fm_dtype_bytes(dtype);
    char kind = fmi_dtype_kind(dtype);
    if (bytes == 0 || (kind != 'i' && kind != 'u' && kind != 'f'))
        return fmi_error(-EINVAL, "a range needs an integer or float dtype");
    if (!isfinite(begin) || !isfinite(end) || !isfinite(step) || step == 0)
        return fmi_error(-EINVAL, "range from %g to %g by %g", begin, end, step);
    const struct range r = {begin, end, step};
    int64_t n;
    int code = count_values(&r, &n);
    if (code != 0)
        return code;
    double last = value_at(&r, (double)(n - 1));
    if (kind != 'f' && n > 0 &&
        (!fits_integer(begin, kind, bytes) || !fits_integer(last, kind, bytes)))
        return fmi_error(-EINVAL, "values from %g to %g do not fit %c%zu", begin, last, kind,
                         bytes);
    code = fm_array_create(out, dtype, 1, &n, NULL);
    if (code == 0)
        store_values(dtype, fm_array_data(*out), &r, n);
    return code;
}
