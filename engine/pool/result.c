/* SPDX-License-Identifier: MIT */
/* Results of work that was handed out: waiting, settling, cancelling, freeing. See result.h. */
#include "result.h"

#include "clock.h"
#include "dispatcher.h"
#include "error.h"
#include "heap.h"
#include "owner.h"
#include "process.h"
#include "soft_stop.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EAGER_NS = 4000,      /* a task may be over before a sleeper would be awake */
    LOOK_NS = 1000000000, /* no wait is longer without a look at everything */
    KILL_AGAIN_NS = 1000000,
};
#define END_TIMEOUT_NS FM_SECONDS(5)

/* ---- making and freeing ------------------------------------------------------------------------- */

struct fm_result *fmi_result_new(fm_pool *pool, size_t small_bytes)
{
    struct fm_result *r = fmi_result_alloc(small_bytes);
    if (r == NULL)
        return NULL;
    int kind = r->kind;
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->owner = pool == NULL ? fmi_owner_become() : fmi_owner_pid();
    r->stage = FMI_RESULT_IN_FLIGHT;
    r->pool = pool;
    r->serial = pool == NULL ? 0 : pool->serial;
    r->fd = -1;
    return r;
}

void fmi_result_delete(struct fm_result *r)
{
    if (r->fd >= 0)
        close(r->fd);
    (void)fmi_heap_free(r->more);
    free(r->report.list);
    free(r->map);
    fmi_result_give(r);
}

static int stage_of(const struct fm_result *r)
{
    return atomic_load_explicit(&r->stage,
                                memory_order_acquire); /* pairs with publish and release */
}

/* For a callback its result is ready. */
static int is_ready(const struct fm_result *r)
{
    int stage = stage_of(r);
    return stage >= FMI_RESULT_READY ||
           (stage == FMI_RESULT_SETTLED && fmi_dispatcher_is_self(r->pool));
}

static int check(const struct fm_result *r)
{
    if (r == NULL)
        return fmi_error(-EINVAL, "the result is NULL");
    if (r->owner != fmi_owner_pid())
        return fmi_error(FM_EFORKED, "the result belongs to process %u", r->owner);
    return 0;
}

/* ---- settling ----------------------------------------------------------------------------------- */

int fmi_result_hold(struct fm_result *r)
{
    for (;;) {
        int stage = FMI_RESULT_IN_FLIGHT;
        if (atomic_compare_exchange_weak(&r->stage, &stage, FMI_RESULT_HELD))
            return 1;
        if (stage >= FMI_RESULT_SETTLED)
            return 0;
        sched_yield();
    }
}

static void release(struct fm_result *r)
{
    atomic_store_explicit(&r->stage, FMI_RESULT_IN_FLIGHT, memory_order_release);
}

int fmi_result_is_over(struct fm_result *r)
{
    if (stage_of(r) >= FMI_RESULT_SETTLED)
        return 1;
    if (r->slot != NULL) {
        if (fmi_task_is_over(r->slot->task))
            return 1;
        fmi_task_inspect(r->pool, r->slot);
        return fmi_pool_trouble(r->pool) != 0;
    }
    if (!fmi_result_hold(r))
        return 1;
    int rc = fmi_mapping_is_done(&r->map->mapping);
    release(r);
    return rc != 0 || fmi_pool_trouble(r->pool) != 0;
}

/* The result of a task that ended well, where its caller looks for it. FM_ECORRUPT into the code if it was overwritten in the record. */
static void deliver(struct fm_result *r)
{
    const char *from = r->elsewhere != NULL ? r->elsewhere : r->slot->task->result;
    if (r->result_bytes == 0)
        return;
    if (r->elsewhere != NULL && r->copy_to == NULL) {
        r->data = from;
        return;
    }
    void *to = r->copy_to != NULL ? r->copy_to : r->small;
    memcpy(to, from, r->result_bytes);
    r->data = to;
    if (r->elsewhere == NULL &&
        fmi_task_result_sum(to, r->result_bytes) != r->slot->task->result_sum)
        r->code = FM_ECORRUPT;
}

