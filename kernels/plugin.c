/* SPDX-License-Identifier: MIT */

/*
 * Checks the table of kernels that a library exports: an entry that is not complete would be a crash
 * later, in another place.
 */

#include "plugin.h"

#include "params.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Where in a library a check is, for the messages. */
struct place {
    const char *path;
    const struct fmk_kernel *kernel;
};

static int refuse(const struct place *at, const char *what)
{
    return fmk_error(-EINVAL, "%s: kernel %s: %s", at->path, at->kernel->name, what);
}

/* The name is a word on the command line: PATH.so:SYMBOL and options must stay recognisable. */
static int check_name(const struct place *at, uint32_t index)
{
    const char *name = at->kernel->name;
    if (name == NULL || *name == '\0')
        return fmk_error(-EINVAL, "%s: kernel number %" PRIu32 " has no name", at->path, index);
    for (const char *c = name; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_' && (*c != '-' || c == name))
            return fmk_error(-EINVAL,
                             "%s: the name \"%.40s\": only letters, digits, _ and - are allowed",
                             at->path, name);
    return 0;
}

static int check_texts(const struct place *at)
{
    const struct fmk_kernel *k = at->kernel;
    if (k->summary == NULL)
        return refuse(at, "no summary");
    if (k->source == NULL)
        return refuse(at, "no source");
    if (k->cost == NULL)
        return refuse(at, "no cost");
    return k->result == NULL ? refuse(at, "no result") : 0;
}

static int check_functions(const struct place *at)
{
    const struct fmk_kernel *k = at->kernel;
    if (k->range == NULL)
        return refuse(at, "range is NULL");
    if (k->bind == NULL)
        return refuse(at, "bind is NULL");
    if (k->verify == NULL)
        return refuse(at, "verify is NULL; without a reference it returns 2");
    if (k->n_columns > 0 && k->default_input == NULL)
        return refuse(at, "it has columns, and default_input is NULL");
    return k->grain < 1 ? refuse(at, "grain is below 1") : 0;
}

static int check_column(const struct place *at, const struct fmk_column *c)
{
    if (c->name == NULL)
        return refuse(at, "a column has no name");
    if (fm_dtype_bytes(c->dtype) == 0)
        return refuse(at, "a column's dtype is none");
    if (c->row_ndim < 0 || c->row_ndim > 2)
        return refuse(at, "a column's row_ndim is not 0, 1 or 2");
    for (int k = 0; k < c->row_ndim; k++)
        if (c->row_shape[k] < 0)
            return refuse(at, "a column's row_shape is negative");
    return 0;
}

static int check_columns(const struct place *at)
{
    const int n = at->kernel->n_columns;
    if (n < 0 || n > FMK_MAX_COLUMNS)
        return refuse(at, "n_columns is not 0 to 4");
    int e = 0;
    for (int k = 0; e == 0 && k < n; k++)
        e = check_column(at, &at->kernel->columns[k]);
    return e;
}

static int check_params(const struct place *at)
{
    const struct fmk_param *params = at->kernel->params;
    if (params[FMK_MAX_PARAMS - 1].key != NULL)
        return refuse(at, "more than 7 parameters; the last entry must be the end");
    for (int k = 0; params[k].key != NULL; k++) {
        if (params[k].value == NULL)
            return refuse(at, "a parameter has no default value");
        for (int other = 0; other < k; other++)
            if (strcmp(params[other].key, params[k].key) == 0)
                return refuse(at, "two parameters have the same key");
    }
    return 0;
}

static int check_is_new(const struct place *at, const struct fmk_plugin *plugin, uint32_t index)
{
    const struct fmk_kernel *known = fmk_find(at->kernel->name);
    if (known != NULL && fmk_origin(known) == NULL)
        return refuse(at, "a kernel that comes with forkmap has this name; choose another");
    if (known != NULL)
        return fmk_error(-EINVAL, "%s: kernel %s: %s was loaded before and has this name", at->path,
                         at->kernel->name, fmk_origin(known));
    for (uint32_t k = 0; k < index; k++)
        if (strcmp(plugin->kernels[k]->name, at->kernel->name) == 0)
            return refuse(at, "two kernels of the table have this name");
    return 0;
}

static int check_entry(const struct fmk_plugin *plugin, const char *path, uint32_t index)
{
    const struct place at = {path, plugin->kernels[index]};
    if (at.kernel == NULL)
        return fmk_error(-EINVAL, "%s: kernel number %" PRIu32 " is NULL", path, index);
    int e = check_name(&at, index);
    if (e == 0)
        e = check_texts(&at);
    if (e == 0)
        e = check_columns(&at);
    if (e == 0)
        e = check_functions(&at);
    if (e == 0)
        e = check_params(&at);
    return e == 0 ? check_is_new(&at, plugin, index) : e;
}

int fmk_plugin_check(const struct fmk_plugin *plugin, const char *path)
{
    fmk_error_clear();
    if (plugin->version != FMK_PLUGIN_VERSION)
        return fmk_error(-EINVAL, "%s: its table is of version %" PRIu32 ", this forkmap reads %d",
                         path, plugin->version, FMK_PLUGIN_VERSION);
    if (plugin->kernel_bytes != sizeof(struct fmk_kernel) ||
        plugin->problem_bytes != sizeof(struct fmk_problem))
        return fmk_error(-EINVAL,
                         "%s: its entries and problems have %" PRIu32 " and %" PRIu32
                         " bytes, here they have %zu and %zu",
                         path, plugin->kernel_bytes, plugin->problem_bytes,
                         sizeof(struct fmk_kernel), sizeof(struct fmk_problem));
    if (plugin->n_kernels == 0 || plugin->n_kernels > FMK_MOST_LOADED || plugin->kernels == NULL)
        return fmk_error(-EINVAL, "%s: its table has %" PRIu32 " kernels", path, plugin->n_kernels);
    int e = 0;
    for (uint32_t k = 0; e == 0 && k < plugin->n_kernels; k++)
        e = check_entry(plugin, path, k);
    return e;
}
