/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash */
/* Counters of a pool and of its workers: what each counts, by whom, and what is left of them after a death and after the end. */
#include "t_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 1000 };

/* ---- short hands ---- */

static fm_worker_counters of_worker(fm_pool *pool, int rank)
{
    fm_worker_counters c;
    t_expect(fm_pool_worker_stats(pool, rank, &c), 0);
    return c;
}

static fm_worker_counters sum_of_workers(fm_pool *pool)
{
    fm_worker_counters sum = {0};
    for (int rank = 0; rank < fm_pool_workers(pool); rank++) {
        const fm_worker_counters c = of_worker(pool, rank);
        sum.items += c.items;
        sum.chunks += c.chunks;
        sum.steals += c.steals;
        sum.restarts += c.restarts;
        sum.busy_ns += c.busy_ns;
        sum.idle_ns += c.idle_ns;
        sum.bytes += c.bytes;
    }
    return sum;
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- functions ---- */

static int do_nothing(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 0;
}

static int do_nothing_with_chunk(const fm_chunk *chunk, void *arg)
{
    (void)chunk;
    (void)arg;
    return 0;
}

static int do_nothing_with_columns(const void *const items[], void *result, void *arg)
{
    (void)items;
    (void)result;
    (void)arg;
    return 0;
}

static int fail_at_5(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    return *(const int64_t *)item == 5;
}

static int die_at_hundreds(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    if (*(const int64_t *)item % 100 == 50)
        abort();
    return 0;
}

/* ---- items and chunks ---- */

static void check_each_schedule(fm_pool *pool)
{
    uint64_t n = 0;
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        const fm_map_opts *opts = FM_MAP_OPTS(.schedule = schedule);
        t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, opts), 0);
        assert_int_equal(sum_of_workers(pool).items, n += N);
        t_expect(fm_pool_map_range_chunks(pool, do_nothing_with_chunk, 7, 7 + N, NULL, opts), 0);
        assert_int_equal(sum_of_workers(pool).items, n += N);
    }
}

static void test_stats_items_of_all_workers_add_up_to_the_items_of_the_map(void **state)
{
    (void)t_method(state);
    for (int workers = 1; workers <= 3; workers++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
            fm_pool *pool = t_open(workers, caller);
            check_each_schedule(pool);
            t_destroy(pool);
        }
}

static void test_stats_chunks_are_as_many_as_the_schedule_makes(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL,
                               FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC)),
             0);
    for (int rank = 0; rank < 3; rank++)
        assert_int_equal(of_worker(pool, rank).chunks, 1);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL,
                               FM_MAP_OPTS(.schedule = FM_SCHEDULE_DYNAMIC, .chunk = 10)),
             0);
    assert_int_equal(sum_of_workers(pool).chunks, 3 + N / 10);
    t_destroy(pool);
}

static void test_stats_items_that_were_not_run_do_not_count(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fail_at_5, 0, N, NULL,
                               FM_MAP_OPTS(.schedule = FM_SCHEDULE_DYNAMIC)),
             FM_ETASK);
    assert_int_equal(of_worker(pool, 0).items, 6);
    assert_int_equal(of_worker(pool, 0).chunks, 6);
    t_destroy(pool);
}

static void test_stats_totals_are_the_sums_of_the_workers(void **state)
{
    (void)state;
    fm_array *in = t_counted(N);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(3, caller);
        t_expect(fm_pool_map(pool, do_nothing, in, NULL, NULL), 0);
        t_expect(fm_pool_map_range(pool, fail_at_5, 0, N, NULL,
                                   FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
                 FM_ETASK);
        t_expect(fm_pool_close(pool), 0);
        t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0); /* times stand still */
        const fm_pool_counters total = t_counters(pool);
        const fm_worker_counters sum = sum_of_workers(pool);
        assert_int_equal(total.maps, 2);
        assert_int_equal(total.items, 2 * N);
        assert_int_equal(total.items, sum.items);
        assert_int_equal(total.chunks, sum.chunks);
        assert_int_equal(total.steals, sum.steals);
        assert_int_equal(total.restarts, sum.restarts);
        assert_int_equal(total.busy_ns, sum.busy_ns);
        assert_int_equal(total.idle_ns, sum.idle_ns);
        assert_int_equal(total.bytes, sum.bytes);
        assert_int_equal(total.bytes, 8 * N);
        t_destroy(pool);
    }
    fm_array_destroy(in);
}

