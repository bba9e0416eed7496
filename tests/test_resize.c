/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/* Pools that grow and shrink: between maps, during maps, and while workers die or cannot start. */
#include "t_pool.h"
#include "victim.h"

#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 60, MOST = 4 };

static int tell_rank(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(int64_t *)result = fm_worker_rank();
    return 0;
}

/* Under a static schedule every rank has its own share: the ranks say who took part. */
static void check_ranks(fm_pool *pool, int n)
{
    fm_array *out = t_vector(FM_I64, N);
    assert_int_equal(fm_pool_workers(pool), n);
    t_expect(
        fm_pool_map_range(pool, tell_rank, 0, N, out, FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC)),
        0);
    for (int i = 0; i < N; i++)
        assert_int_equal(t_i64(out)[i], i / (N / n));
    t_expect(fm_pool_map_range(pool, tell_rank, 0, N, out, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int i = 0; i < N; i++)
        assert_in_range(t_i64(out)[i], 0, n - 1);
    fm_array_destroy(out);
}

static int pid_of(fm_pool *pool, int rank)
{
    fm_worker_info info;
    t_expect(fm_pool_worker(pool, rank, &info), 0);
    assert_true(info.pid > 0);
    return info.pid;
}

static int is_there(int pid)
{
    return kill(pid, 0) == 0 && t_process_state(pid) != 'Z';
}

static void await_end_of(int pid)
{
    while (is_there(pid))
        t_sleep_ms(1);
}

/* ---- between maps -------------------------------------------------------------------------------- */

/* In the heap: counted by all workers. */
struct counts {
    _Atomic int n_begun, n_ended;
    int is_failing; /* ranks other than 0 */
    int way;
};
enum { RETURNS = 0, IS_KILLED = 1, SLEEPS = 2 };

static int begin(int rank, void *arg)
{
    struct counts *counts = arg;
    atomic_fetch_add(&counts->n_begun, 1);
    if (rank == 0 || !counts->is_failing)
        return 0;
    if (counts->way == SLEEPS)
        t_sleep_ms(20000);
    if (counts->way == IS_KILLED)
        kill(getpid(), SIGKILL);
    return 9;
}

static int end(int rank, void *arg)
{
    struct counts *counts = arg;
    (void)rank;
    atomic_fetch_add(&counts->n_ended, 1);
    return 0;
}

static struct counts *new_counts(fm_array **memory)
{
    *memory = t_vector(FM_U8, sizeof(struct counts));
    return fm_array_data(*memory);
}

static void test_resize_changes_who_takes_part_in_maps(void **state)
{
    fm_array *memory;
    (void)state;
    struct counts *counts = new_counts(&memory);
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 1, .max_workers = 3, .initializer = begin,
                                             .finalizer = end, .init_arg = counts));
    check_ranks(pool, 1);
    t_expect(fm_pool_resize(pool, 3), 0);
    assert_int_equal(atomic_load(&counts->n_begun), 3);
    check_ranks(pool, 3);
    int second = pid_of(pool, 1), third = pid_of(pool, 2);
    t_expect(fm_pool_resize(pool, 1), 0);
    check_ranks(pool, 1);
    await_end_of(second);
    await_end_of(third);
    assert_int_equal(atomic_load(&counts->n_ended), 2);
    t_expect(fm_pool_resize(pool, 2), 0);
    t_expect(fm_pool_resize(pool, 2), 0);
    check_ranks(pool, 2);
    assert_int_equal(t_counters(pool).deaths, 0);
    t_close_and_destroy(pool);
    assert_int_equal(atomic_load(&counts->n_begun), 4);
    assert_int_equal(atomic_load(&counts->n_ended), 4);
    fm_array_destroy(memory);
}

static void test_resize_of_a_caller_that_works_goes_down_to_the_caller_alone(void **state)
{
    (void)state;
    fm_pool *pool =
        t_open_with(FM_POOL_OPTS(.workers = 1, .max_workers = 3, .caller = FM_CALLER_WORKS));
    check_ranks(pool, 1);
    for (int round = 0; round < 5; round++) {
        t_expect(fm_pool_resize(pool, 3), 0);
        check_ranks(pool, 3);
        t_expect(fm_pool_resize(pool, 2), 0);
        check_ranks(pool, 2);
        t_expect(fm_pool_resize(pool, 1), 0);
        check_ranks(pool, 1);
    }
    assert_int_equal(t_counters(pool).deaths, 0);
    t_close_and_destroy(pool);
}

