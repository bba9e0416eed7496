/* SPDX-License-Identifier: MIT */
#ifndef FMI_KEEPER_H
#define FMI_KEEPER_H

/*
 * What an fm_process shares with its host.
 *
 *     host ──launch──> keeper ──fork──> process
 *
 * The keeper is to a process what a warden is to workers: it waits for it, notes how it ended, and ends it with the host. So the exit
 * code is known whoever reaps what in the host, and nothing is left when the host is killed.
 *
 * STATE                                    who changes it        the one who changes it dies here
 *   NEW      orders are written            host, before          the host: the keeper sees its pidfd
 *   NEW      -> FORKED  pid is the child   keeper, life begun    before: the host sees the keeper's pidfd, start fails; the process gets its
 *                                                                death signal. After: the same, by the life word
 *   FORKED,  `ready` = 1: it can be        the process           the keeper sees it, and wakes the host
 *            sent signals; or `error`
 *   FORKED,  `known` = KNOWN: the host     host                  the keeper kills the process
 *            has its pidfd; only now does
 *            it go on, and only now may
 *            it be reaped
 *   FORKED,  `known` = GIVEN_UP, and       host                  the same
 *            SIGTERM to the keeper, which
 *            kills the process and leaves
 *   FORKED   -> ENDED   how, number        keeper                before: the host sees the life word, the process gets its death signal, the
 *                                                                exit code is -SIGKILL
 *   the process itself may die at any time: the keeper notes it
 *
 * INVARIANTS
 *   (1) While state is FORKED and `known` is not KNOWN, pid is a child of the keeper that is not reaped: it cannot be another's.
 *   (2) how and number are constant once state is ENDED.
 *
 * Layout, in bytes                  who writes
 *      0:  events                   whoever changes something
 *     64:  life                     the keeper, the kernel
 *     88:  state, pid, how, number  the keeper
 *    128:  known                    the host
 *    136:  fault, ready, error      the process
 *    320:  orders                   the host, before the keeper is there; the keeper wipes the key
 */

#include "crash.h"
#include "futex.h"
#include "launch.h"
#include "park.h"

enum { FMI_PROCESS_NEW = 1, FMI_PROCESS_FORKED = 2, FMI_PROCESS_ENDED = 3 };
enum { FMI_PROCESS_KNOWN = 1, FMI_PROCESS_GIVEN_UP = 2 }; /* `known`; 0: not yet */
enum { FMI_NAME_BYTES = 96, FMI_IDENTITY_BYTES = 64, FMI_KEY_BYTES = 64 };

/* Who a process is. Private where it is not part of the orders. */
struct fmi_person {
    char name[FMI_NAME_BYTES];
    char identity
        [FMI_IDENTITY_BYTES]; /* "1:2": second child of the first child; "": the program itself */
    int32_t pid;
    int32_t is_daemon;
    uint32_t key_bytes; /* 0: none yet */
    uint8_t key[FMI_KEY_BYTES];
};

struct fmi_process_shm {
    struct fmi_park_shm events;
    alignas(64) struct fmi_life_shm life;
    _Atomic uint32_t state;
    _Atomic int32_t pid;
    int32_t signal; /* that killed it, 0: it exited; */
    int32_t code;   /* with this status */
    alignas(64) _Atomic uint32_t known;
    struct fmi_fault_shm fault;
    _Atomic uint32_t ready;
    _Atomic int32_t error; /* why it cannot become ready */

    alignas(64) uint64_t arg;
    uint64_t stack_bytes;
    int32_t inner_threads;
    int32_t takes_itself; /* an fm_run_fn, not an fm_target_fn */
    struct fmi_person self, parent;
    struct fmi_function_shm function;
    alignas(64) char bytes[]; /* the copied argument */
};
static_assert(offsetof(struct fmi_process_shm, life) == 64, "process: layout");
static_assert(offsetof(struct fmi_process_shm, state) == 88, "process: layout");
static_assert(offsetof(struct fmi_process_shm, known) == 128, "process: layout");
static_assert(offsetof(struct fmi_process_shm, fault) == 136, "process: layout");
static_assert(offsetof(struct fmi_process_shm, arg) == 320, "process: layout");

/* The fmi_entry of a keeper; arg: the fmi_process_shm. */
void fmi_keeper_run(void *shm, const int *fds);

/* family.c: in the process, before anything of the user's runs: who it is, and who its parent. Takes the parent's pidfd. */
void fmi_family_begin(const struct fmi_person *me, const struct fmi_person *host, int host_pidfd);
/* Ends daemons and waits for the others that this process has started: before it leaves in order. */
void fmi_family_end(void);
/* Who this process is; the pid is that of now. */
struct fmi_person *fmi_family_self(void);

#endif
