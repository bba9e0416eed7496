/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* Callbacks of work that was handed out: when, how often and where they are called, and what they may do. */
#include "t_task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>

static int negate(const void *arg, void *result)
{
    *(int64_t *)result = -*(const int64_t *)arg;
    return 0;
}

static int fail_with(const void *arg, void *result)
{
    (void)result;
    return *(const int *)arg;
}

static int crash(const void *arg, void *result)
{
    (void)arg;
    (void)result;
    return raise(SIGSEGV);
}

static int square(const void *item, void *result, void *arg)
{
    int64_t x = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = x * x;
    return 0;
}

static int fail_item(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 5;
}

static int count_threads(void)
{
    struct stat status;
    return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink - 2 : -1;
}

/* Threads that were joined may still be seen for a moment. */
static void expect_threads(int n)
{
    for (int i = 0; i < 1000 && count_threads() != n; i++)
        t_sleep_ms(1);
    assert_int_equal(count_threads(), n);
}

/* ---- what was called ---- */

struct log { /* of callbacks; they are called by one thread, so it needs no lock */
    _Atomic int n_calls, n_errors, n_inside, n_wrong;
    _Atomic int64_t sum;
    _Atomic int code; /* of the last error */
    pthread_t main, dispatcher;
};

static void note_call(struct log *log, fm_result *r)
{
    log->n_wrong += atomic_fetch_add(&log->n_inside, 1) != 0;
    log->n_wrong += fm_result_ready(r) != 1 || fm_result_wait(r, FM_NOWAIT) != 0;
    log->n_wrong +=
        log->n_calls + log->n_errors > 0 && !pthread_equal(log->dispatcher, pthread_self());
    log->dispatcher = pthread_self();
    atomic_fetch_sub(&log->n_inside, 1);
}

static void add_up(fm_result *r, void *arg)
{
    struct log *log = arg;
    note_call(log, r);
    log->n_wrong += fm_result_successful(r) != 1 || fm_result_get(r, FM_FOREVER) != 0;
    const int64_t *value = fm_result_data(r);
    log->sum += value == NULL ? 0 : *value;
    log->n_calls++;
}

static void note_error(fm_result *r, void *arg)
{
    struct log *log = arg;
    note_call(log, r);
    log->n_wrong += fm_result_successful(r) != 0 || fm_result_data(r) != NULL;
    log->code = fm_result_get(r, FM_FOREVER);
    log->n_errors++;
}

static struct log begin_log(void)
{
    return (struct log){.main = pthread_self()};
}

static void check_log(const struct log *log, int n_calls, int n_errors)
{
    assert_int_equal(log->n_calls, n_calls);
    assert_int_equal(log->n_errors, n_errors);
    assert_int_equal(log->n_wrong, 0);
}

#define LOGGED(log) .callback = add_up, .error_callback = note_error, .callback_arg = (log)

/* ---- when ---- */

static void test_callbacks_are_called_once_and_before_get_returns(void **state)
{
    (void)state;
    enum { N = 500 };
    static fm_result *r[N];
    struct log log = begin_log();
    fm_pool *pool = t_open(2, 0);
    for (int64_t i = 0; i < N; i++)
        r[i] = t_apply_bytes(pool, negate, &i, sizeof i, sizeof i, FM_APPLY_OPTS(LOGGED(&log)));
    for (int i = 0; i < N; i++) {
        int n_before = log.n_calls;
        t_expect(fm_result_get(r[i], FM_FOREVER), 0);
        assert_true(log.n_calls > 0 && log.n_calls >= n_before);
    }
    check_log(&log, N, 0);
    assert_int_equal(log.sum, -N * (N - 1) / 2);
    assert_false(pthread_equal(log.main, log.dispatcher));
    for (int i = 0; i < N; i++) {
        assert_int_equal(t_value(r[i]), -i);
        t_free(r[i]);
    }
    check_log(&log, N, 0);
    t_destroy(pool);
    check_log(&log, N, 0);
}

