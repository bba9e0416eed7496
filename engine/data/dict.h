/* SPDX-License-Identifier: MIT */
#ifndef FMI_DICT_H
#define FMI_DICT_H

/*
 * A dict in the heap: a record with stripes (dict_stripe.h), each with a lock of its own. A key's hash says which stripe it belongs to. Whoever needs more than one stripe
 * acquires all, from the first to the last, so nobody waits in a circle.
 *
 *   dict    LIVE --destroy--> DEAD, by one CAS: of two that destroy at once, one frees
 *
 *   in create before LIVE, in destroy after DEAD: what is not freed yet stays taken until the family ends
 *   in clear, with all stripes: before `epoch` moves on nothing happened; after it the dict is empty: each stripe is emptied by whoever acquires it
 *   anywhere else: dict_stripe.h
 *
 * INVARIANTS
 *   (1) n_stripes and seed never change.
 *   (2) epoch moves on only while one has all stripes.
 *   (3) next_seq is above the seq of every pair: pairs in the order of seq are in the order of insertion.
 *
 * Processes may scribble over all this: each call copies what it needs and checks the copy.
 */

#include "dict_stripe.h"

#include <forkmap/dict.h>
#include <stdalign.h>

#define FMI_DICT_LIVE UINT64_C(0x4c54434944494d46) /* "FMIDICTL" */
#define FMI_DICT_DEAD UINT64_C(0x4454434944494d46) /* "FMIDICTD" */

enum { FMI_DICT_MAX_STRIPES = 256 };

/*
 *      0:  | mark |                   creator, destroyer
 *      8:  | n_stripes |              creator: a power of two
 *     16:  | seed [2] |               creator
 *     32:  | epoch |                  who has all stripes
 *     64:  | next_seq |               anyone, by addition
 *    128:  | stripes [n_stripes] |    dict_stripe.h
 */
struct fm_dict {
    alignas(64) _Atomic uint64_t mark;
    uint64_t n_stripes;
    uint64_t seed[2];
    _Atomic uint64_t epoch;
    alignas(64) _Atomic uint64_t next_seq;
    alignas(64) struct fmi_stripe_shm stripes[];
};
static_assert(sizeof(struct fm_dict) == 128, "dict: layout");
static_assert(offsetof(struct fm_dict, epoch) == 32, "dict: layout");
static_assert(offsetof(struct fm_dict, next_seq) == 64, "dict: layout");
static_assert(offsetof(struct fm_dict, stripes) == 128, "dict: layout");

/* What a dict says of itself, copied and checked. */
struct fmi_dict {
    fm_dict *shm;
    uint64_t n_stripes, seed[2];
};

/* 0; -EINVAL: nothing of the heap; FM_ECORRUPT: no dict. */
int fmi_dict_look(fm_dict *d, struct fmi_dict *seen);

/* The text of a code that a stripe gave; passes 0, -ENOENT and 1 on. */
int fmi_dict_fail(const fm_dict *d, int code);

/* All stripes, into stripes[n_stripes]. 0; as fmi_stripe_acquire(): none is held. */
int fmi_dict_acquire_all(const struct fmi_dict *seen, struct fmi_stripe *stripes,
                         int64_t deadline_ns);
void fmi_dict_release_all(const struct fmi_dict *seen, struct fmi_stripe *stripes);

#endif
