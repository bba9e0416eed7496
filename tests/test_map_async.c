/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* fm_pool_map_async and its five sisters: each equals the one that waits; options, failures, many in flight, calling off, nested ones. */
#include "t_task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

enum { N = 300 };

/* ---- functions ---- */

static int square(const void *item, void *result, void *arg)
{
    int64_t x = *(const int64_t *)item;
    *(int64_t *)result = x * x + (arg == NULL ? 0 : *(const int64_t *)arg);
    return 0;
}

static int square_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t k = 0; k < chunk->count; k++)
        square((const char *)chunk->in[0] + k * chunk->in_stride[0],
               (char *)chunk->out + k * chunk->out_stride, arg);
    return 0;
}

static int square_range_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t k = 0; k < chunk->count; k++) {
        int64_t i = chunk->begin + k;
        square(&i, (char *)chunk->out + k * chunk->out_stride, arg);
    }
    return 0;
}

static int multiply(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)items[0] * *(const int64_t *)items[1];
    return 0;
}

static int multiply_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t k = 0; k < chunk->count; k++) {
        const void *items[2];
        for (int c = 0; c < 2; c++)
            items[c] = (const char *)chunk->in[c] + k * chunk->in_stride[c];
        multiply(items, (char *)chunk->out + k * chunk->out_stride, arg);
    }
    return 0;
}

static int fail_some(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    if (i % 100 == 7) {
        fm_note("item %d", (int)i);
        return 9;
    }
    if (i == 111)
        return raise(SIGSEGV);
    return square(item, result, arg);
}

static int wait_item(const void *item, void *result, void *arg)
{
    struct t_visit visit = {arg, *(const int64_t *)item, 0};
    return t_pass_gate(&visit, result);
}

static int wait_when_cancelled(const void *item, void *result, void *arg)
{
    struct t_visit visit = {arg, *(const int64_t *)item, 0};
    return t_pass_when_cancelled(&visit, result);
}

static int count_up(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    atomic_fetch_add((_Atomic int *)arg, 1);
    return 0;
}

/* ---- the six ---- */

struct columns {
    fm_array *in, *other, *out;
};

static fm_result *begin(fm_pool *pool, int which, struct columns *c, const fm_map_opts *opts)
{
    fm_array *both[2] = {c->in, c->other}; /* gone before the map is done */
    fm_result *r = NULL;
    int rc = which == 0   ? fm_pool_map_async(pool, square, c->in, c->out, opts, &r)
             : which == 1 ? fm_pool_map_chunks_async(pool, square_chunk, c->in, c->out, opts, &r)
             : which == 2 ? fm_pool_map_range_async(pool, square, 0, N, c->out, opts, &r)
             : which == 3
                 ? fm_pool_map_range_chunks_async(pool, square_range_chunk, 0, N, c->out, opts, &r)
             : which == 4
                 ? fm_pool_starmap_async(pool, multiply, both, 2, c->out, opts, &r)
                 : fm_pool_starmap_chunks_async(pool, multiply_chunk, both, 2, c->out, opts, &r);
    t_expect(rc, 0);
    assert_non_null(r);
    both[0] = both[1] = NULL;
    return r;
}

static int wait_for_all(fm_pool *pool, int which, struct columns *c, const fm_map_opts *opts)
{
    fm_array *both[2] = {c->in, c->other};
    return which == 0   ? fm_pool_map(pool, square, c->in, c->out, opts)
           : which == 1 ? fm_pool_map_chunks(pool, square_chunk, c->in, c->out, opts)
           : which == 2 ? fm_pool_map_range(pool, square, 0, N, c->out, opts)
           : which == 3 ? fm_pool_map_range_chunks(pool, square_range_chunk, 0, N, c->out, opts)
           : which == 4 ? fm_pool_starmap(pool, multiply, both, 2, c->out, opts)
                        : fm_pool_starmap_chunks(pool, multiply_chunk, both, 2, c->out, opts);
}

