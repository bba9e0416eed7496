/* SPDX-License-Identifier: MIT */
#ifndef FMI_BARRIER_H
#define FMI_BARRIER_H

/*
 * A barrier between processes: threads wait until as many as it has parties are there. Placed.
 *
 * All words but the bell are changed by who has `guard`, for some 100 ns; who waits sleeps on the bell. The ids of those who are there stand in one half of
 * `ids`, those of who was there when the barrier opened last in the other: the halves change places with each generation. The death of any of them, unless it ended
 * in order or is there no longer needed, breaks the barrier: who computes and is killed will not come.
 *
 *   state      | wait                                   | who moves it on                                       | the process dies here
 *   filling    | id in, n_here + 1; sleeps              | the last party: acting, or opens it                   | who waits, or was there before: broken
 *   acting     | of a party too many: waits             | who runs the action: opens it, or broken              | who runs it, or who waits: broken
 *   broken     | FM_EBROKEN                             | reset: filling                                        | -
 *   opening: generation + 1, n_here = 0; breaking and a reset with parties there: the same, and the generation is noted in `bad`
 *
 *   Any state, inside the guard: who acquires it next is told, and breaks the barrier, from whatever the words are.
 *
 * INVARIANTS
 *   (1) n_here < parties, unless acting.
 *   (2) Who waits since generation g has its answer when generation > g: FM_EBROKEN if g is in `bad`, else 0. `bad` has the last 8; older ones count as bad.
 */

#include "bell.h"
#include "lock.h"

enum { FMI_BARRIER_BAD = 8, FMI_BARRIER_MAX = 4096 };

/*
 *      0:  | guard |                                        whoever is inside
 *      8:  | generation |                                   who has the guard; as all below
 *     16:  | n_here | n_before | is_broken | is_acting |    n_before: those of the last opening; 0 after a reset
 *     32:  | parties | bell |                               parties: creator
 *     40:  | n_bad |
 *     48:  | bad [8] |
 *    112:  | ids [2 x parties] |
 */
struct fmi_barrier_shm {
    struct fmi_lock_shm guard;
    _Atomic uint64_t generation;
    _Atomic uint32_t n_here, n_before;
    _Atomic uint32_t is_broken, is_acting;
    uint32_t parties;
    struct fmi_bell_shm bell;
    _Atomic uint64_t n_bad;
    _Atomic uint64_t bad[FMI_BARRIER_BAD];
    _Atomic uint64_t ids[];
};
static_assert(sizeof(struct fmi_barrier_shm) == 112, "barrier: layout");
static_assert(offsetof(struct fmi_barrier_shm, parties) == 32, "barrier: layout");
static_assert(offsetof(struct fmi_barrier_shm, ids) == 112, "barrier: layout");

/* With 1 <= parties <= FMI_BARRIER_MAX. */
void fmi_barrier_init(struct fmi_barrier_shm *b, uint32_t parties);

/* Runs in one party between the last arrival and the opening. 0, or the barrier breaks. */
struct fmi_barrier_action {
    int (*run)(void *arg); /* NULL: none */
    void *arg;
};

/*
 * 0, and *index: 0 .. parties - 1 in the order of arrival; FM_EBROKEN: also if `deadline_ns` was over, which breaks it; -EAGAIN: too many threads have an id.
 * Not ended by signals.
 */
int fmi_barrier_wait(struct fmi_barrier_shm *b, struct fmi_barrier_action action, int *index,
                     int64_t deadline_ns);

/* Who waits gets FM_EBROKEN; whoever comes later, too (abort), or it begins anew (reset). 0; -EAGAIN. */
int fmi_barrier_abort(struct fmi_barrier_shm *b);
int fmi_barrier_reset(struct fmi_barrier_shm *b);

/* Snapshots. */
uint32_t fmi_barrier_waiting(const struct fmi_barrier_shm *b);
int fmi_barrier_is_broken(const struct fmi_barrier_shm *b);

#endif
