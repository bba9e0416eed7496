/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 40 */
/* Shared values: what they hold, who may use them, their lock, and what several processes add. */
#include "t_process.h"

#include "heap.h"
#include "value.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <unistd.h>

enum { N_PARTIES = 4, N_TURNS = 40000 };

static const int kinds[] = {FM_LOCKED, FM_RAW};

static fm_value *make(fm_dtype dtype, const void *init, int lock)
{
    fm_value *v;
    t_expect(fm_value_create(&v, dtype, init, lock), 0);
    assert_non_null(v);
    return v;
}

static fm_value *make_counter(int lock)
{
    return make(FM_I64, NULL, lock);
}

static int64_t count_of(fm_value *v)
{
    int64_t n = -1;
    assert_int_equal(fm_value_get(v, &n), 0);
    return n;
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void ignore_message(int level, const char *message, void *arg)
{
    (void)level, (void)message;
    *(int *)arg += 1;
}

/* ---- what it holds ---- */

static void test_value_starts_with_init_or_with_zero(void **state)
{
    (void)state;
    const double pi = 3.25;
    const double zero = 0;
    double got;
    for (int k = 0; k < 2; k++) {
        fm_value *v = make(FM_F64, &pi, kinds[k]), *w = make(FM_F64, NULL, kinds[k]);
        assert_int_equal(fm_value_get(v, &got), 0);
        assert_memory_equal(&got, &pi, sizeof pi);
        assert_int_equal(fm_value_get(w, &got), 0);
        assert_memory_equal(&got, &zero, sizeof zero);
        assert_int_equal(fm_value_dtype(v), FM_F64);
        fm_value_destroy(v);
        fm_value_destroy(w);
    }
}

static void test_value_of_any_size_gives_back_what_was_set(void **state)
{
    (void)state;
    static char in[1 << 20], out[sizeof in + 1];
    static const fm_dtype dtypes[] = {FM_BOOL,
                                      FM_I8,
                                      FM_I16,
                                      FM_U32,
                                      FM_F32,
                                      FM_C64,
                                      FM_C128,
                                      FM_STRUCT(3),
                                      FM_STRUCT(8),
                                      FM_STRUCT(63),
                                      FM_STRUCT(64),
                                      FM_STRUCT(65),
                                      FM_STRUCT(96),
                                      FM_STRUCT(128),
                                      FM_STRUCT(1000),
                                      FM_STRUCT(32704),
                                      FM_STRUCT(sizeof in)};
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (char)(i * 7 + i / 251 + 1);
    for (size_t i = 0; i < 2 * T_N_OF(dtypes); i++) {
        const fm_dtype dtype = dtypes[i / 2];
        const size_t bytes = fm_dtype_bytes(dtype);
        fm_value *v = make(dtype, NULL, kinds[i % 2]);
        memset(out, 0, sizeof out);
        for (int turn = 0; turn < 2; turn++) {
            in[0] = (char)(turn + 1);
            t_expect(fm_value_set(v, in), 0);
            t_expect(fm_value_get(v, out), 0);
            assert_memory_equal(out, in, bytes);
        }
        assert_int_equal(out[bytes], 0); /* no byte more */
        assert_memory_equal(fm_value_ptr(v), in, bytes);
        assert_int_equal((uintptr_t)fm_value_ptr(v) % 64, 0);
        fm_value_destroy(v);
    }
}

/* The largest one, and 1 more than it. */
static void expect_wrap(fm_dtype dtype, const void *most, const void *one, const void *least,
                        int lock)
{
    const size_t bytes = fm_dtype_bytes(dtype);
    char old[8] = {0}, now[8] = {0};
    fm_value *v = make(dtype, most, lock);
    t_expect(fm_value_add(v, one, old), 0);
    assert_memory_equal(old, most, bytes);
    t_expect(fm_value_get(v, now), 0);
    assert_memory_equal(now, least, bytes);
    fm_value_destroy(v);
}

#define EXPECT_WRAP(dtype, type, most, least, lock)                                                \
    expect_wrap(dtype, &(type){most}, &(type){1}, &(type){least}, lock)

static void test_value_add_gives_the_old_one_and_wraps_in_every_integer_type(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        EXPECT_WRAP(FM_I8, int8_t, INT8_MAX, INT8_MIN, kinds[k]);
        EXPECT_WRAP(FM_I16, int16_t, INT16_MAX, INT16_MIN, kinds[k]);
        EXPECT_WRAP(FM_I32, int32_t, INT32_MAX, INT32_MIN, kinds[k]);
        EXPECT_WRAP(FM_I64, int64_t, INT64_MAX, INT64_MIN, kinds[k]);
        EXPECT_WRAP(FM_U8, uint8_t, UINT8_MAX, 0, kinds[k]);
        EXPECT_WRAP(FM_U16, uint16_t, UINT16_MAX, 0, kinds[k]);
        EXPECT_WRAP(FM_U32, uint32_t, UINT32_MAX, 0, kinds[k]);
        EXPECT_WRAP(FM_U64, uint64_t, UINT64_MAX, 0, kinds[k]);
    }
}

