/* SPDX-License-Identifier: MIT */
/* Where the parts of a pool lie, and the transitions of a job slot that more than one process may make; see job.h. */
#include "job.h"

#include "fault.h"
#include "task.h"

enum { LINE_BYTES = 64 };

static char *take(size_t *at, char *block, size_t bytes)
{
    char *p = block == NULL ? NULL : block + *at;
    *at += (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    return p;
}

size_t fmi_pool_lay_out(struct fmi_pool_view *view, char *block, int n_ranks)
{
    size_t at = 0, n = (size_t)n_ranks;
    view->shm = (struct fmi_pool_shm *)take(&at, block, sizeof *view->shm);
    view->tallies = (struct fmi_tally_shm *)take(&at, block, n * sizeof *view->tallies);
    view->ranges =
        (struct fmi_range_shm *)take(&at, block, FMI_POOL_JOBS * n * sizeof *view->ranges);
    view->progress =
        (struct fmi_progress_shm *)take(&at, block, FMI_POOL_JOBS * n * sizeof *view->progress);
    view->crew = (struct fmi_crew_shm *)take(&at, block, fmi_crew_bytes(n_ranks));
    view->n_ranks = n_ranks;
    return at;
}

void fmi_pool_wake_all(int rank, void *view)
{
    const struct fmi_pool_view *v = view;
    (void)rank;
    fmi_park_wake_all(&v->shm->work);
    fmi_park_wake_all(&v->shm->done);
}

static int has_share_in(const struct fmi_pool_view *v, int slot, int rank)
{
    const struct fmi_job_shm *job = &v->shm->jobs[slot];
    uint64_t word =
        atomic_load(&job->word); /* seq_cst: after `wanted`; pairs with fmi_mapping_publish */
    const struct fmi_range_shm *line = &v->ranges[(size_t)slot * (size_t)v->n_ranks + (size_t)rank];
    return fmi_job_state(word) == FMI_JOB_OPEN && (uint32_t)rank < job->plan.n_ranks &&
           atomic_load(&line->left) != fmi_job_ticket(word);
}

int fmi_pool_has_share(int rank, void *view)
{
    const struct fmi_pool_view *v = view;
    for (uint64_t used = atomic_load(FMI_POOL_USED(v->shm)); used != 0; used &= used - 1)
        if (has_share_in(v, __builtin_ctzll(used), rank))
            return 1;
    return fmi_task_of(v, rank) != NULL;
}

void fmi_job_finish(const struct fmi_pool_view *view, int slot, uint64_t ticket)
{
    uint64_t open = fmi_job_word(ticket, FMI_JOB_OPEN);
    FMI_FAULT("job.finish");
    if (!atomic_compare_exchange_strong(&view->shm->jobs[slot].word, &open,
                                        fmi_job_word(ticket, FMI_JOB_DONE)))
        return; /* someone else saw it first */
    FMI_FAULT("job.finished");
    fmi_park_wake(&view->shm->done);
    /* Workers that had nothing more to do in it sleep, since they could not leave before; after, or the closing wakes them. */
    if (atomic_load(FMI_POOL_CLOSING(view->shm)) != 0)
        fmi_park_wake(&view->shm->work);
}

void fmi_job_stop_at(struct fmi_job_shm *job, int64_t item)
{
    int64_t stop = atomic_load(&job->stop);
    while (item < stop && !atomic_compare_exchange_weak(&job->stop, &stop, item))
        ;
}

void fmi_job_fail(struct fmi_job_shm *job, int code)
{
    int none = 0;
    atomic_compare_exchange_strong(&job->error, &none, code);
    fmi_job_stop_at(job, 0);
}