/* A task that is not over never will be: its record and block stay with the pool, as a worker may still be dying in it. */
static void settle_task(struct fm_result *r)
{
    fm_pool *pool = r->pool;
    if (!fmi_task_is_over(r->slot->task)) {
        r->code = fmi_pool_trouble(pool);
        r->slot->owner = NULL;
        fmi_pool_keep_block(pool, r->more);
        r->more = NULL;
        if (r->code == FM_ECORRUPT)
            fmi_pool_condemn(pool);
        if (pool->has_crew) { /* the caller may free what its function writes to */
            fmi_crew_command(&pool->crew, FMI_COMMAND_KILL); /* it is broken, if that is true */
            fmi_crew_await_end(&pool->crew, END_TIMEOUT_NS);
        }
        return;
    }
    r->code = fmi_task_code(r->slot);
    int rc = r->code == 0 ? 0 : fmi_task_report(r->slot, &r->report);
    if (rc == FM_ECORRUPT)
        r->code = rc;
    if (r->is_called_off && r->code != 0 && r->code != FM_ECORRUPT)
        r->code = FM_ECANCELLED;
    if (r->code == 0)
        deliver(r);
    if (r->code == FM_ECORRUPT)
        fmi_pool_condemn(pool); /* nothing that the workers do can be trusted any more */
    fmi_task_put(pool, r->slot);
}

static void settle_map(struct fm_result *r)
{
    fm_pool *pool = r->pool;
    struct fmi_mapping *m = &r->map->mapping;
    while (atomic_load(&r->map->is_helped) != 0)
        sched_yield(); /* nothing is left for it to do */
    int rc = fmi_mapping_is_done(m);
    rc = rc == 1 ? 0 : rc == 0 ? fmi_pool_trouble(pool) : rc;
    pthread_mutex_lock(&pool->lock);
    pool->async[m->slot] = NULL;
    pthread_mutex_unlock(&pool->lock);
    r->code = fmi_mapping_end(m, rc, &r->report);
    fmi_soft_stop_end(pool);
}

void fmi_result_publish(struct fm_result *r, fm_pool *pool)
{
    /* seq_cst: before the looks at the descriptor and at sleepers; pairs with install and sleep_once */
    atomic_store(&r->stage, FMI_RESULT_READY);
    int fd = atomic_load(&r->fd);
    if (fd >= 0)
        fmi_sys_eventfd_ring(fd);
    /* release: pairs with fm_result_free */
    atomic_store_explicit(&r->stage, FMI_RESULT_TOLD, memory_order_release);
    if (atomic_load(&pool->n_awaiting) != 0)
        fmi_park_wake(&pool->view.shm->done);
}

/* It is held, and over. */
static void settle_held(struct fm_result *r)
{
    fm_pool *pool = r->pool;
    int is_last = !fmi_result_has_callback(r), is_forgotten = r->is_forgotten;
    if (r->slot != NULL)
        settle_task(r);
    else
        settle_map(r);
    atomic_store_explicit(&r->stage, FMI_RESULT_SETTLED, memory_order_release);
    if (is_last)
        fmi_result_publish(r, pool);
    if (is_last && is_forgotten)
        fmi_result_delete(r);
}

void fmi_result_settle(struct fm_result *r)
{
    if (fmi_result_hold(r))
        settle_held(r);
}

static _Thread_local const struct fm_result *calling_back; /* innermost */

void fmi_result_call_back(struct fm_result *r)
{
    fm_callback_fn *fn = r->code == 0 ? r->callback : r->error_callback;
    const struct fm_result *outer = calling_back;
    calling_back = r;
    if (fn != NULL)
        fn(r, r->callback_arg);
    calling_back = outer;
}

/* Its callback would have to return before it may be freed, and this thread calls it, or is to. */
static int is_awaiting_this_thread(const struct fm_result *r)
{
    return r == calling_back || (fmi_result_has_callback(r) && stage_of(r) < FMI_RESULT_READY &&
                                 fmi_dispatcher_is_self(r->pool));
}

/* ---- waiting ------------------------------------------------------------------------------------ */

/* While it is helped its slot is its own: settle_map waits. */
static void help_map(struct fm_result *r)
{
    struct fmi_async_map *map = r->map;
    atomic_store(&map->is_helped, 1); /* seq_cst: before the look; pairs with settle_map */
    if (stage_of(r) < FMI_RESULT_SETTLED && fmi_mapping_is_done(&map->mapping) == 0)
        fmi_mapping_help(&map->mapping);
    atomic_store(&map->is_helped, 0);
}

