/* SPDX-License-Identifier: MIT */

/*
 * matmul: C = A B, in doubles. One row of C is one item; all rows cost the same.
 *
 * Source     the level-3 BLAS operation GEMM: Dongarra, Du Croz, Hammarling, Duff, ACM TOMS 16
 *            (1990). Blocks that stay in a cache: Goto and van de Geijn, "Anatomy of
 *            High-Performance Matrix Multiplication", ACM TOMS 34 (2008).
 * Work       2 x depth x columns [flop] per row: 2.1 x 10^6 for 1024 x 1024.
 * Traffic    8 x depth [bytes] read and 8 x columns written per row, and B, 8 x depth x columns
 *            [bytes], once per call: a call for a few rows is bound by that, so that the grain is
 *            16 rows.
 *
 * A block of B, DEPTH x WIDTH, stays in the second-level cache while all rows of the call go over
 * it. Four rows of C by four rows of B are one loop over columns, which becomes vector instructions
 * of any length: 16 multiplications for 4 + 4 loads and 4 stores.
 *
 * Each element is summed in the order of k, as the plain loop does it, whatever the blocks and
 * whichever rows go together: its bits do not depend on the range that it is computed in.
 */

#include "clones.h"
#include "matmul.h"

#include <string.h>

#define ROWS  4   /* of C that go through the loops together */
#define DEPTH 64  /* rows of B in a block */
#define WIDTH 512 /* columns of B in a block: with DEPTH rows 256 KiB */

/* What one or four rows of C get from a block: A's elements, and the block of B. */
struct block {
    const double *a; /* first row, first column */
    int64_t row_stride, column_stride;
    const double *b;
    int64_t b_stride; /* columns of B */
    int64_t depth, width;
};

FMK_INLINE void add_four_by_four(double *restrict c0, double *restrict c1, double *restrict c2,
                                 double *restrict c3, const struct block *t, int64_t k)
{
    const int64_t step = t->column_stride;
    const double *p = t->a + k * step, *q = p + t->row_stride, *r = q + t->row_stride,
                 *s = r + t->row_stride;
    const double p0 = p[0], p1 = p[step], p2 = p[2 * step], p3 = p[3 * step];
    const double q0 = q[0], q1 = q[step], q2 = q[2 * step], q3 = q[3 * step];
    const double r0 = r[0], r1 = r[step], r2 = r[2 * step], r3 = r[3 * step];
    const double s0 = s[0], s1 = s[step], s2 = s[2 * step], s3 = s[3 * step];
    const double *restrict b0 = t->b + k * t->b_stride, *restrict b1 = b0 + t->b_stride;
    const double *restrict b2 = b1 + t->b_stride, *restrict b3 = b2 + t->b_stride;
    const int64_t width = t->width;
    for (int64_t j = 0; j < width; j++) {
        c0[j] = c0[j] + p0 * b0[j] + p1 * b1[j] + p2 * b2[j] + p3 * b3[j];
        c1[j] = c1[j] + q0 * b0[j] + q1 * b1[j] + q2 * b2[j] + q3 * b3[j];
        c2[j] = c2[j] + r0 * b0[j] + r1 * b1[j] + r2 * b2[j] + r3 * b3[j];
        c3[j] = c3[j] + s0 * b0[j] + s1 * b1[j] + s2 * b2[j] + s3 * b3[j];
    }
}

FMK_INLINE void add_one_by_four(double *restrict c, const struct block *t, int64_t k)
{
    const int64_t step = t->column_stride;
    const double *p = t->a + k * step;
    const double p0 = p[0], p1 = p[step], p2 = p[2 * step], p3 = p[3 * step];
    const double *restrict b0 = t->b + k * t->b_stride, *restrict b1 = b0 + t->b_stride;
    const double *restrict b2 = b1 + t->b_stride, *restrict b3 = b2 + t->b_stride;
    const int64_t width = t->width;
    for (int64_t j = 0; j < width; j++)
        c[j] = c[j] + p0 * b0[j] + p1 * b1[j] + p2 * b2[j] + p3 * b3[j];
}

FMK_INLINE void add_one_by_one(double *restrict c, const struct block *t, int64_t k)
{
    const double p = t->a[k * t->column_stride];
    const double *restrict b = t->b + k * t->b_stride;
    const int64_t width = t->width;
    for (int64_t j = 0; j < width; j++)
        c[j] += p * b[j];
}

FMK_INLINE void add_four_rows(double *c, int64_t stride, const struct block *t)
{
    int64_t k = 0;
    for (; k + 4 <= t->depth; k += 4)
        add_four_by_four(c, c + stride, c + 2 * stride, c + 3 * stride, t, k);
    for (; k < t->depth; k++)
        for (int r = 0; r < ROWS; r++) {
            struct block row = *t;
            row.a += r * t->row_stride;
            add_one_by_one(c + r * stride, &row, k);
        }
}

FMK_INLINE void add_one_row(double *c, const struct block *t)
{
    int64_t k = 0;
    for (; k + 4 <= t->depth; k += 4)
        add_one_by_four(c, t, k);
    for (; k < t->depth; k++)
        add_one_by_one(c, t, k);
}

FMK_INLINE int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Adds what rows [k, k + DEPTH) of B give to columns [j, j + WIDTH) of all rows of the range. */
FMK_INLINE void add_block(const struct fmk_matmul_ctx *m, int64_t begin, int64_t end, int64_t k,
                          int64_t j)
{
    struct block t = {.row_stride = m->row_stride,
                      .column_stride = m->column_stride,
                      .b = m->b + k * m->n_columns + j,
                      .b_stride = m->n_columns,
                      .depth = smaller(m->depth - k, DEPTH),
                      .width = smaller(m->n_columns - j, WIDTH)};
    int64_t row = begin;
    for (; row + ROWS <= end; row += ROWS) {
        t.a = m->a + row * m->row_stride + k * m->column_stride;
        add_four_rows(m->c + row * m->n_columns + j, m->n_columns, &t);
    }
    for (; row < end; row++) {
        t.a = m->a + row * m->row_stride + k * m->column_stride;
        add_one_row(m->c + row * m->n_columns + j, &t);
    }
}

FMK_CLONES void fmk_matmul_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_matmul_ctx *m = ctx;
    memset(m->c + begin * m->n_columns, 0,
           (size_t)(end - begin) * (size_t)m->n_columns * sizeof *m->c);
    for (int64_t j = 0; j < m->n_columns; j += WIDTH)
        for (int64_t k = 0; k < m->depth; k += DEPTH)
            add_block(m, begin, end, k, j);
}
