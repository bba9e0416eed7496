/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_PLAN_H
#define CHAOS_PLAN_H

/*
 * What the chaos driver decides, as a function of (seed, host, pool), and of the aim of the run: no decision depends on the time at
 * which something happened. So the same seed gives the same hosts, pools, maps and kills again; which instruction a kill meets is
 * up to the machine.
 *
 *   a host   has a start method and some pools, and an end: it closes all, leaves without closing, or is killed
 *   a pool   has workers, a caller that sleeps or works, a stream of kills and a stream of maps; and an end: closed,
 *            destroyed, or its warden is killed. The last pool of a host may be there for the host's end
 *   a kill   has a kind, a rank, a delay; the last one of a burst is followed by quiet maps
 */

#include <stdint.h>

enum chaos_kind {
    CHAOS_KILL,      /* SIGKILL of a worker */
    CHAOS_STOP_KILL, /* SIGSTOP, anywhere or at a transition; some time; SIGKILL */
    CHAOS_STOP_CONT, /* the same, and SIGCONT: no death */
    CHAOS_AT_POINT,  /* SIGKILL of a worker by itself, at a transition of the protocols */
    CHAOS_SEGV,      /* in user code: a store to nowhere */
    CHAOS_EXIT,      /* in user code: exit() */
    CHAOS_ABORT,     /* in user code: abort() */
    CHAOS_WARDEN,    /* SIGKILL of a warden */
    CHAOS_HOST,      /* SIGKILL of a host */
    CHAOS_KINDS
};
const char *chaos_kind_name(int kind);

/* The transitions of maps and calls, as the engine names them (FMI_FAULT). NULL: there are no more. */
const char *chaos_point_name(int point);

enum chaos_work {
    CHAOS_ITEM_IN_PLACE,
    CHAOS_CHUNK_IN_PLACE,
    CHAOS_PAIR_IN_PLACE, /* two maps at once, by items and by chunks */
    CHAOS_ITEM,
    CHAOS_STAR,
    CHAOS_RANGE,
    CHAOS_RANGE_CHUNK,
    CHAOS_TASKS,
    CHAOS_REDUCE,
    CHAOS_POISON, /* some items crash at each attempt */
    CHAOS_WORKS
};
const char *chaos_work_name(int work);

/* Where in an item a trap springs. */
enum { CHAOS_BEFORE = 1, CHAOS_MIDDLE = 2, CHAOS_AFTER = 3 };

enum { CHAOS_HOST_CLOSES, CHAOS_HOST_LEAVES, CHAOS_HOST_IS_KILLED, CHAOS_HOST_IS_KILLED_EARLY };
enum { CHAOS_POOL_CLOSES, CHAOS_POOL_IS_DESTROYED, CHAOS_POOL_LOSES_WARDEN };

struct chaos_random {
    uint64_t state;
};

struct chaos_host_plan {
    int method; /* fm_start_method */
    int n_pools;
    int end;
    int end_us; /* killed: so long after it is ready for that; early: after its fork */
};

struct chaos_pool_plan {
    int workers, caller;
    int64_t max_tasks; /* of a worker before it is replaced; 0: any number */
    int n_kills;
    int end;
    struct chaos_random kills, maps;
    int most_us; /* longest delay before a kill of this burst */
};

struct chaos_kill_plan {
    int kind;
    int rank;     /* 0 .. workers - 1; the next one if it has no process */
    int delay_us; /* before it */
    int hold_us;  /* between SIGSTOP and what follows */
    int place;    /* in an item; 0: at a transition, where the worker dies, or is stopped */
    int point;    /* whose passages count (chaos_point_name); -1: those of all */
    int passages; /* of transitions, until it happens */
    int n_quiet;  /* maps without kills after it */
};

struct chaos_map_plan {
    int work;
    int is_large;
    int schedule; /* fm_schedule */
    int64_t chunk;
    uint32_t toil; /* steps of an item */
    int n_poisoned;
    int64_t poisoned[2]; /* items */
};

uint64_t chaos_random_below(struct chaos_random *random, uint64_t n);

/* From now on half of the kills are at that transition, each with a quiet time after it. 0, or -1: there is none of that name. */
int chaos_plan_aim(const char *name);

struct chaos_host_plan chaos_plan_host(uint64_t seed, uint64_t host);
struct chaos_pool_plan chaos_plan_pool(uint64_t seed, uint64_t host, int pool);
/* The next of the pool's stream. */
struct chaos_kill_plan chaos_plan_kill(struct chaos_pool_plan *pool);
struct chaos_map_plan chaos_plan_map(struct chaos_pool_plan *pool, int64_t n_small,
                                     int64_t n_large);

#endif
