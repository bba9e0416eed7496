/* SPDX-License-Identifier: MIT */
/* A library for test_module.c, built several times with another FACTOR. */
#include <forkmap/reduce.h>

fm_item_fn scale;
fm_item_fn *scale_hidden(void);
fm_chunk_fn scale_chunk;
fm_combine_fn add_modulo;
fm_task_fn scale_task;

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int scale(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item * FACTOR;
    return 0;
}

EXPORTED int scale_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t number = chunk->begin + r;
        scale(&number, (char *)chunk->out + r * chunk->out_stride, arg);
    }
    return 0;
}

EXPORTED int add_modulo(void *into, const void *from, void *arg)
{
    (void)arg;
    *(int64_t *)into = (*(int64_t *)into + *(const int64_t *)from) % (1000 + FACTOR);
    return 0;
}

EXPORTED int scale_task(const void *arg, void *result)
{
    return scale(arg, result, NULL);
}

static int n_calls; /* private to each process */

static int scale_and_count(const void *item, void *result, void *arg)
{
    n_calls++;
    return scale(item, result, arg);
}

/* A function without a name that a linker knows. */
EXPORTED fm_item_fn *scale_hidden(void)
{
    return scale_and_count;
}
