/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork kills */
/* TIMEOUT: 60 */
/*
 * Whatever is killed, and whenever: no process of ours is left, nothing is new in /dev/shm. The frame of t.h checks that after
 * each test: the test process adopts every orphan, and waits one second for those that are still ending.
 */
#include "t.h"
#include "victim.h"

#include <forkmap/forkmap.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void run_host(void *victim)
{
    t_victim_host(victim, 2);
}

static void await_mapping(struct t_victim *victim)
{
    for (int i = 0; i < 5000 && !atomic_load(&victim->is_mapping); i++)
        t_sleep_us(1000);
    assert_true(atomic_load(&victim->is_mapping));
}

static void test_host_killed_in_a_map_takes_all_with_it(void **state)
{
    (void)state;
    struct t_victim *victim = t_victim_new();
    pid_t host = t_start_child(run_host, victim);
    await_mapping(victim);
    kill(host, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(host)), SIGKILL);
    t_assert_all_gone();
}

static void test_host_killed_while_a_pool_starts_leaves_no_orphan(void **state)
{
    (void)state;
    struct t_random random = t_random_begin();
    for (int i = 0; i < 100; i++) {
        struct t_victim *victim = t_victim_new();
        pid_t host = t_start_child(run_host, victim);
        t_sleep_us((int64_t)t_random_below(&random, 8000)); /* a start lasts some 5 ms */
        kill(host, SIGKILL);
        t_wait_child(host);
        t_assert_all_gone();
    }
}

static void test_warden_killed_in_a_map_breaks_the_pool_at_once(void **state)
{
    (void)state;
    struct t_victim *victim = t_victim_new();
    pid_t host = t_start_child(run_host, victim);
    await_mapping(victim);
    kill(atomic_load(&victim->warden), SIGKILL);
    assert_int_equal(t_exit_code(t_wait_child(host)), 3); /* the map returned an error: no hang */
    t_assert_all_gone();
}

static void test_all_killed_at_once_leave_nothing(void **state)
{
    (void)state;
    struct t_victim *victim = t_victim_new();
    pid_t host = t_start_child(run_host, victim);
    await_mapping(victim);
    kill(host, SIGKILL);
    kill(atomic_load(&victim->warden), SIGKILL);
    for (int rank = 0; rank < 2; rank++)
        kill(atomic_load(&victim->workers[rank]), SIGKILL);
    t_wait_child(host);
    t_assert_all_gone();
}

/* One random kill of host, warden or a worker, at a random moment between the fork of the host and its 20th map or so. */
static void kill_at_random(struct t_random *random)
{
    struct t_victim *victim = t_victim_new();
    pid_t host = t_start_child(run_host, victim);
    t_sleep_us((int64_t)t_random_below(random, 20000));
    int warden = atomic_load(&victim->warden),
        worker = atomic_load(&victim->workers[t_random_below(random, 2)]);
    switch (t_random_below(random, 4)) {
    case 0:
        kill(host, SIGKILL);
        break;
    case 1:
        kill(warden > 0 ? warden : host, SIGKILL);
        break;
    case 2:
        if (worker > 0)
            kill(worker, SIGKILL);
        break;
    default:
        if (warden > 0)
            kill(warden, SIGKILL);
        kill(host, SIGKILL);
        break;
    }
    t_sleep_us((int64_t)t_random_below(random, 3000));
    kill(host, SIGKILL); /* whoever was killed before: the host ends now, and with it everything */
    int status = t_wait_child(host);
    assert_int_not_equal(t_exit_code(status), 2); /* never a wrong result */
    t_assert_all_gone();
}

static void test_200_random_kills_leave_nothing(void **state)
{
    (void)state;
    struct t_random random = t_random_begin();
    for (int i = 0; i < 200; i++)
        kill_at_random(&random);
}

static void leave_without_destroy(void *how)
{
    fm_pool *pool;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(1);
    if (strcmp(how, "exit") == 0)
        exit(0);
    if (strcmp(how, "_exit") == 0)
        _exit(0);
    if (strcmp(how, "abort") == 0)
        abort();
    execl("/bin/true", "true", (char *)NULL);
}

static void test_host_that_leaves_without_destroy_leaves_nothing(void **state)
{
    (void)state;
    static char *const ways[] = {"exit", "_exit", "abort"};
    for (size_t i = 0; i < 3; i++) {
        int status = t_in_child(leave_without_destroy, ways[i]);
        assert_int_not_equal(t_exit_code(status), 1);
        t_assert_all_gone();
    }
}

/* ---- hosts with habits of their own --------------------------------------------------------- */

static int crash_at_7(const void *item, void *result, void *arg)
{
    (void)arg;
    if (*(const int64_t *)item == 7)
        raise(SIGSEGV);
    *(int64_t *)result = 1;
    return 0;
}

/* A map in which one item crashes: the pool needs its deaths noticed. Returns 0 if all is as promised. */
static int map_with_a_crash(fm_pool *pool)
{
    fm_array *out;
    int64_t n = 1000, n_ones = 0;
    if (fm_array_zeros(&out, FM_I64, 1, &n) != 0)
        return 1;
    int rc = fm_pool_map_range(pool, crash_at_7, 0, n, out,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE));
    for (int64_t i = 0; i < n; i++)
        n_ones += ((int64_t *)fm_array_data(out))[i];
    fm_array_destroy(out);
    return rc == FM_ECRASHED && n_ones == n - 1 && fm_pool_failures(pool, NULL, 0) == 1 ? 0 : 2;
}

static void ignore_sigchld(void *arg)
{
    fm_pool *pool;
    (void)arg;
    signal(SIGCHLD, SIG_IGN);
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc == 0)
        rc = map_with_a_crash(pool);
    fm_pool_destroy(pool);
    _exit(rc == 0 ? 0 : 1);
}

