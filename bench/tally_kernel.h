/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TALLY_KERNEL_H
#define BENCH_TALLY_KERNEL_H

/*
 * A kernel that does nothing but count its items, so that it can be told afterwards that all were run: what is left is the
 * price of handing a chunk over. Compiled once; the same object file is linked into each variant.
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { BENCH_TALLY_LINES = 2048 };

/* One in a process family: each thread that counts keeps the line that it took first. */
struct bench_tally {
    struct {
        uint64_t n;
        char pad[56]; /* a cache line for each */
    } lines[BENCH_TALLY_LINES];
    uint32_t n_takers; /* atomic */
};

/* Counts items begin .. end-1 in the bench_tally at `ctx`, on the calling thread's line. */
void bench_tally_kernel(int64_t begin, int64_t end, const void *ctx);

/* The count of all lines, which are 0 afterwards. While nobody counts. */
uint64_t bench_tally_take(struct bench_tally *tally);

#ifdef __cplusplus
}
#endif
#endif