/* Out of its turn, so the dispatcher is told. */
static int help_task(struct fm_result *r, const struct fmi_performer *caller)
{
    if (!fmi_task_perform(caller, r->slot->task))
        return fmi_tasks_help(caller);
    if (fmi_result_has_callback(r))
        fmi_dispatcher_look_at_all(r->pool);
    return 1;
}

/* Runs what is waited for, or what else there is. Returns 0 when there is nothing to do. */
static int help(struct fm_result *r)
{
    const struct fmi_performer caller = fmi_task_caller(r->pool);
    if (r->slot != NULL)
        return help_task(r, &caller);
    if (r->map->mapping.plan.schedule != FM_SCHEDULE_STATIC)
        help_map(r);
    return 0;
}

/* One thread at a time reports progress of a map, and takes part in it. */
static int attend(struct fm_result *r)
{
    int nobody = 0;
    return r->slot == NULL && atomic_compare_exchange_strong(&r->map->is_attended, &nobody, 1);
}

/* The user's function may do what it likes with the result, so it is called without a hold. */
static void report_progress(struct fm_result *r, int64_t now)
{
    if (!fmi_result_hold(r))
        return;
    fm_progress p = fmi_mapping_count(&r->map->mapping, now);
    release(r);
    if (r->map->opts.progress(&p, r->map->opts.progress_arg) != 0)
        (void)fm_result_cancel(r, 0);
}

/* When to look up next. */
static int64_t look(struct fm_result *r, int is_attending, int64_t deadline_ns)
{
    int64_t now = fmi_now_ns(), next = now + LOOK_NS;
    if (is_attending && r->map->opts.progress != NULL) {
        if (now >= r->map->report_ns) {
            report_progress(r, now);
            r->map->report_ns = fmi_deadline_after(fmi_mapping_report_interval(&r->map->mapping));
        }
        next = r->map->report_ns < next ? r->map->report_ns : next;
    }
    return next < deadline_ns ? next : deadline_ns;
}

/* Counted while it may be asleep: who publishes looks. */
static int sleep_once(struct fm_result *r, uint32_t seen, int64_t spin_ns, int64_t until_ns)
{
    fm_pool *pool = r->pool;
    int rc = 0;
    atomic_fetch_add(&pool->n_awaiting, 1); /* seq_cst: before the look; pairs with publish */
    if (!is_ready(r))
        rc = fmi_pool_park(pool, seen, spin_ns, until_ns);
    atomic_fetch_sub(&pool->n_awaiting, 1);
    return rc;
}

/* 1: it is over, or never will be; else its end will wake `done`. */
static int is_over_or_wanted(struct fm_result *r)
{
    /* of another task, if this one was settled just now: then it is one wake too many */
    return fmi_result_is_over(r) || (r->slot != NULL && fmi_task_want(r->slot));
}

static int sleep_until(struct fm_result *r, int64_t deadline_ns, int is_attending)
{
    int64_t spin_ns = r->slot != NULL ? EAGER_NS : 0;
    for (;;) {
        uint32_t seen = fmi_park_seen(&r->pool->view.shm->done);
        if (is_ready(r))
            return 0;
        if (is_over_or_wanted(r) && !fmi_result_has_callback(r)) {
            fmi_result_settle(r);
            continue;
        }
        if (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns)
            return -ETIMEDOUT;
        int rc = sleep_once(r, seen, spin_ns, look(r, is_attending, deadline_ns));
        if (rc == -EINTR && is_attending && r->map->opts.on_signal == FM_SIGNAL_CANCEL)
            (void)fm_result_cancel(r, 0);
        spin_ns = 0;
    }
}

/* On a pool that is held. */
static int await_held(struct fm_result *r, int64_t timeout, int may_help)
{
    if (timeout == FM_NOWAIT) {
        if (fmi_result_is_over(r) && !fmi_result_has_callback(r))
            fmi_result_settle(r);
        else
            fmi_pool_inspect_if_due(r->pool); /* by who asks again and again */
        return is_ready(r) ? 0 : -ETIMEDOUT;
    }
    int is_attending = attend(r);
    if (may_help && !r->pool->view.is_isolated && timeout < 0)
        while (!fmi_result_is_over(r) && (r->slot != NULL || is_attending) && help(r))
            ;
    int rc = sleep_until(r, fmi_deadline_after(timeout), is_attending);
    if (is_attending && rc != 0)
        atomic_store(&r->map->is_attended, 0);
    return rc;
}

