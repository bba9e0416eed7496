/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Faults of docs/reliability.md that no other test has: what a function does to its worker, what a worker meets as it starts, what a host does to
 * itself.
 */
#include "t_pool.h"
#include "t_process.h"
#include "victim.h"

#include "fault.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { N = 100, BAD = 40, N_LOCKS = 3000 };

static int copy(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static void check_all_but(const fm_array *out, int64_t bad)
{
    const int64_t *x = fm_array_data(out);
    for (int64_t i = 0; i < fm_array_len(out); i++)
        if (i != bad)
            assert_int_equal(x[i], i);
}

static pid_t pid_of(fm_pool *pool, int rank)
{
    fm_worker_info info;
    t_expect(fm_pool_worker(pool, rank, &info), 0);
    return info.pid;
}

static void kill_worker(fm_pool *pool, int rank)
{
    pid_t pid = pid_of(pool, rank);
    assert_true(pid > 0); /* kill(0) would be for the whole group */
    kill(pid, SIGKILL);
}

/* ---- kills ------------------------------------------------------------------------------------------- */

static void
test_faults_workers_killed_while_idle_are_replaced_and_the_next_map_is_right(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (uint64_t round = 1; round <= 20; round++) {
        memset(fm_array_data(out), 0xff, fm_array_bytes(out));
        kill_worker(pool, (int)(round % 2));
        t_expect(fm_pool_map_range(pool, copy, 0, N, out, NULL), 0); /* at once */
        check_all_but(out, -1);
        while (t_counters(pool).deaths < round || pid_of(pool, (int)(round % 2)) == 0)
            t_sleep_ms(1);
    }
    assert_int_equal(t_counters(pool).deaths, 20);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int die_the_first_time(const void *item, void *result, void *arg)
{
    _Atomic int *has_died = arg;
    int none = 0;
    if (*(const int64_t *)item == BAD && atomic_compare_exchange_strong(has_died, &none, 1))
        kill(getpid(), SIGKILL);
    return copy(item, result, NULL);
}

static void test_faults_worker_killed_in_a_chunk_is_one_death_and_the_result_right(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *has_died = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, die_the_first_time, 0, N, out,
                               FM_MAP_OPTS(.arg = fm_array_data(has_died), .chunk = 10)),
             0);
    check_all_but(out, -1);
    assert_int_equal(t_counters(pool).deaths, 1);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(has_died);
}

static fm_lock *locks[N_LOCKS];

static void hold_all_and_die(void *arg)
{
    (void)arg;
    for (int i = 0; i < N_LOCKS; i++)
        if (fm_lock_acquire(locks[i], 0) != 0)
            _exit(1);
    raise(SIGKILL);
}

static void test_faults_death_with_3000_locks_is_told_by_each_of_them(void **state)
{
    (void)state;
    for (int i = 0; i < N_LOCKS; i++)
        t_expect(fm_lock_create(&locks[i]), 0);
    assert_int_equal(t_signal(t_in_child(hold_all_and_die, NULL)), SIGKILL);
    for (int i = 0; i < N_LOCKS; i++) {
        t_expect(fm_lock_acquire(locks[i], FM_SECONDS(1)), FM_EOWNERDEAD);
        t_expect(fm_lock_release(locks[i]), 0);
        t_expect(fm_lock_acquire(locks[i], 0), 0);
        t_expect(fm_lock_release(locks[i]), 0);
        fm_lock_destroy(locks[i]);
    }
}

/* ---- what a function does to its worker --------------------------------------------------------------- */

/* Maps with one bad item, which is to end its worker; the other items are right, and the pool goes on. */
static fm_failure map_with_a_bad_item(fm_item_fn *fn, void *arg)
{
    fm_failure failure;
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fn, 0, N, out,
                               FM_MAP_OPTS(.arg = arg, .on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, BAD);
    check_all_but(out, BAD);
    t_expect(fm_pool_map_range(pool, copy, 0, N, out, NULL), 0);
    check_all_but(out, -1);
    t_destroy(pool);
    fm_array_destroy(out);
    return failure;
}

static int list_descriptors(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == BAD)
        execl("/bin/sh", "sh", "-c", "ls -l /proc/self/fd >\"$0\"", (const char *)arg,
              (char *)NULL);
    return copy(item, result, NULL);
}

