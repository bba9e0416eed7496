/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_PI_H
#define FORKMAP_PI_H

/* The quadrature whose blocks pi's range function sums. */

#include <stdint.h>

struct fmk_pi_ctx {
    int64_t n_blocks,
        steps;    /* steps per block; all together below 2^50, so that each midpoint is exact */
    double *sums; /* n_blocks: each block's share of the integral */
};

/* Items [begin, end) of the fmk_pi_ctx at ctx. */
void fmk_pi_range(int64_t begin, int64_t end, const void *ctx);

#endif
