/* SPDX-License-Identifier: MIT */
#ifndef FMI_RESULT_H
#define FMI_RESULT_H

/*
 * struct fm_result: what becomes of a task or a map that was handed out. Private memory of the process that asked.
 *
 *   IN_FLIGHT --some thread--> HELD --> IN_FLIGHT      it is asked to end, or gets its descriptor
 *                              HELD --> SETTLED        it is over, or can never be: the code is known
 *   SETTLED --> READY --> TOLD                         at once, or when its callbacks have returned; and its descriptor is readable
 *
 * Whoever holds it has it alone. Without callbacks any thread settles it that finds it over; with them the dispatcher, or who needs the slot of a map. From TOLD on it may be freed
 * by another thread, so nothing is touched after that is stored.
 */

#include "mapping.h"
#include "task_queue.h"

#include <forkmap/result.h>

enum {
    FMI_RESULT_IN_FLIGHT = 1,
    FMI_RESULT_HELD = 2,
    FMI_RESULT_SETTLED = 3,
    FMI_RESULT_READY = 4,
    FMI_RESULT_TOLD = 5
};

struct fmi_async_map { /* a map whose caller has gone on */
    struct fmi_mapping mapping;
    fm_map_opts opts;
    int64_t report_ns;       /* when progress is to be reported next; of the thread that attends */
    _Atomic int is_attended; /* a thread that waits reports progress, and takes part */
    _Atomic int is_helped;   /* it is taking part: the job's slot must stay */
};

struct fm_result {
    uint32_t owner; /* pid */
    _Atomic int stage;
    int code;
    fm_pool *pool; /* live while it is not SETTLED, if its serial is still this: */
    uint64_t serial;
    struct fmi_task_slot *slot; /* a task; else NULL, and */
    struct fmi_async_map *map;  /* a map, until it is settled */

    void *copy_to; /* where the caller wants the result of the task; or NULL */
    size_t result_bytes;
    struct fmi_more_shm *more; /* block of the task, or NULL */
    char *elsewhere;           /* in it: the result; NULL: it is in the record */
    const void *data;          /* the result, once settled well */
    int is_called_off;         /* who holds it */
    struct fmi_report report;

    fm_callback_fn *callback, *error_callback;
    void *callback_arg;
    _Atomic int fd;           /* eventfd; -1: nobody asked for one */
    int is_forgotten;         /* nobody but the dispatcher has it */
    _Atomic int is_watched;   /* it stands in the dispatcher's list, and may not be freed */
    struct fm_result *next;   /* in that list, or of those that are free */
    int kind;                 /* of result_store.c */
    alignas(16) char small[]; /* as many as were asked for, at least */
};

static inline int fmi_result_has_callback(const struct fm_result *r)
{
    return r->callback != NULL || r->error_callback != NULL;
}

/* A result in flight, with room for that many bytes. NULL: no memory. */
struct fm_result *fmi_result_new(fm_pool *pool, size_t small_bytes);

/* result_store.c: memory for one, with nothing in it; takes it back; gives to malloc what no thread has. */
struct fm_result *fmi_result_alloc(size_t small_bytes);
void fmi_result_give(struct fm_result *r);
void fmi_result_trim(void);

/* 1 if what it is of is over, or never will be. On a pool that is held. */
int fmi_result_is_over(struct fm_result *r);
/* Has it alone: 1; 0: it is settled already. Waits for whoever has it, who does not wait. */
int fmi_result_hold(struct fm_result *r);
/* IN_FLIGHT -> SETTLED, if it is over; without callbacks READY. On a pool that is held. */
void fmi_result_settle(struct fm_result *r);
/* SETTLED -> READY -> TOLD: after that it may be gone. Wakes who waits. */
void fmi_result_publish(struct fm_result *r, fm_pool *pool);
/* Calls what is to be called. */
void fmi_result_call_back(struct fm_result *r);
/* Frees one that is TOLD, or of which nothing has begun. */
void fmi_result_delete(struct fm_result *r);

/* When the pool ends, after its workers: settles all that is in flight. */
void fmi_results_end(fm_pool *pool);
/* Settles maps that are done, so that their slots are free. */
void fmi_results_reap(fm_pool *pool);

#endif
