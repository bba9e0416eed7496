/* SPDX-License-Identifier: MIT */
#ifndef FMI_CREW_H
#define FMI_CREW_H

/*
 * A crew: one warden and its workers.
 *
 *     host ──launch──> warden ──fork──> worker first .. n-1      (one per core, pinned)
 *
 * How the warden comes to be is the business of launch.h; its workers are always its forks.
 * The warden forks the workers, waits for them, notes how each ended, forks its replacement on the same core, and ends
 * with the host. It knows nothing of jobs: what a dead worker had is recovered by the process that takes its rank.
 *
 * A WORKER'S RANK                     who                 the process dies here
 *   vacant     no process             warden -> starting  the warden: all workers get SIGKILL from the kernel
 *   starting   `starts` was raised    worker -> ready     death record, replaced; too often in a row: crew broken
 *   ready      ready == starts        worker -> retiring  death record, replaced
 *                                     worker -> left      the same
 *   retiring   retiring == its number worker ends itself  death record (how: RETIRED if it ended in order); its standby goes on, if
 *                                                         there is none it is replaced
 *   left       left == starts         warden -> vacant    as intended; not replaced, but if the rank is wanted again
 *
 * A STANDBY is the next process of a rank, forked and initialized beside one that retires: the rank is without a process only while the old one
 * ends. The old one, (rank, s), is between two chunks and touches nothing of a job any more.
 *
 *   worker s                      warden                           standby s + 1          the process dies here
 *   retiring := s                                                                         s: death record, replaced
 *   signals the warden            forks the standby                                       s: the same
 *   waits for standby == s + 1                                     initializer            s: the standby goes on as it becomes ready
 *      or denied == s                                                                     s + 1: denied := s; the number is free again
 *                                                                  standby := s + 1       the same
 *   finalizer, ends                                                waits for its turn     the same
 *                                 starts, call, then death                              the warden: all get SIGKILL
 *                                                                  ready := s + 1, works  as any that is ready
 *
 * A standby that fails is a death like any at the start. The old one then leaves without, and is replaced as after a death: so an initializer that
 * always fails breaks the crew.
 *
 * A SPARE is a process without a rank, which the warden forks in a quiet moment after a death: what a start takes, the fork and the first touch of pages
 * above all, is behind it when the next worker dies. It waits for its order, (rank, starts), in an eventfd, which no stray write reaches.
 *
 *   warden                           spare                                     the process dies here
 *   forks it                         first steps, then waits                   it is buried, and there is another after the next death; 8 in a row:
 *                                                                              there is none any more
 *   a death: starts, death, order    has the rank, as if forked for it         death record, replaced, as any that starts
 *
 * COMMAND (host writes, the warden obeys): RUN, LEAVE (workers leave by themselves when the work is done: those that die before are
 * replaced), KILL (all get SIGKILL, the warden exits). It moves forward only. KILL is told by the bell, too, which no stray write reaches.
 *
 * HOW MANY: ranks below `wanted` have a worker. One above has none, but for a share in a job, or a call, that was begun before (has_share): its worker
 * leaves when it has none any more, and one that dies before is replaced. A crew grows on trial: from `wanted` raised and `trial` odd until the
 * host makes it even again, a worker of a rank from `firm` on that ends before it is ready is not replaced, and is reported to the host.
 *
 * FORKS THAT FAIL are tried again, in the order of ranks. `unforked` says which rank is waited for, until it is forked. While a crew opens, the host decides after half a second:
 * it does with the ranks below, if these are enough, or ends the crew. Later the warden decides, after five: the crew is broken.
 *
 * THE WARDEN'S LIFE: `life.word` holds its thread id from its first instruction on; the kernel marks it when it dies. The host waits on
 * it beside whatever it waits for. `state` says why a crew ended: RUNNING, OVER (as commanded), BROKEN.
 *
 * INVARIANTS
 *   (1) starts grows by one for each process that gets a rank; (rank, starts) names it for ever, a pid does not. (A standby that ends before its
 *       turn never had the rank.)
 *   (2) death.starts == s implies that the process (rank, s) is dead, reaped, and that death tells how.
 *   (3) a process (rank, s + 1) begins to work only after death.starts == s was published; but for a standby and a spare, it is forked only then.
 *   (4) a rank has a standby only beside a process that retires.
 *
 * Layout of fmi_worker_shm, in bytes          who writes
 *      0:  pid, starts                         the warden; pid also the worker, the same
 *      8:  death                               the warden, while no process has the rank
 *     40:  denied, standby_pid                 the warden
 *     64:  ready, left, init_code, stack_code  the worker (release); the codes also a standby
 *     84:  retiring                            the worker
 *     88:  call, limit_ns                      the worker, around each call that has a time limit; the warden, before a process has the rank
 *    104:  standby                             the standby
 *    108:  unwanted                            the host
 *    112:  unpinned                            the worker; also a standby
 *    128:  fault                               the worker's crash handler
 *    248:  note                                the worker, fm_note
 *    384:  end
 */

