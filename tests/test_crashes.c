/* SPDX-License-Identifier: MIT */
/* LABELS: crash */
/* Functions that kill their worker, or never end: each becomes a record with its kind, and all other items are right. */
#include "t_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 120, BAD = 77, MAX_RECORDS = 32 };

static fm_failure records[MAX_RECORDS];

static int64_t *numbers(fm_array *a)
{
    return fm_array_data(a);
}

/* ---- ways to die ---- */

#define BAD_ADDRESS ((uintptr_t)0x1230)

static T_UNCHECKED void write_nowhere(void)
{
    *(volatile int *)BAD_ADDRESS = 1;
}

static T_UNCHECKED void divide_by_zero(void)
{
    volatile int zero = 0, one = 1;
    one = one / zero;
}

/* Volatile, or the compiler sees that it never ends. */
static volatile int is_deep_enough;

static __attribute__((noinline)) T_UNCHECKED int recurse(volatile const char *outer)
{
    volatile char frame[4096];
    frame[0] = outer == NULL ? 1 : outer[0];
    return is_deep_enough ? 0 : recurse(frame) + frame[0];
}

static void run_true(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void die(int way)
{
    switch (way) {
    case 0:
        write_nowhere();
        return;
    case 1:
        abort();
    case 2:
        divide_by_zero();
        return;
    case 3:
        exit(3);
    case 4:
        _exit(0);
    case 5:
        recurse(NULL);
        return;
    case 6:
        kill(getpid(), SIGKILL);
        pause();
        return;
    case 7:
        run_true();
        return;
    case 8:
        raise(SIGTERM);
        return;
    default:
        for (;;)
            pause();
    }
}

/* What the record of each way says. */
static const struct way {
    const char *name;
    int state, code, signal, attempt, stack_overflow;
} ways[] = {
    {"wild pointer", FM_ITEM_CRASHED, 0, SIGSEGV, 1, 0},
    {"abort", FM_ITEM_CRASHED, 0, SIGABRT, 1, 0},
    {"division by zero", FM_ITEM_CRASHED, 0, SIGFPE, 1, 0},
    {"exit(3)", FM_ITEM_CRASHED, 3, 0, 1, 0},
    {"_exit(0)", FM_ITEM_CRASHED, 0, 0, 1, 0},
    {"endless recursion", FM_ITEM_CRASHED, 0, SIGSEGV, 1, 1},
    {"SIGKILL", FM_ITEM_CRASHED, 0, SIGKILL, 3, 0}, /* nobody knows who sent it: tried again */
    {"exec", FM_ITEM_CRASHED, 0, 0, 1, 0},
    {"SIGTERM", FM_ITEM_CRASHED, 0, SIGTERM, 1, 0},
};
enum { FOR_EVER = 9 };

static int die_at_bad(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    if (i == BAD) {
        fm_note("about to die in way %d", *(const int *)arg);
        die(*(const int *)arg);
    }
    *(int64_t *)result = i;
    return 0;
}

static int die_in_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t i = chunk->begin + r;
        int code = die_at_bad(&i, (char *)chunk->out + r * chunk->out_stride, arg);
        if (code != 0)
            return code;
    }
    return 0;
}

static void check_rest(fm_array *out)
{
    for (int64_t i = 0; i < N; i++)
        if (i != BAD)
            assert_int_equal(numbers(out)[i], i);
}

static void check_way(fm_pool *pool, int way, const char *kind)
{
    char note[96];
    const fm_failure *f = &records[0];
    if (fm_pool_failures(pool, records, MAX_RECORDS) != 1 || f->item != BAD)
        fail_msg("%s, %s: %lld records, the first for item %lld", ways[way].name, kind,
                 (long long)fm_pool_failures(pool, NULL, 0), (long long)f->item);
    if (f->state != ways[way].state || f->code != ways[way].code || f->signal != ways[way].signal ||
        f->attempt != ways[way].attempt || f->stack_overflow != ways[way].stack_overflow)
        fail_msg("%s, %s: state %s, code %d, signal %d, attempt %d, stack overflow %d",
                 ways[way].name, kind, fm_item_state_name(f->state), f->code, f->signal, f->attempt,
                 f->stack_overflow);
    assert_int_equal(f->address, way == 0 ? BAD_ADDRESS : f->address);
    if (ways[way].signal != SIGSEGV && ways[way].signal != SIGFPE)
        assert_int_equal(f->address, 0);
    else
        assert_true(f->address != 0);
    assert_true(f->pid > 0 && f->pid != getpid() && f->worker >= 0 && f->worker < 2 &&
                f->peak_bytes > 0);
    assert_true(f->begin_ns > 0 && f->end_ns >= f->begin_ns);
    snprintf(note, sizeof note, "about to die in way %d", way);
    assert_string_equal(f->note, note);
}

