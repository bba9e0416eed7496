/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* What a map's options promise: arguments by value and by pointer, in place, status, progress, cancellation. */
#include "t_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static int64_t *numbers(fm_array *a)
{
    return fm_array_data(a);
}

/* ---- arguments ---- */

struct large {
    int64_t values[100];
};

static int add_first_and_last(const void *item, void *result, void *arg)
{
    const int64_t *values = arg;
    *(int64_t *)result = *(const int64_t *)item + values[0] + values[99];
    return 0;
}

static int add_value(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)arg;
    return 0;
}

static void check_added(fm_array *out, int64_t sum)
{
    for (int64_t i = 0; i < fm_array_len(out); i++)
        assert_int_equal(numbers(out)[i], i + sum);
}

static void test_map_argument_by_value_is_that_of_the_call(void **state)
{
    (void)state;
    fm_array *in = t_counted(500), *out = t_vector(FM_I64, 500);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(3, caller);
        for (int64_t value = 1; value < 20; value++) { /* on this stack, which workers have not */
            int64_t copied = value * 1000;
            t_expect(fm_pool_map(pool, add_value, in, out,
                                 FM_MAP_OPTS(.arg = &copied, .arg_bytes = sizeof copied)),
                     0);
            check_added(out, value * 1000);
        }
        t_destroy(pool);
    }
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_map_large_argument_by_value_is_that_of_the_call(void **state)
{
    (void)state;
    fm_array *in = t_counted(500), *out = t_vector(FM_I64, 500);
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    for (int64_t value = 1; value < 20; value++) {
        struct large *copied =
            calloc(1, sizeof *copied); /* private, and longer than what a job holds itself */
        copied->values[0] = value;
        copied->values[99] = 7 * value;
        t_expect(fm_pool_map(pool, add_first_and_last, in, out,
                             FM_MAP_OPTS(.arg = copied, .arg_bytes = sizeof *copied)),
                 0);
        check_added(out, 8 * value);
        free(copied);
    }
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_map_argument_of_192_bytes_and_one_more_arrive_whole(void **state)
{
    (void)state;
    fm_array *in = t_counted(10), *out = t_vector(FM_I64, 10);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    int64_t values[101] = {3};
    for (size_t bytes = 8; bytes <= sizeof values; bytes += bytes < 184 ? 44 : 1) {
        t_expect(
            fm_pool_map(pool, add_value, in, out, FM_MAP_OPTS(.arg = values, .arg_bytes = bytes)),
            0);
        check_added(out, 3);
    }
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static int64_t set_before_open;

static void test_map_argument_by_pointer_is_passed_as_it_is(void **state)
{
    (void)state;
    fm_array *in = t_counted(100), *out = t_vector(FM_I64, 100), *shared = t_vector(FM_I64, 1);
    set_before_open = 17;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    set_before_open = 18; /* not seen: the workers have the memory of the open */
    t_expect(fm_pool_map(pool, add_value, in, out, FM_MAP_OPTS(.arg = &set_before_open)), 0);
    check_added(out, 17);
    numbers(shared)[0] = 99; /* seen: it lies in the heap */
    t_expect(fm_pool_map(pool, add_value, in, out, FM_MAP_OPTS(.arg = fm_array_data(shared))), 0);
    check_added(out, 99);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(shared);
}

static int count_calls(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return arg == NULL ? 0 : 1;
}

static void test_map_without_options_gives_a_null_argument(void **state)
{
    (void)state;
    fm_array *in = t_counted(10);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map(pool, count_calls, in, NULL, NULL), 0);
    t_destroy(pool);
    fm_array_destroy(in);
}

/* ---- in place ---- */

static int triple(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 3 * *(const int64_t *)item;
    return 0;
}

static int triple_chunk(const fm_chunk *chunk, void *arg)
{
    (void)arg;
    for (int64_t r = 0; r < chunk->count; r++)
        *(int64_t *)((char *)chunk->out + r * chunk->out_stride) *= 3;
    return 0;
}

static void test_map_in_place_updates_every_row_once(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(3, caller);
        for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
            fm_array *a = t_counted(5000);
            const fm_map_opts *opts = FM_MAP_OPTS(.schedule = schedule, .flags = FM_IN_PLACE);
            t_expect(fm_pool_map(pool, triple, a, a, opts), 0);
            t_expect(fm_pool_map_chunks(pool, triple_chunk, a, a, opts), 0);
            for (int64_t i = 0; i < 5000; i++)
                assert_int_equal(numbers(a)[i], 9 * i);
            fm_array_destroy(a);
        }
        t_destroy(pool);
    }
}