#include "crash.h"
#include "futex.h"
#include "keeper.h"
#include "launch.h"
#include "park.h"

#include <forkmap/pool.h>

enum { FMI_COMMAND_RUN = 1, FMI_COMMAND_LEAVE = 2, FMI_COMMAND_KILL = 3 };
#define FMI_BELL_KILL (UINT64_C(1) << 32) /* in the bell: KILL */
enum { FMI_CREW_RUNNING = 1, FMI_CREW_OVER = 2, FMI_CREW_BROKEN = 3 };
enum {
    FMI_DEATH_SIGNAL = 1,
    FMI_DEATH_EXIT = 2,
    FMI_DEATH_TIMEOUT = 3, /* killed by the warden because of the call in progress */
    FMI_DEATH_LATE =
        4, /* because of a call that was over when the signal came, or was called off: nobody's fault */
    FMI_DEATH_OOM = 5,
    FMI_DEATH_RETIRED = 6 /* it wanted to be replaced, and ended in order: nobody's fault */
};
enum { FMI_WORK_OVER = 1, FMI_WORK_RETIRES = 2 }; /* why a worker's work ended */

struct fmi_death_shm {
    _Atomic uint32_t starts; /* 0: none yet. Stored last (release): pairs with fmi_worker_death */
    uint32_t how;
    int32_t number; /* signal, or exit status */
    int32_t pid;
    int64_t end_ns;
    int64_t peak_bytes;
};

struct fmi_note_shm {
    _Atomic int64_t item; /* for which it was left; -1: none. Stored after the text */
    char text[96];
};

struct fmi_worker_shm {
    alignas(64) _Atomic uint32_t pid; /* 0: vacant */
    _Atomic uint32_t starts;
    struct fmi_death_shm death;
    _Atomic uint32_t denied;      /* starts of a process that gets no standby */
    _Atomic uint32_t standby_pid; /* 0: none */
    alignas(64) _Atomic uint32_t ready;
    _Atomic uint32_t left;
    _Atomic int32_t init_code;  /* of an initializer that failed */
    _Atomic int32_t stack_code; /* there is no memory for its stack */
    _Atomic uint32_t called;    /* it has come as far as a function */
    _Atomic uint32_t retiring;
    _Atomic uint64_t call; /* odd: a call with a limit is running; each call has its own number */
    _Atomic int64_t limit_ns;
    _Atomic uint32_t standby; /* starts of the one that is ready */
    _Atomic uint32_t
        unwanted; /* host: the start that is to be ended, as somebody called off what it does */
    _Atomic uint32_t unpinned; /* 1: it was told that a process of this rank could not be pinned */
    alignas(64) struct fmi_fault_shm fault;
    struct fmi_note_shm note;
};
static_assert(offsetof(struct fmi_worker_shm, death) == 8, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, denied) == 40, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, ready) == 64, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, retiring) == 84, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, call) == 88, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, standby) == 104, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, unpinned) == 112, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, fault) == 128, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, note) == 256, "worker: layout");
static_assert(sizeof(struct fmi_worker_shm) == 384, "worker: layout");

