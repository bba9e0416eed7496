/* SPDX-License-Identifier: MIT */

/*
 * spectral_norm's problem: the vectors between two passes, and the check of the last one by the
 * whole method as a plain program, and of the norm by what is known of it.
 */

#include "kernel_list.h"
#include "params.h"
#include "spectral_norm.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSES_PER_STEP 4   /* v = A' A u, u = A' A v */
#define MOST_STEPS      300 /* u grows by norm^4 = 2.64 a step: the square of u stays finite */
#define MOST_ROWS       (1 << 24) /* t (t + 1) / 2 is exact */
#define MOST_DIFFERENCE 1e-9      /* to the published norms, which have nine decimals */
#define PUBLISHED_STEPS 10

/*
 * Of the infinite matrix: no part of it has a larger one. Bornemann, Laurie, Wagon, Waldvogel, "The
 * SIAM 100-Digit Challenge", 2004, chapter 3.
 */
#define LIMIT 1.27422415282122818821

/* The Computer Language Benchmarks Game. */
static const struct published {
    int64_t n;
    double norm;
} published[] = {{100, 1.274219991}, {5500, 1.274224153}};

/* In the heap. x and v follow. */
struct power {
    struct fmk_spectral_norm_ctx ctx; /* first: p->ctx points to it */
    double *x;                        /* as in ctx, where it is constant */
    double *v; /* n: the u of the last half step, so that norm^2 = u'v / v'v */
    int64_t n_passes;
};

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    const int64_t lanes = FMK_SPECTRAL_NORM_LANES;
    struct power s = {.ctx = {.n = p->n, .n_padded = (p->n + lanes - 1) / lanes * lanes}};
    int64_t steps;
    int e = fmk_param_int(params, "steps", 1, MOST_STEPS, &steps);
    if (e == 0 && p->n > MOST_ROWS)
        e = fmk_error(-EINVAL, "n=%" PRId64 ": at most 2^24 rows have exact elements", p->n);
    if (e == 0)
        e = fm_array_create(&p->out, FM_F64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof s + (size_t)(s.ctx.n_padded + p->n) * sizeof(double));
    if (e != 0)
        return e;
    s.n_passes = PASSES_PER_STEP * steps;
    s.x = (void *)((struct power *)p->ctx + 1);
    s.v = s.x + s.ctx.n_padded;
    s.ctx.x = s.x;
    s.ctx.y = fm_array_data(p->out);
    *(struct power *)p->ctx = s;
    return 0;
}

/* What a pass has written is what the next one reads. */
static int next_pass(struct fmk_problem *p, int64_t n_done)
{
    struct power *s = p->ctx;
    const size_t n_bytes = (size_t)s->ctx.n * sizeof(double);
    if (n_done == s->n_passes)
        return 0;
    if (n_done == 0)
        for (int64_t j = 0; j < s->ctx.n; j++)
            s->x[j] = 1.0;
    else
        memcpy(s->x, s->ctx.y, n_bytes);
    if (n_done == s->n_passes - 2)
        memcpy(s->v, s->ctx.y, n_bytes);
    s->ctx.is_transposed = n_done % 2;
    return 1;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

static double element(int64_t i, int64_t j)
{
    const int64_t numbers_before = (i + j) * (i + j + 1) / 2; /* in the diagonals above */
    return 1.0 / (double)(numbers_before + i + 1);
}

/* y = A x, or A' x. */
static void multiply(int64_t n, int is_transposed, const double *x, double *y)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = 0.0;
        for (int64_t j = 0; j < n; j++)
            y[i] += (is_transposed ? element(j, i) : element(i, j)) * x[j];
    }
}

/* The whole method; `half` gets A x in between. Results in u and v. */
static void iterate(int64_t n, int64_t n_passes, double *u, double *v, double *half)
{
    for (int64_t j = 0; j < n; j++)
        u[j] = 1.0;
    for (int64_t pass = 0; pass < n_passes; pass += PASSES_PER_STEP) {
        multiply(n, 0, u, half);
        multiply(n, 1, half, v);
        multiply(n, 0, v, half);
        multiply(n, 1, half, u);
    }
}

/* All terms are positive, so that no pass adds more than n roundings to the relative error. */
static int64_t find_wrong_row(const struct power *s, const double *y, const double *expected)
{
    const double allowed = DBL_EPSILON * (double)s->n_passes * (double)(s->ctx.n + 4);
    for (int64_t i = 0; i < s->ctx.n; i++)
        if (!(fabs(y[i] - expected[i]) <= allowed * expected[i]))
            return i;
    return -1;
}

static double find_norm(const struct power *s, const double *u)
{
    double uv = 0.0, vv = 0.0;
    for (int64_t i = 0; i < s->ctx.n; i++) {
        uv += u[i] * s->v[i];
        vv += s->v[i] * s->v[i];
    }
    return s->ctx.n > 0 ? sqrt(uv / vv) : 0.0;
}

static int check_norm(const struct power *s, char *text, size_t cap)
{
    const double norm = find_norm(s, s->ctx.y);
    for (size_t k = 0; k < sizeof published / sizeof published[0]; k++) {
        if (published[k].n != s->ctx.n || s->n_passes != PASSES_PER_STEP * PUBLISHED_STEPS)
            continue;
        const int is_right = fabs(norm - published[k].norm) <= MOST_DIFFERENCE;
        snprintf(text, cap, "norm %.9f %s that published for n=%" PRId64 ", %.9f", norm,
                 is_right ? "is" : "is NOT", s->ctx.n, published[k].norm);
        return !is_right;
    }
    snprintf(text, cap,
             "%" PRId64 " rows as by the plain program; norm %.9f, of the infinite matrix %.9f",
             s->ctx.n, norm, LIMIT);
    return !(norm <= LIMIT + MOST_DIFFERENCE);
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct power *s = p->ctx;
    const size_t n = (size_t)s->ctx.n;
    double *vectors = calloc(3 * n + 1, sizeof *vectors);
    if (vectors == NULL)
        return -ENOMEM;
    iterate(s->ctx.n, s->n_passes, vectors, vectors + n, vectors + 2 * n);
    const int64_t wrong = find_wrong_row(s, s->ctx.y, vectors);
    const int64_t wrong_before = find_wrong_row(s, s->v, vectors + n);
    free(vectors);
    if (wrong < 0 && wrong_before < 0)
        return check_norm(s, text, cap);
    snprintf(text, cap, "row %" PRId64 " of %s product differs from the plain program's",
             wrong >= 0 ? wrong : wrong_before, wrong >= 0 ? "the last" : "an earlier");
    return 1;
}

const struct fmk_kernel fmk_kernel_spectral_norm = {
    .name = "spectral_norm",
    .summary = "spectral norm by the power method, a row of A x or A' x per item, several passes",
    .source = "The Computer Language Benchmarks Game, spectral-norm; SIAM News 35, 2002, problem 3",
    .cost = "7 n flop and 8 n bytes per row and pass; all rows cost the same",
    .result = "f8: the element of u, after steps of v = A' A u, u = A' A v from all ones",
    .grain = 1,
    .params = {{"n", "2000", "rows and columns of A; 100 and 5500 have a published norm"},
               {"steps", "10", "steps of four passes; 10 for the published norms"}},
    .range = fmk_spectral_norm_range,
    .bind = bind,
    .next_pass = next_pass,
    .verify = verify,
};
