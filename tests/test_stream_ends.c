/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* Streams and what ends: items that fail, workers that die, streams that are closed early, pools that go before their streams. */
#include "t_stream.h"
#include "heap.h"
#include "victim.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 200 };

static size_t heap_used(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

/* The pool still maps, with all its workers. */
static void expect_healthy(fm_pool *pool)
{
    fm_array *out = t_vector(FM_I64, 500);
    t_expect(fm_pool_map_range(pool, t_square, 0, 500, out, NULL), 0);
    for (int64_t i = 0; i < 500; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], i * i);
    fm_array_destroy(out);
}

/* ---- items that fail ---------------------------------------------------------------------------- */

enum { FAILS = 20, CRASHES = 41, EXITS = 60, HANGS = 83, IS_LAST = N - 1 };

static int go_wrong_at_times(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    fm_note("at %lld", (long long)i);
    if (i == FAILS || i == IS_LAST)
        return 7;
    if (i == CRASHES)
        return raise(SIGSEGV);
    if (i == EXITS)
        exit(3);
    while (i == HANGS)
        pause();
    return t_square(item, result, arg);
}

static void check_record(const fm_stream_item *item, int rc, int attempts)
{
    int64_t i = item->index;
    assert_null(item->result);
    assert_non_null(item->failure);
    const fm_failure *f = item->failure;
    assert_int_equal(f->item, i);
    assert_int_equal(f->attempt, attempts);
    assert_int_equal(strncmp(f->note, "at ", 3), 0);
    assert_int_equal(atoi(f->note + 3), i);
    assert_true(f->pid > 0 && f->pid != getpid());
    if (i == FAILS || i == IS_LAST) {
        t_expect(rc, FM_ETASK);
        assert_int_equal(f->state, FM_ITEM_FAILED);
        assert_int_equal(f->code, 7);
    } else if (i == CRASHES) {
        t_expect(rc, FM_ECRASHED);
        assert_int_equal(f->state, FM_ITEM_CRASHED);
        assert_int_equal(f->signal, SIGSEGV);
    } else if (i == EXITS) {
        t_expect(rc, FM_ECRASHED);
        assert_int_equal(f->state, FM_ITEM_CRASHED);
        assert_int_equal(f->code, 3);
    } else {
        assert_int_equal(i, HANGS);
        t_expect(rc, FM_ETIMEOUT);
        assert_int_equal(f->state, FM_ITEM_TIMEOUT);
    }
}

/* Five items go wrong, the others are right, each comes once. */
static void check_failures(fm_pool *pool, int is_ordered, int64_t chunk, int retries)
{
    int n_seen[N] = {0}, n_failed = 0;
    fm_stream_item item;
    fm_stream *stream =
        t_stream(t_imaps[1 - is_ordered], pool, go_wrong_at_times, fm_source_range(0, N),
                 FM_STREAM_OPTS(.result_bytes = 8, .chunk = chunk, .retries = retries,
                                .item_timeout = FM_SECONDS(0.4)));
    for (int64_t k = 0; k < N; k++) {
        int rc = fm_stream_next(stream, &item, FM_FOREVER);
        assert_in_range(item.index, 0, N - 1);
        if (is_ordered)
            assert_int_equal(item.index, k);
        assert_int_equal(n_seen[item.index]++, 0);
        if (rc != 0) {
            check_record(&item, rc, retries + 1);
            n_failed++;
        } else {
            assert_null(item.failure);
            assert_int_equal(*(const int64_t *)item.result, item.index * item.index);
        }
    }
    t_expect_end(stream);
    assert_int_equal(n_failed, 5);
    t_expect(fm_stream_close(stream), 0);
}

static void test_stream_failing_items_cost_nothing_but_themselves(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (int ordered = 0; ordered < 2; ordered++)
        for (int64_t chunk = 0; chunk < 30; chunk += 29)
            check_failures(pool, ordered, chunk, 0);
    t_destroy(pool);
}

static void test_stream_failing_items_are_tried_again(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    check_failures(pool, 1, 0, 1);
    check_failures(pool, 0, 16, 1);
    t_destroy(pool);
}

