/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* worker_memory_limit: a function that allocates without end gets NULL, and one that does not look at that is recorded as out of memory. */
#include "t_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N = 12, BAD = 7, MIB = 1 << 20, LIMIT_MIB = 48, MOST = 4096 };

static void need_limits(void)
{
#if defined(__SANITIZE_ADDRESS__)
    t_skip("RLIMIT_DATA under AddressSanitizer, which has its own allocator");
#endif
}

static fm_pool *open_limited(size_t limit_mib)
{
    return t_open_with(FM_POOL_OPTS(.workers = 2, .worker_memory_limit = limit_mib * MIB));
}

/* ---- NULL ------------------------------------------------------------------------------------- */

/* Takes all that it gets, by `step` bytes. The result: how many MiB. Mapped is what counts: none of it is touched, page faults are slow. */
static int take_all(const void *item, void *result, void *arg)
{
    static char *blocks[MOST]; /* private to the worker */
    size_t step = *(const size_t *)arg, n = 0;
    (void)item;
    while (n < MOST && (blocks[n] = malloc(step)) != NULL)
        n++;
    for (size_t i = 0; i < n; i++)
        free(blocks[i]);
    *(int64_t *)result = (int64_t)(n * step / MIB);
    return n < MOST ? 0 : 1;
}

