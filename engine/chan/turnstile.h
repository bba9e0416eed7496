/* SPDX-License-Identifier: MIT */
#ifndef FMI_TURNSTILE_H
#define FMI_TURNSTILE_H

/*
 * Turnstiles: sleep until somebody else has made something that one thread can take, and wake no more threads than can use it. Unlike a park
 * (park.h) a turnstile costs the one who wakes a read of a line that nobody writes, as long as nobody sleeps.
 *
 *   waiter (any number)                                  waker (any number)
 *   w1  spin, looking for the thing                      k1  make the thing                   (seq_cst)
 *   w2  word: seq + 1, flag on              (seq_cst)    k2  no flag? done                    (seq_cst)
 *   w3  look for the thing once more        (seq_cst)    k3  word: seq + 1, flag stays
 *   w4  sleep while word is as w2 left it                k4  wake one sleeper
 *                                                        k5  there was none: flag off, if word is as k3 left it
 *
 * INVARIANTS
 *   (1) A thing made at k1 that a waiter missed at w3 ends its sleep, or that of another who then finds the thing: w2 comes before k2 then, and k3
 *       keeps the waiter from falling asleep, or k4 wakes one who sleeps.
 *   (2) Somebody asleep implies the flag: it goes off only at k5, and whoever has fallen asleep between k4 and k5 has changed the word at w2.
 * So a waiter changes the word even where the flag is on; those who are between w2 and w4 then look again.
 *
 * DIES HERE
 *   waiter before w2          nothing is left
 *   waiter w2 .. w4, asleep   the flag stays: one needless call
 *   waiter, woken             what it was woken for is there, and others sleep on: they look after FMI_MORTAL_LOOK_NS at the latest
 *   waker k1 .. k2            sleepers look after FMI_MORTAL_LOOK_NS
 *   waker k3 .. k4            the same
 *   waker k4 .. k5            the flag stays: one needless call
 *
 * Layout, in bytes
 *      0:  | word { seq:31, flag:1 } | -     waiters, wakers
 *     64:  end
 */

#include "mortal.h"

struct fmi_turnstile_shm {
    alignas(64) _Atomic uint32_t word;
};
static_assert(sizeof(struct fmi_turnstile_shm) == 64, "turnstile: layout");

/* k2 .. k5. After a seq_cst operation at k1. */
void fmi_turnstile_wake_slowly(struct fmi_turnstile_shm *turnstile);
static inline void fmi_turnstile_wake(struct fmi_turnstile_shm *turnstile)
{
    if ((atomic_load(&turnstile->word) & 1) != 0) /* pairs with w2 */
        fmi_turnstile_wake_slowly(turnstile);
}

/* Ends every sleep that began before. */
void fmi_turnstile_wake_all(struct fmi_turnstile_shm *turnstile);

/* One thread's wait for its turn: private memory. */
struct fmi_turn {
    int64_t deadline_ns;
    uint64_t spin_end; /* [ticks]; 0: not begun */
    uint32_t joined;   /* the word as w2 left it; odd */
    int is_over;
};

/* `timeout` [ns]: as in the public interface. */
void fmi_turn_begin(struct fmi_turn *turn, int64_t timeout);

/*
 * One step of a wait; after it the caller looks again, and calls this again if it must. `made`: the word that a waker changes last at k1; it is read
 * between w2 and w3, so that what came before it is seen at w3. `holder`: whose death also ends the sleep, or 0. Not ended by signals.
 * 0: look; -EAGAIN: there was to be no wait; -ETIMEDOUT: and the last look is done.
 */
int fmi_turn_wait(struct fmi_turn *turn, struct fmi_turnstile_shm *turnstile,
                  const _Atomic uint64_t *made, uint64_t holder);

#endif
