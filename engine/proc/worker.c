/* SPDX-License-Identifier: MIT */
/* A worker's life: its first steps (usercode.h), its initializer, its work until it is to leave, its finalizer. */
#include "crew.h"

#include "fault.h"
#include "process.h"
#include "usercode.h"

#include <stdio.h>
#include <unistd.h>

struct self {
    const struct fmi_crew_plan *plan;
    int rank;
    uint32_t starts;
    struct fmi_worker_shm *shared;
    char name[32];
};
static struct self self = {.rank = -1}; /* private to the worker */

struct fmi_worker_shm *fmi_worker_self(void)
{
    return self.shared;
}

int fmi_worker_rank(void)
{
    return self.rank;
}

const struct fmi_death_shm *fmi_worker_death(const struct fmi_worker_shm *worker, uint32_t starts)
{
    /* acquire: pairs with publish_death */
    uint32_t died = atomic_load_explicit(&worker->death.starts, memory_order_acquire);
    return died != 0 && died == starts - 1 ? &worker->death : NULL;
}

/* The warden compares numbers only, so relaxed is enough for the limit; the number is stored after it. */
void fmi_call_begin(struct fmi_worker_shm *worker, int64_t limit_ns)
{
    uint64_t call = atomic_load_explicit(&worker->call, memory_order_relaxed); /* own word */
    atomic_store_explicit(&worker->limit_ns, limit_ns, memory_order_relaxed);
    atomic_store_explicit(&worker->call, call + 1,
                          memory_order_release); /* pairs with check_limits */
}

void fmi_call_end(struct fmi_worker_shm *worker)
{
    uint64_t call = atomic_load_explicit(&worker->call, memory_order_relaxed);
    atomic_store_explicit(&worker->call, call + 1, memory_order_release);
}

static int initialize(void)
{
    if (self.plan->initializer == NULL)
        return 0;
    int code = self.plan->initializer(self.rank, self.plan->init_arg);
    if (code != 0) {
        atomic_store(&self.shared->init_code, code);
        fmi_park_wake(&self.plan->shm->events);
    }
    return code;
}

static void leave(void)
{
    FMI_FAULT("worker.leave");
    atomic_store(&self.shared->left,
                 self.starts); /* first: a finalizer that crashes is not run again */
    if (self.plan->finalizer != NULL)
        self.plan->finalizer(self.rank, self.plan->init_arg);
    fflush(stdout);
    fflush(stderr);
    _exit(0);
}

/* For those who ask, it is a daemon with the key of its host. */
static void become_itself(void)
{
    struct fmi_person me = self.plan->host;
    snprintf(me.name, sizeof me.name, "%s", self.name);
    me.is_daemon = 1;
    fmi_family_begin(&me, &self.plan->host, self.plan->host_pidfd);
}

static void give_up(int code)
{
    atomic_store(&self.shared->stack_code, code);
    fmi_park_wake(&self.plan->shm->events);
}

/* To wake the host for each of many would take the cores from those that are still starting. */
static void wake_when_all_are_ready(void)
{
    for (int rank = self.plan->first; rank < self.plan->n; rank++)
        if (atomic_load(&self.plan->shm->workers[rank].ready) == 0)
            return; /* that one sees this one: both have stored, then loaded, in one order */
    fmi_park_wake(&self.plan->shm->events);
}

static void live(void)
{
    FMI_FAULT("worker.initialize");
    if (initialize() != 0)
        _exit(1);
    FMI_FAULT("worker.ready");
    atomic_store(&self.shared->ready, self.starts); /* seq_cst; pairs with check_ready, too */
    wake_when_all_are_ready();
    fmi_sys_prefer_for_oom(); /* while the host wakes */
    self.plan->work(self.rank, self.starts, self.plan->arg);
    leave();
}

_Noreturn void fmi_worker_run(const struct fmi_crew_plan *plan, int rank, uint32_t starts,
                              int warden_pid)
{
    self = (struct self){
        .plan = plan, .rank = rank, .starts = starts, .shared = &plan->shm->workers[rank]};
    snprintf(self.name, sizeof self.name, "fm-w%02d", rank);
    /* or it could be ready before the warden tells */
    atomic_store(&self.shared->pid, (uint32_t)getpid());
    fmi_usercode_run(&(struct fmi_usercode){.parent = warden_pid,
                                            .name = self.name,
                                            .cpu = plan->cpus[rank],
                                            .inner_threads = plan->inner_threads,
                                            .stack_bytes = plan->stack_bytes,
                                            .fault = &self.shared->fault,
                                            .starts = starts,
                                            .at_exit = _exit,
                                            .give_up = give_up,
                                            .become = become_itself,
                                            .live = live});
}
