/* SPDX-License-Identifier: MIT */
/* The trivial items. Operation count 2 per item, traffic 4 [bytes] read (none for a number) and 4 written. */
#include "trivial_kernel.h"

int bench_trivial_row(const void *item, void *result, void *arg)
{
    const struct bench_trivial_ctx *c = arg;
    *(uint32_t *)result = bench_trivial_value(*(const uint32_t *)item, c->salt);
    return 0;
}

int bench_trivial_number(const void *item, void *result, void *arg)
{
    const struct bench_trivial_ctx *c = arg;
    *(uint32_t *)result = bench_trivial_value((uint32_t) * (const int64_t *)item, c->salt);
    return 0;
}

void bench_trivial_kernel(int64_t begin, int64_t end, const void *ctx)
{
    const struct bench_trivial_ctx *c = ctx;
    const uint32_t *restrict in = c->in;
    uint32_t *restrict out = c->out;
    const uint32_t salt = c->salt;
    for (int64_t i = begin; i < end; i++)
        out[i] = bench_trivial_value(in[i], salt);
}

void bench_fill_kernel(int64_t begin, int64_t end, const void *ctx)
{
    const struct bench_fill_ctx *c = ctx;
    double *restrict out = c->out;
    const double value = c->value;
    for (int64_t i = begin; i < end; i++)
        out[i] = value;
}

int bench_trivial_task(const void *arg, void *result)
{
    struct bench_block *block = result;
    *block = *(const struct bench_block *)arg;
    block->words[0]++;
    return 0;
}
