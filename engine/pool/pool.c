/* SPDX-License-Identifier: MIT */
/* Opening, closing, terminating, joining and destroying a pool. */
#include "cgroup.h"
#include "clock.h"
#include "dispatcher.h"
#include "error.h"
#include "guarded.h"
#include "handle.h"
#include "heap.h"
#include "rlimits.h"
#include "memory.h"
#include "message.h"
#include "opts.h"
#include "orders.h"
#include "owner.h"
#include "prepare.h"
#include "process.h"
#include "record.h"
#include "run.h"
#include "topo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIN_MEMORY_LIMIT = 1 << 20 }; /* a worker's own work needs some of it */
enum {
    FORK_FDS = 3,
    SPAWN_FDS = 5
}; /* a bell, the warden's pidfd, its own signalfd; copies for what is spawned */

#define START_TIMEOUT_NS FM_SECONDS(60)
#define END_TIMEOUT_NS   FM_SECONDS(5)
#define JOIN_LOOK_NS     FM_SECONDS(1)

/* ---- options -------------------------------------------------------------------------------- */

static int check_opts(const fm_pool_opts *o)
{
    if (o->workers < 0 || o->workers > FM_MAX_WORKERS)
        return fmi_error(-EINVAL,
                         "%d workers asked for; there may be 1 .. %d (0: one per usable core)",
                         o->workers, FM_MAX_WORKERS);
    if (o->max_workers < 0 || o->max_workers > FM_MAX_WORKERS ||
        (o->max_workers > 0 && o->max_workers < o->workers))
        return fmi_error(-EINVAL, "max_workers is %d; it may be %d .. %d, or 0: as many as workers",
                         o->max_workers, o->workers > 0 ? o->workers : 1, FM_MAX_WORKERS);
    if (o->min_workers < 0 || o->min_workers > FM_MAX_WORKERS ||
        (o->workers > 0 && o->min_workers > o->workers))
        return fmi_error(-EINVAL, "min_workers is %d; it may be 1 .. %d, or 0: all are needed",
                         o->min_workers, o->workers > 0 ? o->workers : FM_MAX_WORKERS);
    if (o->pin < 0 || o->pin > FM_PIN_NONE)
        return fmi_error(-EINVAL, "unknown pin %d", o->pin);
    if (o->caller < 0 || o->caller > FM_CALLER_ONLY)
        return fmi_error(-EINVAL, "unknown caller mode %d", o->caller);
    if (o->signals < 0 || o->signals > FM_SIGNALS_SOFT)
        return fmi_error(-EINVAL, "unknown signals %d", o->signals);
    if (o->stack_bytes > PTRDIFF_MAX / 2)
        return fmi_error(-EINVAL, "stack_bytes is %zu", o->stack_bytes);
    if (o->init_arg == NULL && o->init_arg_bytes > 0)
        return fmi_error(-EINVAL, "init_arg is NULL, init_arg_bytes is %zu", o->init_arg_bytes);
    if (o->inner_threads < -1 || o->start_timeout < 0)
        return fmi_error(-EINVAL,
                         "inner_threads may be -1 or more, start_timeout may not be negative");
    if (o->max_tasks_per_worker < 0)
        return fmi_error(-EINVAL, "max_tasks_per_worker is %lld; it may not be negative",
                         (long long)o->max_tasks_per_worker);
    if (o->worker_memory_limit > 0 && o->worker_memory_limit < MIN_MEMORY_LIMIT)
        return fmi_error(-EINVAL,
                         "worker_memory_limit is %zu; it may be %d (1 MiB) or more, or 0: none",
                         o->worker_memory_limit, MIN_MEMORY_LIMIT);
    if (o->worker_memory_limit > 0 && fmi_sys_private_mapped() == 0)
        return fmi_error(-ENOTSUP, "worker_memory_limit needs /proc/self/status with VmData");
    return 0;
}

static int count_workers(const fm_pool_opts *o)
{
    fm_budget budget;
    if (o->caller == FM_CALLER_ONLY)
        return 1;
    int n = o->workers > 0 ? o->workers : fm_cpu_budget(&budget);
    return o->max_workers > 0 && n > o->max_workers ? o->max_workers : n;
}

