/* SPDX-License-Identifier: MIT */
/* The start methods by name, and the one that is the default. */
#include "error.h"
#include "launch.h"

#include <errno.h>

static _Atomic int chosen; /* 0: none yet. Private to the process; children inherit it */

static int check_method(int method)
{
    if (method >= FM_FORK && method <= FM_FORKSERVER)
        return 0;
    return fmi_error(-EINVAL, "%d is no start method; there are FM_FORK, FM_SPAWN, FM_FORKSERVER",
                     method);
}

int fmi_context_method(const fm_context *context)
{
    if (context == NULL)
        return fm_get_start_method();
    if (context->struct_size != sizeof *context)
        return fmi_error(-EINVAL, "the context was not made by fm_get_context()");
    int rc = check_method(context->method);
    return rc != 0 ? rc : context->method;
}

int fm_get_context(int method, fm_context *context)
{
    if (context == NULL)
        return fmi_error(-EINVAL, "context is NULL");
    *context = (fm_context){.struct_size = sizeof *context,
                            .method = method == 0 ? fm_get_start_method() : method};
    return check_method(context->method);
}

int fm_set_start_method(int method, int force)
{
    int none = 0, rc = check_method(method);
    if (rc != 0)
        return rc;
    if (force)
        atomic_store(&chosen, method);
    else if (!atomic_compare_exchange_strong(&chosen, &none, method))
        return fmi_error(-EALREADY, "the start method is set already, to %s",
                         fm_start_method_name(none));
    return 0;
}

int fm_get_start_method(void)
{
    int method = atomic_load(&chosen);
    return method == 0 ? FM_FORK : method;
}

const int *fm_all_start_methods(void)
{
    static const int all[] = {FM_FORK, FM_SPAWN, FM_FORKSERVER, 0};
    return all;
}

const char *fm_start_method_name(int method)
{
    static const char *const names[] = {"?", "fork", "spawn", "forkserver"};
    return names[method >= FM_FORK && method <= FM_FORKSERVER ? method : 0];
}