static void check_six(fm_pool *pool, const fm_map_opts *opts)
{
    struct columns c = {t_counted(N), t_counted(N), NULL};
    fm_array *out[6], *expected = t_vector(FM_I64, N);
    fm_result *r[6];
    for (int which = 0; which < 6; which++) {
        c.out = out[which] = t_vector(FM_I64, N);
        r[which] = begin(pool, which, &c, opts);
    }
    for (int which = 6; which-- > 0;) {
        c.out = expected;
        t_expect(wait_for_all(pool, which, &c, opts), 0);
        t_expect(fm_result_get(r[which], FM_FOREVER), 0);
        assert_null(fm_result_data(r[which]));
        assert_int_equal(fm_result_failures(r[which], NULL, 0), 0);
        assert_memory_equal(fm_array_data(out[which]), fm_array_data(expected), N * 8);
        t_free(r[which]);
        fm_array_destroy(out[which]);
    }
    fm_array_destroy(expected);
    fm_array_destroy(c.in);
    fm_array_destroy(c.other);
}

static void test_map_async_of_each_kind_equals_the_one_that_waits(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    check_six(pool, NULL);
    t_destroy(pool);
}

static void test_map_async_of_a_caller_that_works_or_is_alone_is_the_same(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_WORKS; caller <= FM_CALLER_ONLY; caller++)
        for (int workers = 1; workers <= 3; workers++) {
            fm_pool *pool = t_open(workers, caller);
            check_six(pool, NULL);
            t_destroy(pool);
        }
}

static void test_map_async_with_each_schedule_and_an_argument_is_the_same(void **state)
{
    (void)state;
    int64_t large[300] = {5};
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
            check_six(pool, FM_MAP_OPTS(.schedule = schedule));
            check_six(pool, FM_MAP_OPTS(.schedule = schedule, .chunk = 7, .arg = large,
                                        .arg_bytes = sizeof large));
        }
        t_destroy(pool);
    }
}

/* ---- options ---- */

static void test_map_async_that_fails_has_code_status_and_records(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *status = t_vector(FM_U8, N);
    const uint8_t *states = fm_array_data(status);
    fm_failure f[8];
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_map_range_async(
                 pool, fail_some, 0, N, out,
                 FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .status = status), &r),
             0);
    t_expect(fm_result_get(r, FM_FOREVER), FM_ETASK);
    assert_int_equal(fm_result_failures(r, f, 8), 4);
    int64_t items[] = {7, 107, 111, 207};
    for (int k = 0; k < 4; k++) {
        assert_int_equal(f[k].item, items[k]);
        assert_int_equal(f[k].state, k == 2 ? FM_ITEM_CRASHED : FM_ITEM_FAILED);
    }
    assert_string_equal(f[0].note, "item 7");
    for (int64_t i = 0; i < N; i++) {
        int is_bad = i % 100 == 7 || i == 111;
        assert_int_equal(states[i] == FM_ITEM_DONE, !is_bad);
        if (!is_bad)
            assert_int_equal(((int64_t *)fm_array_data(out))[i], i * i);
    }
    t_free(r);
    t_expect(fm_pool_map_range_async(pool, fail_some, 0, N, out, NULL, &r), 0);
    t_expect(fm_result_get(r, FM_FOREVER), FM_ETASK);
    assert_int_equal(fm_result_failures(r, f, 8), 1);
    assert_int_equal(f[0].item, 7);
    t_free(r);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

static int sleep_in_item_5(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == 5)
        for (;;)
            t_sleep_ms(10);
    return square(item, result, arg);
}

static void test_map_async_with_item_timeout_ends_the_item(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 10);
    fm_failure f;
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_map_range_async(
                 pool, sleep_in_item_5, 0, 10, out,
                 FM_MAP_OPTS(.item_timeout = FM_MS(200), .on_error = FM_ON_ERROR_CONTINUE), &r),
             0);
    t_expect(fm_result_get(r, FM_FOREVER), FM_ETIMEOUT);
    assert_int_equal(fm_result_failures(r, &f, 1), 1);
    assert_int_equal(f.item, 5);
    t_free(r);
    t_destroy(pool);
    fm_array_destroy(out);
}

struct report {
    pthread_t thread;
    struct t_gate *gate;
    int n_calls, n_elsewhere, answer;
    fm_progress last;
};