struct fmi_crew_shm {
    struct fmi_park_shm events;           /* the host parks here; warden and workers wake it */
    alignas(64) _Atomic uint32_t command; /* host */
    _Atomic int64_t tick_ns;              /* host: how often to look at time limits; 0: never */
    _Atomic uint32_t wanted;              /* host: ranks below have a worker */
    _Atomic uint32_t firm;                /* host: those that did not fail to start */
    _Atomic uint32_t trial;               /* host: odd while the crew grows */
    alignas(64) struct fmi_life_shm life; /* warden, kernel */
    _Atomic uint32_t state;               /* warden */
    _Atomic int32_t why;                  /* warden: the code that goes with BROKEN */
    _Atomic uint64_t deaths;              /* warden */
    _Atomic uint64_t recycled;            /* warden */
    _Atomic uint32_t failed_trial;        /* warden: stored after the next two */
    _Atomic uint32_t failed_rank;         /* warden */
    _Atomic int32_t failed_code;          /* warden */
    _Atomic uint32_t unforked;            /* warden: 0, or (rank + 1) << 16 | errno of the fork */
    alignas(64) struct fmi_trace_place_shm places[FMI_TRACE_MODULES]; /* crash handlers */
    struct fmi_worker_shm workers[];
};
static_assert(offsetof(struct fmi_crew_shm, command) == 64, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, wanted) == 80, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, life) == 128, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, unforked) == 188, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, places) == 192, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, workers) == 8384, "crew: layout");

/*
 * What a crew is to do. Lives in the host; warden and workers have it as it was at the fork. A warden that is no fork makes its own in
 * `elsewhere`, from `orders` in the heap, and runs fmi_warden_run().
 */
struct fmi_crew_plan {
    struct fmi_crew_shm *shm;
    int method; /* fm_start_method */
    fmi_entry *elsewhere;
    void *orders;
    int first, n;    /* ranks first .. n-1 can be processes */
    int n_wanted;    /* those below are, from the open on */
    int n_least;     /* so many would do at the open */
    const int *cpus; /* by rank; -1: not pinned */
    size_t stack_bytes;
    size_t memory_limit; /* of a worker [bytes]; 0: none */
    int inner_threads;   /* 0: leave */
    int ignores_term;    /* its workers do: what asks the host to end may go to all of its group */
    struct fmi_person host; /* who has opened it */
    int host_pidfd;         /* the warden sets it */
    int (*initializer)(int rank, void *arg);
    int (*finalizer)(int rank, void *arg);
    void *init_arg;
    int (*work)(int rank, uint32_t starts, void *arg); /* in the worker, until FMI_WORK_... */
    void (*on_death)(int rank, void *arg); /* in the warden, after each: wakes whoever sleeps */
    /* In the warden: whether the rank has work to end, though it is not wanted. NULL: never. */
    int (*has_share)(int rank, void *arg);
    void *arg;
};

/* The host's handle of a running crew. */
struct fmi_crew {
    struct fmi_crew_plan plan;
    struct fmi_child warden;
    int bell;            /* eventfd: the warden looks at command and tick_ns */
    uint32_t life_value; /* of a living warden */
    /* What the shared words of these names are to be: workers can overwrite them. */
    _Atomic uint32_t command, wanted, firm;
    _Atomic int64_t tick_ns;
};

size_t fmi_crew_bytes(int n); /* of struct fmi_crew_shm for n ranks */

/*
 * Starts the warden and its workers, and waits until all are ready. plan.shm points to zeroed shared memory. 0; FM_EINIT; -EAGAIN; -ETIMEDOUT;
 * -EMFILE ... (detail). After an error nothing is left. If not all could be forked, but enough, crew->plan.n_wanted is how many there are: the
 * caller is to call fmi_crew_shrink().
 */
