/* SPDX-License-Identifier: MIT */
#ifndef FMI_TASK_H
#define FMI_TASK_H

/*
 * Tasks: single calls (fm_pool_apply_async) and the batches of streams. A task is a record; workers find it through a ring and through hands.
 *
 * A TASK'S WORD { rank:16, flags:8, state:8 }                        the process that changes it dies here
 *   FREE   -> QUEUED     host, when the record is written (release)    the host: everything ends with it
 *   QUEUED -> TAKEN      whoever runs it, CAS, names its rank          before: it is still in its hand, and queued; after: `running`
 *                                                                      of its line names it, its successor goes on
 *   QUEUED -> DROPPED    host, CAS: cancelled                          the host
 *   TAKEN  -> ENDED      who has the rank, exchange; `outcome` first   before: its successor runs the item that `next` names
 *                                                                      again, or blames it; after, before the wake: the warden wakes all
 *   ENDED, DROPPED -> FREE  host, when it has what it wants            the host
 *   Flags are set by the host at any time: WANTED (somebody waits: wake `done` at the end), UNWANTED (cancelled while it runs).
 *
 * THE WORD IS THE TRUTH, ring and hands are only ways to find it: a task that is QUEUED may be taken by anyone at any time, and by the
 * exchange one gets it. So a reference may be stale, or stand in several places; whoever finds another state passes on.
 *
 *   submit  q1  record, word := QUEUED      q2  ring[tail] := task          q3  tail += 1, announce
 *   pick    p1  hand := ring[h .. h+k)      p2  CAS head: h -> h+k; failed: p1 again
 *   take    t1  running := task             t2  CAS QUEUED -> TAKEN(rank)   run    t3  exchange TAKEN -> ENDED    t4  WANTED: wake
 *   steal   ring empty: t1 .. for each task in the hands of others
 *
 *   a process dies | its successor finds                        | and does
 *   before p2      | tasks in its hand that are in the ring too | takes those that are still queued
 *   p2 .. t2       | tasks in its hand, in no ring              | the same: for this the hand is written before p2
 *   t2 .. t3       | `running` is TAKEN by its rank             | blames or repeats the item `next`, goes on. So it has a successor also
 *                  |                                            | if the rank is not wanted any more (fmi_pool_has_share)
 *   after t3       | `running` is not TAKEN by its rank         | goes on with the hand
 *
 * INVARIANTS
 *   (1) A QUEUED task lies at a ring position in [head, tail) or in some rank's hand, or its submitter is between q1 and q3, or a caller
 *       that helps is between p2 and t2: it has no successor, and needs no hand.
 *       A hand is not overwritten before all in it were seen in another state than QUEUED.
 *   (2) TAKEN(rank) implies that running of that rank names the task; rank 0 of a caller needs none: it has no successor.
 *   (3) A ring position is not reused before head has passed it; a failed p2 throws away what p1 read.
 *   (4) Records are given to other tasks, never to anything else, while the pool lives: a stale reference finds a task.
 *
 * (tests/model/task.pml is this, with a death at every step.)
 *
 * Layout of a record, in bytes            who writes
 *      0:  word                           as above
 *      8:  fn, more                       host, while FREE; more: an fmi_more_shm in the heap, or 0
 *     24:  arg_bytes, result_bytes, kind  host, while FREE
 *     32:  arg[96]                        host, while FREE
 *    128:  outcome, error, calling, attempts, next, result_sum, failures     who has the rank; constant once ENDED
 *    160:  result[96]                     who has the rank
 *    256:  end
 */

#include "job.h"

#include <string.h>

