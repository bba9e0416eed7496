/* SPDX-License-Identifier: MIT */
/* Values and arrays by name; see methods.h. */
#include "methods.h"

#include "error.h"

#include <errno.h>
#include <forkmap/array.h>
#include <forkmap/value.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENT_BYTES = 16, TEXT_BYTES = 256 };

static int read_dtype(fm_bytes arg, fm_dtype *out)
{
    char text[32];
    int rc = fmi_argument_text(arg, text, sizeof text);
    return rc != 0 ? rc : fm_dtype_parse(text, out);
}

/* Room for one element: its own, or for a record memory to be freed. */
static void *element_room(fm_dtype dtype, void *few)
{
    return fm_dtype_bytes(dtype) <= ELEMENT_BYTES ? few : malloc(fm_dtype_bytes(dtype));
}

static void give_back(void *room, const void *few)
{
    if (room != few)
        free(room);
}

/* ---- values -------------------------------------------------------------------------------------------- */

static int value_get(void *v, const struct fmi_call *call)
{
    _Alignas(16) char few[ELEMENT_BYTES];
    const fm_dtype dtype = fm_value_dtype(v);
    void *room = element_room(dtype, few);
    if (room == NULL)
        return fmi_error(-ENOMEM, "no memory for an element");
    int rc = fm_value_get(v, room);
    if (rc == 0 || rc == FM_EOWNERDEAD) {
        int reply_rc = fmi_reply_element(call->reply, dtype, room);
        rc = reply_rc != 0 ? reply_rc : rc;
    }
    give_back(room, few);
    return rc;
}

static int value_set(void *v, const struct fmi_call *call)
{
    _Alignas(16) char few[ELEMENT_BYTES];
    const fm_dtype dtype = fm_value_dtype(v);
    void *room = element_room(dtype, few);
    if (room == NULL)
        return fmi_error(-ENOMEM, "no memory for an element");
    int rc = fmi_argument_element(call->args[0], dtype, room);
    if (rc == 0)
        rc = fm_value_set(v, room);
    give_back(room, few);
    return rc;
}

static int value_add(void *v, const struct fmi_call *call)
{
    _Alignas(16) char addend[ELEMENT_BYTES] = {0}, old[ELEMENT_BYTES] = {0};
    const fm_dtype dtype = fm_value_dtype(v);
    if (fm_dtype_bytes(dtype) > ELEMENT_BYTES)
        return fmi_error(-EINVAL, "records cannot be added");
    int rc = fmi_argument_element(call->args[0], dtype, addend);
    if (rc == 0)
        rc = fm_value_add(v, addend, old);
    if (rc == 0 || rc == FM_EOWNERDEAD) {
        int reply_rc = fmi_reply_element(call->reply, dtype, old);
        rc = reply_rc != 0 ? reply_rc : rc;
    }
    return rc;
}

static int create_value(void **out, const fm_bytes *args, int n)
{
    _Alignas(16) char few[ELEMENT_BYTES];
    fm_dtype dtype;
    int rc = read_dtype(args[0], &dtype);
    if (rc != 0)
        return rc;
    void *room = element_room(dtype, few);
    if (room == NULL)
        return fmi_error(-ENOMEM, "no memory for an element");
    if (n == 2)
        rc = fmi_argument_element(args[1], dtype, room);
    if (rc == 0)
        rc = fm_value_create((fm_value **)out, dtype, n == 2 ? room : NULL, FM_LOCKED);
    give_back(room, few);
    return rc;
}

static void destroy_value(void *v)
{
    fm_value_destroy(v);
}

static const struct fmi_method value_methods[] = {
    {"get", 0, 0, 0, value_get}, {"set", 1, 1, 0, value_set}, {"add", 1, 1, 0, value_add}, {0}};

const struct fmi_kind fmi_kind_value = {"value", 1, 2, create_value, destroy_value, value_methods};

/* ---- arrays -------------------------------------------------------------------------------------------- */

/* The lengths in "1000,1000". Returns how many; -EINVAL. */
static int read_shape(fm_bytes arg, int64_t shape[FM_MAX_DIMS])
{
    const char *at = arg.data, *end = at + arg.bytes;
    int n = 0;
    while (at <= end && n < FM_MAX_DIMS) {
        const char *comma = at < end ? memchr(at, ',', (size_t)(end - at)) : NULL;
        const char *stop = comma != NULL ? comma : end;
        int rc =
            fmi_argument_integer(fm_bytes_of(at, (size_t)(stop - at)), 0, INT64_MAX, &shape[n++]);
        if (rc != 0)
            return rc;
        if (comma == NULL)
            return n;
        at = comma + 1;
    }
    return fmi_error(-EINVAL, "more than %d lengths", FM_MAX_DIMS);
}

