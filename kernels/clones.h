/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_CLONES_H
#define FORKMAP_CLONES_H

/*
 * FMK_CLONES in front of a function: the compiler makes it once per vector length, and the loader
 * takes the one that the processor has. Every clone gives the same bits, because the kernels are
 * compiled without contraction to fused multiply-add.
 *
 * Not under sanitizers: the loader chooses before their run-time library is ready.
 */

#include <features.h> /* __GLIBC__: its loader is the one that can choose */

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&       \
    !defined(FMK_NO_CLONES)
#if __GNUC__ >= 12
#define FMK_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif
#endif
#ifndef FMK_CLONES
#define FMK_CLONES
#endif

/*
 * In front of a larger function that one with clones calls: it becomes part of each clone. Left
 * alone, with the shortest vectors, the compiler would make it once for all of them.
 */
#define FMK_INLINE static inline __attribute__((always_inline))

#endif
