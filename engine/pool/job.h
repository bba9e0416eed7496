/* SPDX-License-Identifier: MIT */
#ifndef FMI_JOB_H
#define FMI_JOB_H

/*
 * What a pool shares: job slots, and for each job and rank a range line (range.h) and a progress record.
 *
 * A JOB SLOT                                                         the process that changes it dies here
 *   FREE     -> FILLING   a host thread takes it, CAS                 the host: everything ends with it
 *   FILLING  -> OPEN      plan and lines are written                  the host
 *   OPEN     -> DONE      whoever finds all items finished, CAS;      before: its successor, or the host, scans again
 *                         workers look only if is_awaited is set
 *                                                                     after, before the wake: the warden wakes everyone
 *   DONE     -> FREE      the host thread has what it wants           the host
 *   OPEN     -> FREE      the same, when the caller works and finds all finished itself
 *   The word holds {ticket:56, state:8}. Tickets count submissions of the pool, from 1; workers serve the lowest first.
 *
 * A WORKER AND A JOB: before it touches the other words of (job, rank) it stores the ticket into their `inside`, then reads the job's
 * word again, and leaves if that is not {ticket, OPEN}. The host gives a slot to another job only when every `inside` of it
 * is 0. So a process that was stopped for a minute cannot write into a job that came later. (tests/model/reuse.pml)
 *   inside == 0           nothing of this job belongs to the process of that rank alone
 *   inside == ticket      the words may tell of a chunk or a steal; a successor looks for such a job and resumes it first
 *
 * LEAVING is for good: a rank that found nothing to claim or steal stores the ticket into `left` of its line, then inside := 0, then the
 * ticket into its tally. Whoever has that rank, the dead one's successor too, does not enter that job again. So a caller that works, when
 * all tallies name its job, and their counts and its own make up all grains, knows that all is finished (await_leaving). With re-entry it would not: rank 1
 * leaves and dies, its successor steals, rank 2 leaves. (tests/model/range.pml -DCALLER -DREENTER)
 *
 * WHO TAKES PART: ranks 0 .. n_ranks-1 of the plan, which are those wanted when the map began. Others look in, and leave at once: their lines are
 * not part of the job, and nobody waits for them. A rank that is not wanted any more is left to itself until it has left all such jobs.
 *
 * RETIRING is not leaving: a worker that is to be replaced stops between two chunks and leaves R, F, S, `inside` and `left` as they are. To the process
 * that takes its rank that looks like a death between two chunks: it resumes the job, finds nothing in flight, and claims on.
 *
 * INVARIANTS
 *   (1) plan and lines of a job do not change while it is OPEN, but for ranges, progress, stop, error, median_ns, n_failed.
 *   (2) progress (j, rank) belongs to the job with that ticket only; the owner resets it when it first enters.
 *   (3) While F of (j, rank) is claimed: `next` is its first unfinished item if it lies inside the chunk, else none is
 *       finished. (An end of an earlier chunk cannot lie inside a later one: the item before it is finished.)
 *   (4) undo_of == first item of the chunk in flight implies that the undo buffer holds those rows as they were.
 *
 * A caller that works sets is_awaited before its last scan and its sleep; a worker reads it after its last c3 (range.h), with a fence in
 * between on both sides: so one of the two sees that all is finished.
 *
 * Who writes: plan: the host thread. stop: anyone, downwards only. error: anyone, once, 0 -> code. ranges: range.h.
 * progress: the process that has the rank.
 */

#include "crew.h"
#include "module.h"
#include "park.h"
#include "range.h"

#include <forkmap/map.h>

#define FMI_POOL_JOBS   64 /* one bit each in `used` */
#define FMI_POOL_MAGIC  0x6c6f6f70706d6601ull
#define FMI_POOL_LAYOUT 5u