/* Chunks may not be longer than the undo copy that each worker has (1 MiB). */
static void test_map_in_place_of_large_arrays_writes_nothing_else(void **state)
{
    (void)state;
    const int64_t n = 1 << 20; /* 8 MiB */
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        fm_array *a = t_counted(n), *beside[8];
        for (size_t k = 0; k < T_N_OF(beside); k++)
            beside[k] = t_vector(FM_U8, 1 << 20);
        fm_array_destroy(beside[3]); /* the copies will lie between others */
        beside[3] = NULL;
        t_expect(fm_pool_map(pool, triple, a, a,
                             FM_MAP_OPTS(.schedule = schedule, .flags = FM_IN_PLACE,
                                         .chunk = schedule == FM_SCHEDULE_DYNAMIC ? 4096 : 0)),
                 0);
        for (int64_t i = 0; i < n; i++)
            if (numbers(a)[i] != 3 * i)
                fail_msg("schedule %d: item %lld is %lld", schedule, (long long)i,
                         (long long)numbers(a)[i]);
        for (size_t k = 0; k < T_N_OF(beside); k++) {
            const uint8_t *bytes = beside[k] == NULL ? NULL : fm_array_data(beside[k]);
            for (int64_t i = 0; bytes != NULL && i < 1 << 20; i++)
                if (bytes[i] != 0)
                    fail_msg("schedule %d: byte %lld of array %zu was overwritten", schedule,
                             (long long)i, k);
            fm_array_destroy(beside[k]);
        }
        fm_array_destroy(a);
    }
    t_destroy(pool);
}

/* ---- status ---- */

static void test_map_status_of_a_finished_map_is_all_done(void **state)
{
    (void)state;
    fm_array *in = t_counted(700), *out = t_vector(FM_I64, 700), *wide = t_vector(FM_U8, 1400),
             *status;
    uint8_t *bytes = fm_array_data(wide);
    memset(bytes, 77, 1400);
    assert_int_equal(fm_array_view(&status, wide, (fm_slice[]){{0, 1400, 2}}), 0);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map(pool, triple, in, out, FM_MAP_OPTS(.status = status)), 0);
    for (int i = 0; i < 700; i++) {
        assert_int_equal(bytes[2 * i], FM_ITEM_DONE);
        assert_int_equal(bytes[2 * i + 1], 77); /* between the elements of the view */
    }
    t_destroy(pool);
    fm_array_destroy(status);
    fm_array_destroy(wide);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

/* ---- progress ---- */

struct reports {
    pthread_t thread;
    int n, n_wrong, cancel_at;
    fm_progress last;
};

static int note_progress(const fm_progress *p, void *arg)
{
    struct reports *reports = arg;
    reports->n++;
    if (!pthread_equal(reports->thread, pthread_self()) || p->n_done > p->n_items ||
        p->n_done < reports->last.n_done || p->seconds < reports->last.seconds)
        reports->n_wrong++;
    reports->last = *p;
    return reports->n == reports->cancel_at;
}

static int sleep_1_ms(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    t_sleep_ms(1);
    if (result != NULL)
        *(int64_t *)result = 1;
    return 0;
}

static void report_with(int caller)
{
    struct reports reports = {.thread = pthread_self()};
    fm_pool *pool = t_open(2, caller);
    t_expect(fm_pool_map_range(pool, sleep_1_ms, 0, 200, NULL,
                               FM_MAP_OPTS(.progress = note_progress, .progress_arg = &reports,
                                           .progress_interval = FM_MS(5))),
             0);
    assert_true(reports.n >= 2);
    assert_int_equal(reports.n_wrong, 0);
    assert_int_equal(reports.last.n_items, 200);
    assert_int_equal(reports.last.n_done, 200); /* the last report is that of the end */
    assert_int_equal(reports.last.n_failed, 0);
    t_destroy(pool);
}

static void test_map_progress_is_reported_until_the_end(void **state)
{
    (void)state;
    report_with(FM_CALLER_SLEEPS);
    report_with(FM_CALLER_WORKS);
}

