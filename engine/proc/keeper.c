/* SPDX-License-Identifier: MIT */
/* The keeper of an fm_process, and that process's life; see keeper.h. */
#include "keeper.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "forksafe.h"
#include "heap.h"
#include "message.h"
#include "mortal.h"
#include "process.h"
#include "usercode.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOK_NS = 10000000 };

static struct { /* private to the keeper and its process */
    struct fmi_process_shm *shm;
    union { /* ISO C has no cast between them */
        void *object;
        fm_target_fn *target;
        fm_run_fn *run;
    } function;
    struct fmi_person self, parent;
    int host, children;
    pid_t pid;
} own;

/* ---- the process ----------------------------------------------------------------------------- */

static void leave(int status)
{
    FMI_FAULT("process.leave");
    fmi_family_end();
    (void)fm_forkserver_stop(); /* its own, if it has started one */
    fmi_mortal_leave();
    fflush(NULL);
    _exit(status);
}

/* A terminal's Ctrl-C goes to all of its processes, and is for the program to answer; a signal that someone sends is for this one. */
static void be_interrupted(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code == SI_KERNEL)
        return;
    signal(number, SIG_DFL);
    raise(number);
}

static void accept_interrupts(void)
{
    struct sigaction action = {.sa_sigaction = be_interrupted,
                               .sa_flags = (int)(SA_SIGINFO | SA_RESTART)};
    sigaction(SIGINT, &action, NULL);
}

/* The host must have its pidfd first: then whatever happens has somebody who is told. */
static void await_known(void)
{
    atomic_store(&own.shm->ready, 1);
    fmi_park_wake(&own.shm->events);
    for (;;) {
        uint32_t seen = fmi_park_seen(&own.shm->events);
        uint32_t known = atomic_load(&own.shm->known);
        if (known == FMI_PROCESS_KNOWN)
            return;
        if (known == FMI_PROCESS_GIVEN_UP)
            _exit(1);
        fmi_park(&own.shm->events, seen, LOOK_NS / 100,
                 FMI_NEVER); /* the keeper ends this one with the host */
    }
}

/* Exit codes have eight bits: what does not fit is an error that nobody caught. */
static int exit_code_of(int returned)
{
    if (returned >= 0 && returned <= 255)
        return returned;
    fmi_log(FM_LOG_ERROR, "the function returned %d: %s", returned,
            returned < 0 ? fm_strerror(returned) : "an exit code is 0 .. 255");
    return 1;
}

static void become_itself(void)
{
    accept_interrupts();
    fmi_family_begin(&own.self, &own.parent, own.host);
}

/* By exit(), so that what the function has left to atexit() runs whether it exits or returns. */
static void live(void)
{
    void *arg = (void *)(uintptr_t)own.shm->arg;
    FMI_FAULT("process.begin");
    await_known();
    fmi_sys_prefer_for_oom();
    int rc = own.shm->takes_itself ? own.function.run(fm_current_process(), arg)
                                   : own.function.target(arg);
    exit(exit_code_of(rc));
}

static void give_up(int code)
{
    atomic_store(&own.shm->error, code);
    fmi_park_wake(&own.shm->events);
}

