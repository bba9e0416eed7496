/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_SPMV_H
#define FORKMAP_SPMV_H

/* The product y = A x whose elements spmv's range function computes. */

#include <stdint.h>

/* A is in compressed sparse rows (CSR): entries [starts[i], starts[i + 1]) are those of row i. */
struct fmk_spmv_ctx {
    int64_t n_rows, n_columns, n_entries;
    const int64_t *starts;  /* n_rows + 1 */
    const double *values;   /* n_entries */
    const int32_t *columns; /* n_entries */
    const double *x;        /* n_columns */
    double *y;              /* n_rows */
    int64_t is_generated;   /* 1: spmv_problem.c knows each entry without looking */
};

/* Items [begin, end) of the fmk_spmv_ctx at ctx. */
void fmk_spmv_range(int64_t begin, int64_t end, const void *ctx);

#endif
