/* SPDX-License-Identifier: MIT */
#ifndef FMI_RUN_H
#define FMI_RUN_H

/*
 * Running a job's items in one process: a worker, the caller that works, or a worker that maps inline. A runner is
 * private; all that must survive a death is in the job's lines.
 */

#include "array.h"
#include "job.h"
#include "recycle.h"
#include "task.h"

struct fmi_journal_shm;

struct fmi_runner_caller { /* what a caller that works does besides */
    /* Called once, when the own range is empty, before anything is stolen; NULL: not. 1: all is finished; FM_ECORRUPT. */
    int (*before_steal)(void *arg);
    void (*between)(void *arg); /* between chunks, for the progress report; NULL: nothing */
    void *arg;
    int scans_later; /* it watches the workers leave, and takes no line from them */
};

struct fmi_runner {
    const struct fmi_plan *plan;
    struct fmi_job_shm *job;
    struct fmi_ranges ranges;
    struct fmi_progress_shm *progress; /* own */
    struct fmi_tally_shm *tally;       /* own */
    struct fmi_worker_shm *worker;     /* NULL: not a worker, so nobody can kill it for a limit */
    struct fmi_recycle *recycle;       /* NULL: this process is not to be replaced */
    struct fmi_journal_shm *journal;   /* NULL: the map has none; else a grain is a cell of it */
    const struct fmi_pool_view *view;  /* NULL: a map inside a function, or a task */
    int is_lone;                       /* the lost chunk goes on alone (alone.h) */
    int rank, cpu;
    uint32_t starts;
    fmi_any_fn *fn;

    uint32_t want;                   /* grains of the next claim, FMI_WANT_AUTO */
    uint64_t target_ticks;           /* how long a chunk should last */
    int64_t item;                    /* that runs now, for fm_cancelled */
    const struct fmi_task_shm *task; /* NULL: it is a map; else there is no plan and no job, but: */
    uint64_t seed;
    int64_t attempted;        /* item whose attempts progress counts; -1: the predecessor's */
    struct fmi_runner *outer; /* of the function that called this map; NULL: none */

    char *packed; /* copies of rows with gaps for item functions, n_in + 1 of them; NULL without */
    struct fmi_array_view *views; /* of in[] and out, when packed or undo needs them; else NULL */
    struct fmi_runner_caller *caller; /* NULL: a worker, or a map inside a function */
};

/* Prepares a runner to take part in the job. 0; FM_ENOFUNC, FM_ESTALE, -ENOMEM, FM_ECORRUPT; -ESTALE,
 * -EACCES, -EMFILE ... a mapped file cannot be reached. */
int fmi_runner_init(struct fmi_runner *r);
void fmi_runner_fini(struct fmi_runner *r);

/*
 * Takes part until nothing is left to claim or steal. `resume`: first goes on with what a dead process had on this rank.
 * 1: all items of the job are finished; 0: others still work; FMI_RUN_RETIRES: this process is to be replaced, and whoever takes its rank goes on;
 * FM_ECORRUPT.
 */
enum { FMI_RUN_RETIRES = 2 };
int fmi_runner_run(struct fmi_runner *r, int resume);

/* The function of that description, opened here if need be; remembers the last one. Workers only. 0; FM_ENOFUNC, FM_ESTALE. */
int fmi_runner_find(const struct fmi_function_shm *described, fmi_any_fn **fn);

/* Where a packed copy of the row of in[k] goes; of the result for k = n_in. Aligned as rows in the heap are. */
char *fmi_runner_packed_row(const struct fmi_runner *r, int k);

/* call.c: runs items [item, end) of the chunk that begins at `begin`, failures included; ends early at `stop`. Returns the first not run. */
int64_t fmi_runner_call(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end);

/* Around the calls of the user's function: who runs it, for what functions may ask. */
void fmi_runner_enter(struct fmi_runner *r);
void fmi_runner_leave(const struct fmi_runner *r);

/* The runner whose function this thread is in, or the worker's for a thread that the function started; NULL outside. */
struct fmi_runner *fmi_runner_current(void);

/* note.c: what fm_note() left for `item`, or "". It is gone afterwards. */
void fmi_note_take(const struct fmi_runner *r, int64_t item, char text[96]);
/* Notes of an earlier job are not this one's. */
void fmi_note_reset(const struct fmi_runner *r);

/* blame.c. What every record has; item counted as the caller of the pool counts. */
fm_failure fmi_failure_of_return(const struct fmi_runner *r, int64_t item, int code,
                                 uint32_t attempt, uint64_t begin_ticks);
fm_failure fmi_failure_of_death(const struct fmi_runner *r, int64_t item, uint32_t attempt,
                                uint64_t begin_ticks, const struct fmi_death_shm *death);
/* How often an item is tried whose worker, the predecessor of this process, died like that. */
uint32_t fmi_attempts_allowed(const struct fmi_runner *r, uint32_t retries,
                              const struct fmi_death_shm *death);
enum { FMI_PIECE_CUT = 8 }; /* a failing chunk is tried again in such parts */
enum { FMI_VERDICT_AGAIN = 1, FMI_VERDICT_GIVE_UP = 2 };
/* The function returned `code` for `item`, alone. GIVE_UP: a record was written, go on with the next item. */
int fmi_blame_return(struct fmi_runner *r, int64_t item, int code);
/* What the death of the predecessor means for the items [next, end) of its chunk. Returns the item to go on with. */
int64_t fmi_blame_death(struct fmi_runner *r, int64_t next, int64_t end);

/* undo.c: FM_IN_PLACE. Saves the output rows of a fresh chunk; restores rows [from, end) of it. */
void fmi_undo_save(struct fmi_runner *r, int64_t begin, int64_t end);
void fmi_undo_restore(struct fmi_runner *r, int64_t begin, int64_t from, int64_t end);

#endif
