/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/*
 * fm_pool_apply_async: arguments and results, how a call ended, who may ask. How it is called off is in test_result_cancel.c, how pools end in
 * test_result_end.c, maps are in test_map_async.c.
 */
#include "t_task.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { MIB = 1 << 20 };
static const size_t sizes[] = {0, 1, 48, 96, 97, 4096, MIB};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* ---- functions ---- */

static unsigned char byte_at(size_t i)
{
    return (unsigned char)(i * 7 + i / 251 + 3);
}

struct expected { /* in front of an argument that is long enough */
    uint64_t arg_bytes, result_bytes;
};

static int is_pattern(const unsigned char *bytes, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++)
        if (bytes[i] != byte_at(i))
            return 0;
    return 1;
}

static void fill_pattern(unsigned char *bytes, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++)
        bytes[i] = byte_at(i);
}

/* What does not fit an argument comes by way of the heap. */
static struct expected *expected_of(const void *arg)
{
    return (struct expected *)(uintptr_t)arg;
}

/* Fails unless the result is zeroed and both are aligned; copies what it can of the argument, the rest is the pattern. */
static int transform(const unsigned char *arg, size_t arg_bytes, unsigned char *result,
                     size_t result_bytes)
{
    if (arg_bytes > 0 && (uintptr_t)arg % 8 != 0)
        return 1;
    if (!is_pattern(arg, 0, arg_bytes))
        return 2;
    if (result_bytes == 0)
        return result == NULL ? 0 : 3;
    if ((uintptr_t)result % 8 != 0)
        return 4;
    for (size_t i = 0; i < result_bytes; i++)
        if (result[i] != 0)
            return 5;
    fill_pattern(result, 0, result_bytes);
    return 0;
}

#define TRANSFORM(a, r)                                                                            \
    static int transform_##a##_##r(const void *arg, void *result)                                  \
    {                                                                                              \
        return transform(arg, a, result, r);                                                       \
    }
#define TRANSFORMS(a)                                                                              \
    TRANSFORM(a, 0)                                                                                \
    TRANSFORM(a, 1)                                                                                \
    TRANSFORM(a, 48) TRANSFORM(a, 96) TRANSFORM(a, 97) TRANSFORM(a, 4096) TRANSFORM(a, 1048576)
TRANSFORMS(0)
TRANSFORMS(1)
TRANSFORMS(48)
TRANSFORMS(96)
TRANSFORMS(97)
TRANSFORMS(4096)
TRANSFORMS(1048576)
#define ROW(a)                                                                                     \
    {                                                                                              \
        transform_##a##_0, transform_##a##_1, transform_##a##_48, transform_##a##_96,              \
            transform_##a##_97, transform_##a##_4096, transform_##a##_1048576                      \
    }
static fm_task_fn *const transforms[N_SIZES][N_SIZES] = {ROW(0),  ROW(1),    ROW(48),     ROW(96),
                                                         ROW(97), ROW(4096), ROW(1048576)};

static int negate(const void *arg, void *result)
{
    *(int64_t *)result = -*(const int64_t *)arg;
    return 0;
}

static int fail_noted(const void *arg, void *result)
{
    *(int64_t *)result = 5;
    fm_note("the code is %d", *(const int *)arg);
    return *(const int *)arg;
}

static int crash(const void *arg, void *result)
{
    (void)result;
    if (*(const int *)arg == SIGSEGV)
        return raise(SIGSEGV);
    exit(*(const int *)arg);
}

static int sleep_long(const void *arg, void *result)
{
    (void)arg;
    (void)result;
    for (;;)
        pause();
    return 0;
}

/* The argument is a counter in the heap: fails until it is called the third time. */
static int succeed_third(const void *arg, void *result)
{
    int n = atomic_fetch_add((_Atomic int *)(uintptr_t)arg, 1) + 1;
    if (*(int64_t *)result != 0 && n == 1)
        return 100;
    *(int64_t *)result = n;
    return n < 3 ? n : 0;
}

static int draw(const void *arg, void *result)
{
    fm_random random = fm_rng(*(const int64_t *)arg);
    *(uint64_t *)result = fm_random_u64(&random);
    return 0;
}

static int tell_pid(const void *arg, void *result)
{
    (void)arg;
    *(int64_t *)result = getpid();
    return 0;
}

