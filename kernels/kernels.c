/* SPDX-License-Identifier: MIT */

/* How a problem of a kernel comes and goes. */

#include "kernels.h"

#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_shape(char *text, size_t cap, const fm_array *a)
{
    size_t used = 0;
    for (int k = 0; k < fm_array_ndim(a) && used < cap; k++)
        used += (size_t)snprintf(text + used, cap - used, "%s%" PRId64, k == 0 ? "" : " x ",
                                 fm_array_shape(a)[k]);
}

static int refuse_column(const struct fmk_kernel *kernel, const struct fmk_column *want,
                         const fm_array *a)
{
    char shape[128] = "", rows[64] = "", has[16], needs[16];
    print_shape(shape, sizeof shape, a);
    fm_dtype_name(fm_array_dtype(a), has, sizeof has);
    fm_dtype_name(want->dtype, needs, sizeof needs);
    for (int k = 0; k < want->row_ndim; k++) {
        const size_t used = strlen(rows);
        if (want->row_shape[k] == FMK_ANY_LENGTH)
            snprintf(rows + used, sizeof rows - used, " x any");
        else
            snprintf(rows + used, sizeof rows - used, " x %" PRId64, want->row_shape[k]);
    }
    return fmk_error(-EINVAL, "%s: column %s is %s of shape %s; %s of shape n%s is needed",
                     kernel->name, want->name, has, shape, needs, rows);
}

static int check_column(const struct fmk_kernel *kernel, const struct fmk_column *want,
                        const fm_array *a)
{
    if (fm_array_dtype(a) != want->dtype || fm_array_ndim(a) != 1 + want->row_ndim)
        return refuse_column(kernel, want, a);
    for (int k = 0; k < want->row_ndim; k++)
        if (want->row_shape[k] != FMK_ANY_LENGTH && fm_array_shape(a)[1 + k] != want->row_shape[k])
            return refuse_column(kernel, want, a);
    return 0;
}

static int check_columns(const struct fmk_problem *p)
{
    const struct fmk_kernel *kernel = p->kernel;
    for (int k = 0; k < kernel->n_columns; k++) {
        if (p->columns[k] == NULL)
            return fmk_error(-EINVAL, "%s: column %s is NULL", kernel->name,
                             kernel->columns[k].name);
        const int e = check_column(kernel, &kernel->columns[k], p->columns[k]);
        if (e != 0)
            return e;
        if (fm_array_len(p->columns[k]) != fm_array_len(p->columns[0]))
            return fmk_error(-EINVAL, "%s: column %s has %" PRId64 " rows, column %s has %" PRId64,
                             kernel->name, kernel->columns[k].name, fm_array_len(p->columns[k]),
                             kernel->columns[0].name, fm_array_len(p->columns[0]));
    }
    return 0;
}

static int take_columns(struct fmk_problem *p, const struct fmk_param *params,
                        fm_array *const *columns, int n_columns)
{
    const struct fmk_kernel *kernel = p->kernel;
    const int given = columns == NULL ? 0 : n_columns;
    if (given != 0 || kernel->n_columns == 0) {
        if (given != kernel->n_columns)
            return fmk_error(-EINVAL, "%s takes %d columns, not %d", kernel->name,
                             kernel->n_columns, given);
        for (int k = 0; k < given; k++)
            p->columns[k] = columns[k];
    } else {
        p->owns_columns = 1;
        const int e = kernel->default_input(params, p->columns);
        if (e != 0)
            return e;
    }
    return check_columns(p);
}

/* A kernel of the user's own may have forgotten something. */
static int check_result(const struct fmk_problem *p)
{
    if (p->out == NULL || p->ctx == NULL)
        return fmk_error(-EINVAL, "%s: its bind made no %s", p->kernel->name,
                         p->out == NULL ? "out" : "ctx");
    if (fm_array_len(p->out) != p->n)
        return fmk_error(-EINVAL,
                         "%s: its bind made a result of %" PRId64 " rows for %" PRId64 " items",
                         p->kernel->name, fm_array_len(p->out), p->n);
    return 0;
}

static int build_problem(struct fmk_problem *p, const struct fmk_param *user,
                         fm_array *const *columns, int n_columns)
{
    struct fmk_param params[FMK_MAX_PARAMS];
    int e = fmk_params_merge(p->kernel, user, params);
    if (e == 0)
        e = take_columns(p, params, columns, n_columns);
    if (e == 0 && p->kernel->n_columns > 0)
        p->n = fm_array_len(p->columns[0]);
    else if (e == 0 && fmk_param_text(params, "n") != NULL)
        e = fmk_param_int(params, "n", 0, INT32_MAX, &p->n);
    if (e == 0)
        e = p->kernel->bind(p, params);
    return e == 0 ? check_result(p) : e;
}

int fmk_prepare(struct fmk_problem *p, const struct fmk_kernel *kernel,
                const struct fmk_param *params, fm_array *const *columns, int n_columns)
{
    fmk_error_clear();
    memset(p, 0, sizeof *p);
    if (kernel == NULL)
        return fmk_error(-EINVAL, "no kernel given");
    p->kernel = kernel;
    const int e = build_problem(p, params, columns, n_columns);
    if (e != 0)
        fmk_release(p);
    return e;
}

void fmk_release(struct fmk_problem *p)
{
    fm_array_destroy(p->out);
    fm_array_destroy(p->memory);
    for (int k = 0; p->owns_columns && k < FMK_MAX_COLUMNS; k++)
        fm_array_destroy(p->columns[k]);
    memset(p, 0, sizeof *p);
}
