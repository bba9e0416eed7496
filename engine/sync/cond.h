/* SPDX-License-Identifier: MIT */
#ifndef FMI_COND_H
#define FMI_COND_H

/*
 * A condition between processes, on a lock or a recursive lock. Placed.
 *
 * A waiter writes into its own entry of the table of threads (mortal.h) which condition it waits on, by its number, and since when, by a ticket. A notifier, who
 * has the lock, goes through the table and calls the living waiters with the lowest tickets: 0 into `waits_on`, then a wake by `called`. So a waiter that dies
 * is simply not there any more. Who is called by notify(n) is also noted in the condition until it is back, holding the lock: if it
 * dies before, its call is inherited by another waiter.
 *
 *   waiter: waits_on | called[]  | who moves it on                                                   | the waiter dies here
 *   0                | -         | itself, holding the lock: ticket, then the number                 | -
 *   number           | -         | notifier, holding the lock: id into called[]                      | nobody sees it any more
 *   number           | id        | notifier: waits_on CAS number -> 0, called + 1, wake              | a call too many: another is called as well
 *   0                | id        | itself, holding the lock again: id out of called[]                | orphaned: -> id of the heir
 *   0                | -         | itself: returns                                                   | with the lock: FM_EOWNERDEAD to the next (lock.h)
 *
 *   An orphaned call: a waiter that looks puts its own id there by CAS, then waits_on CAS number -> 0. Somebody may have called it meanwhile; then it puts the dead
 *   id back, for another. A notifier takes orphaned calls off and calls one more for each. notify_all leaves nobody to inherit, and notes none.
 *
 * INVARIANTS
 *   (1) A living thread that waits on the condition has its number in waits_on, or was called.
 *   (2) Only who has the lock takes a place in called[], and makes waits_on 0 without having been called.
 *   (3) As long as somebody waits, a call of notify(n) ends in a return from a wait, or in called[].
 *   Where called[] is full, all are called: a needless return is allowed, a lost call is not.
 *
 * DIES HERE
 *   waiter                  above
 *   notifier, anywhere      the lock is orphaned; who is called already, but was not woken, looks by itself (FMI_MORTAL_LOOK_NS)
 */

#include "rlock.h"

enum { FMI_COND_CALLED = 32 };

/*
 *      0:  | number |          creator; 0: destroyed
 *      8:  | tickets |         waiters, holding the lock
 *     16:  | called [32] |     notifiers, holding the lock; who was called; its heir
 *    272:  end
 */
struct fmi_cond_shm {
    _Atomic uint64_t number;
    _Atomic uint64_t tickets;
    _Atomic uint64_t called[FMI_COND_CALLED];
};
static_assert(sizeof(struct fmi_cond_shm) == 272, "cond: layout");
static_assert(offsetof(struct fmi_cond_shm, called) == 16, "cond: layout");

/* The lock of a condition: one of these, the other is NULL. */
struct fmi_cond_lock {
    struct fmi_lock_shm *lock;
    struct fmi_rlock_shm *rlock;
};

/* 1: this thread holds it. */
int fmi_cond_has_lock(struct fmi_cond_lock lock);

/* 0; -EAGAIN: there is no table of threads. */
int fmi_cond_init(struct fmi_cond_shm *cond);
/* Who waits on it is told so, without the lock, when he looks. */
void fmi_cond_fini(struct fmi_cond_shm *cond);

/*
 * Releases the lock, however deep, waits until it is called, acquires it as deep. 0: called; -ETIMEDOUT: not called; FM_EOWNERDEAD: one or the other, and whoever held the lock
 * died: the lock is held in all these cases. Without it: -EPERM: this thread did not hold it; FM_ECORRUPT: the condition was destroyed meanwhile. Not ended by signals.
 */
int fmi_cond_wait(struct fmi_cond_shm *cond, struct fmi_cond_lock lock, int64_t deadline_ns);

/* Calls up to n > 0 waiters, those who waited longest. 0; -EPERM: this thread does not hold the lock. */
int fmi_cond_notify(struct fmi_cond_shm *cond, struct fmi_cond_lock lock, uint32_t n);
int fmi_cond_notify_all(struct fmi_cond_shm *cond, struct fmi_cond_lock lock);

#endif
