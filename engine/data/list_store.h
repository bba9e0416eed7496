/* SPDX-License-Identifier: MIT */
#ifndef FMI_LIST_STORE_H
#define FMI_LIST_STORE_H

/*
 * What a list (list.h) is made of: two boards with addresses of items, of which `turn` says which one is the list. Whatever moves items is written on the other board, and then
 * the turn changes, by one store. All is done by the holder of the lock, and nothing is ever half done for others.
 *
 *   board   | mark | cap |        creator; room for `cap` items
 *   16:     | n |                 items; those at n and behind are 0, or on their way in or out
 *   64:     | items [cap] |       addresses
 *
 *   item    | bytes | mark |      whoever makes it; never changes
 *   16:     | data |
 *
 *   step                                            | the process dies after it: what the next holder finds, and does
 *   make    m1  a block is taken                    | the block is lost, as with slab.h
 *           m2  fresh = block, or items[n] = block  | not in the list: freed
 *           m3  its bytes are written               | the same
 *   append  a1  items[n], items[n + 1] ... made     | behind n: freed
 *           a2  n += how many                       | they are there
 *   pop     p1  n -= 1, the last one                | behind n: freed
 *   set     s1  stale = the old item                | in the list: forgotten; `fresh` is freed
 *           s2  items[i] = fresh                    | the new one is there; `stale` is freed
 *           s3  fresh = 0   s4  stale = 0, freed    | before the free: lost
 *   move    v1  the other board is made, if need be | in boards[]: kept
 *           v2  it is written; what comes in is     | not in the list: `fresh` is freed, `stale` forgotten
 *               in `fresh`, what goes out in `stale`|
 *           v3  turn + 1                            | `fresh` is in the list: forgotten; `stale` is not: freed
 *           v4  fresh = 0, stale = 0, freed         | as it says
 *   clear       n = 0                               | behind n: freed
 *   repair      nothing is done but what is above   | the next holder repairs: `dirty`
 *
 * INVARIANTS, when nobody has the lock
 *   (1) fresh == 0, stale == 0, and nothing lies behind n, or the last holder died.
 *   (2) What lies on the other board means nothing.
 */

#include "lock.h"

#include <assert.h>
#include <forkmap/snapshot.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_ITEM_MARK  UINT64_C(0x4d455449494d46)   /* "FMIITEM" */
#define FMI_BOARD_MARK UINT64_C(0x4452414f42494d46) /* "FMIBOARD" */

struct fmi_item_shm {
    uint64_t bytes, mark;
    char data[];
};
static_assert(sizeof(struct fmi_item_shm) == 16, "list: layout");

struct fmi_board_shm {
    uint64_t mark, cap;
    _Atomic uint64_t n;
    uint64_t pad[5];
    _Atomic uint64_t items[];
};
static_assert(sizeof(struct fmi_board_shm) == 64, "list: layout");
static_assert(offsetof(struct fmi_board_shm, n) == 16, "list: layout");

/*
 *      0:  | lock |                   its holder, as all of this line
 *      8:  | boards [2] |             addresses; 0: none yet
 *     24:  | turn |                   boards[turn & 1] is the list
 *     32:  | fresh | stale | dirty |  addresses; dirty: a repair has begun
 *     56:  end
 */
struct fmi_list_shm {
    alignas(64) struct fmi_lock_shm lock;
    _Atomic uint64_t boards[2], turn, fresh, stale, dirty;
};
static_assert(sizeof(struct fmi_list_shm) == 64, "list: layout");

/* The list, of a thread that has it; copied and checked. n <= cap. */
struct fmi_list {
    struct fmi_list_shm *shm;
    struct fmi_board_shm *board; /* NULL: none yet */
    uint64_t n, cap;
};

/* The other board, while it is written. */
struct fmi_draft {
    struct fmi_board_shm *board;
    uint64_t n, cap;
};

/* 0: held and sound, whoever died before; -EDEADLK: this thread has it; -ETIMEDOUT; -EAGAIN; FM_ECORRUPT: not held. */
int fmi_list_acquire(struct fmi_list *l, struct fmi_list_shm *shm, int64_t deadline_ns);
void fmi_list_release(struct fmi_list *l);

/* Item i < n, copied and checked. 0; FM_ECORRUPT. */
int fmi_list_item(const struct fmi_list *l, uint64_t i, fm_bytes *item);

/* All in one step. 0; -ENOMEM, -ENOSPC; -EOVERFLOW; FM_ECORRUPT. */
int fmi_list_append(struct fmi_list *l, const fm_bytes *items, uint64_t n);
int fmi_list_set(struct fmi_list *l, uint64_t i, fm_bytes item);    /* i < n */
int fmi_list_insert(struct fmi_list *l, uint64_t i, fm_bytes item); /* i <= n */
int fmi_list_remove(struct fmi_list *l,
                    uint64_t i); /* i < n; what fmi_list_item() gave of it is gone */
void fmi_list_empty(struct fmi_list *l);

/* A draft with room for n items; put, as often as that; and it is the list. A draft that is not used means nothing. */
int fmi_list_draft(struct fmi_list *l, uint64_t n, struct fmi_draft *draft);
void fmi_draft_put(struct fmi_draft *draft, uint64_t address);
void fmi_list_turn(struct fmi_list *l, struct fmi_draft *draft);
/* The address of item i. */
uint64_t fmi_list_address(const struct fmi_list *l, uint64_t i);

/* Nobody uses the list any more: frees all that it has. */
void fmi_list_fini(struct fmi_list_shm *shm);

#endif
