/* SPDX-License-Identifier: MIT */

/*
 * spmv: y = A x for a sparse matrix, in doubles. One element of y is one item; items cost as
 * different as the rows are long.
 *
 * Source     the CSR loop of Barrett et al., "Templates for the Solution of Linear Systems", SIAM
 *            1994, section 4.3.2; load balance of irregular rows: Williams et al., "Optimization of
 *            Sparse Matrix-Vector Multiplication on Emerging Multicore Platforms", SC 2007.
 * Work       2 [flop] per entry.
 * Traffic    12 [bytes] per entry, and an element of x from anywhere; 8 read and 8 written per
 *            row. Memory decides the time.
 *
 * A row is summed in the order of its entries. Four or eight sums at a time, with gather
 * instructions or without, took longer (0.040 to 0.060 s against 0.026 to 0.038 s for 16.9 x 10^6
 * entries on an EPYC): most rows are short, and the elements of x are waited for either way.
 */

#include "spmv.h"

static double multiply_row(int64_t n, const double *restrict values,
                           const int32_t *restrict columns, const double *restrict x)
{
    double sum = 0.0;
    for (int64_t e = 0; e < n; e++)
        sum += values[e] * x[columns[e]];
    return sum;
}

void fmk_spmv_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_spmv_ctx *c = ctx;
    for (int64_t row = begin; row < end; row++) {
        const int64_t first = c->starts[row];
        c->y[row] =
            multiply_row(c->starts[row + 1] - first, c->values + first, c->columns + first, c->x);
    }
}
