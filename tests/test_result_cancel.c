/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* Calls that are called off or freed: what has not begun does not begin, what runs is told or killed, and the others go on. */
#include "t_task.h"

#include <errno.h>

static int negate(const void *arg, void *result)
{
    *(int64_t *)result = -*(const int64_t *)arg;
    return 0;
}

struct
    scene { /* one worker, in a call that waits at gates[0]; gates[1] is for what comes after it */
    fm_array *memory;
    struct t_gate *gates;
    fm_pool *pool;
    fm_result *first;
};

static struct scene begin_scene(fm_task_fn *fn)
{
    struct scene s;
    s.gates = t_gates(&s.memory, 2);
    s.pool = t_open(1, 0);
    s.first = t_visit(s.pool, fn, &s.gates[0], 1, NULL);
    t_await_count(&s.gates[0].n_begun, 1);
    return s;
}

static void end_scene(struct scene *s)
{
    int64_t i = 4;
    fm_result *last = t_apply_bytes(s->pool, negate, &i, sizeof i, sizeof i, NULL);
    assert_int_equal(t_value(last), -4);
    t_free(last);
    t_destroy(s->pool);
    fm_array_destroy(s->memory);
}

static void test_cancel_of_a_queued_call_keeps_it_from_running(void **state)
{
    (void)state;
    enum { N = 20 };
    fm_result *r[N];
    struct scene s = begin_scene(t_pass_gate);
    t_open_gate(&s.gates[1]);
    for (int i = 0; i < N; i++)
        r[i] = t_visit(s.pool, t_pass_gate, &s.gates[1], i, NULL);
    for (int i = 0; i < N; i += 2) {
        t_expect(fm_result_cancel(r[i], i % 4 == 0 ? FM_CANCEL_KILL : 0), 0);
        t_end_with(r[i], FM_ECANCELLED); /* although the worker is not free yet */
    }
    t_open_gate(&s.gates[0]);
    for (int i = 1; i < N; i += 2) {
        assert_int_equal(t_value(r[i]), i);
        t_free(r[i]);
    }
    assert_int_equal(s.gates[1].n_begun, N / 2);
    assert_int_equal(t_value(s.first), 1);
    t_free(s.first);
    end_scene(&s);
}

static void test_cancel_of_a_running_call_is_seen_by_it_and_its_result_kept(void **state)
{
    (void)state;
    struct scene s = begin_scene(t_pass_when_cancelled);
    t_expect(fm_result_cancel(s.first, 0), 0);
    assert_int_equal(t_value(s.first), 1); /* it ended well all the same */
    t_free(s.first);
    end_scene(&s);
}

static void test_cancel_of_a_running_call_that_fails_then_is_cancelled(void **state)
{
    (void)state;
    struct scene s = begin_scene(t_pass_when_cancelled);
    struct t_visit visit = {&s.gates[1], 1, 9};
    t_expect(fm_result_cancel(s.first, 0), 0);
    t_end_with(s.first, 0);
    fm_result *r =
        t_apply_bytes(s.pool, t_pass_when_cancelled, &visit, sizeof visit, sizeof(int64_t), NULL);
    t_await_count(&s.gates[1].n_begun, 1);
    t_expect(fm_result_cancel(r, 0), 0);
    t_end_with(r, FM_ECANCELLED);
    end_scene(&s);
}

static void test_cancel_of_a_running_call_with_kill_ends_it(void **state)
{
    (void)state;
    struct scene s = begin_scene(t_pass_gate);
    t_expect(fm_result_cancel(s.first, FM_CANCEL_KILL), 0);
    t_end_with(s.first, FM_ECANCELLED);
    assert_int_equal(s.gates[0].n_ended, 0);
    assert_int_equal(s.gates[0].n_begun, 1); /* and is not tried again */
    end_scene(&s);
}

static void test_cancel_with_kill_does_not_harm_calls_in_the_killed_workers_hand(void **state)
{
    (void)state;
    enum { N = 40 };
    fm_result *r[N];
    struct scene s = begin_scene(t_pass_gate);
    t_open_gate(&s.gates[1]);
    for (int i = 0; i < N; i++)
        r[i] = t_visit(s.pool, t_pass_gate, &s.gates[1], i, NULL);
    t_expect(fm_result_cancel(s.first, FM_CANCEL_KILL), 0);
    for (int i = N; i-- > 0;) {
        assert_int_equal(t_value(r[i]), i);
        t_free(r[i]);
    }
    assert_int_equal(s.gates[1].n_ended, N);
    t_end_with(s.first, FM_ECANCELLED);
    end_scene(&s);
}

static void test_cancel_of_what_is_ready_changes_nothing(void **state)
{
    (void)state;
    int64_t i = 6;
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, sizeof i, NULL);
    t_expect(fm_result_wait(r, FM_FOREVER), 0);
    t_expect(fm_result_cancel(r, 0), 0);
    t_expect(fm_result_cancel(r, FM_CANCEL_KILL), 0);
    assert_int_equal(t_value(r), -6);
    t_destroy(pool);
    t_expect(fm_result_cancel(r, FM_CANCEL_KILL), 0);
    assert_int_equal(t_value(r), -6);
    t_free(r);
}