static int note_progress(const fm_progress *p, void *arg)
{
    struct report *report = arg;
    report->n_calls++;
    report->n_elsewhere += !pthread_equal(report->thread, pthread_self());
    report->last = *p;
    t_open_gate(report->gate);
    return report->answer;
}

static int take_a_while(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    t_sleep_ms(1);
    atomic_fetch_add(&((struct t_gate *)arg)->n_begun, 1);
    return 0;
}

static void test_map_async_progress_is_reported_by_the_thread_that_waits(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_array *memory;
        struct report report = {.thread = pthread_self(), .gate = t_gates(&memory, 1)};
        fm_result *r;
        fm_pool *pool = t_open(2, caller);
        const fm_map_opts *opts =
            FM_MAP_OPTS(.arg = report.gate, .progress = note_progress, .progress_arg = &report,
                        .progress_interval = FM_MS(1));
        t_expect(fm_pool_map_range_async(pool,
                                         caller == FM_CALLER_SLEEPS ? wait_item : take_a_while, 0,
                                         100, NULL, opts, &r),
                 0);
        t_await_count(&report.gate->n_begun, 1);
        t_expect(fm_result_get(r, FM_NOWAIT), -ETIMEDOUT);
        assert_int_equal(report.n_calls, 0); /* nobody waited so far */
        t_expect(fm_result_get(r, FM_FOREVER), 0);
        assert_true(report.n_calls > 0);
        assert_int_equal(report.n_elsewhere, 0);
        assert_int_equal(report.last.n_items, 100);
        t_free(r);
        t_destroy(pool);
        fm_array_destroy(memory);
    }
}

static void test_map_async_is_cancelled_by_its_progress(void **state)
{
    (void)state;
    fm_array *memory, *status = t_vector(FM_U8, N);
    struct report report = {.thread = pthread_self(), .gate = t_gates(&memory, 1), .answer = 1};
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_map_range_async(pool, wait_item, 0, N, NULL,
                                     FM_MAP_OPTS(.arg = report.gate, .chunk = 1, .status = status,
                                                 .progress = note_progress, .progress_arg = &report,
                                                 .progress_interval = FM_MS(1)),
                                     &r),
             0);
    t_end_with(r, FM_ECANCELLED);
    for (int64_t i = 0; i < N; i++) {
        int s = ((uint8_t *)fm_array_data(status))[i];
        assert_true(s == FM_ITEM_DONE || s == FM_ITEM_CANCELLED);
    }
    t_destroy(pool);
    fm_array_destroy(status);
    fm_array_destroy(memory);
}

/* ---- many ---- */

static void test_map_async_of_more_than_there_are_slots_is_collected_in_any_order(void **state)
{
    (void)state;
    enum { N_MAPS = 150, LENGTH = 20 };
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        static fm_result *r[N_MAPS];
        static fm_array *out[N_MAPS];
        fm_pool *pool = t_open(2, caller);
        for (int k = 0; k < N_MAPS; k++) {
            out[k] = t_vector(FM_I64, LENGTH);
            int64_t first = k;
            t_expect(fm_pool_map_range_async(pool, square, 0, LENGTH, out[k],
                                             FM_MAP_OPTS(.arg = &first, .arg_bytes = sizeof first),
                                             &r[k]),
                     0);
        }
        for (int i = 0; i < N_MAPS; i++) {
            int k = (i * 7 + 3) % N_MAPS;
            t_expect(fm_result_get(r[k], FM_FOREVER), 0);
            for (int64_t x = 0; x < LENGTH; x++)
                assert_int_equal(((int64_t *)fm_array_data(out[k]))[x], x * x + k);
            t_free(r[k]);
            fm_array_destroy(out[k]);
        }
        t_destroy(pool);
    }
}

