/* SPDX-License-Identifier: MIT */
#ifndef FMI_FOLD_H
#define FMI_FOLD_H

/*
 * The operations of reductions, without pools: rows are added to a state one after the other, states are merged, and a state gives
 * a result. What a state says depends on the rows that were added and their order only, not on how many were added at once.
 *
 *   begin -> add, add, ... -> close -> merge, merge, ... -> get
 */

#include "array.h"

#include <forkmap/reduce.h>

/*
 * A state; `values` by operation, [8] a lane each (lanes.h):
 *   sum, product, extremes   wide [8]; complex sums: [2][8]
 *   compensated              double sum [8], rest [8]; complex: [2][2][8]
 *   argmin, argmax           wide; `item`
 *   moments                  double mean [8], m2 [8]
 *   histogram                int64_t [bins + 3]
 *   combine                  a row
 */
struct fmi_fold_state {
    int64_t n;    /* rows added */
    int64_t item; /* argmin, argmax */
    alignas(64) char values[];
};

/* What is to be done. Copied into shared memory, where only workers read it. */
struct fmi_fold {
    int op;
    int kind; /* wide type of the values (widen.h); 0: rows of bytes */
    int n_parts;
    int is_compensated;
    fm_dtype dtype;        /* of the rows */
    fm_dtype result_dtype; /* of sums, products, extremes and rows; else 0 */
    size_t row_bytes;
    size_t result_bytes;
    size_t state_bytes; /* a multiple of 64 */
    int64_t bins;
    double lo, hi;
    fm_combine_fn *combine; /* in this process */
    void *arg;
    const void *identity;
};

/* Consecutive rows. */
struct fmi_fold_rows {
    const char *data;
    int64_t stride;
    int64_t item; /* number of the first */
    int64_t n;
    const uint8_t *status; /* NULL, or of each: rows that are not FM_ITEM_DONE are passed over */
    int64_t status_stride;
    const struct fmi_array_view
        *view; /* of the array, whose rows have gaps; NULL: they have none */
};

/* Checks operation, options and rows. 0, -EINVAL (detail). */
int fmi_fold_prepare(struct fmi_fold *fold, int op, const struct fmi_array_view *rows,
                     const fm_reduce_opts *o);

void fmi_fold_begin(const struct fmi_fold *fold, struct fmi_fold_state *s);
/* 0, -ENOMEM, or what `combine` returned: the state is of no use then. */
int fmi_fold_add(const struct fmi_fold *fold, struct fmi_fold_state *s,
                 const struct fmi_fold_rows *rows);
/* No more rows are added. */
void fmi_fold_close(const struct fmi_fold *fold, struct fmi_fold_state *s);
/* `from`, of later items, into `into`; both closed. 0, or what `combine` returned. */
int fmi_fold_merge(const struct fmi_fold *fold, struct fmi_fold_state *into,
                   const struct fmi_fold_state *from);
/* The result, result_bytes of it. 0; -ENODATA. */
int fmi_fold_get(const struct fmi_fold *fold, const struct fmi_fold_state *s, void *result);

#endif
