/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_BOARD_H
#define CHAOS_BOARD_H

/*
 * What the watchdog and its hosts share: what was done, what was found, where the host is. One for a run; it outlives the hosts, so what a
 * killed one has counted is counted. Who writes: the host and its killer thread, but for what is marked.
 */

#include "plan.h"

#include <stdatomic.h>

/* What must not happen. */
enum chaos_finding {
    CHAOS_HANG,   /* a call has not returned within the limit */
    CHAOS_WRONG,  /* a result is not that of a serial loop */
    CHAOS_ERROR,  /* a call returned what it must not */
    CHAOS_STALL,  /* a map in a quiet time took far longer than others */
    CHAOS_CRASH,  /* a host ended by itself */
    CHAOS_ORPHAN, /* a process outlived its host */
    CHAOS_NAME,   /* a name in /dev/shm did */
    CHAOS_MEMFD,  /* somebody still has a host's memory open */
    CHAOS_FINDINGS
};
const char *chaos_finding_name(int finding);

/* What the host is in. */
enum { CHAOS_STARTS = 1, CHAOS_OPENS, CHAOS_MAPS, CHAOS_CLOSES, CHAOS_DESTROYS, CHAOS_ENDS };
const char *chaos_phase_name(unsigned phase);

struct chaos_board {
    _Atomic uint64_t n_kills[CHAOS_KINDS]; /* CHAOS_HOST: the watchdog */
    _Atomic uint64_t n_maps[CHAOS_WORKS];
    _Atomic uint64_t n_found[CHAOS_FINDINGS]; /* anyone */
    _Atomic uint64_t n_pools, n_quiet;        /* n_quiet: maps in quiet times */
    _Atomic uint64_t n_deaths, n_reruns, n_steals, n_undone, n_recycled;
    _Atomic int64_t slowest_ns;       /* map */
    _Atomic int64_t slowest_quiet_ns; /* in a quiet time, less what it waited for a processor */
    _Atomic uint32_t slowest_work, slowest_quiet_work;

    _Atomic uint64_t host; /* the watchdog: number of the one that runs */
    _Atomic int pool;      /* of that host */
    _Atomic uint32_t phase, work;
    _Atomic int64_t since_ns;              /* when the phase, or the map, began */
    _Atomic uint32_t is_mapping, is_ready; /* it has a pool; it can be killed now */
    _Atomic uint32_t is_over;              /* the watchdog: enough was killed */
};

/* Shared with all children; NULL: no memory. */
struct chaos_board *chaos_board_new(void);

uint64_t chaos_board_kills(struct chaos_board *board);
uint64_t chaos_board_maps(struct chaos_board *board);
uint64_t chaos_board_found(struct chaos_board *board);

void chaos_board_enter(struct chaos_board *board, unsigned phase);

/* Counts what was found, and says it on stderr, with the place in the run. The first 20; then it counts only. */
void chaos_find(struct chaos_board *board, int finding, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void chaos_raise_to(_Atomic int64_t *most, int64_t value);

int64_t chaos_now_ns(void);
void chaos_sleep_us(int64_t us);

#endif
