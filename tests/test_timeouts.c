/* SPDX-License-Identifier: MIT */
/* LABELS: crash */
/* Time limits: who exceeds one is found and recorded, who does not is left alone, and stopped time does not count. */
#include "t_pool.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 60, BAD = 37, MAX_RECORDS = 32 };

static fm_failure records[MAX_RECORDS];

static int64_t *numbers(fm_array *a)
{
    return fm_array_data(a);
}

static int hang_at_bad(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    if (i == BAD) {
        fm_note("hangs");
        for (;;)
            pause();
    }
    *(int64_t *)result = i;
    return 0;
}

static int hang_in_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t i = chunk->begin + r;
        (void)hang_at_bad(&i, (char *)chunk->out + r * chunk->out_stride, arg);
    }
    return 0;
}

static void check_timeout(fm_pool *pool, fm_array *out, int attempt)
{
    assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 1);
    assert_int_equal(records[0].item, BAD);
    assert_int_equal(records[0].state, FM_ITEM_TIMEOUT);
    assert_int_equal(records[0].attempt, attempt);
    assert_string_equal(records[0].note, "hangs");
    for (int64_t i = 0; i < N; i++)
        if (i != BAD)
            assert_int_equal(numbers(out)[i], i);
}

static void test_timeouts_end_an_item_that_hangs(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int retries = 0; retries < 3; retries++) {
        memset(fm_array_data(out), 0xff, fm_array_bytes(out));
        t_expect(fm_pool_map_range(pool, hang_at_bad, 0, N, out,
                                   FM_MAP_OPTS(.item_timeout = FM_MS(20), .retries = retries,
                                               .on_error = FM_ON_ERROR_CONTINUE)),
                 FM_ETIMEOUT);
        check_timeout(pool, out, 1 + retries);
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_timeouts_of_chunk_functions_are_traced_to_the_item(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        memset(fm_array_data(out), 0xff, fm_array_bytes(out));
        t_expect(
            fm_pool_map_range_chunks(pool, hang_in_chunk, 0, N, out,
                                     FM_MAP_OPTS(.item_timeout = FM_MS(20), .schedule = schedule,
                                                 .on_error = FM_ON_ERROR_CONTINUE)),
            FM_ETIMEOUT);
        check_timeout(pool, out, 1);
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

/* Each call of a chunk function may last as long as the limit, which is far less than the whole chunk needs. */
static int sleep_through_chunk(const fm_chunk *chunk, void *arg)
{
    (void)arg;
    for (int64_t r = 0; r < chunk->count; r++) {
        t_sleep_ms(4);
        *(int64_t *)((char *)chunk->out + r * chunk->out_stride) = chunk->begin + r;
    }
    return 0;
}

static void test_timeouts_of_a_chunk_that_is_only_too_long_fail_no_item(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_pool_counters counters;
    t_expect(fm_pool_map_range_chunks(
                 pool, sleep_through_chunk, 0, N, out,
                 FM_MAP_OPTS(.item_timeout = FM_MS(150), .schedule = FM_SCHEDULE_STATIC)),
             0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(numbers(out)[i], i);
    t_expect(fm_pool_stats(pool, &counters), 0);
    assert_true(counters.deaths >= 1);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int be_short(const void *item, void *result, void *arg)
{
    (void)arg;
    usleep(200);
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static void test_timeouts_leave_short_items_alone_however_long_the_map_is(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 2000);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_pool_counters counters;
    t_expect(
        fm_pool_map_range(pool, be_short, 0, 2000, out, FM_MAP_OPTS(.item_timeout = FM_SECONDS(1))),
        0);
    t_expect(fm_pool_stats(pool, &counters), 0);
    assert_int_equal(counters.deaths, 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* Before the slow one, enough items are seen for the median to be right. */
static int be_short_or_hang(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    if (i != 500)
        return be_short(item, result, arg);
    for (;;)
        pause();
}

static void test_timeouts_as_a_multiple_of_the_median_find_the_one_that_hangs(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 600);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(
        fm_pool_map_range(pool, be_short_or_hang, 0, 600, out,
                          FM_MAP_OPTS(.timeout_factor = 2000, .on_error = FM_ON_ERROR_CONTINUE)),
        FM_ETIMEOUT);
    assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 1);
    assert_int_equal(records[0].item, 500);
    assert_int_equal(records[0].state, FM_ITEM_TIMEOUT);
    for (int64_t i = 0; i < 600; i++)
        assert_int_equal(numbers(out)[i], i == 500 ? 0 : i);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- stopped processes ---- */

static int stop_itself(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    if (i == BAD) {
        fm_note("hangs");
        raise(SIGSTOP);
    }
    *(int64_t *)result = i;
    return 0;
}

static void test_timeouts_end_a_worker_that_is_stopped(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(
        fm_pool_map_range(pool, stop_itself, 0, N, out,
                          FM_MAP_OPTS(.item_timeout = FM_MS(50), .on_error = FM_ON_ERROR_CONTINUE)),
        FM_ETIMEOUT);
    check_timeout(pool, out, 1);
    t_destroy(pool);
    fm_array_destroy(out);
}

enum { LIMIT_MS = 300, ITEM_MS = 100 };

static int take_a_third_of_the_limit(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    *(_Atomic int *)arg = 1;
    t_sleep_ms(ITEM_MS);
    return 0;
}

/* A host that maps; its parent stops all of its process group meanwhile. */
static void map_with_limit(void *arg)
{
    fm_pool *pool;
    fm_failure f;
    setpgid(0, 0);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(1);
    int rc =
        fm_pool_map_range(pool, take_a_third_of_the_limit, 0, 4, NULL,
                          FM_MAP_OPTS(.item_timeout = FM_MS(LIMIT_MS), .arg = arg, .chunk = 1));
    if (fm_pool_failures(pool, &f, 1) != 0)
        _exit(2);
    if (rc != 0)
        _exit(3);
    if (fm_pool_destroy(pool) != 0)
        _exit(4);
}

static void test_timeouts_do_not_count_time_in_which_all_were_stopped(void **state)
{
    (void)state;
    fm_array *begun = t_vector(FM_I32, 1);
    _Atomic int *flag = fm_array_data(begun);
    pid_t pid = t_start_child(map_with_limit, fm_array_data(begun));
    for (int i = 0; i < 2; i++) { /* twice, in the middle of an item each */
        while (atomic_load(flag) == 0)
            usleep(1000);
        assert_int_equal(kill(-pid, SIGSTOP), 0);
        t_sleep_ms(2 * LIMIT_MS);
        atomic_store(flag, 0);
        assert_int_equal(kill(-pid, SIGCONT), 0);
    }
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    fm_array_destroy(begun);
}

/* ---- limits and other maps ---- */

static void test_timeouts_hold_for_the_map_that_set_them_only(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *begun = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(
        fm_pool_map_range(pool, hang_at_bad, 0, N, out,
                          FM_MAP_OPTS(.item_timeout = FM_MS(10), .on_error = FM_ON_ERROR_CONTINUE)),
        FM_ETIMEOUT);
    t_expect(fm_pool_map_range(pool, take_a_third_of_the_limit, 0, 2, NULL,
                               FM_MAP_OPTS(.arg = fm_array_data(begun))),
             0);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(begun);
}

T_MAIN(T_EACH_METHOD(test_timeouts_end_an_item_that_hangs),
       T_EACH_METHOD(test_timeouts_of_chunk_functions_are_traced_to_the_item),
       T_EACH_METHOD(test_timeouts_of_a_chunk_that_is_only_too_long_fail_no_item),
       T_EACH_METHOD(test_timeouts_leave_short_items_alone_however_long_the_map_is),
       T_EACH_METHOD(test_timeouts_as_a_multiple_of_the_median_find_the_one_that_hangs),
       T_EACH_METHOD(test_timeouts_end_a_worker_that_is_stopped),
       T_EACH_METHOD(test_timeouts_do_not_count_time_in_which_all_were_stopped),
       T_EACH_METHOD(test_timeouts_hold_for_the_map_that_set_them_only))