/* In shared memory: how often each item was begun. */
static int fail_twice(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    int n = __atomic_add_fetch((int *)arg + i, 1, __ATOMIC_RELAXED);
    if (n < 3 && i % 10 == 0)
        return 5;
    if (n < 3 && i % 100 == 1)
        raise(SIGSEGV);
    return t_square(item, result, arg);
}

static void test_stream_item_that_succeeds_at_last_did_not_fail(void **state)
{
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
        fm_array *counts = t_vector(FM_I32, N);
        fm_stream *stream =
            t_stream(t_imaps[1 - ordered], pool, fail_twice, fm_source_range(0, N),
                     FM_STREAM_OPTS(.result_bytes = 8, .retries = 2, .arg = fm_array_data(counts)));
        t_expect_squares(stream, ordered, 0, N);
        for (int i = 0; i < N; i++)
            assert_int_equal(((int *)fm_array_data(counts))[i],
                             i % 10 == 0 || i % 100 == 1 ? 3 : 1);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
        fm_array_destroy(counts);
    }
}

static int fail_always(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    return 1 + (int)(*(const int64_t *)item % 100);
}

static void test_stream_of_failures_only_has_a_record_for_each(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        fm_stream_item item;
        fm_stream *stream =
            t_stream(fm_pool_imap, pool, fail_always, fm_source_range(0, 20000), NULL);
        for (int64_t i = 0; i < 20000; i++) {
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), FM_ETASK);
            assert_int_equal(item.index, i);
            assert_non_null(item.failure);
            assert_int_equal(item.failure->code, 1 + i % 100);
        }
        t_expect_end(stream);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
    }
}

/* ---- workers that die --------------------------------------------------------------------------- */

static void test_stream_loses_nothing_when_workers_are_killed(void **state)
{
    enum { N_ITEMS = 20000, PERIOD = 700 };
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        struct t_random random = t_random_begin();
        fm_pool_counters counters;
        fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
        fm_stream_item item;
        char *seen = test_calloc(N_ITEMS, 1);
        fm_stream *stream =
            t_stream(t_imaps[1 - ordered], pool, t_square, fm_source_range(0, N_ITEMS),
                     FM_STREAM_OPTS(.result_bytes = 8, .retries = 1000, .window_bytes = 20000,
                                    .chunk = (int64_t)t_random_below(&random, 3) * 5));
        for (int64_t k = 0; k < N_ITEMS; k++) {
            if (t_random_below(&random, PERIOD) == 0)
                t_kill_a_worker(pool, &random);
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
            if (ordered)
                assert_int_equal(item.index, k);
            assert_int_equal(seen[item.index]++, 0);
            assert_int_equal(*(const int64_t *)item.result, item.index * item.index);
        }
        t_expect_end(stream);
        t_expect(fm_pool_stats(pool, &counters), 0);
        assert_true(counters.deaths > 0);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
        test_free(seen);
    }
}

/* In a child: the workers of a dead warden are nobody's. */
static void kill_the_warden(void *imap)
{
    fm_pool *pool;
    fm_stream *stream;
    fm_stream_item item;
    int rc;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0 ||
        (*(t_imap_fn *const *)imap)(pool, t_square, fm_source_range(0, INT64_MAX), T_RESULT_I64,
                                    &stream) != 0 ||
        fm_stream_next(stream, &item, FM_FOREVER) != 0)
        _exit(1);
    kill(fm_pool_warden_pid(pool), SIGKILL);
    while ((rc = fm_stream_next(stream, &item, FM_FOREVER)) == 0)
        if (*(const int64_t *)item.result != item.index * item.index)
            _exit(2);
    if (rc != FM_EBROKEN)
        _exit(3);
    rc = fm_stream_next(stream, &item, FM_FOREVER);
    if (rc != FM_EBROKEN && rc != FM_ECLOSED)
        _exit(4);
    if (fm_stream_close(stream) != 0 || fm_pool_destroy(pool) != 0)
        _exit(5);
}

