/* SPDX-License-Identifier: MIT */
#ifndef FMI_SHLIST_H
#define FMI_SHLIST_H

/*
 * A list of fixed length in the heap: a record, and an allocation with a directory and the slots (shlist_slot.h), in which items are read and set.
 *
 *   list   LIVE --destroy--> DEAD, by one CAS: of two that destroy at once, one frees
 *
 *   in create before LIVE, in destroy after DEAD: the memory stays taken until the family ends
 *
 * INVARIANT
 *   n_items, data, bytes and the directory never change: who reads them needs no lock.
 *
 * Processes may scribble over all this: each call copies what it needs and checks the copy.
 */

#include "lock.h"

#include <assert.h>
#include <forkmap/shlist.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_SHLIST_LIVE UINT64_C(0x4c5453494c494d46) /* "FMILISTL" */
#define FMI_SHLIST_DEAD UINT64_C(0x445453494c494d46) /* "FMILISTD" */

/*
 *      0:  | mark |                  creator, destroyer
 *      8:  | n_items |               creator, as all of this line
 *     16:  | data | bytes |          directory and slots: an allocation, and its size
 *     64:  | lock |                  its holder
 *    128:  end
 */
struct fm_shlist {
    alignas(64) _Atomic uint64_t mark;
    uint64_t n_items;
    char *data;
    uint64_t bytes;
    alignas(64) struct fmi_lock_shm lock;
};
static_assert(sizeof(struct fm_shlist) == 128, "shlist: layout");
static_assert(offsetof(struct fm_shlist, n_items) == 8, "shlist: layout");
static_assert(offsetof(struct fm_shlist, data) == 16, "shlist: layout");
static_assert(offsetof(struct fm_shlist, bytes) == 24, "shlist: layout");
static_assert(offsetof(struct fm_shlist, lock) == 64, "shlist: layout");

/*
 * One entry of the directory, which begins at `data`.
 *
 *      0:  | offset |                creator: where the slot begins [bytes from data]
 *      8:  | n_words |               creator: room of an item [8 bytes each], >= 1
 *     16:  end
 */
struct fmi_shlist_entry_shm {
    uint64_t offset;
    uint64_t n_words;
};
static_assert(sizeof(struct fmi_shlist_entry_shm) == 16, "shlist: layout");
static_assert(offsetof(struct fmi_shlist_entry_shm, n_words) == 8, "shlist: layout");

#endif
