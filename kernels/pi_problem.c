/* SPDX-License-Identifier: MIT */

/*
 * pi's problem: the blocks from the parameters, and the check against arc tangents and pi itself.
 */

#include "kernel_list.h"
#include "params.h"
#include "pi.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_pi_ctx c = {.n_blocks = p->n};
    int e = fmk_param_int(params, "steps", 1, INT64_C(1) << 40, &c.steps);
    if (e == 0 && c.n_blocks > (INT64_C(1) << 50) / c.steps)
        e = fmk_error(-EINVAL, "%" PRId64 " blocks of %" PRId64 " steps: more than 2^50 in all",
                      c.n_blocks, c.steps);
    if (e == 0)
        e = fm_array_create(&p->out, FM_F64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c);
    if (e != 0)
        return e;
    c.sums = fm_array_data(p->out);
    *(struct fmk_pi_ctx *)p->ctx = c;
    return 0;
}

/*
 * Each block against its own integral, 4 (atan b - atan a), and the sum in block order against pi.
 * Allowed per unit of x: h^2 / 3 for the midpoint rule, and 1e-10 for rounding, seen to be below
 * 1e-13.
 */
static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_pi_ctx *c = p->ctx;
    const double h = 1.0 / ((double)c->n_blocks * (double)c->steps);
    const double width = h * (double)c->steps, allowed = h * h / 3.0 + 1e-10;
    double sum = 0.0;
    if (c->n_blocks == 0) {
        snprintf(text, cap, "no blocks, nothing to compare");
        return 2;
    }
    for (int64_t k = 0; k < c->n_blocks; k++) {
        const double from = 4.0 * atan((double)k * width), to = 4.0 * atan((double)(k + 1) * width);
        /* The difference of the arc tangents is itself only good to the last bits of pi. */
        if (!(fabs(c->sums[k] - (to - from)) <= allowed * width + 4e-15)) {
            snprintf(text, cap, "block %" PRId64 " is %.17g, its integral %.17g", k, c->sums[k],
                     to - from);
            return 1;
        }
        sum += c->sums[k];
    }
    snprintf(text, cap, "%" PRId64 " blocks right; their sum is %.15f, pi %+.1e", c->n_blocks, sum,
             sum - M_PI);
    return !(fabs(sum - M_PI) <= allowed);
}

const struct fmk_kernel fmk_kernel_pi = {
    .name = "pi",
    .summary = "integral of 4 / (1 + x^2) over [0, 1], a block of midpoints per item",
    .source = "midpoint rule; Quinn, Parallel Programming in C, 2003, section 17",
    .cost = "6 flop per step and 8 bytes per block; all blocks cost the same",
    .result = "f8: the block's share of pi",
    .grain = 1,
    .params = {{"n", "4096", "blocks"}, {"steps", "65536", "midpoints per block"}},
    .range = fmk_pi_range,
    .bind = bind,
    .verify = verify,
};