static int await(struct fm_result *r, int64_t timeout, int may_help)
{
    if (is_ready(r))
        return 0;
    if (timeout != FM_NOWAIT && is_awaiting_this_thread(r))
        return fmi_error(-EDEADLK, "called by a callback, and that of this result is yet to come");
    int rc = fmi_pool_hold(r->pool, r->serial);
    if (rc == 0) {
        const fm_pool *outer = fmi_pool_set_mapping(r->pool); /* by what is called meanwhile */
        rc = await_held(r, timeout, may_help);
        fmi_pool_set_mapping(outer);
        fmi_pool_leave(r->pool);
        return rc;
    }
    while (!is_ready(r)) /* whoever destroys the pool settles it, now */
        sched_yield();
    return 0;
}

/* Says what went wrong, in the words of the first record. */
static int explain(const struct fm_result *r)
{
    if (r->code == 0)
        return 0;
    if (r->report.n == 0)
        return fmi_error(r->code, "%s", fm_strerror(r->code));
    const fm_failure *first = &r->report.list[0];
    if (r->slot != NULL)
        return fmi_error(r->code, "the call %s", fm_item_state_name(first->state));
    return fmi_error(r->code, "item %lld %s (%lld failed in all)", (long long)first->item,
                     fm_item_state_name(first->state), (long long)r->report.n);
}

int fm_result_get(fm_result *r, int64_t timeout)
{
    int rc = check(r);
    if (rc == 0)
        rc = await(r, timeout, 1);
    return rc != 0 ? rc : explain(r);
}

int fm_result_wait(fm_result *r, int64_t timeout)
{
    int rc = check(r);
    return rc != 0 ? rc : await(r, timeout, 1);
}

int fm_result_ready(fm_result *r)
{
    int rc = check(r);
    return rc != 0 ? rc : await(r, FM_NOWAIT, 0) == 0;
}

int fm_result_successful(fm_result *r)
{
    int rc = fm_result_ready(r);
    if (rc == 0)
        return fmi_error(FM_ENOTREADY, "it has not ended");
    return rc < 0 ? rc : r->code == 0;
}

const void *fm_result_data(fm_result *r)
{
    return fm_result_ready(r) == 1 && r->code == 0 ? r->data : NULL;
}

int64_t fm_result_failures(fm_result *r, fm_failure *list, int64_t n)
{
    int rc = fm_result_ready(r);
    if (rc < 0)
        return rc;
    if (n < 0 || (n > 0 && list == NULL))
        return fmi_error(-EINVAL, "list is NULL or n is negative");
    if (rc == 0)
        return fmi_error(FM_ENOTREADY, "it has not ended");
    int64_t n_copied = n < r->report.n ? n : r->report.n;
    if (n_copied > 0)
        memcpy(list, r->report.list, (size_t)n_copied * sizeof *list);
    return r->report.n;
}

/* The first descriptor is that of the result. Returns which it is. */
static int install(struct fm_result *r, int fd, int is_held)
{
    int first = -1;
    /* seq_cst: before the look at the stage; pairs with publish */
    if (!atomic_compare_exchange_strong(&r->fd, &first, fd)) {
        close(fd);
        return first;
    }
    if (atomic_load(&r->stage) >= FMI_RESULT_READY)
        fmi_sys_eventfd_ring(fd);
    else if (is_held && !fmi_result_has_callback(r))
        fmi_dispatcher_watch(r->pool, r);
    return fd;
}

int fm_result_fileno(fm_result *r)
{
    int rc = check(r);
    if (rc != 0 || r->fd >= 0)
        return rc != 0 ? rc : r->fd;
    int fd = fmi_sys_eventfd();
    if (fd < 0)
        return fmi_error(fd, "eventfd: %s (see ulimit -n)", fm_strerror(fd));
    /* not held: it is ready, or whoever destroys the pool makes it so now */
    int is_held = stage_of(r) < FMI_RESULT_READY && fmi_pool_hold(r->pool, r->serial) == 0;
    rc = is_held ? fmi_dispatcher_start(r->pool) : 0;
    if (rc == 0)
        rc = install(r, fd, is_held);
    else
        close(fd);
    if (is_held)
        fmi_pool_leave(r->pool);
    return rc;
}

/* ---- calling off -------------------------------------------------------------------------------- */

