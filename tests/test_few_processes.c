/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Processes that cannot be forked: by a limit of the user or of a control group, or because the call itself is made to fail. A pool opens with fewer workers, if
 * these are enough; or not at all, and then nothing is left. A pool that runs tries again, and is broken, by name, if that does not help.
 */
#include "t_inject.h"
#include "t_process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

enum { N_ITEMS = 100, LIMIT_S = 14 };

/* In a host, where no assertion may be used. */
#define MUST(condition) must_at((condition), #condition, __LINE__)
static void must_at(int holds, const char *what, int line)
{
    if (holds)
        return;
    t_inject_say("line %d: not so: %s (%s)", line, what, fm_error_detail());
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, what, fm_error_detail());
    _exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static void check_map(fm_pool *pool)
{
    fm_array *out;
    t_must(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N_ITEMS)));
    t_must(fm_pool_map_range(pool, twice, 0, N_ITEMS, out, NULL));
    for (int64_t i = 0; i < N_ITEMS; i++)
        MUST(t_i64(out)[i] == 2 * i);
    fm_array_destroy(out);
}

/* ---- at the open --------------------------------------------------------------------------------- */

struct limited {
    void (*begin)(void), (*end)(void); /* of the limit */
    int n_allowed;                     /* workers, by it */
    int caller;
};

/* Four are asked for. */
static void open_limited(const struct limited *l, int n_least, int expected)
{
    fm_pool *pool;
    int64_t begin_ns = now_ns();
    l->begin();
    int rc = fm_pool_open(&pool,
                          FM_POOL_OPTS(.workers = 4, .min_workers = n_least, .caller = l->caller));
    MUST(now_ns() - begin_ns < FM_SECONDS(4));
    MUST(rc == expected);
    MUST((pool != NULL) == (rc == 0));
    if (rc == 0) {
        MUST(fm_pool_workers(pool) == l->n_allowed);
        check_map(pool);
        MUST(fm_pool_resize(pool, 4) == -EAGAIN);
        MUST(fm_pool_workers(pool) == l->n_allowed);
        check_map(pool);
        if (l->end != NULL) {
            l->end();
            t_must(fm_pool_resize(pool, 4));
            MUST(fm_pool_workers(pool) == 4);
            check_map(pool);
        }
        t_must(fm_pool_destroy(pool));
    } else {
        MUST(strstr(fm_error_detail(), "cannot be forked") != NULL);
    }
    (void)fm_forkserver_stop();
    MUST(t_inject_is_alone());
}

static void open_with_enough(void *limited)
{
    const struct limited *l = limited;
    if (fm_get_start_method() == FM_FORKSERVER)
        t_must(fm_forkserver_start(NULL));
    open_limited(l, l->n_allowed, 0);
}

static void open_with_too_few(void *limited)
{
    const struct limited *l = limited;
    if (fm_get_start_method() == FM_FORKSERVER)
        t_must(fm_forkserver_start(NULL));
    open_limited(l, l->n_allowed + 1, -EAGAIN);
    if (l->end != NULL)
        l->end();
}

static void run_injected(void (*host)(void *), void *arg, const struct t_inject *what)
{
    struct t_injected out;
    if (t_inject_lacks() != NULL)
        t_skip(t_inject_lacks());
    t_inject(host, arg, what, LIMIT_S, &out);
    if (out.status != 0 || out.is_late || out.is_left)
        fail_msg("%s%sexit code %d, signal %d: %s", out.is_late ? "hangs, " : "",
                 out.is_left ? "leaves a process, " : "", t_exit_code(out.status),
                 t_signal(out.status), out.said);
    assert_true(out.n_failed > 0);
}

static int is_for_a_worker(const struct seccomp_data *call)
{
    return (call->args[0] & 0xff) ==
           SIGCHLD; /* a spawned program is cloned by vfork, or by clone3 */
}

/* The warden is a fork, too, but a spawned one; two workers come through. */
static struct t_inject forks_fail_from_the_third_worker_on(int method)
{
    return (struct t_inject){.call = SYS_clone,
                             .error = EAGAIN,
                             .nth = 3 + (method != FM_SPAWN),
                             .n = INT_MAX,
                             .applies = is_for_a_worker};
}

static void test_few_processes_pool_opens_with_fewer_workers_if_they_are_enough(void **state)
{
    struct t_inject what = forks_fail_from_the_third_worker_on(t_method(state));
    struct limited l = {t_inject_arm, t_inject_disarm, 2, 0};
    run_injected(open_with_enough, &l, &what);
}

