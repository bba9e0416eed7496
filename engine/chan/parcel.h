/* SPDX-License-Identifier: MIT */
#ifndef FMI_PARCEL_H
#define FMI_PARCEL_H

/*
 * Parcels: blocks of the heap for messages that do not fit into a cell, and for those that are written or read in place. Each block belongs to
 * one record of the queue's table for as long as it exists, wherever the message is; the record's word says who has it. So when a
 * process dies its blocks are found, and none is freed twice.
 *
 *   state     | holder | moved on by                                          | the holder dies here
 *   EMPTY 0   | -      | take: FILLING, then the block is made                | -
 *   FILLING   | writer | queue: QUEUED; give_back: IDLE                       | sweep: DROPPING; a block that is not noted yet is lost
 *   QUEUED    | -      | lend: LENT; bury: DROPPING                           | -  (the cell at `at` has it)
 *   LENT      | reader | give_back: IDLE                                      | sweep: DROPPING
 *   IDLE      | -      | take: FILLING; give_back of another, sweep: DROPPING | -
 *   DROPPING  | anyone | drop: the block is taken out, freed; EMPTY           | sweep goes on; between taking out and freeing the block is lost
 * A record is 0 at first, against the rule that no state is, so that a table costs no pages before they are used.
 *
 * INVARIANTS
 *   (1) Every change of a word is a CAS, and the round grows with each: who has read a record knows by his CAS that what he read is still so.
 *   (2) `block`, `room` and `at` are written by the holder only, in FILLING and DROPPING.
 *   (3) A QUEUED parcel is in one cell, that of position `at`, or that cell's thread is dead and was not buried yet.
 *
 * Blocks are not freed at once: up to 8 IDLE ones of up to 16 MiB are noted in `spares`, which is a hint. Who makes a new block sweeps the table
 * first, every 64 blocks or 64 MiB: what the dead had is at most that much, and one queue full.
 */

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum fmi_parcel_state {
    FMI_PARCEL_EMPTY = 0,
    FMI_PARCEL_FILLING = 1,
    FMI_PARCEL_QUEUED = 2,
    FMI_PARCEL_LENT = 3,
    FMI_PARCEL_IDLE = 4,
    FMI_PARCEL_DROPPING = 5
};

enum { FMI_PARCEL_SPARES = 8, FMI_PARCEL_ALL_TAKEN = 1 };

/* A record. Two share a line: they are used by turns. */
struct fmi_parcel_shm {
    _Atomic uint64_t word; /* holder.h */
    _Atomic uintptr_t block;
    _Atomic uint64_t room; /* [bytes] of the block */
    _Atomic uint64_t at;   /* FILLING: [bytes] asked for; QUEUED: its position */
};
static_assert(sizeof(struct fmi_parcel_shm) == 32, "parcel: layout");

/*
 *      0:  | spares [8] |                        anyone: number + 1 of a record that is IDLE, perhaps; 0
 *     32:  | top | hint | n_made | victim |      anyone: records below `top` were used; where an EMPTY one may be; blocks since the last sweep
 *     48:  | made_bytes |                        anyone
 */
struct fmi_parcels_shm {
    alignas(64) _Atomic uint32_t spares[FMI_PARCEL_SPARES];
    _Atomic uint32_t top, hint, n_made, victim;
    _Atomic uint64_t made_bytes;
};
static_assert(sizeof(struct fmi_parcels_shm) == 64, "parcels: layout");

/* A process's view: private, checked by the one who makes it. */
struct fmi_parcels {
    struct fmi_parcels_shm *shm;
    struct fmi_parcel_shm *records;
    uint32_t n;
};

/* A block of at least `bytes`, FILLING by `me`. 0; FMI_PARCEL_ALL_TAKEN; -ENOMEM, -ENOSPC; FM_ECORRUPT. */
int fmi_parcel_take(const struct fmi_parcels *p, size_t bytes, uint64_t me, uint32_t *number);

/* Its memory, if that lies in the heap and has `bytes`; else NULL. */
void *fmi_parcel_block(const struct fmi_parcels *p, uint32_t number, size_t bytes);

/* [bytes] asked for when it was taken; of a FILLING one. */
size_t fmi_parcel_asked(const struct fmi_parcels *p, uint32_t number);

/* FILLING -> QUEUED, in the cell of position `at`. FILLING again after a commit that could not be. 0; FM_ECORRUPT. */
int fmi_parcel_queue(const struct fmi_parcels *p, uint32_t number, uint64_t at);

/* QUEUED at `at`, or FILLING -> LENT to `me`. 0; FM_ECORRUPT. */
int fmi_parcel_lend(const struct fmi_parcels *p, uint32_t number, uint64_t at, uint64_t me);

/* FILLING, LENT -> IDLE. 0; FM_ECORRUPT: it was neither. */
int fmi_parcel_give_back(const struct fmi_parcels *p, uint32_t number, uint64_t me);

/* QUEUED at `at`, whose thread is dead -> EMPTY. Anything else is left alone. */
void fmi_parcel_bury(const struct fmi_parcels *p, uint32_t number, uint64_t at, uint64_t me);

/* Frees what the dead have, and IDLE ones that no hint leads to. */
void fmi_parcels_sweep(const struct fmi_parcels *p, uint64_t me);

/* Which one has its block there and is in that state. 0, or -ENOENT. */
int fmi_parcel_find(const struct fmi_parcels *p, const void *block, unsigned state,
                    uint32_t *number);

/* Frees every block; nobody uses the table any more. */
void fmi_parcels_fini(const struct fmi_parcels *p);

#endif