/* ---- deaths ---- */

static void test_stats_items_add_up_after_crashes_and_restarts_count(void **state)
{
    (void)t_method(state);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(sum_of_workers(pool).restarts, 0);
    t_expect(fm_pool_map_range(pool, die_at_hundreds, 0, N, NULL,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    assert_int_equal(sum_of_workers(pool).items, N);
    for (int i = 1; i <= 3; i++) {
        t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
        assert_int_equal(sum_of_workers(pool).items, N + i * N);
    }
    assert_int_equal(t_counters(pool).deaths, N / 100);
    assert_int_equal(t_counters(pool).restarts, N / 100);
    t_destroy(pool);
}

static void test_stats_of_a_rank_survive_a_kill_while_it_is_idle(void **state)
{
    (void)state;
    fm_worker_info info;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
    const fm_worker_counters before = of_worker(pool, 0);
    t_expect(fm_pool_worker(pool, 0, &info), 0);
    assert_int_equal(kill(info.pid, SIGKILL), 0);
    while (of_worker(pool, 0).restarts == 0)
        t_sleep_ms(1);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
    const fm_worker_counters after = of_worker(pool, 0);
    assert_int_equal(before.items, N);
    assert_int_equal(after.items, 2 * N);
    assert_true(after.idle_ns >= before.idle_ns);
    assert_int_equal(after.restarts, 1);
    t_destroy(pool);
}

/* ---- steals ---- */

struct wait {
    _Atomic int n_done;
};

/* The first item waits for all others, so these have to be taken from the range in which it lies. */
static int wait_for_the_others(const void *item, void *result, void *arg)
{
    struct wait *wait = arg;
    (void)result;
    while (*(const int64_t *)item == 0 && atomic_load(&wait->n_done) < N - 1)
        usleep(100);
    atomic_fetch_add(&wait->n_done, 1);
    return 0;
}

static void test_stats_steals_are_counted_for_the_thief(void **state)
{
    (void)state;
    fm_array *shared = t_vector(FM_STRUCT(sizeof(struct wait)), 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(
                 pool, wait_for_the_others, 0, N, NULL,
                 FM_MAP_OPTS(.schedule = FM_SCHEDULE_DYNAMIC, .arg = fm_array_data(shared))),
             0);
    const fm_worker_counters c[] = {of_worker(pool, 0), of_worker(pool, 1)};
    const int thief = c[1].items > c[0].items;
    assert_int_equal(c[0].items + c[1].items, N);
    assert_true(c[thief].steals > 0);
    assert_int_equal(t_counters(pool).steals, c[0].steals + c[1].steals);
    t_destroy(pool);
    fm_array_destroy(shared);
}

static void test_stats_static_schedule_has_no_steals(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL,
                               FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC)),
             0);
    assert_int_equal(sum_of_workers(pool).steals, 0);
    t_destroy(pool);
}

/* ---- bytes ---- */

static void test_stats_bytes_are_those_of_the_rows_read_and_written(void **state)
{
    (void)state;
    fm_array *points = t_array(FM_F64, 2, T_SHAPE(N, 3)), *one = t_vector(FM_I32, 1);
    fm_array *out = t_array(FM_F32, 2, T_SHAPE(N, 2));
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    uint64_t bytes = 0;
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
    assert_int_equal(t_counters(pool).bytes, bytes);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, out, NULL), 0);
    assert_int_equal(t_counters(pool).bytes, bytes += N * 8);
    t_expect(fm_pool_map(pool, do_nothing, points, NULL, NULL), 0);
    assert_int_equal(t_counters(pool).bytes, bytes += N * 24);
    t_expect(fm_pool_map(pool, do_nothing, points, points, FM_MAP_OPTS(.flags = FM_IN_PLACE)), 0);
    assert_int_equal(t_counters(pool).bytes, bytes += N * 48);
    t_expect(
        fm_pool_starmap(pool, do_nothing_with_columns, (fm_array *[]){points, one}, 2, out, NULL),
        0);
    assert_int_equal(t_counters(pool).bytes, bytes += N * (24 + 4 + 8));
    t_destroy(pool);
    fm_array_destroy(points);
    fm_array_destroy(one);
    fm_array_destroy(out);
}

