/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SPIN_KERNEL_H
#define BENCH_SPIN_KERNEL_H

/*
 * The kernel of every benchmark that has no kernel of its own: item i costs a given number of steps
 * of integer arithmetic. It is compiled once, and the same object file is linked into each variant.
 */

#include <forkmap/status.h>

struct bench_kernel_ctx {
    const uint32_t *iterations; /* [steps] of item i; 0 is an empty item */
    uint64_t *result;           /* item i adds its value to result[i * stride] */
    int64_t stride;             /* [elements] */
};

/* Items begin .. end-1 of the bench_kernel_ctx at `ctx`. */
FM_API void bench_kernel(int64_t begin, int64_t end, const void *ctx);

#endif
