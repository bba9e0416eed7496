/* SPDX-License-Identifier: MIT */

/*
 * conv2d: an image convolved with a filter, in floats. One row of the result is one item; all rows
 * cost the same. The rows above and below that an item needs are read from the shared image itself.
 *
 * Source     discrete convolution; Gonzalez and Woods, "Digital Image Processing", section 3.4. As
 *            scipy.ndimage.convolve: the filter is turned by 180 degrees, the result has the size
 *            of the image.
 * Work       2 [flop] per tap and pixel: 162 per pixel with the default filter of 9 x 9.
 * Traffic    4 [bytes] read and 4 written per pixel; the other rows of the window were read for the
 *            row before and are in a cache.
 *
 * Columns whose window lies inside the image are a loop over WIDTH of them for four taps at a time,
 * which becomes vector instructions of any length: 4 multiplications for 5 loads and a store. The
 * few others are computed one by one.
 *
 * Each pixel is summed over the taps in their order, row by row of the filter, whoever computes it
 * and in whatever range: its bits are always the same.
 */

#include "clones.h"
#include "conv2d.h"

#include <string.h>

#define WIDTH 2048 /* columns, so that five rows of them stay in the first-level cache */

/* Where pixel i of an axis of n is taken from, -1: it is 0. */
static int64_t find_inside(int64_t i, int64_t n, int64_t border)
{
    if (i >= 0 && i < n)
        return i;
    if (border == FMK_CONV2D_EDGE)
        return i < 0 ? 0 : n - 1;
    if (border == FMK_CONV2D_ZERO)
        return -1;
    const int64_t period = border == FMK_CONV2D_WRAP || n == 1 ? n : 2 * n - 2;
    const int64_t k = i % period < 0 ? i % period + period : i % period;
    return k < n ? k : period - k;
}

/* The row of the image that is `shift` below the row. */
static const float *find_row(const struct fmk_conv2d_ctx *c, int64_t row, int64_t shift)
{
    const int64_t inside = find_inside(row + shift, c->height, c->border);
    return inside < 0 ? c->zeros : c->image + inside * c->width;
}

/* What tap t sees of the row when its middle is at `column`. */
static inline const float *find_source(const struct fmk_conv2d_ctx *c, int64_t row, int64_t column,
                                       int64_t t)
{
    const int64_t down = t / c->filter_width, right = t % c->filter_width;
    return find_row(c, row, down - c->filter_height / 2) + column + right - c->filter_width / 2;
}

FMK_INLINE void add_four_taps(float *restrict out, int64_t n, const float *restrict taps,
                              const float *const sources[4])
{
    const float w0 = taps[0], w1 = taps[1], w2 = taps[2], w3 = taps[3];
    const float *restrict s0 = sources[0], *restrict s1 = sources[1];
    const float *restrict s2 = sources[2], *restrict s3 = sources[3];
    for (int64_t j = 0; j < n; j++)
        out[j] = out[j] + w0 * s0[j] + w1 * s1[j] + w2 * s2[j] + w3 * s3[j];
}

FMK_INLINE void add_one_tap(float *restrict out, int64_t n, float w, const float *restrict source)
{
    for (int64_t j = 0; j < n; j++)
        out[j] += w * source[j];
}

/* n pixels from `column` on, whose windows have no column outside. */
FMK_INLINE void filter_inner(const struct fmk_conv2d_ctx *c, int64_t row, int64_t column, int64_t n)
{
    float *out = c->out + row * c->width + column;
    const int64_t n_taps = c->filter_height * c->filter_width;
    int64_t t = 0;
    memset(out, 0, (size_t)n * sizeof *out);
    for (; t + 4 <= n_taps; t += 4) {
        const float *sources[4];
        for (int k = 0; k < 4; k++)
            sources[k] = find_source(c, row, column, t + k);
        add_four_taps(out, n, c->taps + t, sources);
    }
    for (; t < n_taps; t++)
        add_one_tap(out, n, c->taps[t], find_source(c, row, column, t));
}

static float filter_pixel(const struct fmk_conv2d_ctx *c, int64_t row, int64_t column)
{
    const float *tap = c->taps;
    float sum = 0.0F;
    for (int64_t down = 0; down < c->filter_height; down++) {
        const float *source = find_row(c, row, down - c->filter_height / 2);
        for (int64_t right = 0; right < c->filter_width; right++, tap++) {
            const int64_t k =
                find_inside(column + right - c->filter_width / 2, c->width, c->border);
            sum += *tap * (k < 0 ? 0.0F : source[k]);
        }
    }
    return sum;
}

FMK_INLINE void filter_row(const struct fmk_conv2d_ctx *c, int64_t row)
{
    const int64_t margin = c->filter_width / 2, right = c->width - margin;
    float *out = c->out + row * c->width;
    int64_t column = 0;
    for (; column < c->width && column < margin; column++)
        out[column] = filter_pixel(c, row, column);
    for (; column < right; column += WIDTH)
        filter_inner(c, row, column, right - column < WIDTH ? right - column : WIDTH);
    for (column = right > margin ? right : margin; column < c->width; column++)
        out[column] = filter_pixel(c, row, column);
}

FMK_CLONES void fmk_conv2d_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_conv2d_ctx *c = ctx;
    for (int64_t row = begin; row < end; row++)
        filter_row(c, row);
}