static void test_stream_whose_warden_is_killed_is_broken(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        t_imap_fn *imap = t_imaps[k];
        int status = t_in_child(kill_the_warden, &imap);
        assert_int_equal(t_signal(status), 0);
        assert_int_equal(t_exit_code(status), 0);
    }
}

static void test_stream_goes_on_while_workers_are_recycled_and_resized(void **state)
{
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        fm_pool_counters counters;
        fm_pool *pool;
        fm_stream_item item;
        t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .max_workers = 4,
                                                  .max_tasks_per_worker = 7)),
                 0);
        fm_stream *stream = t_stream(t_imaps[1 - ordered], pool, t_square, fm_source_range(0, 2000),
                                     FM_STREAM_OPTS(.result_bytes = 8, .chunk = 10));
        char *seen = test_calloc(2000, 1);
        for (int64_t k = 0; k < 2000; k++) {
            if (k % 200 == 0)
                t_expect(fm_pool_resize(pool, 1 + (int)(k / 200 % 4)), 0);
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
            assert_int_equal(seen[item.index]++, 0);
            assert_int_equal(*(const int64_t *)item.result, item.index * item.index);
        }
        t_expect_end(stream);
        t_expect(fm_pool_stats(pool, &counters), 0);
        assert_true(counters.recycled > 0);
        assert_int_equal(counters.deaths, 0);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
        test_free(seen);
    }
}

struct taker {
    pthread_t thread;
    fm_pool *pool;
    int number, n_wrong;
};

static void *take_streams(void *arg)
{
    struct taker *t = arg;
    for (int round = 0; round < 20; round++) {
        fm_stream *stream;
        fm_stream_item item;
        int64_t n = 0, sum = 0;
        if (t_imaps[round % 2](t->pool, t_square, fm_source_range(0, 500),
                               FM_STREAM_OPTS(.result_bytes = 8, .chunk = t->number),
                               &stream) != 0) {
            t->n_wrong++;
            return NULL;
        }
        for (; n < (round % 5 == 4 ? 250 : 500) && fm_stream_next(stream, &item, FM_FOREVER) == 0;
             n++) {
            t->n_wrong += *(const int64_t *)item.result != item.index * item.index;
            sum += item.index;
        }
        if (round % 5 != 4)
            t->n_wrong += sum != 500 * 499 / 2 || fm_stream_next(stream, &item, 0) != FM_ECLOSED;
        t->n_wrong += fm_stream_close(stream) != 0;
    }
    return NULL;
}

static void test_stream_of_each_of_several_threads_is_right(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        struct taker takers[4];
        fm_pool *pool = t_open(3, caller);
        for (int i = 0; i < 4; i++) {
            takers[i] = (struct taker){.pool = pool, .number = i};
            assert_int_equal(pthread_create(&takers[i].thread, NULL, take_streams, &takers[i]), 0);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(takers[i].thread, NULL);
            assert_int_equal(takers[i].n_wrong, 0);
        }
        expect_healthy(pool);
        t_destroy(pool);
    }
}

/* ---- closing ------------------------------------------------------------------------------------ */

static void test_stream_closed_at_any_item_leaves_the_pool_as_it_was(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (int k = 0; k < 64; k++) {
            struct t_numbers g = {.end = k % 3 == 0 ? 40 : INT64_MAX, .code = FM_ECLOSED};
            fm_stream_item item;
            fm_stream *stream = t_stream(t_imaps[k % 2], pool, t_square, t_generated(&g),
                                         FM_STREAM_OPTS(.result_bytes = 8, .chunk = k % 4 * 8));
            for (int i = 0; i < k; i++)
                t_expect(fm_stream_next(stream, &item, FM_FOREVER),
                         i < 40 || k % 3 != 0 ? 0 : FM_ECLOSED);
            t_expect(fm_stream_close(stream), 0);
        }
        expect_healthy(pool);
        t_destroy(pool);
    }
}

static int count_and_hang(const void *item, void *result, void *arg)
{
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
    while (*(const int64_t *)item >= 3)
        pause();
    return t_square(item, result, arg);
}

