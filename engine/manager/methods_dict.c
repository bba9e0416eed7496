/* SPDX-License-Identifier: MIT */
/* Dicts by name; see methods.h. */
#include "methods.h"

#include "clock.h"
#include "error.h"

#include <errno.h>
#include <forkmap/dict.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 1024 }; /* most values are shorter */

static int give_get(void *d, const struct fmi_call *call, fm_buf *buf)
{
    return fm_dict_get(d, call->args[0], buf, call->timeout);
}

static int give_pop(void *d, const struct fmi_call *call, fm_buf *buf)
{
    return fm_dict_pop(d, call->args[0], buf, call->timeout);
}

static int dict_get(void *d, const struct fmi_call *call)
{
    return fmi_reply_value(d, call, give_get);
}

static int dict_pop(void *d, const struct fmi_call *call)
{
    return fmi_reply_value(d, call, give_pop);
}

static int dict_setdefault(void *d, const struct fmi_call *call)
{
    char few[FIRST_BYTES];
    fm_buf buf = fm_buf_of(few, sizeof few);
    int rc = fm_dict_setdefault(d, call->args[0], call->args[1], &buf, call->timeout);
    if (rc == 0) /* it was set: the value is the argument, however long */
        return fm_reply_add(call->reply, call->args[1]);
    if (rc == 1)
        return fm_reply_add(call->reply, fm_bytes_of(buf.data, buf.bytes));
    /* a long one was there */
    return rc == FM_ETOOLONG ? fmi_reply_value(d, call, give_get) : rc;
}

static int dict_popitem(void *d, const struct fmi_call *call)
{
    fm_buf key = fm_buf_of(NULL, 0), value = fm_buf_of(NULL, 0);
    void *k = NULL, *v = NULL;
    int rc = fm_dict_popitem(d, &key, &value, call->timeout);
    while (rc == FM_ETOOLONG && key.bytes < call->reply->most_bytes &&
           value.bytes <= call->reply->most_bytes - key.bytes) {
        free(k);
        free(v);
        key = fm_buf_of(k = malloc(key.bytes + 1), key.bytes + 1);
        value = fm_buf_of(v = malloc(value.bytes + 1), value.bytes + 1);
        rc = k == NULL || v == NULL ? -ENOMEM : fm_dict_popitem(d, &key, &value, call->timeout);
    }
    if (rc == 0)
        rc = fm_reply_add(call->reply, fm_bytes_of(key.data, key.bytes));
    if (rc == 0)
        rc = fm_reply_add(call->reply, fm_bytes_of(value.data, value.bytes));
    free(k);
    free(v);
    return rc;
}

static int dict_set(void *d, const struct fmi_call *call)
{
    return fm_dict_set(d, call->args[0], call->args[1], call->timeout);
}

static int dict_delete(void *d, const struct fmi_call *call)
{
    return fm_dict_delete(d, call->args[0], call->timeout);
}

static int dict_contains(void *d, const struct fmi_call *call)
{
    int rc = fm_dict_contains(d, call->args[0], call->timeout);
    return rc < 0 ? rc : fmi_reply_number(call->reply, rc);
}

static int dict_len(void *d, const struct fmi_call *call)
{
    int64_t n;
    int rc = fm_dict_len(d, &n, call->timeout);
    return rc != 0 ? rc : fmi_reply_number(call->reply, n);
}

static int dict_clear(void *d, const struct fmi_call *call)
{
    return fm_dict_clear(d, call->timeout);
}

/* Each pair is set once only: it may be that a slice of time ends in between, and all begins again, with the same values. */
static int dict_update(void *d, const struct fmi_call *call)
{
    if (call->n % 2 != 0)
        return fmi_error(-EINVAL, "update with a key and no value");
    for (int i = 0; i < call->n; i += 2) {
        int rc = fm_dict_set(d, call->args[i], call->args[i + 1], call->timeout);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int dict_add(void *d, const struct fmi_call *call)
{
    int64_t addend = 1, sum;
    int rc = 0;
    if (call->n == 2)
        rc = fmi_argument_integer(call->args[1], INT64_MIN, INT64_MAX, &addend);
    if (rc == 0)
        rc = fm_dict_add(d, call->args[0], addend, &sum, call->timeout);
    return rc != 0 ? rc : fmi_reply_number(call->reply, sum);
}

static int reply_all(const struct fmi_call *call, int rc, fm_snapshot *s)
{
    return rc != 0 ? rc : fmi_reply_snapshot(call->reply, s);
}

static int dict_keys(void *d, const struct fmi_call *call)
{
    fm_snapshot *s;
    int rc = fm_dict_keys(d, &s, call->timeout);
    return reply_all(call, rc, s);
}

static int dict_values(void *d, const struct fmi_call *call)
{
    fm_snapshot *s;
    int rc = fm_dict_values(d, &s, call->timeout);
    return reply_all(call, rc, s);
}

static int dict_items(void *d, const struct fmi_call *call)
{
    fm_snapshot *s;
    int rc = fm_dict_items(d, &s, call->timeout);
    return reply_all(call, rc, s);
}

static int create(void **out, const fm_bytes *args, int n)
{
    (void)args;
    (void)n;
    return fm_dict_create((fm_dict **)out, NULL);
}

static void destroy(void *d)
{
    fm_dict_destroy(d);
}

static const struct fmi_method methods[] = {
    {"get", 1, 1, FMI_METHOD_WAITS, dict_get},
    {"set", 2, 2, FMI_METHOD_WAITS, dict_set},
    {"delete", 1, 1, FMI_METHOD_WAITS, dict_delete},
    {"contains", 1, 1, FMI_METHOD_WAITS, dict_contains},
    {"len", 0, 0, FMI_METHOD_WAITS, dict_len},
    {"pop", 1, 1, FMI_METHOD_WAITS, dict_pop},
    {"popitem", 0, 0, FMI_METHOD_WAITS, dict_popitem},
    {"setdefault", 2, 2, FMI_METHOD_WAITS, dict_setdefault},
    {"update", 0, -1, FMI_METHOD_WAITS, dict_update},
    {"add", 1, 2, FMI_METHOD_WAITS, dict_add},
    {"keys", 0, 0, FMI_METHOD_WAITS, dict_keys},
    {"values", 0, 0, FMI_METHOD_WAITS, dict_values},
    {"items", 0, 0, FMI_METHOD_WAITS, dict_items},
    {"clear", 0, 0, FMI_METHOD_WAITS, dict_clear},
    {0},
};

const struct fmi_kind fmi_kind_dict = {"dict", 0, 0, create, destroy, methods};