static void test_resize_to_and_fro_loses_no_worker(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 3));
    for (int round = 0; round < 50; round++) {
        t_expect(fm_pool_resize(pool, 1), 0);
        if (round % 2 == 0)
            check_ranks(pool, 1);
        t_expect(fm_pool_resize(pool, 3), 0);
        if (round % 3 == 0)
            check_ranks(pool, 3);
    }
    check_ranks(pool, 3);
    assert_int_equal(t_counters(pool).deaths, 0);
    t_close_and_destroy(pool);
}

static void test_resize_workers_that_sleep_leave_without_a_map(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 3));
    int second = pid_of(pool, 1), third = pid_of(pool, 2);
    t_sleep_ms(50);
    t_expect(fm_pool_resize(pool, 1), 0);
    await_end_of(second);
    await_end_of(third);
    t_destroy(pool);
}

/* ---- what is refused ----------------------------------------------------------------------------- */

static void resize_in_child(void *pool)
{
    _exit(fm_pool_resize(pool, 2) == FM_EFORKED ? 0 : 1);
}

static void test_resize_refuses_numbers_and_pools_that_it_cannot_have(void **state)
{
    (void)state;
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3, .max_workers = 2)), -EINVAL);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .max_workers = -1)), -EINVAL);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.max_workers = FM_MAX_WORKERS + 1)), -EINVAL);
    t_expect(fm_pool_resize(NULL, 1), -EINVAL);
    pool = t_open_with(FM_POOL_OPTS(.workers = 2));
    t_expect(fm_pool_resize(pool, 0), -EINVAL);
    t_expect(fm_pool_resize(pool, -3), -EINVAL);
    t_expect(fm_pool_resize(pool, 3), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "max_workers"));
    assert_int_equal(t_exit_code(t_in_child(resize_in_child, pool)), 0);
    check_ranks(pool, 2);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_resize(pool, 1), FM_ECLOSED);
    t_destroy(pool);
    pool = t_open_with(FM_POOL_OPTS(.caller = FM_CALLER_ONLY, .max_workers = 4));
    t_expect(fm_pool_resize(pool, 1), 0);
    t_expect(fm_pool_resize(pool, 2), -EINVAL);
    t_destroy(pool);
}

static void test_resize_open_has_no_more_workers_than_max_workers(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.max_workers = 1));
    assert_int_equal(fm_pool_workers(pool), 1);
    t_destroy(pool);
}

/* ---- new workers that cannot start --------------------------------------------------------------- */

static void check_failing(int way, int code)
{
    fm_array *memory;
    struct counts *counts = new_counts(&memory);
    fm_pool *pool = t_open_with(
        FM_POOL_OPTS(.workers = 1, .max_workers = 3, .initializer = begin, .init_arg = counts,
                     .start_timeout = way == SLEEPS ? FM_MS(300) : FM_SECONDS(20)));
    counts->is_failing = 1;
    counts->way = way;
    for (int round = 0; round < (way == SLEEPS ? 2 : 30);
         round++) { /* more than a crew may fail in a row */
        t_expect(fm_pool_resize(pool, 3), code);
        check_ranks(pool, 1);
    }
    counts->is_failing = 0;
    t_expect(fm_pool_resize(pool, 3), 0);
    check_ranks(pool, 3);
    t_close_and_destroy(pool);
    fm_array_destroy(memory);
}

static void test_resize_with_an_initializer_that_fails_leaves_the_pool_as_it_was(void **state)
{
    (void)state;
    check_failing(RETURNS, FM_EINIT);
}

static void test_resize_with_a_worker_killed_as_it_starts_leaves_the_pool_as_it_was(void **state)
{
    (void)state;
    check_failing(IS_KILLED, FM_EINIT);
}

