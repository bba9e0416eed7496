/* SPDX-License-Identifier: MIT */
#ifndef FMI_LOCK_H
#define FMI_LOCK_H

/*
 * A lock between processes that survives its holder. Not recursive; anyone may release it. Placed: initialised on bytes given to it.
 *
 * One word, { W:1, generation:31, index + 1:20, version:12 }: the id of the holder (mortal.h), or none; W: somebody may be asleep; the version
 * changes with each acquire. Sleepers sleep on the lower half.
 *
 *   state      | acquire                                   | release             | the holder dies here
 *   free       | CAS: own id, version + 1, W stays;     0  | -EPERM              | -
 *   free, W    | the same                                  | -EPERM              | -
 *   held       | spins; CAS: W on; sleeps                  | CAS: free           | orphaned
 *   held, W    | spins; sleeps                             | CAS: free, W; wakes | orphaned, W
 *   orphaned   | CAS: own id, W stays;      FM_EOWNERDEAD  | CAS: free           | -
 *
 * W is taken off by a releaser whose wake found nobody asleep, from exactly the word that it left; the version is why a waiter that has set W and is
 * about to sleep does not fall asleep on a word that merely looks the same. Whoever acquires keeps W, because the one who was woken may die before
 * he is here.
 *
 *   DIES HERE  waiter, before or in its sleep     W stays: one needless wake
 *              waiter, woken                      the lock is free, W: the next release wakes another; or they look again (FMI_MORTAL_LOOK_NS)
 *              releaser, between CAS and wake     as before
 *              releaser, between wake and W off   W stays
 * The model is tests/model/lock.pml.
 */

#include "mortal.h"

struct fmi_lock_shm {
    _Atomic uint64_t word;
};
static_assert(sizeof(struct fmi_lock_shm) == 8, "lock: layout");

void fmi_lock_init(struct fmi_lock_shm *lock);

/* 0; FM_EOWNERDEAD: held, and its last holder died holding it; -ETIMEDOUT; -EAGAIN: too many threads have an id (mortal.h). Not ended by signals. */
int fmi_lock_acquire(struct fmi_lock_shm *lock, int64_t deadline_ns);

int fmi_lock_release(struct fmi_lock_shm *lock); /* 0; -EPERM: it is free */

/* Who holds it now, alive or not; 0: nobody. */
static inline uint64_t fmi_lock_holder(const struct fmi_lock_shm *lock)
{
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed); /* a snapshot */
    return (word & FMI_MORTAL_IS_THERE) == 0 ? 0 : word & FMI_MORTAL_ID;
}

#endif