enum {
    FMI_TASK_FREE = 1,
    FMI_TASK_QUEUED = 2,
    FMI_TASK_TAKEN = 3,
    FMI_TASK_ENDED = 4,
    FMI_TASK_DROPPED = 5
};
enum { FMI_TASK_WANTED = 1, FMI_TASK_UNWANTED = 2 }; /* flags of the word */
enum {
    FMI_TASK_CALL = 1,          /* kind: an fm_task_fn */
    FMI_TASK_BATCH = 2,         /* an fm_item_fn, over the items of an fmi_more_shm */
    FMI_TASK_KIND = 3,          /* mask */
    FMI_TASK_IS_DESCRIBED = 4,  /* fn points to an fmi_function_shm */
    FMI_TASK_ARG_AS_IS = 8,     /* arg[] holds the pointer */
    FMI_TASK_ARG_ELSEWHERE = 16 /* arg lies in `more` */
};
enum { FMI_TASK_INLINE_BYTES = 96, FMI_TASK_HAND = 6, FMI_TASK_RING = 1 << 16 };

/* What does not fit a record, or is seldom asked for. In the heap; host, before the task is queued. */
struct fmi_more_shm {
    int64_t limit_ns;
    uint64_t seed;
    uint32_t retries;
    uint32_t n; /* items */
    char *arg;  /* FMI_TASK_CALL: the copy; FMI_TASK_BATCH: the third parameter */
    char *result;
    int64_t result_stride; /* [bytes], also how many are zeroed */
    char *items;           /* NULL: numbers */
    int64_t item_stride;
    int64_t first;         /* number of the first item */
    int64_t base;          /* items that are numbers: what is added to that */
    const fm_array *array; /* a mapped file, which a process may have to map first; NULL: none */
    uint8_t *states;       /* per item: an fm_item_state; workers */
    _Atomic uint64_t busy_ticks; /* what the batch took; workers */
};

struct fmi_task_shm {
    alignas(128) _Atomic uint64_t word;
    uint64_t fn;
    struct fmi_more_shm *more;
    uint16_t arg_bytes, result_bytes;
    uint32_t kind;
    char arg[FMI_TASK_INLINE_BYTES];
    _Atomic uint32_t outcome;  /* an fm_item_state */
    _Atomic int32_t error;     /* the task could not be run: FM_ENOFUNC ...; 0 */
    _Atomic uint32_t calling;  /* starts of the process that runs the function */
    _Atomic uint32_t attempts; /* failed ones of the item `next` */
    _Atomic uint32_t next;     /* first item that has not ended */
    uint32_t
        result_sum; /* of what the function left in `result`: what was written there since is not its result */
    struct fmi_task_failure_shm *_Atomic failures;
    char result[FMI_TASK_INLINE_BYTES];
};
static_assert(offsetof(struct fmi_task_shm, arg) == 32, "task: layout");
static_assert(offsetof(struct fmi_task_shm, outcome) == 128, "task: layout");
static_assert(offsetof(struct fmi_task_shm, result) == 160, "task: layout");
static_assert(sizeof(struct fmi_task_shm) == 256, "task: layout");

/* A record of what failed; newest first. Linked when it is whole. */
struct fmi_task_failure_shm {
    struct fmi_task_failure_shm *older;
    fm_failure failure;
};

/* One per rank: what its process is at. Written by that process; read by thieves and successors. */
struct fmi_hand_shm {
    alignas(64) struct fmi_task_shm *_Atomic running;
    _Atomic uint64_t begin_ticks;
    struct fmi_task_shm *_Atomic hand[FMI_TASK_HAND];
};
static_assert(sizeof(struct fmi_hand_shm) == 64, "task: layout");

/* Of a pool, made with its first task. Behind it: the hands, then the ring. */
struct fmi_tasks_shm {
    alignas(64) _Atomic uint64_t head; /* CAS: p2 */
    _Atomic uint32_t
        is_full; /* a submitter waits for head; cleared by who moves it, and wakes `done` */
    uint32_t pad;
    alignas(64) struct fmi_hand_shm hands[];
};
static_assert(offsetof(struct fmi_tasks_shm, hands) == 64, "task: layout");

/* Beside the park on which workers sleep: a worker that sees it move has these with it. */
#define FMI_POOL_TASKS(shm) (&(shm)->work.beside[4]) /* address of the fmi_tasks_shm; 0: none yet */
#define FMI_POOL_TAIL(shm)  (&(shm)->work.beside[5]) /* of the ring; host, under its lock */

