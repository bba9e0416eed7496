/* SPDX-License-Identifier: MIT */
/* Waiting for a map: asleep while the workers work, or as one of them; reporting progress meanwhile. */
#include "mapping.h"

#include "clock.h"
#include "run.h"

#include <errno.h>

enum {
    EAGER_NS = 4000,      /* the host's own spin before it wakes sleepers: two wakes on one core */
    PATIENCE_NS = 1000,   /* for one worker to leave, before the caller looks at all again */
    LOOK_NS = 1000000000, /* no wait is longer without a look at everything */
    PROGRESS_NS = 100000000,
};

static int64_t count_done(const struct fmi_mapping *m)
{
    int64_t n_done = 0;
    const struct fmi_progress_shm *progress = fmi_mapping_progress(m);
    for (int rank = 0; rank < m->ranges.n; rank++) {
        int64_t n =
            atomic_load_explicit(&progress[rank].n_done, memory_order_relaxed); /* an estimate */
        if (atomic_load_explicit(&progress[rank].ticket, memory_order_relaxed) == m->ticket &&
            n > 0 && n <= m->plan.n_items - n_done)
            n_done += n;
    }
    return n_done;
}

static int64_t count_failed(const struct fmi_mapping *m)
{
    int64_t n = atomic_load(&m->job->n_failed);
    return n < 0 ? 0 : n > m->plan.n_items ? m->plan.n_items : n;
}

void fmi_mapping_cancel(struct fmi_mapping *m)
{
    m->is_cancelled = 1;
    fmi_job_stop_at(m->job, 0);
}

fm_progress fmi_mapping_count(const struct fmi_mapping *m, int64_t now)
{
    return (fm_progress){.n_items = m->plan.n_items,
                         .n_done = count_done(m),
                         .n_failed = count_failed(m),
                         .seconds = (double)(now - m->begin_ns) / 1e9};
}

static void report_progress(struct fmi_mapping *m, int64_t now)
{
    fm_progress p = fmi_mapping_count(m, now);
    if (m->opts->progress(&p, m->opts->progress_arg) != 0 && !m->is_cancelled)
        fmi_mapping_cancel(m);
}

int64_t fmi_mapping_report_interval(const struct fmi_mapping *m)
{
    return m->opts->progress_interval > 0 ? m->opts->progress_interval : PROGRESS_NS;
}

/* When to look up next. Reports progress when it is due. */
int64_t fmi_mapping_look(struct fmi_mapping *m)
{
    int64_t now = fmi_now_ns();
    if (m->journal.array != NULL)
        fmi_journal_look(&m->journal, now);
    if (m->opts->progress == NULL)
        return m->report_ns = now + LOOK_NS;
    if (now >= m->report_ns) {
        report_progress(m, now);
        m->report_ns = fmi_deadline_after(fmi_mapping_report_interval(m));
    }
    return m->report_ns < now + LOOK_NS ? m->report_ns : now + LOOK_NS;
}

static void look_up(void *arg) /* between the chunks of a caller that works */
{
    struct fmi_mapping *m = arg;
    if (fmi_now_ns() >= m->report_ns)
        fmi_mapping_look(m);
}

/* Once for each inspection of the pool: whether it can end at all, as the words of this job are. */
static int inspect(struct fmi_mapping *m)
{
    uint32_t n = atomic_load_explicit(&m->pool->n_inspections, memory_order_relaxed);
    if (m->n_inspections == n)
        return 0;
    m->n_inspections = n;
    if (!fmi_plan_is_same(&m->job->plan, &m->pool->slots[m->slot].written))
        return FM_ECORRUPT;
    return fmi_ranges_check(&m->ranges, m->ticket);
}

/* DONE, as a worker said or as the words say; 0: not yet; FM_ECORRUPT. */
int fmi_mapping_is_done(struct fmi_mapping *m)
{
    uint64_t word = atomic_load_explicit(&m->job->word, memory_order_acquire);
    if (word == fmi_job_word(m->ticket, FMI_JOB_DONE))
        return 1;
    if (word != fmi_job_word(m->ticket, FMI_JOB_OPEN))
        return FM_ECORRUPT; /* no worker would come */
    int rc = fmi_ranges_done(&m->ranges);
    if (rc == 1)
        fmi_job_finish(&m->pool->view, m->slot, m->ticket);
    return rc != 0 ? rc : inspect(m);
}

/* Sleeps until the job is DONE. */
static int await_done(struct fmi_mapping *m)
{
    struct fmi_park_shm *done = &m->pool->view.shm->done;
    if (!m->pool->view.is_isolated)
        atomic_store(&m->job->is_awaited, 1); /* seq_cst: before the scan of fmi_mapping_is_done */
    for (;;) {
        uint32_t seen = fmi_park_seen(done);
        int rc = fmi_mapping_is_done(m);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        rc = fmi_pool_trouble(m->pool);
        if (rc != 0)
            return rc;
        if (fmi_pool_park(m->pool, seen, 0, fmi_mapping_look(m)) == -EINTR && !m->is_cancelled &&
            m->opts->on_signal == FM_SIGNAL_CANCEL)
            fmi_mapping_cancel(m);
    }
}