static _Atomic int has_returned;

static void return_slowly(fm_result *r, void *arg)
{
    (void)r;
    (void)arg;
    t_sleep_ms(30);
    has_returned = 1;
}

static void test_callbacks_have_returned_when_get_does(void **state)
{
    (void)state;
    int64_t i = 1;
    fm_pool *pool = t_open(2, 0);
    for (int with_fileno = 0; with_fileno < 2; with_fileno++) {
        has_returned = 0;
        fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, sizeof i,
                                     FM_APPLY_OPTS(.callback = return_slowly));
        if (with_fileno)
            t_expect(fm_wait((fm_waitable[]){FM_WAIT_FD(fm_result_fileno(r))}, 1, NULL, FM_FOREVER),
                     1);
        else
            t_expect(fm_result_get(r, FM_FOREVER), 0);
        assert_int_equal(has_returned, 1);
        t_expect(fm_result_get(r, FM_NOWAIT), 0);
        t_free(r);
    }
    t_destroy(pool);
}

static void test_callbacks_of_failures_are_the_other_ones(void **state)
{
    (void)state;
    struct log log = begin_log();
    int code = 6;
    fm_pool *pool = t_open(2, 0);
    fm_result *r =
        t_apply_bytes(pool, fail_with, &code, sizeof code, 0, FM_APPLY_OPTS(LOGGED(&log)));
    t_end_with(r, FM_ETASK);
    assert_int_equal(log.code, FM_ETASK);
    check_log(&log, 0, 1);
    t_end_with(t_apply_bytes(pool, crash, NULL, 0, 8, FM_APPLY_OPTS(LOGGED(&log))), FM_ECRASHED);
    assert_int_equal(log.code, FM_ECRASHED);
    check_log(&log, 0, 2);
    /* one of the two is enough */
    t_end_with(t_apply_bytes(pool, crash, NULL, 0, 8,
                             FM_APPLY_OPTS(.callback = add_up, .callback_arg = &log)),
               FM_ECRASHED);
    int64_t i = 2;
    t_end_with(t_apply_bytes(pool, negate, &i, 8, 8,
                             FM_APPLY_OPTS(.error_callback = note_error, .callback_arg = &log)),
               0);
    check_log(&log, 0, 2);
    t_destroy(pool);
}

static void test_callbacks_of_what_is_called_off_are_called(void **state)
{
    (void)state;
    struct log log = begin_log();
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(1, 0);
    fm_result *running = t_visit(pool, t_pass_gate, gate, 1, FM_APPLY_OPTS(LOGGED(&log)));
    fm_result *queued = t_visit(pool, t_pass_gate, gate, 2, FM_APPLY_OPTS(LOGGED(&log)));
    t_await_count(&gate->n_begun, 1);
    t_expect(fm_result_cancel(queued, 0), 0);
    t_expect(fm_result_get(queued, FM_FOREVER), FM_ECANCELLED);
    check_log(&log, 0, 1);
    t_expect(fm_result_cancel(running, FM_CANCEL_KILL), 0);
    t_expect(fm_result_get(running, FM_FOREVER), FM_ECANCELLED);
    check_log(&log, 0, 2);
    t_free(running);
    t_free(queued);
    t_destroy(pool);
    assert_int_equal(gate->n_ended, 0);
    fm_array_destroy(memory);
}

