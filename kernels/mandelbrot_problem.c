/* SPDX-License-Identifier: MIT */

/*
 * mandelbrot's problem: the picture from its parameters, and rows computed again by the textbook's
 * loop.
 */

#include "kernel_list.h"
#include "mandelbrot.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define SAMPLED_ROWS 16 /* rows that verify computes again, evenly over the picture */

static int read_edges(const struct fmk_param *params, const char *from, const char *to,
                      double *begin, double *length)
{
    double end;
    int e = fmk_param_real(params, from, begin);
    if (e == 0)
        e = fmk_param_real(params, to, &end);
    if (e == 0 && !(*begin < end))
        e = fmk_error(-EINVAL, "%s=%g is not below %s=%g", from, *begin, to, end);
    if (e == 0)
        *length = end - *begin;
    return e;
}

static int read_picture(struct fmk_mandelbrot_ctx *c, const struct fmk_param *params)
{
    double width, height;
    int e = fmk_param_int(params, "width", 1, 1 << 20, &c->width);
    if (e == 0)
        e = fmk_param_int(params, "max_iter", 1, INT32_MAX, &c->max_iter);
    if (e == 0)
        e = read_edges(params, "xmin", "xmax", &c->left, &width);
    if (e == 0)
        e = read_edges(params, "ymin", "ymax", &c->bottom, &height);
    if (e != 0)
        return e;
    c->dx = width / (double)c->width;
    c->dy = c->height > 0 ? height / (double)c->height : 0.0;
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_mandelbrot_ctx c = {.height = p->n};
    int e = read_picture(&c, params);
    if (e == 0)
        e = fm_array_create(&p->out, FM_I32, 2, (int64_t[]){c.height, c.width}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c);
    if (e != 0)
        return e;
    c.counts = fm_array_data(p->out);
    *(struct fmk_mandelbrot_ctx *)p->ctx = c;
    return 0;
}

/*
 * One point, as textbooks write it. Same operations in the same order as a lane: equal, not close.
 */
static int64_t count_steps(double cx, double cy, int64_t max_iter)
{
    double x = 0.0, y = 0.0;
    int64_t steps = 0;
    while (steps < max_iter && x * x + y * y <= 4.0) {
        const double next = x * x - y * y + cx;
        y = 2.0 * x * y + cy;
        x = next;
        steps++;
    }
    return steps;
}

/* The first column of the row that is wrong, -1 if none is. */
static int64_t find_wrong_pixel(const struct fmk_mandelbrot_ctx *c, int64_t row)
{
    const double cy = c->bottom + c->dy * ((double)row + 0.5);
    for (int64_t k = 0; k < c->width; k++)
        if (count_steps(c->left + c->dx * ((double)k + 0.5), cy, c->max_iter) !=
            c->counts[row * c->width + k])
            return k;
    return -1;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_mandelbrot_ctx *c = p->ctx;
    const int64_t rows = c->height < SAMPLED_ROWS ? c->height : SAMPLED_ROWS;
    for (int64_t k = 0; k < rows; k++) {
        const int64_t row = rows > 1 ? k * (c->height - 1) / (rows - 1) : 0;
        const int64_t column = find_wrong_pixel(c, row);
        if (column >= 0) {
            snprintf(text, cap, "row %" PRId64 ", column %" PRId64 " differs from the plain loop",
                     row, column);
            return 1;
        }
    }
    snprintf(text, cap, "%" PRId64 " of %" PRId64 " rows computed again by a plain loop: equal",
             rows, c->height);
    return 0;
}

const struct fmk_kernel fmk_kernel_mandelbrot = {
    .name = "mandelbrot",
    .summary = "escape times of one row of pixels per item; imbalanced",
    .source = "escape-time algorithm; OpenMP Examples, loop schedules",
    .cost = "8 flop per step, 2 to 570 steps per pixel, and 4 bytes per pixel",
    .result = "i4 x width: steps that each pixel's point survived, at most max_iter",
    .grain = 1,
    .params = {{"n", "1024", "rows of the picture [pixels]"},
               {"width", "1024", "columns of the picture [pixels]"},
               {"max_iter", "1000", "steps after which a point counts as inside"},
               {"xmin", "-2.25", "left edge"},
               {"xmax", "0.75", "right edge"},
               {"ymin", "-1.25", "edge of row 0"},
               {"ymax", "1.25", "edge of the last row"}},
    .range = fmk_mandelbrot_range,
    .bind = bind,
    .verify = verify,
};