static void
test_faults_exec_in_a_function_is_a_death_and_the_program_has_no_descriptor_of_ours(void **state)
{
    (void)state;
    char line[512];
    int n_lines = 0;
    fm_array *path = t_vector(FM_U8, 600);
    snprintf(fm_array_data(path), 600, "%s/descriptors", t_temp_dir());
    fm_failure failure = map_with_a_bad_item(list_descriptors, fm_array_data(path));
    assert_int_equal(failure.state, FM_ITEM_CRASHED);
    assert_int_equal(failure.code, 0);
    FILE *file = fopen(fm_array_data(path), "r");
    assert_non_null(file);
    for (; fgets(line, sizeof line, file) != NULL; n_lines++)
        if (strstr(line, "memfd:") != NULL || strstr(line, "anon_inode") != NULL)
            fail_msg("the program has %s", line);
    fclose(file);
    assert_true(n_lines > 3);
    fm_array_destroy(path);
}

/* In the heap: the worker that forks it dies at once. */
static int fork_and_die(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == BAD) {
        pid_t pid = fork();
        if (pid == 0)
            for (;;)
                pause();
        atomic_store((_Atomic int *)arg, pid);
        abort();
    }
    return copy(item, result, NULL);
}

static void test_faults_orphan_of_a_worker_is_ended_and_reaped_while_the_pool_lives(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *orphan = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(
        fm_pool_map_range(pool, fork_and_die, 0, N, out, FM_MAP_OPTS(.arg = fm_array_data(orphan))),
        FM_ECRASHED);
    int pid = *(int *)fm_array_data(orphan), waited_ms = 0;
    assert_true(pid > 0);
    for (; kill(pid, 0) == 0 && waited_ms < 5000; waited_ms++) /* a zombie can be signalled, too */
        t_sleep_ms(1);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(errno, ESRCH);
    t_expect(fm_pool_map_range(pool, copy, 0, N, out, NULL), 0);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(orphan);
}

/* ---- a jump out of a function ---------------------------------------------------------------------------- */

static jmp_buf frame_of_the_host;
static struct second_host {
    _Atomic int n_begun, n_gone_on;
    int calls;        /* the library; or it only returns from main */
    int by_thread;    /* the frame is one of another thread */
    int code, signal; /* what the record is to say */
} * second;           /* shared */

static int jump_out(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == BAD)
        longjmp(frame_of_the_host, 1);
    return copy(item, result, arg);
}

static void *be_two_hosts(void *arg)
{
    fm_failure failure = {0};
    FM_AUTO(fm_array) out = NULL;
    int64_t n = N;
    fm_pool *pool = NULL;
    if (setjmp(frame_of_the_host) != 0) { /* in a worker */
        atomic_fetch_add(&second->n_begun, 1);
        if (second->calls) {
            (void)!fm_pool_map_range(pool, copy, 0, N, out, NULL);
            atomic_fetch_add(&second->n_gone_on, 1);
        }
        exit(17);
    }
    int rc = fm_array_zeros(&out, FM_I64, 1, &n);
    if (rc == 0)
        rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc == 0)
        rc = fm_pool_map_range(pool, jump_out, 0, N, out, NULL);
    int n_failures = (int)fm_pool_failures(pool, &failure, 1);
    if (rc != FM_ECRASHED || n_failures != 1 || failure.item != BAD || fm_pool_destroy(pool) != 0)
        _exit(2);
    if (failure.code != second->code || failure.signal != second->signal)
        _exit(3);
    return arg;
}

static void be_a_host(void *arg)
{
    pthread_t thread;
    if (!second->by_thread)
        be_two_hosts(arg);
    else if (pthread_create(&thread, NULL, be_two_hosts, arg) != 0 ||
             pthread_join(thread, NULL) != 0)
        _exit(4);
}