static int count_ranks(const fm_pool_opts *o, int n_workers)
{
    return o->caller == FM_CALLER_ONLY || o->max_workers == 0 ? n_workers : o->max_workers;
}

/* The caller's share goes to its own core, so that no worker is pinned there. */
static void give_caller_its_core(int *cpus, int n)
{
    int here = fmi_sys_current_cpu();
    for (int rank = 1; rank < n; rank++)
        if (cpus[rank] == here) {
            cpus[rank] = cpus[0];
            cpus[0] = here;
            return;
        }
}

static int choose_cpus(fm_pool *pool, const fm_pool_opts *o)
{
    int n = pool->view.n_ranks;
    if (pool->is_serial) {
        pool->cpus = malloc(sizeof *pool->cpus);
        if (pool->cpus == NULL)
            return -ENOMEM;
        pool->cpus[0] = -1;
        return 0;
    }
    fm_place *places = calloc((size_t)n, sizeof *places);
    pool->cpus = calloc((size_t)n, sizeof *pool->cpus);
    int rc = places == NULL || pool->cpus == NULL ? -ENOMEM : fm_places(places, n, o->pin, NULL);
    for (int rank = 0; rc >= 0 && rank < n; rank++)
        pool->cpus[rank] = places[rank].cpu;
    free(places);
    if (rc >= 0 && pool->caller == FM_CALLER_WORKS)
        give_caller_its_core(pool->cpus, n);
    return rc < 0 ? rc : 0;
}

/* ---- shared memory -------------------------------------------------------------------------- */

static int make_slots(fm_pool *pool)
{
    size_t bytes = FMI_POOL_JOBS * sizeof *pool->slots;
    pool->slots = aligned_alloc(alignof(struct fmi_slot), bytes);
    if (pool->slots == NULL)
        return -ENOMEM;
    memset(pool->slots, 0, bytes);
    return 0;
}

static int make_shared(fm_pool *pool, const fm_pool_opts *o)
{
    int rc =
        fmi_guarded_take(&pool->block, fmi_pool_lay_out(&pool->view, NULL, pool->view.n_ranks));
    if (rc != 0)
        return rc;
    fmi_pool_lay_out(&pool->view, pool->block, pool->view.n_ranks);
    pool->view.cpus = pool->cpus;
    pool->view.is_isolated = pool->caller != FM_CALLER_WORKS;
    pool->view.max_tasks = o->max_tasks_per_worker;
    pool->view.max_bytes = o->max_worker_bytes;
    struct fmi_pool_shm *shm = pool->view.shm;
    shm->magic = FMI_POOL_MAGIC;
    shm->layout = FMI_POOL_LAYOUT;
    shm->n_ranks = (uint32_t)pool->view.n_ranks;
    fmi_park_init(&shm->work);
    fmi_park_init(&shm->done);
    fmi_pool_tell_wanted(pool, (uint64_t)pool->n_workers);
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++) {
        atomic_store(&pool->slots[slot].word, fmi_job_word(0, FMI_JOB_FREE));
        atomic_store(&shm->jobs[slot].word, fmi_job_word(0, FMI_JOB_FREE));
    }
    return 0;
}

/* Records of maps that were not collected. */
static void free_records(fm_pool *pool)
{
    struct fmi_report ignored = {0};
    for (int slot = 0; pool->block != NULL && slot < FMI_POOL_JOBS; slot++)
        if (fmi_report_drop(&ignored, &pool->view.progress[slot * pool->view.n_ranks],
                            pool->view.n_ranks) != 0)
            break; /* overwritten: they stay until the family ends */
    free(ignored.list);
}

/* ---- open ----------------------------------------------------------------------------------- */