static void test_crashes_of_every_kind_become_records(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int way = 0; way < (int)T_N_OF(ways); way++) {
        memset(fm_array_data(out), 0xff, fm_array_bytes(out));
        t_expect(fm_pool_map_range(pool, die_at_bad, 0, N, out,
                                   FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way,
                                               .on_error = FM_ON_ERROR_CONTINUE)),
                 FM_ECRASHED);
        check_way(pool, way, "item function");
        check_rest(out);
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_crashes_of_chunk_functions_are_traced_to_the_item(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int way = 0; way < (int)T_N_OF(ways); way++)
        for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
            memset(fm_array_data(out), 0xff, fm_array_bytes(out));
            t_expect(fm_pool_map_range_chunks(pool, die_in_chunk, 0, N, out,
                                              FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way,
                                                          .schedule = schedule,
                                                          .on_error = FM_ON_ERROR_CONTINUE)),
                     FM_ECRASHED);
            check_way(pool, way, "chunk function");
            check_rest(out);
        }
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_crashes_stop_at_the_lowest_item_by_default(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    int way = 1;
    const fm_map_opts *opts = FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, die_at_bad, 0, N, out, opts), FM_ECRASHED);
    check_way(pool, way, "item function");
    for (int64_t i = 0; i < BAD; i++)
        assert_int_equal(numbers(out)[i], i);
    t_expect(fm_pool_map_range_chunks(pool, die_in_chunk, 0, N, out, opts), FM_ECRASHED);
    check_way(pool, way, "chunk function");
    t_destroy(pool);
    fm_array_destroy(out);
}

static void test_crashes_replace_the_worker(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool_counters counters;
    fm_worker_info before, after;
    int way = 0;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_worker(pool, 0, &before), 0);
    for (int i = 1; i <= 5; i++) {
        t_expect(fm_pool_map_range(pool, die_at_bad, 0, N, out,
                                   FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way,
                                               .on_error = FM_ON_ERROR_CONTINUE)),
                 FM_ECRASHED);
        t_expect(fm_pool_worker(pool, 0, &after), 0);
        assert_int_equal(after.starts, 1 + i);
        assert_int_not_equal(after.pid, before.pid);
        assert_int_equal(after.cpu, before.cpu);
        t_expect(fm_pool_stats(pool, &counters), 0);
        assert_int_equal(counters.deaths, i);
        before = after;
    }
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- retries ---- */

static int die_twice(const void *item, void *result, void *arg)
{
    _Atomic int *tries = arg;
    int64_t i = *(const int64_t *)item;
    if (i == BAD && atomic_fetch_add(tries, 1) < 2)
        abort();
    *(int64_t *)result = i;
    return 0;
}

static void test_crashes_are_retried_as_often_as_asked(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *tries = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, die_twice, 0, N, out,
                               FM_MAP_OPTS(.arg = fm_array_data(tries), .retries = 2)),
             0);
    assert_int_equal(numbers(out)[BAD], BAD);
    check_rest(out);
    *(int *)fm_array_data(tries) = 0;
    t_expect(fm_pool_map_range(pool, die_twice, 0, N, out,
                               FM_MAP_OPTS(.arg = fm_array_data(tries), .retries = 1)),
             FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, records, 1), 1);
    assert_int_equal(records[0].attempt, 2);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(tries);
}

