/* SPDX-License-Identifier: MIT */

/*
 * matmul's problem: A from a file or generated, B from a file or generated, and Freivalds' check of
 * the product.
 *
 * Generated elements are multiples of 1/256 in [-1, 1): all sums are exact.
 */

#include "inputs.h"
#include "kernel_list.h"
#include "matmul.h"
#include "params.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_LENGTH (INT64_C(1) << 20) /* of a row: B has at most 2^40 elements */

enum { SEED_A = 1, SEED_B = 2, SEED_SIGNS = 3 }; /* of the generated numbers */

static int make_a(const struct fmk_param *params, fm_array **columns)
{
    int64_t n, depth;
    int e = fmk_param_int(params, "n", 0, INT32_MAX, &n);
    if (e == 0)
        e = fmk_param_int(params, "k", 1, MAX_LENGTH, &depth);
    if (e == 0)
        e = fm_array_create(&columns[0], FM_F64, 2, (int64_t[]){n, depth}, NULL);
    if (e != 0)
        return e;
    double *a = fm_array_data(columns[0]);
    for (int64_t i = 0; i < n * depth; i++)
        a[i] = fmk_fraction_at(SEED_A, i);
    return 0;
}

/* The parameters n and k tell of the generated A; with a given one they may only say the same. */
static int take_a(struct fmk_matmul_ctx *m, const struct fmk_problem *p,
                  const struct fmk_param *params)
{
    char what[64];
    const fm_array *a = p->columns[0];
    m->n_rows = p->n;
    m->depth = fm_array_shape(a)[1];
    m->a = fm_array_data(a);
    m->row_stride = fm_array_strides(a)[0] / (int64_t)sizeof *m->a;
    m->column_stride = fm_array_strides(a)[1] / (int64_t)sizeof *m->a;
    snprintf(what, sizeof what, "column a has %" PRId64 " rows", m->n_rows);
    int e = fmk_param_agrees(p->kernel, params, "n", m->n_rows, what);
    snprintf(what, sizeof what, "column a has rows of %" PRId64, m->depth);
    if (e == 0)
        e = fmk_param_agrees(p->kernel, params, "k", m->depth, what);
    return e;
}

static int load_b(fm_array **b, const struct fmk_matmul_ctx *m, const struct fmk_problem *p,
                  const struct fmk_param *params)
{
    char what[64];
    const char *path = fmk_param_text(params, "b");
    if (path[0] == '\0')
        return fmk_error(-EINVAL,
                         "b is missing: the matrix that A is multiplied by, as in --arg b=b.npy");
    int e = fmk_array_load("b", path, 2, (const fm_dtype[]){FM_F64, 0}, b);
    if (e != 0)
        return e;
    const int64_t *shape = fm_array_shape(*b);
    snprintf(what, sizeof what, "b has %" PRId64 " columns", shape[1]);
    e = fmk_param_agrees(p->kernel, params, "m", shape[1], what);
    if (e == 0 && shape[0] != m->depth)
        e = fmk_error(-EINVAL, "b=%s: has %" PRId64 " rows, but A %" PRId64 " columns%s", path,
                      shape[0], m->depth,
                      p->owns_columns ? "; the parameter k sets those of a generated A" : "");
    if (e != 0)
        fm_array_destroy(*b);
    return e;
}

/* The context with B behind it. `given` NULL: B is generated. */
static int create_memory(struct fmk_problem *p, struct fmk_matmul_ctx *m, const fm_array *given)
{
    const int64_t n_b = m->depth * m->n_columns;
    int e = fm_array_create(&p->out, FM_F64, 2, (int64_t[]){m->n_rows, m->n_columns}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof *m + (size_t)n_b * sizeof *m->b);
    if (e != 0)
        return e;
    double *b = (void *)((struct fmk_matmul_ctx *)p->ctx + 1);
    if (given != NULL)
        fmk_matrix_pack(b, given);
    for (int64_t i = 0; given == NULL && i < n_b; i++)
        b[i] = fmk_fraction_at(SEED_B, i);
    m->b = b;
    m->c = fm_array_data(p->out);
    *(struct fmk_matmul_ctx *)p->ctx = *m;
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_matmul_ctx m = {0};
    fm_array *b = NULL;
    int e = fmk_param_int(params, "m", 1, MAX_LENGTH, &m.n_columns);
    if (e == 0)
        e = take_a(&m, p, params);
    if (e == 0 && *fmk_param_text(params, "b") != '\0')
        e = load_b(&b, &m, p, params);
    if (e != 0)
        return e;
    if (b != NULL)
        m.n_columns = fm_array_shape(b)[1];
    e = create_memory(p, &m, b);
    fm_array_destroy(b);
    return e;
}