static void end_with_work_in_flight(int is_destroyed)
{
    enum { N = 10 };
    struct log log = begin_log();
    fm_array *memory;
    fm_result *r[N];
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(2, 0);
    for (int i = 0; i < N; i++)
        r[i] = t_visit(pool, t_pass_gate, gate, i, FM_APPLY_OPTS(LOGGED(&log)));
    for (int i = 0; i < N; i++) {
        struct t_visit visit = {gate, i, 0};
        t_expect(fm_pool_apply_async(pool, t_pass_gate, &visit, sizeof visit, NULL, 8,
                                     FM_APPLY_OPTS(LOGGED(&log)), NULL),
                 0);
    }
    t_expect(fm_pool_map_range_async(pool, fail_item, 0, 5, NULL, FM_MAP_OPTS(LOGGED(&log)), NULL),
             0);
    if (is_destroyed) {
        t_destroy(pool);
    } else {
        t_expect(fm_pool_terminate(pool), 0);
        t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    }
    assert_int_equal(log.n_calls + log.n_errors, 2 * N + 1);
    assert_int_equal(log.code, FM_ECANCELLED);
    assert_int_equal(log.n_wrong, 0);
    for (int i = 0; i < N; i++)
        t_end_with(r[i], FM_ECANCELLED);
    if (!is_destroyed)
        t_destroy(pool);
    assert_int_equal(log.n_calls + log.n_errors, 2 * N + 1);
    fm_array_destroy(memory);
}

static void test_callbacks_of_what_destroy_cancels_are_called_before_it_returns(void **state)
{
    (void)state;
    end_with_work_in_flight(1);
}

static void test_callbacks_of_what_terminate_cancels_are_called_before_join_returns(void **state)
{
    (void)state;
    end_with_work_in_flight(0);
}

