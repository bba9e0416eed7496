/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * No pidfds, as on an old kernel or under a container's filter: pidfd_open(2), and in some tests pidfd_send_signal(2), fail in every process. Pools and processes work,
 * by every start method, and end with their host.
 */
#include "t_inject.h"
#include "t_process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>

enum { N_ITEMS = 1000, LIMIT_S = 14 };

#define MUST(condition) must_at((condition), #condition, __LINE__)
static void must_at(int holds, const char *what, int line)
{
    if (holds)
        return;
    t_inject_say("line %d: not so: %s (%s)", line, what, fm_error_detail());
    _exit(1);
}

static void run_without(int call, int error, void (*host)(void *), int expected_signal)
{
    struct t_inject what = {.call = call, .error = error, .nth = 1, .n = INT_MAX};
    struct t_injected out;
    if (t_inject_lacks() != NULL)
        t_skip(t_inject_lacks());
    t_inject(host, NULL, &what, LIMIT_S, &out);
    if (t_signal(out.status) != expected_signal || t_exit_code(out.status) > 0 || out.is_late ||
        out.is_left)
        fail_msg("%s%sexit code %d, signal %d: %s", out.is_late ? "hangs, " : "",
                 out.is_left ? "leaves a process, " : "", t_exit_code(out.status),
                 t_signal(out.status), out.said);
    assert_true(out.n_failed > 0);
}

static int crash_at_seven(const void *item, void *result, void *arg)
{
    (void)arg;
    if (*(const int64_t *)item == 7)
        abort();
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static void map_with_a_crash(fm_pool *pool)
{
    fm_array *out;
    MUST(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N_ITEMS)) == 0);
    MUST(fm_pool_map_range(pool, crash_at_seven, 0, N_ITEMS, out,
                           FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)) == FM_ECRASHED);
    for (int64_t i = 0; i < N_ITEMS; i++)
        MUST(t_i64(out)[i] == (i == 7 ? 0 : 2 * i));
    fm_array_destroy(out);
}

static void use_pool(void *unused)
{
    fm_pool *pool;
    (void)unused;
    int n_fds = 0;
    t_inject_arm();
    for (int i = 0; i < 2; i++) { /* the heap has its descriptor after the first time */
        MUST(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
        map_with_a_crash(pool);
        MUST(fm_pool_close(pool) == 0);
        MUST(fm_pool_join(pool, FM_SECONDS(5)) == 0);
        MUST(fm_pool_destroy(pool) == 0);
        MUST(fm_forkserver_stop() == 0);
        MUST(t_inject_is_alone());
        MUST(i == 0 || t_inject_n_fds() == n_fds);
        n_fds = t_inject_n_fds();
    }
}

static int return_42(void *arg)
{
    (void)arg;
    return 42;
}

static int hang(void *arg)
{
    (void)arg;
    while (pause() != 0)
        ;
    return 0;
}

static fm_process *start(fm_target_fn *target)
{
    fm_process *p;
    MUST(fm_process_create(&p, target, NULL, 0, NULL) == 0);
    MUST(fm_process_start(p) == 0);
    return p;
}

static void use_processes(void *unused)
{
    int code = 0;
    (void)unused;
    t_inject_arm();
    fm_process *a = start(return_42), *b = start(hang);
    MUST(fm_process_join(a, FM_SECONDS(5)) == 0);
    MUST(fm_process_exitcode(a, &code) == 0 && code == 42);
    MUST(fm_process_join(b, FM_MS(20)) == -ETIMEDOUT);
    MUST(fm_process_is_alive(b) == 1);
    int sentinel = fm_process_sentinel(b);
    MUST(sentinel == -ENOSYS || sentinel >= 0); /* the latter where only signals are refused */
    MUST(fm_process_terminate(b) == 0);
    MUST(fm_process_join(b, FM_SECONDS(5)) == 0);
    MUST(fm_process_exitcode(b, &code) == 0 && code == -SIGTERM);
    MUST(fm_process_close(a) == 0 && fm_process_close(b) == 0);
    MUST(fm_forkserver_stop() == 0);
    MUST(t_inject_is_alone());
}

/* While a worker, and a process, hang. */
static void die_with_all(void *unused)
{
    fm_pool *pool;
    (void)unused;
    t_inject_arm();
    MUST(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    (void)start(hang);
    raise(SIGKILL);
}

static void test_no_pidfd_pool_maps_replaces_workers_and_ends(void **state)
{
    (void)state;
    run_without(SYS_pidfd_open, ENOSYS, use_pool, 0);
}

static void test_no_pidfd_process_is_joined_and_terminated(void **state)
{
    (void)state;
    run_without(SYS_pidfd_open, EPERM, use_processes, 0);
}

static void test_no_pidfd_host_that_is_killed_takes_all_with_it(void **state)
{
    (void)state;
    run_without(SYS_pidfd_open, ENOSYS, die_with_all, SIGKILL);
}

static void test_no_pidfd_signals_are_sent_by_number(void **state)
{
    (void)state;
    run_without(SYS_pidfd_send_signal, EPERM, use_processes, 0);
}

T_MAIN(T_EACH_METHOD(test_no_pidfd_pool_maps_replaces_workers_and_ends),
       T_EACH_METHOD(test_no_pidfd_process_is_joined_and_terminated),
       T_EACH_METHOD(test_no_pidfd_host_that_is_killed_takes_all_with_it),
       T_EACH_METHOD(test_no_pidfd_signals_are_sent_by_number))
