/* SPDX-License-Identifier: MIT */
#ifndef FMI_BLOCKS_H
#define FMI_BLOCKS_H

/*
 * Blocks: the n items of a reduction are cut into blocks of one length, which follows from n and the size of a state (fold.h) and from nothing
 * else. A map with a chunk function of the library's own adds up each block: its chunks begin at blocks, but after a failure or a death the
 * function is called for pieces. So that those add up to the same bits, and no item is added twice, a block has two slots:
 *
 *   a slot       upto 0: nothing; else the state of all items of the block below `upto` that did not fail
 *   a piece [from, to) of a block reads the slot with the highest upto <= from, or begins; makes the other one (both) 0, writes its state there,
 *                then stores upto = to
 *   it dies      before upto is stored: the slot that it read is as it was. After it: the piece is run again, and finds the same slot, since
 *                the other one has upto > from
 *
 * INVARIANTS
 *   (1) A block is worked on by one process at a time (range.h), in the order of its items.
 *   (2) Once the map has ended, the slot with the higher upto is the block's state.
 *
 * Then the states are combined, by a binary tree over block numbers or from left to right, in private memory: by the host, or, if that
 * calls the user's function, by a map of one item.
 *
 * WHO WRITES: all but slots, `result` and `adding`: the host, before the map. Slots: whoever has the chunk. `result`, `adding`: who combines.
 */

#include "fold.h"
#include "module.h"
#include "series.h"

struct fmi_slot_shm {
    alignas(64) _Atomic int64_t upto;
    alignas(64) char state[]; /* a struct fmi_fold_state */
};
static_assert(offsetof(struct fmi_slot_shm, state) == 64, "slot: layout");

enum { FMI_BLOCKS_TREE = 1, FMI_BLOCKS_PREFIX = 2 };

struct fmi_blocks_shm {
    struct fmi_fold
        fold; /* fold.combine means something in the host only, or if `described` is NULL */
    const struct fmi_function_shm *described;
    int64_t n_items, length, n_blocks;
    int32_t order;        /* FMI_BLOCKS_... */
    int32_t is_exclusive; /* scans */
    size_t slot_bytes;
    char *slots;  /* two for each block */
    char *result; /* TREE: a state. PREFIX: a state for each block, of all items before it */
    _Atomic int64_t adding; /* first item of the block that is being combined */
};

/* Host: private. */
struct fmi_blocks {
    struct fmi_series *series;
    const fm_reduce_opts *opts;
    struct fmi_blocks_shm plan; /* what *shm said before anyone could change it */
    struct fmi_blocks_shm *shm;
    void *arg_block, *identity_block;
};

/* Length of a block of n items, if each block needs `bytes`. */
int64_t fmi_blocks_length(int64_t n_items, size_t bytes);

/* Makes blocks for `fold`. 0; -EINVAL; -ENOMEM, -ENOSPC, FM_ENOFUNC. In any case to be destroyed. */
int fmi_blocks_create(struct fmi_blocks *b, struct fmi_series *series, const struct fmi_fold *fold,
                      int64_t n_items, int order, const fm_reduce_opts *opts);
void fmi_blocks_destroy(struct fmi_blocks *b);

/*
 * Adds up each block of columns[0]; of those only whose status in columns[1], if there are two, is FM_ITEM_DONE. `map` is the policy. As
 * fm_pool_map().
 */
int fmi_blocks_fold(struct fmi_blocks *b, fm_array *const *columns, int n_columns,
                    const fm_map_opts *map);

/* A map of another chunk function over chunks that begin at blocks; its argument is b->shm. As fm_pool_map(). */
int fmi_blocks_map(struct fmi_blocks *b, fm_chunk_fn *fn, fm_array *const *columns, int n_columns,
                   fm_array *out, const fm_map_opts *map);

/* Combines the states of the blocks into plan.result. As fm_pool_map(). */
int fmi_blocks_combine(struct fmi_blocks *b);

/* State number k of plan.result. */
const struct fmi_fold_state *fmi_blocks_result(const struct fmi_blocks_shm *plan, int64_t k);

/* In a worker or the host: what is to be done, with `combine` as a function of this process. 0; FM_ENOFUNC, FM_ESTALE. */
int fmi_blocks_fold_here(const struct fmi_blocks_shm *plan, struct fmi_fold *fold);

/* 1 if a map's code tells of items that failed. */
int fmi_blocks_is_code_of_items(int rc);
/* 1 if all items but those that failed were done, and some may fail. */
int fmi_blocks_may_go_on(const struct fmi_series *series, int rc, const fm_map_opts *map);

#endif
