/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_PRIMES_H
#define FORKMAP_PRIMES_H

/* The blocks of numbers that primes' range function looks through. */

#include <stdint.h>

struct fmk_primes_ctx {
    int64_t n_blocks, block; /* block k has the numbers k * block + 1 .. (k + 1) * block < 2^32 */
    int64_t *counts;         /* n_blocks: primes in each */
};

/* Items [begin, end) of the fmk_primes_ctx at ctx. */
void fmk_primes_range(int64_t begin, int64_t end, const void *ctx);

#endif
