/* SPDX-License-Identifier: MIT */
#ifndef T_REDUCE_H
#define T_REDUCE_H

/* The serial references of the reduction tests, written from what reduce.h and engine/README.md promise, and their data. */
#include "t_pool.h"

#include <math.h>
#include <stdlib.h>

enum { T_BLOCK = 4096, T_LANES = 8 }; /* of arrays below 67 million rows */

static const int t_worker_counts[] = {1, 2, 3, 5, 8};
/* Around the borders of lanes, batches and blocks. */
static const int64_t t_sizes[] = {1, 7, 8, 9, 255, 257, 4095, 4096, 4097, 8192, 8193, 20481, 65537};

static inline uint64_t t_mix(uint64_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* Doubles of many magnitudes and both signs, so that another order gives other bits. */
static inline double t_real(int64_t i)
{
    uint64_t bits = t_mix((uint64_t)i);
    return ldexp((double)(int64_t)bits / 9.2e18, (int)(bits % 40));
}

static inline fm_array *t_reals(int64_t n)
{
    fm_array *a = t_vector(FM_F64, n);
    double *x = fm_array_data(a);
    for (int64_t i = 0; i < n; i++)
        x[i] = t_real(i);
    return a;
}

static inline double t_sum_of_block(const double *x, int64_t n)
{
    double lane[T_LANES] = {0};
    for (int64_t k = 0; k < n; k++)
        lane[k % T_LANES] += x[k];
    for (int half = T_LANES / 2; half > 0; half /= 2)
        for (int j = 0; j < half; j++)
            lane[j] += lane[j + half];
    return lane[0];
}

/* Eight lanes in a block, and a binary tree over blocks. */
static inline double t_sum(const double *x, int64_t n)
{
    int64_t n_blocks = (n + T_BLOCK - 1) / T_BLOCK;
    double *sums = calloc((size_t)n_blocks + 1, sizeof *sums), sum;
    for (int64_t b = 0; b < n_blocks; b++)
        sums[b] =
            t_sum_of_block(x + b * T_BLOCK, n - b * T_BLOCK < T_BLOCK ? n - b * T_BLOCK : T_BLOCK);
    for (int64_t step = 1; step < n_blocks; step *= 2)
        for (int64_t b = 0; b + step < n_blocks; b += 2 * step)
            sums[b] += sums[b + step];
    sum = sums[0];
    free(sums);
    return sum;
}

/* x -> a x + b modulo 2^64: to apply one after the other is associative, and not commutative. */
struct t_affine {
    uint64_t a, b;
};
#define T_IDENTITY (&(const struct t_affine){1, 0})

static inline struct t_affine t_affine_of(int64_t i)
{
    return (struct t_affine){t_mix((uint64_t)i) | 1, t_mix((uint64_t)i + 77)};
}

static inline struct t_affine t_then(struct t_affine first, struct t_affine second)
{
    return (struct t_affine){second.a * first.a, second.a * first.b + second.b};
}

static inline fm_array *t_affines(int64_t n)
{
    fm_array *a = t_vector(FM_STRUCT(sizeof(struct t_affine)), n);
    for (int64_t i = 0; i < n; i++)
        ((struct t_affine *)fm_array_data(a))[i] = t_affine_of(i);
    return a;
}

static inline struct t_affine t_all_affines(int64_t n)
{
    struct t_affine all = {1, 0};
    for (int64_t i = 0; i < n; i++)
        all = t_then(all, t_affine_of(i));
    return all;
}

/* `from` follows `into`. */
static inline int t_combine_affine(void *into, const void *from, void *arg)
{
    struct t_affine *all = into;
    (void)arg;
    *all = t_then(*all, *(const struct t_affine *)from);
    return 0;
}

#define t_same_bits(a, b) assert_memory_equal(&(a), &(b), sizeof(a))

#endif
