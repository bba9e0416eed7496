/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* Functions that return non-zero: which failure is told, what the records say, giving up, status, rows in place. */
#include "t_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 400, MAX_RECORDS = 64 };

static fm_failure records[MAX_RECORDS];

static int64_t *numbers(fm_array *a)
{
    return fm_array_data(a);
}

/* ---- the lowest failure ---- */

/* Items that are 3 modulo 50 fail with their number, after a while that differs from run to run. */
static int fail_some(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    if (i % 10 == 3)
        usleep((unsigned)(rand() % 1000));
    *(int64_t *)result = i;
    return i % 50 == 3 && i > 50 ? (int)i : 0;
}

static int seed_by_time(int rank, void *arg)
{
    struct timespec now;
    (void)arg;
    clock_gettime(CLOCK_MONOTONIC, &now);
    srand((unsigned)(now.tv_nsec + rank));
    return 0;
}

static void test_failures_stop_at_the_lowest_item_whatever_the_timing(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3, .initializer = seed_by_time)), 0);
    for (int round = 0; round < 20; round++) {
        memset(fm_array_data(out), 0xff, fm_array_bytes(out));
        t_expect(fm_pool_map_range(pool, fail_some, 0, N, out, FM_MAP_OPTS(.chunk = round % 7)),
                 FM_ETASK);
        assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 1);
        assert_int_equal(records[0].item, 53);
        assert_int_equal(records[0].code, 53);
        assert_int_equal(records[0].state, FM_ITEM_FAILED);
        assert_non_null(strstr(fm_error_detail(), "53"));
        for (int64_t i = 0; i < 53; i++) /* all before it are done */
            assert_int_equal(numbers(out)[i], i);
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_failures_continue_records_all_of_them_in_order(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(3, caller);
        for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
            t_expect(fm_pool_map_range(
                         pool, fail_some, 0, N, out,
                         FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .schedule = schedule)),
                     FM_ETASK);
            assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 7);
            for (int k = 0; k < 7; k++) {
                assert_int_equal(records[k].item, 53 + 50 * k);
                assert_int_equal(records[k].code, 53 + 50 * k);
            }
            for (int64_t i = 0; i < N; i++)
                assert_true(numbers(out)[i] == i);
        }
        t_destroy(pool);
    }
    fm_array_destroy(out);
}

static void test_failures_of_the_last_map_only_are_kept(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fail_some, 0, N, out,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
             FM_ETASK);
    memset(records, 0x77, sizeof records);
    assert_int_equal(fm_pool_failures(pool, records, 2),
                     7); /* there are more than were asked for */
    assert_true(records[0].item == 53 && records[1].item == 103);
    assert_int_equal(records[2].item, 0x7777777777777777);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 7);
    fm_array *one = t_vector(FM_I64, 10);
    t_expect(fm_pool_map_range(pool, fail_some, 0, 10, one, NULL), 0);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    t_destroy(pool);
    fm_array_destroy(one);
    fm_array_destroy(out);
}

/* ---- what a record says ---- */

static int fail_with_note(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)result;
    (void)arg;
    if (i % 10 != 5)
        return 0;
    if (i != 25)
        fm_note("item %d is %s", (int)i, "bad");
    t_sleep_ms(2);
    return -7;
}

static void check_record(fm_pool *pool, const fm_failure *f)
{
    fm_worker_info info;
    t_expect(fm_pool_worker(pool, f->worker, &info), 0);
    assert_int_equal(f->pid, info.pid);
    assert_int_equal(f->state, FM_ITEM_FAILED);
    assert_int_equal(f->code, -7);
    assert_true(f->signal == 0 && f->stack_overflow == 0 && f->address == 0);
    assert_int_equal(f->attempt, 1);
    assert_true(f->cpu >= -1);
    assert_true(f->begin_ns > 0 && f->end_ns > f->begin_ns);
    assert_true(f->peak_bytes > 100000);
}

static void records_with(int caller)
{
    struct timespec now;
    char expected[96];
    fm_pool *pool = t_open(2, caller);
    t_expect(fm_pool_map_range(pool, fail_with_note, 0, 40, NULL,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .chunk = 1)),
             FM_ETASK);
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 4);
    for (int k = 0; k < 4; k++) {
        check_record(pool, &records[k]);
        assert_int_equal(records[k].item, 5 + 10 * k);
        assert_true(records[k].end_ns <= now.tv_sec * 1000000000 + now.tv_nsec);
        snprintf(expected, sizeof expected, "item %d is bad", 5 + 10 * k);
        assert_string_equal(records[k].note, k == 2 ? "" : expected);
    }
    t_destroy(pool);
}

