/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Workers that are replaced after so many chunks, or when they have grown too large: in the middle of maps, with a successor that is ready
 * before they end, and whoever dies meanwhile.
 */
#include "t_pool.h"
#include "victim.h"

#include "fault.h"
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 500, MAX_PIDS = 2048 };

static int tell_pid(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(int64_t *)result = getpid();
    return 0;
}

static int do_nothing(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 0;
}

static int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static int add_seven(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item + 7;
    return 0;
}

/* The most items that one process had, the caller's process left out. */
static int most_of_one(const int64_t *pids, int n, int *n_processes)
{
    static int64_t seen[MAX_PIDS];
    int counts[MAX_PIDS] = {0}, n_seen = 0, most = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (k < n_seen && seen[k] != pids[i])
            k++;
        if (k == n_seen)
            seen[n_seen++] = pids[i];
        if (pids[i] != getpid() && ++counts[k] > most)
            most = counts[k];
    }
    *n_processes = n_seen;
    return most;
}

/* ---- so many chunks ------------------------------------------------------------------------------ */

static void check_limit(const fm_pool_opts *opts, const fm_map_opts *map, int most)
{
    fm_pool *pool = t_open_with(opts);
    fm_array *out = t_vector(FM_I64, N);
    int n_processes;
    t_expect(fm_pool_map_range(pool, tell_pid, 0, N, out, map), 0);
    assert_in_range(most_of_one(t_i64(out), N, &n_processes), 1, most);
    assert_true(n_processes > 2);
    assert_int_equal(t_counters(pool).deaths, 0);
    t_close_and_destroy(pool);
    fm_array_destroy(out);
}

static void test_recycle_worker_never_runs_more_chunks_than_its_limit(void **state)
{
    (void)state;
    check_limit(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 7), FM_MAP_OPTS(.chunk = 1), 7);
}

static void test_recycle_with_a_limit_of_one_ends_and_has_a_process_for_each_chunk(void **state)
{
    (void)state;
    check_limit(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 1), FM_MAP_OPTS(.chunk = 1), 1);
}

static void test_recycle_counts_chunks_of_each_schedule(void **state)
{
    static const int schedules[] = {FM_SCHEDULE_STATIC, FM_SCHEDULE_DYNAMIC};
    (void)state;
    for (size_t k = 0; k < T_N_OF(schedules); k++)
        check_limit(FM_POOL_OPTS(.workers = 3, .max_tasks_per_worker = 2),
                    FM_MAP_OPTS(.chunk = 5, .schedule = schedules[k]), 10);
}

static void test_recycle_leaves_a_caller_that_works_alone(void **state)
{
    (void)state;
    check_limit(FM_POOL_OPTS(.workers = 3, .max_tasks_per_worker = 2, .caller = FM_CALLER_WORKS),
                FM_MAP_OPTS(.chunk = 1, .schedule = FM_SCHEDULE_STATIC), 2);
    fm_pool *pool = t_open_with(
        FM_POOL_OPTS(.workers = 3, .max_tasks_per_worker = 2, .caller = FM_CALLER_ONLY));
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, tell_pid, 0, N, out, NULL), 0);
    assert_int_equal(t_i64(out)[N - 1], getpid());
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_recycle_counts_on_from_map_to_map(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 1, .max_tasks_per_worker = 3));
    fm_array *out = t_vector(FM_I64, 1);
    int64_t pids[60];
    int n_processes;
    for (int i = 0; i < 60; i++) {
        t_expect(fm_pool_map_range(pool, tell_pid, i, i + 1, out, NULL), 0);
        pids[i] = t_i64(out)[0];
    }
    assert_int_equal(most_of_one(pids, 60, &n_processes), 3);
    assert_int_equal(n_processes, 20);
    fm_pool_counters counters = t_counters(pool);
    assert_int_equal(counters.deaths, 0);
    assert_in_range(counters.recycled, 19, 20);
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_recycle_by_a_negative_limit_is_refused(void **state)
{
    fm_pool *pool;
    (void)state;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .max_tasks_per_worker = -1)), -EINVAL);
}

