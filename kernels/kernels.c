/* SPDX-License-Identifier: MIT */

/* The table of the shipped kernels, and how a problem of one comes and goes. */

#include "kernels.h"

#include "docking.h"
#include "kernel_list.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct fmk_kernel kernel_table[] = {
    {
        .name = "docking",
        .summary = "energy of a ligand at each pose beside a protein (miniBUDE, deck bm1)",
        .source = "Poenaru, Lin, McIntosh-Smith, ISC 2021 (miniBUDE, University of Bristol)",
        .cost = "635,000 flop and 28 bytes per pose of bm1; all poses cost the same",
        .result = "f4: energy of the pose",
        .n_columns = 1,
        .grain = FMK_DOCKING_LANES,
        .columns = {{.name = "poses", .dtype = FM_F32, .row_ndim = 1, .row_shape = {6}}},
        .params = {{"n", "0", "poses of the default input to use; 0: all 65,536"},
                   {"deck", "", "folder with protein.in, ligand.in, forcefield.in; empty: bm1"}},
        .range = fmk_docking_range,
        .default_input = fmk_docking_input,
        .bind = fmk_docking_bind,
        .verify = fmk_docking_verify,
    },
    {
        .name = "mandelbrot",
        .summary = "escape times of one row of pixels per item; imbalanced",
        .source = "escape-time algorithm; OpenMP Examples, loop schedules",
        .cost = "8 flop per step, 2 to 570 steps per pixel, and 4 bytes per pixel",
        .result = "i4 x width: steps that each pixel's point survived, at most max_iter",
        .grain = 1,
        .params = {{"n", "1024", "rows of the picture [pixels]"},
                   {"width", "1024", "columns of the picture [pixels]"},
                   {"max_iter", "1000", "steps after which a point counts as inside"},
                   {"xmin", "-2.25", "left edge"},
                   {"xmax", "0.75", "right edge"},
                   {"ymin", "-1.25", "edge of row 0"},
                   {"ymax", "1.25", "edge of the last row"}},
        .range = fmk_mandelbrot_range,
        .bind = fmk_mandelbrot_bind,
        .verify = fmk_mandelbrot_verify,
    },
    {
        .name = "pi",
        .summary = "integral of 4 / (1 + x^2) over [0, 1], a block of midpoints per item",
        .source = "midpoint rule; Quinn, Parallel Programming in C, 2003, section 17",
        .cost = "6 flop per step and 8 bytes per block; all blocks cost the same",
        .result = "f8: the block's share of pi",
        .grain = 1,
        .params = {{"n", "4096", "blocks"}, {"steps", "65536", "midpoints per block"}},
        .range = fmk_pi_range,
        .bind = fmk_pi_bind,
        .verify = fmk_pi_verify,
    },
};
#define N_KERNELS ((int)(sizeof kernel_table / sizeof kernel_table[0]))

const struct fmk_kernel *fmk_kernels(int *n)
{
    *n = N_KERNELS;
    return kernel_table;
}

const struct fmk_kernel *fmk_find(const char *name)
{
    for (int k = 0; name != NULL && k < N_KERNELS; k++)
        if (strcmp(kernel_table[k].name, name) == 0)
            return &kernel_table[k];
    return NULL;
}

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
        if (fm_array_shape(a)[1 + k] != want->row_shape[k])
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

static int build_problem(struct fmk_problem *p, const struct fmk_param *user,
                         fm_array *const *columns, int n_columns)
{
    struct fmk_param params[FMK_MAX_PARAMS];
    int e = fmk_params_merge(p->kernel, user, params);
    if (e == 0)
        e = take_columns(p, params, columns, n_columns);
    if (e == 0 && p->kernel->n_columns == 0)
        e = fmk_param_int(params, "n", 0, INT32_MAX, &p->n);
    else if (e == 0)
        p->n = fm_array_len(p->columns[0]);
    return e == 0 ? p->kernel->bind(p, params) : e;
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
