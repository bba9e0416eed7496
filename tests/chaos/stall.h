/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_STALL_H
#define CHAOS_STALL_H

/*
 * How long a map took in a quiet time, and whether that is a stall: more than 20 times the median of its kind, and than 300 ms. (A wake-up that is lost costs a second.) Other programs may
 * have the processors, so time does not count during which a process of the pool was ready to run and had to wait for one
 * (/proc/PID/schedstat). One that sleeps for a wake-up that was lost waits for no processor.
 */

#include "board.h"

#include <forkmap/forkmap.h>

enum { CHAOS_TIMES = 32, CHAOS_MOST_RANKS = 4 };

struct chaos_stall_clock { /* of one thread that maps */
    int64_t times_ns[CHAOS_WORKS][CHAOS_TIMES];
    int n_times[CHAOS_WORKS];
    int64_t begin_ns;
    int pids[CHAOS_MOST_RANKS + 2];
    int64_t waits_ns[CHAOS_MOST_RANKS + 2]; /* of each, when the map began */
    int n_pids;
};

void chaos_stall_begin(struct chaos_stall_clock *clock, fm_pool *pool);

/* `calm_ns`: nobody was killed since then; 0: somebody may have been, and nothing is judged. */
void chaos_stall_end(struct chaos_stall_clock *clock, struct chaos_board *board, fm_pool *pool,
                     int work, int64_t calm_ns);

#endif
