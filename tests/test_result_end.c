/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* Work that was handed out when its pool ends: close finishes it, terminate and destroy cancel it, and results outlive it all. */
#include "t_task.h"

#include <errno.h>
#include <pthread.h>

static int negate(const void *arg, void *result)
{
    *(int64_t *)result = -*(const int64_t *)arg;
    return 0;
}

static int fill(const void *arg, void *result)
{
    memset(result, *(const char *)arg, 5000);
    return 0;
}

static int fail_with(const void *arg, void *result)
{
    (void)result;
    fm_note("as asked");
    return *(const int *)arg;
}

static int number_item(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static int wait_item(const void *item, void *result, void *arg)
{
    struct t_visit visit = {arg, *(const int64_t *)item, 0};
    return t_pass_gate(&visit, result);
}

static void test_end_by_close_finishes_what_is_queued(void **state)
{
    (void)state;
    enum { N = 400 };
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        static fm_result *r[N];
        fm_array *memory, *out = t_vector(FM_I64, 100);
        fm_result *map, *late = NULL;
        struct t_gate *gate = t_gates(&memory, 1);
        fm_pool *pool = t_open(2, caller);
        for (int64_t i = 0; i < N; i++)
            r[i] = t_visit(pool, t_pass_gate, gate, i, NULL);
        t_expect(fm_pool_map_range_async(pool, number_item, 0, 100, out, NULL, &map), 0);
        t_expect(fm_pool_close(pool), 0);
        int64_t i = 1;
        t_expect(fm_pool_apply_async(pool, negate, &i, sizeof i, NULL, 8, NULL, &late), FM_ECLOSED);
        assert_null(late);
        t_expect(fm_pool_map_range_async(pool, number_item, 0, 5, NULL, NULL, &late), FM_ECLOSED);
        assert_null(late);
        t_expect(fm_pool_join(pool, FM_MS(2)), -ETIMEDOUT);
        t_open_gate(gate);
        t_expect(fm_pool_join(pool, FM_FOREVER), 0);
        assert_int_equal(gate->n_ended, N);
        for (int k = N; k-- > 0;) {
            assert_int_equal(t_value(r[k]), k);
            if (k % 2 == 0)
                t_free(r[k]);
        }
        t_destroy(pool);
        t_end_with(map, 0);
        for (int k = 1; k < N; k += 2) {
            assert_int_equal(t_value(r[k]), k);
            t_free(r[k]);
        }
        assert_int_equal(((int64_t *)fm_array_data(out))[99], 99);
        fm_array_destroy(out);
        fm_array_destroy(memory);
    }
}

struct
    in_flight { /* a call and a map that run, others that wait; and some that are over, collected or not */
    fm_array *memory, *out;
    struct t_gate *gates;
    fm_pool *pool;
    fm_result *running, *map, *queued[20], *done, *large, *failed;
};

static struct in_flight fly(int caller)
{
    struct in_flight f = {.out = t_vector(FM_I64, 4), .pool = t_open(3, caller)};
    int64_t i = 5;
    int code = 4;
    f.gates = t_gates(&f.memory, 2);
    f.done = t_apply_bytes(f.pool, negate, &i, sizeof i, sizeof i, NULL);
    f.large = t_apply_bytes(f.pool, fill, "x", 1, 5000, NULL);
    f.failed = t_apply_bytes(f.pool, fail_with, &code, sizeof code, 0, NULL);
    t_expect(fm_result_wait(f.done, FM_FOREVER), 0);
    t_expect(fm_result_wait(f.failed, FM_FOREVER), 0); /* the large one is not asked about */
    t_expect(fm_pool_apply(f.pool, negate, &i, sizeof i, &i, sizeof i), 0);
    f.running = t_visit(f.pool, t_pass_gate, &f.gates[0], 1, NULL);
    t_await_count(&f.gates[0].n_begun, 1);
    t_expect(fm_pool_map_range_async(f.pool, wait_item, 0, 4, f.out,
                                     FM_MAP_OPTS(.arg = &f.gates[1], .chunk = 1), &f.map),
             0);
    t_await_count(&f.gates[1].n_begun, 1);
    for (int k = 0; k < 20; k++)
        f.queued[k] = t_visit(f.pool, t_pass_gate, &f.gates[0], k, NULL);
    return f;
}

