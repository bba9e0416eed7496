/* SPDX-License-Identifier: MIT */
/*
 * A worker's work: find an open job, take part; run some tasks; look again; sleep when there is nothing.
 *
 * An idle worker spins as long as a wake would cost, then sleeps. The worker on the host thread's own core does not
 * spin: the host, which is about to publish the next map, would have to wait for the core.
 */
#include "alone.h"
#include "cache.h"
#include "clock.h"
#include "fault.h"
#include "filemap.h"
#include "job.h"
#include "readonly.h"
#include "recycle.h"
#include "run.h"

#include <unistd.h>

struct server { /* private to the worker */
    const struct fmi_pool_view *view;
    int rank;
    uint32_t starts;
    int host_cpu;
    uint64_t left[FMI_POOL_JOBS]; /* what `left` of the own lines says, without their cost */
    uint64_t idle_ticks;          /* until now, but for the wait that lasts */
    struct fmi_recycle *recycle;  /* NULL: the pool's workers are not replaced */
};

static struct fmi_job_shm *job_at(const struct server *s, int slot)
{
    return &s->view->shm->jobs[slot];
}

static struct fmi_runner make_runner(const struct server *s, int slot, uint64_t ticket)
{
    const struct fmi_pool_view *view = s->view;
    struct fmi_job_shm *job = job_at(s, slot);
    return (struct fmi_runner){
        .plan = &job->plan,
        .job = job,
        .ranges = fmi_job_ranges(view, slot, ticket, &job->plan),
        .progress = &view->progress[(size_t)slot * (size_t)view->n_ranks + (size_t)s->rank],
        .tally = &view->tallies[s->rank],
        .worker = fmi_worker_self(),
        .recycle = s->recycle,
        .view = view,
        .rank = s->rank,
        .cpu = view->cpus[s->rank],
        .starts = s->starts,
    };
}

static struct fmi_range_shm *own_line(const struct server *s, int slot)
{
    return &s->view->ranges[(size_t)slot * (size_t)s->view->n_ranks + (size_t)s->rank];
}

static int run_share(struct fmi_runner *runner, int resume)
{
    struct fmi_readonly guard = {.n = 0};
    int rc = fmi_runner_init(runner);
    if (rc == 0)
        rc = fmi_readonly_begin(&guard, runner->plan);
    if (rc < 0)
        fmi_job_fail(runner->job, rc); /* and help to clear the job away */
    rc = fmi_runner_run(runner, resume);
    fmi_readonly_end(&guard);
    if (rc < 0)
        fmi_job_fail(runner->job, rc);
    return rc;
}

/* FMI_RUN_RETIRES: it has not left the job. */
static int take_part(struct server *s, struct fmi_runner *runner, int slot, uint64_t ticket,
                     int resume)
{
    *runner = make_runner(s, slot, ticket);
    int rc = s->rank < runner->ranges.n ? run_share(runner, resume) : 0;
    if (rc == FMI_RUN_RETIRES)
        return rc;
    if (rc != 0)
        fmi_job_finish(s->view, slot, ticket);
    s->host_cpu = runner->plan->host_cpu;
    s->left[slot] = ticket;
    atomic_store_explicit(&s->view->tallies[s->rank].n_finished,
                          fmi_range_count(&runner->ranges, s->rank % runner->ranges.n),
                          memory_order_relaxed); /* before `left` of the tally, which is released */
    /* release: the last c3 first; pairs with remember_left of a successor */
    atomic_store_explicit(&own_line(s, slot)->left, ticket, memory_order_release);
    return 0;
}

