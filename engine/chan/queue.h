/* SPDX-License-Identifier: MIT */
#ifndef FMI_QUEUE_H
#define FMI_QUEUE_H

/*
 * A queue: one allocation in the heap, with a ring of cells (ring.h), a table of parcels for what does not fit into a cell (parcel.h), and, if it is
 * joinable, what each thread has in hand (hands.h).
 *
 * A long message goes: parcel FILLING, copy, cell WRITING, parcel QUEUED, cell FULL | cell READING, parcel LENT, cell FREE, copy, parcel IDLE. So cells are
 * held for short times only, and the parcel's own word tells whose it is wherever the thread dies.
 *
 * Layout, in bytes                                                         who writes
 *      0:  | mark | n_parcels | is_joinable |                              creator; mark: destroyer
 *     64:  | ring |                                                        ring.h
 *    384:  | parcels |                                                     parcel.h
 *    448:  | done |  a turnstile for joiners                                    joiners that sleep; who calls a message done, if any sleeps
 *    512:  cells, n_cells times cell_bytes; records, n_parcels times 32; hands
 *
 * Nothing of it is believed: each call copies the sizes, checks that all lies in the heap, and works with the copy.
 */

#include "hands.h"
#include "ring.h"

#include <forkmap/queue.h>

#define FMI_QUEUE_LIVE UINT64_C(0x4c45554555514d46) /* "FMQUEUEL" */
#define FMI_QUEUE_DEAD UINT64_C(0x4445554555514d46) /* "FMQUEUED" */

struct fm_queue {
    alignas(64) _Atomic uint64_t mark;
    uint32_t n_parcels;
    uint32_t is_joinable;
    struct fmi_ring_shm ring;
    struct fmi_parcels_shm parcels;
    struct fmi_turnstile_shm done;
};
static_assert(sizeof(struct fm_queue) == 512, "queue: layout");
static_assert(offsetof(struct fm_queue, ring) == 64, "queue: layout");
static_assert(offsetof(struct fm_queue, parcels) == 384, "queue: layout");

/* This call's view of it. */
struct fmi_queue {
    struct fmi_ring ring;
    struct fmi_hands_shm *hands; /* NULL: not joinable */
    struct fmi_turnstile_shm *done;
};

/* Checks and copies. 0; -EINVAL: NULL; FM_ECORRUPT; -ENOMEM: this thread gets no id. */
int fmi_queue_look(fm_queue *q, struct fmi_queue *view);

/* Waits for room as `turn` has it, and claims a cell. 0, or the code of the put. */
int fmi_queue_claim(struct fmi_queue *view, struct fmi_turn *turn, struct fmi_spot *spot);

/* The same, but claims nothing. */
int fmi_queue_await_room(struct fmi_queue *view, struct fmi_turn *turn);

/* A parcel for `bytes`; waits while all are taken. */
int fmi_queue_parcel(struct fmi_queue *view, struct fmi_turn *turn, size_t bytes, uint32_t *number,
                     void **block);

/* Gives it back, and tells those who wait for one. */
int fmi_queue_give_back(struct fmi_queue *view, uint32_t number);

/* Puts a parcel. 0, or the code of the put: the parcel is FILLING as before. */
int fmi_queue_put_parcel(struct fmi_queue *view, struct fmi_turn *turn, uint32_t number,
                         size_t bytes);

/* Waits for a message, which stays. 0, or the code of the get. */
int fmi_queue_await_message(struct fmi_queue *view, struct fmi_turn *turn, struct fmi_spot *spot);

/* Takes the message that was found; counts it, if the queue is joinable. 1: it is this thread's. */
int fmi_queue_take(struct fmi_queue *view, struct fmi_spot *spot);

/* The cell's parcel becomes this thread's, and the cell free. 0, or FM_ECORRUPT: the cell is free as well. */
int fmi_queue_lend(struct fmi_queue *view, struct fmi_spot *spot, uint32_t *number, void **block);

#endif
