/* SPDX-License-Identifier: MIT */
#ifndef FMI_MAPPING_H
#define FMI_MAPPING_H

/* One map in progress, on the host's side: submit.c, await.c, collect.c; map.c is the whole of it. */

#include "handle.h"
#include "journal.h"
#include "prepare.h"
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
    int is_cancelled;            /* by the progress callback, or fm_result_cancel() */
    int is_async;                /* no caller has a share */
    int is_limited;              /* the warden looks at time limits for it */
    struct fmi_journal journal;  /* array NULL: none, and the rest is not set */
    uint32_t n_inspections;      /* of the pool, as it was inspected last */
};

static inline struct fmi_progress_shm *fmi_mapping_progress(const struct fmi_mapping *m)
{
    return &m->pool->view.progress[(size_t)m->slot * (size_t)m->pool->view.n_ranks];
}

/* ---- map.c ---- */

/* Checks, takes a slot and fills it. 0, and n_items of the plan is 0 if there is nothing to do; what a map returns that cannot begin. */
int fmi_mapping_begin(struct fmi_mapping *m, fm_pool *pool, const struct fmi_request *request,
                      int is_async);
/* From here on it is done by the workers. */
void fmi_mapping_open(struct fmi_mapping *m);
/* When all is finished (rc 0), or cannot be: its code and records, and its slot and blocks are given back. */
int fmi_mapping_end(struct fmi_mapping *m, int rc, struct fmi_report *report);
/* How often limits like these are to be looked at [ns]; 0: there is none. */
int64_t fmi_pool_tick_of(int64_t limit_ns, double factor);

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
/* The parts of that, for who waits for several things. 1: all is finished; 0; FM_ECORRUPT. */
int fmi_mapping_is_done(struct fmi_mapping *m);
/* How far it is. */
fm_progress fmi_mapping_count(const struct fmi_mapping *m, int64_t now);
/* Reports progress if it is due. Returns when to look again [ns]. */
int64_t fmi_mapping_look(struct fmi_mapping *m);
/* A caller that works takes part in a map that was handed out, by stealing. */
void fmi_mapping_help(struct fmi_mapping *m);
/* Items that have not begun do not begin. */
void fmi_mapping_cancel(struct fmi_mapping *m);
/* [ns] between two reports. */
int64_t fmi_mapping_report_interval(const struct fmi_mapping *m);

/* ---- collect.c ---- */

/* The map's code, and its failure records added to `report`. */
int fmi_mapping_collect(struct fmi_mapping *m, struct fmi_report *report);

#endif