static void test_few_processes_pool_does_not_open_with_too_few_and_leaves_nothing(void **state)
{
    struct t_inject what = forks_fail_from_the_third_worker_on(t_method(state));
    struct limited l = {t_inject_arm, t_inject_disarm, 2, 0};
    run_injected(open_with_too_few, &l, &what);
}

/* The caller is one of three. */
static void test_few_processes_pool_of_a_caller_that_works_opens_with_fewer(void **state)
{
    (void)state;
    struct t_inject what = forks_fail_from_the_third_worker_on(FM_FORK);
    struct limited l = {t_inject_arm, t_inject_disarm, 3, FM_CALLER_WORKS};
    run_injected(open_with_enough, &l, &what);
}

static void test_few_processes_pool_of_a_caller_that_works_opens_with_the_caller_alone(void **state)
{
    (void)state;
    struct t_inject what = forks_fail_from_the_third_worker_on(FM_FORK);
    struct limited l = {t_inject_arm, t_inject_disarm, 1, FM_CALLER_WORKS};
    what.nth = 2;
    run_injected(open_with_enough, &l, &what);
}

static void open_without_a_number(void *limited)
{
    open_limited(limited, 0, -EAGAIN);
}

static void test_few_processes_without_min_workers_all_are_needed(void **state)
{
    (void)state;
    struct t_inject what = forks_fail_from_the_third_worker_on(FM_FORK);
    struct limited l = {t_inject_arm, t_inject_disarm, 2, 0};
    what.nth = 5; /* only the last one is missing */
    run_injected(open_without_a_number, &l, &what);
}

/* Then it is as if nothing had been. */
static void open_all(void *unused)
{
    fm_pool *pool;
    (void)unused;
    t_inject_arm();
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 4, .min_workers = 1)));
    t_inject_disarm();
    MUST(fm_pool_workers(pool) == 4);
    check_map(pool);
    t_must(fm_pool_destroy(pool));
}

static void test_few_processes_pool_waits_a_moment_for_all(void **state)
{
    (void)state;
    struct t_inject what = forks_fail_from_the_third_worker_on(FM_FORK);
    what.n = 10;
    run_injected(open_all, NULL, &what);
}

static void test_few_processes_min_workers_is_checked(void **state)
{
    fm_pool *pool;
    (void)state;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .min_workers = 3)), -EINVAL);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .min_workers = -1)), -EINVAL);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.min_workers = FM_MAX_WORKERS + 1)), -EINVAL);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .min_workers = 2)), 0);
    assert_int_equal(fm_pool_workers(pool), 2);
    t_destroy(pool);
    pool = t_open_with(FM_POOL_OPTS(.workers = 1, .caller = FM_CALLER_ONLY, .min_workers = 1));
    t_destroy(pool);
}

/* ---- limits of the system ------------------------------------------------------------------------ */

static rlim_t most_processes;

static void set_limit(void)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NPROC, &limit) == 0);
    limit.rlim_cur = most_processes;
    MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
}

static void lift_limit(void)
{
    struct rlimit limit;
    MUST(getrlimit(RLIMIT_NPROC, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    MUST(setrlimit(RLIMIT_NPROC, &limit) == 0);
}

/* A user whom nobody else is. The host and the warden count. Workers have the limit that the warden had: it cannot be lifted for them. */
static void be_a_limited_user(void *is_enough)
{
    struct limited l = {set_limit, NULL, 2, 0};
    MUST(setuid((uid_t)(100000 + getpid())) == 0);
    most_processes = 4;
    open_limited(&l, *(int *)is_enough ? 2 : 3, *(int *)is_enough ? 0 : -EAGAIN);
    lift_limit();
    fm_pool *pool;
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 4)));
    MUST(fm_pool_workers(pool) == 4);
    check_map(pool);
    t_must(fm_pool_destroy(pool));
}

static void test_few_processes_user_at_the_limit_gets_fewer_workers_or_eagain(void **state)
{
    (void)state;
    if (geteuid() != 0)
        t_skip("root, to become a user who has no other processes");
    for (int is_enough = 0; is_enough < 2; is_enough++)
        t_run_host(be_a_limited_user, &is_enough);
}

static char group[256]; /* its directory */

static int write_to(const char *name, const char *text)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", group, name);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        return -1;
    int rc = fputs(text, file);
    return fclose(file) == 0 && rc >= 0 ? 0 : -1;
}