static _Noreturn void become_process(pid_t keeper)
{
    close(own.children);
    own.self.pid = getpid();
    fmi_usercode_run(&(struct fmi_usercode){.parent = keeper,
                                            .name = own.self.name,
                                            .cpu = -1,
                                            .inner_threads = own.shm->inner_threads,
                                            .stack_bytes = own.shm->stack_bytes,
                                            .fault = &own.shm->fault,
                                            .starts = 1,
                                            .at_exit = leave,
                                            .give_up = give_up,
                                            .become = become_itself,
                                            .live = live});
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static void take_orders(struct fmi_process_shm *shm)
{
    own.shm = shm;
    own.self = shm->self;
    own.parent = shm->parent;
    own.self.name[FMI_NAME_BYTES - 1] = own.self.identity[FMI_IDENTITY_BYTES - 1] = '\0';
    own.parent.name[FMI_NAME_BYTES - 1] = '\0';
    explicit_bzero(shm->self.key, sizeof shm->self.key);
    int rc = fmi_function_resolve(&shm->function, &own.function.object);
    if (rc != 0)
        fmi_launch_refuse(rc);
}

static void set_up(void)
{
    fmi_sys_set_name("fm-keeper");
    fmi_log_set_name("keeper");
    fmi_sys_reset_signals();
    fmi_sys_allow_stops();
    fmi_sys_forget_output();
    fmi_sys_stdin_from_null();
    own.children = fmi_sys_signalfd(SIGCHLD, SIGTERM);
    if (own.children < 0)
        fmi_launch_refuse(fmi_error(own.children, "signalfd: %s", fm_strerror(own.children)));
}

static void end_process(void)
{
    struct fmi_exit ignored;
    fmi_sys_kill(own.pid);
    fmi_heap_recover(own.pid);
    fmi_forksafe_forget(own.pid);
    fmi_sys_reap(own.pid, &ignored);
}

static void fork_process(void)
{
    pid_t keeper = getpid();
    FMI_FAULT("keeper.fork");
    own.pid = fmi_sys_fork();
    if (own.pid == 0)
        become_process(keeper);
    if (own.pid < 0)
        fmi_launch_refuse(fmi_error(own.pid, "the keeper cannot fork: %s", fm_strerror(own.pid)));
    FMI_FAULT("keeper.forked");
    atomic_store(&own.shm->pid, own.pid);
    atomic_store(&own.shm->state, FMI_PROCESS_FORKED);
    int rc = fmi_sys_life_begin(&own.shm->life);
    if (rc != 0) {
        end_process();
        fmi_launch_refuse(fmi_error(rc, "set_robust_list in the keeper: %s", fm_strerror(rc)));
    }
    fmi_park_wake(&own.shm->events); /* pairs with fmi_child_await_begin */
}

static int host_has_ended(void)
{
    return fmi_sys_await_end(own.host, 0) == 0;
}

/* The host has ended, or has given the process up. */
static _Noreturn void end_with_host(void)
{
    end_process();
    fmi_forksafe_forget(getpid()); /* nobody else will */
    _exit(1);
}

static void await_process(void)
{
    for (;;) {
        struct pollfd wait[] = {{.fd = own.children, .events = POLLIN},
                                {.fd = own.host, .events = POLLIN}};
        if (fmi_sys_poll(wait, 2, -1) < 0)
            end_with_host();
        if (wait[1].revents != 0)
            end_with_host();
        fmi_sys_drain(own.children);
        if (fmi_sys_ended_child() == own.pid)
            return;
        if (atomic_load(&own.shm->known) == FMI_PROCESS_GIVEN_UP)
            end_with_host();
    }
}

/* Until then the host may be about to ask the kernel for this pid. */
static void await_host(void)
{
    fmi_park_wake_all(&own.shm->events); /* it may wait for a process that was never ready */
    for (;;) {
        uint32_t seen = fmi_park_seen(&own.shm->events);
        if (atomic_load(&own.shm->known) != 0)
            return;
        if (host_has_ended())
            end_with_host();
        fmi_park(&own.shm->events, seen, 0, fmi_deadline_after(LOOK_NS));
    }
}

/* What one asks for by a call, or by hand, is no failure. */
static int is_failure(int number)
{
    return number != 0 && number != SIGTERM && number != SIGKILL && number != SIGINT &&
           number != SIGHUP;
}

static void report_failure(const struct fmi_exit *end)
{
    const struct fmi_fault_shm *fault = &own.shm->fault;
    char where[64] = "";
    if (!is_failure(end->signal))
        return;
    if (fault->starts == 1 && fault->signal == end->signal && fault->stack_overflow)
        snprintf(where, sizeof where, ": stack overflow");
    else if (fault->starts == 1 && fault->signal == end->signal && fault->address != 0)
        snprintf(where, sizeof where, " at address %#llx", (unsigned long long)fault->address);
    const char *name = sigabbrev_np(end->signal);
    fmi_log_set_name(own.self.name);
    fmi_log(FM_LOG_ERROR, "process %d was ended by SIG%s%s", (int)own.pid,
            name == NULL ? "?" : name, where);
}

static void publish_end(void)
{
    struct fmi_exit end = {.signal = SIGKILL};
    fmi_heap_recover(own.pid); /* before the reaping: its pid is its own until then */
    fmi_forksafe_forget(own.pid);
    fmi_sys_reap(own.pid, &end);
    report_failure(&end); /* before those who wait for it may leave */
    own.shm->signal = end.signal;
    own.shm->code = end.code;
    FMI_FAULT("keeper.publish");
    atomic_store_explicit(&own.shm->state, FMI_PROCESS_ENDED,
                          memory_order_release); /* pairs with take_note */
    fmi_park_wake_all(&own.shm->events);         /* the process may have died as it woke someone */
}

void fmi_keeper_run(void *shm, const int *fds)
{
    own.host = fds[FMI_LAUNCH_HOST];
    take_orders(shm);
    set_up();
    fork_process();
    await_process();
    await_host();
    publish_end();
    _exit(0);
}