/* ---- arguments and results ---- */

static void check_sizes(fm_pool *pool, int with_copy)
{
    unsigned char *arg = malloc(MIB), *results = malloc(MIB);
    fill_pattern(arg, 0, MIB);
    for (int a = 0; a < N_SIZES; a++)
        for (int k = 0; k < N_SIZES; k++) {
            fm_result *r;
            memset(results, 0, MIB);
            t_expect(fm_pool_apply_async(pool, transforms[a][k], sizes[a] == 0 ? NULL : arg,
                                         sizes[a], with_copy ? results : NULL, sizes[k], NULL, &r),
                     0);
            t_expect(fm_result_get(r, FM_FOREVER), 0);
            const unsigned char *data = fm_result_data(r);
            assert_int_equal(data == NULL, sizes[k] == 0);
            assert_int_equal((uintptr_t)data % 8 != 0 && !with_copy, 0);
            assert_true(sizes[k] == 0 || is_pattern(data, 0, sizes[k]));
            assert_true(!with_copy || is_pattern(results, 0, sizes[k]));
            assert_true(sizes[k] >= MIB || results[sizes[k]] == 0);
            t_free(r);
        }
    free(arg);
    free(results);
}

static void test_result_of_any_size_is_there_and_copied_if_wanted(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    check_sizes(pool, 0);
    check_sizes(pool, 1);
    t_destroy(pool);
}

static void test_result_of_a_caller_that_works_or_is_alone_is_the_same(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_WORKS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        check_sizes(pool, 0);
        check_sizes(pool, 1);
        t_destroy(pool);
    }
}

static void test_result_records_are_used_again_with_zeroed_results(void **state)
{
    (void)state;
    enum { N = 3000 };
    fm_pool *pool = t_open(2, 0);
    unsigned char arg[96];
    fill_pattern(arg, 0, sizeof arg);
    for (int i = 0; i < N; i++) {
        int a = i % 4, k = i * 5 / 4 % 4;
        t_end_with(
            t_apply_bytes(pool, transforms[a][k], a == 0 ? NULL : arg, sizes[a], sizes[k], NULL),
            0);
    }
    t_destroy(pool);
}

static int use_counts(const void *arg, void *result)
{
    struct expected *e = expected_of(arg);
    e->arg_bytes++;
    *(uint64_t *)result = e->result_bytes;
    return 0;
}

