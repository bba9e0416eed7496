/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* Retries: items that succeed at a later attempt, and what is told of those that never do. */
#include "t_pool.h"

#include <stdatomic.h>

enum { N = 400, MAX_RECORDS = 64 };

static fm_failure records[MAX_RECORDS];

static int64_t *numbers(fm_array *a)
{
    return fm_array_data(a);
}

/* tries[i] in the heap; items that are 7 modulo 20 succeed at their third attempt. */
static int flaky(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    int tries = atomic_fetch_add(&((_Atomic int *)arg)[i], 1) + 1;
    if (i % 20 == 7 && tries < 3)
        return tries;
    *(int64_t *)result = i;
    return 0;
}

static int flaky_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t i = chunk->begin + r;
        int code = flaky(&i, (char *)chunk->out + r * chunk->out_stride, arg);
        if (code != 0)
            return code;
    }
    return 0;
}

static void check_tries(fm_array *tries, fm_array *out)
{
    for (int64_t i = 0; i < N; i++) {
        assert_int_equal(numbers(out)[i], i);
        if (i % 20 == 7)
            assert_true(((int *)fm_array_data(tries))[i] >= 3);
    }
}

static void test_retries_make_a_flaky_item_good(void **state)
{
    (void)state;
    fm_array *tries = t_vector(FM_I32, N), *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    const fm_map_opts *opts = FM_MAP_OPTS(.arg = fm_array_data(tries), .retries = 2);
    t_expect(fm_pool_map_range(pool, flaky, 0, N, out, opts), 0);
    check_tries(tries, out);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(((int *)fm_array_data(tries))[i], i % 20 == 7 ? 3 : 1);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    memset(fm_array_data(tries), 0, fm_array_bytes(tries));
    t_expect(fm_pool_map_range_chunks(pool, flaky_chunk, 0, N, out, opts), 0);
    check_tries(tries, out);
    t_destroy(pool);
    fm_array_destroy(tries);
    fm_array_destroy(out);
}

static void test_retries_records_tell_the_last_attempt(void **state)
{
    (void)state;
    fm_array *tries = t_vector(FM_I32, N), *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, flaky, 0, N, out,
                               FM_MAP_OPTS(.arg = fm_array_data(tries), .retries = 1,
                                           .on_error = FM_ON_ERROR_CONTINUE)),
             FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, records, MAX_RECORDS), 20);
    for (int k = 0; k < 20; k++) {
        assert_int_equal(records[k].item, 7 + 20 * k);
        assert_int_equal(records[k].attempt, 2);
        assert_int_equal(records[k].code, 2); /* of that attempt */
    }
    t_destroy(pool);
    fm_array_destroy(tries);
    fm_array_destroy(out);
}

/* Attempts are counted by the item's number modulo 2^24: an earlier item's may not count for a later one. */
static int fail_once_each(const void *item, void *result, void *arg)
{
    _Atomic int *tries = arg;
    int64_t i = *(const int64_t *)item;
    (void)result;
    if (i % (1 << 24) != 5)
        return 0;
    return atomic_fetch_add(&tries[i >> 24], 1) == 0;
}

static void test_retries_attempts_of_one_item_do_not_count_for_another(void **state)
{
    (void)state;
    fm_array *tries = t_vector(FM_I32, 2);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fail_once_each, 0, (1 << 24) + 6, NULL,
                               FM_MAP_OPTS(.arg = fm_array_data(tries), .retries = 1)),
             0);
    t_destroy(pool);
    fm_array_destroy(tries);
}

T_MAIN(T_EACH_METHOD(test_retries_make_a_flaky_item_good),
       T_EACH_METHOD(test_retries_records_tell_the_last_attempt),
       T_EACH_METHOD(test_retries_attempts_of_one_item_do_not_count_for_another))
