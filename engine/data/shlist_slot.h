/* SPDX-License-Identifier: MIT */
#ifndef FMI_SHLIST_SLOT_H
#define FMI_SHLIST_SLOT_H

/*
 * One slot of a list: room for two items, and a word that counts how often it was set. The lowest bit of that says which of the two is the
 * item. Who sets holds the list's lock, writes the other one and then moves the word on. Who reads copies what the word points at, and looks at
 * the word again: unless it has moved meanwhile, the copy is whole. After 64 looks in vain a reader takes the lock, so that it is through as
 * soon as one that sets is.
 *
 *   turn   | a set, holding the lock             | the process dies here
 *   t      | -                                   | the old item stays
 *   t      | head and words of copy t + 1        | the old item stays; the next set writes the other copy anew
 *   t      | -> t + 1                            | the new item is there
 *   t + 1  | release                             | the new item is there
 *   The next who gets the lock is told of the death, and has nothing to repair. Readers need no lock, and notice nothing.
 *
 * INVARIANTS
 *   (1) Copy (turn & 1) is a whole item, at any moment.
 *   (2) Nothing is written into copy (turn & 1); into the other one only by the holder of the lock.
 *
 * A slot is made of 8-byte words:
 *
 *      0:  | turn |                    holder of the lock
 *      8:  | head | words [n_words] |  copy 0: holder of the lock, while turn is odd
 *      -:  | head | words [n_words] |  copy 1: holder of the lock, while turn is even
 *
 * A head is type | bytes << 8; bytes is 0 but for texts and bytes. Numbers lie in the first word.
 */

#include "lock.h"

#include <forkmap/shlist.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FMI_SHLIST_FIRST_TURN UINT64_C(2)

/* Where the parts of a slot lie; not shared. */
struct fmi_shlist_slot {
    _Atomic uint64_t *turn;
    _Atomic uint64_t *copies[2]; /* a head and n_words words */
    uint64_t n_words;
};

/* A copy whose head was checked. It may be overwritten while it is looked at. */
struct fmi_shlist_copy {
    int type;
    size_t bytes;
    const _Atomic uint64_t *words;
};
/* Looks at a copy, and returns a code. It is called again if the copy was overwritten meanwhile. */
typedef int fmi_shlist_visit_fn(const struct fmi_shlist_copy *copy, void *arg);

/* Size of a slot [bytes] with room for n_words (< 2^59). */
static inline uint64_t fmi_shlist_slot_bytes(uint64_t n_words)
{
    return sizeof(uint64_t) * (1 + 2 * (1 + n_words));
}

static inline void fmi_shlist_place(char *begin, uint64_t n_words, struct fmi_shlist_slot *slot)
{
    slot->turn = (_Atomic uint64_t *)(void *)begin;
    slot->copies[0] = slot->turn + 1;
    slot->copies[1] = slot->turn + 1 + 1 + n_words;
    slot->n_words = n_words;
}

static inline int fmi_shlist_has_data(int type)
{
    return type == FM_SHLIST_STRING || type == FM_SHLIST_BYTES;
}

/* The word at byte `at` of `bytes` bytes; what is left of the last word is 0. */
static inline uint64_t fmi_shlist_word_of(const char *data, size_t bytes, size_t at)
{
    uint64_t word = 0;
    memcpy(&word, data + at, bytes - at < sizeof word ? bytes - at : sizeof word);
    return word;
}

/* The word at byte `at` of a copy. Acquire: pairs with the releases in fmi_shlist_write; fmi_shlist_read has the reason. */
static inline uint64_t fmi_shlist_load_word(const struct fmi_shlist_copy *copy, size_t at)
{
    return atomic_load_explicit(copy->words + at / sizeof(uint64_t), memory_order_acquire);
}

/* The value of an item whose type is set, and is neither text nor bytes. */
void fmi_shlist_set_bits(fm_shlist_item *item, uint64_t bits);

/* Makes an empty slot, in memory that nobody else knows. Then it is to be written. */
void fmi_shlist_init(const struct fmi_shlist_slot *slot);

/* Holding the lock, or alone. The item fits. */
void fmi_shlist_write(const struct fmi_shlist_slot *slot, const fm_shlist_item *item);

/* What `visit` says of a copy that was whole as long as it looked; FM_ECORRUPT: there is none; as fmi_shlist_acquire. */
int fmi_shlist_read(struct fmi_lock_shm *lock, const struct fmi_shlist_slot *slot,
                    fmi_shlist_visit_fn *visit, void *arg);

/* 0: held, whoever died before; -EAGAIN: the thread has it too often. */
int fmi_shlist_acquire(struct fmi_lock_shm *lock);

#endif
