/* SPDX-License-Identifier: MIT */
#ifndef FMI_ALONE_H
#define FMI_ALONE_H

/*
 * A turn alone: what a worker was killed in for want of memory is run again while no other worker of the pool runs anything, so that it has all
 * the memory there is. If it is killed then, no further attempt would help.
 *
 * THE TURN is one word of the pool, { until [ms]:32, starts:16, rank + 1:11, state:2 }                      its rank's process dies here
 *   0        -> WAITING   a successor that has an item to run alone, CAS; `until` bounds its wait              its successor has the turn
 *   WAITING  -> ALONE     the same, when all others are quiet; `until` bounds that of the others               its successor ends it: it was alone
 *   either   -> 0         the same, when the item has ended                                                    before: its successor ends it
 *   either   -> 0         anyone, once `until` has passed: whoever had it runs on, and is not alone any more   nothing is left
 *
 *   who takes the turn (rank t)                   all others, for each chunk or task
 *   a1  CAS: turn := { t, WAITING }               b1  claim: F, then CAS of R (range.h); `running`, then CAS of the word (task.h)
 *   a2  for each other rank: R, then F, rest      b2  load the turn; 0: run
 *       claimed and not rest: look again later    b3  rest := 1, sleep while there is a turn       b4  rest := 0, again b2
 *   a3  turn := { t, ALONE }, run
 *   a4  turn := 0, wake
 *
 * INVARIANTS
 *   (1) At a3 no other worker is between b2 and the end of its chunk: if its b2 came before a1, so did its b1, and a2 sees the chunk; if not, it
 *       sees the turn. (seq_cst on both sides: the claim's CAS, b2, b4; a1, a2.)
 *   (2) rest of a rank implies that its process runs nothing, or is dead; who goes on after a death clears it before it claims.
 *   (3) No wait here is without an end: `until` passes whoever dies or is stopped. The turn protects no memory and no word: whoever runs
 *       beside it does what it does at any time. So functions that wait for each other end, too, if later.
 *   (4) A word that no worker of today can have written (rank, starts, state) is no turn: nobody waits for what a stray write has left.
 *
 * Checked by spin: tests/model/alone.pml.
 *
 * A caller that works waits between its chunks as others do; single calls that it helps with, and what a thread of a function does, are not seen.
 */

#include "job.h"

enum { FMI_ALONE_WAITING = 1, FMI_ALONE_ALONE = 2 };

/* Beside the park on which workers sleep, since they have that line. */
#define FMI_POOL_TURN(shm) (&(shm)->work.beside[6])

/* b2. `view` NULL, or without a pool: a map inside a function, whose outer one has been here. */
static inline int fmi_alone_is_asked(const struct fmi_pool_view *view)
{
    return view != NULL && view->shm != NULL && atomic_load(FMI_POOL_TURN(view->shm)) != 0;
}

/* b3, b4: until no other rank has the turn, or is_off(arg) says that this one's work is called off. */
void fmi_alone_give_way(const struct fmi_pool_view *view, int rank, _Atomic uint64_t *rest,
                        int (*is_off)(void *arg), void *arg);

/* a1 .. a3. `attempt_ns`: what the attempt has taken that was killed; the waits are in proportion. */
void fmi_alone_begin(const struct fmi_pool_view *view, int rank, uint32_t starts,
                     _Atomic uint64_t *rest, int64_t attempt_ns);
/* a4; nothing, if the rank has no turn. */
void fmi_alone_end(const struct fmi_pool_view *view, int rank);

/* What a dead process of that rank has left: FMI_ALONE_WAITING: its successor has the turn; ALONE: it was killed alone; 0: neither. */
int fmi_alone_left_by(const struct fmi_pool_view *view, int rank, uint32_t starts);

#endif
