/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_EP_H
#define FORKMAP_EP_H

/* The pairs of random numbers that ep's range function draws. */

#include <stdint.h>

#define FMK_EP_FACTOR UINT64_C(1220703125) /* 5^13 */
#define FMK_EP_SEED   UINT64_C(271828183)
#define FMK_EP_MASK   ((UINT64_C(1) << 46) - 1)
#define FMK_EP_SCALE  0x1p-46

#define FMK_EP_ANNULI 10
#define FMK_EP_ROW    (2 + FMK_EP_ANNULI) /* sum of x, sum of y, counts */

struct fmk_ep_ctx {
    int64_t n_pairs; /* in all */
    int64_t block;   /* pairs per item; the last item may have fewer */
    double *rows;    /* n items x FMK_EP_ROW, packed */
};

/* Items [begin, end) of the fmk_ep_ctx at ctx. */
void fmk_ep_range(int64_t begin, int64_t end, const void *ctx);

#endif
