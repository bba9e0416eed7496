/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* A function that ends its worker's main thread: the process ends with it, also where it has made other threads. */
#include "t_pool.h"

#include <pthread.h>
#include <unistd.h>

enum { N = 1000, BAD = 321 };

static void *wait_for_ever(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static int end_the_thread_at_bad(const void *item, void *result, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    pthread_t other;
    if (i == BAD && *(const int *)arg && pthread_create(&other, NULL, wait_for_ever, NULL) != 0)
        return 1;
    if (i == BAD)
        pthread_exit(NULL);
    *(int64_t *)result = i;
    return 0;
}

static void check_map(int has_another_thread)
{
    fm_failure failure;
    fm_pool_counters counters;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, end_the_thread_at_bad, 0, N, out,
                               FM_MAP_OPTS(.arg = &has_another_thread,
                                           .arg_bytes = sizeof has_another_thread,
                                           .on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, BAD);
    assert_int_equal(failure.state, FM_ITEM_CRASHED);
    assert_true(failure.signal == 0 && failure.code == 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], i == BAD ? 0 : i);
    t_expect(fm_pool_stats(pool, &counters), 0);
    assert_int_equal(counters.deaths, 1);
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_thread_end_of_a_workers_only_thread_is_the_end_of_its_process(void **state)
{
    (void)state;
    check_map(0);
}

static void test_thread_end_of_a_workers_main_thread_is_the_end_of_its_process(void **state)
{
    (void)state;
    check_map(1);
}

static int end_the_thread(void *arg)
{
    pthread_t other;
    if (pthread_create(&other, NULL, wait_for_ever, arg) == 0)
        pthread_exit(NULL);
    return 1;
}

static void test_thread_end_of_a_process_main_thread_is_its_end(void **state)
{
    fm_process *process;
    int code = -1;
    (void)state;
    t_expect(fm_process_create(&process, end_the_thread, NULL, 0, NULL), 0);
    t_expect(fm_process_start(process), 0);
    t_expect(fm_process_join(process, FM_SECONDS(10)), 0);
    t_expect(fm_process_exitcode(process, &code), 0);
    assert_int_equal(code, 0);
    t_expect(fm_process_close(process), 0);
}

T_MAIN(T_EACH_METHOD(test_thread_end_of_a_workers_only_thread_is_the_end_of_its_process),
       T_EACH_METHOD(test_thread_end_of_a_workers_main_thread_is_the_end_of_its_process),
       T_TEST(test_thread_end_of_a_process_main_thread_is_its_end))