static void check_rounds(fm_pool *pool, int n_rounds)
{
    fm_array *a = t_counted(N);
    for (int round = 0; round < n_rounds; round++)
        t_expect(fm_pool_map(pool, add_seven, a, a,
                             FM_MAP_OPTS(.flags = FM_IN_PLACE, .chunk = round % 2 == 0 ? 0 : 10,
                                         .schedule = round % 4 == 3 ? FM_SCHEDULE_STATIC : 0)),
                 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(t_i64(a)[i], i + 7 * n_rounds);
    fm_array_destroy(a);
}

static void test_recycle_in_maps_in_place_changes_no_result(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool =
            t_open_with(FM_POOL_OPTS(.workers = 3, .max_tasks_per_worker = 5, .caller = caller));
        check_rounds(pool, 20);
        assert_true(t_counters(pool).recycled > 0);
        t_destroy(pool);
    }
}

static void *map_many_times(void *pool)
{
    int64_t n = 40;
    fm_array *out = NULL;
    int rc = fm_array_zeros(&out, FM_I64, 1, &n);
    for (int round = 0; round < 25 && rc == 0; round++) {
        rc = fm_pool_map_range(pool, twice, 0, n, out, FM_MAP_OPTS(.chunk = 1));
        for (int64_t i = 0; i < n && rc == 0; i++)
            rc = t_i64(out)[i] == 2 * i ? 0 : 1;
    }
    fm_array_destroy(out);
    return (void *)(intptr_t)rc;
}

static void test_recycle_between_maps_of_several_threads_changes_no_result(void **state)
{
    enum { N_THREADS = 4 };
    pthread_t threads[N_THREADS];
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 4));
    for (int k = 0; k < N_THREADS; k++)
        assert_int_equal(pthread_create(&threads[k], NULL, map_many_times, pool), 0);
    for (int k = 0; k < N_THREADS; k++) {
        void *rc;
        pthread_join(threads[k], &rc);
        assert_null(rc);
    }
    assert_int_equal(t_counters(pool).deaths, 0);
    t_close_and_destroy(pool);
}

static int crash_at_77(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == 77)
        abort();
    return twice(item, result, arg);
}

static void test_recycle_blames_the_item_that_crashes_and_no_other(void **state)
{
    fm_failure failure;
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 2));
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, crash_at_77, 0, N, out,
                               FM_MAP_OPTS(.chunk = 3, .on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, 77);
    assert_int_equal(failure.attempt, 1);
    for (int64_t i = 0; i < N; i++)
        if (i != 77)
            assert_int_equal(t_i64(out)[i], 2 * i);
    assert_int_equal(t_counters(pool).deaths, 1);
    t_destroy(pool);
    fm_array_destroy(out);
}

static double sum_with(const fm_pool_opts *opts, fm_array *in)
{
    double sum = 0;
    fm_pool *pool = t_open_with(opts);
    t_expect(fm_pool_reduce(pool, in, FM_SUM, &sum, sizeof sum, NULL), 0);
    assert_true(opts->max_tasks_per_worker == 0 || t_counters(pool).recycled > 0);
    t_destroy(pool);
    return sum;
}

static void test_recycle_in_a_reduction_changes_no_bit(void **state)
{
    enum { LENGTH = 200000 };
    (void)state;
    fm_array *in = t_vector(FM_F64, LENGTH);
    double *x = fm_array_data(in);
    for (int i = 0; i < LENGTH; i++)
        x[i] = 1.0 / (1 + i);
    double expected = sum_with(FM_POOL_OPTS(.workers = 1), in);
    double sum = sum_with(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 1), in);
    assert_memory_equal(&sum, &expected, sizeof sum);
    fm_array_destroy(in);
}

static int hang_at_77(const void *item, void *result, void *arg)
{
    while (*(const int64_t *)item == 77)
        t_sleep_ms(1000);
    return twice(item, result, arg);
}

static void test_recycle_ends_the_item_that_passes_its_limit_and_no_other(void **state)
{
    fm_failure failure;
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 2));
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, hang_at_77, 0, N, out,
                               FM_MAP_OPTS(.chunk = 5, .on_error = FM_ON_ERROR_CONTINUE,
                                           .item_timeout = FM_MS(200))),
             FM_ETIMEOUT);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, 77);
    for (int64_t i = 0; i < N; i++)
        if (i != 77)
            assert_int_equal(t_i64(out)[i], 2 * i);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int fork_a_sleeper(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    *(int64_t *)result = pid;
    return 0;
}

