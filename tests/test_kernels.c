/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 120 */

/*
 * The shipped kernels: right answers, the same bits however the work is cut and whoever does it,
 * and an error with a reason for every problem that cannot be. What docking computes is in
 * test_docking.c.
 */

#include "t_kernel.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * One problem of each kernel, small enough for any machine, with sizes that no vector length divides:
 * all that is promised of every kernel is tried with these. In the order of the names.
 */
static const struct small {
    const char *name;
    const struct fmk_param *params;
} small[] = {
    {"blackscholes", T_PARAMS({"n", "1107", NULL})},
    {"conv2d", T_PARAMS({"n", "61", NULL}, {"width", "77", NULL})},
    {"docking", T_PARAMS({"n", "67", NULL})},
    {"ep", T_PARAMS({"m", "14", NULL}, {"block", "1003", NULL})},
    {"histogram", T_PARAMS({"n", "53", NULL}, {"length", "1003", NULL}, {"bins", "37", NULL})},
    {"kmeans", T_PARAMS({"n", "29", NULL}, {"block", "77", NULL}, {"k", "5", NULL},
                        {"iterations", "3", NULL})},
    {"mandelbrot", T_PARAMS({"n", "61", NULL}, {"width", "77", NULL}, {"max_iter", "203", NULL})},
    {"matmul", T_PARAMS({"n", "61", NULL}, {"k", "131", NULL}, {"m", "77", NULL})},
    {"nbody", T_PARAMS({"n", "67", NULL}, {"steps", "7", NULL})},
    {"pi", T_PARAMS({"n", "97", NULL}, {"steps", "1003", NULL})},
    {"primes", T_PARAMS({"n", "103", NULL}, {"block", "97", NULL})},
    {"spectral_norm", T_PARAMS({"n", "67", NULL}, {"steps", "1", NULL})},
    {"spmv", T_PARAMS({"n", "211", NULL}, {"longest", "150", NULL})},
    {"triad", T_PARAMS({"n", "20011", NULL})},
    {"xs_lookup", T_PARAMS({"n", "503", NULL}, {"nuclides", "19", NULL}, {"points", "211", NULL},
                           {"bins", "64", NULL})},
};
#define N_SMALL (sizeof small / sizeof small[0])

static const struct fmk_param *small_params(const char *name)
{
    for (size_t k = 0; k < N_SMALL; k++)
        if (strcmp(small[k].name, name) == 0)
            return small[k].params;
    fail_msg("%s has no problem in the table small[]: give it one", name);
    return NULL;
}

static void run_in_cuts(struct fmk_problem *p, int64_t length)
{
    for (int64_t begin = 0; begin < p->n; begin += length)
        p->kernel->range(begin, begin + length < p->n ? begin + length : p->n, p->ctx);
}

static void assert_refused(const char *kernel, const char *key, const char *value,
                           const char *reason)
{
    t_assert_refused(kernel, T_PARAMS({key, value, NULL}), -EINVAL, reason);
}

/*
 * ---- the table
 * ------------------------------------------------------------------------------------
 */

static void test_kernels_each_name_in_the_table_is_found(void **state)
{
    int n = 0;
    const struct fmk_kernel *const *table = fmk_kernels(&n);
    (void)state;
    assert_true(n >= 3);
    for (int k = 0; k < n; k++)
        assert_ptr_equal(fmk_find(table[k]->name), table[k]);
}

static void test_kernels_unknown_name_is_not_found(void **state)
{
    (void)state;
    assert_null(fmk_find("dock"));
    assert_null(fmk_find(""));
    assert_null(fmk_find(NULL));
}

static void test_kernels_each_says_its_cost_source_and_result(void **state)
{
    int n = 0;
    const struct fmk_kernel *const *table = fmk_kernels(&n);
    (void)state;
    for (int k = 0; k < n; k++) {
        assert_true(strlen(table[k]->source) > 0 && strlen(table[k]->result) > 0);
        assert_non_null(strstr(table[k]->cost, "flop"));
        assert_non_null(strstr(table[k]->cost, "byte"));
        assert_true(table[k]->grain >= 1);
    }
}

