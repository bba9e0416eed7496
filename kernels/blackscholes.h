/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_BLACKSCHOLES_H
#define FORKMAP_BLACKSCHOLES_H

/* The options that blackscholes' range function prices. */

#include <stdint.h>

/* The columns of a row. */
enum fmk_option_value {
    FMK_OPTION_SPOT,       /* [money] */
    FMK_OPTION_STRIKE,     /* [money] */
    FMK_OPTION_RATE,       /* [1/year] */
    FMK_OPTION_DIVIDEND,   /* yield [1/year] */
    FMK_OPTION_VOLATILITY, /* [1/sqrt(year)] */
    FMK_OPTION_YEARS,      /* [year] */
    FMK_OPTION_TYPE,       /* 1 a call, -1 a put */
    FMK_OPTION_VALUES
};

struct fmk_blackscholes_ctx {
    const char *options; /* row i, column k at i * row_stride + k * column_stride [bytes] */
    int64_t row_stride, column_stride;
    int64_t n;
    double *prices; /* n, packed [money] */
};

static inline double fmk_option_value(const struct fmk_blackscholes_ctx *c, int64_t row, int column)
{
    return *(const double *)(const void *)(c->options + row * c->row_stride +
                                           column * c->column_stride);
}

/* Items [begin, end) of the fmk_blackscholes_ctx at ctx. */
void fmk_blackscholes_range(int64_t begin, int64_t end, const void *ctx);

#endif
