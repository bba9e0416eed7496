/* SPDX-License-Identifier: MIT */
#ifndef FMI_RLOCK_H
#define FMI_RLOCK_H

/*
 * A recursive lock between processes: a lock (lock.h) whose holder, a thread, may acquire it again, and who alone may release it. Placed.
 * Who dies two deep leaves it orphaned as one deep: whoever takes over sets the depth anew.
 */

#include "lock.h"

struct fmi_rlock_shm {
    struct fmi_lock_shm lock;
    uint64_t depth; /* the holder */
};
static_assert(sizeof(struct fmi_rlock_shm) == 16, "rlock: layout");

void fmi_rlock_init(struct fmi_rlock_shm *rlock);

/* As fmi_lock_acquire; 0 also if it is this thread's already. -EOVERFLOW: 2^32 deep. */
int fmi_rlock_acquire(struct fmi_rlock_shm *rlock, int64_t deadline_ns);

int fmi_rlock_release(struct fmi_rlock_shm *rlock); /* 0; -EPERM: not this thread's */

/* 1: this thread holds it. */
int fmi_rlock_is_own(const struct fmi_rlock_shm *rlock);

/* Releases it however deep it is, and says how deep; acquires it that deep. Around a wait (cond.h). */
int fmi_rlock_release_all(struct fmi_rlock_shm *rlock, uint64_t *depth);
int fmi_rlock_acquire_all(struct fmi_rlock_shm *rlock, uint64_t depth, int64_t deadline_ns);

#endif
