/* SPDX-License-Identifier: MIT */

/*
 * pi: the integral of 4 / (1 + x^2) over [0, 1] by the midpoint rule. One block of steps is one
 * item, and its result that block's share; all items cost the same.
 *
 * Source     Quinn, "Parallel Programming in C with MPI and OpenMP", 2003, section 17; the first
 *            program of many courses. The error of the midpoint rule is at most h^2 / 3 per unit of
 *            x, as |f''| <= 8.
 * Work       6 [flop] per step, one of them a division: 6 x steps per item.
 * Traffic    nothing read, 8 [bytes] written per item.
 *
 * The division decides the time: longer vectors than the plainest were no faster, so there are no
 * clones.
 *
 * Each block is summed in LANES partial sums, folded in a fixed order at its end. The order belongs
 * to the block, not to the range that it is computed in, so a block's bits are always the same.
 */

#include "pi.h"

/* With 16 the compiler unrolls the loops over lanes before it could vectorise them. */
#define LANES 32

static inline double sum_block(int64_t first, int64_t steps, double h)
{
    double at[LANES], sum[LANES];
    for (int l = 0; l < LANES; l++) {
        at[l] = (double)first + ((double)l + 0.5); /* exact: halves below 2^51 */
        sum[l] = 0.0;
    }
    int64_t done = 0;
    for (; done + LANES <= steps; done += LANES)
        for (int l = 0; l < LANES; l++) {
            const double x = at[l] * h;
            sum[l] += 4.0 / (1.0 + x * x);
            at[l] += LANES;
        }
    for (int l = 0; done + l < steps; l++) {
        const double x = at[l] * h;
        sum[l] += 4.0 / (1.0 + x * x);
    }
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            sum[l] += sum[l + half];
    return h * sum[0];
}

void fmk_pi_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_pi_ctx *c = ctx;
    const double h = 1.0 / (double)(c->n_blocks * c->steps);
    for (int64_t block = begin; block < end; block++)
        c->sums[block] = sum_block(block * c->steps, c->steps, h);
}
