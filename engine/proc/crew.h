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
 *   ready      ready == starts        worker -> left      death record, replaced
 *   left       left == starts         -                   as intended; not replaced
 *
 * COMMAND (host writes, the warden obeys): RUN, LEAVE (workers leave by themselves when the work is done: those that die before are
 * replaced), KILL (all get SIGKILL, the warden exits). It moves forward only.
 *
 * THE WARDEN'S LIFE: `life.word` holds its thread id from its first instruction on; the kernel marks it when it dies. The host waits on
 * it beside whatever it waits for. `state` says why a crew ended: RUNNING, OVER (as commanded), BROKEN.
 *
 * INVARIANTS
 *   (1) starts grows by one for each process of a rank; (rank, starts) names a process for ever, a pid does not.
 *   (2) death.starts == s implies that the process (rank, s) is dead, reaped, and that death tells how.
 *   (3) a process (rank, s + 1) is forked only after death.starts == s was published.
 *
 * Layout of fmi_worker_shm, in bytes          who writes
 *      0:  pid, starts                         the warden; pid also the worker, the same
 *      8:  death                               the warden, while no process has the rank
 *     64:  ready, left, init_code, stack_code  the worker (release); unwanted: the host
 *     88:  call, limit_ns                      the worker, around each call that has a time limit
 *    128:  fault                               the worker's crash handler
 *    152:  note                                the worker, fm_note
 *    256:  end
 */

#include "crash.h"
#include "futex.h"
#include "keeper.h"
#include "launch.h"
#include "park.h"

#include <forkmap/pool.h>

enum { FMI_COMMAND_RUN = 1, FMI_COMMAND_LEAVE = 2, FMI_COMMAND_KILL = 3 };
enum { FMI_CREW_RUNNING = 1, FMI_CREW_OVER = 2, FMI_CREW_BROKEN = 3 };
enum {
    FMI_DEATH_SIGNAL = 1,
    FMI_DEATH_EXIT = 2,
    FMI_DEATH_TIMEOUT = 3, /* killed by the warden because of the call in progress */
    FMI_DEATH_LATE =
        4, /* because of a call that was over when the signal came, or was called off: nobody's fault */
    FMI_DEATH_OOM = 5
};

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
    alignas(64) _Atomic uint32_t ready;
    _Atomic uint32_t left;
    _Atomic int32_t init_code;  /* of an initializer that failed */
    _Atomic int32_t stack_code; /* there is no memory for its stack */
    _Atomic uint32_t called;    /* it has come as far as a function */
    _Atomic uint32_t
        unwanted; /* host: the start that is to be ended, as somebody called off what it does */
    _Atomic uint64_t call; /* odd: a call with a limit is running; each call has its own number */
    _Atomic int64_t limit_ns;
    alignas(64) struct fmi_fault_shm fault;
    struct fmi_note_shm note;
};
static_assert(offsetof(struct fmi_worker_shm, death) == 8, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, ready) == 64, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, call) == 88, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, fault) == 128, "worker: layout");
static_assert(offsetof(struct fmi_worker_shm, note) == 152, "worker: layout");
static_assert(sizeof(struct fmi_worker_shm) == 256, "worker: layout");

struct fmi_crew_shm {
    struct fmi_park_shm events;           /* the host parks here; warden and workers wake it */
    alignas(64) _Atomic uint32_t command; /* host */
    _Atomic int64_t tick_ns;              /* host: how often to look at time limits; 0: never */
    alignas(64) struct fmi_life_shm life; /* warden, kernel */
    _Atomic uint32_t state;               /* warden */
    _Atomic int32_t why;                  /* warden: the code that goes with BROKEN */
    _Atomic uint64_t deaths;              /* warden */
    alignas(64) struct fmi_worker_shm workers[];
};
static_assert(offsetof(struct fmi_crew_shm, command) == 64, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, life) == 128, "crew: layout");
static_assert(offsetof(struct fmi_crew_shm, workers) == 192, "crew: layout");

/*
 * What a crew is to do. Lives in the host; warden and workers have it as it was at the fork. A warden that is no fork makes its own in
 * `elsewhere`, from `orders` in the heap, and runs fmi_warden_run().
 */
struct fmi_crew_plan {
    struct fmi_crew_shm *shm;
    int method; /* fm_start_method */
    fmi_entry *elsewhere;
    void *orders;
    int first, n;    /* ranks first .. n-1 are processes */
    const int *cpus; /* by rank; -1: not pinned */
    size_t stack_bytes;
    int inner_threads;      /* 0: leave */
    struct fmi_person host; /* who has opened it */
    int host_pidfd;         /* the warden sets it */
    int (*initializer)(int rank, void *arg);
    int (*finalizer)(int rank, void *arg);
    void *init_arg;
    void (*work)(int rank, uint32_t starts, void *arg); /* in the worker, until it is to leave */
    void (*on_death)(int rank, void *arg); /* in the warden, after each: wakes whoever sleeps */
    void *arg;
};

/* The host's handle of a running crew. */
struct fmi_crew {
    struct fmi_crew_plan plan;
    struct fmi_child warden;
    int bell;            /* eventfd: the warden looks at command and tick_ns */
    uint32_t life_value; /* of a living warden */
};

size_t fmi_crew_bytes(int n); /* of struct fmi_crew_shm for n ranks */

/*
 * Starts the warden and its workers, and waits until all are ready. plan.shm points to zeroed shared memory. 0; FM_EINIT; -EAGAIN; -ETIMEDOUT;
 * -EMFILE ... (detail). After an error nothing is left.
 */
int fmi_crew_open(struct fmi_crew *crew, const struct fmi_crew_plan *plan, int64_t timeout);

/* Moves the command forward and rings. */
void fmi_crew_command(struct fmi_crew *crew, uint32_t command);

/* Sets how often limits are looked at, and rings. */
void fmi_crew_set_tick(struct fmi_crew *crew, int64_t tick_ns);

/* Has the process killed that has this rank by that start, if it has it still; it is replaced. What it was doing is done again, if it is still wanted. */
void fmi_crew_end_worker(struct fmi_crew *crew, int rank, uint32_t starts);

/* 1 while the warden lives. */
int fmi_crew_is_alive(const struct fmi_crew *crew);

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
                              int warden_pid);

/* In a worker: its own record, and its rank. NULL and -1 outside. */
struct fmi_worker_shm *fmi_worker_self(void);
int fmi_worker_rank(void);

/* The death record of (rank, starts - 1), for the process that replaces it; NULL if there is none. */
const struct fmi_death_shm *fmi_worker_death(const struct fmi_worker_shm *worker, uint32_t starts);

/* Marks a call with a time limit; fmi_call_end() when it is over. */
void fmi_call_begin(struct fmi_worker_shm *worker, int64_t limit_ns);
void fmi_call_end(struct fmi_worker_shm *worker);

#endif
