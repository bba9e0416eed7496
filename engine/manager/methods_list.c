/* SPDX-License-Identifier: MIT */
/* Lists and namespaces by name; see methods.h. */
#include "methods.h"

#include "error.h"

#include <forkmap/list.h>
#include <forkmap/namespace.h>
#include <stddef.h>

static int read_index(const struct fmi_call *call, int64_t *i)
{
    return fmi_argument_integer(call->args[0], INT64_MIN, INT64_MAX, i);
}

static int reply_if(const struct fmi_call *call, int rc, int64_t number)
{
    return rc < 0 ? rc : fmi_reply_number(call->reply, number);
}

/* ---- lists --------------------------------------------------------------------------------------------- */

static int list_append(void *l, const struct fmi_call *call)
{
    return fm_list_append(l, call->args[0], call->timeout);
}

static int list_extend(void *l, const struct fmi_call *call)
{
    return fm_list_extend(l, call->args, call->n, call->timeout);
}

static int list_insert(void *l, const struct fmi_call *call)
{
    int64_t i;
    int rc = read_index(call, &i);
    return rc != 0 ? rc : fm_list_insert(l, i, call->args[1], call->timeout);
}

static int give_item(void *l, const struct fmi_call *call, fm_buf *buf)
{
    int64_t i;
    int rc = read_index(call, &i);
    return rc != 0 ? rc : fm_list_get(l, i, buf, call->timeout);
}

static int give_popped(void *l, const struct fmi_call *call, fm_buf *buf)
{
    int64_t i = -1;
    int rc = call->n == 0 ? 0 : read_index(call, &i);
    return rc != 0 ? rc : fm_list_pop(l, i, buf, call->timeout);
}

static int list_get(void *l, const struct fmi_call *call)
{
    return fmi_reply_value(l, call, give_item);
}

static int list_pop(void *l, const struct fmi_call *call)
{
    return fmi_reply_value(l, call, give_popped);
}

static int list_set(void *l, const struct fmi_call *call)
{
    int64_t i;
    int rc = read_index(call, &i);
    return rc != 0 ? rc : fm_list_set(l, i, call->args[1], call->timeout);
}

static int list_delete(void *l, const struct fmi_call *call)
{
    int64_t i;
    int rc = read_index(call, &i);
    return rc != 0 ? rc : fm_list_delete(l, i, call->timeout);
}

static int list_remove(void *l, const struct fmi_call *call)
{
    return fm_list_remove(l, call->args[0], call->timeout);
}

static int list_index(void *l, const struct fmi_call *call)
{
    int64_t i;
    int rc = fm_list_index(l, call->args[0], &i, call->timeout);
    return reply_if(call, rc, i);
}

static int list_count(void *l, const struct fmi_call *call)
{
    int64_t n;
    int rc = fm_list_count(l, call->args[0], &n, call->timeout);
    return reply_if(call, rc, n);
}

static int list_contains(void *l, const struct fmi_call *call)
{
    int rc = fm_list_contains(l, call->args[0], call->timeout);
    return reply_if(call, rc, rc);
}

static int list_len(void *l, const struct fmi_call *call)
{
    int64_t n;
    int rc = fm_list_len(l, &n, call->timeout);
    return reply_if(call, rc, n);
}

static int list_sort(void *l, const struct fmi_call *call)
{
    return fm_list_sort(l, NULL, NULL, call->timeout);
}

static int list_reverse(void *l, const struct fmi_call *call)
{
    return fm_list_reverse(l, call->timeout);
}

static int list_clear(void *l, const struct fmi_call *call)
{
    return fm_list_clear(l, call->timeout);
}

static int list_slice(void *l, const struct fmi_call *call)
{
    int64_t begin = 0, end = INT64_MAX;
    fm_snapshot *s;
    int rc = call->n < 1 ? 0 : read_index(call, &begin);
    if (rc == 0 && call->n == 2)
        rc = fmi_argument_integer(call->args[1], INT64_MIN, INT64_MAX, &end);
    if (rc == 0)
        rc = fm_list_slice(l, begin, end, &s, call->timeout);
    return rc != 0 ? rc : fmi_reply_snapshot(call->reply, s);
}