static void test_value_add_of_a_negative_number_subtracts(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        fm_value *v = make(FM_I16, &(int16_t){5}, kinds[k]);
        int16_t n;
        t_expect(fm_value_add(v, &(int16_t){-300}, NULL), 0);
        t_expect(fm_value_get(v, &n), 0);
        assert_int_equal(n, -295);
        fm_value_destroy(v);
    }
}

static void test_value_add_adds_floats(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        fm_value *f = make(FM_F32, &(float){1.5F}, kinds[k]);
        fm_value *d = make(FM_F64, &(double){0.1}, kinds[k]);
        float old, now;
        double sum;
        t_expect(fm_value_add(f, &(float){-4}, &old), 0);
        t_expect(fm_value_get(f, &now), 0);
        assert_true(old == 1.5F && now == -2.5F);
        t_expect(fm_value_add(d, &(double){0.2}, NULL), 0);
        t_expect(fm_value_get(d, &sum), 0);
        assert_true(sum == 0.1 + 0.2);
        fm_value_destroy(f);
        fm_value_destroy(d);
    }
}

static void test_value_add_refuses_what_is_no_number(void **state)
{
    (void)state;
    static const fm_dtype dtypes[] = {FM_BOOL,      FM_C64,       FM_C128,
                                      FM_STRUCT(1), FM_STRUCT(8), FM_STRUCT(100)};
    const char zeros[100] = {0}, ones[100] = {1, 1, 1, 1, 1, 1, 1, 1};
    char now[100];
    for (size_t i = 0; i < 2 * T_N_OF(dtypes); i++) {
        fm_value *v = make(dtypes[i / 2], NULL, kinds[i % 2]);
        assert_int_equal(fm_value_add(v, ones, NULL), -EINVAL);
        t_expect(fm_value_get(v, now), 0);
        assert_memory_equal(now, zeros, fm_dtype_bytes(dtypes[i / 2]));
        fm_value_destroy(v);
    }
}

/* ---- who may use it ---- */

static void test_value_create_refuses_bad_arguments(void **state)
{
    (void)state;
    const struct {
        fm_dtype dtype;
        int lock;
    } cases[] = {{0, 0}, {FM_DTYPE('f', 2), FM_RAW}, {FM_STRUCT(0), 0}, {FM_I64, 3}, {FM_I64, -1}};
    for (size_t i = 0; i < T_N_OF(cases); i++) {
        fm_value *v = (fm_value *)&v;
        assert_int_equal(fm_value_create(&v, cases[i].dtype, NULL, cases[i].lock), -EINVAL);
        assert_null(v);
        assert_string_not_equal(fm_error_detail(), "");
    }
    assert_int_equal(fm_value_create(NULL, FM_I64, NULL, 0), -EINVAL);
}

/* All calls on something that is no value. */
static void expect_refused(fm_value *v, int expected)
{
    int64_t n = 77;
    assert_int_equal(fm_value_get(v, &n), expected);
    assert_int_equal(fm_value_set(v, &n), expected);
    assert_int_equal(fm_value_add(v, &n, &n), expected);
    assert_int_equal(fm_value_lock(v, FM_NOWAIT), expected);
    assert_int_equal(fm_value_unlock(v), expected);
    assert_null(fm_value_ptr(v));
    assert_int_equal(fm_value_dtype(v), 0);
    assert_int_equal(n, 77);
}

