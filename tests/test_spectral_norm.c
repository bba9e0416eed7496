/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The spectral_norm kernel: the published norm, single elements of A, and what its check finds. That
 * its bits do not depend on who runs it is in test_kernels.c.
 */

#include "t_kernel.h"

#include "spectral_norm.h"

#include <math.h>
#include <stdint.h>

/* The norm from the result alone: with u after so many steps, |A' A u| / |u| is its square. */
static double norm_of_result(const char *n, const char *steps, int64_t rows)
{
    struct fmk_problem p, q;
    double u = 0.0, next = 0.0;
    char more[16];
    snprintf(more, sizeof more, "%d", atoi(steps) + 1);
    t_prepare(&p, "spectral_norm", T_PARAMS({"n", n, NULL}, {"steps", steps, NULL}), NULL, 0);
    t_prepare(&q, "spectral_norm", T_PARAMS({"n", n, NULL}, {"steps", more, NULL}), NULL, 0);
    t_run(&p);
    t_run(&q);
    for (int64_t i = 0; i < rows; i++) {
        u += pow(((double *)fm_array_data(p.out))[i], 2);
        next += pow(((double *)fm_array_data(q.out))[i], 2);
    }
    fmk_release(&p);
    fmk_release(&q);
    return pow(next / u, 0.125);
}

static void test_spectral_norm_of_100_rows_is_the_published_one(void **state)
{
    struct fmk_problem p;
    char text[240];
    (void)state;
    t_prepare(&p, "spectral_norm", T_PARAMS({"n", "100", NULL}), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    assert_non_null(strstr(text, "norm 1.274219991 is that published"));
    assert_true(fabs(norm_of_result("100", "10", 100) - 1.274219991) < 1e-9);
    fmk_release(&p);
}

/* Larger parts of the matrix have larger norms, and none reaches that of the whole. */
static void test_spectral_norm_rises_with_n_to_that_of_the_infinite_matrix(void **state)
{
    static const int sizes[] = {1, 2, 31, 32, 33, 64, 150, 300};
    double before = 0.0;
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        char n[16];
        snprintf(n, sizeof n, "%d", sizes[k]);
        const double norm = norm_of_result(n, "10", sizes[k]);
        assert_true(norm > before && norm < 1.2742241528213);
        before = norm;
    }
    assert_true(before > 1.27422);
}

/* A 1 in x picks a column: A(i, j) = 1, 1/2, 1/4, 1/7 ... in row 0, and 1, 1/3, 1/6 ... in column 0. */
static void test_spectral_norm_products_are_by_the_elements_of_a_and_its_transpose(void **state)
{
    static const double expected[3][3] = {
        {1.0, 1.0 / 2, 1.0 / 4}, {1.0 / 3, 1.0 / 5, 1.0 / 8}, {1.0 / 6, 1.0 / 9, 1.0 / 13}};
    (void)state;
    for (int k = 0; k < 6; k++) {
        double x[FMK_SPECTRAL_NORM_LANES] = {0.0}, y[3];
        const struct fmk_spectral_norm_ctx c = {
            .n = 3, .n_padded = FMK_SPECTRAL_NORM_LANES, .is_transposed = k / 3, .x = x, .y = y};
        const int column = k % 3;
        x[column] = 1.0;
        fmk_spectral_norm_range(0, 3, &c);
        for (int i = 0; i < 3; i++)
            assert_true(y[i] == (k < 3 ? expected[i][column] : expected[column][i]));
    }
}

static void test_spectral_norm_second_run_starts_anew(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "spectral_norm", T_PARAMS({"n", "45", NULL}, {"steps", "3", NULL}), NULL, 0);
    void *expected = t_serial_result(&p);
    t_run(&p);
    t_assert_same_bits(&p, expected);
    assert_int_equal(t_verify(&p), 0);
    free(expected);
    fmk_release(&p);
}

static void test_spectral_norm_most_steps_stay_finite(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "spectral_norm", T_PARAMS({"n", "7", NULL}, {"steps", "300", NULL}), NULL, 0);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    for (int i = 0; i < 7; i++)
        assert_true(isfinite(((double *)fm_array_data(p.out))[i]));
    fmk_release(&p);
}

static void test_spectral_norm_wrong_row_is_found_and_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "spectral_norm", T_PARAMS({"n", "120", NULL}), NULL, 0);
    t_run(&p);
    double *u = fm_array_data(p.out);
    u[119] *= 1.0 + 1e-10;
    assert_true(t_finds(&p, "row 119 of the last product"));
    u[119] = NAN;
    assert_true(t_finds(&p, "row 119"));
    fmk_release(&p);
}

/* The power method forgets it: the norm is still right to nine decimals. */
static void test_spectral_norm_wrong_row_of_an_early_pass_is_found(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "spectral_norm", T_PARAMS({"n", "100", NULL}), NULL, 0);
    for (int64_t pass = 0; p.kernel->next_pass(&p, pass) == 1; pass++) {
        p.kernel->range(0, p.n, p.ctx);
        if (pass == 30)
            ((double *)fm_array_data(p.out))[0] *= 1.0 + 1e-9;
    }
    assert_int_equal(t_verify(&p), 1);
    fmk_release(&p);
}

static void test_spectral_norm_what_is_too_much_is_refused(void **state)
{
    (void)state;
    t_refused("spectral_norm", T_PARAMS({"n", "16777217", NULL}), NULL, "2^24");
    t_refused("spectral_norm", T_PARAMS({"steps", "0", NULL}), NULL, "from 1 to 300");
    t_refused("spectral_norm", T_PARAMS({"steps", "301", NULL}), NULL, "from 1 to 300");
}

T_MAIN(T_TEST(test_spectral_norm_of_100_rows_is_the_published_one),
       T_TEST(test_spectral_norm_rises_with_n_to_that_of_the_infinite_matrix),
       T_TEST(test_spectral_norm_products_are_by_the_elements_of_a_and_its_transpose),
       T_TEST(test_spectral_norm_second_run_starts_anew),
       T_TEST(test_spectral_norm_most_steps_stay_finite),
       T_TEST(test_spectral_norm_wrong_row_is_found_and_named),
       T_TEST(test_spectral_norm_wrong_row_of_an_early_pass_is_found),
       T_TEST(test_spectral_norm_what_is_too_much_is_refused))
