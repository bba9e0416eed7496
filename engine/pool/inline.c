/* SPDX-License-Identifier: MIT */
/* Maps inside a worker; see inline.h. The same runner over lines of its own, in private memory. */
#include "inline.h"

#include "error.h"
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct inline_map {
    struct fmi_job_shm job;
    struct fmi_range_shm line;
    struct fmi_progress_shm progress;
    struct fmi_tally_shm tally;
};

static int code_of(const struct fmi_report *report)
{
    if (report->n == 0)
        return report->n_lost > 0 ? fmi_error(-ENOMEM, "no memory for the records of a nested map")
                                  : 0;
    return fmi_error(FM_ETASK, "item %lld failed in a nested map", (long long)report->list[0].item);
}

static int run_inline(struct inline_map *m, struct fmi_report *report)
{
    struct fmi_job_shm *job = &m->job;
    uint64_t ticket = 1;
    atomic_store(&job->word, fmi_job_word(ticket, FMI_JOB_OPEN));
    atomic_store(&job->stop, INT64_MAX);
    struct fmi_runner runner = {
        .plan = &job->plan,
        .job = job,
        .ranges = {.lines = &m->line,
                   .moves = &job->moves,
                   .n = 1,
                   .n_grains = job->plan.n_grains,
                   .epoch = 1},
        .progress = &m->progress,
        .tally = &m->tally,
        .rank = 0, /* of one */
        .cpu = -1,
        .starts = 1,
    };
    fmi_ranges_init(&runner.ranges, 0);
    int rc = fmi_runner_init(&runner);
    if (rc == 0)
        rc = fmi_runner_run(&runner, 0);
    fmi_runner_fini(&runner);
    if (rc >= 0)
        rc = fmi_report_collect(report, &m->progress, 1, ticket);
    for (int64_t i = 0; i < report->n; i++)
        report->list[i].worker = fm_worker_rank();
    fmi_report_sort(report);
    return rc < 0 ? rc : code_of(report);
}

int fmi_inline_map(const struct fmi_request *request, struct fmi_report *report)
{
    struct inline_map *m = aligned_alloc(64, sizeof *m);
    if (m == NULL)
        return -ENOMEM;
    memset(m, 0, sizeof *m);
    struct fmi_plan *plan = &m->job.plan;
    struct fmi_request inside = *request;
    inside.may_journal = 0;
    int rc = fmi_plan_prepare(plan, &inside, 1);
    plan->fn = request->fn;
    plan->arg = request->opts->arg;
    plan->limit_ns = 0; /* the limit of the item that called applies, and includes this map */
    plan->factor = 0;
    if (rc == 0 && plan->undo_bytes > 0 && (plan->undo = malloc((size_t)plan->undo_bytes)) == NULL)
        rc = -ENOMEM;
    for (int64_t i = 0; rc == 0 && plan->status != NULL && i < plan->n_items; i++)
        plan->status[i * plan->status_stride] = 0;
    if (rc == 0 && plan->n_items > 0)
        rc = run_inline(m, report);
    free(plan->undo);
    free(m);
    return rc;
}
