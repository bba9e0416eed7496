/* SPDX-License-Identifier: MIT */

/*
 * histogram: how many values of a row fall into each of some bins of equal width. One row is one item
 * and has a histogram of its own, so no two processes ever count in the same place; the sum over the
 * rows is the histogram of all.
 *
 * Source     numpy.histogram (NumPy reference, "Statistics"), whose bins these are: each has its lower
 *            edge, the last one both, and values outside are not counted.
 * Work       2 [flop], 4 comparisons and an addition of integers per value.
 * Traffic    8 [bytes] read per value, 8 x bins written per row.
 *
 * The bin is guessed by a product, and put right by the edges: rounding near an edge would else
 * decide. The guesses of a batch of values are one loop, which becomes vector instructions; the
 * counting is not one.
 */

#include "histogram.h"

#include "clones.h"

#include <string.h>

#define BATCH 64

/* Bins of n values from `first` on; those outside get the number `bins`, whose count is dropped. */
static inline void guess_bins(const struct fmk_histogram_ctx *c, int64_t row, int64_t first,
                              int64_t n, double *restrict values, int32_t *restrict guesses)
{
    const double scale = (double)c->bins / (c->high - c->low), last = (double)(c->bins - 1);
    for (int64_t k = 0; k < n; k++)
        values[k] = fmk_histogram_value(c, row, first + k);
    for (int64_t k = 0; k < n; k++) {
        const double position = (values[k] - c->low) * scale;
        const double below = position < last ? position : last;
        const int is_in = (values[k] >= c->low) & (values[k] <= c->high);
        guesses[k] = (int32_t)(is_in ? below : (double)c->bins);
    }
}

static inline void count_row(const struct fmk_histogram_ctx *c, int64_t row, int64_t *counts)
{
    const int32_t bins = (int32_t)c->bins;
    double values[BATCH];
    int32_t guesses[BATCH];
    memset(counts, 0, (size_t)c->bins * sizeof *counts);
    for (int64_t first = 0; first < c->length; first += BATCH) {
        const int64_t left = c->length - first, n = left < BATCH ? left : BATCH;
        guess_bins(c, row, first, n, values, guesses);
        for (int64_t k = 0; k < n; k++) {
            int32_t bin = guesses[k];
            if (bin == bins)
                continue;
            bin -= values[k] < c->edges[bin];
            bin += (values[k] >= c->edges[bin + 1]) & (bin + 1 < bins);
            counts[bin]++;
        }
    }
}

FMK_CLONES void fmk_histogram_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_histogram_ctx *c = ctx;
    for (int64_t row = begin; row < end; row++)
        count_row(c, row, c->counts + row * c->bins);
}
