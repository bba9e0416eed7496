/* SPDX-License-Identifier: MIT */
#ifndef FMI_DICT_TABLE_H
#define FMI_DICT_TABLE_H

/*
 * The table of one stripe of a dict (dict_stripe.h), as Python's dict has it: entries in order of insertion, and slots that lead to them by hash. The entries are the
 * truth, one word each; the slots are made of them again when somebody died.
 *
 *   entry      | 0: nothing, or no more    address of a pair; the same key keeps its entry for as long as it is there
 *   slot       | 0: none                   { hash:32, index of the entry + 1:32 }, at its hash modulo the slots or behind, without a gap
 *
 *   table   | mark | n |          0: creator; n entries, a power of two
 *   64:     | entries [n] |       holder of the stripe's lock
 *   64+8n:  | slots [2 n] |       the same
 *
 * A pair is a block of the heap. Key and sizes never change; a value of up to 8 bytes is one word, and may change in place.
 *
 *      0:  | seq |                        whoever makes it: the order of insertion in the whole dict
 *      8:  | hash | mark |                the same
 *     16:  | key_bytes | value_bytes |    the same
 *     32:  | value, padded to 8 | key |   the same; a value of one word the holder of the stripe's lock
 *
 * Processes may scribble over all this: sizes and addresses are read once, and checked, before they are used.
 */

#include <assert.h>
#include <forkmap/snapshot.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_PAIR_MARK  UINT32_C(0x52494150)         /* "PAIR" */
#define FMI_TABLE_MARK UINT64_C(0x4c42415444494d46) /* "FMIDTABL" */

struct fmi_pair_shm {
    uint64_t seq;
    uint32_t hash, mark;
    uint64_t key_bytes, value_bytes;
    _Atomic uint64_t value[];
};
static_assert(sizeof(struct fmi_pair_shm) == 32, "dict: layout");
static_assert(offsetof(struct fmi_pair_shm, value) == 32, "dict: layout");

struct fmi_table_shm {
    uint64_t mark, n;
    uint64_t pad[6];
    _Atomic uint64_t entries[];
};
static_assert(sizeof(struct fmi_table_shm) == 64, "dict: layout");

/* A table as this call sees it. */
struct fmi_table {
    uint64_t n; /* entries; 0: there is no table */
    _Atomic uint64_t *entries, *slots;
};

/* A pair, copied and checked. */
struct fmi_pair {
    struct fmi_pair_shm *shm;
    uint64_t index, seq; /* index: of its entry */
    uint32_t hash;
    fm_bytes key, value;
};

struct fmi_key {
    fm_bytes bytes;
    uint32_t hash;
};

/* [bytes] of a block; 0: there are not so many. */
size_t fmi_table_bytes(uint64_t n);
size_t fmi_pair_bytes(size_t key_bytes, size_t value_bytes);

/* 0; FM_ECORRUPT. An address of 0 is a table without entries. */
int fmi_table_at(uint64_t address, struct fmi_table *t);
/* The pair of an entry that has one. 0; FM_ECORRUPT. */
int fmi_table_pair(const struct fmi_table *t, uint64_t index, struct fmi_pair *pair);

/* A table without entries, in a zeroed block. */
void fmi_table_init(void *block, uint64_t n, struct fmi_table *t);
void fmi_pair_init(void *block, const struct fmi_key *key, fm_bytes value, uint64_t seq);

/* Its slot and pair. 1; 0: it is not there; FM_ECORRUPT. */
int fmi_table_find(const struct fmi_table *t, const struct fmi_key *key, struct fmi_pair *pair);

/* The slot of an entry, made or taken away. A table has always free slots. */
void fmi_table_index(const struct fmi_table *t, uint32_t hash, uint64_t index);
void fmi_table_unindex(const struct fmi_table *t, uint32_t hash, uint64_t index);

/* Makes all slots anew. 0; FM_ECORRUPT. n_used: entries up to the last one that has a pair. */
int fmi_table_reindex(const struct fmi_table *t, uint64_t *n_used, uint64_t *n_live);

#endif