/* The rule of `inside` in job.h. What the host may wait for comes before the clearing away. Whoever retires stays inside. */
static void visit(struct server *s, int slot, uint64_t ticket, int resume)
{
    struct fmi_runner runner;
    _Atomic uint64_t *inside = &own_line(s, slot)->inside;
    runner.packed = NULL;
    runner.views = NULL;
    atomic_store(inside, ticket); /* seq_cst: before the second look; pairs with is_deserted */
    FMI_FAULT("serve.inside");
    if (atomic_load(&job_at(s, slot)->word) == fmi_job_word(ticket, FMI_JOB_OPEN) &&
        take_part(s, &runner, slot, ticket, resume) == FMI_RUN_RETIRES) {
        fmi_runner_fini(&runner);
        return;
    }
    FMI_FAULT("serve.leave");
    atomic_store_explicit(inside, 0, memory_order_release); /* pairs with is_deserted */
    FMI_FAULT("serve.left");
    /* pairs with await_leaving */
    atomic_store_explicit(&s->view->tallies[s->rank].left, ticket, memory_order_release);
    fmi_runner_fini(&runner);
}

/* The slot of the open job with the lowest ticket that this rank has not left; -1: none. Counts all open ones. */
static int find_job(const struct server *s, uint64_t *ticket, int *n_open)
{
    int found = -1;
    *n_open = 0;
    uint64_t used = atomic_load_explicit(FMI_POOL_USED(s->view->shm),
                                         memory_order_acquire); /* pairs with publish */
    for (; used != 0; used &= used - 1) {
        int slot = __builtin_ctzll(used);
        uint64_t word = atomic_load_explicit(&job_at(s, slot)->word, memory_order_acquire);
        uint64_t candidate = fmi_job_ticket(word);
        if (fmi_job_state(word) != FMI_JOB_OPEN)
            continue;
        ++*n_open;
        if (s->left[slot] == candidate)
            continue;
        if (found < 0 || candidate < *ticket) {
            found = slot;
            *ticket = candidate;
        }
    }
    return found;
}

/* The jobs that this rank has left are left for good, whoever has it. */
static void remember_left(struct server *s)
{
    for (int slot = 0; slot < FMI_POOL_JOBS; slot++)
        s->left[slot] = atomic_load_explicit(&own_line(s, slot)->left, memory_order_acquire);
}

/* What the predecessor of this process was in the middle of: one job at most, but words can be overwritten. */
static void resume(struct server *s)
{
    uint64_t used = atomic_load(FMI_POOL_USED(s->view->shm));
    for (; used != 0; used &= used - 1) {
        int slot = __builtin_ctzll(used);
        uint64_t ticket = atomic_load(&own_line(s, slot)->inside);
        if (ticket != 0 && !fmi_recycle_is_due(s->recycle))
            visit(s, slot, ticket, 1);
    }
}

/* A new job's lines are in the host's cache: ask for them all at once. */
static void prefetch_latest(const struct server *s)
{
    uint64_t slot =
        atomic_load_explicit(FMI_POOL_LATEST(s->view->shm), memory_order_relaxed) % FMI_POOL_JOBS;
    fmi_prefetch_to_write(own_line(s, (int)slot));
    fmi_prefetch_to_read(job_at(s, (int)slot));
}

/* ---- idle time: the word of job.h ---- */

static void begin_idle(const struct server *s, uint64_t now)
{
    /* relaxed, as below: it is for people, and says all by itself */
    atomic_store_explicit(&s->view->tallies[s->rank].idle, (s->idle_ticks - now) << 1 | 1,
                          memory_order_relaxed);
}

static void end_idle(struct server *s, uint64_t began, uint64_t now)
{
    s->idle_ticks += now - began;
    atomic_store_explicit(&s->view->tallies[s->rank].idle, s->idle_ticks << 1,
                          memory_order_relaxed);
}

/* A predecessor that died as it waited leaves the rank waiting until now. */
static void begin_tally(struct server *s)
{
    struct fmi_tally_shm *tally = &s->view->tallies[s->rank];
    uint64_t now = fmi_ticks(), idle = atomic_load(&tally->idle);
    s->idle_ticks = (idle >> 1) + ((idle & 1) != 0 ? now : 0);
    end_idle(s, now, now);
    atomic_store(&tally->rest, 0);
    atomic_store(&tally->end_ticks, 0);
    if (atomic_load(&tally->begin_ticks) == 0)
        atomic_store(&tally->begin_ticks, now);
}

