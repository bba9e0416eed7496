/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The kernels primes, triad and histogram: known answers, inputs of every layout, odd values. That
 * their bits do not depend on who runs them is in test_kernels.c.
 */

#include "t_kernel.h"

#include "histogram.h"

#include <math.h>

/*
 * ---- primes -------------------------------------------------------------------------------------
 */

static void test_primes_first_hundred_numbers_have_the_known_counts(void **state)
{
    static const int64_t expected[10] = {4, 4, 2, 2, 3, 2, 2, 3, 2, 1};
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "primes", T_PARAMS({"n", "10", NULL}, {"block", "10", NULL}), NULL, 0);
    assert_int_equal(fmk_run_serial(&p), 0);
    assert_memory_equal(fm_array_data(p.out), expected, sizeof expected);
    fmk_release(&p);
}

static void test_primes_up_to_a_hundred_thousand_are_9592(void **state)
{
    struct fmk_problem p;
    char text[240];
    int64_t sum = 0;
    (void)state;
    t_prepare(&p, "primes", T_PARAMS({"n", "100", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    for (int64_t k = 0; k < p.n; k++)
        sum += ((int64_t *)fm_array_data(p.out))[k];
    assert_int_equal(sum, 9592);
    fmk_release(&p);
}

static int is_prime(int64_t x)
{
    for (int64_t d = 2; d * d <= x; d++)
        if (x % d == 0)
            return 0;
    return 1;
}

/* The last block that is allowed: up to 2^32 - 1, whose largest divisors do not overflow. */
static void test_primes_just_below_2_to_the_32_are_found(void **state)
{
    struct fmk_problem p;
    int64_t expected = 0;
    (void)state;
    t_prepare(&p, "primes", T_PARAMS({"n", "16711935", NULL}, {"block", "257", NULL}), NULL, 0);
    p.kernel->range(p.n - 1, p.n, p.ctx);
    for (int64_t x = (p.n - 1) * 257 + 1; x <= p.n * 257; x++)
        expected += is_prime(x);
    assert_int_equal(p.n * 257, INT64_C(4294967295));
    assert_true(expected > 0);
    assert_int_equal(((int64_t *)fm_array_data(p.out))[p.n - 1], expected);
    fmk_release(&p);
}

static void test_primes_wrong_count_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "primes", T_PARAMS({"n", "30", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    ((int64_t *)fm_array_data(p.out))[29]++;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "block 29"));
    fmk_release(&p);
}

static void test_primes_beyond_32_bits_are_refused(void **state)
{
    (void)state;
    t_assert_refused("primes", T_PARAMS({"n", "4294968", NULL}), -EINVAL, "2^32");
    t_assert_refused("primes", T_PARAMS({"block", "0", NULL}), -EINVAL, "from 1 to");
}

/*
 * ---- triad --------------------------------------------------------------------------------------
 */

/* Every second element of one vector, and another backwards. */
static void test_triad_of_views_is_that_of_packed_vectors(void **state)
{
    struct fmk_problem p;
    fm_array *whole[2], *views[2];
    char text[240];
    (void)state;
    assert_int_equal(fm_array_arange(&whole[0], FM_F64, 0, 2002, 1), 0);
    assert_int_equal(fm_array_arange(&whole[1], FM_F64, 0, 1001, 1), 0);
    assert_int_equal(fm_array_view(&views[0], whole[0], (fm_slice[]){{0, 2002, 2}}), 0);
    assert_int_equal(fm_array_view(&views[1], whole[1], (fm_slice[]){{1000, -1, -1}}), 0);
    t_prepare(&p, "triad", T_PARAMS({"s", "0.5", NULL}), views, 2);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    const double *a = fm_array_data(p.out);
    for (int i = 0; i < 1001; i++)
        assert_true(a[i] == 2.0 * i + 0.5 * (1000 - i));
    fmk_release(&p);
    for (int k = 0; k < 2; k++) {
        fm_array_destroy(views[k]);
        fm_array_destroy(whole[k]);
    }
}

static void test_triad_keeps_what_is_no_number(void **state)
{
    const double b[4] = {NAN, INFINITY, 1.0, -INFINITY}, c[4] = {1.0, 1.0, NAN, INFINITY};
    struct fmk_problem p;
    fm_array *columns[2];
    char text[240];
    (void)state;
    assert_int_equal(fm_array_from(&columns[0], b, FM_F64, 1, (int64_t[]){4}), 0);
    assert_int_equal(fm_array_from(&columns[1], c, FM_F64, 1, (int64_t[]){4}), 0);
    t_prepare(&p, "triad", NULL, columns, 2);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    const double *a = fm_array_data(p.out);
    assert_true(isnan(a[0]) && isinf(a[1]) && isnan(a[2]) && isnan(a[3]));
    fmk_release(&p);
    fm_array_destroy(columns[0]);
    fm_array_destroy(columns[1]);
}

static void test_triad_wrong_element_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "triad", T_PARAMS({"n", "10000", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    double *last = (double *)fm_array_data(p.out) + 9999;
    *last = nextafter(*last, 0.0);
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "element 9999"));
    fmk_release(&p);
}

/*
 * ---- histogram ----------------------------------------------------------------------------------
 */

static void count_values(const double *values, int64_t n, const struct fmk_param *params,
                         const int64_t *expected, size_t bins)
{
    struct fmk_problem p;
    fm_array *rows;
    char text[240];
    assert_int_equal(fm_array_from(&rows, values, FM_F64, 2, (int64_t[]){1, n}), 0);
    t_prepare(&p, "histogram", params, &rows, 1);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    assert_int_equal(fm_array_count(p.out), bins);
    assert_memory_equal(fm_array_data(p.out), expected, bins * sizeof *expected);
    fmk_release(&p);
    fm_array_destroy(rows);
}

/* numpy.histogram([...], 4, (0, 1)) of the same. */
static void test_histogram_edges_belong_to_the_bin_above_and_the_last_to_the_last(void **state)
{
    const double values[] = {0.0, 0.25, 0.5, 0.75, 1.0, 0.2499999, 0.9999999};
    (void)state;
    count_values(values, 7, T_PARAMS({"bins", "4", NULL}, {"low", "0", NULL}, {"high", "1", NULL}),
                 (const int64_t[]){2, 1, 1, 3}, 4);
}

static void test_histogram_values_outside_and_those_that_are_none_do_not_count(void **state)
{
    const double values[] = {-0.1, 1.1, NAN, INFINITY, -INFINITY, 1e300, 0.5};
    (void)state;
    count_values(values, 7, T_PARAMS({"bins", "2", NULL}, {"low", "0", NULL}, {"high", "1", NULL}),
                 (const int64_t[]){0, 1}, 2);
}

/* 0.1 x 3 is above 0.3, so a product alone would put some of these one bin off. */
static void test_histogram_rounding_at_an_edge_does_not_decide(void **state)
{
    double values[101];
    int64_t expected[100];
    (void)state;
    for (int k = 0; k <= 100; k++)
        values[k] = 0.0 + k * (1.0 / 100);
    for (int k = 0; k < 100; k++)
        expected[k] = 1;
    values[100] = 2.0;
    count_values(values, 101,
                 T_PARAMS({"bins", "100", NULL}, {"low", "0", NULL}, {"high", "1", NULL}), expected,
                 100);
}

static void test_histogram_rows_of_any_length_and_layout_are_counted(void **state)
{
    struct fmk_problem p;
    fm_array *whole, *view;
    char text[240];
    (void)state;
    assert_int_equal(fm_array_zeros(&whole, FM_F64, 2, (int64_t[]){10, 100}), 0);
    double *values = fm_array_data(whole);
    for (int k = 0; k < 1000; k++)
        values[k] = k % 100;
    assert_int_equal(fm_array_view(&view, whole, (fm_slice[]){{9, -1, -2}, {1, 100, 2}}), 0);
    t_prepare(&p, "histogram",
              T_PARAMS({"bins", "10", NULL}, {"low", "0", NULL}, {"high", "100", NULL}), &view, 1);
    assert_int_equal(p.n, 5);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    for (int k = 0; k < 50; k++)
        assert_int_equal(((int64_t *)fm_array_data(p.out))[k], 5);
    fmk_release(&p);
    fm_array_destroy(view);
    fm_array_destroy(whole);
}

static void test_histogram_wrong_count_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "histogram", T_PARAMS({"n", "7", NULL}, {"length", "100", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    int64_t *last = (int64_t *)fm_array_data(p.out) + 7 * 256 - 1;
    last[0]++;
    last[-1]--;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "row 6"));
    fmk_release(&p);
}