static void
test_resize_with_an_initializer_that_takes_too_long_leaves_the_pool_as_it_was(void **state)
{
    (void)state;
    check_failing(SLEEPS, -ETIMEDOUT);
}

struct ending {
    fm_pool *pool;
    int kills;
};

static void *end_soon(void *arg)
{
    struct ending *ending = arg;
    t_sleep_ms(100);
    if (ending->kills)
        kill(fm_pool_warden_pid(ending->pool), SIGKILL);
    else
        (void)!fm_pool_terminate(ending->pool);
    return NULL;
}

/* In a child, since the workers of a killed warden are its orphans. */
static void end_meanwhile(void *arg)
{
    fm_array *memory;
    pthread_t thread;
    struct ending ending = {.kills = *(int *)arg};
    if (fm_array_zeros(&memory, FM_U8, 1, T_SHAPE(sizeof(struct counts))) != 0)
        _exit(1);
    struct counts *counts = fm_array_data(memory);
    if (fm_pool_open(&ending.pool, FM_POOL_OPTS(.workers = 1, .max_workers = 2,
                                                .initializer = begin, .init_arg = counts)) != 0)
        _exit(2);
    counts->is_failing = 1;
    counts->way = SLEEPS;
    if (pthread_create(&thread, NULL, end_soon, &ending) != 0)
        _exit(3);
    int rc = fm_pool_resize(ending.pool, 2);
    pthread_join(thread, NULL);
    if (rc != (ending.kills ? FM_EBROKEN : FM_ECANCELLED))
        _exit(4);
    _exit(fm_pool_destroy(ending.pool) == 0 ? 0 : 5);
}

static void test_resize_of_a_pool_that_ends_meanwhile_returns(void **state)
{
    (void)state;
    for (int kills = 0; kills <= 1; kills++)
        assert_int_equal(t_exit_code(t_in_child(end_meanwhile, &kills)), 0);
}

/* ---- during maps --------------------------------------------------------------------------------- */

static int tell_rank_slowly(const void *item, void *result, void *arg)
{
    t_sleep_ms(5);
    return tell_rank(item, result, arg);
}

struct shrinking {
    fm_pool *pool;
    int kills;   /* the worker of the last rank, once it is not wanted any more */
    int is_done; /* private to the caller */
};

static int shrink_in_a_map(const fm_progress *p, void *arg)
{
    struct shrinking *s = arg;
    if (s->is_done || p->n_done < 3)
        return 0;
    int last = pid_of(s->pool, 2);
    s->is_done = 1;
    t_expect(fm_pool_resize(s->pool, 1), 0);
    if (s->kills)
        kill(last, SIGKILL);
    return 0;
}

static void check_shrinking(int kills)
{
    (void)kills;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 3));
    fm_array *out = t_vector(FM_I64, N);
    struct shrinking s = {.pool = pool, .kills = kills};
    t_expect(fm_pool_map_range(pool, tell_rank_slowly, 0, N, out,
                               FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC, .chunk = 1,
                                           .progress = shrink_in_a_map, .progress_arg = &s,
                                           .progress_interval = FM_MS(5))),
             0);
    assert_true(s.is_done);
    for (int i = 0; i < N; i++)
        assert_int_equal(t_i64(out)[i], i / (N / 3)); /* each share by its own rank */
    assert_int_equal(t_counters(pool).deaths, kills);
    check_ranks(pool, 1);
    t_expect(fm_pool_resize(pool, 3), 0);
    check_ranks(pool, 3);
    t_close_and_destroy(pool);
    fm_array_destroy(out);
}

static void test_resize_in_a_map_lets_those_finish_who_have_a_share(void **state)
{
    (void)state;
    check_shrinking(0);
}

static void test_resize_in_a_map_replaces_one_that_dies_before_it_leaves(void **state)
{
    (void)state;
    check_shrinking(1);
}

static int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

struct busy {
    fm_pool *pool;
    _Atomic int is_over, rc;
};

