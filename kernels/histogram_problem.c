/* SPDX-License-Identifier: MIT */

/*
 * histogram's problem: rows of values in the shape of a bell, or the caller's, and the check that looks
 * for each value's bin by halving.
 */

#include "histogram.h"
#include "inputs.h"
#include "kernel_list.h"
#include "params.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_BINS (1 << 20)

/* The sum of four numbers in [-2, 2): nearly normal, between -8 and 8. */
static double make_value(int64_t number)
{
    uint64_t bits = fmk_bits_at(0, number);
    double sum = 0.0;
    for (int k = 0; k < 4; k++, bits >>= 16)
        sum += (double)(bits & 0xffff) * 0x1p-14 - 2.0;
    return sum;
}

static int make_rows(const struct fmk_param *params, fm_array **columns)
{
    int64_t n, length;
    int e = fmk_param_int(params, "n", 0, INT32_MAX, &n);
    if (e == 0)
        e = fmk_param_int(params, "length", 1, INT32_MAX, &length);
    if (e == 0)
        e = fm_array_create(&columns[0], FM_F64, 2, (int64_t[]){n, length}, NULL);
    if (e != 0)
        return e;
    double *values = fm_array_data(columns[0]);
    for (int64_t i = 0; i < n * length; i++)
        values[i] = make_value(i);
    return 0;
}

static int read_bins(struct fmk_histogram_ctx *c, const struct fmk_param *params)
{
    int e = fmk_param_int(params, "bins", 1, MOST_BINS, &c->bins);
    if (e == 0)
        e = fmk_param_real(params, "low", &c->low);
    if (e == 0)
        e = fmk_param_real(params, "high", &c->high);
    if (e == 0 && !(c->low < c->high))
        e = fmk_error(-EINVAL, "low=%g is not below high=%g", c->low, c->high);
    return e;
}

/* Edges that rounding makes equal would be bins without width. */
static int set_edges(struct fmk_histogram_ctx *c, double *edges)
{
    const double width = (c->high - c->low) / (double)c->bins;
    for (int64_t k = 0; k < c->bins; k++)
        edges[k] = c->low + (double)k * width;
    edges[c->bins] = c->high;
    c->edges = edges;
    for (int64_t k = 0; k < c->bins; k++)
        if (!(edges[k] < edges[k + 1] && width >= 1e-300 && width <= 1e300))
            return fmk_error(-EINVAL,
                             "low=%g and high=%g: too near or too far for %" PRId64 " bins", c->low,
                             c->high, c->bins);
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_histogram_ctx c;
    int e = read_bins(&c, params);
    if (e == 0)
        e = fm_array_create(&p->out, FM_I64, 2, (int64_t[]){p->n, c.bins}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c + ((size_t)c.bins + 1) * sizeof(double));
    if (e == 0)
        e = set_edges(&c, (double *)(void *)((char *)p->ctx + sizeof c));
    if (e != 0)
        return e;
    c.values = fm_array_data(p->columns[0]);
    c.row_stride = fm_array_strides(p->columns[0])[0];
    c.value_stride = fm_array_strides(p->columns[0])[1];
    c.length = fm_array_shape(p->columns[0])[1];
    c.counts = fm_array_data(p->out);
    *(struct fmk_histogram_ctx *)p->ctx = c;
    return 0;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

/* The first edge that is not where it should be, as a mean of both ends; -1: all are. The counts are compared by these edges. */
static int64_t find_wrong_edge(const struct fmk_histogram_ctx *c)
{
    const double allowed = 8.0 * DBL_EPSILON * fmax(fabs(c->low), fabs(c->high));
    for (int64_t k = 0; k <= c->bins; k++) {
        const double part = (double)k / (double)c->bins;
        if (!(fabs(c->edges[k] - (c->low * (1.0 - part) + c->high * part)) <= allowed))
            return k;
    }
    return -1;
}

/* The bin whose edges enclose the value, -1 if none does. */
static int64_t find_bin(const struct fmk_histogram_ctx *c, double value)
{
    int64_t from = 0, to = c->bins;
    if (!(value >= c->low && value <= c->high))
        return -1;
    while (to - from > 1) {
        const int64_t middle = from + (to - from) / 2;
        if (value >= c->edges[middle])
            from = middle;
        else
            to = middle;
    }
    return from;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_histogram_ctx *c = p->ctx;
    const size_t row_bytes = (size_t)c->bins * sizeof(int64_t);
    const int64_t wrong_edge = find_wrong_edge(c);
    if (wrong_edge >= 0) {
        snprintf(text, cap, "edge %" PRId64 " is %.17g, not that of a bin of equal width",
                 wrong_edge, c->edges[wrong_edge]);
        return 1;
    }
    int64_t *expected = malloc(row_bytes);
    int64_t n_in = 0;
    if (expected == NULL)
        return -ENOMEM;
    for (int64_t row = 0; row < p->n; row++) {
        memset(expected, 0, row_bytes);
        for (int64_t k = 0; k < c->length; k++) {
            const int64_t bin = find_bin(c, fmk_histogram_value(c, row, k));
            if (bin >= 0)
                expected[bin]++;
            n_in += bin >= 0;
        }
        if (memcmp(expected, c->counts + row * c->bins, row_bytes) == 0)
            continue;
        snprintf(text, cap, "the histogram of row %" PRId64 " differs from a count by halving",
                 row);
        free(expected);
        return 1;
    }
    free(expected);
    snprintf(text, cap,
             "%" PRId64 " values counted again by halving: equal; %" PRId64 " are in a bin",
             p->n * c->length, n_in);
    return 0;
}

const struct fmk_kernel fmk_kernel_histogram = {
    .name = "histogram",
    .summary = "a histogram of each row of values, in bins of equal width",
    .source = "numpy.histogram, whose bins these are",
    .cost = "2 flop and 8 bytes per value, and 8 bytes per bin and row; all rows cost the same",
    .result = "i8 x bins: values of the row in each bin",
    .n_columns = 1,
    .grain = 1,
    .columns = {{.name = "values", .dtype = FM_F64, .row_ndim = 1, .row_shape = {FMK_ANY_LENGTH}}},
    .params = {{"n", "4096", "rows of the default input"},
               {"length", "4096", "values per row of the default input"},
               {"bins", "256", "bins"},
               {"low", "-8", "lower edge of the first bin"},
               {"high", "8", "upper edge of the last bin, which belongs to it"}},
    .range = fmk_histogram_range,
    .default_input = make_rows,
    .bind = bind,
    .verify = verify,
};
