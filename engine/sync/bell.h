/* SPDX-License-Identifier: MIT */
#ifndef FMI_BELL_H
#define FMI_BELL_H

/*
 * A bell: whoever changes something rings it, whoever waits for a change sleeps until it rings. One word, { seq:31, W:1 }; W: somebody may be asleep. It is
 * a park (park.h) in 4 bytes that watches over a life as well, and that needs no warden: all sleeps are short (FMI_MORTAL_LOOK_NS).
 *
 *   waiter   w1  seen = seq   w2  looks: not yet   w3  CAS: seq, still seen, gets W   w4  sleeps while (seq, W) is (seen, on)
 *   ringer   r1  the change   r2  CAS: seq + 1, W off   r3  if W was on: wakes all
 *
 * INVARIANTS
 *   (1) A change at r1 that a waiter missed at w2 ends its sleep: r2 comes before w4, and the kernel refuses to sleep on a stale word; or after w3, and finds W.
 *   (2) Whoever sleeps on the word as it is has W in it.
 *
 * DIES HERE
 *   waiter, anywhere       W stays: one needless wake
 *   ringer before r2, r3   sleepers look by themselves after FMI_MORTAL_LOOK_NS; the change may be half done, which is for the object to live with
 */

#include "mortal.h"

struct fmi_bell_shm {
    _Atomic uint32_t word;
};
static_assert(sizeof(struct fmi_bell_shm) == 4, "bell: layout");

#define FMI_BELL_WAITERS 1u

static inline void fmi_bell_init(struct fmi_bell_shm *bell)
{
    atomic_init(&bell->word, 0);
}

/* The value to wait on. Before the look at what may change. */
static inline uint32_t fmi_bell_seen(const struct fmi_bell_shm *bell)
{
    /* acquire: pairs with fmi_bell_ring */
    return atomic_load_explicit(&bell->word, memory_order_acquire) & ~FMI_BELL_WAITERS;
}

/*
 * Until it has rung since `seen`, or the thread `id` (0: none) is dead, or a while has passed: look again. -ETIMEDOUT: `deadline_ns` is over,
 * look once more. Not ended by signals.
 */
int fmi_bell_wait(struct fmi_bell_shm *bell, uint32_t seen, uint64_t id, int64_t deadline_ns);

void fmi_bell_ring(struct fmi_bell_shm *bell);

#endif
