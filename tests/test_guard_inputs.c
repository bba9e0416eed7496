/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* FM_GUARD_INPUTS: who writes into an input is named, with the input; everything else is as without. */
#include "t_filemap.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

enum { BAD = 7777 };

/* Items find the input's base by their number, which they hold. */
static int triple_but_one(const void *item, void *result, void *arg)
{
    const int64_t *x = item;
    (void)arg;
    if (*x == BAD)
        *(volatile int64_t *)(uintptr_t)item = -1;
    *(int64_t *)result = 3 * *x + 1;
    return 0;
}

static int triple_chunk_but_one(const fm_chunk *c, void *arg)
{
    for (int64_t i = 0; i < c->count; i++)
        (void)triple_but_one((const char *)c->in[0] + i * c->in_stride[0],
                             (char *)c->out + i * c->out_stride, arg);
    return 0;
}

/* Writes into the second column. */
static int add_but_one(const void *const items[], void *result, void *arg)
{
    const int64_t *x = items[0], *y = items[1];
    (void)arg;
    if (*x == BAD)
        *(volatile int64_t *)(uintptr_t)y = -1;
    *(int64_t *)result = 2 * *x + *y + 1;
    return 0;
}

static const fm_map_opts *guarded(int retries)
{
    static fm_map_opts opts;
    opts = (fm_map_opts){.struct_size = sizeof opts,
                         .guard = FM_GUARD_INPUTS,
                         .on_error = FM_ON_ERROR_CONTINUE,
                         .retries = retries};
    return &opts;
}

static void expect_counted(const fm_array *in)
{
    const int64_t *data = fm_array_data(in);
    for (int64_t i = 0; i < fm_array_len(in); i++)
        if (data[i] != i)
            fail_msg("input %lld is %lld", (long long)i, (long long)data[i]);
}

static void expect_all_but_one(const fm_array *out)
{
    const int64_t *data = fm_array_data(out);
    for (int64_t i = 0; i < fm_array_len(out); i++)
        if (i != BAD && data[i] != 3 * i + 1)
            fail_msg("result %lld is %lld", (long long)i, (long long)data[i]);
}

/* The one record of the last map. */
static void expect_record(fm_pool *pool, int attempt, int input, const void *address)
{
    fm_failure f[2];
    assert_int_equal(fm_pool_failures(pool, f, 2), 1);
    assert_int_equal(f[0].item, BAD);
    assert_int_equal(f[0].state, FM_ITEM_CRASHED);
    assert_int_equal(f[0].signal, SIGSEGV);
    assert_int_equal(f[0].attempt, attempt);
    assert_int_equal(f[0].wrote_input, input);
    assert_ptr_equal((void *)(uintptr_t)f[0].address, address);
}

static const void *bad_item_of(const fm_array *in)
{
    return (const int64_t *)fm_array_data((fm_array *)(uintptr_t)in) + BAD;
}