static void test_failures_records_tell_who_when_and_why(void **state)
{
    (void)state;
    records_with(FM_CALLER_SLEEPS);
}

static void test_failures_records_of_a_caller_that_works_tell_the_same(void **state)
{
    (void)state;
    records_with(FM_CALLER_WORKS);
}

static int note_all_fail_some(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)result;
    (void)arg;
    if (i % 2 == 0)
        fm_note("note of item %d", (int)i);
    return i % 2 != 0;
}

static void test_failures_note_of_an_item_that_succeeded_is_not_anothers(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(1, caller);
        for (int shift = 0; shift < 2;
             shift++) { /* the second map fails where the first one left notes */
            t_expect(fm_pool_map_range(pool, note_all_fail_some, shift, 21, NULL,
                                       FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
                     FM_ETASK);
            assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 10);
            for (int k = 0; k < 10; k++)
                assert_string_equal(records[k].note, "");
        }
        t_destroy(pool);
    }
}

static int note_long(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    fm_note("%0200d", 5);
    return 1;
}

static void test_failures_long_note_is_cut(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, note_long, 0, 1, NULL, NULL), FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, records, 1), 1);
    assert_int_equal(strlen(records[0].note), 95);
    fm_note("outside of functions: %d", 1); /* goes nowhere, hurts nobody */
    t_destroy(pool);
}

static void test_failures_items_of_a_range_count_from_its_begin(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fail_with_note, 1000, 1010, NULL, NULL), FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, records, 1), 1);
    assert_int_equal(records[0].item, 1005);
    t_destroy(pool);
}

static void test_failures_state_names_are_words(void **state)
{
    (void)state;
    assert_string_equal(fm_item_state_name(FM_ITEM_DONE), "done");
    assert_string_equal(fm_item_state_name(FM_ITEM_FAILED), "failed");
    for (int s = FM_ITEM_DONE; s <= FM_ITEM_CANCELLED; s++)
        assert_true(strlen(fm_item_state_name(s)) > 3);
    assert_non_null(fm_item_state_name(0));
    assert_non_null(fm_item_state_name(-1));
    assert_non_null(fm_item_state_name(FM_ITEM_CANCELLED + 1));
}

/* ---- chunk functions ---- */

static int fail_in_chunk(const fm_chunk *chunk, void *arg)
{
    int bad = 0;
    (void)arg;
    for (int64_t r = 0; r < chunk->count; r++) {
        *(int64_t *)((char *)chunk->out + r * chunk->out_stride) = chunk->begin + r;
        bad |= (chunk->begin + r) % 100 == 42;
    }
    return bad;
}

static void test_failures_chunk_is_split_until_the_item_is_found(void **state)
{
    (void)state;
    enum { ITEMS = 1000 };
    fm_array *out = t_vector(FM_I64, ITEMS), *status = t_vector(FM_U8, ITEMS);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_pool_counters counters;
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        memset(fm_array_data(out), 0xff, fm_array_bytes(out));
        t_expect(fm_pool_map_range_chunks(pool, fail_in_chunk, 0, ITEMS, out,
                                          FM_MAP_OPTS(.schedule = schedule,
                                                      .on_error = FM_ON_ERROR_CONTINUE,
                                                      .status = status)),
                 FM_ETASK);
        assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 10);
        for (int k = 0; k < 10; k++)
            assert_int_equal(records[k].item, 42 + 100 * k);
        for (int64_t i = 0; i < ITEMS; i++) {
            assert_int_equal(numbers(out)[i], i);
            assert_int_equal(((uint8_t *)fm_array_data(status))[i],
                             i % 100 == 42 ? FM_ITEM_FAILED : FM_ITEM_DONE);
        }
    }
    t_expect(fm_pool_stats(pool, &counters), 0);
    assert_true(counters.reruns > 0);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

static void test_failures_first_of_a_chunk_function_is_the_lowest_item(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 1000);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(3, caller);
        for (int round = 0; round < 20; round++) {
            t_expect(fm_pool_map_range_chunks(pool, fail_in_chunk, 0, 1000, out,
                                              FM_MAP_OPTS(.chunk = round * 3)),
                     FM_ETASK);
            assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 1);
            assert_int_equal(records[0].item, 42);
        }
        t_destroy(pool);
    }
    fm_array_destroy(out);
}