/* Killed by another process, not by its own doing: runs again without being asked. */
static int be_killed_once(const void *item, void *result, void *arg)
{
    _Atomic int *pid = arg;
    int none = 0;
    int64_t i = *(const int64_t *)item;
    if (i == BAD && atomic_compare_exchange_strong(pid, &none, getpid()))
        pause();
    *(int64_t *)result = i;
    return 0;
}

static int kill_who_asks(const fm_progress *p, void *arg)
{
    int pid = atomic_load((_Atomic int *)arg);
    (void)p;
    if (pid > 0) {
        kill(pid, SIGKILL);
        atomic_store((_Atomic int *)arg, -1);
    }
    return 0;
}

static void test_crashes_by_a_kill_from_outside_go_unnoticed(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *pid = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, be_killed_once, 0, N, out,
                               FM_MAP_OPTS(.arg = fm_array_data(pid), .progress = kill_who_asks,
                                           .progress_arg = fm_array_data(pid),
                                           .progress_interval = FM_MS(1))),
             0);
    assert_int_equal(*(int *)fm_array_data(pid), -1);
    assert_int_equal(numbers(out)[BAD], BAD);
    check_rest(out);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(pid);
}

/* ---- in place ---- */

static int scribble_and_die(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    *(int64_t *)result = -i - 1;
    if (i == BAD)
        die(*(const int *)arg);
    return 0;
}

static int scribble_chunk_and_die(const fm_chunk *chunk, void *arg)
{
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t *x = (int64_t *)((char *)chunk->out + r * chunk->out_stride);
        scribble_and_die(x, x, arg);
    }
    return 0;
}

static void test_crashes_in_place_restore_the_rows(void **state)
{
    (void)state;
    static const int some[] = {1, 6};
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_pool_counters counters;
    for (size_t k = 0; k < 2 * T_N_OF(some); k++) {
        fm_array *a = t_counted(N);
        int way = some[k / 2];
        const fm_map_opts *opts =
            FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way, .flags = FM_IN_PLACE,
                        .on_error = FM_ON_ERROR_CONTINUE);
        t_expect(k % 2 == 0 ? fm_pool_map(pool, scribble_and_die, a, a, opts)
                            : fm_pool_map_chunks(pool, scribble_chunk_and_die, a, a, opts),
                 FM_ECRASHED);
        for (int64_t i = 0; i < N; i++)
            assert_int_equal(numbers(a)[i], i == BAD ? i : -i - 1);
        fm_array_destroy(a);
    }
    t_expect(fm_pool_stats(pool, &counters), 0);
    assert_true(counters.undo_bytes > 0);
    t_destroy(pool);
}

/* ---- states ---- */

static void test_crashes_status_and_counts_tell_each_kind(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *status = t_vector(FM_U8, N);
    const uint8_t *states = fm_array_data(status);
    int way = FOR_EVER;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(
        fm_pool_map_range(pool, die_at_bad, 0, N, out,
                          FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way, .status = status,
                                      .on_error = FM_ON_ERROR_CONTINUE, .item_timeout = FM_MS(30))),
        FM_ETIMEOUT);
    for (int i = 0; i < N; i++)
        assert_int_equal(states[i], i == BAD ? FM_ITEM_TIMEOUT : FM_ITEM_DONE);
    way = 3;
    t_expect(fm_pool_map_range(pool, die_at_bad, 0, N, out,
                               FM_MAP_OPTS(.arg = &way, .arg_bytes = sizeof way, .status = status,
                                           .on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    for (int i = 0; i < N; i++)
        assert_int_equal(states[i], i == BAD ? FM_ITEM_CRASHED : FM_ITEM_DONE);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

T_MAIN(T_EACH_METHOD(test_crashes_of_every_kind_become_records),
       T_EACH_METHOD(test_crashes_of_chunk_functions_are_traced_to_the_item),
       T_EACH_METHOD(test_crashes_stop_at_the_lowest_item_by_default),
       T_EACH_METHOD(test_crashes_replace_the_worker),
       T_EACH_METHOD(test_crashes_are_retried_as_often_as_asked),
       T_EACH_METHOD(test_crashes_by_a_kill_from_outside_go_unnoticed),
       T_EACH_METHOD(test_crashes_in_place_restore_the_rows),
       T_EACH_METHOD(test_crashes_status_and_counts_tell_each_kind))