static void test_stream_closed_with_items_that_never_end_replaces_their_workers(void **state)
{
    (void)state;
    fm_array *count = t_vector(FM_I32, 1);
    int *n_begun = fm_array_data(count);
    for (int ordered = 0; ordered < 2; ordered++)
        for (int64_t chunk = 0; chunk < 10; chunk += 4) {
            fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
            fm_stream_item item;
            *n_begun = 0;
            fm_stream *stream = t_stream(
                t_imaps[1 - ordered], pool, count_and_hang, fm_source_range(chunk > 1 ? 3 : 0, N),
                FM_STREAM_OPTS(.result_bytes = 8, .chunk = chunk, .arg = n_begun));
            for (int k = 0; k < (chunk > 1 ? 0 : 3); k++)
                t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
            t_expect(fm_stream_next(stream, &item, 5000000), -ETIMEDOUT);
            while (__atomic_load_n(n_begun, __ATOMIC_SEQ_CST) < 2)
                t_sleep_ms(1);
            t_expect(fm_stream_close(stream), 0);
            int n = __atomic_load_n(n_begun, __ATOMIC_SEQ_CST);
            assert_true(n <= 5);
            expect_healthy(pool);
            t_sleep_ms(5);
            expect_healthy(pool);
            assert_int_equal(__atomic_load_n(n_begun, __ATOMIC_SEQ_CST), n);
            t_destroy(pool);
        }
    fm_array_destroy(count);
}

static int hang_at_times(const void *item, void *result, void *arg)
{
    while (*(const int64_t *)item % 300 == 299)
        pause();
    return t_square(item, result, arg);
}

static void test_stream_closed_while_workers_are_killed_leaves_the_pool_as_it_was(void **state)
{
    (void)state;
    struct t_random random = t_random_begin();
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    for (int k = 0; k < 60; k++) {
        fm_stream_item item;
        fm_stream *stream =
            t_stream(t_imaps[k % 2], pool, hang_at_times, fm_source_range(0, INT64_MAX),
                     FM_STREAM_OPTS(.result_bytes = 8, .retries = 1000, .window_bytes = 20000,
                                    .chunk = (int64_t)t_random_below(&random, 40)));
        for (int i = 0; i < k; i++)
            if (fm_stream_next(stream, &item, 1000000) == 0)
                assert_int_equal(*(const int64_t *)item.result, item.index * item.index);
        for (int i = 0; i < k % 3; i++)
            t_kill_a_worker(pool, &random);
        t_expect(fm_stream_close(stream), 0);
        if (k % 10 == 0)
            expect_healthy(pool);
    }
    expect_healthy(pool);
    t_destroy(pool);
}

static int start_slowly(int rank, void *arg)
{
    (void)rank;
    (void)arg;
    t_sleep_us(50000);
    return 0;
}

static void test_stream_closed_waits_for_workers_that_start_slowly(void **state)
{
    (void)state;
    fm_array *count = t_vector(FM_I32, 1);
    int *n_begun = fm_array_data(count);
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = start_slowly)), 0);
    fm_stream *stream = t_stream(fm_pool_imap, pool, count_and_hang, fm_source_range(3, N),
                                 FM_STREAM_OPTS(.result_bytes = 8, .arg = n_begun));
    while (__atomic_load_n(n_begun, __ATOMIC_SEQ_CST) < 2)
        t_sleep_ms(1);
    t_expect(fm_stream_close(stream), 0);
    expect_healthy(pool);
    assert_int_equal(*n_begun, 2);
    t_destroy(pool);
    fm_array_destroy(count);
}