enum { FMI_JOB_FREE = 1, FMI_JOB_FILLING = 2, FMI_JOB_OPEN = 3, FMI_JOB_DONE = 4 };
enum { FMI_FN_ITEM = 1, FMI_FN_STAR = 2, FMI_FN_CHUNK = 3, FMI_FN_TASK = 4 };
enum { FMI_PLAN_GUARDS = 0x8000 }; /* in plan.flags, beside those of fm_map_opts: FM_GUARD_INPUTS */
enum { FMI_WANT_AUTO = 0, FMI_WANT_ALL = UINT32_MAX }; /* plan.want; else a number of grains */
enum { FMI_SPIN_NS = 50000 }; /* an idle worker spins as long as a wake would cost, then sleeps */
enum { FMI_MAPPED_JOURNAL = 1 << (FM_MAX_COLUMNS + 1) }; /* in plan.mapped */
enum { FMI_ARG_BYTES = 192 }; /* arguments up to this lie in the job itself */

typedef void fmi_any_fn(void); /* cast to what `kind` says before the call */

struct fmi_column { /* one input or the output; data NULL: none */
    char *data;
    int64_t stride; /* [bytes]; 0: broadcast */
    const fm_array *array;
};

/* What is to be done. Constant while the job is open. A worker of a map over one column reads three lines of it. */
struct fmi_plan {
    fmi_any_fn *fn; /* NULL: `described` says which */
    const struct fmi_function_shm *described;
    void *arg;
    int64_t n_items;
    int64_t begin; /* number of item 0, for ranges */
    int64_t grain; /* items */
    uint16_t kind, n_in;
    uint8_t schedule, on_error;
    uint16_t n_ranks; /* that take part: 0 .. n_ranks-1 */

    uint32_t n_grains;
    uint32_t want;     /* grains a claim */
    int32_t host_cpu;  /* where the host thread ran */
    uint32_t unpacked; /* bit k: rows of in[k] have gaps; bit FM_MAX_COLUMNS: those of out */
    uint32_t
        mapped; /* the same bits, and FMI_MAPPED_JOURNAL: a file, which a process may have to map first */
    uint16_t retries, flags;
    int64_t max_call; /* items in one call of a chunk function; 0: any number */
    int64_t limit_ns;
    uint64_t item_bytes; /* rows of an item, in and out; for the counters */
    double factor;
    int64_t max_failures;
    int64_t undo_bytes;

    struct fmi_column out;
    struct fmi_column in[FM_MAX_COLUMNS];

    uint8_t *status; /* per item, or NULL */
    int64_t status_stride;
    char *undo;              /* FM_IN_PLACE: undo_bytes for each rank */
    uint64_t seed;           /* of fm_rng() */
    const fm_array *journal; /* journal.h; read if `mapped` says so */
};

struct fmi_job_shm {
    alignas(64) _Atomic uint64_t word;
    struct fmi_plan plan;
    alignas(64) _Atomic int64_t
        stop; /* items from here on are not wanted any more; INT64_MAX: all are */
    _Atomic int64_t n_failed;
    _Atomic int64_t median_ns;   /* of an item, for timeout_factor; 0: not known yet */
    _Atomic int32_t error;       /* the map cannot go on: FM_ENOFUNC, FM_ESTALE, FM_ECORRUPT */
    _Atomic uint32_t moves;      /* range.h; runs on from job to job */
    _Atomic uint32_t is_awaited; /* host: it sleeps, or is about to, until the job is DONE */
    uint32_t pad;
    alignas(64) char arg[FMI_ARG_BYTES];
};
static_assert(offsetof(struct fmi_job_shm, plan) == 8, "job: layout");
static_assert(offsetof(struct fmi_plan, n_grains) == 56, "plan: layout");
static_assert(offsetof(struct fmi_plan, out) == 128, "plan: layout");
static_assert(offsetof(struct fmi_job_shm, stop) % 64 == 0, "job: layout");

/*
 * How far the chunk in flight is.
 *
 *      0:  ticket                        the job that this speaks of
 *      8:  next                          first item not finished, times FMI_NEXT_FACTOR
 *     16:  piece                         chunk functions: items tried at a time after a failure; 0: all that is left
 *     24:  attempts                      { count:16, item:24, starts of the process whose death is counted:24 }
 *     32:  calling                       starts of the process that runs functions of this chunk
 *     40:  undo_of, begin_ticks
 *     64:  n_done, n_lost, records       read by the host when the job is done
 *     88:  n_items, n_chunks, n_bytes    counters for people: they run on from job to job, so nothing resets them
 *    128:  end
 *
 * The counters are here, not in the tally, since a slot's line has one writer at any time: that of rank 0 is the thread whose map has the
 * slot. So a load and a store count, without an atomic addition, on a line that is written anyway. Who dies between them and the end
 * of F has its chunk counted twice, by its successor too.
 */