static void check_landing(struct in_flight *f)
{
    fm_failure failure;
    t_end_with(f->running, FM_ECANCELLED);
    t_end_with(f->map, FM_ECANCELLED);
    for (int k = 0; k < 20; k++)
        t_end_with(f->queued[k], FM_ECANCELLED);
    assert_int_equal(t_value(f->done), -5);
    t_free(f->done);
    t_expect(fm_result_get(f->large, FM_FOREVER), 0);
    const char *data = fm_result_data(f->large);
    assert_true(data[0] == 'x' && data[4999] == 'x');
    t_free(f->large);
    t_expect(fm_result_get(f->failed, FM_NOWAIT), FM_ETASK);
    assert_int_equal(fm_result_failures(f->failed, &failure, 1), 1);
    assert_string_equal(failure.note, "as asked");
    t_free(f->failed);
    assert_int_equal(f->gates[0].n_ended + f->gates[1].n_ended, 0);
    fm_array_destroy(f->out);
    fm_array_destroy(f->memory);
}

static void test_end_by_destroy_cancels_what_is_in_flight_and_keeps_what_is_over(void **state)
{
    (void)state;
    struct in_flight f = fly(FM_CALLER_SLEEPS);
    t_destroy(f.pool);
    assert_int_equal(fm_result_ready(f.queued[7]), 1);
    check_landing(&f);
}

static void test_end_by_destroy_of_a_caller_that_works_is_the_same(void **state)
{
    (void)state;
    struct in_flight f = fly(FM_CALLER_WORKS);
    t_destroy(f.pool);
    check_landing(&f);
}

static void test_end_by_terminate_cancels_what_is_in_flight_and_keeps_what_is_over(void **state)
{
    (void)state;
    struct in_flight f = fly(FM_CALLER_SLEEPS);
    fm_result *late = NULL;
    int64_t i = 1;
    t_expect(fm_pool_terminate(f.pool), 0);
    t_expect(fm_pool_apply_async(f.pool, negate, &i, sizeof i, NULL, 8, NULL, &late), FM_ECLOSED);
    assert_null(late);
    check_landing(&f);
    t_expect(fm_pool_join(f.pool, FM_FOREVER), 0);
    t_destroy(f.pool);
}

static void test_end_by_destroy_after_free_of_all_that_is_in_flight(void **state)
{
    (void)state;
    struct in_flight f = fly(FM_CALLER_SLEEPS);
    for (int k = 0; k < 20; k++)
        t_free(f.queued[k]);
    t_free(f.map);
    t_free(f.running);
    t_free(f.done);
    t_free(f.large);
    t_free(f.failed);
    int64_t i = 3;
    t_expect(fm_pool_apply(f.pool, negate, &i, sizeof i, &i, sizeof i), 0);
    assert_int_equal(i, -3);
    t_destroy(f.pool);
    assert_int_equal(f.gates[0].n_begun, 1);
    assert_int_equal(f.gates[0].n_ended + f.gates[1].n_ended, 0);
    fm_array_destroy(f.out);
    fm_array_destroy(f.memory);
}

static int write_for_ever(const void *arg, void *result)
{
    _Atomic int *counter = *(_Atomic int *const *)arg;
    (void)result;
    for (;;)
        atomic_fetch_add(counter, 1);
    return 0;
}

static void test_end_by_terminate_makes_a_call_ready_when_it_writes_no_more(void **state)
{
    (void)state;
    fm_array *memory = t_vector(FM_I32, 1);
    _Atomic int *counter = fm_array_data(memory);
    for (int round = 0; round < 5; round++) {
        fm_pool *pool = t_open(2, 0);
        atomic_store(counter, 0);
        fm_result *r = t_apply_bytes(pool, write_for_ever, &counter, sizeof counter, 0, NULL);
        t_await_count(counter, 1);
        t_expect(fm_pool_terminate(pool), 0);
        t_expect(fm_result_get(r, FM_FOREVER), FM_ECANCELLED);
        int n = atomic_load(counter);
        t_sleep_ms(3);
        assert_int_equal(atomic_load(counter), n);
        t_free(r);
        t_destroy(pool);
    }
    fm_array_destroy(memory);
}

