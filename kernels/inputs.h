/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_INPUTS_H
#define FORKMAP_INPUTS_H

/* Shared by the kernels' problems: inputs that are generated, and inputs from .npy files. */

#include "kernels.h"

/*
 * 64 bits that look random, from two numbers: any element of a generated input can be had by
 * itself, in any order, and is the same on every machine.
 * Source: the output function of SplitMix64; Steele, Lea, Flood, "Fast Splittable Pseudorandom
 * Number Generators", OOPSLA 2014.
 */
static inline uint64_t fmk_bits_at(uint64_t seed, int64_t index)
{
    uint64_t z = (seed << 48) + ((uint64_t)index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A whole number from [0, n); n below 2^32. */
static inline int64_t fmk_below_at(uint64_t seed, int64_t index, int64_t n)
{
    return (int64_t)(((fmk_bits_at(seed, index) >> 32) * (uint64_t)n) >> 32);
}

/* A multiple of 1/256 in [-1, 1): sums of products of them are exact in a double. */
static inline double fmk_fraction_at(uint64_t seed, int64_t index)
{
    return (double)(fmk_below_at(seed, index, 512) - 256) / 256.0;
}

/*
 * Loads the array in the .npy file that parameter `key` names. `dtypes` are those that will do, 0
 * ends them. Another dtype, another number of axes, and a matrix (2 axes) without elements are
 * -EINVAL; else as fm_npy_load().
 */
int fmk_array_load(const char *key, const char *path, int ndim, const fm_dtype *dtypes,
                   fm_array **out);

/* Copies a matrix of any strides into packed rows. */
void fmk_matrix_pack(void *to, const fm_array *a);

#endif
