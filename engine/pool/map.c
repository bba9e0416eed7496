/* SPDX-License-Identifier: MIT */
/*
 * A map, from the host's side: prepare a plan, take a job slot, publish it, wait (or take part), collect.
 */
#include "cache.h"
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "handle.h"
#include "heap.h"
#include "inline.h"
#include "prepare.h"
#include "record.h"
#include "run.h"
#include "topo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    HOT_NS = 50000,  /* workers still spin this long after a map (SPIN_NS of serve.c) */
    EAGER_NS = 4000, /* the host's own spin before it wakes sleepers: two wakes on one core */
    CALLER_SPIN_NS = 50000,
    PATIENCE_NS = 1000,   /* for one worker to leave, before the caller looks at all again */
    LOOK_NS = 1000000000, /* no wait is longer without a look at everything */
    SLOT_LOOK_NS = 10000000,
    PREFETCH_RANKS = 8,
    PROGRESS_NS = 100000000,
    MIN_TICK_NS = 1000000,
    MAX_TICK_NS = 100000000,
    FACTOR_TICK_NS = 10000000
};

struct map { /* one map in progress; private to its thread */
    fm_pool *pool;
    const fm_map_opts *opts;
    struct fmi_plan plan;
    struct fmi_job_shm *job;
    int slot;
    uint64_t ticket;
    struct fmi_ranges ranges;
    void *arg_block; /* in the heap: an argument too large for the job, and the undo copies */
    void *undo_block;
    uint64_t begin_ticks;
    int64_t begin_ns, report_ns; /* with a progress callback only */
    int is_cancelled;            /* by the progress callback */
};

/* ---- slots ---------------------------------------------------------------------------------- */

static struct fmi_progress_shm *progress_of(const struct map *m)
{
    return &m->pool->view.progress[(size_t)m->slot * (size_t)m->pool->view.n_ranks];
}

static struct fmi_range_shm *lines_of(const fm_pool *pool, int slot)
{
    return &pool->view.ranges[(size_t)slot * (size_t)pool->view.n_ranks];
}

/* No process is between its two looks at the old job, or still inside it (job.h). */
static int is_deserted(const fm_pool *pool, int slot)
{
    const struct fmi_range_shm *lines = lines_of(pool, slot);
    for (int rank = 0; rank < pool->view.n_ranks; rank++)
        if (atomic_load(&lines[rank].inside) != 0) /* seq_cst: pairs with visit */
            return 0;
    return 1;
}

/* Taken first, then looked whether it is deserted: a worker that enters after the look finds it FILLING. */
static int try_take(struct map *m, int slot)
{
    _Atomic uint64_t *word = &m->pool->view.shm->jobs[slot].word;
    uint64_t free = atomic_load_explicit(word, memory_order_relaxed); /* the exchange decides */
    if (fmi_job_state(free) != FMI_JOB_FREE || !is_deserted(m->pool, slot)) /* not yet binding */
        return 0;
    uint64_t ticket = atomic_fetch_add(&m->pool->tickets, 1) + 1;
    /* seq_cst: before the loads of is_deserted; pairs with visit */
    if (!atomic_compare_exchange_strong(word, &free, fmi_job_word(ticket, FMI_JOB_FILLING)))
        return 0;
    if (!is_deserted(m->pool, slot)) {
        atomic_store(word, free);
        return 0;
    }
    m->slot = slot;
    m->ticket = ticket;
    m->job = &m->pool->view.shm->jobs[slot];
    return 1;
}

/* The first slot is the likely one; the arguments are checked while its lines come. */
static void prefetch_slot(const fm_pool *pool)
{
    int n = pool->view.n_ranks < PREFETCH_RANKS ? pool->view.n_ranks : PREFETCH_RANKS;
    fmi_prefetch_to_write(&pool->view.shm->jobs[0]);
    for (int rank = 0; rank < n; rank++)
        fmi_prefetch_to_write(&pool->view.ranges[rank]);
}

static int try_take_slot(struct map *m)
{
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++)
        if (try_take(m, slot))
            return 1;
    return 0;
}

/* All 64 slots taken: some map must end first. */
static int take_slot(struct map *m)
{
    struct fmi_park_shm *done = &m->pool->view.shm->done;
    if (try_take_slot(m))
        return 0;
    int rc = 0;
    atomic_fetch_add(&m->pool->n_waiting, 1);
    do {
        uint32_t seen = fmi_park_seen(done);
        if (try_take_slot(m))
            break;
        rc = fmi_pool_trouble(m->pool);
        if (rc == 0)
            fmi_park(done, seen, 0, fmi_deadline_after(SLOT_LOOK_NS));
    } while (rc == 0);
    atomic_fetch_sub(&m->pool->n_waiting, 1);
    return rc;
}