/* By fork: by the other methods a worker has no frame of the host's. */
static void expect_end_of_second_host(struct second_host host)
{
    second = mmap(NULL, sizeof *second, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(second != MAP_FAILED);
    *second = host;
    assert_int_equal(t_exit_code(t_in_child(be_a_host, NULL)), 0);
    assert_int_equal(second->n_begun, 1);
    assert_int_equal(second->n_gone_on, 0);
    munmap(second, sizeof *second);
}

static void test_faults_jump_to_a_frame_of_the_host_makes_no_second_host(void **state)
{
    (void)state;
    for (int by_thread = 0; by_thread < 2; by_thread++) {
        expect_end_of_second_host(
            (struct second_host){.calls = 1, .by_thread = by_thread, .signal = SIGABRT});
        expect_end_of_second_host((struct second_host){.by_thread = by_thread, .code = 17});
    }
}

/* ---- a worker that is stopped -------------------------------------------------------------------------- */

static int stop_itself(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item == BAD) {
        atomic_store((_Atomic int *)arg, getpid());
        raise(SIGSTOP);
    }
    return copy(item, result, NULL);
}

static int continue_later(const fm_progress *p, void *arg)
{
    int pid = atomic_load((_Atomic int *)arg);
    if (pid > 0 && p->seconds > 0.15)
        kill(pid, SIGCONT);
    return 0;
}

static void test_faults_worker_that_is_stopped_is_not_taken_for_dead(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *pid = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, stop_itself, 0, N, out,
                               FM_MAP_OPTS(.arg = fm_array_data(pid), .progress = continue_later,
                                           .progress_arg = fm_array_data(pid),
                                           .progress_interval = FM_MS(10))),
             0);
    check_all_but(out, -1);
    assert_int_equal(t_counters(pool).deaths, 0);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(pid);
}

/* ---- workers that die as they start ---------------------------------------------------------------------- */

static int abort_at_start(int rank, void *arg)
{
    (void)rank;
    if (arg == NULL || atomic_load((_Atomic int *)arg) != 0)
        abort();
    return 0;
}

static void test_faults_workers_that_abort_as_they_start_fail_the_open(void **state)
{
    (void)state;
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = abort_at_start)),
             FM_EINIT);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "signal 6"));
}

/* From a moment on every new worker dies: the pool does not try for ever, and the map does not wait for ever. */
static void test_faults_workers_that_begin_to_abort_as_they_start_break_the_pool(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N), *is_broken = t_vector(FM_I32, 1);
    fm_pool *pool = t_open_with(FM_POOL_OPTS(.workers = 2, .initializer = abort_at_start,
                                             .init_arg = fm_array_data(is_broken)));
    t_expect(fm_pool_map_range(pool, copy, 0, N, out, NULL), 0);
    atomic_store((_Atomic int *)fm_array_data(is_broken), 1);
    for (int rank = 0; rank < 2; rank++)
        kill_worker(pool, rank);
    for (int rc = 0;
         rc != FM_EBROKEN;) /* the first may be done by one that is about to be killed */
        if ((rc = fm_pool_map_range(pool, copy, 0, N, out, NULL)) != 0)
            t_expect(rc, FM_EBROKEN);
    assert_true(t_counters(pool).deaths <= 2 + 8 + 2 * 2 + 2);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(is_broken);
}

/* ---- forks that fail --------------------------------------------------------------------------------------- */

static void test_faults_fork_that_fails_at_the_open_is_told_and_leaves_nothing(void **state)
{
    (void)state;
#ifdef FORKMAP_FAULTS
    fm_pool *pool;
    assert_int_equal(fmi_fault_arm_to(FMI_FAULT_FAIL, EAGAIN, "sys.fork", 1, 1), 0);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), -EAGAIN);
    assert_null(pool);
    t_destroy(t_open(2, FM_CALLER_SLEEPS));
    fmi_fault_arm(NULL, 0, 0);
#else
    t_skip("a build with FORKMAP_FAULTS");
#endif
}

/* The warden cannot fork for a while, 20 ms times 5: the map waits, and is right. */
static void test_faults_fork_that_fails_for_a_while_is_tried_again(void **state)
{
    (void)state;
#ifdef FORKMAP_FAULTS
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0); /* the page must be there before the fork */
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(fmi_fault_arm_to(FMI_FAULT_FAIL, EAGAIN, "sys.fork", 1, 5), 0);
    for (int rank = 0; rank < 2; rank++)
        kill_worker(pool, rank);
    for (int i = 0; i < 5; i++)
        t_expect(fm_pool_map_range(pool, copy, 0, N, out, NULL), 0);
    check_all_but(out, -1);
    while (fmi_fault_passages() < 5) /* of the first maps some had a worker still */
        t_sleep_ms(1);
    t_expect(fm_pool_map_range(pool, copy, 0, N, out, NULL), 0);
    fmi_fault_arm(NULL, 0, 0);
    t_destroy(pool);
    fm_array_destroy(out);