static void test_map_async_nobody_asks_for_is_done_all_the_same(void **state)
{
    (void)state;
    enum { N_MAPS = 200 };
    fm_array *memory = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, 0);
    for (int k = 0; k < N_MAPS; k++)
        t_expect(fm_pool_map_range_async(pool, count_up, 0, 10, NULL,
                                         FM_MAP_OPTS(.arg = fm_array_data(memory)), NULL),
                 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    assert_int_equal(*(int *)fm_array_data(memory), 10 * N_MAPS);
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void test_map_async_of_no_items_is_done(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_result *r;
        fm_array *none = t_vector(FM_I64, 0);
        fm_pool *pool = t_open(2, caller);
        t_expect(fm_pool_map_range_async(pool, square, 3, 3, NULL, NULL, &r), 0);
        assert_int_equal(fm_result_ready(r), 1);
        assert_true(fm_result_fileno(r) >= 0);
        t_end_with(r, 0);
        t_expect(fm_pool_map_async(pool, square, none, none, NULL, &r), 0);
        t_expect(fm_result_cancel(r, FM_CANCEL_KILL), 0);
        t_destroy(pool);
        t_end_with(r, 0);
        fm_array_destroy(none);
    }
}

static void test_map_async_goes_beside_calls_and_maps_that_wait(void **state)
{
    (void)state;
    fm_array *memory, *out = t_vector(FM_I64, N);
    struct t_gate *gate = t_gates(&memory, 1);
    fm_result *map;
    fm_pool *pool = t_open(2, 0);
    fm_result *call = t_visit(pool, t_pass_gate, gate, 1, NULL); /* one worker has it */
    t_expect(fm_pool_map_range_async(pool, square, 0, N, out, NULL, &map), 0);
    t_expect(fm_pool_map_range(pool, square, 0, N, out, NULL), 0);
    t_expect(fm_result_get(map, FM_FOREVER), 0);
    t_free(map);
    t_open_gate(gate);
    assert_int_equal(t_value(call), 1);
    t_free(call);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(memory);
}

/* ---- called off ---- */

static void test_map_async_that_is_called_off_begins_no_more_items(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(fm_pool_map_range_async(pool, wait_when_cancelled, 0, N, NULL,
                                     FM_MAP_OPTS(.arg = gate, .chunk = 1), &r),
             0);
    t_await_count(&gate->n_begun, 2);
    t_expect(fm_result_cancel(r, 0), 0);
    t_end_with(r, FM_ECANCELLED);
    assert_int_equal(gate->n_begun, 2);
    assert_int_equal(gate->n_ended, 2);
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void test_map_async_that_is_called_off_with_kill_or_freed_ends_at_once(void **state)
{
    (void)state;
    for (int is_freed = 0; is_freed < 2; is_freed++) {
        fm_array *memory, *out = t_vector(FM_I64, N);
        struct t_gate *gate = t_gates(&memory, 1);
        fm_result *r, *next;
        fm_pool *pool = t_open(2, 0);
        t_expect(fm_pool_map_range_async(pool, wait_item, 0, N, NULL,
                                         FM_MAP_OPTS(.arg = gate, .chunk = 1), &r),
                 0);
        t_await_count(&gate->n_begun, 2);
        if (is_freed) {
            t_free(r);
        } else {
            t_expect(fm_result_cancel(r, FM_CANCEL_KILL), 0);
            t_end_with(r, FM_ECANCELLED);
        }
        assert_int_equal(gate->n_begun, 2);
        assert_int_equal(gate->n_ended, 0);
        t_expect(fm_pool_map_range_async(pool, square, 0, N, out, NULL, &next), 0);
        t_end_with(next, 0);
        t_destroy(pool);
        fm_array_destroy(out);
        fm_array_destroy(memory);
    }
}

static void test_map_async_that_is_done_is_not_called_off(void **state)
{
    (void)state;
    fm_array *memory = t_vector(FM_I32, 1);
    _Atomic int *count = fm_array_data(memory);
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(
        fm_pool_map_range_async(pool, count_up, 0, N, NULL, FM_MAP_OPTS(.arg = (void *)count), &r),
        0);
    while (fm_result_ready(r) == 0)
        t_sleep_ms(1);
    assert_int_equal(*count, N);
    t_expect(fm_result_cancel(r, FM_CANCEL_KILL), 0);
    t_end_with(r, 0);
    t_destroy(pool);
    fm_array_destroy(memory);
}

/* ---- inside functions, and what is refused ---- */

static int map_inside(const void *arg, void *result)
{
    fm_pool *pool = *(fm_pool *const *)arg;
    fm_failure f;
    fm_result *r = NULL;
    int64_t n = 10;
    fm_array *out;
    if (fm_array_zeros(&out, FM_I64, 1, &n) != 0)
        return 1;
    if (fm_pool_map_range_async(pool, square, 0, n, out, NULL, &r) != 0)
        return 2;
    if (fm_result_ready(r) != 1 || fm_result_get(r, FM_NOWAIT) != 0 || fm_result_free(r) != 0)
        return 3;
    *(int64_t *)result = ((int64_t *)fm_array_data(out))[9];
    if (fm_pool_map_range_async(pool, fail_some, 0, n, out, NULL, &r) != 0)
        return 4;
    if (fm_result_get(r, FM_NOWAIT) != FM_ETASK || fm_result_failures(r, &f, 1) != 1 || f.item != 7)
        return 5;
    fm_array_destroy(out);
    return fm_result_free(r) != 0 ? 6 : 0;
}

static void test_map_async_inside_a_function_is_done_at_once(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        fm_result *r = t_apply_bytes(pool, map_inside, &pool, sizeof pool, 8, NULL);
        fm_failure f = {0};
        (void)fm_result_wait(r, FM_FOREVER);
        (void)fm_result_failures(r, &f, 1);
        assert_int_equal(f.code, 0);
        assert_int_equal(t_value(r), 81);
        t_free(r);
        t_destroy(pool);
    }
}

