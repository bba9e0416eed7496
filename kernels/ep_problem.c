/* SPDX-License-Identifier: MIT */

/*
 * ep's problem: a class of the NAS Parallel Benchmarks or a number of pairs, and the check against
 * the published sums, and against blocks drawn again by the plain loop, one number after the other.
 */

#include "ep.h"
#include "kernel_list.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SAMPLED_BLOCKS 8     /* blocks that verify draws again, evenly over all */
#define MOST_SUM       1e-8  /* allowed relative difference to the published sums */
#define MOST_BLOCK     1e-10 /* and to a pair drawn again; of n pairs sqrt(n) times that */

/* Sums from RNR-94-007 and the NPB reports. */
static const struct published {
    char name;
    int64_t m; /* 2^m pairs */
    double sum_x, sum_y;
} classes[] = {
    {'S', 24, -3.247834652034740e3, -6.958407078382297e3},
    {'W', 25, -2.863319731645753e3, -6.320053679109499e3},
    {'A', 28, -4.295875165629892e3, -1.580732573678431e4},
    {'B', 30, 4.033815542441498e4, -2.660669192809235e4},
};
#define N_CLASSES (sizeof classes / sizeof classes[0])

static int find_class(const char *name, int64_t *m)
{
    for (size_t k = 0; k < N_CLASSES; k++)
        if (name[0] == classes[k].name && name[1] == '\0') {
            *m = classes[k].m;
            return 0;
        }
    return fmk_error(-EINVAL, "class=%s: S, W, A or B is needed", name);
}

static int read_size(struct fmk_ep_ctx *c, const struct fmk_param *params)
{
    int64_t m = 0;
    int e = fmk_param_int(params, "m", 0, 44, &m);
    if (e == 0 && m == 0)
        e = find_class(fmk_param_text(params, "class"), &m);
    if (e == 0)
        e = fmk_param_int(params, "block", 1, INT64_C(1) << 32, &c->block);
    c->n_pairs = INT64_C(1) << m;
    if (e == 0 && (c->n_pairs - 1) / c->block >= INT32_MAX)
        e = fmk_error(-EINVAL,
                      "block=%" PRId64 ": 2^%" PRId64 " pairs are more than 2^31 blocks of it",
                      c->block, m);
    return e;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_ep_ctx c;
    int e = read_size(&c, params);
    if (e != 0)
        return e;
    p->n = (c.n_pairs - 1) / c.block + 1;
    e = fm_array_create(&p->out, FM_F64, 2, (int64_t[]){p->n, FMK_EP_ROW}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c);
    if (e != 0)
        return e;
    c.rows = fm_array_data(p->out);
    *(struct fmk_ep_ctx *)p->ctx = c;
    return 0;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

static double draw(uint64_t *state)
{
    *state = *state * FMK_EP_FACTOR & FMK_EP_MASK;
    return 2.0 * FMK_EP_SCALE * (double)*state - 1.0;
}

/* The next n pairs after `state`, as the benchmark's report writes it. */
static void draw_block(uint64_t *state, int64_t n, double *row)
{
    memset(row, 0, FMK_EP_ROW * sizeof *row);
    for (int64_t k = 0; k < n; k++) {
        const double x = draw(state), y = draw(state), t = x * x + y * y;
        if (t > 1.0)
            continue;
        const double factor = sqrt(-2.0 * log(t) / t);
        row[0] += x * factor;
        row[1] += y * factor;
        row[2 + (int)fmax(fabs(x * factor), fabs(y * factor))] += 1.0;
    }
}

static int is_same_block(const double *row, const double *expected, int64_t n)
{
    const double allowed = MOST_BLOCK * sqrt((double)n);
    int same = fabs(row[0] - expected[0]) <= allowed && fabs(row[1] - expected[1]) <= allowed;
    for (int k = 2; k < FMK_EP_ROW; k++)
        same = same && row[k] == expected[k];
    return same;
}

/* The first sampled block that is wrong, -1 if none is. No jump: the generator steps all the way. */
static int64_t find_wrong_block(const struct fmk_ep_ctx *c, int64_t n_blocks)
{
    uint64_t state = FMK_EP_SEED;
    int64_t at = 0; /* pairs drawn */
    for (int64_t k = 0; k < SAMPLED_BLOCKS; k++) {
        const int64_t block = k * (n_blocks - 1) / (SAMPLED_BLOCKS - 1), first = block * c->block;
        const int64_t left = c->n_pairs - first, n = left < c->block ? left : c->block;
        double expected[FMK_EP_ROW];
        if (first < at)
            continue; /* fewer blocks than samples */
        for (; at < first; at++) {
            draw(&state);
            draw(&state);
        }
        draw_block(&state, n, expected);
        at += n;
        if (!is_same_block(c->rows + block * FMK_EP_ROW, expected, n))
            return block;
    }
    return -1;
}

static const struct published *find_published(int64_t n_pairs)
{
    for (size_t k = 0; k < N_CLASSES; k++)
        if (n_pairs == INT64_C(1) << classes[k].m)
            return &classes[k];
    return NULL;
}

static int is_near(double sum, double published)
{
    return fabs((sum - published) / published) <= MOST_SUM;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_ep_ctx *c = p->ctx;
    const struct published *known = find_published(c->n_pairs);
    const int64_t wrong = find_wrong_block(c, p->n);
    double sum_x = 0.0, sum_y = 0.0;
    for (int64_t k = 0; k < p->n; k++) {
        sum_x += c->rows[k * FMK_EP_ROW];
        sum_y += c->rows[k * FMK_EP_ROW + 1];
    }
    if (wrong >= 0) {
        snprintf(text, cap, "block %" PRId64 " differs from the plain loop", wrong);
        return 1;
    }
    if (known == NULL) {
        snprintf(text, cap, "sampled blocks equal the plain loop; sums %.15e and %.15e", sum_x,
                 sum_y);
        return !(isfinite(sum_x) && isfinite(sum_y));
    }
    const int right = is_near(sum_x, known->sum_x) && is_near(sum_y, known->sum_y);
    snprintf(text, cap, "sums %.15e and %.15e %s those published for class %c (%.15e and %.15e)",
             sum_x, sum_y, right ? "are" : "are NOT", known->name, known->sum_x, known->sum_y);
    return !right;
}

const struct fmk_kernel fmk_kernel_ep = {
    .name = "ep",
    .summary = "pairs of normal random numbers, their sums and counts (NAS Parallel Benchmarks EP)",
    .source = "Bailey et al., The NAS Parallel Benchmarks, RNR-94-007, 1994, section 2.1",
    .cost = "71 flop per pair and 96 bytes per block; all blocks cost the same",
    .result =
        "f8 x 12: sums of x and of y, and pairs with l <= max(|x|, |y|) < l + 1 for l = 0 .. 9",
    .grain = 1,
    .params = {{"class", "S", "S, W, A or B: 2^24, 2^25, 2^28, 2^30 pairs, with published sums"},
               {"m", "0", "2^m pairs, at most 2^44; 0: those of the class"},
               {"block", "65536", "pairs per item"}},
    .range = fmk_ep_range,
    .bind = bind,
    .verify = verify,
};
