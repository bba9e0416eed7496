/* SPDX-License-Identifier: MIT */
/* Namespaces: dicts of few stripes, whose keys are names. There is no struct fm_namespace: a pointer to one is a pointer to a dict. */
#include "error.h"

#include <errno.h>
#include <forkmap/dict.h>
#include <forkmap/namespace.h>

enum { N_STRIPES = 4 };

static fm_dict *dict_of(fm_namespace *ns)
{
    return (fm_dict *)ns;
}

static int check_name(const char *name)
{
    return name == NULL ? fmi_error(-EINVAL, "the name is NULL") : 0;
}

int fm_namespace_create(fm_namespace **out)
{
    fm_dict *d;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    const int code = fm_dict_create(&d, FM_DICT_OPTS(.stripes = N_STRIPES));
    *out = (fm_namespace *)d;
    return code;
}

void fm_namespace_destroy(fm_namespace *ns)
{
    fm_dict_destroy(dict_of(ns));
}

int fm_namespace_set(fm_namespace *ns, const char *name, fm_bytes value, int64_t timeout)
{
    const int code = check_name(name);
    return code != 0 ? code : fm_dict_set(dict_of(ns), fm_text(name), value, timeout);
}

int fm_namespace_get(fm_namespace *ns, const char *name, fm_buf *buf, int64_t timeout)
{
    const int code = check_name(name);
    return code != 0 ? code : fm_dict_get(dict_of(ns), fm_text(name), buf, timeout);
}

int fm_namespace_delete(fm_namespace *ns, const char *name, int64_t timeout)
{
    const int code = check_name(name);
    return code != 0 ? code : fm_dict_delete(dict_of(ns), fm_text(name), timeout);
}

int fm_namespace_contains(fm_namespace *ns, const char *name, int64_t timeout)
{
    const int code = check_name(name);
    return code != 0 ? code : fm_dict_contains(dict_of(ns), fm_text(name), timeout);
}

int fm_namespace_items(fm_namespace *ns, fm_snapshot **out, int64_t timeout)
{
    return fm_dict_items(dict_of(ns), out, timeout);
}
