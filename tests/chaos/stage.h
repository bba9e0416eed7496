/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_STAGE_H
#define CHAOS_STAGE_H

/*
 * What a host and its workers share: a trap for the user's functions, and what they are to do. It lies in the heap, so that workers of each
 * start method have it.
 *
 *   trap    0 -> {place, kind}   the killer sets it
 *           {place, kind} -> 0   the worker that takes it, by CAS, and then dies; or the killer, who takes it back
 *   So a trap is for the first one that comes, once: whoever runs the item again finds none. Never for the host: a caller that works
 *   passes by.
 *
 * CHAOS_AT_POINT springs at the fault points of the engine (fault.h): at the nth that the workers pass together. Where there are none
 * compiled in, it springs in an item.
 */

#include "plan.h"

#include <stdatomic.h>
#include <stdint.h>

struct chaos_stage {
    _Atomic uint32_t trap;
    _Atomic int32_t passages; /* until CHAOS_AT_POINT springs */
    _Atomic uint32_t toil;    /* steps of an item of weight 1 */
    _Atomic int32_t host;     /* its pid */
    int64_t poisoned[2];      /* items; constant during a map, as the next */
    int n_poisoned;
};

/* In the killer. */
void chaos_trap_set(struct chaos_stage *stage, int kind, int place, int passages);
int chaos_trap_is_set(struct chaos_stage *stage);
/* 1: it was taken back; 0: somebody has it. */
int chaos_trap_take_back(struct chaos_stage *stage);

/* In functions, at each place of an item. */
void chaos_trap_pass(struct chaos_stage *stage, int place);

/* The initializer of workers: `stage` is where they look at fault points. */
int chaos_stage_enter(int rank, void *stage);

/* A store to nowhere. */
void chaos_crash(void);

#endif
