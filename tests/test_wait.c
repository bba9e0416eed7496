/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* fm_wait and fm_as_completed: results of one pool, of several, processes, descriptors; what is ready, in which order; time and signals. */
#include "t_task.h"
#include "t_wait.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static int negate(const void *arg, void *result)
{
    *(int64_t *)result = -*(const int64_t *)arg;
    return 0;
}

static int wait_item(const void *item, void *result, void *arg)
{
    struct t_visit visit = {arg, *(const int64_t *)item, 0};
    return t_pass_gate(&visit, result);
}

/* Target of a process; leaves when the gate is open. */
static int pass_gate(void *arg)
{
    struct t_visit visit = {arg, 0, 0};
    return t_pass_gate(&visit, NULL);
}

/* ---- results ---- */

static void wait_for_results(fm_pool *const *pools, int n_pools)
{
    enum { N = 4 };
    fm_array *memory;
    fm_waitable objects[N];
    int expected[N] = {0}, ready[N];
    struct t_gate *gates = t_gates(&memory, N);
    for (int i = 0; i < N; i++)
        objects[i] = FM_WAIT_RESULT(t_visit(pools[i % n_pools], t_pass_gate, &gates[i], i, NULL));
    t_expect(fm_wait(objects, N, ready, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_wait(objects, N, ready, FM_MS(3)), -ETIMEDOUT);
    t_expect(fm_wait(objects, N, NULL, FM_MS(3)), -ETIMEDOUT);
    for (int k = 0; k < N; k++) {
        int i = (k + 2) % N;
        t_open_gate(&gates[i]);
        t_expect(fm_wait(&objects[i], 1, ready, FM_FOREVER), 1);
        assert_int_equal(ready[0], 1);
        expected[i] = 1;
        t_expect_wait(objects, N, FM_FOREVER, expected);
        t_expect_wait(objects, N, FM_NOWAIT, expected);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(t_value(objects[i].result), i);
        t_free(objects[i].result);
    }
    fm_array_destroy(memory);
}

static void test_wait_tells_which_results_of_one_pool_are_ready(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(5, caller);
        wait_for_results(&pool, 1);
        t_destroy(pool);
    }
}

static void test_wait_tells_which_results_of_two_pools_are_ready(void **state)
{
    (void)state;
    fm_pool *pools[2] = {t_open(2, 0), t_open(2, 0)};
    wait_for_results(pools, 2);
    t_destroy(pools[0]);
    t_destroy(pools[1]);
}

