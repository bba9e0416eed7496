/* SPDX-License-Identifier: MIT */

/* The table of kernels: the shipped ones, and behind them those of libraries that were loaded. */

#include "kernel_list.h"
#include "params.h"
#include "plugin.h"

#include <errno.h>
#include <string.h>

#define ONE_MORE(name) +1
enum { N_SHIPPED = 0 FMK_KERNEL_LIST(ONE_MORE), CAPACITY = N_SHIPPED + FMK_MOST_LOADED };
#undef ONE_MORE

static const struct fmk_kernel *table[CAPACITY] = {
#define POINTER(name) &fmk_kernel_##name,
    FMK_KERNEL_LIST(POINTER)
#undef POINTER
};
static const char *origins[CAPACITY]; /* of loaded kernels: the library's path */
static int n_table = N_SHIPPED;

const struct fmk_kernel *const *fmk_kernels(int *n)
{
    *n = n_table;
    return table;
}

const struct fmk_kernel *fmk_find(const char *name)
{
    for (int k = 0; name != NULL && k < n_table; k++)
        if (strcmp(table[k]->name, name) == 0)
            return table[k];
    return NULL;
}

const char *fmk_origin(const struct fmk_kernel *kernel)
{
    for (int k = N_SHIPPED; k < n_table; k++)
        if (table[k] == kernel)
            return origins[k];
    return NULL;
}

int fmk_plugin_add(const struct fmk_plugin *plugin, const char *path)
{
    const int e = fmk_plugin_check(plugin, path);
    if (e != 0)
        return e;
    if (plugin->n_kernels > (uint32_t)(CAPACITY - n_table))
        return fmk_error(-ENOSPC, "%s: with its kernels there are more than %d of libraries", path,
                         FMK_MOST_LOADED);
    for (uint32_t k = 0; k < plugin->n_kernels; k++) {
        table[n_table] = plugin->kernels[k];
        origins[n_table++] = path;
    }
    return 0;
}