static int open_crew(fm_pool *pool, const fm_pool_opts *o)
{
    struct fmi_crew_plan plan = {
        .shm = pool->view.crew,
        .first = pool->caller == FM_CALLER_WORKS ? 1 : 0,
        .n = pool->view.n_ranks,
        .n_wanted = pool->n_workers,
        .n_least = o->min_workers > 0 && o->min_workers < pool->n_workers ? o->min_workers
                                                                          : pool->n_workers,
        .cpus = pool->cpus,
        .stack_bytes = o->stack_bytes,
        .memory_limit = o->worker_memory_limit,
        .inner_threads = o->inner_threads == 0 ? 1 : o->inner_threads,
        .initializer = o->initializer,
        .finalizer = o->finalizer,
        .init_arg = o->init_arg_bytes > 0 ? pool->init_arg : o->init_arg,
        .ignores_term = o->signals == FM_SIGNALS_SOFT,
        .work = fmi_pool_serve,
        .on_death = fmi_pool_wake_all,
        .has_share = fmi_pool_has_share,
        .arg = &pool->view,
        .host = *fmi_family_self(),
        .method = pool->method,
        .elsewhere = fmi_orders_obey,
    };
    if (plan.first == plan.n)
        return 0;
    fmi_ticks_per_ns(); /* measured and read once, before the forks */
    fmi_sys_cgroup_prepare();
    int rc = fmi_rlimits_check_descriptors(pool->method == FM_SPAWN ? SPAWN_FDS : FORK_FDS,
                                           "to open a pool");
    if (rc == 0 && pool->method != FM_FORK)
        rc = fmi_orders_write(&pool->orders, &plan, pool->block);
    if (rc != 0)
        return rc;
    plan.orders = pool->orders;
    rc = fmi_crew_open(&pool->crew, &plan, pool->start_timeout);
    pool->has_crew = rc == 0;
    if (rc == 0 && pool->crew.plan.n_wanted < pool->n_workers)
        fmi_pool_shrink(pool, pool->crew.plan.n_wanted);
    return rc;
}

static void free_handle(fm_pool *pool)
{
    while (pool->described != NULL) {
        struct fmi_described *d = pool->described;
        pool->described = d->next;
        (void)fmi_heap_free(d->shm);
        free(d);
    }
    while (pool->kept_blocks != NULL) {
        struct fmi_kept_block *kept = pool->kept_blocks;
        pool->kept_blocks = kept->next;
        (void)fmi_heap_free(kept->block);
        free(kept);
    }
    if (pool->has_crew)
        fmi_crew_close(&pool->crew);
    fmi_task_queue_free(pool);
    free_records(pool);
    (void)fmi_heap_free(pool->orders);
    (void)fmi_heap_free(pool->init_arg);
    fmi_guarded_give(pool->block);
    fmi_modules_free(pool->modules);
    free(pool->cpus);
    free(pool->slots);
    atomic_store(&pool->mark, FMI_HANDLE_DEAD);
}

static void advance_phase(fm_pool *pool, int phase)
{
    int now = fmi_pool_phase(pool);
    while (now < phase && !atomic_compare_exchange_weak(&pool->phase, &now, phase))
        ;
}

/* Elsewhere the functions have other addresses: none is valid as it is. */
static int choose_method(fm_pool *pool, const fm_pool_opts *o)
{
    int rc = pool->method = pool->is_serial ? FM_FORK : fmi_context_method(o->context);
    if (rc < 0)
        return rc;
    if (pool->method == FM_FORK)
        return fmi_modules_snapshot(&pool->modules);
    if (o->init_arg == NULL || o->init_arg_bytes > 0 || fmi_heap_contains(o->init_arg, 1))
        return 0;
    return fmi_error(-EINVAL,
                     "init_arg points into the memory of this process, which workers by %s do not "
                     "have; give init_arg_bytes, or a pointer into the shared heap",
                     fm_start_method_name(pool->method));
}

static int copy_init_arg(fm_pool *pool, const fm_pool_opts *o)
{
    if (o->init_arg_bytes == 0)
        return 0;
    int rc = fmi_heap_alloc(&pool->init_arg, o->init_arg_bytes, 0);
    if (rc == 0)
        memcpy(pool->init_arg, o->init_arg, o->init_arg_bytes);
    return rc;
}

