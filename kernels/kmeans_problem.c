/* SPDX-License-Identifier: MIT */

/*
 * kmeans' problem: points and first centres from files or generated, the step from one pass to the
 * next, and the check by a plain loop over points and by the objective, which may not rise.
 *
 * Generated points are whole numbers around as many middles as there are centres, so that sums are
 * exact. Without a file the first centres are points evenly over the input (Forgy, 1965).
 */

#include "inputs.h"
#include "kernel_list.h"
#include "kmeans.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BLOCK   (1 << 24)
#define MAX_DIMS    (1 << 16)
#define MAX_CENTRES (1 << 16)
#define MAX_NUMBERS (INT64_C(1) << 40) /* coordinates of all points */

enum { SEED_MIDDLES = 31, SEED_MEMBERS = 32, SEED_SPREAD = 33 }; /* of the generated numbers */

/* In the heap. The centres, the first centres, the totals and the points follow. */
struct clustering {
    struct fmk_kmeans_ctx ctx; /* first: p->ctx points to it */
    double *centres;           /* as in ctx, where they are constant */
    double *first_centres;
    double *totals; /* n_centres x (n_dims + 1): the sums of all blocks */
    int64_t iterations;
};

/* What is there before the context: sizes, and the files. */
struct source {
    fm_array *points, *centres; /* NULL: generated, evenly from the points */
    int64_t iterations, block, n_points, n_dims, n_centres;
};

/*
 * ---- bind ---------------------------------------------------------------------------------------
 */

static const fm_dtype real[] = {FM_F64, 0};

static int read_sizes(struct source *s, const struct fmk_param *params)
{
    int e = fmk_param_int(params, "block", 1, MAX_BLOCK, &s->block);
    if (e == 0)
        e = fmk_param_int(params, "dims", 1, MAX_DIMS, &s->n_dims);
    if (e == 0)
        e = fmk_param_int(params, "k", 1, MAX_CENTRES, &s->n_centres);
    if (e == 0)
        e = fmk_param_int(params, "iterations", 1, INT32_MAX, &s->iterations);
    return e;
}

static int load_points(struct source *s, struct fmk_problem *p, const struct fmk_param *params)
{
    char what[80];
    int e = fmk_array_load("points", fmk_param_text(params, "points"), 2, real, &s->points);
    if (e != 0)
        return e;
    s->n_points = fm_array_shape(s->points)[0];
    s->n_dims = fm_array_shape(s->points)[1];
    p->n = s->n_points / s->block + (s->n_points % s->block != 0);
    snprintf(what, sizeof what, "points has %" PRId64 " columns", s->n_dims);
    e = fmk_param_agrees(p->kernel, params, "dims", s->n_dims, what);
    snprintf(what, sizeof what, "points makes %" PRId64 " blocks of %" PRId64, p->n, s->block);
    if (e == 0)
        e = fmk_param_agrees(p->kernel, params, "n", p->n, what);
    return e;
}

static int load_centres(struct source *s, const struct fmk_problem *p,
                        const struct fmk_param *params)
{
    char what[64];
    const char *path = fmk_param_text(params, "centres");
    int e = fmk_array_load("centres", path, 2, real, &s->centres);
    if (e != 0)
        return e;
    const int64_t *shape = fm_array_shape(s->centres);
    s->n_centres = shape[0];
    snprintf(what, sizeof what, "centres has %" PRId64 " rows", shape[0]);
    e = fmk_param_agrees(p->kernel, params, "k", shape[0], what);
    if (e == 0 && shape[1] != s->n_dims)
        e = fmk_error(-EINVAL, "centres=%s: has %" PRId64 " columns, and the points have %" PRId64,
                      path, shape[1], s->n_dims);
    if (e == 0 && shape[0] > MAX_CENTRES)
        e = fmk_error(-EINVAL, "centres=%s: has %" PRId64 " rows, at most %d are possible", path,
                      shape[0], MAX_CENTRES);
    return e;
}