static void free_slot(struct map *m)
{
    struct fmi_pool_shm *shm = m->pool->view.shm;
    /* release: what was collected is no longer needed; pairs with the exchange in try_take */
    atomic_store_explicit(&m->job->word, fmi_job_word(m->ticket, FMI_JOB_FREE),
                          memory_order_release);
    if (atomic_load(FMI_POOL_CLOSING(shm)) != 0)
        fmi_park_wake(&shm->work); /* the last job may be gone: workers leave */
    if (atomic_load_explicit(&m->pool->n_waiting, memory_order_relaxed) != 0)
        fmi_park_wake(
            &shm->done); /* for a slot; one who begins to wait just now looks again soon */
}

/* ---- publishing ----------------------------------------------------------------------------- */

static int copy_argument(struct map *m)
{
    size_t bytes = m->opts->arg_bytes;
    m->plan.arg = m->opts->arg;
    if (bytes == 0)
        return 0;
    m->plan.arg = m->job->arg;
    if (bytes > FMI_ARG_BYTES) {
        int rc = fmi_heap_alloc(&m->arg_block, bytes, 0);
        if (rc != 0)
            return rc;
        m->plan.arg = m->arg_block;
    }
    memcpy(m->plan.arg, m->opts->arg, bytes);
    return 0;
}

static int make_undo(struct map *m)
{
    if (m->plan.undo_bytes == 0)
        return 0;
    int rc = fmi_heap_alloc(&m->undo_block,
                            (size_t)m->plan.undo_bytes * (size_t)m->pool->view.n_ranks, 0);
    m->plan.undo = m->undo_block;
    return rc;
}

static void clear_status(const struct map *m)
{
    for (int64_t i = 0; m->plan.status != NULL && i < m->plan.n_items; i++)
        m->plan.status[i * m->plan.status_stride] = 0;
}

/*
 * Writes what has changed since the slot's last job, and no more: a line that is not written stays in the workers' caches. A map that is
 * repeated, as in an iteration, costs them the word and the ranges.
 */
static void write_plan(struct map *m)
{
    struct fmi_plan *written = &m->pool->written[m->slot];
    size_t used = offsetof(struct fmi_plan, in) + sizeof m->plan.in[0] * m->plan.n_in;
    if (memcmp(written, &m->plan, used) == 0 && written->status == m->plan.status &&
        written->status_stride == m->plan.status_stride && written->undo == m->plan.undo)
        return;
    memcpy(written, &m->plan, used);
    written->status = m->plan.status;
    written->status_stride = m->plan.status_stride;
    written->undo = m->plan.undo;
    memcpy(&m->job->plan, written, sizeof *written);
}

static void reset_job(struct fmi_job_shm *job, uint32_t is_awaited)
{
    /* relaxed: published by publish() */
    if (atomic_load_explicit(&job->is_awaited, memory_order_relaxed) != is_awaited)
        atomic_store_explicit(&job->is_awaited, is_awaited, memory_order_relaxed);
    if (atomic_load_explicit(&job->stop, memory_order_relaxed) != INT64_MAX)
        atomic_store_explicit(&job->stop, INT64_MAX, memory_order_relaxed);
    if (atomic_load_explicit(&job->n_failed, memory_order_relaxed) != 0)
        atomic_store_explicit(&job->n_failed, 0, memory_order_relaxed);
    if (atomic_load_explicit(&job->median_ns, memory_order_relaxed) != 0)
        atomic_store_explicit(&job->median_ns, 0, memory_order_relaxed);
    if (atomic_load_explicit(&job->error, memory_order_relaxed) != 0)
        atomic_store_explicit(&job->error, 0, memory_order_relaxed);
}

static int fill_job(struct map *m, fmi_any_fn *fn)
{
    int rc = fmi_pool_function(m->pool, fn, &m->plan);
    if (rc == 0)
        rc = copy_argument(m);
    if (rc == 0)
        rc = make_undo(m);
    if (rc != 0)
        return rc;
    clear_status(m);
    m->plan.host_cpu = m->pool->view.is_isolated ? fmi_sys_current_cpu() : -1;
    write_plan(m);
    reset_job(m->job, (uint32_t)m->pool->view.is_isolated);
    m->ranges = fmi_job_ranges(&m->pool->view, m->slot, m->ticket, m->plan.n_grains);
    fmi_ranges_init(&m->ranges);
    return 0;
}

