/* SPDX-License-Identifier: MIT */
#ifndef FMI_TASK_QUEUE_H
#define FMI_TASK_QUEUE_H

/*
 * Tasks from the host's side: records are handed out, filled, queued, asked about, and given to other tasks. What the host needs to know of
 * a task it keeps in a slot, in private memory, and believes of the record no more than its state, outcome and code. Nor does a caller that works, before it runs one.
 */

#include "handle.h"
#include "record.h"
#include "task.h"

struct fmi_task_slot {
    struct fmi_task_shm *task;
    struct fmi_task_slot *next; /* of those that are free, or forgotten */
    struct fm_result *owner;    /* who is told when the pool ends; NULL: nobody */
    struct fmi_more_shm *more;  /* the block of the task, or NULL; its user frees it */
    uint64_t position;          /* in the ring */
    uint64_t orders;            /* a sum of what the record has of the host, and the block: */
    const struct fmi_more_shm *shared_more; /* or NULL */
    size_t arg_bytes;                       /* of the record */
    int is_limited;                         /* fmi_pool_limit_begin() was called for it */
    _Atomic uint32_t n_inspections;         /* of the pool, as it was inspected last */
    _Atomic uint32_t n_doubts;              /* in a row: nobody seems to have it */
};

/* A record for a task, its host's lines written by the caller until fmi_task_submit(). 0; as fmi_pool_trouble; -ENOMEM, -ENOSPC. Locks the queue. */
int fmi_task_begin(fm_pool *pool, struct fmi_task_slot **out);
/* Of a record that is written: from here on fmi_task_code() tells if it was overwritten. fmi_task_submit() does it. */
void fmi_task_remember_orders(struct fmi_task_slot *slot);
/* q1 .. q3. Unlocks the queue. Forgotten: nobody will ask, so fmi_task_forgotten() tells when it is over. */
void fmi_task_submit(fm_pool *pool, struct fmi_task_slot *slot, int is_forgotten);
/* The owner of a forgotten task that is over, once for each; NULL: there is none just now. */
struct fm_result *fmi_task_forgotten(fm_pool *pool);

/* Gives the slot of a task that is over to another one. Any thread. */
void fmi_task_put(fm_pool *pool, struct fmi_task_slot *slot);

/* The end of the task is to wake `done`. 1: it is over already. */
int fmi_task_want(const struct fmi_task_slot *slot);
/* Calls it off: 1: it will not begin; 0: it runs, and is told, or is over. */
int fmi_task_drop(const struct fmi_task_slot *slot);
/* Has the worker killed that runs it, if one does. */
void fmi_task_kill(fm_pool *pool, const struct fmi_task_slot *slot);
/* 1 if it may have begun: the ring is past it. */
int fmi_task_may_have_begun(const fm_pool *pool, const struct fmi_task_slot *slot);

/* How a task ended, of one that is over: 0; the code of its outcome; FM_ECANCELLED; FM_ECORRUPT, also if it was done by other orders than were given. */
int fmi_task_code(const struct fmi_task_slot *slot);
/* Moves its records into private memory. 0; -ENOMEM, FM_ECORRUPT. */
int fmi_task_report(const struct fmi_task_slot *slot, struct fmi_report *report);

/* Once for each inspection of the pool: condemns it if the task is not over, and nobody can end it. */
void fmi_task_inspect(fm_pool *pool, struct fmi_task_slot *slot);
/* 0: words that only the host writes, or where the ring is, were overwritten. */
int fmi_task_queue_is_whole(fm_pool *pool);

/* This thread as one that runs tasks, on a pool whose caller works. */
struct fmi_performer fmi_task_caller(const fm_pool *pool);
/* Its ring and hands. */
struct fmi_tasks_shm *fmi_task_queue_shared(const struct fmi_task_queue *queue);
/* The slot of a record; NULL: it is none, so whoever named it was led astray. Any address. */
const struct fmi_task_slot *fmi_task_queue_find(const struct fmi_task_queue *queue,
                                                const struct fmi_task_shm *task);
/* Copies what the host wrote of a task that this thread has taken, and its block, if it has one. 0; FM_ECORRUPT: it is not what was written. */
int fmi_task_copy_orders(const struct fmi_task_slot *slot, struct fmi_task_shm *task,
                         struct fmi_more_shm *more);

/* When the pool ends: calls `end` for each owner. Then frees everything; the shared part goes with the pool's workers. */
void fmi_task_queue_end(fm_pool *pool, void (*end)(struct fm_result *owner));
void fmi_task_queue_free(fm_pool *pool);

#endif