#else
    t_skip("a build with FORKMAP_FAULTS");
#endif
}

/* All workers dead, and no more to be had: the map does not wait for ever. */
static void test_faults_fork_that_fails_for_good_breaks_the_pool(void **state)
{
    (void)state;
#ifdef FORKMAP_FAULTS
    int rc = 0;
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    fm_array *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(fmi_fault_arm_to(FMI_FAULT_FAIL, EAGAIN, "sys.fork", 1, INT_MAX / 2), 0);
    for (int rank = 0; rank < 2; rank++)
        kill_worker(pool, rank);
    while (rc == 0) /* the first may be done by one that is about to be killed */
        rc = fm_pool_map_range(pool, copy, 0, N, out, NULL);
    t_expect(rc, FM_EBROKEN);
    fmi_fault_arm(NULL, 0, 0);
    t_destroy(pool);
    fm_array_destroy(out);
#else
    t_skip("a build with FORKMAP_FAULTS");
#endif
}

/* ---- a host that becomes another process ------------------------------------------------------------------ */

/* daemon() forks, and the parent leaves: what goes on is a child, whose pool is not its own. Exit codes tell what was wrong. */
static void become_a_daemon(void *arg)
{
    fm_array *out = arg;
    _Atomic int64_t *code = fm_array_data(out);
    fm_pool *pool, *own;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(1);
    if (daemon(1, 1) != 0)
        _exit(2);
    int rc = fm_pool_map_range(pool, copy, 0, N, out, NULL), last = fm_pool_destroy(pool);
    int opened = fm_pool_open(&own, FM_POOL_OPTS(.workers = 2));
    int mapped = opened != 0 ? opened : fm_pool_map_range(own, copy, 0, N, out, NULL);
    fm_pool_destroy(own);
    atomic_store(code, rc != FM_EFORKED ? 3 : last != FM_EFORKED ? 4 : mapped != 0 ? 5 : 100);
    _exit(0);
}

static void
test_faults_host_that_becomes_a_daemon_is_told_that_its_pool_is_not_its_own(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, N);
    volatile int64_t *code = fm_array_data(out);
    assert_int_equal(t_exit_code(t_in_child(become_a_daemon, out)), 0);
    for (int i = 0; i < 5000 && code[0] == 0; i++)
        t_sleep_ms(1);
    assert_int_equal(code[0], 100);
    t_assert_all_gone(); /* the pool of the process that is gone, and that of the daemon, and itself */
    fm_array_destroy(out);
}

T_MAIN(T_EACH_METHOD(test_faults_workers_killed_while_idle_are_replaced_and_the_next_map_is_right),
       T_EACH_METHOD(test_faults_worker_killed_in_a_chunk_is_one_death_and_the_result_right),
       T_TEST(test_faults_death_with_3000_locks_is_told_by_each_of_them),
       T_EACH_METHOD(
           test_faults_exec_in_a_function_is_a_death_and_the_program_has_no_descriptor_of_ours),
       T_EACH_METHOD(test_faults_orphan_of_a_worker_is_ended_and_reaped_while_the_pool_lives),
       T_TEST(test_faults_jump_to_a_frame_of_the_host_makes_no_second_host),
       T_EACH_METHOD(test_faults_worker_that_is_stopped_is_not_taken_for_dead),
       T_EACH_METHOD(test_faults_workers_that_abort_as_they_start_fail_the_open),
       T_EACH_METHOD(test_faults_workers_that_begin_to_abort_as_they_start_break_the_pool),
       T_TEST(test_faults_fork_that_fails_at_the_open_is_told_and_leaves_nothing),
       T_TEST(test_faults_fork_that_fails_for_a_while_is_tried_again),
       T_TEST(test_faults_fork_that_fails_for_good_breaks_the_pool),
       T_EACH_METHOD(test_faults_host_that_becomes_a_daemon_is_told_that_its_pool_is_not_its_own))
