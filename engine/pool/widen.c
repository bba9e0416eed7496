/* SPDX-License-Identifier: MIT */
/* Loads and stores of numbers of any dtype; see widen.h. */
#include "widen.h"

#include "dtype.h"

int fmi_widen_kind(fm_dtype dtype)
{
    switch (fm_dtype_bytes(dtype) == 0 ? 0 : fmi_dtype_kind(dtype)) {
    case 'b':
    case 'i':
        return FMI_WIDE_I;
    case 'u':
        return FMI_WIDE_U;
    case 'f':
    case 'c':
        return FMI_WIDE_F;
    default:
        return 0;
    }
}

int fmi_widen_parts(fm_dtype dtype)
{
    return fmi_dtype_kind(dtype) == 'c' ? 2 : 1;
}

#define LOAD(type, wide, expression)                                                               \
    do {                                                                                           \
        wide *values = to;                                                                         \
        for (int64_t k = 0; k < n; k++) {                                                          \
            const type x = *(const type *)(const void *)(from + k * stride);                       \
            values[k] = (wide)(expression);                                                        \
        }                                                                                          \
    } while (0)

#define LOAD_ANY(wide)                                                                             \
    switch (dtype) {                                                                               \
    case FM_BOOL:                                                                                  \
        LOAD(uint8_t, wide, x != 0);                                                               \
        break;                                                                                     \
    case FM_I8:                                                                                    \
        LOAD(int8_t, wide, x);                                                                     \
        break;                                                                                     \
    case FM_I16:                                                                                   \
        LOAD(int16_t, wide, x);                                                                    \
        break;                                                                                     \
    case FM_I32:                                                                                   \
        LOAD(int32_t, wide, x);                                                                    \
        break;                                                                                     \
    case FM_I64:                                                                                   \
        LOAD(int64_t, wide, x);                                                                    \
        break;                                                                                     \
    case FM_U8:                                                                                    \
        LOAD(uint8_t, wide, x);                                                                    \
        break;                                                                                     \
    case FM_U16:                                                                                   \
        LOAD(uint16_t, wide, x);                                                                   \
        break;                                                                                     \
    case FM_U32:                                                                                   \
        LOAD(uint32_t, wide, x);                                                                   \
        break;                                                                                     \
    case FM_U64:                                                                                   \
        LOAD(uint64_t, wide, x);                                                                   \
        break;                                                                                     \
    default:                                                                                       \
        break;                                                                                     \
    }

static void load_signed(fm_dtype dtype, const char *from, int64_t stride, int64_t n, void *to)
{
    LOAD_ANY(int64_t)
}

static void load_unsigned(fm_dtype dtype, const char *from, int64_t stride, int64_t n, void *to)
{
    LOAD_ANY(uint64_t)
}

static void load_double(fm_dtype dtype, const char *from, int64_t stride, int64_t n, void *to)
{
    if (dtype == FM_F64 || dtype == FM_C128)
        LOAD(double, double, x);
    else if (dtype == FM_F32 || dtype == FM_C64)
        LOAD(float, double, x);
    else
        LOAD_ANY(double)
}

/* [bytes] from an element to its part. */
static int64_t part_offset(fm_dtype dtype, int part)
{
    return part == 0 ? 0 : (int64_t)fm_dtype_bytes(dtype) / 2;
}

void fmi_widen_load(fm_dtype dtype, int part, const char *from, int64_t stride, int64_t n, int kind,
                    void *to)
{
    from += part_offset(dtype, part);
    if (kind == FMI_WIDE_I)
        load_signed(dtype, from, stride, n, to);
    else if (kind == FMI_WIDE_U)
        load_unsigned(dtype, from, stride, n, to);
    else
        load_double(dtype, from, stride, n, to);
}

#define STORE(type, wide)                                                                          \
    do {                                                                                           \
        const wide *values = from;                                                                 \
        for (int64_t k = 0; k < n; k++)                                                            \
            *(type *)(void *)(to + k * stride) = (type)values[k];                                  \
    } while (0)

static void store_signed(size_t bytes, char *to, int64_t stride, int64_t n, const void *from)
{
    if (bytes == 1)
        STORE(int8_t, int64_t); /* and a bool */
    else if (bytes == 2)
        STORE(int16_t, int64_t);
    else if (bytes == 4)
        STORE(int32_t, int64_t);
    else
        STORE(int64_t, int64_t);
}

static void store_unsigned(size_t bytes, char *to, int64_t stride, int64_t n, const void *from)
{
    if (bytes == 1)
        STORE(uint8_t, uint64_t);
    else if (bytes == 2)
        STORE(uint16_t, uint64_t);
    else if (bytes == 4)
        STORE(uint32_t, uint64_t);
    else
        STORE(uint64_t, uint64_t);
}

void fmi_widen_store(fm_dtype dtype, int part, char *to, int64_t stride, int64_t n, int kind,
                     const void *from)
{
    size_t bytes = fm_dtype_bytes(dtype);
    to += part_offset(dtype, part);
    if (kind == FMI_WIDE_I)
        store_signed(bytes, to, stride, n, from);
    else if (kind == FMI_WIDE_U)
        store_unsigned(bytes, to, stride, n, from);
    else if (dtype == FM_F32 || dtype == FM_C64)
        STORE(float, double);
    else
        STORE(double, double);
}
