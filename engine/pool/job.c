/* SPDX-License-Identifier: MIT */
/* The transitions of a job slot that more than one process may make; see job.h. */
#include "job.h"

#include "fault.h"

void fmi_job_finish(const struct fmi_pool_view *view, int slot, uint64_t ticket)
{
    uint64_t open = fmi_job_word(ticket, FMI_JOB_OPEN);
    FMI_FAULT("job.finish");
    if (!atomic_compare_exchange_strong(&view->shm->jobs[slot].word, &open,
                                        fmi_job_word(ticket, FMI_JOB_DONE)))
        return; /* someone else saw it first */
    FMI_FAULT("job.finished");
    fmi_park_wake(&view->shm->done);
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