/* The element at the indices that are the first arguments. */
static int find_element(fm_array *a, const struct fmi_call *call, int n, void **out)
{
    int64_t index[FM_MAX_DIMS];
    if (n != fm_array_ndim(a))
        return fmi_error(-EINVAL, "%d indices for an array of %d axes", n, fm_array_ndim(a));
    for (int i = 0; i < n; i++) {
        int rc = fmi_argument_integer(call->args[i], 0, fm_array_shape(a)[i] - 1, &index[i]);
        if (rc != 0)
            return rc;
    }
    *out = fm_array_at(a, n, index);
    return *out == NULL ? fmi_error(-EINVAL, "no such element") : 0;
}

static int array_get(void *a, const struct fmi_call *call)
{
    void *element;
    int rc = find_element(a, call, call->n, &element);
    return rc != 0 ? rc : fmi_reply_element(call->reply, fm_array_dtype(a), element);
}

static int array_set(void *a, const struct fmi_call *call)
{
    void *element;
    int rc = find_element(a, call, call->n - 1, &element);
    return rc != 0 ? rc : fmi_argument_element(call->args[call->n - 1], fm_array_dtype(a), element);
}

/* [first, first + n) elements of it, in C order. */
static int array_read(void *a, const struct fmi_call *call)
{
    const size_t each = fm_dtype_bytes(fm_array_dtype(a));
    int64_t first = 0, n = fm_array_count(a);
    if (call->n == 1)
        return fmi_error(-EINVAL, "read with a first element and no number of elements");
    int rc = call->n == 0 ? 0 : fmi_argument_integer(call->args[0], 0, n, &first);
    if (rc == 0 && call->n == 2)
        rc = fmi_argument_integer(call->args[1], 0, fm_array_count(a) - first, &n);
    if (rc == 0 && (uint64_t)n * each > call->reply->most_bytes)
        rc =
            fmi_error(FM_ETOOLONG, "%" PRId64 " elements of %zu bytes; read some of them", n, each);
    if (rc != 0)
        return rc;
    void *room = fmi_reply_room(call->reply, (size_t)n * each);
    if (room == NULL)
        return -ENOMEM;
    if (n > 0)
        memcpy(room, (const char *)fm_array_data(a) + (size_t)first * each, (size_t)n * each);
    return 0;
}

static int array_write(void *a, const struct fmi_call *call)
{
    const size_t each = fm_dtype_bytes(fm_array_dtype(a));
    int64_t first;
    int rc = fmi_argument_integer(call->args[0], 0, fm_array_count(a), &first);
    if (rc != 0)
        return rc;
    const fm_bytes from = call->args[1];
    if (from.bytes % each != 0 || from.bytes / each > (uint64_t)(fm_array_count(a) - first))
        return fmi_error(-EINVAL, "%zu bytes at element %" PRId64 " of %" PRId64, from.bytes, first,
                         fm_array_count(a));
    if (from.bytes > 0)
        memcpy((char *)fm_array_data(a) + (size_t)first * each, from.data, from.bytes);
    return 0;
}

static int array_shape(void *a, const struct fmi_call *call)
{
    int rc = 0;
    for (int i = 0; i < fm_array_ndim(a) && rc == 0; i++)
        rc = fmi_reply_number(call->reply, fm_array_shape(a)[i]);
    return rc;
}

static int array_dtype(void *a, const struct fmi_call *call)
{
    char text[32];
    fm_dtype_name(fm_array_dtype(a), text, sizeof text);
    return fmi_reply_text(call->reply, text);
}

static int create_array(void **out, const fm_bytes *args, int n)
{
    fm_dtype dtype = 0;
    int64_t shape[FM_MAX_DIMS] = {0};
    (void)n;
    int rc = read_dtype(args[0], &dtype);
    int ndim = rc == 0 ? read_shape(args[1], shape) : rc;
    return ndim < 0 ? ndim : fm_array_zeros((fm_array **)out, dtype, ndim, shape);
}

static void destroy_array(void *a)
{
    fm_array_destroy(a);
}

static const struct fmi_method array_methods[] = {
    {"get", 1, FM_MAX_DIMS, 0, array_get},
    {"set", 2, FM_MAX_DIMS + 1, 0, array_set},
    {"read", 0, 2, 0, array_read},
    {"write", 2, 2, 0, array_write},
    {"shape", 0, 0, 0, array_shape},
    {"dtype", 0, 0, 0, array_dtype},
    {0},
};

const struct fmi_kind fmi_kind_array = {"array", 2, 2, create_array, destroy_array, array_methods};
