/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_SPECTRAL_NORM_H
#define FORKMAP_SPECTRAL_NORM_H

/* The product of a matrix and a vector whose elements spectral_norm's range function computes. */

#include <stdint.h>

#define FMK_SPECTRAL_NORM_LANES 32 /* elements of a row that are summed side by side */

struct fmk_spectral_norm_ctx {
    int64_t n;        /* rows and columns of the matrix */
    int64_t n_padded; /* the next multiple of the lanes */
    int64_t is_transposed;
    const double *x; /* n_padded; those from n on are 0 */
    double *y;       /* n */
};

/* Items [begin, end) of the fmk_spectral_norm_ctx at ctx. */
void fmk_spectral_norm_range(int64_t begin, int64_t end, const void *ctx);

#endif
