/* SPDX-License-Identifier: MIT */
#ifndef FMI_RECYCLE_H
#define FMI_RECYCLE_H

/*
 * When a worker is to be replaced: it has run so many chunks or tasks, or has grown too large. Private to the worker. Asked between two
 * chunks only, so nothing of a job is in flight: it stops claiming and keeps `inside`, and the process that takes its rank goes on from the
 * words of the job (job.h). How it is replaced is in crew.h.
 */

#include "job.h"

struct fmi_recycle {
    int64_t max_tasks; /* 0: no limit */
    size_t max_bytes;  /* 0: no limit */
    int64_t n_tasks;   /* run so far */
    uint64_t look_ticks;
    int is_unseen; /* something has run since its memory was looked at */
    int is_due;    /* for good */
};

/* Returns `recycle`, or NULL if the pool's workers are not replaced. */
struct fmi_recycle *fmi_recycle_init(struct fmi_recycle *recycle, const struct fmi_pool_view *view);

/* Counts one, and looks at the memory every millisecond at most. */
void fmi_recycle_count_one(struct fmi_recycle *recycle);

/* After each chunk or task that has run. NULL: nothing is counted. */
static inline void fmi_recycle_count(struct fmi_recycle *recycle)
{
    if (recycle != NULL)
        fmi_recycle_count_one(recycle);
}

/* Looks at the memory if something has run since the last look: the worker is about to sleep. */
void fmi_recycle_look(struct fmi_recycle *recycle);

static inline int fmi_recycle_is_due(const struct fmi_recycle *recycle)
{
    return recycle != NULL && recycle->is_due;
}

#endif