struct fmi_progress_shm {
    alignas(64) _Atomic uint64_t ticket;
    _Atomic uint64_t next;
    _Atomic int64_t piece;
    _Atomic uint64_t attempts;
    _Atomic uint32_t calling;
    uint32_t pad;
    _Atomic int64_t undo_of; /* -1: nothing is saved */
    _Atomic uint64_t begin_ticks;
    alignas(64) _Atomic int64_t n_done;
    _Atomic int64_t n_lost; /* records for which there was no memory */
    struct fmi_record_block_shm *_Atomic records;
    _Atomic uint64_t n_items;
    _Atomic uint64_t n_chunks;
    _Atomic uint64_t n_bytes;
};
static_assert(offsetof(struct fmi_progress_shm, n_done) == 64, "progress: layout");

/*
 * `next` is what a successor passes items over by, and it is no word that it could check. So items are multiplied, which costs the loop over them nothing: a word
 * of which any bytes were overwritten is an item far away, is taken for none, and the chunk runs from its begin.
 */
#define FMI_NEXT_FACTOR  UINT64_C(0x9e3779b97f4a7c15)
#define FMI_NEXT_INVERSE UINT64_C(0xf1de83e19937733d)
static_assert(FMI_NEXT_FACTOR * FMI_NEXT_INVERSE == 1, "progress: next");

static inline uint64_t fmi_next_word(int64_t item)
{
    return (uint64_t)item * FMI_NEXT_FACTOR;
}

static inline int64_t fmi_next_item(uint64_t word)
{
    return (int64_t)(word * FMI_NEXT_INVERSE);
}

static_assert(offsetof(struct fmi_progress_shm, n_items) == 88, "progress: layout");
static_assert(sizeof(struct fmi_progress_shm) == 128, "progress: layout");

/*
 * One per rank: the job that its process left last, and counters for people, since the open.
 *
 *   idle     even: { total:63, 0 }             the rank works, or has no process that began
 *            odd:  { total - since:63, 1 }     it waits for work since then. So one load tells the whole, whenever it is made, and a
 *                                              process that dies here leaves a rank that waits until its successor begins
 *
 * Layout, in bytes                         who writes                      the process dies here
 *      0:  left                            the rank's process              visit (serve.c)
 *      8:  begin_ticks                     the rank's first process, once  0 stays: its successor is the first
 *     16:  end_ticks                       the rank's process, as it       0 stays, or its successor stores 0
 *                                          leaves in order
 *     24:  rest                            the rank's process              alone.h
 *     32:  n_finished                      the rank's process, before left the caller scans, since left is not stored
 *     64:  n_steals, n_reruns, undone_bytes  the rank's process; for rank 0 any host thread, so by atomic addition
 *     88:  idle                            the rank's process              as above
 *     96:  n_task_items, n_tasks, n_task_bytes   as n_steals
 *    128:  end
 *
 * Times are ticks. The second line is apart because a caller that spins watches the first.
 */
struct fmi_tally_shm {
    alignas(64) _Atomic uint64_t left; /* ticket of the job that it left last */
    _Atomic uint64_t begin_ticks;
    _Atomic uint64_t end_ticks;
    _Atomic uint64_t rest;       /* alone.h: 1: the task that it has taken waits */
    _Atomic uint64_t n_finished; /* grains, of that job */
    alignas(64) _Atomic uint64_t n_steals;
    _Atomic uint64_t n_reruns;
    _Atomic uint64_t undone_bytes;
    _Atomic uint64_t idle;
    _Atomic uint64_t n_task_items; /* of tasks (task.h), which have no progress record */
    _Atomic uint64_t n_tasks;
    _Atomic uint64_t n_task_bytes;
};
static_assert(offsetof(struct fmi_tally_shm, rest) == 24, "tally: layout");
static_assert(offsetof(struct fmi_tally_shm, n_steals) == 64, "tally: layout");
static_assert(offsetof(struct fmi_tally_shm, idle) == 88, "tally: layout");
static_assert(sizeof(struct fmi_tally_shm) == 128, "tally: layout");