static void test_guard_inputs_item_that_writes_into_its_input_is_named(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map(pool, triple_but_one, in, out, guarded(0)), FM_ECRASHED);
    expect_record(pool, 1, 1, bad_item_of(in));
    expect_counted(in);
    expect_all_but_one(out);
    t_expect(fm_pool_map(pool, triple_but_one, in, out, guarded(2)), FM_ECRASHED);
    expect_record(pool, 3, 1, bad_item_of(in));
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_guard_inputs_item_of_a_chunk_function_is_named(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_chunks(pool, triple_chunk_but_one, in, out, guarded(0)), FM_ECRASHED);
    expect_record(pool, 1, 1, bad_item_of(in));
    expect_counted(in);
    expect_all_but_one(out);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_guard_inputs_second_of_two_is_named_as_that(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in[] = {t_counted(N), t_counted(N)}, *out = t_vector(FM_I64, N);
    t_expect(fm_pool_starmap(pool, add_but_one, in, 2, out, guarded(0)), FM_ECRASHED);
    expect_record(pool, 1, 2, bad_item_of(in[1]));
    expect_counted(in[1]);
    expect_all_but_one(out);
    fm_array_destroy(in[0]);
    fm_array_destroy(in[1]);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_guard_inputs_of_a_file_are_named_and_the_file_is_as_it_was(void **state)
{
    (void)state;
    static const int modes[] = {FM_NPY_MAP, FM_NPY_MAP_WRITE};
    for (size_t i = 0; i < T_N_OF(modes); i++) {
        fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
        const char *path = t_numbers("in.npy", N);
        fm_array *in = t_load(path, modes[i]), *out = t_vector(FM_I64, N);
        t_expect(fm_pool_map(pool, triple_but_one, in, out, guarded(0)), FM_ECRASHED);
        expect_record(pool, 1, 1, bad_item_of(in));
        expect_all_but_one(out);
        fm_array_destroy(in);
        in = t_load(path, FM_NPY_READ);
        expect_counted(in);
        fm_array_destroy(in);
        fm_array_destroy(out);
        t_destroy(pool);
    }
}

static void test_guard_inputs_that_are_only_read_are_mapped_as_without(void **state)
{
    (void)state;
    static const int callers[] = {FM_CALLER_SLEEPS, FM_CALLER_WORKS, FM_CALLER_ONLY};
    for (size_t i = 0; i < T_N_OF(callers); i++) {
        fm_pool *pool = t_open(callers[i] == FM_CALLER_ONLY ? 1 : 2, callers[i]);
        fm_array *in = t_counted(N), *out = t_vector(FM_I64, N);
        for (int lap = 0; lap < 20; lap++)
            t_expect(fm_pool_map(pool, t_triple, in, out, guarded(0)), 0);
        t_expect_tripled(out);
        fm_array_destroy(in);
        fm_array_destroy(out);
        t_destroy(pool);
    }
}

/* In the same workers, which were inside a guarded map before. */
static void test_guard_inputs_are_written_to_by_the_next_map(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = t_vector(FM_I64, N);
    for (int lap = 0; lap < 20; lap++) {
        t_expect(fm_pool_map(pool, t_triple, in, out, guarded(0)), 0);
        t_expect(fm_pool_map(pool, t_triple, out, in, NULL), 0);
        int64_t *data = fm_array_data(in);
        for (int64_t i = 0; i < N; i++) {
            assert_int_equal(data[i], 9 * i + 4);
            data[i] = i;
        }
    }
    fm_failure none[1];
    assert_int_equal(fm_pool_failures(pool, none, 1), 0);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_guard_inputs_are_the_output_of_another_map_at_the_same_time(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *shared = t_counted(N), *in = t_counted(N), *out = t_vector(FM_I64, N);
    for (int lap = 0; lap < 20; lap++) {
        fm_result *reads, *writes;
        t_expect(fm_pool_map_async(pool, t_triple, shared, out, guarded(0), &reads), 0);
        t_expect(fm_pool_map_async(pool, t_triple, in, shared, NULL, &writes), 0);
        t_expect(fm_result_get(reads, FM_FOREVER), 0);
        t_expect(fm_result_get(writes, FM_FOREVER), 0);
        t_expect_tripled(shared);
        t_expect(fm_result_free(reads), 0);
        t_expect(fm_result_free(writes), 0);
    }
    fm_array_destroy(shared);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

/* Its first row and its last one share their pages with what lies beside it, which is the output. */
static int write_beside(const void *item, void *result, void *arg)
{
    const int64_t *x = item;
    (void)arg;
    *(int64_t *)result = 3 * *x + 1;
    return 0;
}

static void test_guard_inputs_leave_what_lies_beside_a_view_alone(void **state)
{
    (void)state;
    enum { HALF = 10001 }; /* no number of whole pages */
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *whole = t_counted(2 * HALF), *in, *out;
    t_expect(fm_array_view(&in, whole, &(fm_slice){0, HALF, 1}), 0);
    t_expect(fm_array_view(&out, whole, &(fm_slice){HALF, 2 * HALF, 1}), 0);
    t_expect(fm_pool_map(pool, write_beside, in, out, guarded(0)), 0);
    t_expect_tripled(out);
    expect_counted(in);
    t_expect(fm_pool_map(pool, triple_but_one, in, out, guarded(0)), FM_ECRASHED);
    expect_record(pool, 1, 1, bad_item_of(in));
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(whole);
    t_destroy(pool);
}

static int overwrite_last(const void *item, void *result, void *arg)
{
    int64_t last = *(const int64_t *)arg;
    const int64_t *x = item;
    if (*x == last)
        *(volatile int64_t *)(uintptr_t)item = -1;
    *(int64_t *)result = *x;
    return 0;
}

/* 33 KiB: the last page is not full. 4,000 bytes: not one whole page. */
static void test_guard_inputs_reach_to_the_last_byte_from_32_kib_on(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        int code;
    } sizes[] = {{33 * 128 + 5, FM_ECRASHED}, {500, 0}};
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (size_t i = 0; i < T_N_OF(sizes); i++) {
        int64_t last = sizes[i].n - 1;
        fm_array *in = t_counted(sizes[i].n), *out = t_vector(FM_I64, sizes[i].n);
        fm_map_opts opts = *guarded(0);
        opts.arg = &last;
        opts.arg_bytes = sizeof last;
        t_expect(fm_pool_map(pool, overwrite_last, in, out, &opts), sizes[i].code);
        assert_int_equal(t_i64(in)[last], sizes[i].code == 0 ? -1 : last);
        fm_array_destroy(in);
        fm_array_destroy(out);
    }
    t_destroy(pool);
}

static void test_guard_inputs_in_place_and_unknown_guards_are_refused(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(100);
    t_expect(fm_pool_map(pool, t_triple, in, in,
                         FM_MAP_OPTS(.flags = FM_IN_PLACE, .guard = FM_GUARD_INPUTS)),
             -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "FM_IN_PLACE"));
    t_expect(fm_pool_map(pool, t_triple, in, NULL, FM_MAP_OPTS(.guard = 2)), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "guard"));
    expect_counted(in);
    fm_array_destroy(in);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_guard_inputs_item_that_writes_into_its_input_is_named),
       T_TEST(test_guard_inputs_item_of_a_chunk_function_is_named),
       T_TEST(test_guard_inputs_second_of_two_is_named_as_that),
       T_TEST(test_guard_inputs_of_a_file_are_named_and_the_file_is_as_it_was),
       T_TEST(test_guard_inputs_that_are_only_read_are_mapped_as_without),
       T_TEST(test_guard_inputs_are_written_to_by_the_next_map),
       T_TEST(test_guard_inputs_are_the_output_of_another_map_at_the_same_time),
       T_TEST(test_guard_inputs_leave_what_lies_beside_a_view_alone),
       T_TEST(test_guard_inputs_reach_to_the_last_byte_from_32_kib_on),
       T_TEST(test_guard_inputs_in_place_and_unknown_guards_are_refused))
