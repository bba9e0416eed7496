/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_HISTOGRAM_H
#define FORKMAP_HISTOGRAM_H

/* The rows of values that histogram's range function counts. */

#include <stdint.h>

struct fmk_histogram_ctx {
    const char *values; /* row i, value k at i * row_stride + k * value_stride [bytes] */
    int64_t row_stride, value_stride;
    int64_t length; /* values per row */
    int64_t bins;
    double low, high;    /* ends of the first and of the last bin */
    const double *edges; /* bins + 1: bin k is [edges[k], edges[k + 1]), the last one has its end */
    int64_t *counts;     /* rows x bins, packed */
};

static inline double fmk_histogram_value(const struct fmk_histogram_ctx *c, int64_t row, int64_t k)
{
    return *(const double *)(const void *)(c->values + row * c->row_stride + k * c->value_stride);
}

/* Items [begin, end) of the fmk_histogram_ctx at ctx. */
void fmk_histogram_range(int64_t begin, int64_t end, const void *ctx);

#endif