static void test_map_async_wrong_arguments_are_refused(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_array *in = t_counted(10), *out = t_vector(FM_I64, 9);
        fm_result *r = (fm_result *)&in;
        fm_pool *pool = t_open(2, caller);
#define REFUSED(call)                                                                              \
    r = (fm_result *)&in;                                                                          \
    t_expect(call, -EINVAL);                                                                       \
    assert_null(r)
        REFUSED(fm_pool_map_async(pool, square, in, out, NULL, &r));
        REFUSED(fm_pool_map_async(pool, NULL, in, NULL, NULL, &r));
        REFUSED(fm_pool_map_async(pool, square, NULL, NULL, NULL, &r));
        REFUSED(fm_pool_map_async(NULL, square, in, in, NULL, &r));
        REFUSED(fm_pool_map_async(pool, square, in, in, NULL, &r)); /* without FM_IN_PLACE */
        REFUSED(fm_pool_map_range_async(pool, square, 5, 4, NULL, NULL, &r));
        REFUSED(fm_pool_map_range_async(pool, square, 0, 9, out, FM_MAP_OPTS(.retries = -1), &r));
        REFUSED(fm_pool_starmap_async(pool, multiply, &in, 0, out, NULL, &r));
        REFUSED(fm_pool_starmap_async(pool, multiply, &in, FM_MAX_COLUMNS + 1, out, NULL, &r));
        t_destroy(pool);
        fm_array_destroy(in);
        fm_array_destroy(out);
    }
}

T_MAIN(T_EACH_METHOD(test_map_async_of_each_kind_equals_the_one_that_waits),
       T_TEST(test_map_async_of_a_caller_that_works_or_is_alone_is_the_same),
       T_TEST(test_map_async_with_each_schedule_and_an_argument_is_the_same),
       T_EACH_METHOD(test_map_async_that_fails_has_code_status_and_records),
       T_TEST(test_map_async_with_item_timeout_ends_the_item),
       T_TEST(test_map_async_progress_is_reported_by_the_thread_that_waits),
       T_TEST(test_map_async_is_cancelled_by_its_progress),
       T_TEST(test_map_async_of_more_than_there_are_slots_is_collected_in_any_order),
       T_TEST(test_map_async_nobody_asks_for_is_done_all_the_same),
       T_TEST(test_map_async_of_no_items_is_done),
       T_TEST(test_map_async_goes_beside_calls_and_maps_that_wait),
       T_TEST(test_map_async_that_is_called_off_begins_no_more_items),
       T_TEST(test_map_async_that_is_called_off_with_kill_or_freed_ends_at_once),
       T_TEST(test_map_async_that_is_done_is_not_called_off),
       T_TEST(test_map_async_inside_a_function_is_done_at_once),
       T_TEST(test_map_async_wrong_arguments_are_refused))
