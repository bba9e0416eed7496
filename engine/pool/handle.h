/* SPDX-License-Identifier: MIT */
#ifndef FMI_HANDLE_H
#define FMI_HANDLE_H

/*
 * struct fm_pool: the host's handle. Private memory of the process that opened the pool.
 *
 * Handles are never given back to malloc: a destroyed one is kept for the next open, so that a second destroy, or a
 * map on a dead handle, reads a dead mark and gets -EINVAL.
 *
 *   OPEN --close--> CLOSED --terminate--> TERMINATED      and from OPEN to TERMINATED at once
 */

#include "crew.h"
#include "job.h"
#include "module.h"

#include <pthread.h>
#include <stdalign.h>

#define FMI_HANDLE_LIVE   0x65766c6c6f6f70ull
#define FMI_HANDLE_ENDING 0x646e656c6f6f70ull /* a thread is destroying it */
#define FMI_HANDLE_EMPTY  0x7974706d656c70ull /* nobody is inside any more */
#define FMI_HANDLE_DEAD   0x646165646c6f70ull

enum { FMI_HANDLE_GATES = 8 };
enum { FMI_PHASE_OPEN = 1, FMI_PHASE_CLOSED = 2, FMI_PHASE_TERMINATED = 3 };

struct fmi_described { /* a function of a module opened after the pool; lives as long as the pool */
    struct fmi_described *next;
    struct fmi_function_shm *shm;
};

/*
 * What the host knows of a job slot, whatever the shared one says. The word is set after the shared one as the slot is taken, before it as the slot is freed: a slot
 * that others can take looks free in both.
 */
struct fmi_slot {
    alignas(64) _Atomic uint64_t word; /* FREE, FILLING, OPEN; as in the job */
    struct fmi_plan written;           /* its plan; of whoever has the slot */
};

struct fmi_kept_block {
    struct fmi_kept_block *next;
    void *block;
};

/*
 * Threads that are inside a call, counted where they entered: a thread always takes the same gate, so threads that make many short calls do
 * not wait for each other's cache line. Enter: count, then read mark and phase. Close: set the phase, then sum. Both are seq_cst, so one of the two
 * sees the other; and a sum of 0 is true, because whoever it missed came too late, and goes back.
 */
struct fmi_gate {
    alignas(64) _Atomic uint64_t n;
};

struct fm_pool {
    struct fmi_gate gates[FMI_HANDLE_GATES];
    _Atomic uint64_t mark;
    _Atomic int phase;
    struct fm_pool *next;     /* of all handles of the process */
    pthread_mutex_t lock;     /* for the words at the end */
    pthread_mutex_t resizing; /* one resize after the other */

    int first_cleared; /* what comes before outlives the pool, for late-comers; the rest starts as 0 */
    uint32_t owner;    /* pid of the process that opened it */
    uint64_t serial;       /* of the open, in this process */
    _Atomic int n_waiting; /* threads, for a job slot */
    _Atomic int n_workers; /* wanted; of view.n_ranks that there may be */
    int64_t start_timeout;
    int caller;    /* fm_caller */
    int has_crew;  /* not when the caller is the only worker */
    int method;    /* fm_start_method */
    int is_serial; /* FM_CALLER_ONLY */
    void *finalizer_arg;
    int is_nested;           /* opened by a function: its maps do not run inline there */
    int signals;             /* fm_signals */
    _Atomic int n_soft;      /* maps that end softly by signals; soft_stop.h */
    _Atomic int stop_signal; /* that has told them to; 0: none */
    struct fmi_crew crew;
    struct fmi_pool_view view;
    char *block; /* the shared parts, between their guards */
    int *cpus;
    struct fmi_orders_shm *orders;        /* NULL by fork */
    void *init_arg;                       /* a copy in the heap, or NULL */
    struct fmi_modules *modules;          /* NULL: not by fork */
    struct fmi_slot *slots;               /* by slot: what its job has */
    _Atomic uint64_t tickets;             /* maps submitted */
    _Atomic uint64_t last_done_ticks;     /* isolated: workers spin for a while after it */
    _Atomic int n_awaiting;               /* threads that may be asleep until a result is ready */
    struct fmi_task_queue *_Atomic queue; /* task_queue.h; NULL: there was no task yet */
    struct fmi_dispatcher *_Atomic dispatcher; /* dispatcher.h; NULL: there was no callback yet */
    _Atomic uint64_t end_ticks;                /* when it was terminated; 0: not yet */
    _Atomic int is_condemned;                  /* its control memory was overwritten */
    _Atomic uint64_t told_wanted;              /* what FMI_POOL_WANTED is to be */
    _Atomic uint64_t told_closing;             /* the same of FMI_POOL_CLOSING */
    _Atomic int64_t
        inspect_ns; /* after how long a wait all is inspected (inspect.c); 0: FMI_INSPECT_NS */
    _Atomic int64_t inspect_at_ns; /* when; 0: nobody waits for long */
    _Atomic uint32_t n_inspections;

