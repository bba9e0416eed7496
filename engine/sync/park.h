/* SPDX-License-Identifier: MIT */
#ifndef FMI_PARK_H
#define FMI_PARK_H

/*
 * Parking: sleep until other processes change something, and cost them nothing when nobody sleeps.
 *
 * A waiter reads `word`, checks its own condition, and parks on the value that it read; a waker
 * changes the condition, then calls fmi_park_wake(). A park returns early at will: callers loop.
 *
 *   waiter (any number)                      waker (any number)
 *   w1  seen = seq            (acquire)      k1  change the condition
 *   w2  condition holds? done                k2  seq += 1, flag stays      (seq_cst)
 *   w3  spin while seq == seen               k3  no flag? done             (seq_cst)
 *   w4  CAS: seq, still seen, gets the flag  k4  take the flag off         (seq_cst fetch_and)
 *   w5  futex wait while (seq, flag) is      k5  if it was on: futex wake of all
 *       (seen, set)
 *
 * Number and flag ("somebody sleeps") are ONE word, the one that the kernel compares. In two words wake-ups get
 * lost without any death: a waiter that has read the new number sets the flag at w4, the waker that made this
 * number takes it off at k4 and wakes nobody, the waiter falls asleep at w5, and the next waker finds no flag.
 *
 * INVARIANTS
 *   (1) A change at k1 that a waiter missed at w2 ends its park: either k2 comes before w5, and the
 *       kernel refuses to sleep on a stale `seen`; or w4 comes before k3, and k5 wakes.
 *   (2) A process asleep on the current number implies the flag, or a waker between k4 and k5 that will wake it,
 *       or a death that the warden has not yet answered.
 *
 * DIES HERE
 *   waiter before w4   nothing is left
 *   waiter in w5       the flag stays: the next wake makes one needless call and takes it off
 *   waker before k2    its change is not announced: whoever recovers for it announces it
 *   waker k2 .. k4     sleepers sleep on, with the flag: the next wake of anyone wakes them
 *   waker k4 .. k5     sleepers sleep on, without the flag: only fmi_park_wake_all wakes them
 * Therefore the warden calls fmi_park_wake_all after each death.
 *
 * A waiter whose waker may die for good waits with fmi_park_alive(), which the end of the warden also ends.
 * The model is tests/model/park.pml.
 *
 * Layout, in bytes
 *      0:  | word { seq:31, flag:1 } |   wakers: seq, and the flag off; waiters: the flag on
 *      4:  | -                       |
 *      8:  | beside[7]               |   the owner's words that change with it: whoever sees seq move has their line already
 *     64:  end
 */

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct fmi_park_shm {
    alignas(64) _Atomic uint32_t word;
    uint32_t pad;
    _Atomic uint64_t beside[7];
};
static_assert(sizeof(struct fmi_park_shm) == 64, "park: layout");
static_assert(offsetof(struct fmi_park_shm, word) == 0, "park: layout");
static_assert(offsetof(struct fmi_park_shm, beside) == 8, "park: layout");

#define FMI_PARK_FLAG 1u /* in `word`: somebody sleeps */

/* Prepares `p` on zeroed or dirty bytes. Before any other process can see it. */
void fmi_park_init(struct fmi_park_shm *p);

/* The value to park on. Read it before the condition, or a change between the two is missed. */
static inline uint32_t fmi_park_seen(const struct fmi_park_shm *p)
{
    /* acquire: pairs with k2 in fmi_park_announce */
    return atomic_load_explicit(&p->word, memory_order_acquire) & ~FMI_PARK_FLAG;
}

/* w3: spins for at most `spin_ns` [ns] until seq moves on. Returns 1 if it did. */
int fmi_park_spin(const struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns);

/*
 * Parks until seq moves on from `seen`, `deadline_ns` (CLOCK_MONOTONIC [ns]) passes, or a signal
 * arrives. Spins for `spin_ns` first. Returns 0, -ETIMEDOUT or -EINTR; 0 does not mean that the
 * caller's condition holds.
 */
int fmi_park(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns, int64_t deadline_ns);

/*
 * The same, from *ticks on, which is now; sets it to when the wait ended. After a spin that is the last time at which nothing had
 * changed, so that nobody reads the counter between the change and his work.
 */
int fmi_park_timed(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns, int64_t deadline_ns,
                   uint64_t *ticks);

/* The same as fmi_park(); also returns 0 as soon as the word `life` differs from `life_value` (see futex.h). */
int fmi_park_alive(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns,
                   const _Atomic uint32_t *life, uint32_t life_value, int64_t deadline_ns);

/* k2 alone: those who spin see the change; those who sleep do not wake yet. Returns 1 if nobody slept, as a hint. */
int fmi_park_announce(struct fmi_park_shm *p);

/* k3 .. k5: wakes those who sleep. One system call if anyone does, none otherwise. */
void fmi_park_rouse(struct fmi_park_shm *p);

/* Ends every park that began before: announce and rouse. */
void fmi_park_wake(struct fmi_park_shm *p);

/* The same after a death: does not ask for the flag, which the dead may have taken off at k4 without a wake. */
void fmi_park_wake_all(struct fmi_park_shm *p);

#endif
