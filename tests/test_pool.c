/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* A pool's life: opening, closing, terminating, joining, destroying, in every order; handles that are not ours. */
#include "t_pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

static int nothing(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 0;
}

static int map_nothing(fm_pool *pool)
{
    return fm_pool_map_range(pool, nothing, 0, 8, NULL, NULL);
}

/* ---- initializers ---- */

static _Atomic int32_t *counts; /* in the heap: two for each rank */

static int count_start(int rank, void *arg)
{
    (void)arg;
    atomic_fetch_add(&counts[2 * rank], 1);
    return fm_worker_rank() == rank ? 0 : 1;
}

static int count_end(int rank, void *arg)
{
    (void)arg;
    atomic_fetch_add(&counts[2 * rank + 1], 1);
    return 0;
}

static void test_pool_initializer_and_finalizer_run_once_in_each_worker(void **state)
{
    (void)state;
    fm_array *a = t_vector(FM_I32, 10);
    fm_pool *pool;
    counts = fm_array_data(a);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 4, .initializer = count_start,
                                              .finalizer = count_end)),
             0);
    for (int rank = 0; rank < 4; rank++) {
        assert_int_equal(counts[2 * rank], 1);
        assert_int_equal(counts[2 * rank + 1], 0);
    }
    t_expect(map_nothing(pool), 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
    for (int rank = 0; rank < 4; rank++)
        assert_true(counts[2 * rank] == 1 && counts[2 * rank + 1] == 1);
    assert_int_equal(counts[8], 0);
    t_destroy(pool);
    fm_array_destroy(a);
}

static void test_pool_terminate_runs_no_finalizer(void **state)
{
    (void)state;
    fm_array *a = t_vector(FM_I32, 4);
    fm_pool *pool;
    counts = fm_array_data(a);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .finalizer = count_end)), 0);
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
    assert_true(counts[1] == 0 && counts[3] == 0);
    t_destroy(pool);
    fm_array_destroy(a);
}

static int fail_at_2(int rank, void *arg)
{
    (void)arg;
    return rank == 2 ? 42 : 0;
}

static int die_at_1(int rank, void *arg)
{
    if (rank == 1)
        kill(getpid(), *(const int *)arg);
    return 0;
}

static int exit_at_0(int rank, void *arg)
{
    (void)arg;
    if (rank == 0)
        _exit(9);
    return 0;
}

static void test_pool_failing_initializer_fails_the_open_and_leaves_nothing(void **state)
{
    (void)state;
    static int signal_number = SIGKILL;
    fm_pool *pool = (fm_pool *)&signal_number;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 4, .initializer = fail_at_2)), FM_EINIT);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "42"));
    assert_non_null(strstr(fm_error_detail(), "worker 2"));
    assert_int_equal(t_n_children(), 0);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = die_at_1,
                                              .init_arg = &signal_number)),
             FM_EINIT);
    assert_non_null(strstr(fm_error_detail(), "worker 1"));
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = exit_at_0)), FM_EINIT);
    assert_non_null(strstr(fm_error_detail(), "9"));
    assert_int_equal(t_n_children(), 0);
}

static int sleep_long(int rank, void *arg)
{
    (void)rank;
    (void)arg;
    pause();
    return 0;
}

static void test_pool_start_timeout_ends_an_open_that_hangs(void **state)
{
    (void)state;
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = sleep_long,
                                              .start_timeout = FM_MS(50))),
             -ETIMEDOUT);
    assert_null(pool);
    assert_true(strlen(fm_error_detail()) > 0);
    assert_int_equal(t_n_children(), 0);
}

static void test_pool_wrong_options_are_refused(void **state)
{
    (void)state;
    fm_pool_opts small = {.struct_size = sizeof(size_t) - 1},
                 large = {.struct_size = sizeof large + 8};
    const fm_pool_opts *const wrong[] = {
        FM_POOL_OPTS(.workers = -1),
        FM_POOL_OPTS(.workers = FM_MAX_WORKERS + 1),
        FM_POOL_OPTS(.workers = 1000000),
        FM_POOL_OPTS(.pin = 5),
        FM_POOL_OPTS(.pin = -1),
        FM_POOL_OPTS(.caller = 4),
        FM_POOL_OPTS(.caller = -1),
        FM_POOL_OPTS(.inner_threads = -2),
        FM_POOL_OPTS(.start_timeout = -1),
        FM_POOL_OPTS(.stack_bytes = SIZE_MAX),
        &small,
        &large,
    };
    fm_pool *pool;
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        pool = (fm_pool *)&small;
        int rc = fm_pool_open(&pool, wrong[i]);
        if (rc != -EINVAL || pool != NULL || fm_error_detail()[0] == '\0')
            fail_msg("options %zu: %s, \"%s\"", i, fm_errname(rc), fm_error_detail());
    }
    t_expect(fm_pool_open(NULL, NULL), -EINVAL);
    assert_int_equal(t_n_children(), 0);
}