static void test_result_of_a_call_with_a_heap_pointer_sees_and_changes_what_is_there(void **state)
{
    (void)state;
    fm_array *memory = t_vector(FM_U64, 2);
    struct expected *e = fm_array_data(memory);
    e->result_bytes = 77;
    fm_pool *pool = t_open(2, 0);
    fm_result *r = t_apply_bytes(pool, use_counts, e, 0, sizeof(uint64_t), NULL);
    assert_int_equal(t_value(r), 77);
    assert_int_equal(e->arg_bytes, 1);
    t_free(r);
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void test_result_of_a_private_pointer_is_refused_unless_forked(void **state)
{
    int64_t seven = 7;
    fm_result *r = (fm_result *)&seven;
    fm_pool *pool = t_open(1, 0);
    int rc = fm_pool_apply_async(pool, tell_pid, &seven, 0, NULL, 8, NULL, &r);
    t_expect(rc, t_method(state) == FM_FORK ? 0 : -EINVAL);
    if (rc == 0)
        t_end_with(r, 0);
    else
        assert_null(r);
    t_destroy(pool);
}

static void test_result_of_calls_in_a_worker(void **state)
{
    (void)state;
    enum { N = 300 };
    fm_result *r[N];
    fm_pool *pool = t_open(2, 0);
    for (int64_t i = 0; i < N; i++)
        r[i] = t_apply_bytes(pool, i % 3 == 0 ? tell_pid : negate, &i, sizeof i, 8, NULL);
    for (int i = N; i-- > 0;) {
        int64_t value = t_value(r[i]);
        if (i % 3 == 0)
            assert_true(value > 0 && value != getpid());
        else
            assert_int_equal(value, -i);
        t_free(r[i]);
    }
    t_destroy(pool);
}

static void test_result_nobody_asks_for_is_run_all_the_same(void **state)
{
    (void)state;
    enum { N = 1000 };
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    struct t_visit visit = {gate, 0, 0};
    fm_pool *pool = t_open(2, 0);
    t_open_gate(gate);
    for (int i = 0; i < N; i++)
        t_expect(fm_pool_apply_async(pool, t_pass_gate, &visit, sizeof visit, NULL,
                                     i % 2 == 0 ? 8 : 4096, NULL, NULL),
                 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    assert_int_equal(gate->n_ended, N);
    t_destroy(pool);
    fm_array_destroy(memory);
}

/* ---- how it ended ---- */

static void test_result_before_its_end_is_not_ready(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_visit(pool, t_pass_gate, gate, 3, NULL);
    assert_int_equal(fm_result_ready(r), 0);
    t_expect(fm_result_successful(r), FM_ENOTREADY);
    t_expect((int)fm_result_failures(r, NULL, 0), FM_ENOTREADY);
    t_expect(fm_result_get(r, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_result_wait(r, FM_NOWAIT), -ETIMEDOUT);
    t_expect(fm_result_get(r, FM_MS(3)), -ETIMEDOUT);
    t_expect(fm_result_wait(r, FM_MS(3)), -ETIMEDOUT);
    assert_null(fm_result_data(r));
    t_open_gate(gate);
    t_expect(fm_result_wait(r, FM_SECONDS(50)), 0);
    assert_int_equal(fm_result_ready(r), 1);
    assert_int_equal(fm_result_successful(r), 1);
    assert_int_equal(fm_result_failures(r, NULL, 0), 0);
    t_expect(fm_result_get(r, FM_NOWAIT), 0);
    assert_int_equal(t_value(r), 3);
    t_free(r);
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void test_result_becomes_ready_without_anybody_waiting(void **state)
{
    (void)state;
    int64_t i = 4;
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
    while (fm_result_ready(r) != 1)
        t_sleep_ms(1);
    assert_int_equal(*(const int64_t *)fm_result_data(r), -4);
    t_free(r);
    t_destroy(pool);
}

static void test_result_of_a_failing_call_has_code_record_and_note(void **state)
{
    (void)state;
    int code = 9;
    int64_t kept = 77;
    fm_failure f;
    fm_result *r;
    fm_pool *pool = t_open(2, 0);
    t_expect(
        fm_pool_apply_async(pool, fail_noted, &code, sizeof code, &kept, sizeof kept, NULL, &r), 0);
    t_expect(fm_result_get(r, FM_FOREVER), FM_ETASK);
    t_expect(fm_result_wait(r, FM_NOWAIT), 0);
    assert_int_equal(fm_result_successful(r), 0);
    assert_int_equal(fm_result_failures(r, NULL, 0), 1);
    assert_int_equal(fm_result_failures(r, &f, 1), 1);
    assert_int_equal(f.item, 0);
    assert_int_equal(f.state, FM_ITEM_FAILED);
    assert_int_equal(f.code, 9);
    assert_int_equal(f.attempt, 1);
    assert_true(f.pid > 0 && f.pid != getpid());
    assert_string_equal(f.note, "the code is 9");
    assert_null(fm_result_data(r));
    assert_int_equal(kept, 77);
    t_expect((int)fm_result_failures(r, NULL, 1), -EINVAL);
    t_expect((int)fm_result_failures(r, &f, -1), -EINVAL);
    t_free(r);
    t_destroy(pool);
}

static void test_result_of_a_crash_is_of_this_call_alone(void **state)
{
    (void)state;
    enum { N = 60 };
    fm_result *r[N];
    fm_pool *pool = t_open(2, 0);
    int number[] = {SIGSEGV, 3};
    for (int64_t i = 0; i < N; i++)
        r[i] = i % 10 == 5
                   ? t_apply_bytes(pool, crash, &number[i / 10 % 2], sizeof number[0], 8, NULL)
                   : t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
    for (int i = 0; i < N; i++) {
        fm_failure f;
        if (i % 10 != 5) {
            assert_int_equal(t_value(r[i]), -i);
        } else {
            t_expect(fm_result_get(r[i], FM_FOREVER), FM_ECRASHED);
            assert_int_equal(fm_result_failures(r[i], &f, 1), 1);
            assert_int_equal(f.state, FM_ITEM_CRASHED);
            assert_int_equal(f.signal, i / 10 % 2 == 0 ? SIGSEGV : 0);
            assert_int_equal(f.code, i / 10 % 2 == 0 ? 0 : 3);
        }
        t_free(r[i]);
    }
    t_destroy(pool);
}

static void test_result_of_a_call_past_its_time_limit_is_timed_out(void **state)
{
    (void)state;
    fm_failure f;
    int64_t i = 6;
    fm_pool *pool = t_open(2, 0);
    fm_result *r = t_apply_bytes(pool, sleep_long, NULL, 0, 0,
                                 FM_APPLY_OPTS(.item_timeout = FM_MS(50), .retries = 1));
    fm_result *other =
        t_apply_bytes(pool, negate, &i, sizeof i, 8, FM_APPLY_OPTS(.item_timeout = FM_SECONDS(30)));
    t_expect(fm_result_get(r, FM_FOREVER), FM_ETIMEOUT);
    assert_int_equal(fm_result_failures(r, &f, 1), 1);
    assert_int_equal(f.state, FM_ITEM_TIMEOUT);
    assert_int_equal(f.attempt, 2);
    assert_int_equal(t_value(other), -6);
    t_free(r);
    t_free(other);
    t_destroy(pool);
}

static void test_result_of_a_call_with_retries_is_that_of_the_last_attempt(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_array *memory = t_vector(FM_I32, 2);
        _Atomic int *count = fm_array_data(memory);
        fm_failure f;
        fm_pool *pool = t_open(2, caller);
        fm_result *r = t_apply_bytes(pool, succeed_third, (const void *)count, 0, 8,
                                     FM_APPLY_OPTS(.retries = 2));
        assert_int_equal(t_value(r), 3);
        t_free(r);
        atomic_store(count, 0);
        r = t_apply_bytes(pool, succeed_third, (const void *)count, 0, 8,
                          FM_APPLY_OPTS(.retries = 1));
        t_expect(fm_result_get(r, FM_FOREVER), FM_ETASK);
        assert_int_equal(*count, 2);
        assert_int_equal(fm_result_failures(r, &f, 1), 1);
        assert_int_equal(f.code, 2);
        assert_int_equal(f.attempt, 2);
        t_free(r);
        t_destroy(pool);
        fm_array_destroy(memory);
    }
}

static void test_result_of_random_numbers_depends_on_seed_and_item_alone(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (uint64_t seed = 0; seed < 3; seed++)
            for (int64_t item = 0; item < 3; item++) {
                fm_random random = fm_random_at(seed, (uint64_t)item);
                fm_result *r =
                    t_apply_bytes(pool, draw, &item, sizeof item, 8, FM_APPLY_OPTS(.seed = seed));
                assert_true((uint64_t)t_value(r) == fm_random_u64(&random));
                t_free(r);
            }
        t_destroy(pool);
    }
}

static void test_result_that_is_ready_outlives_free_of_others(void **state)
{
    (void)state;
    enum { N = 600 };
    static fm_result *r[N];
    fm_pool *pool = t_open(2, 0);
    for (int64_t i = 0; i < N; i++)
        r[i] = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
    for (int i = 0; i < N; i++)
        t_expect(fm_result_get(r[i], FM_FOREVER), 0);
    for (int i = 0; i < N; i += 2)
        t_free(r[i]);
    for (int64_t i = 1000; i < 1000 + N; i++) {
        fm_result *more = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
        assert_int_equal(t_value(more), -i);
        t_free(more);
    }
    for (int i = 1; i < N; i += 2) {
        assert_int_equal(t_value(r[i]), -i);
        t_free(r[i]);
    }
    t_destroy(pool);
}

/* ---- descriptors ---- */

static int is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && (p.revents & POLLIN) != 0;
}

static void test_result_descriptor_is_readable_once_it_is_ready(void **state)
{
    (void)state;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_visit(pool, t_pass_gate, gate, 5, NULL);
    int fd = fm_result_fileno(r);
    assert_true(fd >= 0);
    assert_int_equal(fm_result_fileno(r), fd);
    assert_false(is_readable(fd));
    t_open_gate(gate);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&p, 1, 50000), 1);
    assert_int_equal(fm_result_ready(r), 1);
    assert_true(is_readable(fd));
    assert_int_equal(t_value(r), 5);
    t_free(r);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    t_destroy(pool);
    fm_array_destroy(memory);
}

