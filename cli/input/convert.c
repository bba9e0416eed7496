/* SPDX-License-Identifier: MIT */
/* Conversion by way of long double, which holds every int64, uint64 and double exactly. */
#include "convert.h"

#include "say.h"

#include <assert.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static_assert(LDBL_MANT_DIG >= 64, "a long double holds every 64-bit integer");

typedef long double real;

static char kind_of(fm_dtype dtype)
{
    return (char)(dtype >> 24);
}

#define READ_AS(type)                                                                              \
    do {                                                                                           \
        type value;                                                                                \
        memcpy(&value, p, sizeof value);                                                           \
        return (real)value;                                                                        \
    } while (0)

static real read_real(fm_dtype dtype, const char *p)
{
    switch (dtype) {
    case FM_I8:
        READ_AS(int8_t);
    case FM_I16:
        READ_AS(int16_t);
    case FM_I32:
        READ_AS(int32_t);
    case FM_I64:
        READ_AS(int64_t);
    case FM_U16:
        READ_AS(uint16_t);
    case FM_U32:
        READ_AS(uint32_t);
    case FM_U64:
        READ_AS(uint64_t);
    case FM_F32:
        READ_AS(float);
    case FM_F64:
        READ_AS(double);
    default: /* FM_U8, FM_BOOL */
        READ_AS(uint8_t);
    }
}

#define WRITE_AS(type)                                                                             \
    do {                                                                                           \
        const type number = (type)value;                                                           \
        memcpy(p, &number, sizeof number);                                                         \
    } while (0)

/* An integer type's range is [low, high). */
static int fits(fm_dtype dtype, real value)
{
    const int bits = (int)(8 * fm_dtype_bytes(dtype));
    switch (kind_of(dtype)) {
    case 'b':
        return value == 0 || value == 1;
    case 'i':
        return value == truncl(value) && value >= -ldexpl(1, bits - 1) &&
               value < ldexpl(1, bits - 1);
    case 'u':
        return value == truncl(value) && value >= 0 && value < ldexpl(1, bits);
    default:
        return dtype != FM_F32 || !isfinite((double)value) || isfinite((float)value);
    }
}

static void write_real(fm_dtype dtype, char *p, real value)
{
    switch (dtype) {
    case FM_I8:
        WRITE_AS(int8_t);
        break;
    case FM_I16:
        WRITE_AS(int16_t);
        break;
    case FM_I32:
        WRITE_AS(int32_t);
        break;
    case FM_I64:
        WRITE_AS(int64_t);
        break;
    case FM_U16:
        WRITE_AS(uint16_t);
        break;
    case FM_U32:
        WRITE_AS(uint32_t);
        break;
    case FM_U64:
        WRITE_AS(uint64_t);
        break;
    case FM_F32:
        WRITE_AS(float);
        break;
    case FM_F64:
        WRITE_AS(double);
        break;
    default: /* FM_U8, FM_BOOL */
        WRITE_AS(uint8_t);
        break;
    }
}

/* The type of one part: of a complex number, its float. */
static fm_dtype part_of(fm_dtype dtype)
{
    return dtype == FM_C64 ? FM_F32 : dtype == FM_C128 ? FM_F64 : dtype;
}

struct conversion {
    const char *what;
    fm_dtype from, to;       /* types of one part */
    int n_parts, n_to_parts; /* 2 for complex numbers */
    size_t from_bytes, to_bytes;
    const int64_t *shape, *strides;
    int ndim;
    int64_t row; /* the one in work */
    char *p;     /* where the next element goes */
};

static int refuse_value(const struct conversion *c, real value)
{
    char type[24], remedy[80];
    fm_dtype_name(c->to, type, sizeof type);
    snprintf(remedy, sizeof remedy, "%s must hold every value", type);
    return fmc_say_error(FMC_ENVIRONMENT, remedy, "%s: row %" PRId64 ": %.17Lg does not fit %s",
                         c->what, c->row, value, type);
}

static int convert_element(struct conversion *c, const char *from)
{
    const size_t from_step = c->from_bytes / (size_t)c->n_parts;
    const size_t to_step = c->to_bytes / (size_t)c->n_to_parts;
    for (int part = 0; part < c->n_to_parts; part++) {
        const real value =
            part < c->n_parts ? read_real(c->from, from + (size_t)part * from_step) : 0;
        if (!fits(c->to, value))
            return refuse_value(c, value);
        write_real(c->to, c->p + (size_t)part * to_step, value);
    }
    c->p += c->to_bytes;
    return FMC_DONE;
}

static int convert_axis(struct conversion *c, const char *from, int axis)
{
    int rc = FMC_DONE;
    if (axis == c->ndim)
        return convert_element(c, from);
    for (int64_t i = 0; i < c->shape[axis] && rc == FMC_DONE; i++) {
        if (axis == 0)
            c->row = i;
        rc = convert_axis(c, from + i * c->strides[axis], axis + 1);
    }
    return rc;
}

int fmc_convert(const char *what, fm_array **array, fm_dtype to)
{
    const fm_dtype from = fm_array_dtype(*array);
    const int is_complex = kind_of(from) == 'c';
    char has[24], wants[24];
    fm_array *copy;
    if (from == to)
        return FMC_DONE;
    fm_dtype_name(from, has, sizeof has);
    fm_dtype_name(to, wants, sizeof wants);
    if (kind_of(from) == 'V' || kind_of(to) == 'V' || (is_complex && kind_of(to) != 'c'))
        return fmc_say_error(FMC_USAGE, "--as converts real numbers, and complex ones to complex",
                             "%s: %s cannot become %s", what, has, wants);
    const int code =
        fm_array_create(&copy, to, fm_array_ndim(*array), fm_array_shape(*array), NULL);
    if (code != 0)
        return fmc_say_code(code, what, NULL);
    struct conversion c = {.what = what,
                           .from = part_of(from),
                           .to = part_of(to),
                           .n_parts = is_complex ? 2 : 1,
                           .n_to_parts = kind_of(to) == 'c' ? 2 : 1,
                           .from_bytes = fm_dtype_bytes(from),
                           .to_bytes = fm_dtype_bytes(to),
                           .shape = fm_array_shape(*array),
                           .strides = fm_array_strides(*array),
                           .ndim = fm_array_ndim(*array),
                           .p = fm_array_data(copy)};
    const int rc = convert_axis(&c, fm_array_data(*array), 0);
    fm_array_destroy(rc == FMC_DONE ? *array : copy);
    if (rc == FMC_DONE)
        *array = copy;
    return rc;
}