static void publish(struct map *m)
{
    struct fmi_pool_shm *shm = m->pool->view.shm;
    atomic_store_explicit(&m->job->word, fmi_job_word(m->ticket, FMI_JOB_OPEN),
                          memory_order_release); /* pairs with find_job and visit */
    uint64_t used =
        atomic_load_explicit(FMI_POOL_USED(shm), memory_order_relaxed); /* bits are only set */
    if ((used >> m->slot & 1) == 0)
        atomic_fetch_or(FMI_POOL_USED(shm), 1ull << m->slot);
    atomic_store_explicit(FMI_POOL_LATEST(shm), (uint64_t)m->slot,
                          memory_order_relaxed); /* a hint */
    fmi_park_announce(&shm->work);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static int64_t count_done(const struct map *m)
{
    int64_t n_done = 0;
    const struct fmi_progress_shm *progress = progress_of(m);
    for (int rank = 0; rank < m->pool->view.n_ranks; rank++)
        if (atomic_load_explicit(&progress[rank].ticket, memory_order_relaxed) == m->ticket)
            n_done += atomic_load_explicit(&progress[rank].n_done,
                                           memory_order_relaxed); /* an estimate */
    return n_done;
}

static void report_progress(struct map *m, int64_t now)
{
    fm_progress p = {.n_items = m->plan.n_items,
                     .n_done = count_done(m),
                     .n_failed = atomic_load(&m->job->n_failed),
                     .seconds = (double)(now - m->begin_ns) / 1e9};
    if (m->opts->progress(&p, m->opts->progress_arg) != 0 && !m->is_cancelled) {
        m->is_cancelled = 1;
        fmi_job_stop_at(m->job, 0);
    }
}

static int64_t progress_interval(const struct map *m)
{
    return m->opts->progress_interval > 0 ? m->opts->progress_interval : PROGRESS_NS;
}

/* When to look up next. Reports progress when it is due. */
static int64_t next_look(struct map *m)
{
    int64_t now = fmi_now_ns();
    if (m->opts->progress == NULL)
        return now + LOOK_NS;
    if (now >= m->report_ns) {
        report_progress(m, now);
        m->report_ns = now + progress_interval(m);
    }
    return m->report_ns < now + LOOK_NS ? m->report_ns : now + LOOK_NS;
}

static void look_up(void *arg) /* between the chunks of a caller that works */
{
    struct map *m = arg;
    if (fmi_now_ns() >= m->report_ns)
        next_look(m);
}

/* DONE, as a worker said or as the words say; 0: not yet; < 0: it never will be. */
static int is_done(struct map *m)
{
    if (atomic_load_explicit(&m->job->word, memory_order_acquire) ==
        fmi_job_word(m->ticket, FMI_JOB_DONE))
        return 1;
    int rc = fmi_ranges_done(&m->ranges);
    if (rc == 1)
        fmi_job_finish(&m->pool->view, m->slot, m->ticket);
    return rc;
}

static int park_until(struct map *m, uint32_t seen, int64_t deadline_ns)
{
    fm_pool *pool = m->pool;
    struct fmi_park_shm *done = &pool->view.shm->done;
    if (!pool->has_crew)
        return fmi_park(done, seen, 0, deadline_ns);
    return fmi_park_alive(done, seen, 0, &pool->crew.plan.shm->life.word, pool->crew.life_value,
                          deadline_ns);
}

/* Sleeps until the job is DONE. */
static int await_done(struct map *m)
{
    struct fmi_park_shm *done = &m->pool->view.shm->done;
    if (!m->pool->view.is_isolated)
        atomic_store(&m->job->is_awaited, 1); /* seq_cst: before the scan of is_done */
    for (;;) {
        uint32_t seen = fmi_park_seen(done);
        int rc = is_done(m);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        rc = fmi_pool_trouble(m->pool);
        if (rc != 0)
            return rc;
        park_until(m, seen, next_look(m));
    }
}

static int is_hot(const struct map *m)
{
    uint64_t last_done =
        atomic_load_explicit(&m->pool->last_done_ticks, memory_order_relaxed); /* a hint */
    return m->begin_ticks - last_done < fmi_ticks_of_ns(HOT_NS);
}

/*
 * The host sleeps while the workers work. After a recent map some of them still spin, and a small job is done before a
 * sleeper would be awake: so the host spins for a moment before it wakes anyone.
 */
static int wait_isolated(struct map *m)
{
    struct fmi_pool_shm *shm = m->pool->view.shm;
    if (is_hot(m)) {
        uint64_t begin = fmi_ticks(), limit = fmi_ticks_of_ns(EAGER_NS);
        uint64_t done = fmi_job_word(m->ticket, FMI_JOB_DONE);
        do {
            if (atomic_load_explicit(&m->job->word, memory_order_acquire) == done)
                return 0;
            fmi_relax();
        } while (fmi_ticks() - begin < limit);
    }
    fmi_park_rouse(&shm->work);
    return await_done(m);
}

/*
 * Waits a moment for all workers to leave the job. 1: they have, so all is finished but for the caller's share: a worker leaves with an empty range
 * and nothing in flight. What is watched is a word that a worker writes once; to watch the ranges would take their lines
 * away from it at each of its steps.
 */
static int await_leaving(const struct map *m)
{
    uint64_t begin = fmi_ticks(), patience = fmi_ticks_of_ns(PATIENCE_NS);
    for (int rank = 1; rank < m->pool->view.n_ranks; rank++)
        while (atomic_load_explicit(&m->pool->view.tallies[rank].left, memory_order_acquire) !=
               m->ticket) {
            if (fmi_ticks() - begin > patience)
                return 0;
            fmi_relax(); /* pairs with visit */
        }
    return 1;
}

/*
 * After a recent map the workers spin, and are on their way: to take their only items from under them costs both sides more
 * cache misses than these items do (an empty map on two cores: 0.79 us with this race, 0.60 us without).
 */
static int let_workers_begin(void *m)
{
    return await_leaving(m);
}

/* The caller has its core to itself and watches for the end, which tells sooner than a wake. */
static int spin_until_done(struct map *m)
{
    uint64_t begin = fmi_ticks(), limit = fmi_ticks_of_ns(CALLER_SPIN_NS);
    int rc = 0;
    do
        rc = await_leaving(m) ? 1 : fmi_ranges_done(&m->ranges);
    while (rc == 0 && fmi_ticks() - begin < limit);
    return rc;
}

static int take_part(struct map *m)
{
    const struct fmi_pool_view *view = &m->pool->view;
    struct fmi_runner runner = {
        .plan = &m->plan, /* the private one: the shared one may be overwritten */
        .job = m->job,
        .ranges = m->ranges,
        .progress = progress_of(m),
        .tally = &view->tallies[0],
        .rank = 0,
        .cpu = view->cpus[0],
        .before_steal = is_hot(m) ? let_workers_begin : NULL,
        .before_steal_arg = m,
        .between = m->opts->progress == NULL ? NULL : look_up,
        .between_arg = m,
    };
    fmi_park_rouse(&view->shm->work);
    int rc = fmi_runner_init(&runner);
    if (rc == 0)
        rc = fmi_runner_run(&runner, 0);
    fmi_runner_fini(&runner);
    if (rc == 1)
        return 0; /* done; and the one whom a wake would be for is this thread */
    if (rc < 0)
        fmi_job_fail(m->job, rc);
    if (rc == 0 && (rc = spin_until_done(m)) == 1)
        return 0;
    return rc == FM_ECORRUPT ? rc : await_done(m);
}

/* ---- collecting ----------------------------------------------------------------------------- */

static int code_of_state(int state)
{
    switch (state) {
    case FM_ITEM_FAILED:
        return FM_ETASK;
    case FM_ITEM_CRASHED:
        return FM_ECRASHED;
    case FM_ITEM_TIMEOUT:
        return FM_ETIMEOUT;
    case FM_ITEM_OUT_OF_MEMORY:
        return FM_EOOM;
    default:
        return FM_ECORRUPT; /* no worker of ours wrote that */
    }
}

/* The map's code from its records: that of the lowest item. */
static int settle_report(struct map *m, struct fmi_report *report)
{
    int rc = fmi_report_collect(report, progress_of(m), m->pool->view.n_ranks, m->ticket);
    if (rc != 0)
        return rc;
    fmi_report_sort(report);
    if (report->n == 0)
        return report->n_lost > 0
                   ? fmi_error(-ENOMEM, "items failed, and there was no memory for their records")
                   : 0;
    if (m->plan.on_error == FM_ON_ERROR_STOP)
        report->n = 1; /* which others were found depends on the timing */
    const fm_failure *first = &report->list[0];
    return fmi_error(code_of_state(first->state), "item %lld %s (%lld failed in all)",
                     (long long)first->item, fm_item_state_name(first->state),
                     (long long)report->n);
}

/* Items that nobody wanted any more have no state yet. */
static void close_status(const struct map *m)
{
    for (int64_t i = 0; m->plan.status != NULL && i < m->plan.n_items; i++)
        if (m->plan.status[i * m->plan.status_stride] == 0)
            m->plan.status[i * m->plan.status_stride] = FM_ITEM_CANCELLED;
}

static int collect(struct map *m, struct fmi_report *report)
{
    int rc = atomic_load(&m->job->error), n_failed = atomic_load(&m->job->n_failed) != 0;
    int was_stopped = atomic_load(&m->job->stop) != INT64_MAX;
    if (rc == FM_ENOFUNC || rc == FM_ESTALE)
        return fmi_error(rc, "a worker cannot load the function's library: %s", fm_strerror(rc));
    if (rc != 0)
        return fmi_error(rc, "a worker could not take part: %s", fm_strerror(rc));
    rc = n_failed ? settle_report(m, report) : 0;
    if (was_stopped)
        close_status(m);
    if (m->is_cancelled)
        return fmi_error(FM_ECANCELLED, "cancelled by the progress callback");
    if (was_stopped && fmi_pool_phase(m->pool) == FMI_PHASE_TERMINATED)
        return fmi_pool_trouble(m->pool); /* items were skipped, and so are all finished */
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static int64_t tick_of(const struct fmi_plan *plan)
{
    int64_t tick_ns = plan->limit_ns > 0 ? plan->limit_ns / 10 : FACTOR_TICK_NS;
    if (plan->factor > 0 && tick_ns > FACTOR_TICK_NS)
        tick_ns = FACTOR_TICK_NS;
    return tick_ns < MIN_TICK_NS ? MIN_TICK_NS : tick_ns > MAX_TICK_NS ? MAX_TICK_NS : tick_ns;
}

static int run_published(struct map *m)
{
    int is_limited = m->pool->has_crew && (m->plan.limit_ns > 0 || m->plan.factor > 0);
    if (is_limited)
        fmi_pool_limit_begin(m->pool, tick_of(&m->plan));
    publish(m);
    if (fmi_pool_phase(m->pool) == FMI_PHASE_TERMINATED)
        fmi_job_stop_at(m->job,
                        0); /* it was not there yet when fm_pool_terminate stopped the others */
    int rc = m->pool->view.is_isolated ? wait_isolated(m) : take_part(m);
    if (is_limited)
        fmi_pool_limit_end(m->pool);
    return rc;
}

/* The words contradict themselves: nothing that the workers do can be trusted any more. */
static int give_up_pool(struct map *m)
{
    fm_pool_terminate(m->pool);
    return fmi_error(FM_ECORRUPT,
                     "a worker overwrote the pool's control memory; the pool is terminated");
}

static int run_map(fm_pool *pool, const struct fmi_request *request, struct fmi_report *report)
{
    struct map
        m; /* its plan is set by fmi_plan_prepare, and the rest here: half a KiB need not be cleared twice */
    m.pool = pool;
    m.opts = request->opts;
    m.arg_block = m.undo_block = NULL;
    m.begin_ticks = fmi_ticks();
    m.is_cancelled = 0;
    if (m.opts->progress != NULL) {
        m.begin_ns = fmi_now_ns();
        m.report_ns = m.begin_ns + progress_interval(&m);
    }
    prefetch_slot(pool);
    int rc = fmi_plan_prepare(&m.plan, request, pool->view.n_ranks);
    if (rc != 0 || m.plan.n_items == 0)
        return rc;
    rc = take_slot(&m);
    if (rc != 0)
        return rc;
    rc = fill_job(&m, request->fn);
    int ran = rc == 0;
    if (ran)
        rc = run_published(&m);
    if (ran && rc == 0)
        rc = collect(&m, report);
    else if (rc == FM_ECORRUPT)
        rc = give_up_pool(&m);
    int is_over = ran && rc != FM_ECORRUPT && fmi_pool_trouble(pool) != 0;
    if (is_over && atomic_load(&m.job->word) != fmi_job_word(m.ticket, FMI_JOB_DONE))
        return rc; /* the slot and its blocks go with the pool: workers may still be dying in it */
    free_slot(&m);
    (void)fmi_heap_free(m.arg_block);
    (void)fmi_heap_free(m.undo_block);
    if (request->opts->progress != NULL && rc == 0)
        (void)request->opts->progress(&(fm_progress){m.plan.n_items, m.plan.n_items, 0,
                                                     (double)(fmi_now_ns() - m.begin_ns) / 1e9},
                                      request->opts->progress_arg);
    return rc;
}

static int enter_map(fm_pool *pool, const struct fmi_request *asked, const fm_map_opts *opts)
{
    static const fm_map_opts defaults = {.struct_size = sizeof(fm_map_opts)};
    fm_map_opts copy;
    struct fmi_request request = *asked;
    struct fmi_report report = {0};
    int rc = 0;
    request.opts = opts == NULL ? &defaults : opts;
    if (request.opts->struct_size != sizeof copy) {
        rc = fmi_opts_copy(&copy, sizeof copy, opts);
        request.opts = &copy;
    }
    if (rc != 0)
        return rc;
    if (fmi_pool_is_inline(pool)) {
        rc = fmi_inline_map(&request, &report);
    } else {
        rc = fmi_pool_enter(pool);
        if (rc != 0)
            return rc;
        rc = run_map(pool, &request, &report);
        atomic_store_explicit(&pool->last_done_ticks, fmi_ticks(),
                              memory_order_relaxed); /* a hint */
        fmi_pool_leave(pool);
    }
    fmi_report_keep(pool, &report);
    return rc;
}

int fm_pool_map(fm_pool *pool, fm_item_fn *fn, fm_array *in, fm_array *out, const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1, .out = out};
    return enter_map(pool, &request, opts);
}

int fm_pool_map_chunks(fm_pool *pool, fm_chunk_fn *fn, fm_array *in, fm_array *out,
                       const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_CHUNK, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1, .out = out};
    return enter_map(pool, &request, opts);
}