/*
 * ---- parameters and columns
 * ------------------------------------------------------------------------
 */

static void test_kernels_unknown_parameter_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused("pi", "step", "5", "no parameter \"step\"; it has: n steps");
    assert_refused("docking", "width", "5", "width");
    assert_refused("pi", "steps", NULL, "steps");
}

static void test_kernels_bad_values_are_refused_with_the_bounds(void **state)
{
    (void)state;
    assert_refused("pi", "steps", "0", "from 1 to");
    assert_refused("pi", "steps", "many", "steps=many");
    assert_refused("pi", "steps", "", "whole number");
    assert_refused("pi", "n", "5x", "n=5x");
    assert_refused("pi", "n", "-1", "from 0 to");
    assert_refused("pi", "n", "99999999999999999999", "from 0 to");
    assert_refused("mandelbrot", "width", "0", "from 1 to");
    assert_refused("mandelbrot", "max_iter", "2147483648", "2147483647");
    assert_refused("mandelbrot", "xmin", "nan", "finite");
    assert_refused("mandelbrot", "xmin", "0.75", "not below xmax=0.75");
    assert_refused("mandelbrot", "ymax", "-2", "ymin");
}

static void test_kernels_more_steps_than_can_be_counted_exactly_are_refused(void **state)
{
    static const struct fmk_param params[] = {
        {"n", "2147483647", NULL}, {"steps", "1099511627776", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    (void)state;
    assert_int_equal(fmk_prepare(&p, fmk_find("pi"), params, NULL, 0), -EINVAL);
    assert_non_null(strstr(fmk_error_detail(), "2^50"));
}

static void test_kernels_last_of_two_equal_keys_counts(void **state)
{
    static const struct fmk_param params[] = {
        {"n", "5", NULL}, {"n", "3", NULL}, {"steps", "10", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "pi", params, NULL, 0);
    assert_int_equal(p.n, 3);
    assert_int_equal(fm_array_len(p.out), 3);
    fmk_release(&p);
}

static void test_kernels_wrong_number_of_columns_is_refused(void **state)
{
    fm_array *columns[2] = {NULL, NULL};
    struct fmk_problem p;
    (void)state;
    assert_int_equal(fm_array_zeros(&columns[0], FM_F32, 2, (int64_t[]){4, 6}), 0);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), NULL, columns, 2), -EINVAL);
    assert_non_null(strstr(fmk_error_detail(), "takes 1 columns, not 2"));
    assert_int_equal(fmk_prepare(&p, fmk_find("pi"), NULL, columns, 1), -EINVAL);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), NULL, columns + 1, 1), -EINVAL);
    assert_int_equal(fmk_prepare(&p, NULL, NULL, NULL, 0), -EINVAL);
    fm_array_destroy(columns[0]);
}

static void test_kernels_problem_without_items_runs_and_writes_nothing(void **state)
{
    static const struct fmk_param none[] = {{"n", "0", NULL}, {NULL, NULL, NULL}};
    char text[200];
    (void)state;
    for (size_t k = 0; k < N_SMALL; k++) {
        struct fmk_problem p;
        if (strcmp(small[k].params[0].key, "n") != 0 || strcmp(small[k].name, "docking") == 0)
            continue; /* its length is not n; 0 is all poses */
        t_prepare(&p, small[k].name, none, NULL, 0);
        assert_int_equal(fm_array_len(p.out), 0);
        assert_int_equal(fmk_run_serial(&p), 0);
        assert_int_equal(fmk_run_openmp(&p, 2, "static", 0), 0);
        assert_int_equal(fmk_run_openmp(&p, 2, "dynamic", 3), 0);
        assert_true(p.kernel->verify(&p, text, sizeof text) >= 0);
        fmk_release(&p);
    }
}

/*
 * ---- every kernel, by itself
 * ----------------------------------------------------------------------
 */

