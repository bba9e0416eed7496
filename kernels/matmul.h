/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_MATMUL_H
#define FORKMAP_MATMUL_H

/* The product C = A B whose rows matmul's range function computes. */

#include <stdint.h>

struct fmk_matmul_ctx {
    int64_t n_rows, depth, n_columns; /* A is n_rows x depth, B depth x n_columns */
    const double *a;
    int64_t row_stride, column_stride; /* of A [elements], may be negative */
    const double *b;                   /* packed rows */
    double *c;                         /* packed rows */
};

/* Items [begin, end) of the fmk_matmul_ctx at ctx. */
void fmk_matmul_range(int64_t begin, int64_t end, const void *ctx);

#endif
