/* SPDX-License-Identifier: MIT */
/* LABELS: unit */

/* Logarithm, exponential and normal distribution of the kernels, against those of the C library. */

#include "t.h"

#include "lane_math.h"

#include <float.h>
#include <math.h>

static void assert_near(const char *what, double x, double got, double expected, double relative,
                        double absolute)
{
    if (!(fabs(got - expected) <= relative * fabs(expected) + absolute))
        fail_msg("%s(%.17g) is %.17g, the library says %.17g", what, x, got, expected);
}

static void test_lane_math_logarithm_is_right_to_the_last_bits(void **state)
{
    (void)state;
    for (int k = 0; k < 300000; k++) {
        const double x = pow(2.0, -1022.0 + k * (2045.0 / 300000));
        assert_near("log", x, fmk_log(x), log(x), 5e-16, 0.0);
    }
    for (int k = 0; k < 100000; k++) {
        const double x = 0.5 + k * (1.5 / 100000);
        assert_near("log", x, fmk_log(x), log(x), 5e-16, 0.0);
    }
    assert_near("log", DBL_MAX, fmk_log(DBL_MAX), log(DBL_MAX), 5e-16, 0.0);
    assert_true(fmk_log(1.0) == 0.0);
    assert_near("log", 1.0 - 0x1p-53, fmk_log(1.0 - 0x1p-53), log(1.0 - 0x1p-53), 5e-16, 0.0);
}

static void test_lane_math_exponential_is_right_to_the_last_bits(void **state)
{
    (void)state;
    for (int k = 0; k <= 200000; k++) {
        const double x = -708.0 + k * (1417.0 / 200000);
        assert_near("exp", x, fmk_exp(x), exp(x), 5e-16, 0.0);
    }
    assert_true(fmk_exp(0.0) == 1.0);
    assert_true(fmk_exp(-1e300) == fmk_exp(-708.0));
    assert_true(fmk_exp(INFINITY) == fmk_exp(709.0));
}

static void test_lane_math_normal_distribution_is_right_in_the_middle_and_in_the_tails(void **state)
{
    (void)state;
    for (int k = -100000; k <= 100000; k++) {
        const double x = k * (37.0 / 100000);
        assert_near("N", x, fmk_normal_below(x), 0.5 * erfc(-x * M_SQRT1_2), 0.0, 3e-15);
    }
    assert_true(fmk_normal_below(0.0) == 0.5);
    assert_true(fmk_normal_below(INFINITY) == 1.0);
    assert_true(fmk_normal_below(-INFINITY) < 1e-300);
}

T_MAIN(T_TEST(test_lane_math_logarithm_is_right_to_the_last_bits),
       T_TEST(test_lane_math_exponential_is_right_to_the_last_bits),
       T_TEST(test_lane_math_normal_distribution_is_right_in_the_middle_and_in_the_tails))