static void test_value_calls_refuse_what_is_no_value(void **state)
{
    (void)state;
    int64_t numbers[16] = {0};
    fm_array *a = t_vector(FM_U8, 4096);
    fm_value *v = make_counter(FM_LOCKED);
    expect_refused(NULL, -EINVAL);
    expect_refused((fm_value *)(void *)numbers, -EINVAL);
    expect_refused((fm_value *)(void *)((char *)v + 8), -EINVAL);
    expect_refused((fm_value *)(void *)a, FM_ECORRUPT);
    expect_refused((fm_value *)fm_array_data(a), FM_ECORRUPT);
    expect_refused((fm_value *)(void *)((char *)v + 64), FM_ECORRUPT);
    assert_int_equal(fm_value_get(v, NULL), -EINVAL);
    assert_int_equal(fm_value_set(v, NULL), -EINVAL);
    assert_int_equal(fm_value_add(v, NULL, NULL), -EINVAL);
    assert_int_equal(count_of(v), 0);
    fm_value_destroy(v);
    expect_refused(v, FM_ECORRUPT);
    fm_array_destroy(a);
}

static void test_value_whose_record_is_overwritten_is_noticed(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        fm_value *v = make(FM_STRUCT(5000), NULL, kinds[k]);
        const uint32_t lock_kind = v->lock_kind;
        char *const data = v->data;
        char out[5000], *elsewhere[] = {NULL, out, data + 8, (char *)UINTPTR_MAX - 63};
        v->dtype = 0xffffffff;
        expect_refused(v, FM_ECORRUPT);
        v->dtype = FM_STRUCT(5000);
        v->lock_kind = 0;
        expect_refused(v, FM_ECORRUPT);
        v->lock_kind = lock_kind;
        for (size_t i = 0; i < T_N_OF(elsewhere); i++) {
            v->data = elsewhere[i];
            assert_int_equal(fm_value_get(v, out), FM_ECORRUPT);
            assert_int_equal(fm_value_set(v, out), FM_ECORRUPT);
            assert_null(fm_value_ptr(v));
        }
        v->data = data;
        t_expect(fm_value_get(v, out), 0);
        fm_value_destroy(v);
    }
}

static void test_value_destroyed_twice_is_reported_and_harms_nobody(void **state)
{
    (void)state;
    int n_messages = 0;
    fm_value *v = make_counter(0), *w = make_counter(0);
    assert_int_equal(fm_log_set(0, ignore_message, &n_messages), 0);
    fm_value_destroy(NULL);
    fm_value_destroy(v);
    assert_int_equal(n_messages, 0);
    fm_value_destroy(v);
    fm_value_destroy((fm_value *)(void *)&n_messages);
    assert_int_equal(n_messages, 2);
    assert_int_equal(fm_log_set(0, NULL, NULL), 0);
    assert_int_equal(count_of(w), 0);
    fm_value_destroy(w);
}

static void test_value_memory_is_free_again_after_destroy(void **state)
{
    (void)state;
    fm_value *keep = make_counter(0); /* its span stays */
    const size_t before = used_bytes();
    for (int k = 0; k < 2; k++) {
        FM_AUTO(fm_value) v = make(FM_STRUCT(5000000), NULL, kinds[k]);
        assert_true(used_bytes() >= before + (kinds[k] == FM_RAW ? 5000000 : 10000000));
    }
    assert_int_equal(used_bytes(), before);
    fm_value_destroy(keep);
}

/* ---- its lock ---- */

static void test_value_that_is_raw_refuses_lock_and_unlock(void **state)
{
    (void)state;
    fm_value *v = make_counter(FM_RAW);
    assert_int_equal(fm_value_lock(v, FM_NOWAIT), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "FM_RAW"));
    assert_int_equal(fm_value_unlock(v), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "FM_RAW"));
    fm_value_destroy(v);
}

static void use_in_vain(void *arg)
{
    if (fm_value_lock(arg, FM_NOWAIT) != -ETIMEDOUT)
        _exit(1);
    if (fm_value_lock(arg, FM_MS(5)) != -ETIMEDOUT)
        _exit(2);
    if (fm_value_unlock(arg) != -EPERM)
        _exit(3);
}

static void add_one(void *arg)
{
    _exit(fm_value_add(arg, &(int64_t){1}, NULL) != 0);
}