    /* under the lock */
    int (*finalizer)(int rank, void *arg); /* of a serial pool, until it has run */
    struct fmi_described *described;
    struct fmi_kept_block *kept_blocks;
    const void *known_function; /* the last function asked for, under known_generation */
    const struct fmi_function_shm *known_described; /* NULL: valid as it is */
    uint64_t known_generation;
    int n_limited; /* maps and tasks that run and have a time limit */
    int64_t tick_ns;
    struct fm_result
        *async[FMI_POOL_JOBS]; /* by slot: whose map is under way, or done and not settled */
};

static inline int fmi_pool_phase(const fm_pool *pool)
{
    return atomic_load(&pool->phase);
}

/* Which gate this thread takes, of every pool. */
int fmi_pool_gate(void);

/* 0 if `pool` is a live handle of this process; -EINVAL, FM_EFORKED. */
int fmi_pool_check(const fm_pool *pool);

/* Around a map: keeps the pool from being freed. 0; FM_ECLOSED; as fmi_pool_check. */
int fmi_pool_enter(fm_pool *pool);
void fmi_pool_leave(fm_pool *pool);

/*
 * After the phase was set, and by each thread that leaves from then on. If nobody is inside: the workers of a closed pool may leave (who has
 * entered is yet to publish its job), the finalizer of one whose caller does all runs, and whoever destroys it is woken.
 */
void fmi_pool_wind_down(fm_pool *pool);

/* 1: nobody is inside, and nobody will touch the pool's shared parts any more. Once the mark says that it ends. */
int fmi_pool_vacate(fm_pool *pool);

/* The same for a pool in any phase, to ask about what it was given before. FM_EFORKED, -EINVAL: it is destroyed, or is another one since. */
int fmi_pool_hold(fm_pool *pool, uint64_t serial);

/* 1 inside a function, in a worker or in a caller that works, for a pool that was not opened there: maps run inline. */
int fmi_pool_is_inline(const fm_pool *pool);

/* The pool on which this thread maps now, innermost; NULL: none. */
const fm_pool *fmi_pool_mapping(void);
/* It maps on this one from now on; returns on which before. */
const fm_pool *fmi_pool_set_mapping(const fm_pool *pool);

/* Why maps on this pool cannot go on: 0, FM_ECORRUPT condemned, FM_ECANCELLED terminated, FM_EBROKEN. */
int fmi_pool_trouble(fm_pool *pool);

/* resize.c: it has n workers from now on, fewer than before. */
void fmi_pool_shrink(fm_pool *pool, int n);
/* ---- inspect.c: control memory, by who has waited for long */

enum { FMI_INSPECT_NS = 10000000, FMI_INSPECT_MOST_NS = 1000000000 };
/* Terminates the pool: what it has in shared memory is not to be trusted. Maps and calls in flight end with FM_ECORRUPT. */
void fmi_pool_condemn(fm_pool *pool);
/* Sleeps until something has ended on the pool, or the warden. As fmi_park_alive(); -ETIMEDOUT also after a while, when all was inspected. */
int fmi_pool_park(fm_pool *pool, uint32_t seen, int64_t spin_ns, int64_t deadline_ns);
/* Looks whether words that only the host writes are what it wrote, and wakes all who may have missed something. Condemns the pool if not. */
void fmi_pool_inspect(fm_pool *pool);
/* The same when it is time, in waits that others cut into short ones. */
void fmi_pool_inspect_if_due(fm_pool *pool);
/* 1: `plan` is what `written` is, as far as workers read it. */
int fmi_plan_is_same(const struct fmi_plan *plan, const struct fmi_plan *written);
/* Sets what the workers look for, and remembers it. */
void fmi_pool_tell_wanted(fm_pool *pool, uint64_t n);

/* Frees a heap block with the pool: something may still use it until then. NULL is ignored. */
void fmi_pool_keep_block(fm_pool *pool, void *block);

/* What a function is for the workers: `described`, or NULL if its address is valid there, too. 0; FM_ENOFUNC; -ENOMEM. */
int fmi_pool_function(fm_pool *pool, fmi_any_fn *function,
                      const struct fmi_function_shm **described);

/* Asks the warden to look at time limits while a map has one. */
void fmi_pool_limit_begin(fm_pool *pool, int64_t tick_ns);
void fmi_pool_limit_end(fm_pool *pool);

#endif