static void test_stream_closed_while_a_worker_of_a_caller_that_works_hangs(void **state)
{
    (void)state;
    fm_array *count = t_vector(FM_I32, 1);
    int *n_begun = fm_array_data(count);
    fm_pool *pool = t_open(3, FM_CALLER_WORKS);
    fm_stream_item item;
    fm_stream *stream = t_stream(fm_pool_imap, pool, count_and_hang, fm_source_range(3, N),
                                 FM_STREAM_OPTS(.result_bytes = 8, .arg = n_begun));
    while (__atomic_load_n(n_begun, __ATOMIC_SEQ_CST) < 2)
        t_expect(fm_stream_next(stream, &item, 1000000), -ETIMEDOUT);
    t_expect(fm_stream_close(stream), 0);
    expect_healthy(pool);
    assert_int_equal(*n_begun, 2);
    t_destroy(pool);
    fm_array_destroy(count);
}

static int wait_until_cancelled(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    while (!fm_cancelled())
        t_sleep_us(100);
    __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void test_stream_closed_tells_items_that_ask(void **state)
{
    (void)state;
    fm_pool_counters counters;
    fm_array *count = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_stream_item item;
    fm_stream *stream = t_stream(fm_pool_imap, pool, wait_until_cancelled, fm_source_range(0, N),
                                 FM_STREAM_OPTS(.chunk = 1, .arg = fm_array_data(count)));
    t_expect(fm_stream_next(stream, &item, 20000000), -ETIMEDOUT);
    t_expect(fm_stream_close(stream), 0);
    assert_in_range(*(int *)fm_array_data(count), 0, 2);
    expect_healthy(pool);
    t_expect(fm_pool_stats(pool, &counters), 0);
    t_destroy(pool);
    fm_array_destroy(count);
}

static void test_stream_closed_leaves_other_streams_alone(void **state)
{
    (void)state;
    fm_array *count = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int round = 0; round < 10; round++) {
        fm_stream *good = t_stream(t_imaps[round % 2], pool, t_square, fm_source_range(0, 3000),
                                   FM_STREAM_OPTS(.result_bytes = 8, .window_bytes = 4000)),
                  *bad =
                      t_stream(t_imaps[round / 2 % 2], pool, count_and_hang, fm_source_range(0, N),
                               FM_STREAM_OPTS(.result_bytes = 8, .arg = fm_array_data(count)));
        t_sleep_ms(1);
        t_expect(fm_stream_close(bad), 0);
        t_expect_squares(good, round % 2 == 0, 0, 3000);
        t_expect(fm_stream_close(good), 0);
    }
    expect_healthy(pool);
    t_destroy(pool);
    fm_array_destroy(count);
}

/* Records, windows and arguments: what is taken of the heap after some rounds is what was taken after the first ones. */
static void test_stream_closed_after_items_failed_frees_their_records(void **state)
{
    (void)state;
    size_t before = 0;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int k = 0; k < 60; k++) {
        fm_stream *stream = t_stream(t_imaps[k % 2], pool, fail_always, fm_source_range(0, 5000),
                                     FM_STREAM_OPTS(.arg = &k, .arg_bytes = sizeof k));
        for (int i = 0; i < k; i++) {
            fm_stream_item item;
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), FM_ETASK);
        }
        t_expect(fm_stream_close(stream), 0);
        if (k == 10)
            before = heap_used();
    }
    assert_true(heap_used() <= before + (1 << 20));
    t_destroy(pool);
}

static int end_pool_before_stream(fm_pool *pool, int way)
{
    fm_stream *stream = t_stream(t_imaps[way % 2], pool, fail_always, fm_source_range(0, INT64_MAX),
                                 FM_STREAM_OPTS(.chunk = 1000));
    fm_stream_item item;
    t_expect(fm_stream_next(stream, &item, FM_FOREVER), FM_ETASK);
    t_sleep_ms(2);
    if (way / 2 % 2 == 0)
        t_expect(fm_pool_terminate(pool), 0);
    else
        t_destroy(pool);
    t_expect(fm_stream_close(stream), 0);
    return way / 2 % 2 == 0 ? fm_pool_destroy(pool) : 0;
}

static void test_stream_of_a_pool_that_went_leaves_no_records(void **state)
{
    (void)state;
    size_t before = 0;
    for (int k = 0; k < 24; k++) {
        if (k == 4)
            before = heap_used();
        t_expect(end_pool_before_stream(t_open(2, FM_CALLER_SLEEPS), k), 0);
    }
    assert_true(heap_used() <= before + (1 << 20));
}