static void kill_workers_of(const struct fmi_mapping *m)
{
    fm_pool *pool = m->pool;
    const struct fmi_range_shm *lines = m->ranges.lines;
    const struct fmi_progress_shm *progress = fmi_mapping_progress(m);
    for (int rank = 0; rank < pool->view.n_ranks && pool->has_crew; rank++)
        if (atomic_load(&lines[rank].inside) == m->ticket)
            fmi_crew_end_worker(&pool->crew, rank, atomic_load(&progress[rank].calling));
}

/* It is held, so its slot is its own. */
static void call_off(struct fm_result *r, unsigned flags)
{
    if (r->slot != NULL) {
        r->is_called_off = 1;
        if (!fmi_task_drop(r->slot) && flags & FM_CANCEL_KILL)
            fmi_task_kill(r->pool, r->slot);
        return;
    }
    fmi_mapping_cancel(&r->map->mapping);
    if (flags & FM_CANCEL_KILL)
        kill_workers_of(&r->map->mapping);
}

int fm_result_cancel(fm_result *r, unsigned flags)
{
    int rc = check(r);
    if (rc == 0 && (flags & ~FM_CANCEL_KILL) != 0)
        rc = fmi_error(-EINVAL, "unknown flags 0x%x", flags & ~FM_CANCEL_KILL);
    if (rc != 0 || stage_of(r) >= FMI_RESULT_SETTLED || fmi_pool_hold(r->pool, r->serial) != 0)
        return rc; /* or the pool has ended, and it with it */
    if (!fmi_result_is_over(r) && fmi_result_hold(r)) {
        call_off(r, flags);
        release(r);
        fmi_dispatcher_look_at_all(r->pool);
        fmi_park_wake(&r->pool->view.shm->done); /* who waits for a task that will not begin */
    }
    fmi_pool_leave(r->pool);
    return 0;
}

/* The dispatcher must have let go of it. */
static void unwatch(struct fm_result *r)
{
    while (atomic_load(&r->is_watched) != 0) {
        int is_held = fmi_pool_hold(r->pool, r->serial) == 0;
        if (is_held || fmi_dispatcher_is_self(r->pool))
            fmi_dispatcher_forget(r->pool, r);
        if (is_held)
            fmi_pool_leave(r->pool);
        sched_yield(); /* the dispatcher is at it, or the pool is being destroyed, and the dispatcher lets go of all */
    }
}

int fm_result_free(fm_result *r)
{
    if (r == NULL)
        return 0;
    int rc = check(r);
    if (rc == 0 && is_awaiting_this_thread(r))
        rc = fmi_error(-EDEADLK, "called by a callback, and that of this result is yet to return");
    if (rc != 0)
        return rc;
    for (int64_t patience = FM_NOWAIT; await(r, patience, 0) == -ETIMEDOUT;
         patience = KILL_AGAIN_NS)
        (void)fm_result_cancel(r, FM_CANCEL_KILL);
    while (stage_of(r) == FMI_RESULT_READY)
        sched_yield(); /* its descriptor is being made readable */
    unwatch(r);
    fmi_result_delete(r);
    return 0;
}

/* ---- the pool ----------------------------------------------------------------------------------- */

/* Nobody frees it once it is held. Not held: someone else settles it. */
static struct fm_result *hold_map(fm_pool *pool, int slot)
{
    int stage = FMI_RESULT_IN_FLIGHT;
    pthread_mutex_lock(&pool->lock);
    struct fm_result *r = pool->async[slot];
    if (r != NULL && !atomic_compare_exchange_strong(&r->stage, &stage, FMI_RESULT_HELD))
        r = NULL;
    pthread_mutex_unlock(&pool->lock);
    return r;
}

void fmi_results_reap(fm_pool *pool)
{
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++) {
        struct fm_result *r = hold_map(pool, slot);
        if (r == NULL)
            continue;
        if (fmi_mapping_is_done(&r->map->mapping) != 0)
            settle_held(r); /* also for the dispatcher, which may be waiting for a slot itself */
        else
            release(r);
    }
}

static void settle_without_callback(struct fm_result *r)
{
    if (!fmi_result_has_callback(r))
        fmi_result_settle(r);
}

void fmi_results_end(fm_pool *pool)
{
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++) {
        struct fm_result *r = hold_map(pool, slot);
        if (r == NULL)
            continue;
        release(r);
        settle_without_callback(r);
    }
    fmi_task_queue_end(pool, settle_without_callback);
}
