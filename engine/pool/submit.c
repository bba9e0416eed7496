/* SPDX-License-Identifier: MIT */
/* Submitting a map: a job slot, the plan in it, and the word that opens it (job.h). */
#include "mapping.h"

#include "cache.h"
#include "clock.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "result.h"
#include "topo.h"

#include <errno.h>
#include <string.h>

enum {
    SLOT_LOOK_NS = 10000000,
    PREFETCH_RANKS = 8,
};

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
static int try_take(struct fmi_mapping *m, int slot)
{
    _Atomic uint64_t *word = &m->pool->view.shm->jobs[slot].word;
    struct fmi_slot *own = &m->pool->slots[slot]; /* the shared word may be overwritten */
    /* acquire: pairs with fmi_mapping_free_slot; the exchange decides */
    uint64_t free = atomic_load_explicit(&own->word, memory_order_acquire);
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
    atomic_store_explicit(&own->word, fmi_job_word(ticket, FMI_JOB_FILLING), memory_order_relaxed);
    m->slot = slot;
    m->ticket = ticket;
    m->job = &m->pool->view.shm->jobs[slot];
    return 1;
}

/* The first slot is the likely one; the arguments are checked while its lines come. */
void fmi_mapping_prefetch(const fm_pool *pool)
{
    int n = pool->view.n_ranks < PREFETCH_RANKS ? pool->view.n_ranks : PREFETCH_RANKS;
    fmi_prefetch_to_write(&pool->view.shm->jobs[0]);
    for (int rank = 0; rank < n; rank++)
        fmi_prefetch_to_write(&pool->view.ranges[rank]);
}

static int try_take_slot(struct fmi_mapping *m)
{
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++)
        if (try_take(m, slot))
            return 1;
    return 0;
}

/* All 64 slots taken: some map must end first, or have ended without anybody asking. */
int fmi_mapping_take_slot(struct fmi_mapping *m)
{
    struct fmi_park_shm *done = &m->pool->view.shm->done;
    if (try_take_slot(m))
        return 0;
    int rc = 0;
    atomic_fetch_add(&m->pool->n_waiting, 1);
    do {
        uint32_t seen = fmi_park_seen(done);
        fmi_results_reap(m->pool);
        if (try_take_slot(m))
            break;
        rc = fmi_pool_trouble(m->pool);
        if (rc == 0)
            (void)fmi_pool_park(m->pool, seen, 0, fmi_deadline_after(SLOT_LOOK_NS));
    } while (rc == 0);
    atomic_fetch_sub(&m->pool->n_waiting, 1);
    return rc;
}

void fmi_mapping_free_slot(struct fmi_mapping *m)
{
    struct fmi_pool_shm *shm = m->pool->view.shm;
    atomic_store_explicit(&m->pool->slots[m->slot].word, fmi_job_word(m->ticket, FMI_JOB_FREE),
                          memory_order_release); /* pairs with try_take */
    /* release: what was collected is no longer needed; pairs with the exchange in try_take */
    atomic_store_explicit(&m->job->word, fmi_job_word(m->ticket, FMI_JOB_FREE),
                          memory_order_release);
    if (atomic_load_explicit(&m->pool->n_waiting, memory_order_relaxed) != 0)
        fmi_park_wake(
            &shm->done); /* for a slot; one who begins to wait just now looks again soon */
}

/* A pointer that is not copied must mean something in the workers. */
int fmi_pool_check_pointer(const fm_pool *pool, const void *arg)
{
    if (pool->method == FM_FORK || !pool->has_crew || arg == NULL || fmi_heap_contains(arg, 1))
        return 0;
    return fmi_error(-EINVAL,
                     "arg points into the memory of this process, which workers by %s do not have; "
                     "give arg_bytes, or a pointer into the shared heap",
                     fm_start_method_name(pool->method));
}

