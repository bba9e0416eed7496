/* SPDX-License-Identifier: MIT */
#ifndef T_SYNC_H
#define T_SYNC_H

/*
 * For tests of shared objects: one body, which threads or processes run, and storms in which they are killed. A body gets what all share, and its number; it returns 0, or a
 * code that says what is wrong. Assertions are for the test, not for bodies.
 */
#include "t.h"

#include "clock.h"
#include "fault.h"

#include <errno.h>
#include <forkmap/forkmap.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef FORKMAP_FAULTS
static inline int fmi_fault_arm(const char *name, int nth, int times)
{
    (void)name;
    (void)nth;
    (void)times;
    return -1;
}
static inline int fmi_fault_passages(void)
{
    return 0;
}
static inline void fmi_fault_spare_this_process(void)
{
}
#endif

enum { T_MAX_PARTIES = 48 };

/* What waits longer [ns] waits for ever. */
#define T_LOST FM_SECONDS(12)

typedef int t_body(void *shared, int number);

struct t_party {
    t_body *body;
    void *shared;
    int number;
};

/* Zeroed memory that threads and forked children share. */
static inline void *t_shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    return p;
}

static inline void t_be_party(void *arg)
{
    struct t_party *p = arg;
    _exit(p->body(p->shared, p->number));
}

static inline void *t_be_thread(void *arg)
{
    struct t_party *p = arg;
    return (void *)(intptr_t)p->body(p->shared, p->number);
}

static inline pid_t t_start_party(t_body *body, void *shared, int number)
{
    struct t_party party = {body, shared, number};
    return t_start_child(t_be_party, &party);
}

/* n processes, or n threads, do it; all return 0. */
static inline void t_in_processes(int n, t_body *body, void *shared)
{
    pid_t pids[T_MAX_PARTIES];
    for (int i = 0; i < n; i++)
        pids[i] = t_start_party(body, shared, i);
    for (int i = 0; i < n; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
}

static inline void t_in_threads(int n, t_body *body, void *shared)
{
    pthread_t threads[T_MAX_PARTIES];
    struct t_party parties[T_MAX_PARTIES];
    for (int i = 0; i < n; i++) {
        parties[i] = (struct t_party){body, shared, i};
        assert_int_equal(pthread_create(&threads[i], NULL, t_be_thread, &parties[i]), 0);
    }
    for (int i = 0; i < n; i++) {
        void *code;
        pthread_join(threads[i], &code);
        assert_int_equal((intptr_t)code, 0);
    }
}

/* Waits until *flag is `value`; 0 if it does not come. */
static inline int t_await(const _Atomic int *flag, int value)
{
    for (int64_t end = fmi_deadline_after(T_LOST); atomic_load(flag) != value;) {
        if (fmi_now_ns() > end)
            return 0;
        usleep(200);
    }
    return 1;
}

static inline void t_kill(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(t_signal(t_wait_child(pid)), SIGKILL);
}

static inline void t_replace(pid_t *pids, int i, t_body *body, void *shared)
{
    int status = t_wait_child(pids[i]);
    if (t_signal(status) != SIGKILL)
        fail_msg("party %d ended with code %d, signal %d", i, t_exit_code(status),
                 t_signal(status));
    pids[i] = t_start_party(body, shared, i);
}

/*
 * n processes do it until *stop, while n_kills of them, any two at a time, are killed at any moment and replaced by others of the same number. Those that are
 * left at the end must return 0.
 */
static inline void t_storm(int n, int n_kills, t_body *body, void *shared, _Atomic int *stop)
{
    pid_t pids[T_MAX_PARTIES];
    unsigned seed = 1;
    for (int i = 0; i < n; i++)
        pids[i] = t_start_party(body, shared, i);
    for (int k = 0; k < n_kills; k += 2) {
        usleep((useconds_t)(rand_r(&seed) % 1000));
        int i = rand_r(&seed) % n, j = (i + 1 + rand_r(&seed) % (n - 1)) % n;
        kill(pids[i], SIGKILL);
        kill(pids[j], SIGKILL);
        t_replace(pids, i, body, shared);
        t_replace(pids, j, body, shared);
    }
    atomic_store(stop, 1);
    for (int i = 0; i < n; i++)
        assert_int_equal(t_exit_code(t_wait_child(pids[i])), 0);
}

/*
 * Runs an operation in a child that is killed at the nth passage of a fault point; 1: it was, 0: it passed that point less often and ended with 0.
 */
static inline int t_killed_at(const char *point, int nth, t_body *body, void *shared)
{
    if (fmi_fault_arm(point, nth, 1) != 0)
        t_skip("fault points; this is a release build");
    struct t_party party = {body, shared, 0};
    int status = t_in_child(t_be_party, &party);
    fmi_fault_arm(NULL, 0, 0);
    if (t_signal(status) == SIGKILL)
        return 1;
    assert_int_equal(t_exit_code(status), 0);
    return 0;
}

/* Zeroed memory in the heap, for processes that are no forks. */
static inline void *t_in_heap(fm_array **memory, size_t bytes)
{
    const int64_t n = (int64_t)bytes;
    assert_int_equal(fm_array_zeros(memory, FM_U8, 1, &n), 0);
    return fm_array_data(*memory);
}

#endif