/*
 * Freivalds' check: C x = A (B x) for vectors x of random signs. One wrong element of a row shows
 * in any of them, several with a probability of 1 - 2^-SIGNS.
 * Source: Freivalds, "Probabilistic Machines Can Use Less Running Time", IFIP 1977.
 */
#define SIGNS 20 /* vectors; at most 64, the bits of one number */

struct check {
    double (*bx)[SIGNS]; /* row k: (B x)_k for each x */
    double *b_size;      /* sum of |b_kj| over j */
};

static double sign_of(int64_t j, int vector)
{
    return (fmk_bits_at(SEED_SIGNS, j) >> vector & 1) != 0 ? 1.0 : -1.0;
}

static void add_signed(double *sums, const double *row, int64_t n, double *size)
{
    for (int64_t j = 0; j < n; j++) {
        for (int v = 0; v < SIGNS; v++)
            sums[v] += sign_of(j, v) * row[j];
        *size += fabs(row[j]);
    }
}

static void multiply_b(struct check *check, const struct fmk_matmul_ctx *m)
{
    for (int64_t k = 0; k < m->depth; k++)
        add_signed(check->bx[k], m->b + k * m->n_columns, m->n_columns, &check->b_size[k]);
}

/*
 * 0 right; 1 wrong; 2 cannot be told, since a number is infinite or none. `allowed` is what the
 * rounding of both sides can come to.
 */
static int check_row(const struct check *check, const struct fmk_matmul_ctx *m, int64_t row)
{
    double cx[SIGNS] = {0.0}, abx[SIGNS] = {0.0}, c_size = 0.0, size = 0.0;
    for (int64_t k = 0; k < m->depth; k++) {
        const double a = m->a[row * m->row_stride + k * m->column_stride];
        for (int v = 0; v < SIGNS; v++)
            abx[v] += a * check->bx[k][v];
        size += fabs(a) * check->b_size[k];
    }
    const double allowed = 2.0 * DBL_EPSILON * (double)(m->depth + m->n_columns) * size;
    if (!isfinite(allowed))
        return 2;
    add_signed(cx, m->c + row * m->n_columns, m->n_columns, &c_size);
    for (int v = 0; v < SIGNS; v++)
        if (!(fabs(cx[v] - abx[v]) <= allowed))
            return 1;
    return 0;
}

static int check_rows(const struct check *check, const struct fmk_matmul_ctx *m, char *text,
                      size_t cap)
{
    for (int64_t row = 0; row < m->n_rows; row++) {
        const int verdict = check_row(check, m, row);
        if (verdict == 0)
            continue;
        snprintf(text, cap,
                 verdict == 1 ? "row %" PRId64 " of C is not that row of A times B"
                              : "row %" PRId64 " cannot be checked: A or B is not finite there",
                 row);
        return verdict;
    }
    snprintf(text, cap, "C x = A (B x) in all %" PRId64 " rows for %d vectors x of random signs",
             m->n_rows, SIGNS);
    return 0;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_matmul_ctx *m = p->ctx;
    const size_t depth = (size_t)m->depth + 1; /* no depth is none at all, and not no memory */
    struct check check = {calloc(depth, sizeof *check.bx), calloc(depth, sizeof *check.b_size)};
    int status = -ENOMEM;
    fmk_error_clear();
    if (check.bx != NULL && check.b_size != NULL) {
        multiply_b(&check, m);
        status = check_rows(&check, m, text, cap);
    }
    free(check.bx);
    free(check.b_size);
    return status;
}

const struct fmk_kernel fmk_kernel_matmul = {
    .name = "matmul",
    .summary = "rows of the matrix product C = A B",
    .source = "GEMM, Dongarra et al., ACM TOMS 1990; blocks: Goto, van de Geijn, ACM TOMS 2008",
    .cost = "2 k m flop and 8 (k + m) bytes per row, and B once per call; all rows cost the same",
    .result = "f8 x m: the row of C",
    .n_columns = 1,
    .grain = 16,
    .columns = {{.name = "a", .dtype = FM_F64, .row_ndim = 1, .row_shape = {FMK_ANY_LENGTH}}},
    .params = {{"n", "2048", "rows of the generated A"},
               {"k", "1024", "columns of the generated A"},
               {"m", "1024", "columns of the generated B"},
               {"b", "", "file of B, k x m f8 (.npy); empty: generated"}},
    .range = fmk_matmul_range,
    .default_input = make_a,
    .bind = bind,
    .verify = verify,
};