static void test_result_descriptor_asked_for_late_is_readable_at_once(void **state)
{
    (void)state;
    int64_t i = 1;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
        fm_result *second = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
        t_expect(fm_result_get(r, FM_FOREVER), 0);
        t_expect(fm_result_get(second, FM_FOREVER), 0);
        assert_true(is_readable(fm_result_fileno(r)));
        t_destroy(pool);
        assert_true(is_readable(fm_result_fileno(r)));
        assert_true(is_readable(fm_result_fileno(second)));
        t_free(r);
        t_free(second);
    }
}

struct asker {
    pthread_t thread;
    fm_result *result;
    int fd;
    _Atomic int *n_waiting;
};

static void *ask_for_descriptor(void *arg)
{
    struct asker *asker = arg;
    asker->fd = fm_result_fileno(asker->result);
    return NULL;
}

static void test_result_descriptor_is_one_for_all_threads(void **state)
{
    (void)state;
    enum { N_THREADS = 4, N_ROUNDS = 100 };
    fm_pool *pool = t_open(1, 0);
    for (int round = 0; round < N_ROUNDS; round++) {
        int64_t i = round;
        struct asker askers[N_THREADS];
        fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
        for (int k = 0; k < N_THREADS; k++) {
            askers[k] = (struct asker){.result = r};
            assert_int_equal(
                pthread_create(&askers[k].thread, NULL, ask_for_descriptor, &askers[k]), 0);
        }
        for (int k = 0; k < N_THREADS; k++)
            pthread_join(askers[k].thread, NULL);
        struct pollfd p = {.fd = askers[0].fd, .events = POLLIN};
        for (int k = 1; k < N_THREADS; k++)
            assert_int_equal(askers[k].fd, askers[0].fd);
        assert_int_equal(poll(&p, 1, 50000), 1);
        assert_int_equal(fm_result_ready(r), 1);
        t_free(r);
    }
    t_destroy(pool);
}