/* The kernel counts by the same wrong edge, so the counts alone agree. */
static void test_histogram_wrong_edge_is_found_though_the_counts_agree(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "histogram", T_PARAMS({"n", "7", NULL}, {"length", "100", NULL}), NULL, 0);
    const struct fmk_histogram_ctx *c = p.ctx;
    ((double *)(uintptr_t)c->edges)[128] += 0.25 * (c->high - c->low) / (double)c->bins;
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "edge 128"));
    fmk_release(&p);
}

static void test_histogram_bins_without_width_are_refused(void **state)
{
    (void)state;
    t_assert_refused("histogram", T_PARAMS({"low", "8", NULL}), -EINVAL, "not below high=8");
    t_assert_refused("histogram", T_PARAMS({"bins", "0", NULL}), -EINVAL, "from 1 to");
    t_assert_refused("histogram",
                     T_PARAMS({"low", "1", NULL}, {"high", "1.0000000000000002", NULL}), -EINVAL,
                     "too near or too far");
    t_assert_refused("histogram", T_PARAMS({"low", "-1.7e308", NULL}, {"high", "1.7e308", NULL}),
                     -EINVAL, "too near or too far");
}

T_MAIN(T_TEST(test_primes_first_hundred_numbers_have_the_known_counts),
       T_TEST(test_primes_up_to_a_hundred_thousand_are_9592),
       T_TEST(test_primes_just_below_2_to_the_32_are_found),
       T_TEST(test_primes_wrong_count_is_found_and_named),
       T_TEST(test_primes_beyond_32_bits_are_refused),
       T_TEST(test_triad_of_views_is_that_of_packed_vectors),
       T_TEST(test_triad_keeps_what_is_no_number),
       T_TEST(test_triad_wrong_element_is_found_and_named),
       T_TEST(test_histogram_edges_belong_to_the_bin_above_and_the_last_to_the_last),
       T_TEST(test_histogram_values_outside_and_those_that_are_none_do_not_count),
       T_TEST(test_histogram_rounding_at_an_edge_does_not_decide),
       T_TEST(test_histogram_rows_of_any_length_and_layout_are_counted),
       T_TEST(test_histogram_wrong_count_is_found_and_named),
       T_TEST(test_histogram_wrong_edge_is_found_though_the_counts_agree),
       T_TEST(test_histogram_bins_without_width_are_refused))