/* ---- pools that go first ------------------------------------------------------------------------ */

/* Takes results until there are no more: how many came. *code: why there are no more. */
static int64_t drain(fm_stream *stream, int64_t from, int *code)
{
    fm_stream_item item;
    int64_t n = from;
    while ((*code = fm_stream_next(stream, &item, FM_FOREVER)) == 0) {
        assert_int_equal(item.index, n);
        assert_int_equal(*(const int64_t *)item.result, n * n);
        n++;
    }
    return n - from;
}

static void expect_no_more(fm_stream *stream)
{
    fm_stream_item item;
    for (int i = 0; i < 3; i++) {
        int rc = fm_stream_next(stream, &item, FM_FOREVER);
        assert_true(rc == FM_ECANCELLED || rc == FM_ECLOSED);
        assert_null(item.result);
    }
}

static void test_stream_of_a_closed_pool_gives_what_is_in_the_window(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++)
        for (int joined = 0; joined < 2; joined++) {
            struct t_numbers g = {.end = INT64_MAX};
            int code;
            fm_pool *pool = t_open(2, caller);
            fm_stream *stream = t_stream(fm_pool_imap, pool, t_square, t_generated(&g),
                                         FM_STREAM_OPTS(.result_bytes = 8, .window_bytes = 4000));
            for (int64_t i = 0; i < 5; i++)
                assert_int_equal(t_take_i64(stream, i), i * i);
            int64_t n_drawn = g.n_drawn;
            t_expect(fm_pool_close(pool), 0);
            if (joined)
                t_expect(fm_pool_join(pool, FM_FOREVER), 0);
            assert_int_equal(drain(stream, 5, &code), n_drawn - 5);
            t_expect(code, FM_ECANCELLED);
            expect_no_more(stream);
            t_expect(fm_stream_close(stream), 0);
            t_expect(fm_pool_join(pool, FM_FOREVER), 0);
            t_destroy(pool);
        }
}

static void test_stream_of_a_closed_pool_draws_no_more_items(void **state)
{
    (void)state;
    struct t_numbers g = {.end = INT64_MAX};
    int code;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_stream *stream = t_stream(fm_pool_imap, pool, t_square, t_generated(&g), T_RESULT_I64);
    assert_int_equal(t_take_i64(stream, 0), 0);
    int64_t n_drawn = g.n_drawn;
    t_expect(fm_pool_close(pool), 0);
    drain(stream, 1, &code);
    t_expect(code, FM_ECANCELLED);
    assert_int_equal(g.n_drawn, n_drawn);
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
}

static void test_stream_whose_source_had_ended_outlives_the_close_of_the_pool(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(2, caller);
        fm_stream *stream = t_stream(fm_pool_imap, pool, t_square, fm_source_range(0, 100),
                                     FM_STREAM_OPTS(.result_bytes = 8, .chunk = 50));
        t_expect(fm_pool_close(pool), 0);
        t_expect_squares(stream, 1, 0, 100);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
    }
}

static void test_stream_of_a_terminated_pool_is_cancelled(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++)
        for (int joined = 0; joined < 2; joined++) {
            int code;
            fm_pool *pool = t_open(2, caller);
            fm_stream *stream =
                t_stream(fm_pool_imap, pool, t_square, fm_source_range(0, INT64_MAX),
                         FM_STREAM_OPTS(.result_bytes = 8, .window_bytes = 4000));
            assert_int_equal(t_take_i64(stream, 0), 0);
            t_expect(fm_pool_terminate(pool), 0);
            if (joined)
                t_expect(fm_pool_join(pool, FM_FOREVER), 0);
            drain(stream, 1, &code);
            t_expect(code, FM_ECANCELLED);
            expect_no_more(stream);
            t_expect(fm_stream_close(stream), 0);
            t_destroy(pool);
        }
}

