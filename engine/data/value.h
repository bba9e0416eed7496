/* SPDX-License-Identifier: MIT */
#ifndef FMI_VALUE_H
#define FMI_VALUE_H

/*
 * One element in the heap, with or without a lock.
 *
 * Elements of 1, 2, 4 and 8 bytes are read and written by single atomic instructions, so they are whole at any moment. Larger ones
 * that have a lock are set in two steps: first `next` is written, then copied to where the element lies. Who acquires the
 * lock after a death completes the second step. Larger ones without a lock are plain memory.
 *
 *   value  LIVE --destroy--> DEAD, by one CAS: of two that destroy at once, one frees
 *
 *   a set of a larger element, holding the lock
 *   state     | change                        | the process dies here
 *   SETTLED   | `next` is written             | the old element stays; FM_EOWNERDEAD
 *   SETTLED   | -> PENDING                    | the next owner copies `next`: the new element; FM_EOWNERDEAD
 *   PENDING   | `next` is copied to the data  | the next owner copies it again: the new element; FM_EOWNERDEAD
 *   PENDING   | -> SETTLED, then release      | the new element; FM_EOWNERDEAD
 *
 *   a get, a set or an add of a small element, holding the lock
 *   before the one instruction                | the old element stays; FM_EOWNERDEAD
 *   after it, before the release              | the new element; FM_EOWNERDEAD
 *
 *   in create before LIVE, in destroy after DEAD: the memory stays taken until the family ends
 *
 * INVARIANTS
 *   (1) Nothing but `mark`, `state`, lock and element changes after creation: who reads the rest needs no lock.
 *   (2) PENDING only while somebody holds the lock, or died with it; then `next` is whole.
 *
 * Processes may scribble over all this: each call copies what it needs and checks the copy.
 */

#include "rlock.h"

#include <assert.h>
#include <forkmap/value.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_VALUE_LIVE         UINT64_C(0x4c554c4156494d46) /* "FMIVALUL" */
#define FMI_VALUE_DEAD         UINT64_C(0x44554c4156494d46) /* "FMIVALUD" */
#define FMI_VALUE_SETTLED      UINT64_C(1)
#define FMI_VALUE_PENDING      UINT64_C(2)
#define FMI_VALUE_INLINE_BYTES 64 /* larger elements lie in an allocation of their own */

/*
 *      0:  | mark |                  creator, destroyer
 *      8:  | dtype | lock_kind |     creator
 *     16:  | data |                  creator: where a large element lies; NULL: in `element`
 *     24:  | state |                 holder of the lock; on the line that all read, but who sets such elements waits for others anyway
 *     64:  | lock |                  its holder; nobody if it is raw
 *    128:  | element |               whoever sets or adds
 *    192:  | next |                  holder of the lock
 *    256:  end
 *
 * A large element lies at `data`; with a lock its `next` follows, at the next multiple of 64 bytes.
 */
struct fm_value {
    alignas(64) _Atomic uint64_t mark;
    uint32_t dtype;
    uint32_t lock_kind; /* FM_LOCKED or FM_RAW */
    char *data;
    _Atomic uint64_t state;
    alignas(64) struct fmi_rlock_shm lock;
    alignas(64) char element[FMI_VALUE_INLINE_BYTES];
    alignas(64) char next[FMI_VALUE_INLINE_BYTES];
};
static_assert(sizeof(struct fm_value) == 256, "value: layout");
static_assert(offsetof(struct fm_value, dtype) == 8, "value: layout");
static_assert(offsetof(struct fm_value, lock_kind) == 12, "value: layout");
static_assert(offsetof(struct fm_value, data) == 16, "value: layout");
static_assert(offsetof(struct fm_value, state) == 24, "value: layout");
static_assert(offsetof(struct fm_value, lock) == 64, "value: layout");
static_assert(offsetof(struct fm_value, element) == 128, "value: layout");
static_assert(offsetof(struct fm_value, next) == 192, "value: layout");

#endif