/* ---- times ---- */

static void test_stats_busy_and_idle_are_no_longer_than_the_pool_is_old(void **state)
{
    (void)state;
    const int64_t begin = now_ns();
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int i = 0; i < 200; i++) {
        t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
        for (int rank = 0; rank < 2; rank++) {
            const fm_worker_counters c = of_worker(pool, rank);
            const uint64_t age = (uint64_t)(now_ns() - begin);
            /* the processor's counter is calibrated to a few parts in a thousand */
            assert_true(c.busy_ns + c.idle_ns <= age + age / 16);
        }
    }
    t_destroy(pool);
}

/* It waits until the worker waits: then busy_ns stands still and idle_ns grows, for as long as one looks. */
static void test_stats_idle_grows_while_idle_and_busy_does_not(void **state)
{
    (void)t_method(state);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
    for (int n_quiet = 0; n_quiet < 10;) {
        const fm_worker_counters before = of_worker(pool, 0);
        t_sleep_ms(1);
        const fm_worker_counters after = of_worker(pool, 0);
        n_quiet =
            after.busy_ns == before.busy_ns && after.idle_ns > before.idle_ns ? n_quiet + 1 : 0;
    }
    t_destroy(pool);
}

struct watch {
    fm_pool *pool;
    _Atomic int *is_enough; /* in the heap */
    fm_worker_counters last;
    int n_busy;
};

static int wait_for_enough(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    while (!atomic_load((_Atomic int *)arg))
        usleep(100);
    return 0;
}

static int watch_busy(const fm_progress *p, void *arg)
{
    struct watch *w = arg;
    fm_worker_counters now;
    (void)p;
    if (fm_pool_worker_stats(w->pool, 0, &now) != 0)
        return 1;
    if (now.busy_ns > w->last.busy_ns && now.idle_ns == w->last.idle_ns)
        atomic_store(w->is_enough, ++w->n_busy >= 5);
    w->last = now;
    return 0;
}

static void test_stats_busy_grows_while_a_function_runs_and_idle_does_not(void **state)
{
    (void)state;
    fm_array *flag = t_vector(FM_I32, 1);
    struct watch w = {.pool = t_open(1, FM_CALLER_SLEEPS), .is_enough = fm_array_data(flag)};
    t_expect(fm_pool_map_range(w.pool, wait_for_enough, 0, 1, NULL,
                               FM_MAP_OPTS(.arg = fm_array_data(flag), .progress = watch_busy,
                                           .progress_arg = &w, .progress_interval = FM_MS(1))),
             0);
    assert_true(w.n_busy >= 5);
    t_destroy(w.pool);
    fm_array_destroy(flag);
}

static void check_that_time_stands_still(fm_pool *pool)
{
    t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
    const fm_pool_counters before = t_counters(pool);
    t_sleep_ms(2);
    const fm_pool_counters after = t_counters(pool);
    assert_memory_equal(&before, &after, sizeof after);
    assert_int_equal(after.items, N);
    assert_true(after.busy_ns > 0);
    t_destroy(pool);
}

static void test_stats_stand_still_once_the_workers_have_left(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
    t_expect(fm_pool_close(pool), 0);
    check_that_time_stands_still(pool);
}

static void test_stats_stand_still_once_the_pool_is_terminated(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL, NULL), 0);
    t_expect(fm_pool_terminate(pool), 0);
    check_that_time_stands_still(pool);
}

/* ---- callers that work ---- */

enum { THREADS = 4, MAPS = 500 };

static void *map_often(void *pool)
{
    intptr_t n_wrong = 0;
    for (int i = 0; i < MAPS; i++)
        n_wrong += fm_pool_map_range(pool, do_nothing, 0, 10, NULL, NULL) != 0;
    return (void *)n_wrong;
}

static void check_threads(int caller)
{
    pthread_t threads[THREADS];
    fm_pool *pool = t_open(2, caller);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_often, pool), 0);
    for (int i = 0; i < THREADS; i++) {
        void *n_wrong;
        pthread_join(threads[i], &n_wrong);
        assert_null(n_wrong);
    }
    assert_int_equal(sum_of_workers(pool).items, THREADS * MAPS * 10);
    t_destroy(pool);
}