static void *map_until_over(void *arg)
{
    struct busy *busy = arg;
    int64_t n = N;
    fm_array *out = NULL;
    int rc = fm_array_zeros(&out, FM_I64, 1, &n);
    for (int round = 0; rc == 0 && !atomic_load(&busy->is_over); round++) {
        rc = fm_pool_map_range(
            busy->pool, twice, round, round + n, out,
            FM_MAP_OPTS(.schedule = round % 2 == 0 ? FM_SCHEDULE_STATIC : FM_SCHEDULE_DYNAMIC,
                        .chunk = 3));
        for (int64_t i = 0; i < n && rc == 0; i++)
            rc = t_i64(out)[i] == 2 * (round + i) ? 0 : 1;
    }
    fm_array_destroy(out);
    if (rc != 0)
        atomic_store(&busy->rc, rc);
    return NULL;
}

static void resize_beside_maps(const fm_pool_opts *opts, int n_rounds)
{
    enum { N_THREADS = 2 };
    pthread_t threads[N_THREADS];
    struct t_random random = t_random_begin();
    struct busy busy = {.pool = t_open_with(opts)};
    for (int k = 0; k < N_THREADS; k++)
        assert_int_equal(pthread_create(&threads[k], NULL, map_until_over, &busy), 0);
    for (int round = 0; round < n_rounds; round++) {
        t_expect(fm_pool_resize(busy.pool, 1 + (int)t_random_below(&random, MOST)), 0);
        t_sleep_us((int64_t)t_random_below(&random, 2000));
    }
    atomic_store(&busy.is_over, 1);
    for (int k = 0; k < N_THREADS; k++)
        pthread_join(threads[k], NULL);
    assert_int_equal(atomic_load(&busy.rc), 0);
    assert_int_equal(t_counters(busy.pool).deaths, 0);
    t_close_and_destroy(busy.pool);
}

static void test_resize_beside_maps_of_other_threads_changes_no_result(void **state)
{
    (void)state;
    resize_beside_maps(FM_POOL_OPTS(.workers = 2, .max_workers = MOST), 300);
    resize_beside_maps(FM_POOL_OPTS(.workers = 2, .max_workers = MOST, .caller = FM_CALLER_WORKS),
                       300);
}

static void test_resize_beside_maps_whose_workers_are_recycled_changes_no_result(void **state)
{
    (void)state;
    resize_beside_maps(FM_POOL_OPTS(.workers = 2, .max_workers = MOST, .max_tasks_per_worker = 4),
                       100);
}

static void *resize_at_random(void *arg)
{
    struct busy *busy = arg;
    for (int round = 0; round < 50; round++)
        if (fm_pool_resize(busy->pool, 1 + round % MOST) != 0)
            atomic_store(&busy->rc, 1);
    return NULL;
}

static void test_resize_in_two_threads_at_once_is_done_one_after_the_other(void **state)
{
    pthread_t threads[2];
    (void)state;
    struct busy busy = {.pool = t_open_with(FM_POOL_OPTS(.workers = 2, .max_workers = MOST))};
    for (int k = 0; k < 2; k++)
        assert_int_equal(pthread_create(&threads[k], NULL, resize_at_random, &busy), 0);
    for (int k = 0; k < 2; k++)
        pthread_join(threads[k], NULL);
    assert_int_equal(atomic_load(&busy.rc), 0);
    t_expect(fm_pool_resize(busy.pool, 3), 0);
    check_ranks(busy.pool, 3);
    t_close_and_destroy(busy.pool);
}

/* ---- a kill before each transition --------------------------------------------------------------- */

#ifdef FORKMAP_FAULTS
/* A grow that is struck fails with FM_EINIT and is done again. */
static void kill_at(const char *point)
{
    static const int passages[] = {1, 2, 7};
    for (size_t i = 0; i < T_N_OF(passages); i++) {
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0); /* the page must be there before the fork */
        fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 1, .max_workers = MOST));
        fmi_fault_spare_this_process();
        assert_int_equal(fmi_fault_arm(point, passages[i], 1), 0);
        for (int round = 0; round < 10; round++) {
            int n = round % 2 == 0 ? MOST - round % 4 : 1, rc = fm_pool_resize(pool, n);
            if (rc == FM_EINIT)
                rc = fm_pool_resize(pool, n);
            t_expect(rc, 0);
            check_ranks(pool, n);
        }
        t_close_and_destroy(pool);
        /* one that is wanted again before it has left passes fewer */
        assert_true(fmi_fault_passages() >= 1);
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
    static void test_resize_killed_at_##name##_ends(void **state)                                  \
    {                                                                                              \
        (void)state;                                                                               \
        kill_at(point);                                                                            \
    }
