/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_MANDELBROT_H
#define FORKMAP_MANDELBROT_H

/* The image that mandelbrot's range function computes. */

#include <stdint.h>

struct fmk_mandelbrot_ctx {
    int64_t height, width; /* [pixels] */
    int64_t max_iter;
    double left,
        dx; /* pixel (r, c) stands for the point (left + dx (c + 1/2), bottom + dy (r + 1/2)) */
    double bottom, dy;
    int32_t *counts; /* height x width, packed */
};

/* Items [begin, end) of the fmk_mandelbrot_ctx at ctx. */
void fmk_mandelbrot_range(int64_t begin, int64_t end, const void *ctx);

#endif
