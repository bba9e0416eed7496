/* SPDX-License-Identifier: MIT */
/* LABELS: crash stress fork */
/* TIMEOUT: 120 */
/* Many single calls: while workers are killed, collected in any order, half of them called off. Each ends once, and right. */
#include "t_task.h"
#include "victim.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_WORKERS = 2, KILL_US = 20000, MOST_TRIES = 20 };

struct storm {
    fm_pool *pool;
    struct t_random random;
    _Atomic int is_over;
    _Atomic int n_kills;
};

static void *rage(void *arg)
{
    struct storm *storm = arg;
    for (; !atomic_load(&storm->is_over); storm->n_kills++) {
        fm_worker_info info;
        int rank = (int)t_random_below(&storm->random, N_WORKERS);
        if (fm_pool_worker(storm->pool, rank, &info) == 0 && info.pid > 0)
            kill(info.pid, SIGKILL);
        t_sleep_us(KILL_US);
    }
    return NULL;
}

struct mark { /* argument */
    _Atomic uint32_t *n_runs;
    int64_t i;
};

static int leave_mark(const void *arg, void *result)
{
    const struct mark *mark = arg;
    atomic_fetch_add(&mark->n_runs[mark->i], 1);
    *(int64_t *)result = 5 * mark->i + 1;
    return 0;
}

static fm_result *ask(fm_pool *pool, _Atomic uint32_t *n_runs, int64_t i, const fm_apply_opts *opts)
{
    struct mark mark = {n_runs, i};
    return t_apply_bytes(pool, leave_mark, &mark, sizeof mark, i % 64 == 0 ? 256 : 8, opts);
}

/* A permutation of 0 .. n-1, n a power of two. */
static int64_t scatter(int64_t k, int64_t n)
{
    return (k * 40503 + 12345) & (n - 1);
}

/* Returns how many calls ran again. */
static int64_t begin_and_end_all(struct storm *storm, _Atomic uint32_t *n_runs, int64_t n)
{
    fm_result **r = calloc((size_t)n, sizeof(fm_result *));
    int64_t n_again = 0;
    for (int64_t i = 0; i < n; i++) {
        n_runs[i] = 0;
        r[i] = ask(storm->pool, n_runs, i, FM_APPLY_OPTS(.retries = MOST_TRIES));
    }
    for (int64_t i = 0; i < n; i++) {
        assert_int_equal(t_value(r[i]), 5 * i + 1);
        assert_true(n_runs[i] >= 1);
        n_again += n_runs[i] - 1;
        t_free(r[i]);
    }
    free(r);
    return n_again;
}

static void test_task_storm_of_kills_loses_and_doubles_no_result(void **state)
{
    (void)state;
    enum { N = 100000, N_KILLS = 100 };
    fm_array *memory = t_vector(FM_U32, N);
    struct storm storm = {.pool = t_open(N_WORKERS, 0), .random = t_random_begin()};
    fm_pool_counters counters;
    pthread_t thread;
    int64_t n_again = 0, n_rounds = 0;
    assert_int_equal(pthread_create(&thread, NULL, rage, &storm), 0);
    for (; storm.n_kills < N_KILLS; n_rounds++)
        n_again += begin_and_end_all(&storm, fm_array_data(memory), N);
    storm.is_over = 1;
    pthread_join(thread, NULL);
    t_expect(fm_pool_close(storm.pool), 0);
    t_expect(fm_pool_join(storm.pool, FM_FOREVER), 0);
    t_expect(fm_pool_stats(storm.pool, &counters), 0);
    printf("%lld times %d calls, %d kills, %llu deaths, %lld calls again\n", (long long)n_rounds, N,
           storm.n_kills, (unsigned long long)counters.deaths, (long long)n_again);
    assert_true(n_again <= (int64_t)counters.deaths);
    t_destroy(storm.pool);
    fm_array_destroy(memory);
}

static void test_task_storm_of_a_million_is_collected_out_of_order(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    fm_array *memory = t_vector(FM_U32, N);
    _Atomic uint32_t *n_runs = fm_array_data(memory);
    fm_result **r = calloc(N, sizeof(fm_result *));
    fm_pool *pool = t_open(N_WORKERS, 0);
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < N; i++) {
        struct mark mark = {n_runs, i};
        n_wrong += fm_pool_apply_async(pool, leave_mark, &mark, sizeof mark, NULL, 8, NULL, &r[i]);
    }
    assert_int_equal(n_wrong, 0);
    for (int64_t k = 0; k < N; k++) {
        int64_t i = scatter(k, N);
        n_wrong += fm_result_get(r[i], FM_FOREVER) != 0 ||
                   *(const int64_t *)fm_result_data(r[i]) != 5 * i + 1 || n_runs[i] != 1;
        n_wrong += fm_result_free(r[i]) != 0;
    }
    assert_int_equal(n_wrong, 0);
    t_destroy(pool);
    free(r);
    fm_array_destroy(memory);
}

