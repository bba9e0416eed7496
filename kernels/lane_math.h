/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_LANE_MATH_H
#define FORKMAP_LANE_MATH_H

/*
 * Logarithm, exponential and normal distribution without a branch or a call: a loop over lanes that
 * uses them becomes vector instructions, and every processor gives the same bits, which libm does
 * not promise (it has variants with fused multiply-add).
 */

#include <stdint.h>
#include <string.h>

static inline uint64_t fmk_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline double fmk_from_bits(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* A whole number below 2^52 as double: under the exponent of 2^52 its bits are the fraction. */
static inline double fmk_small_whole(uint64_t n)
{
    return fmk_from_bits(n | UINT64_C(0x4330000000000000)) - 0x1p52;
}

#define FMK_LN2_HI 0x1.62e42feep-1 /* ends in zeros: its multiples up to 2^11 are exact */
#define FMK_LN2_LO 1.90821492927058770002e-10

/*
 * Natural logarithm of a positive normal number; anything else gives nonsense, not a trap.
 *
 * x = 2^k m with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh(s) with s = (m - 1) / (m + 1), whose
 * series in s^2 <= 0.0295 is cut after s^21: 32 [flop], relative error below 4e-16.
 */
static inline double fmk_log(double x)
{
    const uint64_t bits = fmk_bits(x), root_half = UINT64_C(0x3fe6a09e667f3bcd);
    /* 2^10 is added to the exponent, to keep it positive: shifts with a sign are no vector code. */
    const uint64_t k_biased = (bits - root_half + (UINT64_C(0x400) << 52)) >> 52;
    const double k = fmk_small_whole(k_biased) - 0x1p10;
    const double f = fmk_from_bits(bits - (k_biased << 52) + (UINT64_C(0x400) << 52)) - 1.0;
    const double s = f / (2.0 + f), z = s * s;
    double series = 2.0 / 21;
    series = series * z + 2.0 / 19;
    series = series * z + 2.0 / 17;
    series = series * z + 2.0 / 15;
    series = series * z + 2.0 / 13;
    series = series * z + 2.0 / 11;
    series = series * z + 2.0 / 9;
    series = series * z + 2.0 / 7;
    series = series * z + 2.0 / 5;
    series = series * z + 2.0 / 3;
    return k * FMK_LN2_HI + (2.0 * s + (s * (z * series) + k * FMK_LN2_LO));
}

/*
 * Exponential; beyond [-708, 709] as at the end of that interval, where results are still normal
 * numbers. x = k ln 2 + r with |r| <= 0.35, and the Taylor series of r up to r^13: 37 [flop],
 * relative error below 4e-16.
 */
static inline double fmk_exp(double x)
{
    const double above = x > -708.0 ? x : -708.0, v = above < 709.0 ? above : 709.0;
    /* Added to 1.5 x 2^52 a number is rounded to a whole one, which lies in the low bits. */
    const double shifted = v * 1.44269504088896340736 + 0x1.8p52;
    const double k = shifted - 0x1.8p52;
    const double r = (v - k * FMK_LN2_HI) - k * FMK_LN2_LO;
    double series = 1.0 / 6227020800;
    series = series * r + 1.0 / 479001600;
    series = series * r + 1.0 / 39916800;
    series = series * r + 1.0 / 3628800;
    series = series * r + 1.0 / 362880;
    series = series * r + 1.0 / 40320;
    series = series * r + 1.0 / 5040;
    series = series * r + 1.0 / 720;
    series = series * r + 1.0 / 120;
    series = series * r + 1.0 / 24;
    series = series * r + 1.0 / 6;
    series = series * r + 0.5;
    const double result = 1.0 + (r + r * r * series);
    return fmk_from_bits(fmk_bits(result) + (fmk_bits(shifted) << 52));
}

/*
 * The normal distribution: the probability of a value below x. |x| above 38 counts as 38.
 *
 * Source: Hart, "Computer Approximations", 1968, number 5666, as written in West, "Better
 * approximations to cumulative normal functions", Wilmott 2005. A ratio of polynomials whose limit is
 * that of the tail, too, so it is used for all x. 71 [flop], absolute error below 2e-15.
 */
static inline double fmk_normal_below(double x)
{
    const double size = x < 0.0 ? -x : x, a = size < 38.0 ? size : 38.0;
    double up = 3.52624965998911e-02, down = 8.83883476483184e-02;
    up = up * a + 0.700383064443688;
    up = up * a + 6.37396220353165;
    up = up * a + 33.912866078383;
    up = up * a + 112.079291497871;
    up = up * a + 221.213596169931;
    up = up * a + 220.206867912376;
    down = down * a + 1.75566716318264;
    down = down * a + 16.064177579207;
    down = down * a + 86.7807322029461;
    down = down * a + 296.564248779674;
    down = down * a + 637.333633378831;
    down = down * a + 793.826512519948;
    down = down * a + 440.413735824752;
    const double tail = fmk_exp(-0.5 * a * a) * up / down;
    return x > 0.0 ? 1.0 - tail : tail;
}

#endif