static void test_result_free_closes_the_descriptor_of_what_had_not_ended(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, 0);
    fm_result *r = t_apply_bytes(pool, sleep_long, NULL, 0, 0, NULL);
    int fd = fm_result_fileno(r);
    assert_true(fd >= 0);
    t_free(r);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    t_destroy(pool);
}

/* ---- threads ---- */

static void *wait_for_it(void *arg)
{
    struct asker *asker = arg;
    atomic_fetch_add(asker->n_waiting, 1);
    asker->fd = fm_result_get(asker->result, FM_FOREVER);
    return NULL;
}

static void test_result_is_waited_for_by_several_threads(void **state)
{
    (void)state;
    enum { N_THREADS = 6 };
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_array *memory;
        struct t_gate *gate = t_gates(&memory, 1);
        struct asker askers[N_THREADS];
        _Atomic int n_waiting = 0;
        fm_pool *pool = t_open(2, caller);
        fm_result *r = t_visit(pool, t_pass_gate, gate, 8, NULL);
        for (int k = 0; k < N_THREADS; k++) {
            askers[k] = (struct asker){.result = r, .n_waiting = &n_waiting};
            assert_int_equal(pthread_create(&askers[k].thread, NULL, wait_for_it, &askers[k]), 0);
        }
        t_await_count(&n_waiting, N_THREADS);
        t_sleep_ms(5);
        t_open_gate(gate);
        for (int k = 0; k < N_THREADS; k++) {
            pthread_join(askers[k].thread, NULL);
            t_expect(askers[k].fd, 0);
        }
        assert_int_equal(gate->n_ended, 1);
        t_free(r);
        t_destroy(pool);
        fm_array_destroy(memory);
    }
}

struct submitter {
    pthread_t thread;
    fm_pool *pool;
    int64_t first;
    int n_wrong;
};

static void *submit_many(void *arg)
{
    enum { N = 500 };
    struct submitter *s = arg;
    fm_result *r[N];
    for (int64_t i = 0; i < N; i++) {
        int64_t value = s->first + i;
        int rc = fm_pool_apply_async(s->pool, negate, &value, sizeof value, NULL, 8, NULL, &r[i]);
        s->n_wrong += rc != 0;
    }
    for (int64_t i = 0; i < N && s->n_wrong == 0; i++) {
        s->n_wrong += fm_result_get(r[i], FM_FOREVER) != 0 ||
                      *(const int64_t *)fm_result_data(r[i]) != -(s->first + i);
        s->n_wrong += fm_result_free(r[i]) != 0;
    }
    return NULL;
}