static void for_each_kernel(void (*try)(struct fmk_problem *p, const void *expected))
{
    int n = 0;
    const struct fmk_kernel *const *table = fmk_kernels(&n);
    for (int k = 0; k < n; k++) {
        struct fmk_problem p;
        t_prepare(&p, table[k]->name, small_params(table[k]->name), NULL, 0);
        void *expected = t_serial_result(&p);
        try(&p, expected);
        free(expected);
        fmk_release(&p);
    }
}

static void verify_small(struct fmk_problem *p, const void *expected)
{
    char text[240] = "";
    const int verdict = p->kernel->verify(p, text, sizeof text);
    (void)expected;
    if (verdict != 0)
        fail_msg("%s: verify gives %d: %s", p->kernel->name, verdict, text);
    assert_true(strlen(text) > 0 && strlen(text) < sizeof text - 1);
    t_poison(p);
    if (p->kernel->verify(p, text, sizeof text) != 1)
        fail_msg("%s: rubbish is verified: %s", p->kernel->name, text);
}

static void test_kernels_each_verifies_its_results_and_refuses_rubbish(void **state)
{
    (void)state;
    for_each_kernel(verify_small);
}

static void cut_everywhere(struct fmk_problem *p, const void *expected)
{
    static const int64_t lengths[] = {1, 2, 3, 7, 16, 17, 33, 100};
    for (size_t k = 0; k < sizeof lengths / sizeof lengths[0]; k++) {
        t_poison(p);
        run_in_cuts(p, lengths[k]);
        t_assert_same_bits(p, expected);
    }
}

static void test_kernels_any_cut_gives_the_same_bits(void **state)
{
    (void)state;
    for_each_kernel(cut_everywhere);
}

/*
 * ---- mandelbrot
 * ------------------------------------------------------------------------------------
 */