static void test_recycle_ends_what_the_old_one_forked(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 1, .max_tasks_per_worker = 1));
    fm_array *out = t_vector(FM_I64, 3);
    t_expect(fm_pool_map_range(pool, fork_a_sleeper, 0, 3, out, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int i = 0; i < 3; i++)
        while (kill((pid_t)t_i64(out)[i], 0) == 0)
            t_sleep_ms(1);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- so much memory ------------------------------------------------------------------------------ */

enum { LEAK_BYTES = 8 << 20 };

static char *volatile lost; /* or the compiler leaves out what nobody reads */

static int take_bytes(size_t n)
{
    lost = malloc(n);
    if (lost == NULL)
        return -ENOMEM;
    memset(lost, 1, n);
    return 0;
}

/* Tells what the process has, after more was taken that nobody gives back. */
static int leak(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    int rc = take_bytes(LEAK_BYTES);
    t_sleep_ms(2); /* so that each chunk is looked at */
    *(int64_t *)result = (int64_t)fmi_sys_private_bytes();
    return rc;
}

static int64_t bytes_after_a_leak(void)
{
    fm_array *out = t_vector(FM_I64, 1);
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 1));
    t_expect(fm_pool_map_range(pool, leak, 0, 1, out, NULL), 0);
    int64_t bytes = t_i64(out)[0];
    t_destroy(pool);
    fm_array_destroy(out);
    return bytes;
}

static void test_recycle_worker_that_has_grown_too_large_is_replaced(void **state)
{
    enum { N_ITEMS = 40, N_LEAKS = 5 };
    (void)state;
    fm_array *out = t_vector(FM_I64, N_ITEMS);
    int64_t limit = bytes_after_a_leak() + (N_LEAKS - 1) * (int64_t)LEAK_BYTES;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 2, .max_worker_bytes = (size_t)limit));
    t_expect(fm_pool_map_range(pool, leak, 0, N_ITEMS, out, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int i = 0; i < N_ITEMS; i++)
        assert_in_range(t_i64(out)[i], LEAK_BYTES, limit + 2 * (int64_t)LEAK_BYTES);
    fm_pool_counters counters = t_counters(pool);
    assert_true(counters.recycled >= 2);
    assert_int_equal(counters.deaths, 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int leak_much(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    return *(const int64_t *)item == 0 ? 0 : take_bytes((size_t)LEAK_BYTES * 8);
}

static void test_recycle_worker_that_sleeps_after_its_last_chunk_gives_its_memory_back(void **state)
{
    (void)state;
    int64_t limit = bytes_after_a_leak() + 2 * (int64_t)LEAK_BYTES;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 1, .max_worker_bytes = (size_t)limit));
    t_expect(fm_pool_map_range(pool, leak_much, 0, 2, NULL, FM_MAP_OPTS(.chunk = 1)), 0);
    while (t_counters(pool).recycled == 0)
        t_sleep_ms(1);
    t_destroy(pool);
}

/* ---- the standby --------------------------------------------------------------------------------- */

enum { N_RANKS = 2, MAX_EVENTS = 4096 };

/* In the heap: all processes write it. */
struct events {
    _Atomic int n;
    _Atomic int n_begun[N_RANKS]; /* initializers, by rank */
    int failing_run;              /* of the initializers of rank 0, from 1; 0: none */
    int last_run;                 /* all from failing_run to this one fail */
    int kills;                    /* whether the failing one kills itself */
    struct {
        int pid, rank, is_end;
    } list[MAX_EVENTS];
};

static void note_event(struct events *events, int rank, int is_end)
{
    int at = atomic_fetch_add(&events->n, 1);
    if (at >= MAX_EVENTS)
        return;
    events->list[at].pid = getpid();
    events->list[at].rank = rank;
    events->list[at].is_end = is_end;
}

static int begin(int rank, void *arg)
{
    struct events *events = arg;
    int run = atomic_fetch_add(&events->n_begun[rank], 1) + 1;
    note_event(events, rank, 0);
    if (rank != 0 || run < events->failing_run || run > events->last_run)
        return 0;
    if (events->kills)
        kill(getpid(), SIGKILL);
    return 5;
}

static int end(int rank, void *arg)
{
    note_event(arg, rank, 1);
    return 0;
}

static struct events *new_events(fm_array **memory)
{
    *memory = t_vector(FM_U8, sizeof(struct events));
    return fm_array_data(*memory);
}