/* A worker that has to share the host's core cannot run while the host spins there. */
static int has_worker_on_host_core(const struct fmi_mapping *m)
{
    for (int rank = 0; rank < m->ranges.n; rank++)
        if (m->pool->view.cpus[rank] == m->plan.host_cpu)
            return 1;
    return 0;
}

/*
 * The host sleeps while the workers work. After a recent map some of them still spin, and a small job is done before a
 * sleeper would be awake: so the host spins for a moment before it wakes anyone. Not where someone has a share that
 * nobody takes from it, and sleeps, or waits for the host's core.
 */
static int is_worth_a_spin(const struct fmi_mapping *m)
{
    if (m->plan.schedule == FM_SCHEDULE_STATIC)
        return m->workers_spin && !has_worker_on_host_core(m);
    uint64_t last_done =
        atomic_load_explicit(&m->pool->last_done_ticks, memory_order_relaxed); /* a hint */
    return fmi_ticks() - last_done < fmi_ticks_of_ns(FMI_SPIN_NS);
}

static int wait_isolated(struct fmi_mapping *m)
{
    struct fmi_pool_shm *shm = m->pool->view.shm;
    if (is_worth_a_spin(m)) {
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

/* Who has left says how much it has done, on the line that was watched anyway. */
static int is_all_counted(const struct fmi_mapping *m)
{
    const struct fmi_tally_shm *tallies = m->pool->view.tallies;
    uint64_t n = fmi_range_count(&m->ranges, 0);
    for (int rank = 1; rank < m->ranges.n; rank++)
        n += atomic_load_explicit(&tallies[rank].n_finished, memory_order_relaxed);
    return n == m->plan.n_grains;
}

/*
 * Waits a moment for all workers to leave the job. 1: they have, so all is finished but for the caller's share, which is empty: a worker leaves with an empty range
 * and nothing in flight. 0: not yet, or their counts say that some word was overwritten, so that who scans will see it. What is watched is a word that a worker writes once; to watch the ranges would take their lines
 * away from it at each of its steps.
 */
static int await_leaving(const struct fmi_mapping *m)
{
    const struct fmi_tally_shm *tallies = m->pool->view.tallies;
    uint64_t begin = 0, patience = fmi_ticks_of_ns(PATIENCE_NS);
    for (int rank = 1; rank < m->ranges.n; rank++)
        /* acquire: pairs with visit */
        while (atomic_load_explicit(&tallies[rank].left, memory_order_acquire) != m->ticket) {
            uint64_t now = fmi_ticks();
            begin = begin == 0 ? now : begin;
            if (now - begin > patience)
                return 0;
            fmi_relax();
        }
    return is_all_counted(m);
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
static int spin_until_done(struct fmi_mapping *m)
{
    uint64_t begin = fmi_ticks(), limit = fmi_ticks_of_ns(FMI_SPIN_NS);
    int rc = 0;
    do
        rc = await_leaving(m) ? 1 : fmi_ranges_done(&m->ranges);
    while (rc == 0 && fmi_ticks() - begin < limit);
    return rc;
}

static struct fmi_runner make_runner(const struct fmi_mapping *m, struct fmi_runner_caller *caller)
{
    const struct fmi_pool_view *view = &m->pool->view;
    return (struct fmi_runner){
        .plan = &m->plan, /* the private one: the shared one may be overwritten */
        .job = m->job,
        .ranges = m->ranges,
        .progress = fmi_mapping_progress(m),
        .tally = &view->tallies[0],
        .view = view,
        .rank = 0,
        .cpu = view->cpus[0],
        .caller = caller,
    };
}

static int take_part(struct fmi_mapping *m)
{
    struct fmi_runner_caller caller = {
        .before_steal = m->workers_spin ? let_workers_begin : NULL,
        .between = m->opts->progress == NULL && m->journal.array == NULL ? NULL : look_up,
        .arg = m,
        .scans_later = m->workers_spin && m->plan.schedule == FM_SCHEDULE_STATIC,
    };
    struct fmi_runner runner = make_runner(m, &caller);
    fmi_park_rouse(&m->pool->view.shm->work);
    int rc = fmi_runner_init(&runner);
    if (rc < 0)
        fmi_job_fail(m->job, rc); /* and clear the own share away: under STATIC nobody else would */
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

void fmi_mapping_help(struct fmi_mapping *m)
{
    struct fmi_runner_caller caller = {.between = m->opts->progress == NULL ? NULL : look_up,
                                       .arg = m};
    struct fmi_runner runner = make_runner(m, &caller);
    int rc = fmi_runner_init(&runner);
    if (rc == 0)
        rc = fmi_runner_run(&runner, 0);
    if (rc < 0)
        fmi_job_fail(m->job, rc);
    fmi_runner_fini(&runner);
}

int fmi_mapping_await(struct fmi_mapping *m)
{
    return m->pool->view.is_isolated ? wait_isolated(m) : take_part(m);
}