struct waiter {
    pthread_t thread;
    fm_result *result;
    _Atomic int is_waiting;
    int code;
};

static void *wait_for_it(void *arg)
{
    struct waiter *w = arg;
    w->is_waiting = 1;
    w->code = fm_result_get(w->result, FM_FOREVER);
    return NULL;
}

static void test_end_by_destroy_wakes_threads_that_wait(void **state)
{
    (void)state;
    enum { N = 3 };
    struct in_flight f = fly(FM_CALLER_SLEEPS);
    struct waiter w[N] = {{.result = f.running}, {.result = f.queued[9]}, {.result = f.map}};
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&w[i].thread, NULL, wait_for_it, &w[i]), 0);
    for (int i = 0; i < N; i++)
        t_await_count(&w[i].is_waiting, 1);
    t_sleep_ms(5);
    t_destroy(f.pool);
    for (int i = 0; i < N; i++) {
        pthread_join(w[i].thread, NULL);
        t_expect(w[i].code, FM_ECANCELLED);
    }
    check_landing(&f);
}

static void test_end_of_a_pool_is_not_that_of_the_next_at_its_place(void **state)
{
    (void)state;
    struct in_flight f = fly(FM_CALLER_SLEEPS);
    int64_t i = 2;
    t_destroy(f.pool);
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, sizeof i, NULL);
    check_landing(&f);
    assert_int_equal(t_value(r), -2);
    t_free(r);
    t_destroy(pool);
}

struct ending {
    fm_pool *pool;
    struct t_gate *gate;
};

/* Not before an item has begun: a map that is cancelled then would be over at once. */
static int end_the_pool(const fm_progress *p, void *arg)
{
    struct ending *e = arg;
    (void)p;
    return atomic_load(&e->gate->n_begun) > 0 && fm_pool_destroy(e->pool) == -EDEADLK &&
           fm_pool_join(e->pool, FM_NOWAIT) == -EDEADLK;
}

static void test_end_of_a_pool_by_progress_of_its_map_is_refused(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(2, 0);
    struct ending ending = {pool, gate};
    fm_result *r;
    t_expect(
        fm_pool_map_range_async(pool, wait_item, 0, 4, NULL,
                                FM_MAP_OPTS(.arg = gate, .progress = end_the_pool,
                                            .progress_arg = &ending, .progress_interval = FM_MS(1)),
                                &r),
        0);
    t_expect(fm_result_get(r, FM_MS(50)), -ETIMEDOUT);
    t_open_gate(gate); /* cancelled, by the 1 that says that both were refused */
    t_expect(fm_result_get(r, FM_FOREVER), FM_ECANCELLED);
    t_free(r);
    t_destroy(pool);
    fm_array_destroy(memory);
}

T_MAIN(T_EACH_METHOD(test_end_by_close_finishes_what_is_queued),
       T_EACH_METHOD(test_end_by_destroy_cancels_what_is_in_flight_and_keeps_what_is_over),
       T_TEST(test_end_by_destroy_of_a_caller_that_works_is_the_same),
       T_EACH_METHOD(test_end_by_terminate_cancels_what_is_in_flight_and_keeps_what_is_over),
       T_TEST(test_end_by_destroy_after_free_of_all_that_is_in_flight),
       T_TEST(test_end_by_terminate_makes_a_call_ready_when_it_writes_no_more),
       T_TEST(test_end_by_destroy_wakes_threads_that_wait),
       T_TEST(test_end_of_a_pool_is_not_that_of_the_next_at_its_place),
       T_TEST(test_end_of_a_pool_by_progress_of_its_map_is_refused))