static void test_recycle_successor_is_initialized_before_the_old_one_ends(void **state)
{
    fm_array *memory;
    (void)state;
    struct events *events = new_events(&memory);
    fm_pool *pool =
        t_open_with(FM_POOL_OPTS(.workers = N_RANKS, .max_tasks_per_worker = 5,
                                 .initializer = begin, .finalizer = end, .init_arg = events));
    check_rounds(pool, 4);
    t_close_and_destroy(pool);
    int n_alive[N_RANKS] = {0}, n_ended = 0;
    for (int i = 0; i < atomic_load(&events->n); i++) {
        int rank = events->list[i].rank, is_end = events->list[i].is_end;
        n_alive[rank] += is_end ? -1 : 1;
        assert_in_range(n_alive[rank], i + 2 * N_RANKS >= atomic_load(&events->n) ? 0 : 1, 2);
        n_ended += is_end;
    }
    assert_int_equal(n_alive[0] + n_alive[1], 0); /* each that begins has its finalizer */
    assert_true(n_ended > 10);
    fm_array_destroy(memory);
}

static void test_recycle_ends_when_the_initializer_fails_for_good(void **state)
{
    fm_array *memory;
    (void)state;
    struct events *events = new_events(&memory);
    events->failing_run = 3;
    events->last_run = 1 << 30;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = N_RANKS, .max_tasks_per_worker = 5,
                                             .initializer = begin, .init_arg = events));
    t_expect(fm_pool_map_range(pool, do_nothing, 0, 100000, NULL,
                               FM_MAP_OPTS(.chunk = 1, .schedule = FM_SCHEDULE_STATIC)),
             FM_EBROKEN);
    t_destroy(pool);
    fm_array_destroy(memory);
}

/* The third initializer of rank 0 is that of its second standby. */
static void check_failing_standby(int n_failing, int kills)
{
    fm_array *memory;
    struct events *events = new_events(&memory);
    events->failing_run = 3;
    events->last_run = 3 + n_failing - 1;
    events->kills = kills;
    fm_pool *pool =
        t_open_with(FM_POOL_OPTS(.workers = N_RANKS, .max_tasks_per_worker = 5,
                                 .initializer = begin, .finalizer = end, .init_arg = events));
    while (atomic_load(&events->n_begun[0]) <= events->last_run)
        check_rounds(pool, 2);
    assert_int_equal(t_counters(pool).deaths, n_failing);
    t_close_and_destroy(pool);
    fm_array_destroy(memory);
}

static void test_recycle_goes_on_when_a_standby_fails(void **state)
{
    (void)state;
    check_failing_standby(1, 0);
    check_failing_standby(4, 0); /* its replacements, too */
}

static void test_recycle_goes_on_when_a_standby_is_killed(void **state)
{
    (void)state;
    check_failing_standby(1, 1);
    check_failing_standby(4, 1);
}

static int kill_itself(int rank, void *arg)
{
    (void)rank;
    (void)arg;
    return kill(getpid(), SIGKILL);
}

static void test_recycle_goes_on_when_the_old_one_is_killed_in_its_finalizer(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(
        FM_POOL_OPTS(.workers = N_RANKS, .max_tasks_per_worker = 5, .finalizer = kill_itself));
    check_rounds(pool, 10);
    fm_pool_counters counters = t_counters(pool);
    assert_true(counters.deaths > 0);
    assert_int_equal(counters.recycled, 0); /* none ended in order */
    t_close_and_destroy(pool);
}

/* ---- the warden ---------------------------------------------------------------------------------- */

static int kill_the_warden(const fm_progress *p, void *pool)
{
    if (p->n_done > 20)
        kill(fm_pool_warden_pid(pool), SIGKILL);
    return 0;
}

static void map_until_broken(void *arg)
{
    fm_pool *pool;
    (void)arg;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .max_tasks_per_worker = 1)) != 0)
        _exit(1);
    int rc = fm_pool_map_range(pool, do_nothing, 0, 1 << 20, NULL,
                               FM_MAP_OPTS(.chunk = 1, .progress = kill_the_warden,
                                           .progress_arg = pool, .progress_interval = FM_MS(5)));
    _exit(rc == FM_EBROKEN && fm_pool_destroy(pool) == 0 ? 0 : 2);
}

static void test_recycle_leaves_nothing_when_the_warden_is_killed(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(t_exit_code(t_in_child(map_until_broken, NULL)), 0);
}

/* ---- a kill before each transition --------------------------------------------------------------- */

