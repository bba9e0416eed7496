/* SPDX-License-Identifier: MIT */
#ifndef FMI_LAUNCH_H
#define FMI_LAUNCH_H

/*
 * Launching: a new process of this family that runs one entry function of the library, by one of three methods.
 *
 *     FM_FORK         host ──fork──> child                              launch.c
 *     FM_FORKSERVER   host ──asks──> server ──fork──> child             forkserver.c
 *     FM_SPAWN        host ──posix_spawn──> the program, in fm_init()   spawn.c
 *
 * By fork the entry gets its argument as it is. The other two have neither the host's memory nor its addresses: the argument points into the
 * heap, and a launch record there says what to run. By all three the record is where the child says why it cannot begin.
 *
 * A LAUNCH RECORD, `state`       who changes it                  who dies here
 *   OFFERED                      host, before it asks            host: the child sees its pidfd, and exits
 *   OFFERED -> CONFIRMED         host: it has the child's pidfd  host: the same
 *   OFFERED -> REVOKED           host: it has not, and will not  -
 *   The child waits while it is OFFERED, and touches nothing else of the host's before it is CONFIRMED. So of two children for one launch, the second
 *   of a new server because the first one's server died before it answered, one finds a record that is revoked. (tests/model/launch.pml)
 *   refused: `detail`, `error`   child, then it exits            child: the host sees its pidfd, and `error` is 0
 *   freed                        host, when the child has begun, which it says in its own way, or has ended. A revoked record is never freed:
 *                                somebody may yet read it
 *
 * Descriptors are handed over in order; the first is always a pidfd of the host, by which the child learns of its end.
 */

#include "futex.h"
#include "module.h"
#include "park.h"

#include <assert.h>
#include <forkmap/process.h>
#include <stdatomic.h>

enum { FMI_LAUNCH_FDS = 3, FMI_LAUNCH_HOST = 0 }; /* fds[FMI_LAUNCH_HOST]: the host's pidfd */

/* Runs in the child and never returns. All signals are blocked. */
typedef void fmi_entry(void *arg, const int *fds);

struct fmi_launch {
    int method; /* fm_start_method */
    fmi_entry *entry;
    void *arg;
    int fd;            /* -1: none; else fds[1] of the child */
    int inner_threads; /* > 0: what a spawned program finds in OMP_NUM_THREADS and the like */
    int64_t deadline_ns;
};

#define FMI_LAUNCH_MAGIC  0x68636e75616c01ull
#define FMI_LAUNCH_LAYOUT 1u

struct fmi_launch_shm {
    uint64_t magic;
    uint32_t layout;
    uint32_t n_fds;
    uint64_t arg;
    _Atomic uint32_t state; /* FMI_LAUNCH_..., a futex */
    _Atomic int32_t error;  /* the child: why it cannot begin */
    char detail[248];       /* the child, before it */
    struct fmi_function_shm entry;
};
enum { FMI_LAUNCH_OFFERED = 1, FMI_LAUNCH_CONFIRMED = 2, FMI_LAUNCH_REVOKED = 3 };
static_assert(offsetof(struct fmi_launch_shm, state) == 24, "launch: layout");
static_assert(offsetof(struct fmi_launch_shm, error) == 28, "launch: layout");
static_assert(offsetof(struct fmi_launch_shm, entry) == 280, "launch: layout");

/* A process that was launched, in the host. */
struct fmi_child {
    int pid;
    int pidfd;
    struct fmi_launch_shm *record; /* NULL: it has begun, or has ended */
};

/*
 * Starts the process. 0; FM_ENOINIT, FM_EUNSAFE, FM_EBROKEN the server died; -EAGAIN, -ENOMEM, -EMFILE, -ETIMEDOUT ... (detail). After an error
 * nothing is left.
 */
int fmi_launch(struct fmi_child *child, const struct fmi_launch *launch);

/*
 * Waits until its life has begun; until then, the kernel tells of its end by the pidfd only. It wakes `events` when it has begun. 0; what it refused with;
 * FM_EBROKEN; -ETIMEDOUT. Then the record is gone, but for -ETIMEDOUT.
 */
int fmi_child_await_begin(struct fmi_child *child, struct fmi_park_shm *events,
                          const struct fmi_life_shm *life, int64_t deadline_ns);

/* It has begun: the record is not needed any more. */
void fmi_child_begun(struct fmi_child *child);

/* Why it ended before it began, with the detail. Frees the record. */
int fmi_child_trouble(struct fmi_child *child);

/* Waits for its end, and reaps it if it is this process's own. 0; -ETIMEDOUT. */
int fmi_child_await(const struct fmi_child *child, int64_t deadline_ns);

/* Kills it, reaps it and closes what is open. */
void fmi_child_end(struct fmi_child *child);

/* No child for this record will run. With `again` there is a new one in its place. 0; -ENOMEM, -ENOSPC. */
int fmi_launch_revoke(struct fmi_child *child, int again);

/* In a child that is no fork of the host: runs what the record says. Never returns. */
_Noreturn void fmi_launch_enter(struct fmi_launch_shm *record, int *fds, int n_fds);

/* By an entry that cannot begin: the host gets `code` and the detail of this thread. Never returns. */
_Noreturn void fmi_launch_refuse(int code);

/* context.c: the method of a context, NULL: the default one; -EINVAL. */
int fmi_context_method(const fm_context *context);

/* spawn.c */
int fmi_spawn(struct fmi_child *child, const struct fmi_launch *launch, const int *fds, int n_fds);
int fmi_spawn_is_possible(void); /* fm_init() was called */

/* forkserver.c: forks what child->record says; starts the server if need be. */
int fmi_forkserver_fork(struct fmi_child *child, const int *fds, int n_fds, int64_t deadline_ns);
/* In a child: the server is the parent's. Closes what there is of it. */
void fmi_forkserver_forget(void);

#endif