static void test_wait_for_a_map_and_calls_and_what_outlived_its_pool(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gates = t_gates(&memory, 3);
    int64_t i = 4;
    fm_result *map;
    fm_pool *old = t_open(1, 0), *pool = t_open(2, 0);
    t_expect(
        fm_pool_map_range_async(pool, wait_item, 0, 5, NULL, FM_MAP_OPTS(.arg = &gates[0]), &map),
        0);
    fm_result *call = t_visit(pool, t_pass_gate, &gates[1], 1, NULL);
    fm_waitable objects[] = {FM_WAIT_RESULT(map), FM_WAIT_RESULT(call),
                             FM_WAIT_RESULT(t_apply_bytes(old, negate, &i, 8, 8, NULL))};
    t_expect(fm_wait(objects, 2, NULL, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_result_wait(objects[2].result, FM_FOREVER), 0);
    t_destroy(old);
    t_expect_wait(objects, 3, FM_FOREVER, (const int[]){0, 0, 1});
    t_open_gate(&gates[0]);
    t_expect(fm_wait(objects, 1, NULL, FM_FOREVER), 1);
    t_expect_wait(objects, 3, FM_FOREVER, (const int[]){1, 0, 1});
    t_open_gate(&gates[1]);
    t_expect(fm_result_wait(call, FM_FOREVER), 0);
    t_expect_wait(objects, 3, FM_FOREVER, (const int[]){1, 1, 1});
    for (int k = 0; k < 3; k++)
        t_free(objects[k].result);
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void test_wait_ends_when_the_pool_is_terminated(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(2, 0);
    fm_waitable objects[] = {FM_WAIT_RESULT(t_visit(pool, t_pass_gate, gate, 1, NULL)),
                             FM_WAIT_RESULT(t_visit(pool, t_pass_gate, gate, 2, NULL))};
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(fm_wait(objects, 2, NULL, FM_FOREVER), 1);
    t_end_with(objects[0].result, FM_ECANCELLED);
    t_end_with(objects[1].result, FM_ECANCELLED);
    t_destroy(pool);
    fm_array_destroy(memory);
}

/* ---- anything ---- */

static fm_process *start(struct t_gate *gate)
{
    fm_process *p;
    t_expect(fm_process_create(&p, pass_gate, gate, 0, NULL), 0);
    t_expect(fm_process_start(p), 0);
    return p;
}

static void test_wait_for_a_mixture_of_results_processes_and_pipes(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gates = t_gates(&memory, 2);
    int fds[2];
    fm_process *p = start(&gates[0]);
    fm_pool *pool = t_open(1, 0);
    assert_int_equal(pipe(fds), 0); /* last, so that nobody else has its end */
    fm_result *r = t_visit(pool, t_pass_gate, &gates[1], 1, NULL);
    fm_waitable objects[] = {FM_WAIT_PROCESS(p), FM_WAIT_FD(fds[0]), FM_WAIT_RESULT(r)};
    t_expect(fm_wait(objects, 3, NULL, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_wait(objects, 3, NULL, FM_MS(3)), -ETIMEDOUT);
    assert_int_equal(write(fds[1], "x", 1), 1);
    t_expect_wait(objects, 3, FM_FOREVER, (const int[]){0, 1, 0});
    t_open_gate(&gates[1]);
    t_expect(fm_wait(&objects[2], 1, NULL, FM_FOREVER), 1);
    t_expect_wait(objects, 3, FM_FOREVER, (const int[]){0, 1, 1});
    t_open_gate(&gates[0]);
    t_expect(fm_wait(objects, 1, NULL, FM_FOREVER), 1);
    t_expect_wait(objects, 3, FM_FOREVER, (const int[]){1, 1, 1});
    t_free(r);
    t_destroy(pool);
    t_expect(fm_process_join(p, FM_FOREVER), 0);
    t_expect(fm_process_close(p), 0);
    close(fds[1]);
    char c;
    assert_int_equal(read(fds[0], &c, 1), 1);
    t_expect_wait(&objects[1], 1, FM_FOREVER, (const int[]){1}); /* at its end */
    close(fds[0]);
    fm_array_destroy(memory);
}

static void test_wait_for_nothing_or_what_is_none_is_refused(void **state)
{
    (void)state;
    int fds[2], ready;
    int64_t i = 1;
    fm_process *p;
    assert_int_equal(pipe(fds), 0);
    t_expect(fm_process_create(&p, pass_gate, NULL, 0, NULL), 0);
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_apply_bytes(pool, negate, &i, 8, 8, NULL);
    t_expect(fm_result_wait(r, FM_FOREVER), 0);
    const fm_waitable none = FM_WAITABLE(NULL, NULL, 0), two = FM_WAITABLE(r, NULL, fds[0] + 1);
    const fm_waitable good = FM_WAIT_RESULT(r), minus = FM_WAIT_FD(-1), much_less = FM_WAIT_FD(-5);
    t_expect(fm_wait(NULL, 1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&good, 0, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&good, -1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&none, 1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&two, 1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&minus, 1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&much_less, 1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait(&FM_WAIT_PROCESS(p), 1, &ready, FM_NOWAIT), -EINVAL);
    t_expect(fm_wait((const fm_waitable[]){good, none}, 2, &ready, FM_NOWAIT), -EINVAL);
    close(fds[1]);
    close(fds[0]);
    t_expect(fm_wait(&FM_WAIT_FD(fds[0]), 1, &ready, FM_NOWAIT), -EBADF);
    fm_result *list[] = {r, NULL};
    t_expect(fm_as_completed(NULL, 1, FM_NOWAIT), -EINVAL);
    t_expect(fm_as_completed(list, 0, FM_NOWAIT), -EINVAL);
    t_expect(fm_as_completed(list + 1, 1, FM_NOWAIT), -EINVAL);
    t_free(r);
    t_destroy(pool);
    t_expect(fm_process_close(p), 0);
}

/* ---- signals ---- */

static _Atomic int n_signals;

static void count_signal(int number)
{
    (void)number;
    n_signals++;
}

struct pest {
    pthread_t thread, target;
    _Atomic int is_over;
};

static void *send_signals(void *arg)
{
    struct pest *pest = arg;
    while (!pest->is_over) {
        pthread_kill(pest->target, SIGUSR1);
        t_sleep_ms(1);
    }
    return NULL;
}

/* Whichever way it waits: results of one pool, or what poll is needed for. */
static void test_wait_is_interrupted_by_a_signal_handler(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    struct sigaction action = {.sa_handler = count_signal}, before;
    struct pest pest = {.target = pthread_self()};
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    fm_pool *pool = t_open(2, 0);
    fm_result *r = t_visit(pool, t_pass_gate, gate, 1, NULL);
    fm_waitable objects[] = {FM_WAIT_RESULT(r), FM_WAIT_FD(fds[0])};
    sigaction(SIGUSR1, &action, &before);
    assert_int_equal(pthread_create(&pest.thread, NULL, send_signals, &pest), 0);
    t_expect(fm_wait(objects, 1, NULL, FM_FOREVER), -EINTR);
    t_expect(fm_wait(objects, 2, NULL, FM_FOREVER), -EINTR);
    t_expect(fm_as_completed(&r, 1, FM_FOREVER), -EINTR);
    t_expect(fm_result_get(r, FM_MS(20)), -ETIMEDOUT); /* goes on */
    t_open_gate(gate);
    assert_int_equal(t_value(r), 1); /* also here */
    pest.is_over = 1;
    pthread_join(pest.thread, NULL);
    sigaction(SIGUSR1, &before, NULL);
    t_free(r);
    t_destroy(pool);
    close(fds[0]);
    close(fds[1]);
    fm_array_destroy(memory);
}

/* ---- as completed ---- */

static void complete_in_order(fm_pool *const *pools, int n_pools)
{
    enum { N = 6 };
    fm_array *memory;
    fm_result *r[N], *list[N];
    struct t_gate *gates = t_gates(&memory, N);
    for (int i = 0; i < N; i++)
        list[i] = r[i] = t_visit(pools[i % n_pools], t_pass_gate, &gates[i], i, NULL);
    t_expect(fm_as_completed(list, N, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_as_completed(list, N, FM_MS(3)), -ETIMEDOUT);
    for (int64_t k = 0; k < N; k++) {
        int i = (int)(k * 5 + 2) % N;
        t_open_gate(&gates[i]);
        t_expect(fm_as_completed(list + k, N - k, FM_FOREVER), 0);
        assert_ptr_equal(list[k], r[i]);
        assert_int_equal(t_value(list[k]), i);
        if (k + 1 < N)
            t_expect(fm_as_completed(list + k + 1, N - k - 1, FM_NOWAIT), -ETIMEDOUT);
    }
    for (int i = 0; i < N; i++)
        t_free(list[i]);
    fm_array_destroy(memory);
}

static void test_as_completed_gives_results_as_they_end(void **state)
{
    (void)state;
    fm_pool *pool = t_open(6, 0);
    complete_in_order(&pool, 1);
    t_destroy(pool);
}

static void test_as_completed_gives_results_of_two_pools_as_they_end(void **state)
{
    (void)state;
    fm_pool *pools[2] = {t_open(3, 0), t_open(3, 0)};
    complete_in_order(pools, 2);
    t_destroy(pools[0]);
    t_destroy(pools[1]);
}

static void test_as_completed_goes_through_a_long_list_once(void **state)
{
    (void)state;
    enum { N = 2000 };
    static fm_result *list[N];
    static int n_seen[N];
    for (int n_pools = 1; n_pools <= 2; n_pools++) {
        fm_pool *pools[2] = {t_open(2, 0), t_open(1, 0)};
        memset(n_seen, 0, sizeof n_seen);
        for (int64_t i = 0; i < N; i++)
            list[i] = t_apply_bytes(pools[i % n_pools], negate, &i, sizeof i, sizeof i, NULL);
        for (int64_t k = 0; k < N; k++) {
            t_expect(fm_as_completed(list + k, N - k, FM_FOREVER), 0);
            n_seen[-t_value(list[k])]++;
            t_free(list[k]);
        }
        for (int i = 0; i < N; i++)
            assert_int_equal(n_seen[i], 1);
        t_destroy(pools[0]);
        t_destroy(pools[1]);
    }
}

T_MAIN(T_EACH_METHOD(test_wait_tells_which_results_of_one_pool_are_ready),
       T_TEST(test_wait_tells_which_results_of_two_pools_are_ready),
       T_TEST(test_wait_for_a_map_and_calls_and_what_outlived_its_pool),
       T_TEST(test_wait_ends_when_the_pool_is_terminated),
       T_EACH_METHOD(test_wait_for_a_mixture_of_results_processes_and_pipes),
       T_TEST(test_wait_for_nothing_or_what_is_none_is_refused),
       T_TEST(test_wait_is_interrupted_by_a_signal_handler),
       T_TEST(test_as_completed_gives_results_as_they_end),
       T_TEST(test_as_completed_gives_results_of_two_pools_as_they_end),
       T_TEST(test_as_completed_goes_through_a_long_list_once))
