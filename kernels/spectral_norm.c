/* SPDX-License-Identifier: MIT */

/*
 * spectral_norm: the power method for the largest singular value of the infinite matrix with the
 * elements A(i, j) = 1 / ((i + j)(i + j + 1) / 2 + i + 1), cut to n rows and columns. A pass is one
 * product with a vector, by A or by its transpose; a row of it is one item, and all cost the same.
 *
 * Source     The Computer Language Benchmarks Game, spectral-norm; the matrix: Trefethen, "The
 *            SIAM Hundred-Dollar, Hundred-Digit Challenge", SIAM News 35 (2002), problem 3.
 * Work       7 [flop] per element of the matrix, one of them a division; 28 n^2 for a step of four
 *            passes.
 * Traffic    8 n [bytes] read per row, from the first or second cache, and 8 written.
 *
 * The elements are whole numbers below 2^53 until they are divided by, hence exact. With t = i + j
 * those of the transpose are t (t + 1) / 2 + j + 1 = (t + 1)(t + 2) / 2 - i: the same loop, from one
 * further on. Elements of a row are lanes; their sums are folded in a fixed order at its end.
 */

#include "clones.h"
#include "spectral_norm.h"

#define LANES FMK_SPECTRAL_NORM_LANES

static inline double fold(double *lanes)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lanes[l] += lanes[l + half];
    return lanes[0];
}

/* Sum of x[j] / (t (t + 1) / 2 + offset) over all j, with t = first + j. */
FMK_INLINE double multiply_row(int64_t n_padded, double first, double offset,
                               const double *restrict x)
{
    double t[LANES], sum[LANES];
    for (int l = 0; l < LANES; l++) {
        t[l] = first + (double)l;
        sum[l] = 0.0;
    }
    for (int64_t j = 0; j < n_padded; j += LANES)
        for (int l = 0; l < LANES; l++) {
            sum[l] += x[j + l] / (t[l] * (t[l] + 1.0) * 0.5 + offset);
            t[l] += (double)LANES;
        }
    return fold(sum);
}

FMK_CLONES void fmk_spectral_norm_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_spectral_norm_ctx *c = ctx;
    for (int64_t i = begin; i < end; i++) {
        const double row = (double)i;
        c->y[i] = c->is_transposed ? multiply_row(c->n_padded, row + 1.0, -row, c->x)
                                   : multiply_row(c->n_padded, row, row + 1.0, c->x);
    }
}
