/* SPDX-License-Identifier: MIT */
/*
 * Words that only the host writes, and that workers can overwrite: of each the host has its own copy, and who has waited for long compares them. A wait that a
 * stray write has made endless ends with FM_ECORRUPT: no worker was woken, since the park's flag was gone; none found the job, since its slot was not in use;
 * none enforces a limit, since the warden does not know of it. What such a write does to items is found at the end of each map (collect.c, range.h).
 *
 * After 10 ms of a wait, then 20, ... 1 s.
 */
#include "error.h"
#include "handle.h"
#include "result.h"

#include "clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>

enum { LOOKS = 3, PAUSE_NS = 1000000 };

void fmi_pool_tell_wanted(fm_pool *pool, uint64_t n)
{
    atomic_store(&pool->told_wanted, n);
    atomic_store(FMI_POOL_WANTED(pool->view.shm), n);
}

int fmi_plan_is_same(const struct fmi_plan *plan, const struct fmi_plan *written)
{
    size_t used = offsetof(struct fmi_plan, in) + sizeof written->in[0] * written->n_in;
    return memcmp(plan, written, used) == 0 && plan->status == written->status &&
           plan->status_stride == written->status_stride && plan->undo == written->undo &&
           plan->seed == written->seed && plan->journal == written->journal;
}

void fmi_pool_condemn(fm_pool *pool)
{
    atomic_store(&pool->is_condemned, 1); /* before the phase: pairs with fmi_pool_trouble */
    (void)fm_pool_terminate(pool);
}

/* A slot that is free, or open, in the host's own word. */
static int is_slot_whole(const fm_pool *pool, int slot)
{
    uint64_t own = atomic_load(&pool->slots[slot].word);
    uint64_t word = atomic_load(&pool->view.shm->jobs[slot].word);
    uint64_t done = fmi_job_word(fmi_job_ticket(own), FMI_JOB_DONE);
    if (fmi_job_state(own) == FMI_JOB_FREE)
        return word == own;
    if (fmi_job_state(own) != FMI_JOB_OPEN)
        return 1;
    return (word == own || word == done) &&
           (atomic_load(FMI_POOL_USED(pool->view.shm)) >> slot & 1) != 0;
}

/* Nobody is inside a job that never was. */
static int are_visits_possible(const fm_pool *pool)
{
    size_t n = FMI_POOL_JOBS * (size_t)pool->view.n_ranks;
    for (size_t i = 0; i < n; i++)
        if (atomic_load(&pool->view.ranges[i].inside) > atomic_load(&pool->tickets))
            return 0;
    return 1;
}

static int is_whole(fm_pool *pool)
{
    const struct fmi_pool_shm *shm = pool->view.shm;
    if (shm->magic != FMI_POOL_MAGIC || shm->layout != FMI_POOL_LAYOUT ||
        shm->n_ranks != (uint32_t)pool->view.n_ranks ||
        atomic_load(FMI_POOL_WANTED(shm)) != atomic_load(&pool->told_wanted) ||
        atomic_load(FMI_POOL_CLOSING(shm)) != atomic_load(&pool->told_closing))
        return 0;
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++)
        if (!is_slot_whole(pool, slot))
            return 0;
    return are_visits_possible(pool) && fmi_task_queue_is_whole(pool) &&
           (!pool->has_crew || fmi_crew_check(&pool->crew) == 0);
}

/* Other threads change both copies, one after the other: what is wrong is wrong three times. */
static int is_wrong(fm_pool *pool)
{
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    for (int i = 0; i < LOOKS; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        if (is_whole(pool))
            return 0;
    }
    return 1;
}

void fmi_pool_inspect(fm_pool *pool)
{
    if (!pool->has_crew || fmi_pool_phase(pool) == FMI_PHASE_TERMINATED)
        return;
    atomic_fetch_add(&pool->n_inspections, 1);
    if (is_wrong(pool))
        fmi_pool_condemn(pool);
    fmi_park_wake_all(&pool->view.shm->work);
    fmi_crew_ring(&pool->crew);
}

/* All that is read and written here are hints: to inspect too often, or a little later, is harmless. */
static int64_t patience_of(const fm_pool *pool)
{
    int64_t ns = atomic_load_explicit(&pool->inspect_ns, memory_order_relaxed);
    return ns == 0 ? FMI_INSPECT_NS : ns;
}

void fmi_pool_inspect_if_due(fm_pool *pool)
{
    int64_t now = fmi_now_ns(), patience_ns = patience_of(pool);
    int64_t at_ns = atomic_load_explicit(&pool->inspect_at_ns, memory_order_relaxed);
    if (at_ns != 0 && now < at_ns)
        return;
    if (at_ns != 0) {
        fmi_pool_inspect(pool);
        patience_ns = 2 * patience_ns < FMI_INSPECT_MOST_NS ? 2 * patience_ns : FMI_INSPECT_MOST_NS;
        atomic_store_explicit(&pool->inspect_ns, patience_ns, memory_order_relaxed);
    }
    atomic_store_explicit(&pool->inspect_at_ns, now + patience_ns, memory_order_relaxed);
}

/* Something has ended: the next wait is a new one. */
static void forget_patience(fm_pool *pool)
{
    if (atomic_load_explicit(&pool->inspect_at_ns, memory_order_relaxed) == 0)
        return;
    atomic_store_explicit(&pool->inspect_at_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->inspect_ns, 0, memory_order_relaxed);
}

int fmi_pool_park(fm_pool *pool, uint32_t seen, int64_t spin_ns, int64_t deadline_ns)
{
    struct fmi_park_shm *done = &pool->view.shm->done;
    if (!pool->has_crew)
        return fmi_park(done, seen, spin_ns, deadline_ns);
    int64_t until_ns = fmi_deadline_after(patience_of(pool));
    int rc = fmi_park_alive(done, seen, spin_ns, &pool->crew.plan.shm->life.word,
                            pool->crew.life_value, until_ns < deadline_ns ? until_ns : deadline_ns);
    if (rc == 0)
        forget_patience(pool);
    else if (rc == -ETIMEDOUT)
        fmi_pool_inspect_if_due(pool);
    return rc;
}
