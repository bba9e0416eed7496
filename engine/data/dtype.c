/* SPDX-License-Identifier: MIT */
/* Element types: their names, sizes and byte order. One table, which all of it reads. */
#include "dtype.h"
#include "error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct dtype_name {
    fm_dtype dtype;
    const char *brief, *full;
} dtype_names[] = {
    {FM_BOOL, "b1", "bool"},        {FM_I8, "i1", "int8"},     {FM_I16, "i2", "int16"},
    {FM_I32, "i4", "int32"},        {FM_I64, "i8", "int64"},   {FM_U8, "u1", "uint8"},
    {FM_U16, "u2", "uint16"},       {FM_U32, "u4", "uint32"},  {FM_U64, "u8", "uint64"},
    {FM_F32, "f4", "float32"},      {FM_F64, "f8", "float64"}, {FM_C64, "c8", "complex64"},
    {FM_C128, "c16", "complex128"},
};
enum { N_NAMES = sizeof dtype_names / sizeof dtype_names[0] };

static const struct dtype_name *find_dtype(fm_dtype dtype)
{
    for (int i = 0; i < N_NAMES; i++)
        if (dtype_names[i].dtype == dtype)
            return &dtype_names[i];
    return NULL;
}

fm_dtype fmi_dtype_of(char kind, uint64_t bytes)
{
    if (bytes == 0 || bytes > FMI_DTYPE_MAX_STRUCT)
        return 0;
    fm_dtype dtype = FM_DTYPE(kind, bytes);
    return kind == 'V' || find_dtype(dtype) != NULL ? dtype : 0;
}

size_t fm_dtype_bytes(fm_dtype dtype)
{
    uint32_t bytes = dtype & FMI_DTYPE_MAX_STRUCT;
    return fmi_dtype_of(fmi_dtype_kind(dtype), bytes) == dtype ? bytes : 0;
}

/* "V24": digits only, so that neither a sign nor a blank passes for a size. */
static fm_dtype parse_record(const char *text)
{
    if (text[0] != 'V')
        return 0;
    size_t n_digits = strspn(text + 1, "0123456789");
    if (n_digits == 0 || n_digits > 8 || text[1 + n_digits] != '\0')
        return 0;
    return fmi_dtype_of('V', strtoull(text + 1, NULL, 10));
}

static fm_dtype parse_name(const char *text)
{
    for (int i = 0; i < N_NAMES; i++)
        if (strcmp(text, dtype_names[i].brief) == 0 || strcmp(text, dtype_names[i].full) == 0)
            return dtype_names[i].dtype;
    return parse_record(text);
}

int fm_dtype_parse(const char *text, fm_dtype *out)
{
    if (out != NULL)
        *out = 0;
    if (text == NULL || out == NULL)
        return fmi_error(-EINVAL, "dtype: NULL");
    *out = parse_name(text + (*text == '<' || *text == '='));
    if (*out != 0)
        return 0;
    return fmi_error(-EINVAL,
                     "'%.40s' is no dtype: f4 f8 i1 i2 i4 i8 u1 u2 u4 u8 c8 c16 b1, long names "
                     "such as float64, or V<bytes> for records of 1 to %u bytes",
                     text, FMI_DTYPE_MAX_STRUCT);
}

void fm_dtype_name(fm_dtype dtype, char *text, size_t cap)
{
    if (text == NULL || cap == 0)
        return;
    const struct dtype_name *name = find_dtype(dtype);
    if (name != NULL)
        snprintf(text, cap, "%s", name->brief);
    else if (fm_dtype_bytes(dtype) != 0)
        snprintf(text, cap, "V%zu", fm_dtype_bytes(dtype));
    else
        snprintf(text, cap, "?");
}

size_t fmi_dtype_swap_unit(fm_dtype dtype)
{
    size_t bytes = fm_dtype_bytes(dtype);
    switch (fmi_dtype_kind(dtype)) {
    case 'V':
        return 1;
    case 'c':
        return bytes / 2;
    default:
        return bytes;
    }
}

/* Through memcpy: the data of a file need not lie on a multiple of the unit. */
#define SWAP_ALL(type, swap)                                                                       \
    do {                                                                                           \
        for (size_t at = 0; at + sizeof(type) <= bytes; at += sizeof(type)) {                      \
            type value;                                                                            \
            memcpy(&value, p + at, sizeof value);                                                  \
            value = swap(value);                                                                   \
            memcpy(p + at, &value, sizeof value);                                                  \
        }                                                                                          \
    } while (0)

void fmi_dtype_swap(void *data, size_t bytes, size_t unit)
{
    char *p = data;
    switch (unit) {
    case 2:
        SWAP_ALL(uint16_t, __builtin_bswap16);
        break;
    case 4:
        SWAP_ALL(uint32_t, __builtin_bswap32);
        break;
    case 8:
        SWAP_ALL(uint64_t, __builtin_bswap64);
        break;
    default:
        break;
    }
}