static void test_value_lock_is_recursive_and_keeps_other_processes_out(void **state)
{
    (void)state;
    fm_value *v = make_counter(0);
    t_expect(fm_value_lock(v, FM_FOREVER), 0);
    t_expect(fm_value_lock(v, FM_NOWAIT), 0);
    t_expect(fm_value_set(v, &(int64_t){41}), 0);
    t_expect(fm_value_add(v, &(int64_t){1}, NULL), 0);
    assert_int_equal(t_exit_code(t_in_child(use_in_vain, v)), 0);
    t_expect(fm_value_unlock(v), 0);
    assert_int_equal(t_exit_code(t_in_child(use_in_vain, v)), 0);
    t_expect(fm_value_unlock(v), 0);
    assert_int_equal(fm_value_unlock(v), -EPERM);
    assert_int_equal(t_exit_code(t_in_child(add_one, v)), 0);
    assert_int_equal(count_of(v), 43);
    fm_value_destroy(v);
}

static void test_value_add_waits_for_who_has_the_lock(void **state)
{
    (void)state;
    fm_value *v = make_counter(0);
    t_expect(fm_value_lock(v, FM_FOREVER), 0);
    pid_t pid = t_start_child(add_one, v);
    for (int i = 0; i < 1000 && t_process_state(pid) != 'S'; i++)
        usleep(1000);
    assert_int_equal(*(int64_t *)fm_value_ptr(v), 0);
    *(int64_t *)fm_value_ptr(v) = 10;
    t_expect(fm_value_unlock(v), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    assert_int_equal(count_of(v), 11);
    fm_value_destroy(v);
}

/* ---- several processes ---- */

static const char text[100] = "made by the child";

struct shared {
    fm_value *locked, *raw;
    fm_value **made; /* in the heap: of the child */
};

static int add_and_make(void *arg)
{
    const struct shared *shared = arg;
    int rc = fm_value_add(shared->locked, &(int64_t){1}, NULL);
    if (rc == 0)
        rc = fm_value_add(shared->raw, &(double){0.5}, NULL);
    if (rc == 0)
        rc = fm_value_create(shared->made, FM_STRUCT(sizeof text), text, 0);
    return rc == 0 ? 0 : 1;
}

static void test_value_made_before_or_after_the_start_means_the_same(void **state)
{
    char got[sizeof text];
    double sum;
    fm_array *box = t_vector(FM_U64, 1);
    struct shared shared = {make_counter(0), make(FM_F64, NULL, FM_RAW), fm_array_data(box)};
    assert_int_equal(t_end(t_run(t_method(state), add_and_make, &shared, sizeof shared)), 0);
    assert_int_equal(count_of(shared.locked), 1);
    t_expect(fm_value_get(shared.raw, &sum), 0);
    assert_true(sum == 0.5);
    t_expect(fm_value_get(*shared.made, got), 0);
    assert_memory_equal(got, text, sizeof text);
    fm_value_destroy(*shared.made);
    fm_value_destroy(shared.locked);
    fm_value_destroy(shared.raw);
    fm_array_destroy(box);
}

static void count_up(void *arg)
{
    const int64_t one = 1;
    for (int i = 0; i < N_TURNS; i++)
        if (fm_value_add(arg, &one, NULL) != 0)
            _exit(1);
}

static void count_up_in_halves(void *arg)
{
    for (int i = 0; i < N_TURNS; i++)
        if (fm_value_add(arg, &(double){0.5}, NULL) != 0)
            _exit(1);
}

/* Python's `with v.get_lock(): v.value += 1`. */
static void count_up_under_the_lock(void *arg)
{
    for (int i = 0; i < N_TURNS; i++) {
        int64_t n;
        if (fm_value_lock(arg, FM_FOREVER) != 0 || fm_value_get(arg, &n) != 0)
            _exit(1);
        n++;
        if (fm_value_set(arg, &n) != 0 || fm_value_unlock(arg) != 0)
            _exit(1);
    }
}

struct party {
    void (*fn)(void *);
    void *arg;
    _Atomic int *n_ready;
};

/* All begin at the same time: the first would be through before the last is forked. */
static void run_party(void *arg)
{
    const struct party *party = arg;
    atomic_fetch_add(party->n_ready, 1);
    while (atomic_load(party->n_ready) < N_PARTIES)
        usleep(50);
    party->fn(party->arg);
}

static void run_parties(void (*fn)(void *), void *arg)
{
    pid_t pids[N_PARTIES];
    fm_array *ready = t_vector(FM_I32, 1);
    struct party party = {fn, arg, fm_array_data(ready)};
    for (int i = 0; i < N_PARTIES; i++)
        pids[i] = t_start_child(run_party, &party);
    for (int i = 0; i < N_PARTIES; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
    fm_array_destroy(ready);
}

static void test_value_additions_of_several_processes_are_all_there(void **state)
{
    (void)state;
    for (int k = 0; k < 2; k++) {
        fm_value *n = make_counter(kinds[k]), *x = make(FM_F64, NULL, kinds[k]);
        double sum;
        run_parties(count_up, n);
        assert_int_equal(count_of(n), N_PARTIES * N_TURNS);
        run_parties(count_up_in_halves, x);
        t_expect(fm_value_get(x, &sum), 0);
        assert_true(sum == 0.5 * N_PARTIES * N_TURNS);
        fm_value_destroy(n);
        fm_value_destroy(x);
    }
}

static void test_value_get_and_set_under_the_lock_are_one_step(void **state)
{
    (void)state;
    fm_value *v = make_counter(FM_LOCKED);
    run_parties(count_up_under_the_lock, v);
    assert_int_equal(count_of(v), N_PARTIES * N_TURNS);
    fm_value_destroy(v);
}

enum { RECORD = 1000 };

/* Sets records of equal bytes, and gets those of others: all bytes are the same at any time. */
static void set_and_get_records(void *arg)
{
    char in[RECORD], out[RECORD];
    for (int i = 0; i < N_TURNS; i++) {
        memset(in, 'a' + (i + getpid()) % 26, sizeof in);
        if (fm_value_set(arg, in) != 0 || fm_value_get(arg, out) != 0)
            _exit(1);
        if (memcmp(out, out + 1, sizeof out - 1) != 0)
            _exit(2);
    }
}

static void test_value_record_with_a_lock_is_never_seen_half_set(void **state)
{
    (void)state;
    fm_value *v = make(FM_STRUCT(RECORD), NULL, FM_LOCKED);
    run_parties(set_and_get_records, v);
    fm_value_destroy(v);
}

/* Low and high half are the same in each that is set. */
static void set_and_get_pairs(void *arg)
{
    for (uint64_t i = 1; i <= N_TURNS; i++) {
        uint64_t n = i << 32 | i;
        if (fm_value_set(arg, &n) != 0 || fm_value_get(arg, &n) != 0)
            _exit(1);
        if (n >> 32 != (n & UINT32_MAX))
            _exit(2);
    }
}

static void test_value_of_eight_bytes_is_whole_without_a_lock(void **state)
{
    (void)state;
    fm_value *v = make(FM_U64, NULL, FM_RAW);
    run_parties(set_and_get_pairs, v);
    fm_value_destroy(v);
}

T_MAIN(T_TEST(test_value_starts_with_init_or_with_zero),
       T_TEST(test_value_of_any_size_gives_back_what_was_set),
       T_TEST(test_value_add_gives_the_old_one_and_wraps_in_every_integer_type),
       T_TEST(test_value_add_of_a_negative_number_subtracts), T_TEST(test_value_add_adds_floats),
       T_TEST(test_value_add_refuses_what_is_no_number),
       T_TEST(test_value_create_refuses_bad_arguments),
       T_TEST(test_value_calls_refuse_what_is_no_value),
       T_TEST(test_value_whose_record_is_overwritten_is_noticed),
       T_TEST(test_value_destroyed_twice_is_reported_and_harms_nobody),
       T_TEST(test_value_memory_is_free_again_after_destroy),
       T_TEST(test_value_that_is_raw_refuses_lock_and_unlock),
       T_TEST(test_value_lock_is_recursive_and_keeps_other_processes_out),
       T_TEST(test_value_add_waits_for_who_has_the_lock),
       T_EACH_METHOD(test_value_made_before_or_after_the_start_means_the_same),
       T_TEST(test_value_additions_of_several_processes_are_all_there),
       T_TEST(test_value_get_and_set_under_the_lock_are_one_step),
       T_TEST(test_value_record_with_a_lock_is_never_seen_half_set),
       T_TEST(test_value_of_eight_bytes_is_whole_without_a_lock))
