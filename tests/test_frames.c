/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* The frames of a crash: which function, in which module, called by whom; and stacks that cannot be read. */
#include "t_pool.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* T_MODULE_DIR: where CMake put scale2.so. */

static fm_failure records[4];

static fm_frame frame_of(fm_pool *pool, const fm_failure *f, int i)
{
    fm_frame frame;
    t_expect(fm_pool_frame(pool, f, i, &frame), 0);
    return frame;
}

/* The frame whose function is that, from `from` on; -1: none. */
static int find_frame(fm_pool *pool, const fm_failure *f, int from, const char *function)
{
    for (int i = from; i < f->n_frames; i++)
        if (strcmp(frame_of(pool, f, i).function, function) == 0)
            return i;
    return -1;
}

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- in the program itself ----------------------------------------------------------------------- */

static volatile int *const nowhere = (volatile int *)8;
static volatile int depth; /* read after each call, so that none is a jump */

static __attribute__((noinline)) T_UNCHECKED void crash_deepest(int how)
{
    if (how == 0)
        *nowhere = 1;
    if (how == 1)
        abort();
    depth = how;
}

static __attribute__((noinline)) void crash_middle(int how)
{
    crash_deepest(how);
    depth++;
}

static int crash_item(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    crash_middle((int)*(const int64_t *)item);
    return depth < 0;
}

static void check_chain(fm_pool *pool, const fm_failure *f, int first)
{
    static const char *const names[] = {"crash_deepest", "crash_middle", "crash_item"};
    for (int i = 0; i < 3; i++) {
        fm_frame frame = frame_of(pool, f, first + i);
        assert_string_equal(frame.function, names[i]);
        assert_true(frame.offset > 0 && frame.function_offset > 0);
        assert_true(ends_with(frame.module, "/test_frames"));
    }
}

static void test_frames_name_the_function_that_crashed_and_who_called_it(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, crash_item, 0, 2, NULL,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, records, 2), 2);
    check_chain(pool, &records[0], 0);
    int first = find_frame(pool, &records[1], 0, "crash_deepest"); /* behind those of abort() */
    assert_true(first > 0);
    assert_non_null(strstr(frame_of(pool, &records[1], 0).module, "/libc"));
    check_chain(pool, &records[1], first);
    t_destroy(pool);
}

static void test_frames_of_a_single_call_are_named_too(void **state)
{
    fm_result *result;
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range_async(pool, crash_item, 0, 1, NULL, NULL, &result), 0);
    t_expect(fm_result_get(result, FM_FOREVER), FM_ECRASHED);
    assert_int_equal(fm_result_failures(result, records, 1), 1);
    check_chain(pool, &records[0], 0);
    fm_result_free(result);
    t_destroy(pool);
}

/* ---- a library that was opened after the pool ------------------------------------------------------ */

union symbol { /* ISO C has no cast between the two */
    void *object;
    fm_item_fn *item;
};

static void test_frames_of_a_library_opened_after_the_pool_name_it(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    t_skip("a build without UBSan, which ends the process before the library's wild store");
#endif
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    void *handle = dlopen(T_MODULE_DIR "/scale2.so", RTLD_NOW | RTLD_LOCAL);
    assert_non_null(handle);
    union symbol scale = {.object = dlsym(handle, "scale")};
    assert_non_null(scale.object);
    t_expect(fm_pool_map_range(pool, scale.item, 7, 8, NULL, NULL),
             FM_ECRASHED); /* no row to write to */
    assert_int_equal(fm_pool_failures(pool, records, 1), 1);
    fm_frame frame = frame_of(pool, &records[0], 0);
    assert_string_equal(frame.function, "scale");
    assert_true(ends_with(frame.module, "/scale2.so"));
    t_destroy(pool);
    dlclose(handle);
}

/* ---- stacks that are no good ------------------------------------------------------------------------ */

static volatile int is_deep_enough;

static __attribute__((noinline)) T_UNCHECKED int recurse(volatile const char *outer)
{
    volatile char frame[4096];
    frame[0] = outer == NULL ? 1 : outer[0];
    return is_deep_enough ? 0 : recurse(frame) + frame[0];
}

static int overflow_stack(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return recurse(NULL);
}

static void test_frames_of_a_stack_overflow_are_the_innermost_ones(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, overflow_stack, 0, 1, NULL, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, records, 1), 1);
    assert_int_equal(records[0].stack_overflow, 1);
    assert_int_equal(records[0].n_frames, FM_MAX_FRAMES);
    assert_string_equal(frame_of(pool, &records[0], FM_MAX_FRAMES - 1).function, "recurse");
    t_destroy(pool);
}

#if defined(__x86_64__)
/* By its tables the caller's frame lies where rbp points: the unwinder itself crashes there. */
static __attribute__((noinline, optimize("no-omit-frame-pointer"))) T_UNCHECKED void
lose_the_frame(void)
{
    __asm__ volatile(
        ".cfi_remember_state\n.cfi_def_cfa %%rbp, 16\nmov $0x10, %%rbp\nud2\n.cfi_restore_state" ::
            : "memory");
}
#endif

static int crash_with_a_bad_stack(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
#if defined(__x86_64__)
    lose_the_frame();
#endif
    return depth;
}

static void test_frames_that_crash_the_unwinder_leave_the_record_of_the_first_crash(void **state)
{
    (void)state;
#if !defined(__x86_64__)
    t_skip("a way to break a stack on this processor");
#endif
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, crash_with_a_bad_stack, 0, 1, NULL, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, records, 1), 1);
    assert_int_equal(records[0].signal, SIGILL);
    assert_true(records[0].address != 0);
    assert_int_equal(records[0].n_frames, 1);
    assert_string_equal(frame_of(pool, &records[0], 0).function, "lose_the_frame");
    t_destroy(pool);
}

/* ---- what has none ---------------------------------------------------------------------------------- */

static int fail_or_exit(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    if (*(const int64_t *)item == 1)
        exit(3);
    return 1;
}

static void test_frames_are_refused_where_there_are_none(void **state)
{
    fm_frame frame;
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fail_or_exit, 0, 2, NULL,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
             FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, records, 2), 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(records[i].n_frames, 0);
        t_expect(fm_pool_frame(pool, &records[i], 0, &frame), -EINVAL);
    }
    records[0].n_frames = 1000; /* a record that was changed */
    t_expect(fm_pool_frame(pool, &records[0], FM_MAX_FRAMES, &frame), -EINVAL);
    records[0].frames[0] = UINT64_MAX;
    t_expect(fm_pool_frame(pool, &records[0], 0, &frame), 0);
    assert_string_equal(frame.module, "");
    t_expect(fm_pool_frame(pool, NULL, 0, &frame), -EINVAL);
    t_expect(fm_pool_frame(pool, &records[0], 0, NULL), -EINVAL);
    t_expect(fm_pool_frame(NULL, &records[0], 0, &frame), -EINVAL);
    t_destroy(pool);
}

T_MAIN(T_EACH_METHOD(test_frames_name_the_function_that_crashed_and_who_called_it),
       T_TEST(test_frames_of_a_single_call_are_named_too),
       T_TEST(test_frames_of_a_library_opened_after_the_pool_name_it),
       T_TEST(test_frames_of_a_stack_overflow_are_the_innermost_ones),
       T_TEST(test_frames_that_crash_the_unwinder_leave_the_record_of_the_first_crash),
       T_TEST(test_frames_are_refused_where_there_are_none))