static int open_source(struct source *s, struct fmk_problem *p, const struct fmk_param *params)
{
    int e = read_sizes(s, params);
    s->n_points = e == 0 ? p->n * s->block : 0;
    if (e == 0 && *fmk_param_text(params, "points") != '\0')
        e = load_points(s, p, params);
    if (e == 0 && *fmk_param_text(params, "centres") != '\0')
        e = load_centres(s, p, params);
    if (e == 0 && s->n_points > MAX_NUMBERS / s->n_dims)
        e = fmk_error(-EINVAL, "%" PRId64 " points of %" PRId64 " dims: more than 2^40 numbers",
                      s->n_points, s->n_dims);
    return e;
}

/* Four throws of a die around the middle that the point belongs to. */
static double make_number(const struct source *s, int64_t point, int64_t dim)
{
    const int64_t member = fmk_below_at(SEED_MEMBERS, point, s->n_centres);
    const uint64_t bits = fmk_bits_at(SEED_SPREAD, point * s->n_dims + dim);
    int64_t number = fmk_below_at(SEED_MIDDLES, member * s->n_dims + dim, 1024);
    for (int k = 0; k < 4; k++)
        number += (int64_t)(bits >> (16 * k) & 63) - 32;
    return (double)number;
}

static void fill_points(const struct fmk_kmeans_ctx *c, double *points, const struct source *s)
{
    for (int64_t i = 0; i < c->n_points; i++) {
        double *at = points + fmk_kmeans_place(c, i);
        for (int64_t k = 0; k < c->n_dims; k++)
            at[k * FMK_KMEANS_LANES] = s->points != NULL
                                           ? *(double *)fm_array_at(s->points, 2, (int64_t[]){i, k})
                                           : make_number(s, i, k);
    }
}

static void fill_centres(const struct fmk_kmeans_ctx *c, double *centres)
{
    for (int64_t k = 0; k < c->n_centres && c->n_points > 0; k++) {
        const int64_t stride = c->n_points / c->n_centres, rest = c->n_points % c->n_centres;
        const double *at = c->points + fmk_kmeans_place(c, k * stride + k * rest / c->n_centres);
        for (int64_t d = 0; d < c->n_dims; d++)
            centres[k * c->n_dims + d] = at[d * FMK_KMEANS_LANES];
    }
}

static int create_memory(struct fmk_problem *p, const struct source *s)
{
    const int64_t n_groups = s->block / FMK_KMEANS_LANES + (s->block % FMK_KMEANS_LANES != 0);
    const size_t n_in_centres = (size_t)(s->n_centres * s->n_dims);
    const size_t n_in_totals = n_in_centres + (size_t)s->n_centres;
    const size_t n_numbers = (size_t)(p->n * n_groups * FMK_KMEANS_LANES) * (size_t)s->n_dims;
    struct clustering c = {.ctx = {.n_points = s->n_points,
                                   .block = s->block,
                                   .n_groups = n_groups,
                                   .n_dims = s->n_dims,
                                   .n_centres = s->n_centres},
                           .iterations = s->iterations};
    int e =
        fm_array_create(&p->out, FM_F64, 3, (int64_t[]){p->n, s->n_centres, s->n_dims + 1}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c +
                                     (2 * n_in_centres + n_in_totals + n_numbers) * sizeof(double));
    if (e != 0)
        return e;
    c.centres = (void *)((struct clustering *)p->ctx + 1);
    c.first_centres = c.centres + n_in_centres;
    c.totals = c.first_centres + n_in_centres;
    double *points = c.totals + n_in_totals;
    c.ctx.centres = c.centres;
    c.ctx.points = points;
    c.ctx.sums = fm_array_data(p->out);
    fill_points(&c.ctx, points, s);
    if (s->centres != NULL)
        fmk_matrix_pack(c.first_centres, s->centres);
    else
        fill_centres(&c.ctx, c.first_centres);
    *(struct clustering *)p->ctx = c;
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct source s = {NULL};
    int e = open_source(&s, p, params);
    if (e == 0)
        e = create_memory(p, &s);
    fm_array_destroy(s.points);
    fm_array_destroy(s.centres);
    return e;
}

