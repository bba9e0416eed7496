/* SPDX-License-Identifier: MIT */

/*
 * ep ("embarrassingly parallel"): pairs of normally distributed random numbers, their sums, and how
 * many fall into each square annulus l <= max(|x|, |y|) < l + 1. One block of pairs is one item.
 *
 * Source     NAS Parallel Benchmarks: Bailey et al., "The NAS Parallel Benchmarks", RNR-94-007,
 *            1994, section 2.1. Random numbers: x <- 5^13 x mod 2^46, from 271828183; pairs in the unit
 *            circle become normal by Marsaglia's polar method (Marsaglia, Bray 1964).
 * Work       71 [flop] per pair, of which 79 in 100 are accepted: 9 to draw it, 35 for a logarithm, a
 *            division and a square root, 7 for x and y, 20 to count; and 2 products of integers.
 * Traffic    nothing read, 96 [bytes] written per block.
 *
 * Pairs are lanes: lane l of LANES draws pairs l, l + LANES, ... of the block, since a generator that
 * multiplies by a can as well jump, by a^(2 LANES). Pairs that are not accepted stay in the loops
 * with the weight 0. The lanes' sums are folded in a fixed order at the block's end: its bits do not
 * depend on the range that it is computed in.
 */

#include "ep.h"

#include "clones.h"
#include "lane_math.h"

#include <math.h>

#define LANES 32

struct lanes {
    uint64_t state[LANES]; /* the next pair's first number */
    double x[LANES], y[LANES], largest[LANES];
    double sum_x[LANES], sum_y[LANES];
    double beyond[FMK_EP_ANNULI][LANES]; /* pairs with l <= max(|x|, |y|) */
};

/* base^n mod 2^64, of which the low 46 bits count. */
static inline uint64_t power(uint64_t base, uint64_t n)
{
    uint64_t result = 1;
    for (; n > 0; n >>= 1, base *= base)
        if (n & 1)
            result *= base;
    return result;
}

static inline void start_lanes(struct lanes *v, int64_t first_pair)
{
    *v = (struct lanes){.state = {0}};
    for (int l = 0; l < LANES; l++)
        v->state[l] = FMK_EP_SEED * power(FMK_EP_FACTOR, 2 * (uint64_t)(first_pair + l) + 1);
}

/* Draws a pair per lane: x and y, and -1 as `largest` of those that do not count. */
static inline void draw_lanes(struct lanes *v, uint64_t jump, int64_t n)
{
    for (int l = 0; l < LANES; l++) {
        const uint64_t first = v->state[l] & FMK_EP_MASK;
        const uint64_t second = first * FMK_EP_FACTOR & FMK_EP_MASK;
        const double x = 2.0 * FMK_EP_SCALE * fmk_small_whole(first) - 1.0;
        const double y = 2.0 * FMK_EP_SCALE * fmk_small_whole(second) - 1.0;
        const double t = x * x + y * y;
        const int is_in = (t <= 1.0) & (l < n);
        const double factor = is_in ? sqrt(-2.0 * fmk_log(t) / t) : 0.0;
        const double far_x = fabs(x * factor), far_y = fabs(y * factor);
        v->x[l] = x * factor;
        v->y[l] = y * factor;
        v->largest[l] = is_in ? (far_x > far_y ? far_x : far_y) : -1.0;
        v->state[l] = first * jump;
    }
}

static inline void add_lanes(struct lanes *v)
{
    for (int l = 0; l < LANES; l++) {
        v->sum_x[l] += v->x[l];
        v->sum_y[l] += v->y[l];
    }
    for (int k = 0; k < FMK_EP_ANNULI; k++)
        for (int l = 0; l < LANES; l++)
            v->beyond[k][l] += v->largest[l] >= (double)k ? 1.0 : 0.0;
}

static inline double fold(double *lanes)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

static inline void finish_lanes(struct lanes *v, double *row)
{
    double farther = 0.0;
    row[0] = fold(v->sum_x);
    row[1] = fold(v->sum_y);
    for (int k = FMK_EP_ANNULI - 1; k >= 0; k--) {
        const double from_here = fold(v->beyond[k]);
        row[2 + k] = from_here - farther;
        farther = from_here;
    }
}

FMK_CLONES void fmk_ep_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_ep_ctx *c = ctx;
    const uint64_t jump = power(FMK_EP_FACTOR, 2 * LANES);
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item * c->block, left = c->n_pairs - first;
        const int64_t n = left < c->block ? left : c->block;
        struct lanes v;
        start_lanes(&v, first);
        for (int64_t done = 0; done < n; done += LANES) {
            draw_lanes(&v, jump, n - done);
            add_lanes(&v);
        }
        finish_lanes(&v, c->rows + item * FMK_EP_ROW);
    }
}