/* A caller that is alone has the initializer and the finalizer for itself. */
static int initialize_caller(fm_pool *pool, const fm_pool_opts *o)
{
    void *arg = o->init_arg_bytes > 0 ? pool->init_arg : o->init_arg;
    if (!pool->is_serial)
        return 0;
    int code = o->initializer == NULL ? 0 : o->initializer(0, arg);
    if (code != 0)
        return fmi_error(FM_EINIT, "the initializer returned %d in the caller", code);
    pool->finalizer_arg = arg;
    pool->finalizer = o->finalizer;
    return 0;
}

static int fill_handle(fm_pool *pool, const fm_pool_opts *o)
{
    static _Atomic uint64_t n_opened; /* private to the process */
    pool->owner = fmi_owner_become();
    pool->serial = atomic_fetch_add(&n_opened, 1) + 1;
    pool->caller = o->caller == 0                ? FM_CALLER_SLEEPS
                   : o->caller == FM_CALLER_ONLY ? FM_CALLER_WORKS
                                                 : o->caller;
    pool->is_serial = o->caller == FM_CALLER_ONLY;
    pool->is_nested = fmi_runner_current() != NULL;
    pool->signals = o->signals;
    atomic_store(&pool->phase, FMI_PHASE_OPEN);
    pool->start_timeout = o->start_timeout > 0 ? o->start_timeout : START_TIMEOUT_NS;
    int rc = count_workers(o);
    atomic_store(&pool->n_workers, rc);
    if (rc > 0)
        pool->view.n_ranks = count_ranks(o, rc);
    if (rc > 0)
        rc = choose_cpus(pool, o);
    if (rc == 0)
        rc = make_slots(pool);
    if (rc == 0)
        rc = choose_method(pool, o);
    if (rc == 0)
        rc = copy_init_arg(pool, o);
    if (rc == 0)
        rc = make_shared(pool, o);
    if (rc == 0)
        rc = open_crew(pool, o);
    if (rc == 0)
        rc = initialize_caller(pool, o);
    return rc;
}

int fm_pool_open(fm_pool **out, const fm_pool_opts *opts)
{
    fm_pool_opts o;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = fmi_opts_copy(&o, sizeof o, opts);
    if (rc == 0)
        rc = check_opts(&o);
    if (rc != 0)
        return rc;
    fm_pool *pool = fmi_owner_new_handle();
    if (pool == NULL)
        return -ENOMEM;
    rc = fill_handle(pool, &o);
    if (rc != 0) {
        free_handle(pool);
        return fmi_rlimits_explain(rc);
    }
    atomic_store(&pool->mark, FMI_HANDLE_LIVE);
    fmi_log(FM_LOG_INFO, "pool %llu is open: %d workers%s", (unsigned long long)pool->serial,
            pool->n_workers, pool->view.is_isolated ? "" : ", one of them the caller");
    *out = pool;
    return 0;
}

/* ---- end ------------------------------------------------------------------------------------ */

int fm_pool_close(fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    advance_phase(pool, FMI_PHASE_CLOSED);
    fmi_pool_wind_down(pool); /* if a map is inside, the last one that leaves does it */
    return 0;
}

static void end_now(fm_pool *pool)
{
    uint64_t none = 0;
    fmi_results_reap(pool); /* maps that are done were not stopped */
    atomic_compare_exchange_strong(&pool->end_ticks, &none, fmi_ticks());
    advance_phase(pool, FMI_PHASE_TERMINATED);
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++) /* a caller that works stops between items */
        fmi_job_stop_at(&pool->view.shm->jobs[slot], 0);
    if (pool->has_crew)
        fmi_crew_command(&pool->crew, FMI_COMMAND_KILL);
    fmi_park_wake(&pool->view.shm->done);
}

int fm_pool_terminate(fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    if (rc == 0)
        end_now(pool);
    return rc;
}

/* A map of this thread would wait for the wait. */
static int check_outside(const fm_pool *pool)
{
    if (fmi_pool_mapping() == pool || fmi_dispatcher_is_self(pool))
        return fmi_error(-EDEADLK,
                         "called from a map on the same pool, by its callback or function");
    return 0;
}

