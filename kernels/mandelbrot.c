/* SPDX-License-Identifier: MIT */

/*
 * mandelbrot: how many steps of z <- z^2 + c each pixel's c survives with |z| <= 2. One row is one
 * item, and rows cost very different amounts: the load balance of the schedules shows.
 *
 * Source     Douady and Hubbard's escape-time picture of the Mandelbrot set; the usual test for
 *            schedules (OpenMP Examples, "loop schedules").
 * Work       8 [flop] per step and pixel: width x mean count x 8 per row; from 2 steps per
 *            pixel at the edge of the default picture to 570 in the middle.
 * Traffic    nothing read, 4 x width [bytes] written per row.
 *
 * Neighbouring pixels are lanes of one loop. A lane that has left stays in it, with its count
 * frozen, until all have left; that is looked at every STEPS steps only. Each lane does just what
 * the plain loop over one pixel would do, so the counts are exact, whatever the vector length.
 */

#include "clones.h"
#include "mandelbrot.h"

/* With 16 the compiler unrolls the loops over lanes before it could vectorise them. */
#define LANES 32
#define STEPS 8

struct lanes {
    double x[LANES], y[LANES];
    double cx[LANES], cy;
    int64_t alive[LANES], count[LANES]; /* as wide as the doubles, so that one mask serves both */
};

static inline void start_lanes(struct lanes *v, const struct fmk_mandelbrot_ctx *c, int64_t row,
                               int64_t column)
{
    v->cy = c->bottom + c->dy * ((double)row + 0.5);
    for (int l = 0; l < LANES; l++) {
        v->cx[l] = c->left + c->dx * ((double)(column + l) + 0.5);
        v->x[l] = v->y[l] = 0.0;
        v->alive[l] = 1;
        v->count[l] = 0;
    }
}

static inline void step_lanes(struct lanes *v)
{
    for (int l = 0; l < LANES; l++) {
        const double x = v->x[l], y = v->y[l], xx = x * x, yy = y * y;
        v->alive[l] = xx + yy <= 4.0 ? v->alive[l] : 0;
        v->count[l] += v->alive[l];
        v->y[l] = 2.0 * x * y + v->cy;
        v->x[l] = xx - yy + v->cx[l];
    }
}

static inline int64_t any_alive(const struct lanes *v)
{
    int64_t any = 0;
    for (int l = 0; l < LANES; l++)
        any |= v->alive[l];
    return any;
}

static inline void iterate_lanes(struct lanes *v, int64_t max_iter)
{
    int64_t step = 0;
    do {
        const int64_t stop = max_iter - step < STEPS ? max_iter : step + STEPS;
        for (; step < stop; step++)
            step_lanes(v);
    } while (step < max_iter && any_alive(v));
}

FMK_CLONES void fmk_mandelbrot_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_mandelbrot_ctx *c = ctx;
    for (int64_t row = begin; row < end; row++) {
        int32_t *counts = c->counts + row * c->width;
        for (int64_t column = 0; column < c->width; column += LANES) {
            const int64_t n = c->width - column < LANES ? c->width - column : LANES;
            struct lanes v;
            start_lanes(&v, c, row, column);
            iterate_lanes(&v, c->max_iter);
            for (int l = 0; l < n; l++)
                counts[column + l] = (int32_t)v.count[l];
        }
    }
}