static void test_mandelbrot_rows_equal_a_plain_loop(void **state)
{
    struct fmk_problem p;
    char text[200];
    (void)state;
    t_prepare(&p, "mandelbrot", small_params("mandelbrot"), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    fmk_release(&p);
}

static void test_mandelbrot_known_points_have_known_counts(void **state)
{
    /* Middle of a 3 x 3 picture around c: 0 stays for ever, 1 leaves after 0, 1, 2; -2 stays. */
    static const struct {
        const char *xmin, *xmax;
        int32_t count;
    } points[] = {{"-1", "1", 50}, {"0", "2", 3}, {"-3", "-1", 50}, {"2", "4", 1}};
    (void)state;
    for (size_t k = 0; k < sizeof points / sizeof points[0]; k++) {
        const struct fmk_param params[] = {{"n", "1", NULL},
                                           {"width", "1", NULL},
                                           {"max_iter", "50", NULL},
                                           {"xmin", points[k].xmin, NULL},
                                           {"xmax", points[k].xmax, NULL},
                                           {"ymin", "-1", NULL},
                                           {"ymax", "1", NULL},
                                           {NULL, NULL, NULL}};
        struct fmk_problem p;
        t_prepare(&p, "mandelbrot", params, NULL, 0);
        assert_int_equal(fmk_run_serial(&p), 0);
        assert_int_equal(*(int32_t *)fm_array_data(p.out), points[k].count);
        fmk_release(&p);
    }
}

/* Its area is 1.506592 (Foerstemann 2012); a grid of so many points comes within 1 % of it. */
static void test_mandelbrot_has_the_area_of_the_set(void **state)
{
    static const struct fmk_param params[] = {
        {"n", "400", NULL}, {"width", "480", NULL}, {"max_iter", "2000", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    int64_t inside = 0;
    (void)state;
    t_prepare(&p, "mandelbrot", params, NULL, 0);
    assert_int_equal(fmk_run_serial(&p), 0);
    const int32_t *counts = fm_array_data(p.out);
    for (int64_t k = 0; k < fm_array_count(p.out); k++)
        inside += counts[k] == 2000;
    const double area = (double)inside * 3.0 * 2.5 / (double)fm_array_count(p.out);
    assert_true(fabs(area - 1.506592) < 0.015);
    fmk_release(&p);
}

static void test_mandelbrot_one_wrong_pixel_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[200];
    (void)state;
    t_prepare(&p, "mandelbrot", small_params("mandelbrot"), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    ((int32_t *)fm_array_data(p.out))[60 * 77 + 76]++;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "row 60, column 76"));
    fmk_release(&p);
}

/*
 * ---- pi
 * --------------------------------------------------------------------------------------------
 */

static void test_pi_sum_of_the_blocks_is_pi(void **state)
{
    static const struct fmk_param params[] = {
        {"n", "101", NULL}, {"steps", "10007", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    char text[200];
    double sum = 0.0;
    (void)state;
    t_prepare(&p, "pi", params, NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    for (int64_t k = 0; k < p.n; k++)
        sum += ((double *)fm_array_data(p.out))[k];
    assert_true(fabs(sum - 3.14159265358979) < 1e-10);
    fmk_release(&p);
}

static void test_pi_few_steps_are_right_within_the_error_of_the_rule(void **state)
{
    static const struct fmk_param params[] = {
        {"n", "2", NULL}, {"steps", "1", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    char text[200];
    (void)state;
    t_prepare(&p, "pi", params, NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    const double *sums = fm_array_data(p.out);
    assert_true(fabs(sums[0] - 2.0 / 1.0625) < 1e-15); /* 4 / (1 + 1/16) / 2 */
    assert_true(fabs(sums[1] - 2.0 / 1.5625) < 1e-15);
    fmk_release(&p);
}

static void test_pi_one_wrong_block_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[200];
    (void)state;
    t_prepare(&p, "pi", small_params("pi"), NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    double *sums = fm_array_data(p.out);
    const double right = sums[40];
    sums[40] += 1e-9;
    sums[41] -= 1e-9; /* the sum stays right */
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "block 40"));
    sums[40] = NAN;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    sums[40] = right;
    fmk_release(&p);
}

/*
 * ---- OpenMP
 * ----------------------------------------------------------------------------------------
 */

static void run_every_openmp(struct fmk_problem *p, const void *expected)
{
    static const char *const schedules[] = {NULL, "static", "dynamic", "guided"};
    static const int64_t chunks[] = {0, 1, 7, 1000};
    for (int threads = 0; threads <= 3; threads++)
        for (size_t s = 0; s < 4; s++)
            for (size_t k = 0; k < 4; k++) {
                t_poison(p);
                assert_int_equal(fmk_run_openmp(p, threads, schedules[s], chunks[k]), 0);
                t_assert_same_bits(p, expected);
            }
}

static void test_kernels_openmp_equals_serial_bit_for_bit(void **state)
{
    (void)state;
    for_each_kernel(run_every_openmp);
    fmk_pause_openmp();
}

static void test_kernels_openmp_refuses_what_it_cannot_run(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "pi", small_params("pi"), NULL, 0);
    assert_int_equal(fmk_run_openmp(&p, 2, "fastest", 0), -EINVAL);
    assert_non_null(strstr(fmk_error_detail(), "static, dynamic or guided"));
    assert_int_equal(fmk_run_openmp(&p, -1, "static", 0), -EINVAL);
    assert_int_equal(fmk_run_openmp(&p, 2, "dynamic", -1), -EINVAL);
    fmk_release(&p);
}

/*
 * ---- forkmap
 * ---------------------------------------------------------------------------------------
 */

static void map_every_schedule(struct fmk_problem *p, fm_pool *pool, const void *expected)
{
    static const int64_t chunks[] = {0, 5, FM_CHUNK_PYTHON};
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++)
        for (size_t k = 0; k < 3; k++) {
            t_poison(p);
            const int e =
                fmk_run_forkmap(p, pool, FM_MAP_OPTS(.schedule = schedule, .chunk = chunks[k]));
            if (e != 0)
                print_error("%s: %s\n", fm_errname(e), fmk_error_detail());
            assert_int_equal(e, 0);
            t_assert_same_bits(p, expected);
        }
}

static void map_with_every_pool(struct fmk_problem *p, const void *expected, int caller)
{
    static const int workers[] = {1, 2, 3, 7};
    for (size_t k = 0; k < sizeof workers / sizeof workers[0]; k++) {
        fm_pool *pool;
        assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers[k], .caller = caller)),
                         0);
        map_every_schedule(p, pool, expected);
        assert_int_equal(fm_pool_destroy(pool), 0);
    }
}