/* Half of what is in flight is called off, half of that with a kill. */
static void call_off_half(struct storm *storm, _Atomic uint32_t *n_runs, int64_t n)
{
    fm_result **r = calloc((size_t)n, sizeof(fm_result *));
    int64_t n_cancelled = 0;
    for (int64_t i = 0; i < n; i++) {
        n_runs[i] = 0;
        r[i] = ask(storm->pool, n_runs, i, FM_APPLY_OPTS(.retries = MOST_TRIES));
    }
    for (int64_t i = 0; i < n; i += 2)
        t_expect(fm_result_cancel(r[i], i % 4 == 0 ? FM_CANCEL_KILL : 0), 0);
    for (int64_t k = 0; k < n; k++) {
        int64_t i = scatter(k, n);
        int rc = fm_result_get(r[i], FM_FOREVER);
        if (rc == FM_ECANCELLED) {
            assert_true(i % 2 == 0);
            n_cancelled++;
        } else {
            t_expect(rc, 0);
            assert_int_equal(*(const int64_t *)fm_result_data(r[i]), 5 * i + 1);
            assert_true(n_runs[i] >= 1);
        }
        t_free(r[i]);
    }
    printf("%lld of %lld were cancelled\n", (long long)n_cancelled, (long long)n);
    free(r);
}

static void test_task_storm_of_cancels_leaves_each_done_or_cancelled(void **state)
{
    (void)state;
    enum { N = 1024, N_ROUNDS = 30 };
    fm_array *memory = t_vector(FM_U32, N);
    struct storm storm = {.pool = t_open(N_WORKERS, 0)};
    for (int round = 0; round < N_ROUNDS; round++)
        call_off_half(&storm, fm_array_data(memory), N);
    t_destroy(storm.pool);
    fm_array_destroy(memory);
}

static void test_task_storm_of_cancels_and_kills_leaves_each_done_or_cancelled(void **state)
{
    (void)state;
    enum { N = 1024, N_ROUNDS = 30 };
    fm_array *memory = t_vector(FM_U32, N);
    struct storm storm = {.pool = t_open(N_WORKERS, 0), .random = t_random_begin()};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, rage, &storm), 0);
    for (int round = 0; round < N_ROUNDS; round++)
        call_off_half(&storm, fm_array_data(memory), N);
    storm.is_over = 1;
    pthread_join(thread, NULL);
    t_destroy(storm.pool);
    fm_array_destroy(memory);
}

/* What is queued behind calls that wait is called off: none of it ever runs. */
static void test_task_storm_of_cancels_of_what_has_not_begun_runs_none_of_it(void **state)
{
    (void)state;
    enum { N = 1000 };
    fm_array *memory = t_vector(FM_U32, N), *gate_memory;
    _Atomic uint32_t *n_runs = fm_array_data(memory);
    struct t_gate *gate = t_gates(&gate_memory, 1);
    static fm_result *r[N];
    fm_result *first[N_WORKERS];
    fm_pool *pool = t_open(N_WORKERS, 0);
    for (int i = 0; i < N_WORKERS; i++)
        first[i] = t_visit(pool, t_pass_gate, gate, i, NULL);
    t_await_count(&gate->n_begun, N_WORKERS);
    for (int64_t i = 0; i < N; i++)
        r[i] = ask(pool, n_runs, i, NULL);
    for (int64_t i = 0; i < N; i += 2)
        t_expect(fm_result_cancel(r[i], 0), 0);
    t_open_gate(gate);
    for (int i = 0; i < N_WORKERS; i++)
        t_end_with(first[i], 0);
    for (int64_t i = 0; i < N; i++) {
        t_end_with(r[i], i % 2 == 0 ? FM_ECANCELLED : 0);
        assert_int_equal(n_runs[i], i % 2);
    }
    t_destroy(pool);
    fm_array_destroy(gate_memory);
    fm_array_destroy(memory);
}

T_MAIN(T_TEST(test_task_storm_of_kills_loses_and_doubles_no_result),
       T_TEST(test_task_storm_of_a_million_is_collected_out_of_order),
       T_TEST(test_task_storm_of_cancels_leaves_each_done_or_cancelled),
       T_TEST(test_task_storm_of_cancels_and_kills_leaves_each_done_or_cancelled),
       T_TEST(test_task_storm_of_cancels_of_what_has_not_begun_runs_none_of_it))
