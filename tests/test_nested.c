/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* Maps and pools inside functions: the same results and codes as outside, and nothing left behind. */
#include "t_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ROWS = 12, N = 30 };

/* By pointer from before the open: the workers have its value. */
static struct setting {
    fm_pool *pool;
    fm_array *in;    /* (ROWS x N) values, row after row */
    fm_array *out;   /* the same shape */
    fm_array *codes; /* i32, one per row */
    fm_array *flags; /* i32 */
} set;

static int64_t *numbers(fm_array *a)
{
    return fm_array_data(a);
}

static int32_t *codes(void)
{
    return fm_array_data(set.codes);
}

static _Atomic int *flags(void)
{
    return fm_array_data(set.flags);
}

/* fm_pool_open() comes last, and writes the handle where workers do not see it: they get it through the heap. */
static void begin(int workers, int caller)
{
    set.in = t_counted(ROWS * N);
    set.out = t_vector(FM_I64, ROWS * N);
    set.codes = t_vector(FM_I32, ROWS);
    set.flags = t_vector(FM_I32, 4);
    set.pool = t_open(workers, caller);
}

static void end(void)
{
    t_destroy(set.pool);
    fm_array_destroy(set.in);
    fm_array_destroy(set.out);
    fm_array_destroy(set.codes);
    fm_array_destroy(set.flags);
}

/* Maps `fn` over the rows of the outer map, handing it the pool. */
static int map_rows(fm_item_fn *fn, const fm_map_opts *opts)
{
    fm_map_opts with_pool = *opts;
    with_pool.arg = &set.pool;
    with_pool.arg_bytes = sizeof set.pool;
    return fm_pool_map_range(set.pool, fn, 0, ROWS, NULL, &with_pool);
}

static int64_t row_of(const void *item)
{
    return *(const int64_t *)item;
}

static fm_array *row_view(fm_array *a, int64_t row)
{
    fm_array *view;
    return fm_array_view(&view, a, &(fm_slice){row * N, row * N + N, 1}) == 0 ? view : NULL;
}

/* ---- inline maps ---- */

static int square(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item * *(const int64_t *)item + *(const int64_t *)arg;
    return 0;
}

fm_chunk_fn add_seven;
/* clang-format off */
FM_CHUNK_FN(add_seven, int64_t, int64_t, x + 7)
/* clang-format on */

static int map_one_row(const void *item, void *result, void *arg)
{
    int64_t row = row_of(item), added = row;
    fm_pool *pool = *(fm_pool **)arg;
    fm_array *in = row_view(set.in, row), *out = row_view(set.out, row);
    (void)result;
    int rc = in == NULL || out == NULL ? -1 : 0;
    if (rc == 0)
        rc = fm_pool_map(pool, square, in, out,
                         FM_MAP_OPTS(.arg = &added)); /* on this stack: it runs here */
    if (rc == 0)
        rc = fm_pool_map_chunks(pool, add_seven, out, out,
                                FM_MAP_OPTS(.flags = FM_IN_PLACE, .chunk = 4));
    codes()[row] = rc;
    fm_array_destroy(in);
    fm_array_destroy(out);
    return rc;
}

static void map_inside_with(int caller)
{
    begin(3, caller);
    t_expect(map_rows(map_one_row, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int64_t i = 0; i < ROWS * N; i++)
        assert_int_equal(numbers(set.out)[i], i * i + i / N + 7);
    end();
}

static void test_nested_map_gives_the_same_results(void **state)
{
    (void)state;
    map_inside_with(FM_CALLER_SLEEPS);
}

static void test_nested_map_of_a_caller_that_works_gives_the_same_results(void **state)
{
    (void)state;
    map_inside_with(FM_CALLER_WORKS);
}

static int fail_at_20(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    if (*(const int64_t *)item % 10 != 5)
        return 0;
    fm_note("inner %d", (int)*(const int64_t *)item);
    return 9;
}

/* What the checks find wrong, as a bit mask: 0 is right. */
static int fail_inside(const void *item, void *result, void *arg)
{
    fm_pool *pool = *(fm_pool **)arg;
    fm_failure list[8];
    int wrong = 0;
    (void)result;
    wrong |= fm_pool_map_range(pool, fail_at_20, 0, N, NULL, NULL) != FM_ETASK;
    wrong |= (fm_pool_failures(pool, list, 8) != 1 || list[0].item != 5 || list[0].code != 9) << 1;
    wrong |= (list[0].worker != fm_worker_rank() || list[0].pid != getpid() || list[0].attempt != 1)
             << 2;
    wrong |= (strcmp(list[0].note, "inner 5") != 0) << 3;
    wrong |=
        (fm_pool_map_range(pool, fail_at_20, 0, N, NULL,
                           FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .retries = 2)) != FM_ETASK)
        << 4;
    wrong |= (fm_pool_failures(pool, list, 8) != 3 || list[2].item != 25 || list[2].attempt != 3)
             << 5;
    wrong |= (fm_pool_map(pool, NULL, set.in, set.out, NULL) != -EINVAL) << 6;
    wrong |= (fm_pool_map_range(pool, fail_at_20, 0, N, set.out, NULL) != -EINVAL) << 7;
    wrong |= (fm_pool_map_range(pool, fail_at_20, 0, 3, NULL, NULL) != 0 ||
              fm_pool_failures(pool, NULL, 0) != 0)
             << 8;
    codes()[row_of(item)] = wrong;
    return wrong;
}