/* Several host threads may be rank 0, so it takes an atomic addition. relaxed: nothing depends on it. */
static inline void fmi_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* The same for a word that has one writer. */
static inline void fmi_count_own(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

struct fmi_pool_shm {
    uint64_t magic;
    uint32_t layout;
    uint32_t n_ranks;
    struct fmi_park_shm work; /* workers park here; the host wakes. Beside it: the words below */
    struct fmi_park_shm done; /* host threads park here; workers and the warden wake */
    struct fmi_job_shm jobs[FMI_POOL_JOBS];
};
#define FMI_POOL_USED(shm)                                                                         \
    (&(shm)->work.beside[0]) /* slots that ever had a job; bits are only set */
#define FMI_POOL_CLOSING(shm) (&(shm)->work.beside[1])
#define FMI_POOL_LATEST(shm)                                                                       \
    (&(shm)->work.beside[2]) /* slot published last: a hint, for prefetching */
#define FMI_POOL_WANTED(shm)                                                                       \
    (&(shm)->work.beside[3]) /* host: workers of higher ranks leave when they have no share */

/* The shared parts of a pool, as every process of it has them; inherited by fork. */
struct fmi_pool_view {
    struct fmi_pool_shm *shm;
    struct fmi_tally_shm *tallies;     /* n_ranks */
    struct fmi_range_shm *ranges;      /* FMI_POOL_JOBS x n_ranks */
    struct fmi_progress_shm *progress; /* FMI_POOL_JOBS x n_ranks */
    struct fmi_crew_shm *crew;
    const int *cpus; /* by rank */
    int n_ranks;
    int is_isolated;   /* no rank is the caller's */
    int64_t max_tasks; /* of one worker process (recycle.h); 0: no limit */
    size_t max_bytes;  /* the same */
};

/* job.c: sets where the parts lie in a pool's block. Returns the bytes of it. */
size_t fmi_pool_lay_out(struct fmi_pool_view *view, char *block, int n_ranks);
/* job.c: in the warden, after a death: whoever sleeps looks again (park.h). `view` is the warden's. */
void fmi_pool_wake_all(int rank, void *view);

static inline uint64_t fmi_job_word(uint64_t ticket, unsigned state)
{
    return ticket << 8 | state;
}

static inline uint64_t fmi_job_ticket(uint64_t word)
{
    return word >> 8;
}

static inline unsigned fmi_job_state(uint64_t word)
{
    return (unsigned)(word & 255);
}

/* The number of ranks may have been overwritten. */
static inline struct fmi_ranges fmi_job_ranges(const struct fmi_pool_view *view, int slot,
                                               uint64_t ticket, const struct fmi_plan *plan)
{
    int n = (int)plan->n_ranks;
    return (struct fmi_ranges){
        .lines = view->ranges + (size_t)slot * (size_t)view->n_ranks,
        .moves = &view->shm->jobs[slot].moves,
        .n = n > 0 && n <= view->n_ranks ? n : view->n_ranks,
        .n_grains = plan->n_grains,
        .epoch = (uint32_t)(ticket % FMI_RANGE_MAX_EPOCH) + 1,
    };
}

/*
 * job.c: 1 if `rank` has a share in an open job that it has not left, or a task that it has taken. Asked for ranks that are not wanted, by their workers and by the warden.
 * A map that is published as the pool shrinks: either the publisher sees that, and rings for the warden (fmi_mapping_publish), or whoever sees it
 * finds the job here.
 */
int fmi_pool_has_share(int rank, void *view);

/* OPEN -> DONE, and the wake of the host. By whoever found that all is finished. */
void fmi_job_finish(const struct fmi_pool_view *view, int slot, uint64_t ticket);

/* Lowers `stop` to `item`: items from there on are not run any more. */
void fmi_job_stop_at(struct fmi_job_shm *job, int64_t item);

/* Notes why the map cannot go on, and stops it. */
void fmi_job_fail(struct fmi_job_shm *job, int code);

/* serve.c: a worker's work: serves jobs until the pool is closing, or the worker is to be replaced. FMI_WORK_... */
int fmi_pool_serve(int rank, uint32_t starts, void *arg);

#endif