/* ---- giving up, and states ---- */

static int fail_all(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 3;
}

static void test_failures_max_failures_gives_up(void **state)
{
    (void)state;
    enum { ITEMS = 100000 };
    fm_array *status = t_vector(FM_U8, ITEMS);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    const uint8_t *states = fm_array_data(status);
    t_expect(fm_pool_map_range(pool, fail_all, 0, ITEMS, NULL,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .max_failures = 10,
                                           .status = status)),
             FM_ETASK);
    int64_t n_records = fm_pool_failures(pool, records, MAX_RECORDS), n_failed = 0;
    assert_in_range(n_records, 10, 10 + 2); /* each worker may be in the middle of one */
    for (int64_t i = 0; i < ITEMS; i++) {
        assert_true(states[i] == FM_ITEM_FAILED || states[i] == FM_ITEM_CANCELLED);
        n_failed += states[i] == FM_ITEM_FAILED;
    }
    assert_int_equal(n_failed, n_records);
    t_destroy(pool);
    fm_array_destroy(status);
}

static void test_failures_status_tells_failed_done_and_cancelled(void **state)
{
    (void)state;
    enum { ITEMS = 5000 };
    fm_array *out = t_vector(FM_I64, ITEMS), *status = t_vector(FM_U8, ITEMS);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    const uint8_t *states = fm_array_data(status);
    t_expect(fm_pool_map_range(pool, fail_some, 0, ITEMS, out,
                               FM_MAP_OPTS(.status = status, .chunk = 4)),
             FM_ETASK);
    for (int i = 0; i < 53; i++)
        assert_int_equal(states[i], FM_ITEM_DONE);
    assert_int_equal(states[53], FM_ITEM_FAILED);
    for (int i = 54; i < ITEMS; i++) /* some were tried before the lowest was known */
        assert_true(states[i] == FM_ITEM_CANCELLED ||
                    (i % 50 == 3 ? states[i] == FM_ITEM_FAILED : states[i] == FM_ITEM_DONE));
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

/* ---- in place ---- */

static int negate_or_fail(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = -i - 1;
    return i % 30 == 11;
}

static int negate_chunk_or_fail(const fm_chunk *chunk, void *arg)
{
    int bad = 0;
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t *x = (int64_t *)((char *)chunk->out + r * chunk->out_stride);
        bad |= negate_or_fail(x, x, arg);
    }
    return bad;
}

static void check_negated(fm_array *a)
{
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(numbers(a)[i], i % 30 == 11 ? i : -i - 1);
    fm_array_destroy(a);
}

static void test_failures_in_place_leave_failed_rows_as_they_were(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (int retries = 0; retries < 2; retries++) {
            const fm_map_opts *opts =
                FM_MAP_OPTS(.flags = FM_IN_PLACE, .on_error = FM_ON_ERROR_CONTINUE,
                            .retries = retries);
            fm_array *a = t_counted(N), *b = t_counted(N);
            t_expect(fm_pool_map(pool, negate_or_fail, a, a, opts), FM_ETASK);
            check_negated(a);
            t_expect(fm_pool_map_chunks(pool, negate_chunk_or_fail, b, b, opts), FM_ETASK);
            check_negated(b);
        }
        t_destroy(pool);
    }
}

T_MAIN(T_TEST(test_failures_stop_at_the_lowest_item_whatever_the_timing),
       T_TEST(test_failures_continue_records_all_of_them_in_order),
       T_TEST(test_failures_of_the_last_map_only_are_kept),
       T_TEST(test_failures_records_tell_who_when_and_why),
       T_TEST(test_failures_records_of_a_caller_that_works_tell_the_same),
       T_TEST(test_failures_note_of_an_item_that_succeeded_is_not_anothers),
       T_TEST(test_failures_long_note_is_cut),
       T_TEST(test_failures_items_of_a_range_count_from_its_begin),
       T_TEST(test_failures_state_names_are_words),
       T_TEST(test_failures_chunk_is_split_until_the_item_is_found),
       T_TEST(test_failures_first_of_a_chunk_function_is_the_lowest_item),
       T_TEST(test_failures_max_failures_gives_up),
       T_TEST(test_failures_status_tells_failed_done_and_cancelled),
       T_TEST(test_failures_in_place_leave_failed_rows_as_they_were))