/* ---- ends ---- */

static void test_pool_close_finishes_and_refuses_new_maps(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(map_nothing(pool), 0);
    t_expect(fm_pool_join(pool, FM_NOWAIT), -EBUSY);
    t_expect(fm_pool_close(pool), 0);
    t_expect(map_nothing(pool), FM_ECLOSED);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    assert_int_equal(t_n_children(), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(map_nothing(pool), FM_ECLOSED);
    t_destroy(pool);
}

static void test_pool_terminate_refuses_new_maps(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(map_nothing(pool), FM_ECLOSED);
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(fm_pool_join(pool, FM_NOWAIT), 0);
    t_destroy(pool);
}

/* All orders of three out of close, terminate, join, with either caller mode. */
static void test_pool_ends_in_any_order_with_the_documented_codes(void **state)
{
    (void)state;
    for (int order = 0; order < 27 * 2; order++) {
        fm_pool *pool =
            t_open(order % 2 == 0 ? 2 : 1, order % 2 == 0 ? FM_CALLER_SLEEPS : FM_CALLER_WORKS);
        int is_open = 1;
        for (int step = 0, rest = order / 2; step < 3; step++, rest /= 3) {
            if (rest % 3 == 0)
                t_expect(fm_pool_close(pool), 0);
            else if (rest % 3 == 1)
                t_expect(fm_pool_terminate(pool), 0);
            else
                t_expect(fm_pool_join(pool, FM_SECONDS(10)), is_open ? -EBUSY : 0);
            is_open = is_open && rest % 3 == 2;
            t_expect(map_nothing(pool), is_open ? 0 : FM_ECLOSED);
        }
        t_destroy(pool);
    }
}

static void test_pool_destroyed_handle_is_refused(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_pool_counters counters;
    fm_worker_info info;
    t_destroy(pool);
    t_expect(fm_pool_destroy(pool), -EINVAL);
    t_expect(map_nothing(pool), -EINVAL);
    t_expect(fm_pool_close(pool), -EINVAL);
    t_expect(fm_pool_terminate(pool), -EINVAL);
    t_expect(fm_pool_join(pool, 0), -EINVAL);
    t_expect(fm_pool_workers(pool), -EINVAL);
    t_expect(fm_pool_stats(pool, &counters), -EINVAL);
    t_expect(fm_pool_worker(pool, 0, &info), -EINVAL);
    t_expect(fm_pool_warden_pid(pool), -EINVAL);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), -EINVAL);
    assert_true(strlen(fm_error_detail()) > 0);
}

static void test_pool_null_handle_is_refused(void **state)
{
    (void)state;
    fm_worker_info info;
    t_expect(fm_pool_destroy(NULL), 0);
    t_expect(map_nothing(NULL), -EINVAL);
    t_expect(fm_pool_close(NULL), -EINVAL);
    t_expect(fm_pool_terminate(NULL), -EINVAL);
    t_expect(fm_pool_join(NULL, 0), -EINVAL);
    t_expect(fm_pool_workers(NULL), -EINVAL);
    t_expect(fm_pool_stats(NULL, NULL), -EINVAL);
    t_expect(fm_pool_worker(NULL, 0, &info), -EINVAL);
    assert_int_equal(fm_pool_failures(NULL, NULL, 0), -EINVAL);
}

static void test_pool_auto_destroys_at_scope_end(void **state)
{
    (void)state;
    {
        FM_AUTO(fm_pool) pool = t_open(2, FM_CALLER_SLEEPS);
        t_expect(map_nothing(pool), 0);
        assert_int_equal(t_n_children(), 1);
    }
    assert_int_equal(t_n_children(), 0);
    {
        FM_AUTO(fm_pool) never_opened = NULL;
        (void)never_opened;
    }
}

static void test_pool_opens_again_after_each_end(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        fm_pool *pool = t_open(1 + i % 3, i % 2 == 0 ? FM_CALLER_SLEEPS : FM_CALLER_WORKS);
        t_expect(map_nothing(pool), 0);
        if (i % 3 == 1)
            t_expect(fm_pool_close(pool), 0);
        if (i % 3 == 2)
            t_expect(fm_pool_terminate(pool), 0);
        t_destroy(pool);
    }
}

/* ---- what it says of itself ---- */

