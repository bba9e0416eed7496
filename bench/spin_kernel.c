/* SPDX-License-Identifier: MIT */
/*
 * An item is a chain of dependent steps of Knuth's 64-bit linear congruential generator: one multiply
 * and one add per step, no memory traffic, the same bits everywhere. The compiler cannot shorten the chain.
 */
#include "spin_kernel.h"

void bench_kernel(int64_t begin, int64_t end, const void *ctx)
{
    const struct bench_kernel_ctx *c = ctx;
    for (int64_t i = begin; i < end; i++) {
        uint64_t x = (uint64_t)i + 1;
        for (uint32_t step = c->iterations[i]; step > 0; step--)
            x = x * 6364136223846793005u + 1442695040888963407u;
        c->result[i * c->stride] += x;
    }
}
