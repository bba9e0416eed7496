/* SPDX-License-Identifier: MIT */

/*
 * triad: a = b + s c for three long vectors. One element is one item; memory decides the time.
 *
 * Source     McCalpin, "Memory Bandwidth and Machine Balance in Current High Performance Computers",
 *            1995: the benchmark STREAM.
 * Work       2 [flop] per element.
 * Traffic    16 [bytes] read and 8 written per element; a processor that reads a line before it writes
 *            it moves 32.
 */

#include "triad.h"

#include "clones.h"

static inline void add_packed(double *restrict a, const double *restrict b,
                              const double *restrict c, double s, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] = b[i] + s * c[i];
}

static inline double element(const char *vector, int64_t stride, int64_t i)
{
    return *(const double *)(const void *)(vector + i * stride);
}

FMK_CLONES void fmk_triad_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_triad_ctx *v = ctx;
    if (v->b_stride == sizeof(double) && v->c_stride == sizeof(double)) {
        add_packed(v->a + begin, (const double *)(const void *)v->b + begin,
                   (const double *)(const void *)v->c + begin, v->s, end - begin);
        return;
    }
    for (int64_t i = begin; i < end; i++)
        v->a[i] = element(v->b, v->b_stride, i) + v->s * element(v->c, v->c_stride, i);
}
