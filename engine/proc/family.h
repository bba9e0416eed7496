/* SPDX-License-Identifier: MIT */
#ifndef FMI_FAMILY_H
#define FMI_FAMILY_H

/*
 * struct fm_process: a handle, private memory of the process that created it, for one of its children, itself, or its parent.
 *
 * Handles are never given back to malloc: a closed one is kept for the next, so that a second close, or a join of a dead handle, reads a dead
 * mark and gets -EINVAL.
 *
 *     CREATED --start--> STARTED --(its end is noted)--> ENDED
 */

#include "keeper.h"

#include <forkmap/process.h>
#include <pthread.h>

#define FMI_PROCESS_LIVE 0x65766c636f7270ull
#define FMI_PROCESS_DEAD 0x646561636f7270ull
#define FMI_PROCESS_MADE 0x6564616d6f7270ull /* a handle that is being filled, or closed */

enum { FMI_KIND_CHILD = 1, FMI_KIND_SELF = 2, FMI_KIND_PARENT = 3 };
enum { FMI_PHASE_CREATED = 1, FMI_PHASE_STARTED = 2, FMI_PHASE_ENDED = 3 };

union fmi_target { /* ISO C has no cast between them */
    fm_target_fn *target;
    fm_run_fn *run;
    const void *object;
};

struct fm_process {
    _Atomic uint64_t mark;
    struct fm_process *next; /* of all handles of the process */
    pthread_mutex_t lock;    /* for the rest, after the start */
    pid_t owner;
    int kind;
    _Atomic int phase;
    struct fmi_person person;

    /* a child, before the start */
    union fmi_target function;
    int takes_itself;
    int method, inner_threads;
    size_t stack_bytes, arg_bytes;
    int64_t start_timeout;
    void *arg; /* arg_bytes > 0: a private copy */

    /* after it */
    struct fmi_process_shm *shm;
    struct fmi_child keeper;
    uint32_t life_value; /* of a living keeper */
    int sentinel;
    int exit_code;
};

/* 1 for the first child that this process creates, and so on. */
unsigned fmi_family_next_number(void);

/* A handle for a child, all 0 but for its owner. NULL: no memory. */
struct fm_process *fmi_family_new_handle(void);

/* Takes a handle from the list, for its close. 1: the caller closes it; 0: somebody else does. */
int fmi_family_remove(struct fm_process *p);

/* Makes a key if there is none, so that a process that is created later inherits it. 0; what getrandom(2) said. */
int fmi_family_make_key(struct fmi_person *person);

/* 0 if `p` is a live handle of this process; -EINVAL, FM_EFORKED. */
int fmi_process_check(const fm_process *p);

#endif