static int create_list(void **out, const fm_bytes *args, int n)
{
    (void)args;
    (void)n;
    return fm_list_create((fm_list **)out);
}

static void destroy_list(void *l)
{
    fm_list_destroy(l);
}

static const struct fmi_method list_methods[] = {
    {"append", 1, 1, FMI_METHOD_WAITS, list_append},
    {"extend", 0, -1, FMI_METHOD_WAITS, list_extend},
    {"insert", 2, 2, FMI_METHOD_WAITS, list_insert},
    {"get", 1, 1, FMI_METHOD_WAITS, list_get},
    {"set", 2, 2, FMI_METHOD_WAITS, list_set},
    {"pop", 0, 1, FMI_METHOD_WAITS, list_pop},
    {"delete", 1, 1, FMI_METHOD_WAITS, list_delete},
    {"remove", 1, 1, FMI_METHOD_WAITS, list_remove},
    {"index", 1, 1, FMI_METHOD_WAITS, list_index},
    {"count", 1, 1, FMI_METHOD_WAITS, list_count},
    {"contains", 1, 1, FMI_METHOD_WAITS, list_contains},
    {"len", 0, 0, FMI_METHOD_WAITS, list_len},
    {"sort", 0, 0, FMI_METHOD_WAITS, list_sort},
    {"reverse", 0, 0, FMI_METHOD_WAITS, list_reverse},
    {"slice", 0, 2, FMI_METHOD_WAITS, list_slice},
    {"clear", 0, 0, FMI_METHOD_WAITS, list_clear},
    {0},
};

const struct fmi_kind fmi_kind_list = {"list", 0, 0, create_list, destroy_list, list_methods};

/* ---- namespaces ---------------------------------------------------------------------------------------- */

enum { NAME_BYTES = 1024 };

static int give_attribute(void *ns, const struct fmi_call *call, fm_buf *buf)
{
    char name[NAME_BYTES];
    int rc = fmi_argument_text(call->args[0], name, sizeof name);
    return rc != 0 ? rc : fm_namespace_get(ns, name, buf, call->timeout);
}

static int namespace_get(void *ns, const struct fmi_call *call)
{
    return fmi_reply_value(ns, call, give_attribute);
}

static int namespace_set(void *ns, const struct fmi_call *call)
{
    char name[NAME_BYTES];
    int rc = fmi_argument_text(call->args[0], name, sizeof name);
    return rc != 0 ? rc : fm_namespace_set(ns, name, call->args[1], call->timeout);
}

static int namespace_delete(void *ns, const struct fmi_call *call)
{
    char name[NAME_BYTES];
    int rc = fmi_argument_text(call->args[0], name, sizeof name);
    return rc != 0 ? rc : fm_namespace_delete(ns, name, call->timeout);
}

static int namespace_contains(void *ns, const struct fmi_call *call)
{
    char name[NAME_BYTES];
    int rc = fmi_argument_text(call->args[0], name, sizeof name);
    if (rc == 0)
        rc = fm_namespace_contains(ns, name, call->timeout);
    return reply_if(call, rc, rc);
}

static int namespace_items(void *ns, const struct fmi_call *call)
{
    fm_snapshot *s;
    int rc = fm_namespace_items(ns, &s, call->timeout);
    return rc != 0 ? rc : fmi_reply_snapshot(call->reply, s);
}

static int create_namespace(void **out, const fm_bytes *args, int n)
{
    (void)args;
    (void)n;
    return fm_namespace_create((fm_namespace **)out);
}

static void destroy_namespace(void *ns)
{
    fm_namespace_destroy(ns);
}

static const struct fmi_method namespace_methods[] = {
    {"get", 1, 1, FMI_METHOD_WAITS, namespace_get},
    {"set", 2, 2, FMI_METHOD_WAITS, namespace_set},
    {"delete", 1, 1, FMI_METHOD_WAITS, namespace_delete},
    {"contains", 1, 1, FMI_METHOD_WAITS, namespace_contains},
    {"items", 0, 0, FMI_METHOD_WAITS, namespace_items},
    {0},
};

const struct fmi_kind fmi_kind_namespace = {
    "namespace", 0, 0, create_namespace, destroy_namespace, namespace_methods};
