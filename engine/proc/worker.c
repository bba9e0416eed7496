/* SPDX-License-Identifier: MIT */
/* A worker's life: its first steps (usercode.h), its initializer, its work until it is to leave or retires, its finalizer. */
#include "crew.h"

#include "clock.h"
#include "fault.h"
#include "mortal.h"
#include "process.h"
#include "usercode.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#define LOOK_NS FM_SECONDS(1) /* no wait for another process is longer without a look */

struct self {
    const struct fmi_crew_plan *plan;
    int rank;
    uint32_t starts;
    int warden_pid;
    int is_standby; /* until its turn */
    int orders;     /* of a spare: an eventfd */
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
    fmi_sys_flush_output();
    if (code != 0) {
        atomic_store(&self.shared->init_code, code);
        fmi_park_wake(&self.plan->shm->events);
    }
    return code;
}

static void finish(void)
{
    if (self.plan->finalizer != NULL)
        self.plan->finalizer(self.rank, self.plan->init_arg);
    fmi_mortal_leave();
    fflush(stdout);
    fflush(stderr);
    _exit(0);
}

static void leave(void)
{
    FMI_FAULT("worker.leave");
    atomic_store(&self.shared->left,
                 self.starts); /* first: a finalizer that crashes is not run again */
    finish();
}

static int is_answered(void)
{
    /* acquire: what the standby has set up; pairs with await_turn, deny_standby */
    return atomic_load_explicit(&self.shared->standby, memory_order_acquire) == self.starts + 1 ||
           atomic_load_explicit(&self.shared->denied, memory_order_acquire) == self.starts;
}

/* Between two chunks: whoever goes on from the words of its job finds nothing in flight. */
static void retire(void)
{
    struct fmi_park_shm *events = &self.plan->shm->events;
    FMI_FAULT("worker.retire");
    atomic_store(&self.shared->retiring, self.starts); /* pairs with fmi_wards_retires */
    FMI_FAULT("worker.retiring");
    int rc = fmi_sys_notify_parent(self.warden_pid); /* refused if the function changed the user */
    while (rc == 0) {
        uint32_t seen = fmi_park_seen(events);
        if (is_answered())
            break;
        fmi_park(events, seen, 0, fmi_deadline_after(LOOK_NS));
    }
    FMI_FAULT("worker.retired");
    finish();
}

/* Without end, but that of the warden: then the kernel ends this one, too. */
static void await_turn(void)
{
    struct fmi_park_shm *events = &self.plan->shm->events;
    FMI_FAULT("standby.ready");
    atomic_store(&self.shared->standby, self.starts); /* pairs with is_answered */
    fmi_park_wake(events);
    FMI_FAULT("standby.waiting");
    for (;;) {
        uint32_t seen = fmi_park_seen(events);
        if (fmi_worker_death(self.shared, self.starts) != NULL)
            break;
        fmi_park(events, seen, 0, fmi_deadline_after(LOOK_NS));
    }
    self.is_standby = 0;
    atomic_store(&self.shared->pid, (uint32_t)getpid()); /* as the warden is about to */
    FMI_FAULT("standby.turn");
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
    struct fmi_crew_shm *shm = self.plan->shm;
    int n = (int)atomic_load(&shm->wanted);
    for (int rank = self.plan->first; rank < n && rank < self.plan->n; rank++) {
        uint32_t ready = atomic_load(&shm->workers[rank].ready);
        if (ready == 0 || ready != atomic_load(&shm->workers[rank].starts))
            return; /* that one sees this one: both have stored, then loaded, in one order */
    }
    fmi_park_wake(&self.plan->shm->events);
}

static void live(void)
{
    FMI_FAULT("worker.initialize");
    if (initialize() != 0)
        _exit(1);
    if (self.is_standby)
        await_turn();
    FMI_FAULT("worker.ready");
    atomic_store(&self.shared->ready, self.starts); /* seq_cst; pairs with check_ready, too */
    wake_when_all_are_ready();
    fmi_sys_prefer_for_oom(); /* while the host wakes */
    if (self.plan->work(self.rank, self.starts, self.plan->arg) == FMI_WORK_RETIRES)
        retire();
    leave();
}

static void take_rank(int rank, uint32_t starts)
{
    self.rank = rank;
    self.starts = starts;
    self.shared = &self.plan->shm->workers[rank];
    snprintf(self.name, sizeof self.name, "fm-w%02d", rank);
    if (!self.is_standby) /* or it could be ready before the warden tells */
        atomic_store(&self.shared->pid, (uint32_t)getpid());
}

static void describe(struct fmi_usercode *code)
{
    code->name = self.name;
    code->cpu = self.plan->cpus[self.rank];
    code->fault = &self.shared->fault;
    code->starts = self.starts;
    code->unpinned = &self.shared->unpinned;
}

/* Without end, but that of the warden. */
static void await_order(struct fmi_usercode *code)
{
    struct pollfd wait = {.fd = self.orders, .events = POLLIN};
    uint64_t order = 0;
    FMI_FAULT("spare.waiting");
    while (order == 0 && fmi_sys_poll(&wait, 1, -1) >= 0)
        order = fmi_sys_eventfd_take(self.orders);
    if (order == 0)
        _exit(1);
    FMI_FAULT("spare.turn");
    close(self.orders);
    take_rank(fmi_order_rank(order), fmi_order_starts(order));
    describe(code);
}

static struct fmi_usercode common_steps(void)
{
    const struct fmi_crew_plan *plan = self.plan;
    if (plan->ignores_term)
        signal(SIGTERM, SIG_IGN); /* and that stays so */
    return (struct fmi_usercode){.parent = self.warden_pid,
                                 .inner_threads = plan->inner_threads,
                                 .stack_bytes = plan->stack_bytes,
                                 .memory_limit = plan->memory_limit,
                                 .places = plan->shm->places,
                                 .at_exit = _exit,
                                 .become = become_itself,
                                 .live = live};
}

_Noreturn void fmi_worker_run(const struct fmi_crew_plan *plan, int rank, uint32_t starts,
                              int warden_pid, int is_standby)
{
    self = (struct self){.plan = plan, .warden_pid = warden_pid, .is_standby = is_standby};
    take_rank(rank, starts);
    struct fmi_usercode code = common_steps();
    code.give_up = give_up;
    describe(&code);
    fmi_usercode_run(&code);
}

static void end_itself(int code)
{
    (void)code;
    _exit(1);
}

_Noreturn void fmi_spare_run(const struct fmi_crew_plan *plan, int cpu, int orders, int warden_pid)
{
    static struct fmi_fault_shm unseen;  /* until it has a rank */
    static _Atomic uint32_t is_told = 1; /* if it cannot be pinned yet, that is no news */
    self = (struct self){.plan = plan, .rank = -1, .warden_pid = warden_pid, .orders = orders};
    struct fmi_usercode code = common_steps();
    code.name = "fm-spare";
    code.cpu =
        cpu; /* its steps, done once, are quick when they are done for the rank that it gets */
    code.fault = &unseen;
    code.unpinned = &is_told;
    code.give_up = end_itself;
    code.await = await_order;
    fmi_usercode_run(&code);
}
