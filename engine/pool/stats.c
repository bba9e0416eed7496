/* SPDX-License-Identifier: MIT */
/* What a pool has done: the counters of its tallies and progress lines (job.h), read while they change. */
#include "clock.h"
#include "error.h"
#include "handle.h"

#include <errno.h>

static int is_caller(const fm_pool *pool, int rank)
{
    return rank == 0 && pool->caller == FM_CALLER_WORKS;
}

/* relaxed, here and below: each counter is right by itself, and what a map has counted is ordered by its end. */
static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Slots that never had a job have nothing to tell. */
static void add_progress(const fm_pool *pool, int rank, fm_worker_counters *c)
{
    const struct fmi_pool_view *view = &pool->view;
    uint64_t used = load(FMI_POOL_USED(view->shm));
    for (; used != 0; used &= used - 1) {
        size_t slot = (size_t)__builtin_ctzll(used);
        const struct fmi_progress_shm *p =
            &view->progress[slot * (size_t)view->n_ranks + (size_t)rank];
        c->items += load(&p->n_items);
        c->chunks += load(&p->n_chunks);
        c->bytes += load(&p->n_bytes);
    }
}

/* Until when the rank's time runs: its worker left, the pool was terminated, or now. */
static uint64_t end_of_time(const fm_pool *pool, const struct fmi_tally_shm *tally)
{
    uint64_t left = load(&tally->end_ticks), terminated = load(&pool->end_ticks);
    return left != 0 ? left : terminated != 0 ? terminated : fmi_ticks();
}

/* The counters of two cores may differ a little, and the words are read one after the other: no part is longer than the whole. */
static void add_times(const fm_pool *pool, const struct fmi_tally_shm *tally, fm_worker_counters *c)
{
    uint64_t word = load(&tally->idle), begin = load(&tally->begin_ticks);
    uint64_t end = end_of_time(pool, tally);
    if (begin == 0 || end <= begin)
        return;
    int64_t whole = (int64_t)(end - begin);
    /* 63 bits with a sign: it may have begun to wait after `end` */
    int64_t idle = (int64_t)(((word >> 1) + ((word & 1) != 0 ? end : 0)) << 1) / 2;
    idle = idle < 0 ? 0 : idle > whole ? whole : idle;
    c->idle_ns = (uint64_t)((double)idle / fmi_ticks_per_ns());
    c->busy_ns = (uint64_t)((double)(whole - idle) / fmi_ticks_per_ns());
}

static fm_worker_counters counters_of(const fm_pool *pool, int rank)
{
    const struct fmi_tally_shm *tally = &pool->view.tallies[rank];
    fm_worker_counters c = {.steals = load(&tally->n_steals),
                            .items = load(&tally->n_task_items),
                            .chunks = load(&tally->n_tasks),
                            .bytes = load(&tally->n_task_bytes)};
    add_progress(pool, rank, &c);
    if (is_caller(pool, rank))
        return c;
    uint32_t starts = atomic_load(&pool->view.crew->workers[rank].starts);
    c.restarts = starts > 0 ? starts - 1 : 0;
    add_times(pool, tally, &c);
    return c;
}

int fm_pool_worker_stats(fm_pool *pool, int rank, fm_worker_counters *out)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    if (out == NULL || rank < 0 || rank >= pool->n_workers)
        return fmi_error(-EINVAL, "rank %d of %d workers", rank, pool->n_workers);
    *out = counters_of(pool, rank);
    return 0;
}

int fm_pool_stats(fm_pool *pool, fm_pool_counters *out)
{
    int rc = fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = (fm_pool_counters){.maps = atomic_load(&pool->tickets)};
    for (int rank = 0; rank < pool->view.n_ranks; rank++) {
        const struct fmi_tally_shm *tally = &pool->view.tallies[rank];
        fm_worker_counters c = counters_of(pool, rank);
        out->steals += c.steals;
        out->reruns += load(&tally->n_reruns);
        out->undo_bytes += load(&tally->undone_bytes);
        out->items += c.items;
        out->chunks += c.chunks;
        out->restarts += c.restarts;
        out->busy_ns += c.busy_ns;
        out->idle_ns += c.idle_ns;
        out->bytes += c.bytes;
    }
    out->deaths = atomic_load(&pool->view.crew->deaths);
    out->recycled = atomic_load(&pool->view.crew->recycled);
    return 0;
}