static void test_result_of_several_threads_on_one_pool_is_that_of_each(void **state)
{
    (void)state;
    enum { N_THREADS = 4 };
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        struct submitter s[N_THREADS];
        fm_pool *pool = t_open(2, caller);
        for (int k = 0; k < N_THREADS; k++) {
            s[k] = (struct submitter){.pool = pool, .first = 1000 * k};
            assert_int_equal(pthread_create(&s[k].thread, NULL, submit_many, &s[k]), 0);
        }
        for (int k = 0; k < N_THREADS; k++) {
            pthread_join(s[k].thread, NULL);
            assert_int_equal(s[k].n_wrong, 0);
        }
        t_destroy(pool);
    }
}

/* ---- inside functions ---- */

static int fail_at_once(const void *arg, void *result)
{
    (void)result;
    return *(const int *)arg;
}

/* A number of what is wrong, 0 if nothing is. */
static int apply_inside(const void *arg, void *result)
{
    fm_pool *pool = *(fm_pool *const *)arg;
    fm_result *r = NULL;
    fm_failure f;
    int64_t i = 5, copy = 0;
    int code = 7;
    (void)result;
    if (fm_pool_apply_async(pool, negate, &i, sizeof i, NULL, 8, NULL, &r) != 0)
        return 1;
    if (fm_result_ready(r) != 1 || fm_result_get(r, FM_NOWAIT) != 0)
        return 2;
    if (*(const int64_t *)fm_result_data(r) != -5 || fm_result_free(r) != 0)
        return 3;
    if (fm_pool_apply_async(pool, negate, &i, sizeof i, &copy, 8, NULL, &r) != 0 || copy != -5)
        return 4;
    if (fm_result_free(r) != 0)
        return 5;
    if (fm_pool_apply_async(pool, fail_at_once, &code, sizeof code, NULL, 0, NULL, &r) != 0)
        return 6;
    if (fm_result_get(r, FM_NOWAIT) != FM_ETASK)
        return 7;
    if (fm_result_failures(r, &f, 1) != 1 || f.code != 7 || f.item != 0)
        return 8;
    return fm_result_free(r) != 0 ? 9 : 0;
}

static void test_result_inside_a_function_is_ready_at_once(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (int k = 0; k < 4; k++) {
            fm_failure f = {0};
            fm_result *r = t_apply_bytes(pool, apply_inside, &pool, sizeof pool, 0, NULL);
            int rc = fm_result_get(r, FM_FOREVER);
            (void)fm_result_failures(r, &f, 1);
            assert_int_equal(f.code, 0);
            t_expect(rc, 0);
            t_free(r);
        }
        t_destroy(pool);
    }
}

/* ---- what is refused ---- */

static void test_result_wrong_arguments_are_refused(void **state)
{
    (void)state;
    int64_t i = 1;
    fm_result *r = (fm_result *)&i;
    fm_pool *pool = t_open(1, 0);
#define REFUSED(pool, fn, arg, arg_bytes, result_bytes, opts)                                      \
    t_expect(fm_pool_apply_async(pool, fn, arg, arg_bytes, NULL, result_bytes, opts, &r),          \
             -EINVAL);                                                                             \
    assert_null(r)
    REFUSED(NULL, negate, &i, 8, 8, NULL);
    REFUSED(pool, NULL, &i, 8, 8, NULL);
    REFUSED(pool, negate, NULL, 8, 8, NULL);
    REFUSED(pool, negate, &i, SIZE_MAX, 8, NULL);
    REFUSED(pool, negate, &i, 8, SIZE_MAX, NULL);
    REFUSED(pool, negate, &i, 8, 8, FM_APPLY_OPTS(.retries = -1));
    REFUSED(pool, negate, &i, 8, 8, FM_APPLY_OPTS(.retries = 1001));
    REFUSED(pool, negate, &i, 8, 8, FM_APPLY_OPTS(.item_timeout = -1));
    t_expect(fm_result_get(NULL, 0), -EINVAL);
    t_expect(fm_result_wait(NULL, 0), -EINVAL);
    t_expect(fm_result_ready(NULL), -EINVAL);
    t_expect(fm_result_successful(NULL), -EINVAL);
    t_expect(fm_result_cancel(NULL, 0), -EINVAL);
    t_expect(fm_result_fileno(NULL), -EINVAL);
    t_expect((int)fm_result_failures(NULL, NULL, 0), -EINVAL);
    assert_null(fm_result_data(NULL));
    t_expect(fm_result_free(NULL), 0);
    r = t_apply_bytes(pool, negate, &i, 8, 8, NULL);
    t_expect(fm_result_cancel(r, 2), -EINVAL);
    t_end_with(r, 0);
    t_destroy(pool);
}

