/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_WORK_H
#define CHAOS_WORK_H

/*
 * The maps of a host, and what they must come to. Rows are (x, y, weight), and an item makes (3x + 1, 5y + x, weight) of it, with places for a trap before, between
 * and after its stores. In place that shows an item that ran twice, not at all, or halfway; each map goes on from what the last one
 * left, so nothing wears off.
 */

#include "board.h"
#include "stage.h"

#include <forkmap/forkmap.h>

struct chaos_row {
    uint64_t x, y, weight;
};

struct chaos_table { /* private to the host */
    int64_t n;
    fm_array *own;              /* updated in place */
    fm_array *in, *out;         /* the others read and write these */
    fm_array *status;           /* per item */
    struct chaos_row *expected; /* what `own` is */
};

struct chaos_work_set { /* private to the host */
    struct chaos_board *board;
    fm_pool *pool; /* of whoever runs maps */
    fm_array *memory;
    struct chaos_stage *stage;
    struct chaos_table small, large;
};

enum { CHAOS_N_SMALL = 300, CHAOS_N_LARGE = 2000 };

/* 0, or the code of what failed. */
int chaos_work_open(struct chaos_work_set *set, struct chaos_board *board);

/* Runs a map. Returns its code. */
int chaos_work_run(struct chaos_work_set *set, const struct chaos_map_plan *plan);

/* After it: `code`, and all that it has written. What is not right is found (board.h). `is_calm`: nobody was killed meanwhile. */
void chaos_work_check(struct chaos_work_set *set, const struct chaos_map_plan *plan, int code,
                      int is_calm);

/* After a map that did not end: its rows are undefined, so they are filled again. */
void chaos_work_reset(struct chaos_work_set *set);

#endif
