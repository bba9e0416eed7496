/* SPDX-License-Identifier: MIT */
#ifndef FMI_LIST_H
#define FMI_LIST_H

/*
 * A list in the heap: a mark, and what list_store.h has.
 *
 *   list   LIVE --destroy--> DEAD, by one CAS: of two that destroy at once, one frees
 *
 *   in create before LIVE, in destroy after DEAD: what is not freed yet stays taken until the family ends
 *   anywhere else: list_store.h
 */

#include "list_store.h"

#include <forkmap/list.h>

#define FMI_LIST_LIVE UINT64_C(0x4c5453494c5f4d46) /* "FM_LISTL" */
#define FMI_LIST_DEAD UINT64_C(0x445453494c5f4d46) /* "FM_LISTD" */

/*
 *      0:  | mark |                   creator, destroyer
 *     64:  | store |                  list_store.h
 *    128:  end
 */
struct fm_list {
    alignas(64) _Atomic uint64_t mark;
    struct fmi_list_shm store;
};
static_assert(sizeof(struct fm_list) == 128, "list: layout");
static_assert(offsetof(struct fm_list, store) == 64, "list: layout");

/* With the list's lock. 0; as fmi_list_acquire(), with a detail. */
int fmi_list_begin(struct fmi_list *held, fm_list *l, int64_t timeout);
/* Releases it; passes the code on, with a detail. */
int fmi_list_end(struct fmi_list *held, int code);

/* Python's indexes. 1 if there is such an item. */
static inline int fmi_list_resolve(const struct fmi_list *held, int64_t i, uint64_t *number)
{
    *number = i < 0 ? held->n + (uint64_t)i : (uint64_t)i;
    return *number < held->n;
}

/* The same, beyond an end that end: 0 .. n. */
static inline uint64_t fmi_list_clamp(const struct fmi_list *held, int64_t i)
{
    uint64_t number;
    if (fmi_list_resolve(held, i, &number))
        return number;
    return i < 0 ? 0 : held->n;
}

#endif