#ifdef FORKMAP_FAULTS
static void kill_at(const char *point)
{
    static const int passages[] = {1, 2, 7};
    for (size_t i = 0; i < T_N_OF(passages); i++) {
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0); /* the page must be there before the fork */
        fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 3, .max_tasks_per_worker = 3));
        fmi_fault_spare_this_process();
        assert_int_equal(fmi_fault_arm(point, passages[i], 1), 0);
        for (int round = 0; round < 3; round++)
            check_rounds(pool, 4);
        assert_true(fmi_fault_passages() >= passages[i]);
        assert_true(t_counters(pool).deaths >= 1);
        t_close_and_destroy(pool);
        fmi_fault_arm(NULL, 0, 0);
    }
}
#else
static void kill_at(const char *point)
{
    (void)point;
    t_skip("a build with FORKMAP_FAULTS");
}
#endif

#define POINT(name, point)                                                                         \
    static void test_recycle_killed_at_##name##_changes_no_result(void **state)                    \
    {                                                                                              \
        (void)state;                                                                               \
        kill_at(point);                                                                            \
    }
POINT(worker_retire, "worker.retire")
POINT(worker_retiring, "worker.retiring")
POINT(worker_retired, "worker.retired")
POINT(worker_initialize, "worker.initialize")
POINT(standby_ready, "standby.ready")
POINT(standby_waiting, "standby.waiting")
POINT(standby_turn, "standby.turn")
POINT(worker_ready, "worker.ready")
POINT(serve_inside, "serve.inside")
POINT(serve_leave, "serve.leave")
POINT(range_finished, "range.finished")
POINT(steal_commit, "steal.commit")
POINT(run_enter, "run.enter")

T_MAIN(T_EACH_METHOD(test_recycle_worker_never_runs_more_chunks_than_its_limit),
       T_TEST(test_recycle_with_a_limit_of_one_ends_and_has_a_process_for_each_chunk),
       T_TEST(test_recycle_counts_chunks_of_each_schedule),
       T_TEST(test_recycle_leaves_a_caller_that_works_alone),
       T_TEST(test_recycle_counts_on_from_map_to_map),
       T_TEST(test_recycle_by_a_negative_limit_is_refused),
       T_TEST(test_recycle_in_maps_in_place_changes_no_result),
       T_TEST(test_recycle_between_maps_of_several_threads_changes_no_result),
       T_TEST(test_recycle_blames_the_item_that_crashes_and_no_other),
       T_TEST(test_recycle_in_a_reduction_changes_no_bit),
       T_TEST(test_recycle_ends_the_item_that_passes_its_limit_and_no_other),
       T_TEST(test_recycle_ends_what_the_old_one_forked),
       T_TEST(test_recycle_worker_that_has_grown_too_large_is_replaced),
       T_TEST(test_recycle_worker_that_sleeps_after_its_last_chunk_gives_its_memory_back),
       T_EACH_METHOD(test_recycle_successor_is_initialized_before_the_old_one_ends),
       T_TEST(test_recycle_ends_when_the_initializer_fails_for_good),
       T_TEST(test_recycle_goes_on_when_a_standby_fails),
       T_EACH_METHOD(test_recycle_goes_on_when_a_standby_is_killed),
       T_EACH_METHOD(test_recycle_goes_on_when_the_old_one_is_killed_in_its_finalizer),
       T_TEST(test_recycle_leaves_nothing_when_the_warden_is_killed),
       T_TEST(test_recycle_killed_at_worker_retire_changes_no_result),
       T_TEST(test_recycle_killed_at_worker_retiring_changes_no_result),
       T_TEST(test_recycle_killed_at_worker_retired_changes_no_result),
       T_TEST(test_recycle_killed_at_worker_initialize_changes_no_result),
       T_TEST(test_recycle_killed_at_standby_ready_changes_no_result),
       T_TEST(test_recycle_killed_at_standby_waiting_changes_no_result),
       T_TEST(test_recycle_killed_at_standby_turn_changes_no_result),
       T_TEST(test_recycle_killed_at_worker_ready_changes_no_result),
       T_TEST(test_recycle_killed_at_serve_inside_changes_no_result),
       T_TEST(test_recycle_killed_at_serve_leave_changes_no_result),
       T_TEST(test_recycle_killed_at_range_finished_changes_no_result),
       T_TEST(test_recycle_killed_at_steal_commit_changes_no_result),
       T_TEST(test_recycle_killed_at_run_enter_changes_no_result))
