/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_STAGE_H
#define CHAOS_STAGE_H

/*
 * What a host and its workers share: a trap for the user's functions, and what they are to do. It lies in the heap, so that workers of each
 * start method have it.
 *
 *   trap    0 -> {place, kind}   the killer sets it
 *           {place, kind} -> 0   the worker that takes it, by CAS; or the killer, who takes it back
 *   taker   0, before a trap is set; then the pid of the worker that took it, which dies; or, for kinds that stop, waits until
 *   held is not its pid any more: the killer stops it there, and continues or kills it.
 *   So a trap is for the first one that comes, once: whoever runs the item again finds none. Never for the host: a caller that works
 *   passes by.
 *
 * Place 0 is a fault point of the engine (fault.h): the trap springs at the nth passage of one, or of any, by all workers together.
 */

#include "plan.h"

#include <stdatomic.h>
#include <stdint.h>

struct chaos_stage {
    _Atomic uint32_t trap;
    _Atomic int32_t taker, held;
    _Atomic int32_t passages; /* of fault points, until the trap springs */
    _Atomic int32_t point;    /* whose passages count; -1: all */
    _Atomic uint32_t toil;    /* steps of an item of weight 1 */
    _Atomic int32_t host;     /* its pid */
    int64_t poisoned[2];      /* items; constant during a map, as the next */
    int n_poisoned;
};

/* In the killer. */
void chaos_trap_set(struct chaos_stage *stage, const struct chaos_kill_plan *plan);
int chaos_trap_is_set(struct chaos_stage *stage);
/* 0: it was taken back. Else who has it; who holds still there is to be stopped, and let go by this. */
int chaos_trap_end(struct chaos_stage *stage);
void chaos_trap_let_go(struct chaos_stage *stage);
/* Fault points are compiled in. */
int chaos_has_points(void);

/* In functions, at each place of an item. */
void chaos_trap_pass(struct chaos_stage *stage, int place);

/* The initializer of workers: `stage` is where they look at fault points. */
int chaos_stage_enter(int rank, void *stage);

/* A store to nowhere. */
void chaos_crash(void);

#endif