int fm_pool_map_range(fm_pool *pool, fm_item_fn *fn, int64_t begin, int64_t end, fm_array *out,
                      const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end, .out = out};
    return enter_map(pool, &request, opts);
}

int fm_pool_map_range_chunks(fm_pool *pool, fm_chunk_fn *fn, int64_t begin, int64_t end,
                             fm_array *out, const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_CHUNK, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end, .out = out};
    return enter_map(pool, &request, opts);
}

static int starmap(fm_pool *pool, int kind, fmi_any_fn *fn, fm_array *const *columns, int n,
                   fm_array *out, const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = kind, .fn = fn, .columns = columns, .n_columns = n, .out = out};
    if (n < 1)
        return fmi_error(-EINVAL, "%d columns; there may be 1 .. %d", n, FM_MAX_COLUMNS);
    return enter_map(pool, &request, opts);
}

int fm_pool_starmap(fm_pool *pool, fm_star_fn *fn, fm_array *const *columns, int n, fm_array *out,
                    const fm_map_opts *opts)
{
    return starmap(pool, FMI_FN_STAR, (fmi_any_fn *)fn, columns, n, out, opts);
}

int fm_pool_starmap_chunks(fm_pool *pool, fm_chunk_fn *fn, fm_array *const *columns, int n,
                           fm_array *out, const fm_map_opts *opts)
{
    return starmap(pool, FMI_FN_CHUNK, (fmi_any_fn *)fn, columns, n, out, opts);
}

int64_t fm_pool_failures(fm_pool *pool, fm_failure *list, int64_t n)
{
    int rc = fmi_pool_is_inline(pool) ? 0 : fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    if (n < 0 || (n > 0 && list == NULL))
        return fmi_error(-EINVAL, "list is NULL or n is negative");
    const struct fmi_report *report = fmi_report_kept(pool);
    if (report == NULL)
        return 0;
    int64_t n_copied = n < report->n ? n : report->n;
    if (n_copied > 0)
        memcpy(list, report->list, (size_t)n_copied * sizeof *list);
    return report->n;
}

const char *fm_item_state_name(int state)
{
    static const char *const names[] = {"?",         "done",          "failed",   "crashed",
                                        "timed out", "out of memory", "cancelled"};
    return state > 0 && state <= FM_ITEM_CANCELLED ? names[state] : names[0];
}
