/* SPDX-License-Identifier: MIT */
/* Numbers as text, both ways: what methods take and give; see methods.h. */
#include "methods.h"

#include "error.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fmi_argument_text(fm_bytes arg, char *text, size_t cap)
{
    if (arg.bytes == 0 || arg.bytes >= cap || memchr(arg.data, '\0', arg.bytes) != NULL)
        return fmi_error(-EINVAL, "an argument of %zu bytes; a text of 1 to %zu was expected",
                         arg.bytes, cap - 1);
    memcpy(text, arg.data, arg.bytes);
    text[arg.bytes] = '\0';
    return 0;
}

static int refuse(const char *text, const char *what)
{
    return fmi_error(-EINVAL, "\"%s\" is no %s", text, what);
}

int fmi_argument_integer(fm_bytes arg, int64_t least, int64_t most, int64_t *out)
{
    char text[32], *end;
    int rc = fmi_argument_text(arg, text, sizeof text);
    if (rc != 0)
        return rc;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || isspace((unsigned char)text[0]))
        return refuse(text, "integer");
    if (*out < least || *out > most)
        return fmi_error(-EINVAL, "%s; it may be %" PRId64 " to %" PRId64, text, least, most);
    return 0;
}

static int put_integer(int64_t number, size_t bytes, void *out)
{
    const int8_t i1 = (int8_t)number;
    const int16_t i2 = (int16_t)number;
    const int32_t i4 = (int32_t)number;
    switch (bytes) {
    case 1:
        memcpy(out, &i1, 1);
        return 0;
    case 2:
        memcpy(out, &i2, 2);
        return 0;
    case 4:
        memcpy(out, &i4, 4);
        return 0;
    default:
        memcpy(out, &number, 8);
        return 0;
    }
}

static int read_unsigned(fm_bytes arg, size_t bytes, void *out)
{
    char text[32], *end;
    int rc = fmi_argument_text(arg, text, sizeof text);
    if (rc != 0)
        return rc;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || !isdigit((unsigned char)text[0]))
        return refuse(text, "integer of 0 or more");
    if (bytes < 8 && number >> (8 * bytes) != 0)
        return fmi_error(-EINVAL, "%s does not fit into %zu bytes", text, bytes);
    return put_integer((int64_t)number, bytes, out);
}

/* Floats, and as many of them as a complex number has. */
static int read_floats(fm_bytes arg, size_t each, int n, void *out)
{
    char text[80], *at = text;
    int rc = fmi_argument_text(arg, text, sizeof text);
    for (int i = 0; rc == 0 && i < n; i++) {
        char *end;
        const double number = strtod(at, &end);
        const float single = (float)number;
        if (end == at || isspace((unsigned char)*at) || *end != (i + 1 < n ? ',' : '\0'))
            return refuse(text, n == 1 ? "number" : "complex number, as 1.5,-2");
        memcpy((char *)out + (size_t)i * each, each == 8 ? (const void *)&number : &single, each);
        at = end + 1;
    }
    return rc;
}

int fmi_argument_element(fm_bytes arg, fm_dtype dtype, void *out)
{
    const size_t bytes = fm_dtype_bytes(dtype);
    int64_t number;
    switch (dtype >> 24) {
    case 'b':
    case 'i': {
        const int64_t most = dtype >> 24 == 'b' ? 1 : (int64_t)(UINT64_MAX >> (65 - 8 * bytes));
        int rc = fmi_argument_integer(arg, dtype >> 24 == 'b' ? 0 : -most - 1, most, &number);
        return rc != 0 ? rc : put_integer(number, bytes, out);
    }
    case 'u':
        return read_unsigned(arg, bytes, out);
    case 'f':
        return read_floats(arg, bytes, 1, out);
    case 'c':
        return read_floats(arg, bytes / 2, 2, out);
    default:
        if (arg.bytes != bytes)
            return fmi_error(-EINVAL, "%zu bytes for a record of %zu", arg.bytes, bytes);
        memcpy(out, arg.data, bytes);
        return 0;
    }
}

static int64_t get_integer(size_t bytes, const void *element)
{
    int8_t i1;
    int16_t i2;
    int32_t i4;
    int64_t i8;
    switch (bytes) {
    case 1:
        memcpy(&i1, element, 1);
        return i1;
    case 2:
        memcpy(&i2, element, 2);
        return i2;
    case 4:
        memcpy(&i4, element, 4);
        return i4;
    default:
        memcpy(&i8, element, 8);
        return i8;
    }
}

static double get_float(size_t bytes, const void *element)
{
    double d;
    float f;
    if (bytes == 8) {
        memcpy(&d, element, 8);
        return d;
    }
    memcpy(&f, element, 4);
    return (double)f;
}

/* 9 digits tell all floats apart, 17 all doubles. */
static int reply_floats(fm_reply *reply, size_t each, int n, const void *element)
{
    char text[80];
    const int digits = each == 4 ? 9 : 17;
    int length = snprintf(text, sizeof text, "%.*g", digits, get_float(each, element));
    if (n == 2)
        snprintf(text + length, sizeof text - (size_t)length, ",%.*g", digits,
                 get_float(each, (const char *)element + each));
    return fmi_reply_text(reply, text);
}

int fmi_reply_element(fm_reply *reply, fm_dtype dtype, const void *element)
{
    const size_t bytes = fm_dtype_bytes(dtype);
    char text[32];
    switch (dtype >> 24) {
    case 'b':
    case 'i':
        return fmi_reply_number(reply, get_integer(bytes, element));
    case 'u':
        snprintf(text, sizeof text, "%" PRIu64,
                 (uint64_t)get_integer(bytes, element) &
                     (bytes == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * bytes) - 1));
        return fmi_reply_text(reply, text);
    case 'f':
        return reply_floats(reply, bytes, 1, element);
    case 'c':
        return reply_floats(reply, bytes / 2, 2, element);
    default:
        return fm_reply_add(reply, fm_bytes_of(element, bytes));
    }
}
