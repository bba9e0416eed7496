/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_KERNEL_LIST_H
#define FORKMAP_KERNEL_LIST_H

/*
 * The shipped kernels, in the order in which they are shown. Each owns its entry, fmk_kernel_NAME in
 * NAME_problem.c. A new kernel is a line here, and one in CMakeLists.txt.
 */

#include "kernels.h"

#define FMK_KERNEL_LIST(X)                                                                         \
    X(blackscholes)                                                                                \
    X(conv2d)                                                                                      \
    X(docking)                                                                                     \
    X(ep)                                                                                          \
    X(histogram)                                                                                   \
    X(kmeans)                                                                                      \
    X(mandelbrot)                                                                                  \
    X(matmul)                                                                                      \
    X(nbody)                                                                                       \
    X(pi)                                                                                          \
    X(primes)                                                                                      \
    X(spectral_norm)                                                                               \
    X(spmv)                                                                                        \
    X(triad)                                                                                       \
    X(xs_lookup)

#define FMK_DECLARE_KERNEL(name) extern const struct fmk_kernel fmk_kernel_##name;
FMK_KERNEL_LIST(FMK_DECLARE_KERNEL)
#undef FMK_DECLARE_KERNEL

#endif
