/* SPDX-License-Identifier: MIT */
#ifndef FMI_HANDS_H
#define FMI_HANDS_H

/*
 * How many messages each thread has taken from a joinable queue and not yet called done: a word per mortal (mortal.h), by its number.
 *
 *   word { generation:32, count:32 }   changed by                                       its thread dies here
 *   0                                  add: {g, 1}                                      -
 *   {g, n}                             add: n + 1; take_off, by any thread: n - 1       counted as lost: {g, 0} by whoever asks if all is done
 *   {g, n}, of a thread before         add: {g', 1}, and n are lost                     -
 *
 * INVARIANT  A message is counted before it leaves its cell (ring.h), so a joiner that has seen the cells empty finds it here.
 * What a thread that died between its count and r1 has too many is dropped with the rest.
 */

#include "mortal.h"

enum { FMI_HANDS = FMI_MORTAL_BLOCK * FMI_MORTAL_BLOCKS };

struct fmi_hands_shm {
    alignas(
        64) _Atomic uint64_t lost; /* anyone: messages of the dead, until a join tells of them */
    _Atomic uint64_t
        changes; /* anyone: grows with each message that is done; what a joiner's turnstile is about */
    alignas(64) _Atomic uint64_t words[FMI_HANDS];
};
static_assert(sizeof(struct fmi_hands_shm) == 64 + 8 * FMI_HANDS, "hands: layout");

void fmi_hands_add(struct fmi_hands_shm *hands, uint64_t me);

/* One of this thread's, else of another thread of this process, else of anyone. 0; -EINVAL: nobody has any. */
int fmi_hands_take_off(struct fmi_hands_shm *hands, uint64_t me);

/* 1: no living thread has any. What the dead had is counted as lost. */
int fmi_hands_are_empty(struct fmi_hands_shm *hands);

#endif