/*
 * ---- from pass to pass --------------------------------------------------------------------------
 */

/* The rows of all blocks, in their order. */
static void sum_blocks(const struct fmk_kmeans_ctx *c, int64_t n_blocks, double *totals)
{
    const int64_t row = c->n_centres * (c->n_dims + 1);
    memset(totals, 0, (size_t)row * sizeof *totals);
    for (int64_t block = 0; block < n_blocks; block++)
        for (int64_t k = 0; k < row; k++)
            totals[k] += c->sums[block * row + k];
}

/* Each centre to the mean of its points; one without points stays. 1 if any moved. */
static int move_centres(struct clustering *s)
{
    const int64_t n_dims = s->ctx.n_dims;
    int moved = 0;
    for (int64_t k = 0; k < s->ctx.n_centres; k++) {
        const double *total = s->totals + k * (n_dims + 1);
        double *centre = s->centres + k * n_dims;
        for (int64_t d = 0; d < n_dims && total[n_dims] > 0.0; d++) {
            const double mean = total[d] / total[n_dims];
            moved |= mean != centre[d];
            centre[d] = mean;
        }
    }
    return moved;
}

static int next_pass(struct fmk_problem *p, int64_t n_done)
{
    struct clustering *s = p->ctx;
    const size_t n_bytes = (size_t)(s->ctx.n_centres * s->ctx.n_dims) * sizeof(double);
    if (n_done == 0)
        memcpy(s->centres, s->first_centres, n_bytes);
    if (n_done == 0 || n_done == s->iterations)
        return n_done == 0;
    sum_blocks(&s->ctx, p->n, s->totals);
    return move_centres(s);
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

struct recount {
    double *sums;                   /* a block's row, as a plain loop over its points has it */
    double *totals;                 /* of all blocks */
    double first, last, with_means; /* objectives, see compare_objectives() */
};

static double square_distance(const struct fmk_kmeans_ctx *c, const double *point,
                              const double *centre)
{
    double sum = 0.0;
    for (int64_t d = 0; d < c->n_dims; d++) {
        const double difference = point[d * FMK_KMEANS_LANES] - centre[d];
        sum += difference * difference;
    }
    return sum;
}

/* The first of the nearest centres; its square distance is added to the objective. */
static int64_t choose_centre(const struct fmk_kmeans_ctx *c, const double *point,
                             const double *centres, double *objective)
{
    int64_t nearest = 0;
    double least = square_distance(c, point, centres);
    for (int64_t k = 1; k < c->n_centres; k++) {
        const double distance = square_distance(c, point, centres + k * c->n_dims);
        if (distance < least) {
            nearest = k;
            least = distance;
        }
    }
    *objective += least;
    return nearest;
}

/* |x - mean|^2 summed over the points of a centre is the sum of |x|^2 less that of its mean: a sum
 * of large numbers that cancel. Distances to the means do not. */
static void add_point(const struct fmk_kmeans_ctx *c, struct recount *r, const double *point,
                      int64_t centre)
{
    double *sum = r->sums + centre * (c->n_dims + 1);
    const double *total = r->totals + centre * (c->n_dims + 1);
    for (int64_t d = 0; d < c->n_dims; d++) {
        const double x = point[d * FMK_KMEANS_LANES];
        const double from_mean = x - total[d] / total[c->n_dims];
        sum[d] += x;
        r->with_means += from_mean * from_mean;
    }
    sum[c->n_dims] += 1.0;
}

/* 0: the block's row has the bits of the plain loop's. */
static int recount_block(const struct clustering *s, struct recount *r, int64_t block)
{
    const struct fmk_kmeans_ctx *c = &s->ctx;
    const int64_t row = c->n_centres * (c->n_dims + 1), begin = block * c->block;
    const int64_t end = c->n_points - begin < c->block ? c->n_points : begin + c->block;
    memset(r->sums, 0, (size_t)row * sizeof *r->sums);
    for (int64_t i = begin; i < end; i++) {
        const double *point = c->points + fmk_kmeans_place(c, i);
        choose_centre(c, point, s->first_centres, &r->first);
        add_point(c, r, point, choose_centre(c, point, c->centres, &r->last));
    }
    return memcmp(r->sums, c->sums + block * row, (size_t)row * sizeof *r->sums) != 0;
}

/*
 * The sum of square distances falls from the first centres to those of the last pass, and from them
 * to the means of the same groups; rounding is some 1e-16 of it per point at worst.
 */
static int compare_objectives(const struct clustering *s, const struct recount *r, char *text,
                              size_t cap)
{
    const double slack = 1.0 + 1e-9;
    if (!isfinite(r->first + r->last + r->with_means)) {
        snprintf(text, cap,
                 "cannot be checked: points or centres are not finite, or too far apart");
        return 2;
    }
    snprintf(text, cap,
             "%" PRId64
             " points assigned again by a plain loop: equal; the objective fell from %.6g "
             "to %.6g",
             s->ctx.n_points, r->first, r->with_means);
    if (r->last <= r->first * slack && r->with_means <= r->last * slack)
        return 0;
    snprintf(text, cap, "the objective rose from %.17g by %.17g to %.17g", r->first, r->last,
             r->with_means);
    return 1;
}

static int recount_all(const struct fmk_problem *p, struct recount *r, char *text, size_t cap)
{
    const struct clustering *s = p->ctx;
    int64_t first_wrong = -1;
    sum_blocks(&s->ctx, p->n, r->totals);
    for (int64_t block = 0; block < p->n; block++)
        if (recount_block(s, r, block) != 0 && first_wrong < 0)
            first_wrong = block;
    if (first_wrong < 0 || !isfinite(r->last))
        return compare_objectives(s, r, text, cap);
    snprintf(text, cap, "block %" PRId64 " differs from a plain loop over its points", first_wrong);
    return 1;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_kmeans_ctx *c = p->ctx;
    const size_t row = (size_t)(c->n_centres * (c->n_dims + 1));
    struct recount r = {.sums = calloc(row, sizeof *r.sums), .totals = calloc(row, sizeof *r.sums)};
    int status = -ENOMEM;
    fmk_error_clear();
    if (r.sums != NULL && r.totals != NULL)
        status = recount_all(p, &r, text, cap);
    free(r.sums);
    free(r.totals);
    return status;
}

const struct fmk_kernel fmk_kernel_kmeans = {
    .name = "kmeans",
    .summary = "Lloyd's iteration for k means, a block of points per item, several passes",
    .source = "Lloyd, IEEE Trans. Inf. Theory 28, 1982; blocks: Dhillon, Modha, LNAI 1759, 2000",
    .cost = "3 k dims flop and 8 dims bytes per point and pass; all blocks cost the same",
    .result = "f8 x k x (dims + 1): per centre the sums of the block's points, and their count",
    .grain = 1,
    .params = {{"n", "512", "blocks of generated points"},
               {"block", "1024", "points per block"},
               {"dims", "8", "coordinates of a generated point"},
               {"k", "16", "centres"},
               {"iterations", "10", "passes at most; the last is that after which no centre moves"},
               {"points", "", "file of points, any x dims f8 (.npy); empty: generated"},
               {"centres", "", "file of the first centres, k x dims f8; empty: from the points"}},
    .range = fmk_kmeans_range,
    .bind = bind,
    .next_pass = next_pass,
    .verify = verify,
};
