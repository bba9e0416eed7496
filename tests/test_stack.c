/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* Stacks that end, step by step and at one jump: each is a record that says so, and a stack of the size that was asked for is there. */
#include "t_pool.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

enum { N = 8, BAD = 5, MIB = 1 << 20 };

/* ---- ways to use a stack ------------------------------------------------------------------------- */

/* Volatile, or the compiler sees that it never ends. */
static volatile int is_deep_enough;

static __attribute__((noinline)) T_UNCHECKED int recurse(volatile const char *outer)
{
    volatile char frame[4096];
    frame[0] = outer == NULL ? 1 : outer[0];
    return is_deep_enough ? 0 : recurse(frame) + frame[0];
}

/* An array whose length is known at run time only, as Fortran's automatic arrays; touched at both ends. */
static __attribute__((noinline)) T_UNCHECKED int use_array(size_t bytes)
{
    volatile char *array = __builtin_alloca(bytes);
    array[0] = 1;
    array[bytes - 1] = 2;
    return array[0] + array[bytes - 1];
}

/* The same from its far end, by a call: what is touched first is the return address below the array. */
static __attribute__((noinline)) T_UNCHECKED int use_array_by_call(size_t bytes)
{
    volatile char *array = __builtin_alloca(bytes);
    int sum = use_array(64);
    array[bytes - 1] = 2;
    return sum + array[bytes - 1];
}

enum { DEEP = 0, JUST_TOO_LARGE, LARGE, LARGE_BY_CALL, HUGE, HUGE_BY_CALL, N_WAYS };

static int overflow(int way)
{
    switch (way) {
    case DEEP:
        return recurse(NULL);
    case JUST_TOO_LARGE:
        return use_array((size_t)16 * MIB);
    case LARGE:
        return use_array((size_t)600 * MIB);
    case LARGE_BY_CALL:
        return use_array_by_call((size_t)600 * MIB);
    case HUGE:
        return use_array((size_t)24 << 30);
    default:
        return use_array_by_call((size_t)24 << 30);
    }
}

static int overflow_at_bad(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == BAD)
        overflow(*(const int *)arg);
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static int overflow_at_once(const void *arg, void *result)
{
    (void)result;
    return overflow(*(const int *)arg);
}

static void check_record(fm_pool *pool, int64_t item, int way)
{
    fm_failure f;
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    if (f.item != item || f.state != FM_ITEM_CRASHED || f.signal != SIGSEGV ||
        f.stack_overflow != 1)
        fail_msg("way %d: item %lld, %s, signal %d, stack overflow %d, address %#llx", way,
                 (long long)f.item, fm_item_state_name(f.state), f.signal, f.stack_overflow,
                 (unsigned long long)f.address);
}

static void test_stack_overflow_in_an_item_says_so_however_it_comes_about(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *out = t_vector(FM_I64, N);
    for (int way = 0; way < N_WAYS; way++) {
        t_expect(fm_pool_map_range(pool, overflow_at_bad, 0, N, out,
                                   FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way,
                                               .on_error = FM_ON_ERROR_CONTINUE)),
                 FM_ECRASHED);
        check_record(pool, BAD, way);
        for (int i = 0; i < N; i++)
            assert_true(i == BAD || t_i64(out)[i] == i);
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_stack_overflow_in_a_call_says_so_however_it_comes_about(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    for (int way = 0; way < N_WAYS; way++) {
        t_expect(fm_pool_apply(pool, overflow_at_once, &way, sizeof way, NULL, 0), FM_ECRASHED);
        check_record(pool, 0, way);
    }
    t_destroy(pool);
}

/* ---- processes ------------------------------------------------------------------------------------- */

static int overflow_as_process(void *arg)
{
    return overflow(*(const int *)arg);
}

static void run_process(int way)
{
    fm_process *p;
    int code = 0;
    t_expect(fm_process_create(&p, overflow_as_process, &way, sizeof way, NULL), 0);
    t_expect(fm_process_start(p), 0);
    t_expect(fm_process_join(p, FM_SECONDS(15)), 0);
    t_expect(fm_process_exitcode(p, &code), 0);
    assert_int_equal(code, -SIGSEGV);
    t_expect(fm_process_close(p), 0);
}

static void test_stack_overflow_of_a_process_is_reported_as_one(void **state)
{
    char path[600], text[4096];
    int n_reports = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/stderr", t_temp_dir());
    int before = dup(STDERR_FILENO), file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    dup2(file, STDERR_FILENO);
    for (int way = 0; way < N_WAYS; way++)
        run_process(way);
    dup2(before, STDERR_FILENO);
    ssize_t length = pread(file, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    close(before);
    close(file);
    for (const char *at = text; (at = strstr(at, "ended by SIGSEGV: stack overflow")) != NULL; at++)
        n_reports++;
    assert_int_equal(n_reports, N_WAYS);
}

/* ---- what is no overflow ----------------------------------------------------------------------------- */

#define BAD_ADDRESS ((uintptr_t)0x1230)

static T_UNCHECKED int write_nowhere(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    *(volatile int *)BAD_ADDRESS = 1;
    return 0;
}

static void test_stack_overflow_is_not_said_of_a_wild_pointer(void **state)
{
    fm_failure f;
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, write_nowhere, 0, 1, NULL, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_true(f.signal == SIGSEGV && f.stack_overflow == 0 && f.address == BAD_ADDRESS);
    t_destroy(pool);
}

/* ---- sizes --------------------------------------------------------------------------------------------- */

static int use_200_mib(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item + use_array((size_t)200 * MIB);
    return 0;
}

static void test_stack_of_256_mib_holds_an_automatic_array_of_200(void **state)
{
    (void)state;
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 2, .stack_bytes = (size_t)256 * MIB));
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, use_200_mib, 0, N, out, NULL), 0);
    for (int i = 0; i < N; i++)
        assert_int_equal(t_i64(out)[i], i + 3);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int use_200_mib_as_process(void *arg)
{
    (void)arg;
    return use_array((size_t)200 * MIB);
}

static void test_stack_of_a_process_holds_an_automatic_array_of_200_mib(void **state)
{
    fm_process *p;
    int code = 0;
    (void)state;
    t_expect(fm_process_create(&p, use_200_mib_as_process, NULL, 0,
                               FM_PROCESS_OPTS(.stack_bytes = (size_t)256 * MIB)),
             0);
    t_expect(fm_process_start(p), 0);
    t_expect(fm_process_join(p, FM_SECONDS(15)), 0);
    t_expect(fm_process_exitcode(p, &code), 0);
    assert_int_equal(code, 3);
    t_expect(fm_process_close(p), 0);
}

T_MAIN(T_EACH_METHOD(test_stack_overflow_in_an_item_says_so_however_it_comes_about),
       T_TEST(test_stack_overflow_in_a_call_says_so_however_it_comes_about),
       T_EACH_METHOD(test_stack_overflow_of_a_process_is_reported_as_one),
       T_TEST(test_stack_overflow_is_not_said_of_a_wild_pointer),
       T_EACH_METHOD(test_stack_of_256_mib_holds_an_automatic_array_of_200),
       T_EACH_METHOD(test_stack_of_a_process_holds_an_automatic_array_of_200_mib))