/* Its time stops, until a successor begins. */
static int end_tally(const struct server *s, int why)
{
    atomic_store(&s->view->tallies[s->rank].end_ticks, fmi_ticks());
    return why;
}

/* The word lies beside the one that is polled anyway. */
static int is_needed(const struct server *s)
{
    return atomic_load(FMI_POOL_WANTED(s->view->shm)) > (uint64_t)s->rank ||
           fmi_pool_has_share(s->rank, (void *)s->view);
}

/* Before it sleeps with what it has taken. By then none of the time counts that a short map is waited for. */
static int is_too_large(struct server *s, uint32_t seen, int64_t spin_ns)
{
    if (s->recycle == NULL || !s->recycle->is_unseen ||
        fmi_park_spin(&s->view->shm->work, seen, spin_ns))
        return 0;
    fmi_recycle_look(s->recycle);
    return s->recycle->is_due;
}

/*
 * The worker is idle from its first look at the park to the last one that saw nothing new. These ticks are read anyway: an idle time costs
 * two stores to a line that nobody else has.
 */
static void sleep_until_published(struct server *s, uint32_t seen)
{
    struct fmi_park_shm *work = &s->view->shm->work;
    int is_on_host_core =
        s->view->is_isolated && s->host_cpu >= 0 && s->host_cpu == s->view->cpus[s->rank];
    int64_t spin_ns = is_on_host_core ? 0 : FMI_SPIN_NS;
    fmi_filemap_drop_dead();
    if (is_too_large(s, seen, spin_ns))
        return;
    if (fmi_park_seen(work) == seen) {
        uint64_t began = fmi_ticks(), ended = began;
        begin_idle(s, began);
        fmi_park_timed(work, seen, spin_ns, FMI_NEVER, &ended);
        prefetch_latest(s);
        end_idle(s, began, ended);
        return;
    }
    prefetch_latest(s);
}

int fmi_pool_serve(int rank, uint32_t starts, void *arg)
{
    struct server server = {.view = arg, .rank = rank, .starts = starts, .host_cpu = -1};
    struct fmi_recycle recycle;
    server.recycle = fmi_recycle_init(&recycle, server.view);
    const struct fmi_performer performer = {.view = arg,
                                            .rank = rank,
                                            .starts = starts,
                                            .worker = fmi_worker_self(),
                                            .recycle = server.recycle};
    begin_tally(&server);
    remember_left(&server);
    resume(&server);
    fmi_tasks_resume(&performer);
    fmi_alone_end(server.view, rank); /* of a predecessor whose work was called off meanwhile */
    while (!fmi_recycle_is_due(server.recycle)) {
        uint32_t seen = fmi_park_seen(&server.view->shm->work);
        /* After that, or a close is slept through; before the looks, or what is handed out between them and a close is left behind. */
        int is_closing = atomic_load(FMI_POOL_CLOSING(server.view->shm)) != 0;
        uint64_t ticket = 0;
        int n_open, slot = find_job(&server, &ticket, &n_open);
        if (slot >= 0)
            visit(&server, slot, ticket, 0);
        int n_tasks = fmi_tasks_perform(&performer);
        if (slot >= 0 && n_open > 1)
            continue;
        if (!is_needed(&server))
            return end_tally(&server, FMI_WORK_OVER);
        if (n_tasks > 0)
            continue;
        FMI_FAULT("serve.found_nothing");
        if (n_open == 0 && is_closing)
            return end_tally(&server, FMI_WORK_OVER);
        if (fmi_recycle_is_due(server.recycle))
            break;
        /* Nothing else was open when `seen` was read. To look again would take the job's line from the host. */
        sleep_until_published(&server, seen);
    }
    return end_tally(&server, FMI_WORK_RETIRES);
}
