/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_CONV2D_H
#define FORKMAP_CONV2D_H

/* The filtered image whose rows conv2d's range function computes. */

#include <stdint.h>

/* What lies beyond the image; the names are those of numpy.pad, zero is its "constant". */
enum fmk_conv2d_border {
    FMK_CONV2D_EDGE = 1,    /* aaa|abcd|ddd */
    FMK_CONV2D_REFLECT = 2, /* dcb|abcd|cba */
    FMK_CONV2D_WRAP = 3,    /* bcd|abcd|abc */
    FMK_CONV2D_ZERO = 4     /* 000|abcd|000 */
};

struct fmk_conv2d_ctx {
    int64_t height, width;               /* [pixels] */
    int64_t filter_height, filter_width; /* odd */
    const float *taps;                   /* the filter, turned by 180 degrees; packed rows */
    const float *image;                  /* packed rows */
    const float *zeros;                  /* a row beyond the image when the border is zero */
    float *out;                          /* packed rows */
    int64_t border;                      /* an fmk_conv2d_border */
};

/* Items [begin, end) of the fmk_conv2d_ctx at ctx. */
void fmk_conv2d_range(int64_t begin, int64_t end, const void *ctx);

#endif
