/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_TRIAD_H
#define FORKMAP_TRIAD_H

/* The vectors of triad's range function. */

#include <stdint.h>

struct fmk_triad_ctx {
    double *a;                  /* n, packed */
    const char *b, *c;          /* element i at i * stride [bytes] */
    int64_t b_stride, c_stride; /* 8: packed */
    int64_t n;
    double s;
};

/* Items [begin, end) of the fmk_triad_ctx at ctx. */
void fmk_triad_range(int64_t begin, int64_t end, const void *ctx);

#endif
