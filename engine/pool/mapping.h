/* SPDX-License-Identifier: MIT */
#ifndef FMI_MAPPING_H
#define FMI_MAPPING_H

/* One map in progress, on the host's side: submit.c, await.c, collect.c; map.c is the whole of it. */

#include "handle.h"
#include "record.h"

struct fmi_mapping { /* private to its thread */
    fm_pool *pool;
    const fm_map_opts *opts;
    struct fmi_plan plan;
    struct fmi_job_shm *job;
    int slot;
    uint64_t ticket;
    struct fmi_ranges ranges;
    void *arg_block; /* in the heap: an argument too large for the job, and the undo copies */
    void *undo_block;
    int workers_spin;            /* none of them slept when the job was published */
    int64_t begin_ns, report_ns; /* with a progress callback only */
    int is_cancelled;            /* by the progress callback */
};

static inline struct fmi_progress_shm *fmi_mapping_progress(const struct fmi_mapping *m)
{
    return &m->pool->view.progress[(size_t)m->slot * (size_t)m->pool->view.n_ranks];
}

/* ---- submit.c ---- */

/* Asks for the lines of the slot that the next map will take, likely. */
void fmi_mapping_prefetch(const fm_pool *pool);
/* FREE -> FILLING; waits while all slots are taken. 0; as fmi_pool_trouble. */
int fmi_mapping_take_slot(struct fmi_mapping *m);
/* Writes plan, argument, ranges. 0; FM_ENOFUNC; -ENOMEM, -ENOSPC. */
int fmi_mapping_fill(struct fmi_mapping *m, fmi_any_fn *fn);
/* 0; -EINVAL: `arg` is not to be copied, and means nothing in the pool's workers (detail). */
int fmi_pool_check_pointer(const fm_pool *pool, const void *arg);
/* FILLING -> OPEN: those who spin see it; fmi_mapping_await wakes those who sleep. */
void fmi_mapping_publish(struct fmi_mapping *m);
/* OPEN or DONE -> FREE. */
void fmi_mapping_free_slot(struct fmi_mapping *m);

/* ---- await.c ---- */

/* Until all items are finished: sleeps, or takes part. 0; FM_ECORRUPT; as fmi_pool_trouble. Reports progress meanwhile. */
int fmi_mapping_await(struct fmi_mapping *m);
/* [ns] between two reports. */
int64_t fmi_mapping_report_interval(const struct fmi_mapping *m);

/* ---- collect.c ---- */

/* The map's code, and its failure records added to `report`. */
int fmi_mapping_collect(struct fmi_mapping *m, struct fmi_report *report);

#endif
