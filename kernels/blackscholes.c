/* SPDX-License-Identifier: MIT */

/*
 * blackscholes: the price of a European option by the formula of Black and Scholes, with Merton's
 * dividend yield. One option is one item.
 *
 * Source     Black, Scholes, "The Pricing of Options and Corporate Liabilities", 1973; Merton,
 *            "Theory of Rational Option Pricing", 1973. As a benchmark: Bienia et al., "The PARSEC
 *            Benchmark Suite", PACT 2008.
 * Work       280 [flop] per option, a square root, minimum or choice counted as one: a logarithm 32,
 *            two exponentials 74, two normal distributions 142, and the formula 32.
 * Traffic    56 [bytes] read and 8 written per option.
 *
 * Options are lanes: LANES of them are read, priced by one loop without a branch, and written. An
 * option that is none (a strike of 0, a negative time, a rate without end, a type other than 1
 * and -1) has the price
 * not-a-number.
 *
 * The last block of a range repeats its last option in the lanes that are left over, and does not
 * store them.
 */

#include "blackscholes.h"

#include "clones.h"
#include "lane_math.h"

#include <math.h>

#define LANES 32

static inline double price(double spot, double strike, double rate, double dividend,
                           double volatility, double years, double type)
{
    const double deviation = volatility * sqrt(years);
    /* Without any deviation the price is that of certainty: d is far to one side. */
    const double divisor = deviation > 1e-100 ? deviation : 1e-100;
    const double drift = (rate - dividend) * years;
    const double d1 = (fmk_log(spot / strike) + drift) / divisor + 0.5 * deviation;
    const double d2 = d1 - deviation;
    const double now = spot * fmk_exp(-dividend * years) * fmk_normal_below(type * d1);
    const double then = strike * fmk_exp(-rate * years) * fmk_normal_below(type * d2);
    const double d_is_finite = (drift - drift) + (deviation - deviation); /* 0, or not a number */
    const int is_option = (spot > 0.0) & (strike > 0.0) & (volatility >= 0.0) & (years >= 0.0) &
                          (type * type == 1.0) & (d_is_finite == 0.0);
    const double value = type * (now - then), not_negative = value > 0.0 ? value : 0.0;
    return is_option ? not_negative : NAN;
}

FMK_CLONES void fmk_blackscholes_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_blackscholes_ctx *c = ctx;
    for (int64_t first = begin; first < end; first += LANES) {
        const int64_t left = end - first, n = left < LANES ? left : LANES;
        double v[FMK_OPTION_VALUES][LANES], prices[LANES];
        for (int l = 0; l < LANES; l++)
            for (int k = 0; k < FMK_OPTION_VALUES; k++)
                v[k][l] = fmk_option_value(c, first + (l < n ? l : n - 1), k);
        for (int l = 0; l < LANES; l++)
            prices[l] = price(v[FMK_OPTION_SPOT][l], v[FMK_OPTION_STRIKE][l], v[FMK_OPTION_RATE][l],
                              v[FMK_OPTION_DIVIDEND][l], v[FMK_OPTION_VOLATILITY][l],
                              v[FMK_OPTION_YEARS][l], v[FMK_OPTION_TYPE][l]);
        for (int l = 0; l < n; l++)
            c->prices[first + l] = prices[l];
    }
}