static void test_stream_of_a_destroyed_pool_is_cancelled_and_can_be_closed(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++)
        for (int reopened = 0; reopened < 2; reopened++) {
            int code;
            fm_pool *pool = t_open(2, caller), *other = NULL;
            fm_stream *streams[3];
            for (int s = 0; s < 3; s++)
                streams[s] =
                    t_stream(fm_pool_imap, pool, t_square, fm_source_range(0, INT64_MAX),
                             FM_STREAM_OPTS(.result_bytes = 8, .arg = &s, .arg_bytes = sizeof s,
                                            .item_timeout = FM_SECONDS(10)));
            assert_int_equal(t_take_i64(streams[0], 0), 0);
            assert_int_equal(t_take_i64(streams[2], 0), 0);
            t_destroy(pool);
            if (reopened) /* where the other was */
                other = t_open(2, caller);
            drain(streams[0], 1, &code);
            t_expect(code, FM_ECANCELLED);
            expect_no_more(streams[0]);
            for (int s = 0; s < 3; s++)
                t_expect(fm_stream_close(streams[s]), 0);
            if (other != NULL)
                expect_healthy(other);
            t_expect(fm_pool_destroy(other), 0);
        }
}

static void test_stream_with_items_that_never_end_does_not_hold_up_terminate(void **state)
{
    (void)state;
    fm_array *count = t_vector(FM_I32, 1);
    for (int way = 0; way < 4; way++) {
        fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
        fm_stream_item item;
        fm_stream *stream =
            t_stream(fm_pool_imap, pool, count_and_hang, fm_source_range(3, N),
                     FM_STREAM_OPTS(.result_bytes = 8, .arg = fm_array_data(count)));
        t_expect(fm_stream_next(stream, &item, 1000000), -ETIMEDOUT);
        if (way == 1)
            t_expect(fm_pool_terminate(pool), 0);
        if (way == 2)
            t_destroy(pool);
        if (way == 3)
            t_expect(fm_pool_close(pool), 0);
        t_expect(fm_stream_close(stream), 0);
        if (way == 3)
            t_expect(fm_pool_join(pool, FM_FOREVER), 0);
        if (way != 2)
            t_destroy(pool);
    }
    fm_array_destroy(count);
}

T_MAIN(T_EACH_METHOD(test_stream_failing_items_cost_nothing_but_themselves),
       T_TEST(test_stream_failing_items_are_tried_again),
       T_TEST(test_stream_item_that_succeeds_at_last_did_not_fail),
       T_TEST(test_stream_of_failures_only_has_a_record_for_each),
       T_EACH_METHOD(test_stream_loses_nothing_when_workers_are_killed),
       T_TEST(test_stream_whose_warden_is_killed_is_broken),
       T_TEST(test_stream_goes_on_while_workers_are_recycled_and_resized),
       T_TEST(test_stream_of_each_of_several_threads_is_right),
       T_TEST(test_stream_closed_at_any_item_leaves_the_pool_as_it_was),
       T_EACH_METHOD(test_stream_closed_with_items_that_never_end_replaces_their_workers),
       T_TEST(test_stream_closed_while_workers_are_killed_leaves_the_pool_as_it_was),
       T_TEST(test_stream_closed_waits_for_workers_that_start_slowly),
       T_TEST(test_stream_closed_while_a_worker_of_a_caller_that_works_hangs),
       T_TEST(test_stream_closed_tells_items_that_ask),
       T_TEST(test_stream_closed_leaves_other_streams_alone),
       T_TEST(test_stream_closed_after_items_failed_frees_their_records),
       T_TEST(test_stream_of_a_pool_that_went_leaves_no_records),
       T_TEST(test_stream_of_a_closed_pool_gives_what_is_in_the_window),
       T_TEST(test_stream_of_a_closed_pool_draws_no_more_items),
       T_TEST(test_stream_whose_source_had_ended_outlives_the_close_of_the_pool),
       T_TEST(test_stream_of_a_terminated_pool_is_cancelled),
       T_TEST(test_stream_of_a_destroyed_pool_is_cancelled_and_can_be_closed),
       T_TEST(test_stream_with_items_that_never_end_does_not_hold_up_terminate))