static void test_callbacks_have_returned_when_join_after_close_does(void **state)
{
    (void)state;
    enum { N = 200 };
    struct log log = begin_log();
    fm_pool *pool = t_open(2, 0);
    for (int64_t i = 0; i < N; i++)
        t_expect(fm_pool_apply_async(pool, negate, &i, sizeof i, NULL, i % 2 == 0 ? 8 : 800,
                                     FM_APPLY_OPTS(LOGGED(&log)), NULL),
                 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    check_log(&log, N, 0);
    t_destroy(pool);
}

static void test_callbacks_of_maps_are_called_once(void **state)
{
    (void)state;
    enum { N_MAPS = 100, LENGTH = 10 };
    struct log log = begin_log();
    fm_array *out = t_vector(FM_I64, LENGTH);
    fm_pool *pool = t_open(2, 0);
    fm_result *r;
    for (int k = 0; k < N_MAPS; k++)
        t_expect(fm_pool_map_range_async(pool, k % 4 == 0 ? fail_item : square, 0, LENGTH, out,
                                         FM_MAP_OPTS(LOGGED(&log)), NULL),
                 0);
    t_expect(fm_pool_map_range_async(pool, square, 0, 0, NULL, FM_MAP_OPTS(LOGGED(&log)), &r), 0);
    t_end_with(r, 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    check_log(&log, N_MAPS * 3 / 4 + 1, N_MAPS / 4);
    assert_false(pthread_equal(log.main, log.dispatcher));
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_callbacks_of_maps_that_wait_are_refused(void **state)
{
    (void)state;
    struct log log = begin_log();
    fm_pool *pool = t_open(1, 0);
    t_expect(fm_pool_map_range(pool, fail_item, 0, 4, NULL, FM_MAP_OPTS(LOGGED(&log))), -EINVAL);
    t_destroy(pool);
    check_log(&log, 0, 0);
}

static void
test_callbacks_of_a_pool_without_workers_are_called_by_the_thread_that_asks(void **state)
{
    (void)state;
    struct log log = begin_log();
    int64_t i = 3;
    int code = 4;
    fm_array *out = t_vector(FM_I64, 4);
    fm_result *r;
    fm_pool *pool = t_open(1, FM_CALLER_ONLY);
    t_expect(fm_pool_apply_async(pool, negate, &i, 8, NULL, 8, FM_APPLY_OPTS(LOGGED(&log)), NULL),
             0);
    check_log(&log, 1, 0);
    r = t_apply_bytes(pool, fail_with, &code, sizeof code, 0, FM_APPLY_OPTS(LOGGED(&log)));
    check_log(&log, 1, 1);
    t_end_with(r, FM_ETASK);
    t_expect(fm_pool_map_range_async(pool, square, 0, 4, out, FM_MAP_OPTS(LOGGED(&log)), &r), 0);
    t_end_with(r, 0);
    check_log(&log, 2, 1);
    assert_true(pthread_equal(log.main, log.dispatcher));
    expect_threads(1);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- where ---- */

static void note_mask(fm_result *r, void *arg)
{
    sigset_t *mask = arg;
    (void)r;
    pthread_sigmask(SIG_SETMASK, NULL, mask);
}

static void test_callbacks_are_called_with_all_signals_blocked(void **state)
{
    (void)state;
    sigset_t mask, before, after;
    int64_t i = 1;
    fm_pool *pool = t_open(1, 0);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    t_end_with(t_apply_bytes(pool, negate, &i, 8, 8,
                             FM_APPLY_OPTS(.callback = note_mask, .callback_arg = &mask)),
               0);
    for (int number = 1; number < 32; number++)
        if (number != SIGKILL && number != SIGSTOP)
            assert_int_equal(sigismember(&mask, number), 1);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < 32; number++)
        assert_int_equal(sigismember(&after, number), sigismember(&before, number));
    t_destroy(pool);
}

static void test_callbacks_have_a_thread_from_the_first_one_to_destroy(void **state)
{
    (void)state;
    struct log log = begin_log();
    int64_t i = 1;
    fm_array *out = t_vector(FM_I64, 4);
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    int n = count_threads();
    t_end_with(t_apply_bytes(pool, negate, &i, 8, 8, NULL), 0);
    t_expect(fm_pool_map_range_async(pool, square, 0, 4, out, NULL, &r), 0);
    t_expect(fm_wait(&FM_WAIT_RESULT(r), 1, NULL, FM_FOREVER), 1);
    t_expect(fm_as_completed(&r, 1, FM_FOREVER), 0);
    t_end_with(r, 0);
    assert_int_equal(count_threads(), n);
    for (int k = 0; k < 3; k++) {
        t_end_with(t_apply_bytes(pool, negate, &i, 8, 8, FM_APPLY_OPTS(LOGGED(&log))), 0);
        assert_int_equal(count_threads(), n + 1);
    }
    t_destroy(pool);
    expect_threads(n);
    fm_array_destroy(out);
}

static _Atomic int n_warnings;

static void count_warning(int level, const char *message, void *arg)
{
    (void)message;
    (void)arg;
    n_warnings += level <= FM_LOG_WARNING;
}

static void test_callbacks_thread_that_waits_is_no_danger_to_a_fork(void **state)
{
    (void)state;
    struct log log = begin_log();
    int64_t i = 1;
    n_warnings = 0;
    fm_log_set(FM_LOG_WARNING, count_warning, NULL);
    fm_pool *pool = t_open(1, 0);
    t_end_with(t_apply_bytes(pool, negate, &i, 8, 8, FM_APPLY_OPTS(LOGGED(&log))), 0);
    t_sleep_ms(50); /* until it waits again: a warning before that would be right */
    fm_pool *second = t_open(2, 0);
    t_end_with(t_apply_bytes(second, negate, &i, 8, 8, FM_APPLY_OPTS(LOGGED(&log))), 0);
    fm_log_set(FM_LOG_WARNING, NULL, NULL);
    assert_int_equal(n_warnings, 0);
    t_destroy(second);
    t_destroy(pool);
}

/* ---- what they may do ---- */

struct attempt {
    fm_pool *pool;
    fm_result *other;
    _Atomic int destroyed, joined, freed, freed_other, closed, rc, n_left, n_done;
    fm_array *out;
};

static void end_things(fm_result *r, void *arg)
{
    struct attempt *a = arg;
    a->destroyed = fm_pool_destroy(a->pool);
    a->joined = fm_pool_join(a->pool, FM_NOWAIT);
    a->freed = fm_result_free(r);
    a->freed_other = a->other == NULL ? 0 : fm_result_free(a->other);
}

static void test_callbacks_that_end_their_pool_or_result_are_refused(void **state)
{
    (void)state;
    int64_t i = 8;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        struct attempt a = {.pool = t_open(2, caller)};
        fm_result *r = t_apply_bytes(a.pool, negate, &i, 8, 8,
                                     FM_APPLY_OPTS(.callback = end_things, .callback_arg = &a));
        assert_int_equal(t_value(r), -8);
        t_expect(a.destroyed, -EDEADLK);
        t_expect(a.joined, -EDEADLK);
        t_expect(a.freed, -EDEADLK);
        t_free(r);
        t_destroy(a.pool);
    }
}

static void free_it(fm_result *r, void *arg)
{
    ((struct attempt *)arg)->freed = fm_result_free(r);
}

static void test_callbacks_that_free_their_result_in_the_thread_that_asks_are_refused(void **state)
{
    (void)state;
    int64_t i = 8;
    struct attempt a = {.pool = t_open(1, FM_CALLER_ONLY)};
    fm_result *r = t_apply_bytes(a.pool, negate, &i, 8, 8,
                                 FM_APPLY_OPTS(.callback = free_it, .callback_arg = &a));
    t_expect(a.freed, -EDEADLK);
    assert_int_equal(t_value(r), -8);
    t_free(r);
    t_destroy(a.pool);
}

static void test_callbacks_may_free_other_results_unless_theirs_are_due(void **state)
{
    (void)state;
    struct log log = begin_log();
    for (int has_callback = 0; has_callback < 2; has_callback++) {
        fm_array *memory;
        struct t_gate *gate = t_gates(&memory, 1);
        struct attempt a = {.pool = t_open(2, 0)};
        int64_t i = 8;
        a.other = has_callback ? t_visit(a.pool, t_pass_gate, gate, 1, FM_APPLY_OPTS(LOGGED(&log)))
                               : t_visit(a.pool, t_pass_gate, gate, 1, NULL);
        fm_result *r = t_apply_bytes(a.pool, negate, &i, 8, 8,
                                     FM_APPLY_OPTS(.callback = end_things, .callback_arg = &a));
        assert_int_equal(t_value(r), -8);
        t_free(r);
        t_expect(a.freed_other, has_callback ? -EDEADLK : 0);
        t_open_gate(gate);
        if (has_callback)
            t_end_with(a.other, 0);
        t_destroy(a.pool);
        fm_array_destroy(memory);
    }
    check_log(&log, 1, 0);
}

static void go_on(fm_result *r, void *arg)
{
    struct attempt *a = arg;
    int64_t i = a->n_left;
    (void)r;
    a->n_done++;
    if (a->n_left-- == 0)
        return;
    a->rc = a->n_left % 2 == 0
                ? fm_pool_apply_async(a->pool, negate, &i, sizeof i, NULL, 8,
                                      FM_APPLY_OPTS(.callback = go_on, .callback_arg = a), NULL)
                : fm_pool_map_range_async(a->pool, square, 0, 4, a->out,
                                          FM_MAP_OPTS(.callback = go_on, .callback_arg = a), NULL);
}

static void test_callbacks_may_hand_out_more_work(void **state)
{
    (void)state;
    struct attempt a = {.pool = t_open(2, 0), .n_left = 50, .out = t_vector(FM_I64, 4)};
    go_on(NULL, &a);
    t_await_count(&a.n_done, 51);
    t_expect(a.rc, 0);
    t_destroy(a.pool);
    fm_array_destroy(a.out);
}

static void map_once_more(fm_result *r, void *arg)
{
    struct attempt *a = arg;
    (void)r;
    int rc = fm_pool_map_range_async(a->pool, square, 0, 4, a->out, NULL, NULL);
    if (rc == 0)
        rc = fm_pool_map_range(a->pool, square, 0, 4, a->out, NULL);
    a->rc = a->rc != 0 ? (int)a->rc : rc;
    a->n_done++;
}

static void
test_callbacks_that_map_find_a_slot_when_all_are_taken_by_maps_with_callbacks(void **state)
{
    (void)state;
    enum { N_MAPS = 300 };
    struct attempt a = {.pool = t_open(2, 0), .out = t_vector(FM_I64, 4)};
    for (int k = 0; k < N_MAPS; k++)
        t_expect(fm_pool_map_range_async(a.pool, square, 0, 4, a.out,
                                         FM_MAP_OPTS(.callback = map_once_more, .callback_arg = &a),
                                         NULL),
                 0);
    t_await_count(&a.n_done, N_MAPS);
    t_expect(a.rc, 0);
    t_destroy(a.pool);
    fm_array_destroy(a.out);
}

struct asker {
    pthread_t thread;
    fm_pool *pool;
    struct log *log;
    int n_wrong;
};

static void *ask_many(void *arg)
{
    struct asker *asker = arg;
    for (int64_t i = 0; i < 500; i++)
        asker->n_wrong += fm_pool_apply_async(asker->pool, negate, &i, sizeof i, NULL, 8,
                                              FM_APPLY_OPTS(LOGGED(asker->log)), NULL) != 0;
    return NULL;
}

static void test_callbacks_of_several_threads_are_all_called(void **state)
{
    (void)state;
    enum { N_THREADS = 4 };
    struct log log = begin_log();
    struct asker askers[N_THREADS];
    fm_pool *pool = t_open(2, 0);
    for (int k = 0; k < N_THREADS; k++) {
        askers[k] = (struct asker){.pool = pool, .log = &log};
        assert_int_equal(pthread_create(&askers[k].thread, NULL, ask_many, &askers[k]), 0);
    }
    for (int k = 0; k < N_THREADS; k++) {
        pthread_join(askers[k].thread, NULL);
        assert_int_equal(askers[k].n_wrong, 0);
    }
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    check_log(&log, 500 * N_THREADS, 0);
    t_destroy(pool);
}

T_MAIN(T_EACH_METHOD(test_callbacks_are_called_once_and_before_get_returns),
       T_TEST(test_callbacks_have_returned_when_get_does),
       T_TEST(test_callbacks_of_failures_are_the_other_ones),
       T_TEST(test_callbacks_of_what_is_called_off_are_called),
       T_TEST(test_callbacks_of_what_destroy_cancels_are_called_before_it_returns),
       T_TEST(test_callbacks_of_what_terminate_cancels_are_called_before_join_returns),
       T_TEST(test_callbacks_have_returned_when_join_after_close_does),
       T_TEST(test_callbacks_of_maps_are_called_once),
       T_TEST(test_callbacks_of_maps_that_wait_are_refused),
       T_TEST(test_callbacks_of_a_pool_without_workers_are_called_by_the_thread_that_asks),
       T_TEST(test_callbacks_are_called_with_all_signals_blocked),
       T_TEST(test_callbacks_have_a_thread_from_the_first_one_to_destroy),
       T_TEST(test_callbacks_thread_that_waits_is_no_danger_to_a_fork),
       T_TEST(test_callbacks_that_end_their_pool_or_result_are_refused),
       T_TEST(test_callbacks_that_free_their_result_in_the_thread_that_asks_are_refused),
       T_TEST(test_callbacks_may_free_other_results_unless_theirs_are_due),
       T_TEST(test_callbacks_may_hand_out_more_work),
       T_TEST(test_callbacks_that_map_find_a_slot_when_all_are_taken_by_maps_with_callbacks),
       T_TEST(test_callbacks_of_several_threads_are_all_called))
