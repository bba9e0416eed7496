/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The blackscholes kernel: prices against the references and against what must hold of any price, and
 * files that are none. That its bits do not depend on who runs it is in test_kernels.c.
 */

#include "t_kernel.h"

#include <math.h>
#include <stdio.h>

static fm_array *make_options(double (*rows)[7], int64_t n)
{
    fm_array *options;
    assert_int_equal(fm_array_from(&options, rows, FM_F64, 2, (int64_t[]){n, 7}), 0);
    return options;
}

/* The prices of n options, checked by the kernel, too. */
static void price(double (*rows)[7], int64_t n, double *prices)
{
    fm_array *options = make_options(rows, n);
    struct fmk_problem p;
    char text[240];
    t_prepare(&p, "blackscholes", NULL, &options, 1);
    if (t_run_and_verify(&p, text, sizeof text) != 0)
        fail_msg("%s", text);
    memcpy(prices, fm_array_data(p.out), (size_t)n * sizeof *prices);
    fmk_release(&p);
    fm_array_destroy(options);
}

static void test_blackscholes_prices_match_the_references(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "blackscholes", T_PARAMS({"n", "2500", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    assert_non_null(strstr(text, "2500 have a reference"));
    fmk_release(&p);
}

/* Hull, "Options, Futures and Other Derivatives", the example of the chapter on the formula. */
static void test_blackscholes_textbook_example_costs_4_76_and_0_81(void **state)
{
    double rows[2][7] = {{42, 40, 0.1, 0, 0.2, 0.5, 1}, {42, 40, 0.1, 0, 0.2, 0.5, -1}};
    double prices[2];
    (void)state;
    price(rows, 2, prices);
    assert_true(fabs(prices[0] - 4.759422) < 1e-6);
    assert_true(fabs(prices[1] - 0.808599) < 1e-6);
}

static void test_blackscholes_call_less_put_is_the_forward(void **state)
{
    double rows[2][7] = {{80, 0, 0.03, 0.05, 0.4, 2.5, 1}, {80, 0, 0.03, 0.05, 0.4, 2.5, -1}};
    (void)state;
    for (int k = -40; k < 60; k++) {
        const double strike = 80.0 * pow(1.2, k);
        double prices[2];
        rows[0][1] = rows[1][1] = strike;
        price(rows, 2, prices);
        const double forward = 80.0 * exp(-0.05 * 2.5) - strike * exp(-0.03 * 2.5);
        assert_true(fabs(prices[0] - prices[1] - forward) < 1e-13 * (80.0 + strike));
    }
}

static void test_blackscholes_without_time_or_volatility_is_what_is_certain(void **state)
{
    double rows[4][7] = {{50, 40, 0.1, 0, 0.3, 0, 1},
                         {50, 40, 0.1, 0, 0.3, 0, -1},
                         {50, 40, 0, 0, 0, 1, 1},
                         {40, 40, 0.1, 0, 0, 0, 1}};
    double prices[4];
    (void)state;
    price(rows, 4, prices);
    assert_true(prices[0] == 10.0 && prices[1] == 0.0 && prices[2] == 10.0 && prices[3] == 0.0);
}

static void test_blackscholes_row_that_is_no_option_has_no_price(void **state)
{
    double rows[9][7];
    double prices[9];
    (void)state;
    for (int i = 0; i < 9; i++)
        memcpy(rows[i], (const double[]){42, 40, 0.1, 0, 0.2, 0.5, 1}, sizeof rows[i]);
    rows[0][0] = 0.0;
    rows[1][1] = -40.0;
    rows[2][2] = NAN;
    rows[3][3] = NAN;
    rows[4][4] = -0.2;
    rows[5][5] = -1.0;
    rows[6][6] = 0.0;
    rows[7][6] = 2.0;
    price(rows, 9, prices);
    for (int i = 0; i < 8; i++)
        assert_true(isnan(prices[i]));
    assert_true(fabs(prices[8] - 4.759422) < 1e-6); /* its neighbours do not matter */
}

static void test_blackscholes_options_in_columns_give_the_same_bits_as_in_rows(void **state)
{
    struct fmk_problem p, q;
    fm_array *all, *columns;
    (void)state;
    t_prepare(&p, "blackscholes", T_PARAMS({"n", "1003", NULL}), NULL, 0);
    void *expected = t_serial_result(&p);
    /* Every second value of rows that are twice as long: other strides, the same options. */
    assert_int_equal(fm_array_zeros(&all, FM_F64, 2, (int64_t[]){1003, 14}), 0);
    assert_int_equal(fm_array_view(&columns, all, (fm_slice[]){FM_ALL, {0, 14, 2}}), 0);
    for (int64_t i = 0; i < 1003; i++)
        for (int64_t k = 0; k < 7; k++)
            *(double *)fm_array_at(columns, 2, (int64_t[]){i, k}) =
                *(double *)fm_array_at(p.columns[0], 2, (int64_t[]){i, k});
    t_prepare(&q, "blackscholes", NULL, &columns, 1);
    t_poison(&q);
    assert_int_equal(fmk_run_serial(&q), 0);
    t_assert_same_bits(&q, expected);
    fmk_release(&q);
    fm_array_destroy(columns);
    fm_array_destroy(all);
    free(expected);
    fmk_release(&p);
}

static void test_blackscholes_one_wrong_price_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "blackscholes", T_PARAMS({"n", "1003", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    double *prices = fm_array_data(p.out);
    prices[1002] += 1e-9;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "option 1002"));
    prices[1002] = NAN;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    fmk_release(&p);
}

/* Also shows that the references count: this one is wrong, and the price is not. */
static void test_blackscholes_price_away_from_its_reference_is_found(void **state)
{
    static const char file[] = "names\n42,40,0.1,0,0.2,0.5,C,0,4.7594\n"
                               "42,40,0.1,0,0.2,0.5,P,0,0.8097\r\n";
    char path[1100], text[240];
    struct fmk_problem p;
    (void)state;
    snprintf(path, sizeof path, "%s/options.csv", t_temp_dir());
    t_write_file(path, file, sizeof file - 1);
    t_prepare(&p, "blackscholes", T_PARAMS({"n", "1", NULL}, {"data", path, NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    fmk_release(&p);
    t_prepare(&p, "blackscholes", T_PARAMS({"n", "2", NULL}, {"data", path, NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "option 1 "));
    fmk_release(&p);
}

static void assert_file_refused(const char *content, const char *reason)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/options.csv", t_temp_dir());
    t_write_file(path, content, strlen(content));
    t_assert_refused("blackscholes", T_PARAMS({"data", path, NULL}), FM_EFORMAT, reason);
}

static void test_blackscholes_malformed_file_is_refused_with_its_line(void **state)
{
    (void)state;
    assert_file_refused("", "no line of names");
    assert_file_refused("names\n", "no options");
    assert_file_refused("names\n42,40,0.1,0,0.2,0.5,C,0,4.7\n42,40,0.1,0,0.2,0.5,X,0,4.7\n", ":3:");
    assert_file_refused("names\n42,40,0.1,0,0.2,0.5,C,0\n", ":2:");
    assert_file_refused("names\n42,40,0.1,0,0.2,0.5,C,0,4.7,1\n", ":2:");
    assert_file_refused("names\n42,40,,0,0.2,0.5,C,0,4.7\n", ":2:");
    assert_file_refused("names\n\n", ":2:");
    t_assert_refused("blackscholes", T_PARAMS({"data", "/nowhere.csv", NULL}), -ENOENT, "nowhere");
}

T_MAIN(T_TEST(test_blackscholes_prices_match_the_references),
       T_TEST(test_blackscholes_textbook_example_costs_4_76_and_0_81),
       T_TEST(test_blackscholes_call_less_put_is_the_forward),
       T_TEST(test_blackscholes_without_time_or_volatility_is_what_is_certain),
       T_TEST(test_blackscholes_row_that_is_no_option_has_no_price),
       T_TEST(test_blackscholes_options_in_columns_give_the_same_bits_as_in_rows),
       T_TEST(test_blackscholes_one_wrong_price_is_found_and_named),
       T_TEST(test_blackscholes_price_away_from_its_reference_is_found),
       T_TEST(test_blackscholes_malformed_file_is_refused_with_its_line))
