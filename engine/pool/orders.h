/* SPDX-License-Identifier: MIT */
#ifndef FMI_ORDERS_H
#define FMI_ORDERS_H

/*
 * What the warden of a pool is told that is no fork of the host (FM_FORKSERVER, FM_SPAWN): all that a fork would find in the host's memory.
 * Written by the host before the warden is launched, then constant; the warden makes a private copy of what it needs, before it forks.
 */

#include "job.h"

struct fmi_orders_shm {
    uint64_t block;       /* of the pool (guarded.h), */
    uint64_t block_bytes; /* between its guards */
    int32_t n_ranks;
    int32_t first; /* 1: rank 0 is the caller's */
    int32_t inner_threads;
    uint32_t which; /* FMI_ORDERS_... */
    uint64_t stack_bytes;
    uint64_t init_arg;
    int64_t max_tasks; /* of one worker process */
    uint64_t max_bytes;
    uint64_t memory_limit;
    struct fmi_person host; /* the warden wipes its key */
    struct fmi_function_shm initializer, finalizer;
    int32_t cpus[]; /* by rank */
};
enum { FMI_ORDERS_INITIALIZER = 1, FMI_ORDERS_FINALIZER = 2, FMI_ORDERS_IGNORE_TERM = 4 };
static_assert(offsetof(struct fmi_orders_shm, host) == 72, "orders: layout");

/* Describes the crew for a warden elsewhere. 0; FM_ENOFUNC; -ENOMEM, -ENOSPC. The caller frees it when the pool ends. */
int fmi_orders_write(struct fmi_orders_shm **out, const struct fmi_crew_plan *plan, char *block);

/* The fmi_entry of such a warden; arg: the orders. */
void fmi_orders_obey(void *orders_shm, const int *fds);

#endif