static void test_memory_limit_gives_null_to_a_function_that_allocates_without_end(void **state)
{
    (void)state;
    static const size_t steps[] = {100000, MIB, 16 * MIB};
    need_limits();
    fm_pool *pool = open_limited(LIMIT_MIB);
    fm_array *out = t_vector(FM_I64, N);
    for (size_t k = 0; k < T_N_OF(steps); k++) {
        size_t step = steps[k];
        t_expect(fm_pool_map_range(pool, take_all, 0, N, out,
                                   FM_MAP_OPTS(.arg = &step, .arg_bytes = sizeof step)),
                 0);
        for (int i = 0; i < N; i++)
            assert_in_range(t_i64(out)[i], LIMIT_MIB / 2, LIMIT_MIB);
    }
    assert_int_equal(t_counters(pool).deaths, 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* What is shared is no worker's own. */
static int fill_row(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    memset(result, 1, 8 * MIB);
    void *mine = mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mine == MAP_FAILED)
        return errno;
    munmap(mine, 64 * MIB);
    return 0;
}

static void test_memory_limit_does_not_count_arrays_and_shared_maps(void **state)
{
    enum { ROWS = 4 };
    (void)state;
    need_limits();
    fm_pool *pool = open_limited(16);
    fm_array *out = t_array(FM_U8, 2, T_SHAPE(ROWS, 8 * MIB));
    t_expect(fm_pool_map_range(pool, fill_row, 0, ROWS, out, NULL), 0);
    for (int64_t i = 0; i < ROWS; i++)
        assert_int_equal(((const uint8_t *)fm_array_data(out))[i * 8 * MIB + 8 * MIB - 1], 1);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- those that do not look -------------------------------------------------------------------- */

enum { BY_POINTER = 0, BY_ABORT = 1, BY_EXIT = 2, N_WAYS = 3 };

static T_UNCHECKED void *must_have(size_t bytes, int way)
{
    volatile char *p = malloc(bytes);
    if (p == NULL && way == BY_ABORT)
        abort(); /* as C++ does with an exception that nobody catches */
    if (p == NULL && way == BY_EXIT)
        exit(1); /* as Fortran's allocate does */
    p[bytes / 2] = 1;
    return (void *)(uintptr_t)p;
}

static int want_too_much(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    free(must_have(i == BAD ? (size_t)LIMIT_MIB * 2 * MIB : 1000, *(const int *)arg));
    *(int64_t *)result = i;
    return 0;
}

static int want_too_much_in_chunks(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t i = chunk->begin + r;
        int rc = want_too_much(&i, (char *)chunk->out + r * chunk->out_stride, arg);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static void check_record(fm_pool *pool, int64_t item, int way)
{
    fm_failure f;
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    if (f.item != item || f.state != FM_ITEM_OUT_OF_MEMORY || f.attempt != 2)
        fail_msg("way %d: item %lld, %s, attempt %d", way, (long long)f.item,
                 fm_item_state_name(f.state), f.attempt);
    assert_int_equal(f.signal, way == BY_POINTER ? SIGSEGV : way == BY_ABORT ? SIGABRT : 0);
    assert_int_equal(f.code, way == BY_EXIT ? 1 : 0);
}

static void test_memory_limit_makes_a_record_of_who_dies_of_it(void **state)
{
    (void)state;
    need_limits();
    fm_pool *pool = open_limited(LIMIT_MIB);
    fm_array *out = t_vector(FM_I64, N);
    for (int k = 0; k < 2 * N_WAYS; k++) {
        int way = k % N_WAYS;
        const fm_map_opts *opts =
            FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way, .on_error = FM_ON_ERROR_CONTINUE);
        t_expect(k < N_WAYS
                     ? fm_pool_map_range(pool, want_too_much, 0, N, out, opts)
                     : fm_pool_map_range_chunks(pool, want_too_much_in_chunks, 0, N, out, opts),
                 FM_EOOM);
        check_record(pool, BAD, way);
        for (int i = 0; i < N; i++)
            assert_true(i == BAD || t_i64(out)[i] == i);
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

static int want_too_much_once(const void *arg, void *result)
{
    (void)result;
    free(must_have((size_t)LIMIT_MIB * 2 * MIB, *(const int *)arg));
    return 0;
}

static void test_memory_limit_makes_a_record_of_a_call_that_dies_of_it(void **state)
{
    (void)state;
    need_limits();
    fm_pool *pool = open_limited(LIMIT_MIB);
    for (int way = 0; way < N_WAYS; way++) {
        t_expect(fm_pool_apply(pool, want_too_much_once, &way, sizeof way, NULL, 0), FM_EOOM);
        check_record(pool, 0, way);
    }
    t_destroy(pool);
}

/* ---- those that are not to blame ----------------------------------------------------------------- */

static int leak_a_third(const void *item, void *result, void *arg)
{
    (void)arg;
    (void)must_have((size_t)LIMIT_MIB / 3 * MIB, BY_ABORT);
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static void test_memory_limit_that_others_have_used_up_costs_no_item(void **state)
{
    (void)state;
    need_limits();
    fm_pool *pool = open_limited(LIMIT_MIB);
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, leak_a_third, 0, N, out, NULL), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(t_i64(out)[i], i);
    assert_true(t_counters(pool).deaths > 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int crash_of_itself(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    if (*(const int64_t *)item == BAD)
        abort();
    return 0;
}

static void test_memory_limit_does_not_explain_other_crashes(void **state)
{
    fm_failure f;
    (void)state;
    fm_pool *pool = open_limited(1024);
    t_expect(fm_pool_map_range(pool, crash_of_itself, 0, N, NULL, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_true(f.state == FM_ITEM_CRASHED && f.signal == SIGABRT && f.attempt == 1);
    t_destroy(pool);
}

/* ---- the option ------------------------------------------------------------------------------------ */

static void test_memory_limit_of_less_than_a_mebibyte_is_refused(void **state)
{
    fm_pool *pool;
    (void)state;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .worker_memory_limit = MIB - 1)),
             -EINVAL);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "worker_memory_limit is 1048575"));
    pool = t_open_with(FM_POOL_OPTS(.workers = 1, .worker_memory_limit = SIZE_MAX));
    t_destroy(pool);
}

T_MAIN(T_EACH_METHOD(test_memory_limit_gives_null_to_a_function_that_allocates_without_end),
       T_TEST(test_memory_limit_does_not_count_arrays_and_shared_maps),
       T_EACH_METHOD(test_memory_limit_makes_a_record_of_who_dies_of_it),
       T_TEST(test_memory_limit_makes_a_record_of_a_call_that_dies_of_it),
       T_TEST(test_memory_limit_that_others_have_used_up_costs_no_item),
       T_TEST(test_memory_limit_does_not_explain_other_crashes),
       T_TEST(test_memory_limit_of_less_than_a_mebibyte_is_refused))
