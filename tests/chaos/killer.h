/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_KILLER_H
#define CHAOS_KILLER_H

/*
 * The thread of a host that kills its workers, and its warden. Bursts and quiet times take turns: a lost wake-up that the next death would repair
 * is seen in the quiet.
 *
 *   calm_ns  0: kills may come; else when all who were killed had a successor, and none comes before `n_maps` has moved on by what the plan says.
 *            The killer writes it. A map that ends while it is not 0 was undisturbed since then.
 *
 * A process is killed once: then the thread waits for its successor. So each kill is a death.
 */

#include "board.h"
#include "stage.h"

#include <forkmap/forkmap.h>
#include <pthread.h>

enum { CHAOS_MOST_WORKERS = 4 };

struct chaos_killer {
    struct chaos_board *board;
    struct chaos_stage *stage;
    fm_pool *pool;
    struct chaos_pool_plan plan;    /* its own copy: it draws from `kills` */
    int kills_warden;               /* at last */
    _Atomic int64_t calm_ns;        /* the killer */
    _Atomic uint64_t n_maps;        /* whoever maps */
    _Atomic int is_over;            /* the killer: all was done */
    _Atomic int has_killed_warden;  /* the killer */
    _Atomic int is_called_off;      /* whoever maps */
    int killed[CHAOS_MOST_WORKERS]; /* pid of each rank that was killed last */
    pthread_t thread;
};

/* 0, or the error of pthread_create. */
int chaos_killer_start(struct chaos_killer *killer);
/* Calls it off if it is not over, and waits for its end. */
void chaos_killer_stop(struct chaos_killer *killer);

#endif
