/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ITEMS_H
#define BENCH_ITEMS_H

/*
 * Tables of item costs for the balance benchmark: the same numbers in every process that asks with the same
 * arguments. Exported, so that the Python peer fills the same tables through ctypes.
 */

#include <forkmap/status.h>

/* Steps of bench_kernel per microsecond on this machine, by its shortest run of a few. */
FM_API double bench_items_calibrate(void);

/*
 * Fills the costs [steps of bench_kernel] of n items of a distribution: "triangular", "reversed",
 * "lognormal", "pareto-1.5", "one-giant". An item costs 1 us to 10 ms. Returns 0 or -EINVAL.
 */
FM_API int bench_items_fill(uint32_t *iterations, int64_t n, const char *name, double steps_per_us);

/* FNV-1a over n words: equal results have equal sums in every engine. */
FM_API uint64_t bench_items_checksum(const uint32_t *words, int64_t n);

#endif