static void test_stats_of_a_caller_lose_nothing_when_several_threads_map(void **state)
{
    (void)state;
    check_threads(FM_CALLER_ONLY);
    check_threads(FM_CALLER_WORKS);
}

static void test_stats_of_a_caller_that_works_have_items_and_no_times(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_WORKS);
    t_expect(fm_pool_map_range(pool, do_nothing, 0, N, NULL,
                               FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC)),
             0);
    const fm_worker_counters caller = of_worker(pool, 0), worker = of_worker(pool, 1);
    assert_int_equal(caller.items, N / 2);
    assert_int_equal(caller.chunks, 1);
    assert_int_equal(caller.restarts, 0);
    assert_int_equal(caller.busy_ns, 0);
    assert_int_equal(caller.idle_ns, 0);
    assert_int_equal(worker.items, N / 2);
    assert_true(worker.busy_ns > 0);
    t_destroy(pool);
}

/* ---- inside functions ---- */

static int map_inside(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return fm_pool_map_range(*(fm_pool **)arg, do_nothing, 0, N, NULL, NULL);
}

static void test_stats_maps_inside_functions_count_for_nobody(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        t_expect(fm_pool_map_range(pool, map_inside, 0, 12, NULL,
                                   FM_MAP_OPTS(.arg = &pool, .arg_bytes = sizeof pool)),
                 0);
        assert_int_equal(t_counters(pool).items, 12);
        t_destroy(pool);
    }
}

static int ask_inside(const void *item, void *result, void *arg)
{
    fm_worker_counters c;
    (void)item;
    (void)result;
    return fm_pool_worker_stats(*(fm_pool **)arg, 0, &c) != FM_EFORKED;
}

static void test_stats_are_refused_to_workers_and_for_what_is_not_there(void **state)
{
    (void)state;
    fm_worker_counters c;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_worker_stats(pool, -1, &c), -EINVAL);
    t_expect(fm_pool_worker_stats(pool, 2, &c), -EINVAL);
    t_expect(fm_pool_worker_stats(pool, 0, NULL), -EINVAL);
    t_expect(fm_pool_worker_stats(NULL, 0, &c), -EINVAL);
    t_expect(fm_pool_map_range(pool, ask_inside, 0, 4, NULL,
                               FM_MAP_OPTS(.arg = &pool, .arg_bytes = sizeof pool)),
             0);
    t_destroy(pool);
    t_expect(fm_pool_worker_stats(pool, 0, &c), -EINVAL);
}

T_MAIN(T_EACH_METHOD(test_stats_items_of_all_workers_add_up_to_the_items_of_the_map),
       T_TEST(test_stats_chunks_are_as_many_as_the_schedule_makes),
       T_TEST(test_stats_items_that_were_not_run_do_not_count),
       T_TEST(test_stats_totals_are_the_sums_of_the_workers),
       T_EACH_METHOD(test_stats_items_add_up_after_crashes_and_restarts_count),
       T_TEST(test_stats_of_a_rank_survive_a_kill_while_it_is_idle),
       T_TEST(test_stats_steals_are_counted_for_the_thief),
       T_TEST(test_stats_static_schedule_has_no_steals),
       T_TEST(test_stats_bytes_are_those_of_the_rows_read_and_written),
       T_TEST(test_stats_busy_and_idle_are_no_longer_than_the_pool_is_old),
       T_EACH_METHOD(test_stats_idle_grows_while_idle_and_busy_does_not),
       T_TEST(test_stats_busy_grows_while_a_function_runs_and_idle_does_not),
       T_TEST(test_stats_stand_still_once_the_workers_have_left),
       T_TEST(test_stats_stand_still_once_the_pool_is_terminated),
       T_TEST(test_stats_of_a_caller_lose_nothing_when_several_threads_map),
       T_TEST(test_stats_of_a_caller_that_works_have_items_and_no_times),
       T_TEST(test_stats_maps_inside_functions_count_for_nobody),
       T_TEST(test_stats_are_refused_to_workers_and_for_what_is_not_there))