static void map_while_caller_sleeps(struct fmk_problem *p, const void *expected)
{
    map_with_every_pool(p, expected, FM_CALLER_SLEEPS);
}

static void map_while_caller_works(struct fmk_problem *p, const void *expected)
{
    map_with_every_pool(p, expected, FM_CALLER_WORKS);
}

static void test_kernels_forkmap_equals_serial_with_any_workers_and_schedule(void **state)
{
    (void)state;
    for_each_kernel(map_while_caller_sleeps);
}

static void test_kernels_forkmap_with_a_caller_that_works_equals_serial(void **state)
{
    (void)state;
    for_each_kernel(map_while_caller_works);
}

static void test_kernels_problem_made_after_the_pool_runs_in_its_workers(void **state)
{
    fm_pool *pool;
    (void)state;
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    for (size_t k = 0; k < N_SMALL; k++) {
        struct fmk_problem p;
        t_prepare(&p, small[k].name, small[k].params, NULL, 0);
        void *expected = t_serial_result(&p);
        t_poison(&p);
        assert_int_equal(fmk_run_forkmap(&p, pool, NULL), 0);
        t_assert_same_bits(&p, expected);
        free(expected);
        fmk_release(&p);
    }
    assert_int_equal(fm_pool_destroy(pool), 0);
}

static void test_kernels_pool_opened_after_openmp_still_gives_the_same_bits(void **state)
{
    struct fmk_problem p;
    fm_pool *pool;
    (void)state;
    t_prepare(&p, "mandelbrot", small_params("mandelbrot"), NULL, 0);
    void *expected = t_serial_result(&p);
    assert_int_equal(fmk_run_openmp(&p, 2, "dynamic", 0), 0);
    fmk_pause_openmp();
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    t_poison(&p);
    assert_int_equal(fmk_run_forkmap(&p, pool, NULL), 0);
    t_assert_same_bits(&p, expected);
    assert_int_equal(fm_pool_destroy(pool), 0);
    free(expected);
    fmk_release(&p);
}

T_MAIN(T_TEST(test_kernels_each_name_in_the_table_is_found),
       T_TEST(test_kernels_unknown_name_is_not_found),
       T_TEST(test_kernels_each_says_its_cost_source_and_result),
       T_TEST(test_kernels_unknown_parameter_is_refused_by_name),
       T_TEST(test_kernels_bad_values_are_refused_with_the_bounds),
       T_TEST(test_kernels_more_steps_than_can_be_counted_exactly_are_refused),
       T_TEST(test_kernels_last_of_two_equal_keys_counts),
       T_TEST(test_kernels_wrong_number_of_columns_is_refused),
       T_TEST(test_kernels_problem_without_items_runs_and_writes_nothing),
       T_TEST(test_kernels_each_verifies_its_results_and_refuses_rubbish),
       T_TEST(test_kernels_any_cut_gives_the_same_bits),
       T_TEST(test_mandelbrot_rows_equal_a_plain_loop),
       T_TEST(test_mandelbrot_known_points_have_known_counts),
       T_TEST(test_mandelbrot_has_the_area_of_the_set),
       T_TEST(test_mandelbrot_one_wrong_pixel_is_found_and_named),
       T_TEST(test_pi_sum_of_the_blocks_is_pi),
       T_TEST(test_pi_few_steps_are_right_within_the_error_of_the_rule),
       T_TEST(test_pi_one_wrong_block_is_found_and_named),
       T_TEST(test_kernels_openmp_equals_serial_bit_for_bit),
       T_TEST(test_kernels_openmp_refuses_what_it_cannot_run),
       T_TEST(test_kernels_forkmap_equals_serial_with_any_workers_and_schedule),
       T_TEST(test_kernels_forkmap_with_a_caller_that_works_equals_serial),
       T_TEST(test_kernels_problem_made_after_the_pool_runs_in_its_workers),
       T_TEST(test_kernels_pool_opened_after_openmp_still_gives_the_same_bits))
