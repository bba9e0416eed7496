/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRIVIAL_KERNEL_H
#define BENCH_TRIVIAL_KERNEL_H

/*
 * Items that cost next to nothing, in the forms in which they are handed over: what is left is the price of the
 * handing over. Compiled once; the same object file is linked into each variant.
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench_trivial_ctx {
    const uint32_t *in;
    uint32_t *out;
    uint32_t salt; /* another one in each run: a row that was not written is noticed */
};

/* One multiply and one add. */
static inline uint32_t bench_trivial_value(uint32_t x, uint32_t salt)
{
    return x * 2654435761u + salt;
}

typedef int bench_item_fn(const void *item, void *result, void *arg);

/* Item functions, arg: the ctx. Of a row, a uint32_t; of a number, an int64_t. The result is a uint32_t. */
bench_item_fn bench_trivial_row, bench_trivial_number;

/* Rows begin .. end-1 of the bench_trivial_ctx at `ctx`. */
void bench_trivial_kernel(int64_t begin, int64_t end, const void *ctx);

struct bench_fill_ctx {
    double *out;
    double value;
};

/* Writes elements begin .. end-1. */
void bench_fill_kernel(int64_t begin, int64_t end, const void *ctx);

/* What these kernels are to those who call them. */
typedef void bench_range_fn(int64_t begin, int64_t end, const void *ctx);

struct bench_block { /* argument and result of a task: 64 bytes */
    uint64_t words[8];
};

/* Task function: the result is its argument, the first word plus 1. */
int bench_trivial_task(const void *arg, void *result);

#ifdef __cplusplus
}
#endif
#endif