static void fail_inside_with(int caller)
{
    begin(2, caller);
    int rc = map_rows(fail_inside, FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .chunk = 1));
    for (int row = 0; row < ROWS; row++)
        assert_int_equal(codes()[row], 0);
    t_expect(rc, 0);
    end();
}

static void test_nested_map_fails_with_the_same_codes_and_records(void **state)
{
    (void)state;
    fail_inside_with(FM_CALLER_SLEEPS);
    fail_inside_with(FM_CALLER_WORKS);
}

static int fail_outside(const void *item, void *result, void *arg)
{
    (void)result;
    fm_note("outer %d", (int)row_of(item));
    return row_of(item) == 7 ? fm_pool_map_range(*(fm_pool **)arg, fail_at_20, 0, 3, NULL, NULL) + 4
                             : 0;
}

static void test_nested_map_leaves_the_records_of_the_outer_one_alone(void **state)
{
    (void)state;
    fm_failure failure;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(fail_outside, FM_MAP_OPTS(.chunk = 1)), FM_ETASK);
    assert_int_equal(fm_pool_failures(set.pool, &failure, 1), 1);
    assert_int_equal(failure.item, 7);
    assert_int_equal(failure.code, 4);
    assert_string_equal(failure.note, "outer 7");
    end();
}

static int scribble_or_fail(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = -i - 1;
    return i % 5 == 2;
}

static int fail_in_place_inside(const void *item, void *result, void *arg)
{
    int64_t row = row_of(item);
    fm_array *view = row_view(set.in, row), *status;
    (void)result;
    int64_t n = N;
    if (view == NULL || fm_array_zeros(&status, FM_U8, 1, &n) != 0)
        return 1;
    int rc = fm_pool_map(*(fm_pool **)arg, scribble_or_fail, view, view,
                         FM_MAP_OPTS(.flags = FM_IN_PLACE, .on_error = FM_ON_ERROR_CONTINUE,
                                     .status = status, .retries = 1));
    const uint8_t *states = fm_array_data(status);
    int wrong = rc != FM_ETASK;
    for (int64_t k = 0; k < N; k++)
        wrong |= states[k] != ((row * N + k) % 5 == 2 ? FM_ITEM_FAILED : FM_ITEM_DONE);
    fm_array_destroy(view);
    fm_array_destroy(status);
    return wrong;
}

static void test_nested_map_in_place_leaves_failed_rows_as_they_were(void **state)
{
    (void)state;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(fail_in_place_inside, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int64_t i = 0; i < ROWS * N; i++)
        assert_int_equal(numbers(set.in)[i], i % 5 == 2 ? i : -i - 1);
    end();
}

static int crash_in_inner(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    if (*(const int64_t *)item == 11) {
        fm_note("deep inside");
        abort();
    }
    return 0;
}

static int crash_inside(const void *item, void *result, void *arg)
{
    (void)result;
    return row_of(item) == 5 ? fm_pool_map_range(*(fm_pool **)arg, crash_in_inner, 0, N, NULL, NULL)
                             : 0;
}

static void test_nested_crash_is_one_of_the_outer_item(void **state)
{
    (void)state;
    fm_failure failure;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(crash_inside, FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(set.pool, &failure, 1), 1);
    assert_int_equal(failure.item, 5);
    assert_int_equal(failure.signal, SIGABRT);
    assert_string_equal(failure.note, "deep inside");
    end();
}

/* ---- cancellation reaches nested functions ---- */

static int wait_in_inner(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    atomic_store(&flags()[0], 1);
    while (!fm_cancelled())
        usleep(500);
    return 0;
}

static int wait_inside(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return fm_pool_map_range(*(fm_pool **)arg, wait_in_inner, 0, 1, NULL, NULL);
}

static int cancel_once_it_waits(const fm_progress *p, void *arg)
{
    (void)p;
    (void)arg;
    return atomic_load(&flags()[0]);
}

static void test_nested_function_learns_that_the_outer_map_is_cancelled(void **state)
{
    (void)state;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(wait_inside,
                      FM_MAP_OPTS(.progress = cancel_once_it_waits, .progress_interval = FM_MS(1))),
             FM_ECANCELLED);
    end();
}

/* ---- pools inside workers ---- */