static inline size_t fmi_tasks_bytes(int n_ranks)
{
    return sizeof(struct fmi_tasks_shm) + (size_t)n_ranks * sizeof(struct fmi_hand_shm) +
           FMI_TASK_RING * sizeof(uint64_t);
}

static inline struct fmi_task_shm *_Atomic *fmi_tasks_ring(struct fmi_tasks_shm *tasks, int n_ranks)
{
    return (struct fmi_task_shm * _Atomic *)(void *)&tasks->hands[n_ranks];
}

static inline unsigned fmi_task_state(uint64_t word)
{
    return (unsigned)(word & 255);
}

static inline unsigned fmi_task_flags(uint64_t word)
{
    return (unsigned)(word >> 8 & 255);
}

static inline int fmi_task_rank(uint64_t word)
{
    return (int)(word >> 16 & 0xffff);
}

static inline uint64_t fmi_task_word(int rank, unsigned flags, unsigned state)
{
    return (uint64_t)rank << 16 | (uint64_t)flags << 8 | state;
}

/* A sum of words with odd weights: one that was overwritten changes it, whatever it is now. */
static inline uint64_t fmi_task_sum(const char *bytes, size_t n_bytes)
{
    uint64_t sum = n_bytes, weight = FMI_NEXT_FACTOR;
    for (size_t i = 0; i < n_bytes; i += sizeof sum) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, n_bytes - i < sizeof word ? n_bytes - i : sizeof word);
        sum += word * weight;
        weight += 2 * FMI_NEXT_INVERSE;
    }
    return sum;
}

static inline uint32_t fmi_task_result_sum(const char *result, size_t n_bytes)
{
    uint64_t sum = fmi_task_sum(result, n_bytes);
    return (uint32_t)(sum ^ sum >> 32);
}

static inline int fmi_task_is_over(const struct fmi_task_shm *task)
{
    /* acquire: pairs with t3 */
    unsigned state = fmi_task_state(atomic_load_explicit(&task->word, memory_order_acquire));
    return state == FMI_TASK_ENDED || state == FMI_TASK_DROPPED;
}

/* Whether whoever asked for it has called it off; for fm_cancelled(). */
static inline int fmi_task_is_unwanted(const struct fmi_task_shm *task)
{
    return (fmi_task_flags(atomic_load_explicit(&task->word, memory_order_relaxed)) &
            FMI_TASK_UNWANTED) != 0; /* late is harmless */
}

/* ---- task.c: who runs tasks -------------------------------------------------------------------- */

struct fmi_recycle;
struct fmi_task_queue;

/* Who performs tasks: a worker, or a caller that works. Private. */
struct fmi_performer {
    const struct fmi_pool_view *view;
    int rank;
    uint32_t starts;               /* 0: a caller, which has no successor */
    struct fmi_worker_shm *worker; /* NULL: a caller */
    struct fmi_recycle *recycle;   /* NULL: it is not to be replaced */
    /* Of a caller, which believes this one's records and orders, not what stands in shared memory; NULL: a worker, or a task that nobody else knows. */
    const struct fmi_task_queue *queue;
};

/* The task that `rank` has taken and not ended, also if its process is dead; NULL. Nothing that is read is believed. */
struct fmi_task_shm *fmi_task_of(const struct fmi_pool_view *view, int rank);
/* Goes on where a dead process of this rank stopped, through the hand it left. */
void fmi_tasks_resume(const struct fmi_performer *p);
/* Picks tasks and runs them, up to a hand full; steals when there are none. Returns how many it ran. */
int fmi_tasks_perform(const struct fmi_performer *p);
/* Takes this one and runs it. 1; 0: it is not queued any more. */
int fmi_task_perform(const struct fmi_performer *p, struct fmi_task_shm *task);
/* Runs one that nobody else knows, inside a function. */
void fmi_task_run_here(struct fmi_task_shm *task);
/* Takes and runs one of the ring. 1; 0: there is none. By a caller, who has no hand. */
int fmi_tasks_help(const struct fmi_performer *p);
#endif