POINT(worker_initialize, "worker.initialize")
POINT(worker_ready, "worker.ready")
POINT(worker_leave, "worker.leave")
POINT(serve_inside, "serve.inside")
POINT(serve_leave, "serve.leave")

/* ---- calls ------------------------------------------------------------------------------------- */

struct call { /* argument */
    _Atomic int64_t *n_begun, *is_open;
};

static int wait_at_the_gate(const void *arg, void *result)
{
    const struct call *call = arg;
    (void)result;
    atomic_fetch_add(call->n_begun, 1);
    while (atomic_load(call->is_open) == 0)
        usleep(200);
    return 0;
}

/* Nobody wants its rank any more, but for the call that it had. */
static void test_resize_beside_a_call_whose_worker_dies_loses_no_call(void **state)
{
    fm_pool *pool = t_open(2, 0);
    fm_array *words = t_vector(FM_I64, 2);
    fm_result *results[2];
    _Atomic int64_t *gate = fm_array_data(words);
    struct call call = {&gate[0], &gate[1]};
    (void)state;
    for (int i = 0; i < 2; i++)
        t_expect(fm_pool_apply_async(pool, wait_at_the_gate, &call, sizeof call, NULL, 0, NULL,
                                     &results[i]),
                 0);
    while (atomic_load(&gate[0]) < 2)
        t_sleep_ms(1);
    int pid = pid_of(pool, 1);
    t_expect(fm_pool_resize(pool, 1), 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    await_end_of(pid);
    atomic_store(&gate[1], 1);
    for (int i = 0; i < 2; i++) {
        t_expect(fm_result_get(results[i], FM_SECONDS(10)), 0);
        t_expect(fm_result_free(results[i]), 0);
    }
    check_ranks(pool, 1);
    t_destroy(pool);
    fm_array_destroy(words);
}

T_MAIN(T_EACH_METHOD(test_resize_changes_who_takes_part_in_maps),
       T_TEST(test_resize_of_a_caller_that_works_goes_down_to_the_caller_alone),
       T_TEST(test_resize_to_and_fro_loses_no_worker),
       T_TEST(test_resize_workers_that_sleep_leave_without_a_map),
       T_TEST(test_resize_refuses_numbers_and_pools_that_it_cannot_have),
       T_TEST(test_resize_open_has_no_more_workers_than_max_workers),
       T_TEST(test_resize_with_an_initializer_that_fails_leaves_the_pool_as_it_was),
       T_TEST(test_resize_with_a_worker_killed_as_it_starts_leaves_the_pool_as_it_was),
       T_TEST(test_resize_with_an_initializer_that_takes_too_long_leaves_the_pool_as_it_was),
       T_TEST(test_resize_of_a_pool_that_ends_meanwhile_returns),
       T_TEST(test_resize_in_a_map_lets_those_finish_who_have_a_share),
       T_TEST(test_resize_in_a_map_replaces_one_that_dies_before_it_leaves),
       T_EACH_METHOD(test_resize_beside_a_call_whose_worker_dies_loses_no_call),
       T_TEST(test_resize_beside_maps_of_other_threads_changes_no_result),
       T_TEST(test_resize_beside_maps_whose_workers_are_recycled_changes_no_result),
       T_TEST(test_resize_in_two_threads_at_once_is_done_one_after_the_other),
       T_TEST(test_resize_killed_at_worker_initialize_ends),
       T_TEST(test_resize_killed_at_worker_ready_ends),
       T_TEST(test_resize_killed_at_worker_leave_ends),
       T_TEST(test_resize_killed_at_serve_inside_ends),
       T_TEST(test_resize_killed_at_serve_leave_ends))