static int open_inside(const void *item, void *result, void *arg)
{
    int64_t row = row_of(item), added = row;
    fm_pool *own;
    fm_array *in = row_view(set.in, row), *out = row_view(set.out, row);
    (void)result;
    (void)arg;
    int rc = fm_pool_open(&own, FM_POOL_OPTS(.workers = 2));
    if (rc != 0)
        return rc;
    rc = fm_pool_map(own, square, in, out, FM_MAP_OPTS(.arg = &added, .arg_bytes = sizeof added));
    fm_array_destroy(in);
    fm_array_destroy(out);
    int ended = fm_pool_destroy(own);
    return rc != 0 ? rc : ended;
}

static void test_nested_pool_works_and_ends(void **state)
{
    (void)state;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(open_inside, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int64_t i = 0; i < ROWS * N; i++)
        assert_int_equal(numbers(set.out)[i], i * i + i / N);
    end();
}

static int sleep_for_ever(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    atomic_fetch_add(&flags()[1], 1);
    pause();
    return 0;
}

/* The first attempt opens a pool and gets lost in it; the others are well. What is left behind fails the test. */
static int get_lost_inside(const void *item, void *result, void *arg)
{
    fm_pool *own;
    (void)result;
    (void)arg;
    if (row_of(item) != 3)
        return 0;
    atomic_store(&flags()[2], getpid());
    if (fm_pool_open(&own, FM_POOL_OPTS(.workers = 2)) != 0)
        return 1;
    return fm_pool_map_range(own, sleep_for_ever, 0, 2, NULL, NULL);
}

static void test_nested_pool_ends_with_a_worker_that_passes_its_limit(void **state)
{
    (void)state;
    fm_failure failure;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(get_lost_inside, FM_MAP_OPTS(.item_timeout = FM_MS(300))), FM_ETIMEOUT);
    assert_int_equal(fm_pool_failures(set.pool, &failure, 1), 1);
    assert_int_equal(failure.item, 3);
    end();
}

static int kill_the_lost(const fm_progress *p, void *arg)
{
    (void)p;
    (void)arg;
    if (atomic_load(&flags()[1]) == 2) { /* its workers are at work */
        kill(atomic_load(&flags()[2]), SIGKILL);
        atomic_store(&flags()[1], 0);
        atomic_fetch_add(&flags()[3], 1);
    }
    return 0;
}

static void test_nested_pool_ends_with_a_worker_that_is_killed(void **state)
{
    (void)state;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(get_lost_inside,
                      FM_MAP_OPTS(.progress = kill_the_lost, .progress_interval = FM_MS(2))),
             FM_ECRASHED);
    assert_int_equal(flags()[3], 3); /* killed from outside: tried three times */
    end();
}

static void *terminate_once_lost(void *pool)
{
    while (atomic_load(&flags()[1]) < 2)
        usleep(500);
    return (void *)(intptr_t)fm_pool_terminate(pool);
}

static void test_nested_pool_ends_with_the_outer_pool(void **state)
{
    (void)state;
    pthread_t thread;
    void *rc;
    begin(2, FM_CALLER_SLEEPS);
    assert_int_equal(pthread_create(&thread, NULL, terminate_once_lost, set.pool), 0);
    t_expect(map_rows(get_lost_inside, FM_MAP_OPTS(.chunk = 1)), FM_ECANCELLED);
    pthread_join(thread, &rc);
    assert_null(rc);
    end();
}

static int use_outer_handle(const void *item, void *result, void *arg)
{
    fm_pool *pool = *(fm_pool **)arg;
    (void)item;
    (void)result;
    return fm_pool_close(pool) != FM_EFORKED || fm_pool_terminate(pool) != FM_EFORKED ||
           fm_pool_workers(pool) != FM_EFORKED || fm_pool_destroy(pool) != FM_EFORKED;
}

static void test_nested_use_of_the_outer_handle_is_refused_but_for_maps(void **state)
{
    (void)state;
    begin(2, FM_CALLER_SLEEPS);
    t_expect(map_rows(use_outer_handle, FM_MAP_OPTS(.chunk = 1)), 0);
    t_expect(map_rows(use_outer_handle, FM_MAP_OPTS(.chunk = 1)), 0);
    end();
}

T_MAIN(T_TEST(test_nested_map_gives_the_same_results),
       T_TEST(test_nested_map_of_a_caller_that_works_gives_the_same_results),
       T_TEST(test_nested_map_fails_with_the_same_codes_and_records),
       T_TEST(test_nested_map_leaves_the_records_of_the_outer_one_alone),
       T_TEST(test_nested_map_in_place_leaves_failed_rows_as_they_were),
       T_TEST(test_nested_crash_is_one_of_the_outer_item),
       T_TEST(test_nested_function_learns_that_the_outer_map_is_cancelled),
       T_TEST(test_nested_pool_works_and_ends),
       T_TEST(test_nested_pool_ends_with_a_worker_that_passes_its_limit),
       T_TEST(test_nested_pool_ends_with_a_worker_that_is_killed),
       T_TEST(test_nested_pool_ends_with_the_outer_pool),
       T_TEST(test_nested_use_of_the_outer_handle_is_refused_but_for_maps))