static void cancel_with(int caller)
{
    struct reports reports = {.thread = pthread_self(), .cancel_at = 2};
    fm_array *out = t_vector(FM_I64, 100000), *status = t_vector(FM_U8, 100000);
    fm_pool *pool = t_open(2, caller);
    const uint8_t *states = fm_array_data(status);
    t_expect(fm_pool_map_range(pool, sleep_1_ms, 0, 100000, out,
                               FM_MAP_OPTS(.progress = note_progress, .progress_arg = &reports,
                                           .status = status, .progress_interval = FM_MS(10))),
             FM_ECANCELLED);
    assert_true(strlen(fm_error_detail()) > 0);
    int n_done = 0;
    for (int i = 0; i < 100000; i++) {
        assert_true(states[i] == FM_ITEM_DONE || states[i] == FM_ITEM_CANCELLED);
        n_done += states[i] == FM_ITEM_DONE;
        assert_int_equal(numbers(out)[i], states[i] == FM_ITEM_DONE);
    }
    assert_in_range(n_done, 1, 99999);
    t_expect(fm_pool_map_range(pool, sleep_1_ms, 0, 4, NULL, NULL), 0); /* the pool goes on */
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

static void test_map_progress_callback_can_cancel(void **state)
{
    (void)state;
    cancel_with(FM_CALLER_SLEEPS);
    cancel_with(FM_CALLER_WORKS);
}

/* An item that would last for ever but for its own question. */
static int wait_until_cancelled(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    atomic_store((_Atomic int64_t *)arg, 1);
    while (!fm_cancelled())
        usleep(500);
    return 0;
}

static int cancel_once_started(const fm_progress *p, void *arg)
{
    (void)p;
    return atomic_load((_Atomic int64_t *)arg) != 0;
}

static void test_map_long_item_learns_that_it_is_cancelled(void **state)
{
    (void)state;
    fm_array *started = t_vector(FM_I64, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(fm_cancelled(), 0);
    t_expect(fm_pool_map_range(pool, wait_until_cancelled, 0, 10, NULL,
                               FM_MAP_OPTS(.arg = fm_array_data(started),
                                           .progress = cancel_once_started,
                                           .progress_arg = fm_array_data(started),
                                           .progress_interval = FM_MS(1))),
             FM_ECANCELLED);
    assert_int_equal(fm_cancelled(), 0);
    t_destroy(pool);
    fm_array_destroy(started);
}

/* Item 0 fails while a later one runs: that one is not wanted any more. */
static int fail_or_wait(const void *item, void *result, void *arg)
{
    _Atomic int64_t *flags = arg; /* a waiter runs; it was told */
    (void)result;
    if (*(const int64_t *)item == 0) {
        while (atomic_load(&flags[0]) == 0)
            usleep(500);
        return 5;
    }
    atomic_store(&flags[0], 1);
    while (!fm_cancelled())
        usleep(500);
    atomic_store(&flags[1], 1);
    return 0;
}

static void test_map_item_after_a_failed_one_learns_that_it_is_not_wanted(void **state)
{
    (void)state;
    fm_array *flags = t_vector(FM_I64, 2);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(
        fm_pool_map_range(pool, fail_or_wait, 0, 2, NULL, FM_MAP_OPTS(.arg = fm_array_data(flags))),
        FM_ETASK);
    assert_int_equal(numbers(flags)[1], 1);
    t_destroy(pool);
    fm_array_destroy(flags);
}

T_MAIN(T_TEST(test_map_argument_by_value_is_that_of_the_call),
       T_TEST(test_map_large_argument_by_value_is_that_of_the_call),
       T_TEST(test_map_argument_of_192_bytes_and_one_more_arrive_whole),
       T_TEST(test_map_argument_by_pointer_is_passed_as_it_is),
       T_TEST(test_map_without_options_gives_a_null_argument),
       T_TEST(test_map_in_place_updates_every_row_once),
       T_TEST(test_map_in_place_of_large_arrays_writes_nothing_else),
       T_TEST(test_map_status_of_a_finished_map_is_all_done),
       T_TEST(test_map_progress_is_reported_until_the_end),
       T_TEST(test_map_progress_callback_can_cancel),
       T_TEST(test_map_long_item_learns_that_it_is_cancelled),
       T_TEST(test_map_item_after_a_failed_one_learns_that_it_is_not_wanted))