int fmi_crew_open(struct fmi_crew *crew, const struct fmi_crew_plan *plan, int64_t timeout);

/* Moves the command forward and rings. */
void fmi_crew_command(struct fmi_crew *crew, uint32_t command);

/*
 * Raises the number of wanted ranks to n and waits until their workers are ready. 0; FM_EINIT; -EAGAIN ... a fork failed; -ETIMEDOUT; FM_ECANCELLED;
 * FM_EBROKEN (detail). After an error the number is as it was. By one thread at a time, as the next.
 */
int fmi_crew_grow(struct fmi_crew *crew, int n, int64_t timeout);
/* Lowers it to n, and does not wait. The caller wakes the workers, which are to see it. */
void fmi_crew_shrink(struct fmi_crew *crew, int n);

/* Rings, for a rank that has got a share and perhaps no worker. */
void fmi_crew_ring(struct fmi_crew *crew);

/* Sets how often limits are looked at, and rings. */
void fmi_crew_set_tick(struct fmi_crew *crew, int64_t tick_ns);

/* Has the process killed that has this rank by that start, if it has it still; it is replaced. What it was doing is done again, if it is still wanted. */
void fmi_crew_end_worker(struct fmi_crew *crew, int rank, uint32_t starts);

/* 1 while the warden lives. */
int fmi_crew_is_alive(const struct fmi_crew *crew);

/* FM_ECORRUPT: words that the host, the warden or the kernel writes say what none of them does, since a worker has overwritten them. Else 0. */
int fmi_crew_check(const struct fmi_crew *crew);
/* The same for those that say whether the crew goes on, at every look. */
int fmi_crew_check_state(const struct fmi_crew *crew);

/* Waits for the warden's end and reaps it: 0, -ETIMEDOUT. */
int fmi_crew_join(struct fmi_crew *crew, int64_t timeout);

/* For a warden that does not obey: it is stopped, say. Its workers die with it. */
void fmi_crew_kill(struct fmi_crew *crew);

/* Waits until no process of a crew that was told to end, or whose warden died, can write to memory any more. */
void fmi_crew_await_end(struct fmi_crew *crew, int64_t timeout);

/* After the join: closes what the handle holds. */
void fmi_crew_close(struct fmi_crew *crew);

/* warden.c: the warden's life. fds as launched: the host, the bell. Never returns. */
_Noreturn void fmi_warden_run(struct fmi_crew_plan *plan, const int *fds);

/* worker.c: a worker's life, in the forked child. Never returns. */
_Noreturn void fmi_worker_run(const struct fmi_crew_plan *plan, int rank, uint32_t starts,
                              int warden_pid, int is_standby);

/* The same of a spare, which waits at `cpu` (-1: anywhere) for its order, never 0, in the eventfd `orders`. */
_Noreturn void fmi_spare_run(const struct fmi_crew_plan *plan, int cpu, int orders, int warden_pid);

static inline uint64_t fmi_order_of(int rank, uint32_t starts)
{
    return (uint64_t)starts << 16 | (uint64_t)(rank + 1);
}

static inline int fmi_order_rank(uint64_t order)
{
    return (int)(order & 0xffff) - 1;
}

static inline uint32_t fmi_order_starts(uint64_t order)
{
    return (uint32_t)(order >> 16);
}

/* In a worker: its own record, and its rank. NULL and -1 outside. */
struct fmi_worker_shm *fmi_worker_self(void);
int fmi_worker_rank(void);

/* The death record of (rank, starts - 1), for the process that replaces it; NULL if there is none. */
const struct fmi_death_shm *fmi_worker_death(const struct fmi_worker_shm *worker, uint32_t starts);

/* Marks a call with a time limit; fmi_call_end() when it is over. */
void fmi_call_begin(struct fmi_worker_shm *worker, int64_t limit_ns);
void fmi_call_end(struct fmi_worker_shm *worker);

#endif
