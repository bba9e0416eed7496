/* SPDX-License-Identifier: MIT */
#ifndef FMI_WINDOW_H
#define FMI_WINDOW_H

/*
 * The window of a stream: batches of items and the room for their results, one block of memory. A batch is a task (task.h).
 *
 *   EMPTY --filled, submitted--> FLYING --over, settled--> LANDED --all its results taken--> EMPTY
 *
 * Inside a function, where there is no pool, a batch is run as it is submitted, and the block is private memory.
 */

#include "source.h"
#include "task_queue.h"

enum { FMI_BATCH_EMPTY = 1, FMI_BATCH_FLYING = 2, FMI_BATCH_LANDED = 3 };

struct fmi_batch { /* private */
    int state;
    struct fmi_task_slot *slot;
    struct fmi_task_slot own; /* where there is no pool */
    struct fmi_more_shm *more;
    char *items, *results;
    uint8_t *states;
    int64_t first; /* number of its first item */
    uint32_t n, n_taken;
    struct fmi_report report;
};

struct fmi_window { /* private */
    fm_pool *pool;  /* NULL: inside a function */
    uint64_t serial;
    fm_item_fn *fn;
    const struct fmi_function_shm *described;
    const fm_stream_opts *opts; /* whole */
    struct fmi_source *source;
    void *block, *arg_block; /* arg_block: a copy of the argument, or NULL */
    int64_t item_stride, result_stride;
    int64_t chunk, max_chunk; /* items in a batch: now, and at most */
    int n_batches;
    struct fmi_batch *batches;
    int *flying; /* batches that fly, in the order of their items: a ring of n_batches */
    int first_flying, n_flying;
};

/* 0; -ENOMEM, -ENOSPC, FM_ENOFUNC, -EINVAL. On a pool that is entered. After an error nothing is left. */
int fmi_window_open(struct fmi_window *w);
/* Fills all empty batches, as long as the source gives. 0; as fmi_task_begin. On a pool that is held. */
int fmi_window_fill(struct fmi_window *w);
/* Waits for a batch, the first one if `is_ordered`, and settles it. 0; -ETIMEDOUT; as fmi_pool_trouble; why the batch could not be run. */
int fmi_window_await(struct fmi_window *w, int is_ordered, int64_t timeout, struct fmi_batch **out);
/* A batch whose results are not looked at any more. */
void fmi_batch_release(struct fmi_batch *b);
/* Calls off what flies, kills what does not end, frees all. */
void fmi_window_close(struct fmi_window *w);

#endif
