/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork kills */
/* TIMEOUT: 60 */
/*
 * Host, keeper, process and forkserver are killed, at random moments and just before each transition of keeper.h, launch.h and forkserver.c: nobody
 * waits for ever, an exit code is the true one or -SIGKILL, nothing is left.
 */
#include "t_process.h"
#include "victim.h"

#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* In the heap. */
struct victims {
    _Atomic int host, keeper, process, server;
    _Atomic int n_right, n_killed, n_broken, is_to_end;
};

struct work {
    struct victims *victims;
    int number;
};

static int work(void *arg)
{
    struct work *w = arg;
    atomic_store(&w->victims->keeper, getppid());
    atomic_store(&w->victims->process, getpid());
    t_sleep_us(100);
    return w->number;
}

/* ---- a host that starts one process after the other ----------------------------------------------- */

enum { HOST_WRONG_CODE = 2, HOST_START_FAILED = 3, HOST_HANGS = 4 };

/* 0; FM_EBROKEN: the keeper was killed as it started. */
static int run_one(struct victims *v, int number, int *code)
{
    struct work w = {v, number};
    fm_process *p;
    int rc = fm_process_create(&p, work, &w, sizeof w, NULL);
    if (rc == 0)
        rc = fm_process_start(p);
    atomic_store(&v->server, fm_forkserver_pid());
    if (rc == FM_EBROKEN)
        return fm_process_close(p) == 0 ? rc : HOST_START_FAILED;
    if (rc != 0) {
        fprintf(stderr, "start: %s: %s\n", fm_errname(rc), fm_error_detail());
        return HOST_START_FAILED;
    }
    if (fm_process_join(p, FM_SECONDS(10)) != 0)
        return HOST_HANGS;
    rc = fm_process_exitcode(p, code);
    return rc == 0 ? fm_process_close(p) : rc;
}

static void start_processes(void *arg)
{
    struct victims *v = arg;
    atomic_store(&v->host, getpid());
    for (int i = 0; !atomic_load(&v->is_to_end); i++) {
        int code = 0, rc = run_one(v, i % 100, &code);
        if (rc == FM_EBROKEN)
            v->n_broken++;
        else if (rc != 0)
            _exit(rc > 0 ? rc : HOST_START_FAILED);
        else if (code == i % 100)
            v->n_right++;
        else if (code == -SIGKILL)
            v->n_killed++;
        else
            _exit(HOST_WRONG_CODE);
    }
    fm_forkserver_stop();
}

static fm_array *array_of_victims;

static struct victims *new_victims(void)
{
    array_of_victims = t_vector(FM_U8, sizeof(struct victims));
    return fm_array_data(array_of_victims);
}

static void kill_victim(_Atomic int *victim)
{
    int pid = atomic_exchange(victim, 0);
    if (pid > 1)
        kill(pid, SIGKILL);
}

/* The processes are the test's descendants, which adopts and reaps them, so a pid is not another's yet. */
static void kill_one(struct victims *v, struct t_random *random)
{
    _Atomic int *const all[] = {&v->host, &v->keeper, &v->process, &v->server};
    uint64_t which = t_random_below(random, 5);
    for (uint64_t i = 0; i < 4; i++)
        if (which == 4 || which == i)
            kill_victim(all[i]);
}

static void test_process_random_kills_of_everyone_leave_nothing(void **state)
{
    (void)state;
    struct t_random random = t_random_begin();
    for (int i = 0; i < 60; i++) {
        struct victims *v = new_victims();
        pid_t host = t_start_child(start_processes, v);
        t_sleep_us((int64_t)t_random_below(&random, 15000));
        kill_one(v, &random);
        t_sleep_us((int64_t)t_random_below(&random, 3000));
        kill(host, SIGKILL);
        assert_int_equal(t_exit_code(t_wait_child(host)), -1);
        t_assert_all_gone();
        fm_array_destroy(array_of_victims);
    }
}

