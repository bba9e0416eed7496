/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* fm_pool_apply: one call in one worker. */
#include "t_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct words {
    int64_t a, b;
};

static int multiply(const void *arg, void *result)
{
    const struct words *w = arg;
    *(int64_t *)result = w->a * w->b;
    return 0;
}

static int tell_pid(const void *arg, void *result)
{
    *(int *)result = arg == NULL ? getpid() : 0;
    return 0;
}

static int fill(const void *arg, void *result)
{
    const int64_t n = *(const int64_t *)arg;
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)result)[i] = i;
    return 0;
}

static int fail_with(const void *arg, void *result)
{
    *(int64_t *)result = 1;
    return *(const int *)arg;
}

static int crash(const void *arg, void *result)
{
    (void)arg;
    (void)result;
    return raise(SIGSEGV);
}

static int leave(const void *arg, void *result)
{
    (void)result;
    exit(*(const int *)arg);
}

static void test_apply_calls_in_a_worker_and_gives_its_result(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    struct words w = {6, 7};
    int64_t product = 0;
    int pid = 0;
    t_expect(fm_pool_apply(pool, multiply, &w, sizeof w, &product, sizeof product), 0);
    assert_int_equal(product, 42);
    t_expect(fm_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid), 0);
    assert_true(pid > 0 && pid != getpid());
    t_expect(fm_pool_apply(pool, tell_pid, NULL, 0, &pid, sizeof pid), 0);
    t_destroy(pool);
}

static void test_apply_takes_large_arguments_and_results(void **state)
{
    enum { N = 100000 };
    (void)state;
    fm_pool *pool = t_open(1, 0);
    int64_t *arg = calloc(N, sizeof *arg), *result = calloc(N, sizeof *result);
    arg[0] = N;
    t_expect(fm_pool_apply(pool, fill, arg, N * sizeof *arg, result, N * sizeof *result), 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(result[i], i);
    free(arg);
    free(result);
    t_destroy(pool);
}

static void test_apply_that_fails_leaves_the_result_and_a_record(void **state)
{
    (void)state;
    fm_failure f;
    int code = 9;
    int64_t result = 77;
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_apply(pool, fail_with, &code, sizeof code, &result, sizeof result), FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_int_equal(f.item, 0);
    assert_int_equal(f.code, 9);
    t_expect(fm_pool_apply(pool, crash, NULL, 0, &result, sizeof result), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_int_equal(f.signal, SIGSEGV);
    t_expect(fm_pool_apply(pool, leave, &code, sizeof code, NULL, 0), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_int_equal(f.code, 9);
    assert_int_equal(result, 77);
    t_destroy(pool);
}

static void test_apply_in_a_caller_that_works_and_in_one_that_is_alone(void **state)
{
    (void)state;
    struct words w = {3, 5};
    for (int caller = FM_CALLER_WORKS; caller <= FM_CALLER_ONLY; caller++) {
        int64_t product = 0;
        fm_pool *pool = t_open(2, caller);
        t_expect(fm_pool_apply(pool, multiply, &w, sizeof w, &product, sizeof product), 0);
        assert_int_equal(product, 15);
        t_destroy(pool);
    }
}

static int apply_inside(const void *item, void *result, void *arg)
{
    struct words w = {*(const int64_t *)item, 2};
    return fm_pool_apply(*(fm_pool **)arg, multiply, &w, sizeof w, result, sizeof(int64_t));
}

static void test_apply_inside_a_function_is_called_there(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_array *out = t_vector(FM_I64, 10);
    t_expect(fm_pool_map_range(pool, apply_inside, 0, 10, out,
                               FM_MAP_OPTS(.arg = &pool, .arg_bytes = sizeof pool)),
             0);
    for (int64_t i = 0; i < 10; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], 2 * i);
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_apply_wrong_arguments_are_refused(void **state)
{
    (void)state;
    int64_t result = 5;
    fm_pool *pool = t_open(1, 0);
    t_expect(fm_pool_apply(pool, NULL, NULL, 0, NULL, 0), -EINVAL);
    t_expect(fm_pool_apply(pool, multiply, NULL, 8, &result, 8), -EINVAL);
    t_expect(fm_pool_apply(pool, multiply, NULL, 0, NULL, 8), -EINVAL);
    t_expect(fm_pool_apply(NULL, multiply, NULL, 0, &result, 8), -EINVAL);
    assert_int_equal(fm_pool_apply(pool, multiply, &result, 8, &result, SIZE_MAX), -EINVAL);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_apply(pool, tell_pid, NULL, 0, &result, 8), FM_ECLOSED);
    assert_int_equal(result, 5);
    t_destroy(pool);
}

T_MAIN(T_EACH_METHOD(test_apply_calls_in_a_worker_and_gives_its_result),
       T_TEST(test_apply_takes_large_arguments_and_results),
       T_EACH_METHOD(test_apply_that_fails_leaves_the_result_and_a_record),
       T_TEST(test_apply_in_a_caller_that_works_and_in_one_that_is_alone),
       T_TEST(test_apply_inside_a_function_is_called_there),
       T_TEST(test_apply_wrong_arguments_are_refused))