/* Of version 1, or of version 2 where it hands on the controller. */
static int make_group(void)
{
    static const char *const parents[] = {"/sys/fs/cgroup/pids", "/sys/fs/cgroup"};
    for (size_t i = 0; i < T_N_OF(parents); i++) {
        snprintf(group, sizeof group, "%s/forkmap-test-%d", parents[i], (int)getpid());
        if (mkdir(group, 0755) != 0)
            continue;
        if (write_to("pids.max", "4") == 0)
            return 0;
        rmdir(group);
    }
    return -1;
}

static void enter_group(void)
{
    MUST(write_to("cgroup.procs", "0") == 0);
}

static void widen_group(void)
{
    MUST(write_to("pids.max", "max") == 0);
}

static void open_in_group(void *unused)
{
    struct limited l = {enter_group, widen_group, 2, 0};
    (void)unused;
    open_limited(&l, 2, 0);
}

static void test_few_processes_control_group_at_its_limit_gives_fewer_workers(void **state)
{
    (void)state;
    if (make_group() != 0)
        t_skip("a control group of pids that may be made here");
    int status = t_in_child(open_in_group, NULL);
    t_assert_all_gone();
    int rc = rmdir(group);
    assert_int_equal(status, 0);
    assert_int_equal(rc, 0);
}

/* ---- later --------------------------------------------------------------------------------------- */

static _Atomic int *n_kills; /* shared */

static int kill_the_first(const void *item, void *result, void *arg)
{
    if (atomic_fetch_add(n_kills, 1) < *(int *)arg)
        kill(getpid(), SIGKILL);
    return twice(item, result, NULL);
}

/* Each of two workers dies at its first item; then forks fail. */
static void map_with_dead_workers(void *expected)
{
    fm_array *out, *counter;
    fm_pool *pool;
    int n = 2;
    t_must(fm_array_zeros(&counter, FM_I32, 1, T_SHAPE(1)));
    t_must(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N_ITEMS)));
    n_kills = fm_array_data(counter);
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)));
    t_inject_arm();
    int64_t begin_ns = now_ns();
    int rc = fm_pool_map_range(pool, kill_the_first, 0, N_ITEMS, out,
                               FM_MAP_OPTS(.arg = &n, .arg_bytes = sizeof n, .retries = 2));
    MUST(now_ns() - begin_ns < FM_SECONDS(9));
    MUST(rc == *(int *)expected);
    for (int64_t i = 0; rc == 0 && i < N_ITEMS; i++)
        MUST(t_i64(out)[i] == 2 * i);
    MUST(rc == 0 || fm_pool_map_range(pool, twice, 0, N_ITEMS, out, NULL) == rc);
    t_inject_disarm();
    t_must(fm_pool_destroy(pool));
    MUST(t_inject_is_alone());
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)));
    check_map(pool);
    t_must(fm_pool_destroy(pool));
}

static void
test_few_processes_map_whose_workers_are_dead_and_cannot_be_replaced_is_broken(void **state)
{
    struct t_inject what = {
        .call = SYS_clone, .error = EAGAIN, .nth = 1, .n = INT_MAX, .applies = is_for_a_worker};
    int expected = FM_EBROKEN;
    (void)state;
    run_injected(map_with_dead_workers, &expected, &what);
}

static void test_few_processes_map_goes_on_when_its_dead_workers_can_be_replaced_again(void **state)
{
    struct t_inject what = {
        .call = SYS_clone, .error = EAGAIN, .nth = 1, .n = 20, .applies = is_for_a_worker};
    int expected = 0;
    (void)state;
    run_injected(map_with_dead_workers, &expected, &what);
}

T_MAIN(T_EACH_METHOD(test_few_processes_pool_opens_with_fewer_workers_if_they_are_enough),
       T_EACH_METHOD(test_few_processes_pool_does_not_open_with_too_few_and_leaves_nothing),
       T_TEST(test_few_processes_pool_of_a_caller_that_works_opens_with_fewer),
       T_TEST(test_few_processes_pool_of_a_caller_that_works_opens_with_the_caller_alone),
       T_TEST(test_few_processes_without_min_workers_all_are_needed),
       T_TEST(test_few_processes_pool_waits_a_moment_for_all),
       T_TEST(test_few_processes_min_workers_is_checked),
       T_TEST(test_few_processes_user_at_the_limit_gets_fewer_workers_or_eagain),
       T_TEST(test_few_processes_control_group_at_its_limit_gives_fewer_workers),
       T_TEST(test_few_processes_map_whose_workers_are_dead_and_cannot_be_replaced_is_broken),
       T_TEST(test_few_processes_map_goes_on_when_its_dead_workers_can_be_replaced_again))
