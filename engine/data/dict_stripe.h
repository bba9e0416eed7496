/* SPDX-License-Identifier: MIT */
#ifndef FMI_DICT_STRIPE_H
#define FMI_DICT_STRIPE_H

/*
 * One stripe of a dict: a lock, and a table (dict_table.h) of the pairs whose keys have its number in their hash. All is done by the holder of the lock, and nothing is
 * ever half done for others: each change is one store. When the holder dies the next one is told, repairs the stripe, and goes on.
 *
 * What the stripe has taken from the heap is in its table, in `spares`, or in `fresh` and `stale`: a new block is in `fresh` until it is in use, one that goes
 * out of use is in `stale` before.
 *
 *   step                                         | the process dies after it: what the next holder finds, and does
 *   new     n1  a block is taken                 | the block is lost, as with slab.h
 *           n2  fresh = block                    | `fresh`, in no entry: freed
 *           n3  its bytes are written            | the same
 *   insert  i1  entries[n_used] = fresh          | the pair is there, its slot is not: slots and counts are made of the entries
 *           i2  slot, counts                     | the same
 *           i3  fresh = 0                        | -
 *   replace r1  stale = the old pair             | it is in an entry: forgotten; `fresh` is freed
 *           r2  entries[i] = fresh               | the new value is there; `fresh` is forgotten, `stale` freed
 *           r3  fresh = 0   r4  old pair retires | as it says
 *   in place    value = word                     | the new value is there
 *   remove  d1  stale = the pair                 | it is in an entry: forgotten
 *           d2  entries[i] = 0                   | the pair is gone; slots and counts are made anew, `stale` freed
 *           d3  slot, counts   d4  it retires    | as it says
 *   retire  t1  spares[k] = stale, or nothing    | `stale`, in `spares`: forgotten
 *           t2  stale = 0                        | -; if it is to be freed, it is lost
 *           t3  it is freed                      | -
 *   grow    g1  fresh = a larger table, filled   | freed
 *           g2  stale = the old table            | that is in use: forgotten; `fresh` freed
 *           g3  table = fresh                    | `fresh` is in use: forgotten; `stale` freed
 *   empty   for each entry: 0 into it, freed     | one pair is lost; the others are emptied by the next holder, as `epoch` is behind
 *           epoch = the dict's                   | -
 *   repair  n_used = UNKNOWN; the rest           | the next holder repairs
 *
 * INVARIANTS, when nobody has the lock
 *   (1) fresh == 0 and stale == 0, or the last holder died.
 *   (2) n_used is at or behind the last entry that has a pair; n_live counts those that have one; each has one slot.
 *   (3) A stripe whose epoch is not the dict's is empty: whoever acquires it empties it first.
 */

#include "dict_table.h"
#include "lock.h"

enum { FMI_STRIPE_SPARES = 2 }; /* blocks of 64 and of 128 bytes */
#define FMI_STRIPE_UNKNOWN UINT32_MAX

/*
 *      0:  | lock |                   its holder, as all of this line
 *      8:  | table |                  address; 0: none yet
 *     16:  | fresh | stale |          addresses
 *     32:  | n_used | n_live |        entries
 *     40:  | epoch |                  of the dict, as this stripe was emptied last
 *     48:  | spares [2] |             addresses
 *     64:  end
 */
struct fmi_stripe_shm {
    struct fmi_lock_shm lock;
    _Atomic uint64_t table, fresh, stale;
    _Atomic uint32_t n_used, n_live;
    _Atomic uint64_t epoch;
    _Atomic uint64_t spares[FMI_STRIPE_SPARES];
};
static_assert(sizeof(struct fmi_stripe_shm) == 64, "dict: layout");
static_assert(offsetof(struct fmi_stripe_shm, n_used) == 32, "dict: layout");
static_assert(offsetof(struct fmi_stripe_shm, spares) == 48, "dict: layout");

/* A stripe that this thread has. */
struct fmi_stripe {
    struct fmi_stripe_shm *shm;
    struct fmi_table table;
    uint64_t n_used, n_live;
};

/* 0: held, sound and of this epoch, whoever died before; -ETIMEDOUT; -EAGAIN; FM_ECORRUPT: not held. */
int fmi_stripe_acquire(struct fmi_stripe *s, struct fmi_stripe_shm *shm,
                       const _Atomic uint64_t *epoch, int64_t deadline_ns);
void fmi_stripe_release(struct fmi_stripe *s);

/* 0; -ENOMEM, -ENOSPC; -EOVERFLOW; FM_ECORRUPT. It is not there yet. */
int fmi_stripe_insert(struct fmi_stripe *s, const struct fmi_key *key, fm_bytes value,
                      _Atomic uint64_t *next_seq);
/* What fmi_table_find() gave gets another value. The same codes. */
int fmi_stripe_replace(struct fmi_stripe *s, const struct fmi_pair *pair, fm_bytes value);
void fmi_stripe_remove(struct fmi_stripe *s, const struct fmi_pair *pair);

/* The pair that came last. 1; 0: there is none; FM_ECORRUPT. */
int fmi_stripe_last(struct fmi_stripe *s, struct fmi_pair *pair);

/* Takes all pairs out, and keeps a small table: what an old epoch asks for. */
void fmi_stripe_empty(struct fmi_stripe *s, uint64_t epoch);
/* Nobody uses the stripe any more: frees all that it has. */
void fmi_stripe_fini(struct fmi_stripe_shm *shm);

#endif