/* Workers may never hear of the end, as some function has overwritten where they are told. */
static int join_crew(fm_pool *pool, int64_t deadline_ns)
{
    for (;;) {
        int64_t look_ns = fmi_deadline_after(JOIN_LOOK_NS), now;
        int is_last = deadline_ns != FMI_NEVER && deadline_ns <= look_ns;
        now = look_ns - JOIN_LOOK_NS;
        int rc = fmi_crew_join(&pool->crew, !is_last            ? JOIN_LOOK_NS
                                            : deadline_ns > now ? deadline_ns - now
                                                                : 0);
        if (rc != -ETIMEDOUT || is_last)
            return rc;
        fmi_pool_inspect(pool);
    }
}

int fm_pool_join(fm_pool *pool, int64_t timeout)
{
    int rc = fmi_pool_check(pool);
    if (rc == 0)
        rc = check_outside(pool);
    if (rc != 0)
        return rc;
    if (fmi_pool_phase(pool) == FMI_PHASE_OPEN)
        return fmi_error(-EBUSY, "the pool is open; close or terminate it before it is joined");
    int64_t deadline_ns = fmi_deadline_after(timeout);
    rc = pool->has_crew ? join_crew(pool, deadline_ns) : 0;
    return rc != 0 ? rc : fmi_dispatcher_drain(pool, deadline_ns);
}

/* Maps in other threads see the phase and return; those that are inside a function of the caller's share end with it. */
static void await_maps(fm_pool *pool)
{
    for (;;) {
        uint32_t seen = fmi_park_seen(&pool->view.shm->done);
        if (fmi_pool_vacate(pool))
            break;
        fmi_park(&pool->view.shm->done, seen, 0, fmi_deadline_after(FM_MS(100)));
    }
}

int fm_pool_destroy(fm_pool *pool)
{
    if (pool == NULL)
        return 0;
    uint64_t live = FMI_HANDLE_LIVE;
    int rc = fmi_pool_check(pool);
    if (rc == 0)
        rc = check_outside(pool);
    if (rc != 0)
        return rc;
    if (!atomic_compare_exchange_strong(&pool->mark, &live, FMI_HANDLE_ENDING))
        return fmi_error(-EINVAL, "another thread destroys the pool");
    end_now(pool);
    await_maps(pool);
    if (pool->has_crew && fmi_crew_join(&pool->crew, END_TIMEOUT_NS) != 0) {
        fmi_crew_kill(&pool->crew);
        fmi_crew_await_end(&pool->crew, END_TIMEOUT_NS); /* before their memory is another's */
    }
    fmi_results_end(pool);
    fmi_dispatcher_end(pool);
    free_handle(pool);
    fmi_result_trim();
    return 0;
}

/* ---- what it is ----------------------------------------------------------------------------- */

int fm_pool_workers(const fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    return rc != 0 ? rc : pool->n_workers;
}

int fm_pool_worker(fm_pool *pool, int rank, fm_worker_info *out)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    if (out == NULL || rank < 0 || rank >= pool->n_workers)
        return fmi_error(-EINVAL, "rank %d of %d workers", rank, pool->n_workers);
    const struct fmi_worker_shm *worker = &pool->view.crew->workers[rank];
    int is_caller = rank == 0 && pool->caller == FM_CALLER_WORKS;
    *out = (fm_worker_info){.pid = is_caller ? (int)pool->owner : (int)atomic_load(&worker->pid),
                            .cpu = pool->cpus[rank],
                            .starts = is_caller ? 1 : (int)atomic_load(&worker->starts)};
    return 0;
}

int fm_pool_warden_pid(fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    return rc != 0 ? rc : pool->has_crew ? pool->crew.warden.pid : 0;
}

int fm_pool_signal(const fm_pool *pool)
{
    int rc = fmi_pool_check(pool);
    return rc != 0 ? rc : atomic_load(&pool->stop_signal);
}