static void test_host_may_ignore_sigchld(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(ignore_sigchld, NULL)), 0);
}

static _Atomic int reaper_is_over;

static void *reap_everything(void *n_reaped)
{
    while (!atomic_load(&reaper_is_over)) {
        if (waitpid(-1, NULL, WNOHANG) > 0)
            ++*(int *)n_reaped;
        t_sleep_us(100);
    }
    return NULL;
}

static void reap_in_a_thread(void *arg)
{
    fm_pool *pool;
    pthread_t thread;
    int n_reaped = 0;
    (void)arg;
    pthread_create(&thread, NULL, reap_everything, &n_reaped);
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc == 0)
        rc = map_with_a_crash(pool);
    rc |= fm_pool_destroy(pool);
    t_sleep_us(2000);
    atomic_store(&reaper_is_over, 1);
    pthread_join(thread, NULL);
    _exit(rc == 0 && n_reaped <= 1 ? 0 : 1); /* the warden is all that a host can reap */
}

static void test_host_may_reap_every_child_and_sees_the_warden_at_most(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(reap_in_a_thread, NULL)), 0);
}

static void *open_pool(void *pool)
{
    return (void *)(intptr_t)fm_pool_open(pool, FM_POOL_OPTS(.workers = 2));
}

static void test_pool_outlives_the_thread_that_opened_it(void **state)
{
    (void)state;
    fm_pool *pool;
    pthread_t thread;
    void *rc;
    pthread_create(&thread, NULL, open_pool, &pool);
    pthread_join(thread, &rc);
    assert_int_equal((intptr_t)rc, 0);
    t_sleep_us(20000);
    assert_int_equal(map_with_a_crash(pool), 0);
    assert_int_equal(fm_pool_destroy(pool), 0);
}

/* And has ended: a busy machine takes its time. */
static void kill_warden(fm_pool *pool)
{
    int pid = fm_pool_warden_pid(pool);
    assert_true(pid > 0);
    kill(pid, SIGKILL);
    for (int i = 0; i < 10000 && t_process_state(pid) != 'Z'; i++)
        t_sleep_us(1000);
    assert_int_equal(t_process_state(pid), 'Z');
}

static void test_pool_can_be_opened_again_after_its_warden_was_killed(void **state)
{
    (void)state;
    fm_pool *pool;
    fm_array *out;
    int64_t n = 10;
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    assert_int_equal(fm_array_zeros(&out, FM_I64, 1, &n), 0);
    kill_warden(pool);
    assert_int_equal(fm_pool_map_range(pool, crash_at_7, 0, 5, NULL, NULL), FM_EBROKEN);
    assert_true(strlen(fm_error_detail()) > 0);
    fm_array_destroy(out);
    assert_int_equal(fm_pool_destroy(pool), 0);
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    assert_int_equal(map_with_a_crash(pool), 0);
    assert_int_equal(fm_pool_destroy(pool), 0);
    fm_forkserver_stop();
    t_assert_all_gone(); /* the first pool's workers ended with their warden; the test adopted them */
}

/* It could do all the items alone, and did: a pool that had lost its workers was slow, and nothing else. */
static void test_pool_whose_caller_works_says_that_its_warden_was_killed(void **state)
{
    (void)state;
    fm_pool *pool;
    fm_result *result;
    int64_t n = 5, sum;
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .caller = FM_CALLER_WORKS)), 0);
    kill_warden(pool);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fm_pool_map_range(pool, crash_at_7, 0, n, NULL, NULL), FM_EBROKEN);
        assert_int_equal(fm_pool_map_range_async(pool, crash_at_7, 0, n, NULL, NULL, &result),
                         FM_EBROKEN);
        assert_int_equal(fm_pool_map_range_reduce(pool, crash_at_7, 0, n, FM_I64, FM_SUM, &sum,
                                                  sizeof sum, NULL),
                         FM_EBROKEN);
    }
    assert_true(strlen(fm_error_detail()) > 0);
    assert_int_equal(fm_pool_destroy(pool), 0);
    fm_forkserver_stop();
    t_assert_all_gone();
}

static int leave_a_grandchild(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    if (*(const int64_t *)item == 3) {
        if (fork() == 0)
            for (;;)
                pause();
        raise(SIGKILL);
    }
    return 0;
}

static void test_process_that_a_function_forked_does_not_outlive_its_worker(void **state)
{
    (void)state;
    fm_pool *pool;
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    assert_int_equal(fm_pool_map_range(pool, leave_a_grandchild, 0, 10, NULL, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_destroy(pool), 0);
    fm_forkserver_stop();
    t_assert_all_gone();
}

T_MAIN(T_EACH_METHOD(test_host_killed_in_a_map_takes_all_with_it),
       T_EACH_METHOD(test_host_killed_while_a_pool_starts_leaves_no_orphan),
       T_EACH_METHOD(test_warden_killed_in_a_map_breaks_the_pool_at_once),
       T_EACH_METHOD(test_all_killed_at_once_leave_nothing),
       T_EACH_METHOD(test_200_random_kills_leave_nothing),
       T_EACH_METHOD(test_host_that_leaves_without_destroy_leaves_nothing),
       T_EACH_METHOD(test_host_may_ignore_sigchld),
       T_EACH_METHOD(test_host_may_reap_every_child_and_sees_the_warden_at_most),
       T_EACH_METHOD(test_pool_outlives_the_thread_that_opened_it),
       T_EACH_METHOD(test_pool_can_be_opened_again_after_its_warden_was_killed),
       T_EACH_METHOD(test_pool_whose_caller_works_says_that_its_warden_was_killed),
       T_EACH_METHOD(test_process_that_a_function_forked_does_not_outlive_its_worker))