static void test_process_host_goes_on_while_all_others_are_killed(void **state)
{
    (void)state;
    struct t_random random = t_random_begin();
    struct victims *v = new_victims();
    pid_t host = t_start_child(start_processes, v);
    for (int i = 0; i < 300; i++) {
        t_sleep_us((int64_t)t_random_below(&random, 4000));
        _Atomic int *const all[] = {&v->keeper, &v->process, &v->server};
        kill_victim(all[t_random_below(&random, 3)]);
    }
    atomic_store(&v->is_to_end, 1);
    assert_int_equal(t_exit_code(t_wait_child(host)), 0);
    assert_true(v->n_right > 0);
    assert_true(v->n_killed > 0);
    t_assert_all_gone();
    fm_array_destroy(array_of_victims);
}

static void test_process_stopped_keeper_is_waited_for_only_so_long(void **state)
{
    struct victims *v = new_victims();
    struct work w = {v, 0};
    fm_process *p = t_run(t_method(state), work, &w, sizeof w);
    while (v->keeper == 0)
        t_sleep_us(50);
    kill(v->keeper, SIGSTOP);
    t_sleep_us(2000);
    t_expect(fm_process_join(p, FM_MS(50)), -ETIMEDOUT);
    kill(v->keeper, SIGCONT);
    assert_int_equal(t_end(p), 0);
    fm_array_destroy(array_of_victims);
}

/* ---- at each transition ----------------------------------------------------------------------------- */

#ifdef FORKMAP_FAULTS

/* The passage of `point` kills who comes there. Then: what start gives, and the exit code if it started. */
static void kill_at(const char *point, int start_code, int exit_code)
{
    struct victims *v = new_victims();
    int code = 0x7777;
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    fmi_fault_spare_this_process();
    if (fm_get_start_method() == FM_FORKSERVER)
        t_expect(fm_forkserver_start(NULL), 0);
    assert_int_equal(fmi_fault_arm(point, 1, 1), 0);
    t_expect(run_one(v, 7, &code), start_code);
    assert_int_equal(fmi_fault_passages() > 0, 1);
    if (start_code == 0)
        assert_int_equal(code, exit_code);
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    t_expect(run_one(v, 8, &code), 0); /* the next one is as usual */
    assert_int_equal(code, 8);
    fm_forkserver_stop();
    t_assert_all_gone(); /* who was orphaned is the test's child now */
    fm_array_destroy(array_of_victims);
}

static void test_process_keeper_killed_at_each_transition(void **state)
{
    (void)state;
    kill_at("keeper.fork", FM_EBROKEN, 0);
    kill_at("keeper.forked", FM_EBROKEN, 0);
    kill_at("keeper.publish", 0, -SIGKILL);
}

static void test_process_killed_at_each_transition(void **state)
{
    (void)state;
    kill_at("process.begin", 0, -SIGKILL);
    kill_at("process.leave", 0, -SIGKILL);
}

static void test_process_server_killed_at_each_transition_is_replaced(void **state)
{
    (void)state;
    t_expect(fm_set_start_method(FM_FORKSERVER, 1), 0);
    kill_at("forkserver.fork", 0, 7);
    kill_at("forkserver.answer", 0, 7);
    kill_at("launch.enter", FM_EBROKEN, 0);
    kill_at("launch.confirmed", FM_EBROKEN, 0);
    t_expect(fm_set_start_method(FM_FORK, 1), 0);
}

#else
#define NEEDS_FAULTS t_skip("FORKMAP_FAULTS")
static void test_process_keeper_killed_at_each_transition(void **state)
{
    (void)state;
    NEEDS_FAULTS;
}
static void test_process_killed_at_each_transition(void **state)
{
    (void)state;
    NEEDS_FAULTS;
}
static void test_process_server_killed_at_each_transition_is_replaced(void **state)
{
    (void)state;
    NEEDS_FAULTS;
}
#endif

/* The points are armed in memory that only forks have. */
T_MAIN(T_EACH_METHOD(test_process_random_kills_of_everyone_leave_nothing),
       T_EACH_METHOD(test_process_host_goes_on_while_all_others_are_killed),
       T_EACH_METHOD(test_process_stopped_keeper_is_waited_for_only_so_long),
       T_TEST(test_process_keeper_killed_at_each_transition),
       T_TEST(test_process_killed_at_each_transition),
       T_TEST(test_process_server_killed_at_each_transition_is_replaced))
