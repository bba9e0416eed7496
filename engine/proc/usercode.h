/* SPDX-License-Identifier: MIT */
#ifndef FMI_USERCODE_H
#define FMI_USERCODE_H

/*
 * The first steps of a process that runs the user's code, a pool's worker or an fm_process, right after its fork. Before that code runs it has: no
 * handlers of the host's, a death signal, a crash reporter, guards against exit() and pthread_exit(), a stack of its own, its core, its name, and what fm_after_fork() registered behind it.
 */

#include "crash.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fmi_usercode {
    pid_t parent; /* single-threaded: the process dies with it */
    const char *name;
    int cpu; /* -1: not pinned */
    int inner_threads;
    size_t stack_bytes;  /* 0: RLIMIT_STACK */
    size_t memory_limit; /* [bytes] of private memory beyond what it begins with; 0: none */
    struct fmi_fault_shm *fault;
    struct fmi_trace_place_shm *places; /* of modules in `fault`; NULL: it gets no frames */
    uint32_t starts;                    /* goes into `fault` */
    _Atomic uint32_t
        *unpinned; /* a failing pin is told of once, by whoever finds 0 here; NULL: always */
    void (*at_exit)(int status); /* exit() was called; must _exit */
    void (*give_up)(int code);   /* there is no memory for its stack: it ends */
    /* On the own stack, until it is known who it is to be: name, cpu, fault, starts, unpinned. NULL: it is. */
    void (*await)(struct fmi_usercode *code);
    void (*become)(void); /* on the own stack, before the hooks */
    void (*live)(void);   /* on the own stack, with no signal blocked; must _exit */
};

_Noreturn void fmi_usercode_run(const struct fmi_usercode *code);

/*
 * By fork the frames of the host are still there, as they were. A function that jumps to one of them makes this process a second host. That ends here, by
 * SIGABRT, at the first call that it makes; or as it exits. Returns if this thread is on no such frame.
 */
void fmi_usercode_end_second_host(void);

#endif
