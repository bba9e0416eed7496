/* SPDX-License-Identifier: MIT */
/*
 * A worker's first steps, and its last. Before the user's code runs it has: no handlers of the host's, a death signal, a
 * crash reporter, a guard against exit(), a stack of its own (a longjmp to one of the host's frames would otherwise
 * start a second host), its core, its name.
 */
#include "crew.h"

#include "clock.h"
#include "fault.h"
#include "memory.h"
#include "message.h"
#include "process.h"
#include "topo.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

enum { GUARD_BYTES = 1 << 20, DEFAULT_STACK_BYTES = 8 << 20, MIN_STACK_BYTES = 64 << 10 };

struct self {
    const struct fmi_crew_plan *plan;
    int rank;
    uint32_t starts;
    struct fmi_worker_shm *shared;
    void *stack;
    size_t stack_bytes;
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

/* LIFO: runs before the host's atexit handlers, which belong to the host. */
static void leave_at_exit(int status, void *arg)
{
    (void)arg;
    _exit(status);
}

static size_t stack_bytes_of(const struct fmi_crew_plan *plan)
{
    struct rlimit limit;
    size_t page = fmi_sys_page_bytes(), bytes = plan->stack_bytes;
    if (bytes == 0 && getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        bytes = limit.rlim_cur;
    if (bytes == 0)
        bytes = DEFAULT_STACK_BYTES;
    if (bytes < MIN_STACK_BYTES)
        bytes = MIN_STACK_BYTES;
    return (bytes + page - 1) / page * page;
}

static int make_stack(void)
{
    void *block;
    self.stack_bytes = stack_bytes_of(self.plan);
    int rc = fmi_sys_map_private(&block, GUARD_BYTES + self.stack_bytes);
    if (rc != 0)
        return rc;
    fmi_sys_protect_none(block, GUARD_BYTES);
    self.stack = (char *)block + GUARD_BYTES;
    fmi_crash_set_guard(block, self.stack);
    return 0;
}

/* Teams of one in workers: all cores have a worker already, and libgomp hangs in a child of a process that used it. */
static void limit_inner_threads(int n)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS", "BLIS_NUM_THREADS"};
    char text[16];
    if (n <= 0)
        return;
    snprintf(text, sizeof text, "%d", n);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        setenv(names[i], text, 1);
    union {
        void *symbol;
        void (*function)(int);
    } set = {.symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads")};
    if (set.symbol != NULL)
        set.function(n);
}

static void pin_to(int cpu)
{
    int rc = cpu < 0 ? 0 : fmi_sys_topo_bind(cpu);
    if (rc != 0 && self.starts == 1)
        fmi_log(FM_LOG_WARNING, "worker %d runs unpinned: cpu %d: %s", self.rank, cpu,
                fm_strerror(rc));
}

static void set_up(int warden_pid)
{
    char name[32];
    fmi_sys_die_with_parent(warden_pid);
    atomic_store(&self.shared->pid,
                 (uint32_t)getpid()); /* or it could be ready before the warden tells */
    fmi_sys_reset_signals();
    on_exit(leave_at_exit, NULL);
    snprintf(name, sizeof name, "fm-w%02d", self.rank);
    fmi_sys_set_name(name);
    fmi_log_set_name(name);
    fmi_sys_prefer_for_oom();
    pin_to(self.plan->cpus[self.rank]);
    limit_inner_threads(self.plan->inner_threads);
    fmi_crash_report_to(self.shared, self.starts);
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

/* On the worker's own stack, from here to the end. */
static void live(void)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    sigset_t none;
    sigemptyset(&none);
    fmi_sys_restore_signals(&none);
    FMI_FAULT("worker.initialize");
    if (initialize() != 0)
        _exit(1);
    FMI_FAULT("worker.ready");
    atomic_store_explicit(&self.shared->ready, self.starts,
                          memory_order_release); /* pairs with check_ready */
    fmi_park_wake(&self.plan->shm->events);
    self.plan->work(self.rank, self.starts, self.plan->arg);
    leave();
}

_Noreturn void fmi_worker_run(const struct fmi_crew_plan *plan, int rank, uint32_t starts,
                              int warden_pid)
{
    static ucontext_t own; /* makecontext refers to it for ever */
    self = (struct self){
        .plan = plan, .rank = rank, .starts = starts, .shared = &plan->shm->workers[rank]};
    set_up(warden_pid);
    if (make_stack() != 0 || getcontext(&own) != 0)
        _exit(1);
    own.uc_stack.ss_sp = self.stack;
    own.uc_stack.ss_size = self.stack_bytes;
    makecontext(&own, live, 0);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(NULL, self.stack, self.stack_bytes);
#endif
    setcontext(&own);
    _exit(1);
}