static void test_cancel_twice_and_with_kill_after_without_is_one(void **state)
{
    (void)state;
    struct scene s = begin_scene(t_pass_gate);
    t_expect(fm_result_cancel(s.first, 0), 0);
    t_expect(fm_result_cancel(s.first, 0), 0);
    t_expect(fm_result_get(s.first, FM_MS(2)), -ETIMEDOUT);
    t_expect(fm_result_cancel(s.first, FM_CANCEL_KILL), 0);
    t_end_with(s.first, FM_ECANCELLED);
    end_scene(&s);
}

static void test_free_of_a_queued_call_keeps_it_from_running(void **state)
{
    (void)state;
    enum { N = 200 };
    fm_result *r[N];
    struct scene s = begin_scene(t_pass_gate);
    t_open_gate(&s.gates[1]);
    for (int i = 0; i < N; i++)
        r[i] = t_visit(s.pool, t_pass_gate, &s.gates[1], i, NULL);
    for (int i = 0; i < N; i++)
        t_free(r[i]);
    t_open_gate(&s.gates[0]);
    t_end_with(s.first, 0);
    t_expect(fm_pool_close(s.pool), 0);
    t_expect(fm_pool_join(s.pool, FM_FOREVER), 0);
    assert_int_equal(s.gates[1].n_begun, 0);
    t_destroy(s.pool);
    fm_array_destroy(s.memory);
}

/* Counts for ever. */
static int write_for_ever(const void *arg, void *result)
{
    _Atomic int *counters = *(_Atomic int *const *)arg;
    (void)result;
    for (;;)
        atomic_fetch_add(&counters[fm_worker_rank()], 1);
    return 0;
}

static void test_free_of_a_running_call_returns_when_it_writes_no_more(void **state)
{
    (void)state;
    fm_array *memory = t_vector(FM_I32, 2);
    _Atomic int *counters = fm_array_data(memory);
    fm_pool *pool = t_open(2, 0);
    for (int round = 0; round < 10; round++) {
        fm_result *r = t_apply_bytes(pool, write_for_ever, &counters, sizeof counters, 0, NULL);
        atomic_store(&counters[0], 0);
        atomic_store(&counters[1], 0);
        while (atomic_load(&counters[0]) + atomic_load(&counters[1]) == 0)
            t_sleep_ms(1);
        t_free(r);
        int sum = atomic_load(&counters[0]) + atomic_load(&counters[1]);
        t_sleep_ms(3);
        assert_int_equal(atomic_load(&counters[0]) + atomic_load(&counters[1]), sum);
    }
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void forget(fm_result *r, void *arg)
{
    (void)r;
    atomic_fetch_add((_Atomic int *)arg, 1);
}

static void test_free_of_a_queued_call_with_callback_does_not_wait_for_those_before_it(void **state)
{
    (void)state;
    enum { N = 20 };
    fm_result *r[N];
    _Atomic int n_calls = 0;
    struct scene s = begin_scene(t_pass_gate);
    for (int i = 0; i < N; i++)
        r[i] = t_visit(s.pool, t_pass_gate, &s.gates[1], i,
                       FM_APPLY_OPTS(.error_callback = forget, .callback_arg = &n_calls));
    for (int i = N; i-- > 0;) {
        if (i % 2 == 0) {
            t_expect(fm_result_cancel(r[i], 0), 0);
            t_expect(fm_result_get(r[i], FM_FOREVER), FM_ECANCELLED);
        }
        t_free(r[i]);
        assert_int_equal(n_calls, N - i);
    }
    assert_int_equal(s.gates[0].n_ended, 0);
    t_open_gate(&s.gates[0]);
    t_end_with(s.first, 0);
    assert_int_equal(s.gates[1].n_begun, 0);
    end_scene(&s);
}

T_MAIN(T_EACH_METHOD(test_cancel_of_a_queued_call_keeps_it_from_running),
       T_TEST(test_cancel_of_a_running_call_is_seen_by_it_and_its_result_kept),
       T_TEST(test_cancel_of_a_running_call_that_fails_then_is_cancelled),
       T_EACH_METHOD(test_cancel_of_a_running_call_with_kill_ends_it),
       T_TEST(test_cancel_with_kill_does_not_harm_calls_in_the_killed_workers_hand),
       T_TEST(test_cancel_of_what_is_ready_changes_nothing),
       T_TEST(test_cancel_twice_and_with_kill_after_without_is_one),
       T_TEST(test_free_of_a_queued_call_keeps_it_from_running),
       T_TEST(test_free_of_a_running_call_returns_when_it_writes_no_more),
       T_TEST(test_free_of_a_queued_call_with_callback_does_not_wait_for_those_before_it))