static void use_result_of_parent(void *arg)
{
    fm_result *r = arg;
    if (fm_result_get(r, 0) != FM_EFORKED || fm_result_wait(r, 0) != FM_EFORKED)
        _exit(1);
    if (fm_result_ready(r) != FM_EFORKED || fm_result_successful(r) != FM_EFORKED)
        _exit(2);
    if (fm_result_cancel(r, 0) != FM_EFORKED || fm_result_fileno(r) != FM_EFORKED)
        _exit(3);
    if (fm_result_failures(r, NULL, 0) != FM_EFORKED || fm_result_data(r) != NULL)
        _exit(4);
    if (fm_result_free(r) != FM_EFORKED || fm_as_completed(&r, 1, 0) != FM_EFORKED)
        _exit(5);
    if (fm_wait(&FM_WAIT_RESULT(r), 1, NULL, 0) != FM_EFORKED)
        _exit(6);
}

static void test_result_in_a_forked_child_is_refused(void **state)
{
    (void)state;
    int64_t i = 4;
    fm_array *memory;
    struct t_gate *gate = t_gates(&memory, 1);
    fm_pool *pool = t_open(2, 0);
    fm_result *r = t_apply_bytes(pool, negate, &i, sizeof i, 8, NULL);
    fm_result *open = t_visit(pool, t_pass_gate, gate, 5, NULL);
    t_expect(fm_result_get(r, FM_FOREVER), 0);
    assert_int_equal(t_exit_code(t_in_child(use_result_of_parent, r)), 0);
    assert_int_equal(t_exit_code(t_in_child(use_result_of_parent, open)), 0);
    t_open_gate(gate);
    assert_int_equal(t_value(r), -4);
    assert_int_equal(t_value(open), 5);
    t_free(r);
    t_free(open);
    t_destroy(pool);
    fm_array_destroy(memory);
}

T_MAIN(T_TEST(test_result_of_any_size_is_there_and_copied_if_wanted),
       T_TEST(test_result_of_a_caller_that_works_or_is_alone_is_the_same),
       T_TEST(test_result_records_are_used_again_with_zeroed_results),
       T_EACH_METHOD(test_result_of_a_call_with_a_heap_pointer_sees_and_changes_what_is_there),
       T_EACH_METHOD(test_result_of_a_private_pointer_is_refused_unless_forked),
       T_EACH_METHOD(test_result_of_calls_in_a_worker),
       T_TEST(test_result_nobody_asks_for_is_run_all_the_same),
       T_TEST(test_result_before_its_end_is_not_ready),
       T_TEST(test_result_becomes_ready_without_anybody_waiting),
       T_EACH_METHOD(test_result_of_a_failing_call_has_code_record_and_note),
       T_EACH_METHOD(test_result_of_a_crash_is_of_this_call_alone),
       T_TEST(test_result_of_a_call_past_its_time_limit_is_timed_out),
       T_TEST(test_result_of_a_call_with_retries_is_that_of_the_last_attempt),
       T_TEST(test_result_of_random_numbers_depends_on_seed_and_item_alone),
       T_TEST(test_result_that_is_ready_outlives_free_of_others),
       T_TEST(test_result_descriptor_is_readable_once_it_is_ready),
       T_TEST(test_result_descriptor_asked_for_late_is_readable_at_once),
       T_TEST(test_result_descriptor_is_one_for_all_threads),
       T_TEST(test_result_free_closes_the_descriptor_of_what_had_not_ended),
       T_TEST(test_result_is_waited_for_by_several_threads),
       T_TEST(test_result_of_several_threads_on_one_pool_is_that_of_each),
       T_TEST(test_result_inside_a_function_is_ready_at_once),
       T_TEST(test_result_wrong_arguments_are_refused),
       T_TEST(test_result_in_a_forked_child_is_refused))