static void test_pool_tells_its_workers(void **state)
{
    (void)state;
    fm_worker_info info;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS), *with_caller = t_open(3, FM_CALLER_WORKS);
    assert_int_equal(fm_pool_workers(pool), 3);
    assert_int_equal(fm_pool_workers(with_caller), 3);
    for (int rank = 0; rank < 3; rank++) {
        t_expect(fm_pool_worker(pool, rank, &info), 0);
        assert_true(info.pid > 0 && info.pid != getpid());
        assert_int_equal(kill(info.pid, 0), 0);
        assert_int_equal(info.starts, 1);
    }
    t_expect(fm_pool_worker(with_caller, 0, &info), 0);
    assert_int_equal(info.pid, getpid());
    assert_int_equal(kill(fm_pool_warden_pid(pool), 0), 0);
    t_expect(fm_pool_worker(pool, 3, &info), -EINVAL);
    t_expect(fm_pool_worker(pool, -1, &info), -EINVAL);
    t_expect(fm_pool_worker(pool, 0, NULL), -EINVAL);
    t_destroy(pool);
    t_destroy(with_caller);
}

static void test_pool_counts_finished_maps(void **state)
{
    (void)state;
    fm_pool_counters counters;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int i = 0; i < 5; i++)
        t_expect(map_nothing(pool), 0);
    t_expect(fm_pool_stats(pool, &counters), 0);
    assert_int_equal(counters.maps, 5);
    assert_int_equal(counters.deaths, 0);
    assert_int_equal(counters.undo_bytes, 0);
    t_expect(fm_pool_stats(pool, NULL), -EINVAL);
    t_destroy(pool);
}

/* ---- in a forked child ---- */

static void use_in_child(void *arg)
{
    fm_pool *pool = arg;
    fm_pool_counters counters;
    fm_worker_info info;
    const int codes[] = {map_nothing(pool),
                         fm_pool_close(pool),
                         fm_pool_terminate(pool),
                         fm_pool_join(pool, 0),
                         fm_pool_workers(pool),
                         fm_pool_stats(pool, &counters),
                         fm_pool_worker(pool, 0, &info),
                         fm_pool_warden_pid(pool),
                         (int)fm_pool_failures(pool, NULL, 0),
                         fm_pool_destroy(pool)};
    for (size_t i = 0; i < T_N_OF(codes); i++)
        if (codes[i] != FM_EFORKED)
            _exit(1 + (int)i);
}

static void test_pool_in_a_forked_child_is_refused_and_left_alone(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(t_exit_code(t_in_child(use_in_child, pool)), 0);
    t_expect(map_nothing(pool), 0);
    t_destroy(pool);
}

static void open_own_in_child(void *arg)
{
    fm_pool *pool;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(1);
    if (map_nothing(pool) != 0)
        _exit(2);
    if (map_nothing(arg) != FM_EFORKED)
        _exit(3);
    if (fm_pool_destroy(pool) != 0)
        _exit(4);
}

static void test_pool_can_be_opened_in_a_forked_child(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(t_exit_code(t_in_child(open_own_in_child, pool)), 0);
    t_expect(map_nothing(pool), 0);
    t_destroy(pool);
}

static void leave_open(void *arg)
{
    (void)arg;
    fm_pool *pool;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3)) != 0 || map_nothing(pool) != 0)
        _exit(1);
} /* and returns without a destroy; what is left behind fails the test */

static void test_pool_ends_with_a_host_that_forgets_it(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(leave_open, NULL)), 0);
}

T_MAIN(T_TEST(test_pool_initializer_and_finalizer_run_once_in_each_worker),
       T_TEST(test_pool_terminate_runs_no_finalizer),
       T_TEST(test_pool_failing_initializer_fails_the_open_and_leaves_nothing),
       T_TEST(test_pool_start_timeout_ends_an_open_that_hangs),
       T_TEST(test_pool_wrong_options_are_refused),
       T_TEST(test_pool_close_finishes_and_refuses_new_maps),
       T_TEST(test_pool_terminate_refuses_new_maps),
       T_TEST(test_pool_ends_in_any_order_with_the_documented_codes),
       T_TEST(test_pool_destroyed_handle_is_refused), T_TEST(test_pool_null_handle_is_refused),
       T_TEST(test_pool_auto_destroys_at_scope_end), T_TEST(test_pool_opens_again_after_each_end),
       T_TEST(test_pool_tells_its_workers), T_TEST(test_pool_counts_finished_maps),
       T_TEST(test_pool_in_a_forked_child_is_refused_and_left_alone),
       T_TEST(test_pool_can_be_opened_in_a_forked_child),
       T_TEST(test_pool_ends_with_a_host_that_forgets_it))
