/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The ep kernel: the published sums, and counts that do not depend on how the pairs are cut. That its
 * bits do not depend on who runs it is in test_kernels.c.
 */

#include "t_kernel.h"

#include <math.h>

/* Of class S, from the report. */
static void test_ep_class_s_has_the_published_sums(void **state)
{
    struct fmk_problem p;
    char text[240];
    double sum_x = 0.0, sum_y = 0.0;
    (void)state;
    t_prepare(&p, "ep", T_PARAMS({"class", "S", NULL}), NULL, 0);
    assert_int_equal(p.n, 256);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    const double *rows = fm_array_data(p.out);
    for (int64_t k = 0; k < p.n; k++) {
        sum_x += rows[12 * k];
        sum_y += rows[12 * k + 1];
    }
    assert_true(fabs(sum_x / -3.247834652034740e3 - 1.0) < 1e-8);
    assert_true(fabs(sum_y / -6.958407078382297e3 - 1.0) < 1e-8);
    fmk_release(&p);
}

static void count_pairs(const char *m, const char *block, double *counts)
{
    struct fmk_problem p;
    char text[240];
    t_prepare(&p, "ep", T_PARAMS({"m", m, NULL}, {"block", block, NULL}), NULL, 0);
    if (t_run_and_verify(&p, text, sizeof text) != 0)
        fail_msg("m=%s block=%s: %s", m, block, text);
    memset(counts, 0, 10 * sizeof *counts);
    for (int64_t k = 0; k < p.n; k++)
        for (int l = 0; l < 10; l++)
            counts[l] += ((double *)fm_array_data(p.out))[12 * k + 2 + l];
    fmk_release(&p);
}

static void test_ep_counts_do_not_depend_on_the_length_of_a_block(void **state)
{
    static const char *const blocks[] = {"1", "31", "32", "33", "4096", "65536"};
    double expected[10], counts[10];
    (void)state;
    count_pairs("12", "1000", expected);
    for (size_t k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
        count_pairs("12", blocks[k], counts);
        assert_memory_equal(counts, expected, sizeof counts);
    }
}

/* As many pairs are accepted as lie in the circle; 68 in 100 values of x are within 1. */
static void test_ep_counts_are_those_of_a_normal_distribution(void **state)
{
    double counts[10], sum = 0.0;
    const double inside = erf(M_SQRT1_2) * erf(M_SQRT1_2);
    (void)state;
    count_pairs("20", "65536", counts);
    for (int l = 0; l < 10; l++)
        sum += counts[l];
    assert_true(fabs(sum / 1048576.0 - M_PI / 4.0) < 0.002);
    assert_true(fabs(counts[0] / sum - inside) < 0.002);
}

static void test_ep_one_wrong_block_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "ep", T_PARAMS({"m", "12", NULL}, {"block", "1000", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    double *rows = fm_array_data(p.out);
    rows[12 * 4 + 3] += 1.0;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "block 4"));
    rows[12 * 4 + 3] -= 1.0;
    rows[12 * 2] = NAN;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    fmk_release(&p);
}

static void test_ep_wrong_class_or_size_is_refused(void **state)
{
    (void)state;
    t_assert_refused("ep", T_PARAMS({"class", "E", NULL}), -EINVAL, "S, W, A or B");
    t_assert_refused("ep", T_PARAMS({"class", "", NULL}), -EINVAL, "S, W, A or B");
    t_assert_refused("ep", T_PARAMS({"class", "SW", NULL}), -EINVAL, "S, W, A or B");
    t_assert_refused("ep", T_PARAMS({"m", "45", NULL}), -EINVAL, "from 0 to 44");
    t_assert_refused("ep", T_PARAMS({"block", "0", NULL}), -EINVAL, "from 1 to");
    t_assert_refused("ep", T_PARAMS({"m", "44", NULL}, {"block", "1", NULL}), -EINVAL, "2^31");
}

T_MAIN(T_TEST(test_ep_class_s_has_the_published_sums),
       T_TEST(test_ep_counts_do_not_depend_on_the_length_of_a_block),
       T_TEST(test_ep_counts_are_those_of_a_normal_distribution),
       T_TEST(test_ep_one_wrong_block_is_found_and_named),
       T_TEST(test_ep_wrong_class_or_size_is_refused))