static int copy_argument(struct fmi_mapping *m)
{
    size_t bytes = m->opts->arg_bytes;
    m->plan.arg = m->opts->arg;
    if (bytes == 0)
        return fmi_pool_check_pointer(m->pool, m->opts->arg);
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

static int make_undo(struct fmi_mapping *m)
{
    if (m->plan.undo_bytes == 0)
        return 0;
    int rc =
        fmi_heap_alloc(&m->undo_block, (size_t)m->plan.undo_bytes * (size_t)m->plan.n_ranks, 0);
    m->plan.undo = m->undo_block;
    return rc;
}

static void clear_status(const struct fmi_mapping *m)
{
    for (int64_t i = 0; m->plan.status != NULL && i < m->plan.n_items; i++)
        m->plan.status[i * m->plan.status_stride] = 0;
}

/*
 * Writes what has changed since the slot's last job, and no more: a line that is not written stays in the workers' caches. A map that is
 * repeated, as in an iteration, costs them the word and the ranges.
 */
static void write_plan(struct fmi_mapping *m)
{
    struct fmi_plan *written = &m->pool->slots[m->slot].written;
    size_t used = offsetof(struct fmi_plan, in) + sizeof m->plan.in[0] * m->plan.n_in;
    if (fmi_plan_is_same(&m->plan, written))
        return;
    memcpy(written, &m->plan, used);
    written->status = m->plan.status;
    written->status_stride = m->plan.status_stride;
    written->undo = m->plan.undo;
    written->seed = m->plan.seed;
    written->journal = m->plan.journal;
    memcpy(&m->job->plan, written, sizeof *written);
}

static void reset_job(struct fmi_job_shm *job, uint32_t is_awaited)
{
    /* relaxed: published by fmi_mapping_publish() */
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

int fmi_mapping_fill(struct fmi_mapping *m, fmi_any_fn *fn)
{
    int rc = fmi_pool_function(m->pool, fn, &m->plan.described);
    m->plan.fn = m->plan.described == NULL ? fn : NULL;
    if (rc == 0)
        rc = copy_argument(m);
    if (rc == 0)
        rc = make_undo(m);
    if (rc != 0)
        return rc;
    clear_status(m);
    if (m->journal.array != NULL)
        fmi_journal_fill_status(&m->journal, &m->plan);
    m->plan.host_cpu = m->pool->view.is_isolated ? fmi_sys_current_cpu() : -1;
    write_plan(m);
    m->plan.fn = fn; /* a caller that works has it already */
    reset_job(m->job, (uint32_t)(m->pool->view.is_isolated || m->is_async));
    m->ranges = fmi_job_ranges(&m->pool->view, m->slot, m->ticket, &m->plan);
    fmi_ranges_init(&m->ranges, m->is_async && !m->pool->view.is_isolated ? 1 : 0);
    return 0;
}

void fmi_mapping_publish(struct fmi_mapping *m)
{
    struct fmi_pool_shm *shm = m->pool->view.shm;
    atomic_store_explicit(&m->pool->slots[m->slot].word, fmi_job_word(m->ticket, FMI_JOB_OPEN),
                          memory_order_relaxed);
    atomic_store_explicit(&m->job->word, fmi_job_word(m->ticket, FMI_JOB_OPEN),
                          memory_order_release); /* pairs with find_job and visit */
    uint64_t used =
        atomic_load_explicit(FMI_POOL_USED(shm), memory_order_relaxed); /* bits are only set */
    if ((used >> m->slot & 1) == 0)
        atomic_fetch_or(FMI_POOL_USED(shm), 1ull << m->slot);
    atomic_store_explicit(FMI_POOL_LATEST(shm), (uint64_t)m->slot,
                          memory_order_relaxed); /* a hint */
    m->workers_spin = fmi_park_announce(&shm->work);
    /* seq_cst, after the word: pairs with fmi_pool_has_share. The pool has shrunk since: a share may have no worker. */
    if (atomic_load(&m->pool->n_workers) < (int)m->plan.n_ranks && m->pool->has_crew)
        fmi_crew_ring(&m->pool->crew);
}
