/* SPDX-License-Identifier: MIT */
/* Blocks of messages and who has them; the protocol is in parcel.h. */
#include "parcel.h"

#include "error.h"
#include "fault.h"
#include "heap.h"
#include "holder.h"

#include <errno.h>

static const size_t least_room = 256, span_room = 65536, most_spare = 16 << 20;
static const uint64_t sweep_bytes = 64 << 20;
enum { SWEEP_BLOCKS = 64 };

/* private: where this thread found its last loan; a hint */
static _Thread_local uint32_t last_found;

static uint64_t word_of(const struct fmi_parcels *p, uint32_t number)
{
    /* acquire: pairs with change(), so what is read of the record afterwards is not older */
    return atomic_load_explicit(&p->records[number].word, memory_order_acquire);
}

/* The one place where a word changes. 1: it was `word`. acq_rel: pairs with itself; a block goes from hand to hand by it. */
static int change(const struct fmi_parcels *p, uint32_t number, uint64_t word, unsigned state,
                  uint64_t holder)
{
    uint64_t next = fmi_holder_word(state, fmi_holder_round(word) + 1, holder);
    return atomic_compare_exchange_strong_explicit(&p->records[number].word, &word, next,
                                                   memory_order_acq_rel, memory_order_relaxed);
}

static int is_of_dead(uint64_t word)
{
    unsigned state = fmi_holder_state(word);
    return (state == FMI_PARCEL_FILLING || state == FMI_PARCEL_LENT ||
            state == FMI_PARCEL_DROPPING) &&
           fmi_holder_alive(word) == 0;
}

/* ---- dropping ----------------------------------------------------------------------------------- */

/* It is DROPPING by `me`. The block is taken out first: one that is lost is better than one that is freed twice. */
static void drop(const struct fmi_parcels *p, uint32_t number)
{
    struct fmi_parcel_shm *record = &p->records[number];
    void *block = (void *)atomic_load_explicit(&record->block, memory_order_relaxed); /* ours */
    FMI_FAULT("parcel.drop");
    atomic_store_explicit(&record->block, 0, memory_order_relaxed);
    FMI_FAULT("parcel.lost");
    fmi_heap_free(block);
    FMI_FAULT("parcel.dropped");
    change(p, number, word_of(p, number), FMI_PARCEL_EMPTY, 0);
}

static void drop_if(const struct fmi_parcels *p, uint32_t number, uint64_t word, uint64_t me)
{
    if (change(p, number, word, FMI_PARCEL_DROPPING, me))
        drop(p, number);
}

/* 1 if a hint leads to it. */
static int is_noted(const struct fmi_parcels *p, uint32_t number)
{
    for (int i = 0; i < FMI_PARCEL_SPARES; i++)
        if (atomic_load_explicit(&p->shm->spares[i], memory_order_relaxed) == number + 1)
            return 1;
    return 0;
}

static uint32_t top_of(const struct fmi_parcels *p)
{
    uint32_t top = atomic_load_explicit(&p->shm->top, memory_order_relaxed); /* grows only */
    return top < p->n ? top : p->n;
}

void fmi_parcels_sweep(const struct fmi_parcels *p, uint64_t me)
{
    atomic_store_explicit(&p->shm->n_made, 0, memory_order_relaxed); /* hints, both */
    atomic_store_explicit(&p->shm->made_bytes, 0, memory_order_relaxed);
    for (uint32_t i = 0, top = top_of(p); i < top; i++) {
        uint64_t word = word_of(p, i);
        if (is_of_dead(word) || (fmi_holder_state(word) == FMI_PARCEL_IDLE && !is_noted(p, i)))
            drop_if(p, i, word, me);
    }
}

void fmi_parcel_bury(const struct fmi_parcels *p, uint32_t number, uint64_t at, uint64_t me)
{
    if (number >= p->n)
        return;
    uint64_t word = word_of(p, number);
    if (fmi_holder_state(word) == FMI_PARCEL_QUEUED &&
        atomic_load_explicit(&p->records[number].at, memory_order_relaxed) == at)
        drop_if(p, number, word, me);
}

/* ---- taking ------------------------------------------------------------------------------------- */

/* What the heap gives anyway. */
static size_t room_for(size_t bytes)
{
    size_t room = least_room;
    if (bytes > span_room / 2)
        return (bytes + span_room - 1) / span_room * span_room;
    while (room < bytes)
        room *= 2;
    return room;
}

static int fits(size_t room, size_t bytes)
{
    return room >= bytes && (room <= span_room || room / 4 <= bytes);
}

/* The record that a hint leads to, if it is IDLE and fits. The record decides; a hint that leads nowhere is taken away. */
static int take_hinted(const struct fmi_parcels *p, _Atomic uint32_t *spare, size_t bytes,
                       uint64_t me, uint32_t *number)
{
    uint32_t hint = atomic_load_explicit(spare, memory_order_relaxed);
    if (hint == 0 || hint > p->n)
        return 0;
    *number = hint - 1;
    uint64_t word = word_of(p, *number);
    int is_idle = fmi_holder_state(word) == FMI_PARCEL_IDLE;
    if (is_idle &&
        !fits(atomic_load_explicit(&p->records[*number].room, memory_order_relaxed), bytes))
        return 0;
    FMI_FAULT("parcel.spare");
    int is_ours = is_idle && change(p, *number, word, FMI_PARCEL_FILLING, me);
    FMI_FAULT("parcel.reused");
    atomic_compare_exchange_strong_explicit(spare, &hint, 0, memory_order_relaxed,
                                            memory_order_relaxed);
    return is_ours;
}

static int take_spare(const struct fmi_parcels *p, size_t bytes, uint64_t me, uint32_t *number)
{
    for (int i = 0; i < FMI_PARCEL_SPARES; i++)
        if (take_hinted(p, &p->shm->spares[i], bytes, me, number))
            return 1;
    return 0;
}

static void raise_top(const struct fmi_parcels *p, uint32_t top)
{
    uint32_t seen = atomic_load_explicit(&p->shm->top, memory_order_relaxed);
    while (seen < top && !atomic_compare_exchange_weak(&p->shm->top, &seen, top))
        ;
}

/* An EMPTY record becomes FILLING, still without a block. `top` comes first, or a sweep would not see it. */
static int take_empty(const struct fmi_parcels *p, uint64_t me, uint32_t *number)
{
    uint32_t hint = atomic_load_explicit(&p->shm->hint, memory_order_relaxed);
    for (uint32_t k = 0; k < p->n; k++) {
        uint32_t i = (uint32_t)(((uint64_t)hint + k) % p->n);
        uint64_t word = word_of(p, i);
        if (fmi_holder_state(word) != FMI_PARCEL_EMPTY)
            continue;
        raise_top(p, i + 1);
        if (!change(p, i, word, FMI_PARCEL_FILLING, me))
            continue;
        atomic_store_explicit(&p->shm->hint, i, memory_order_relaxed);
        *number = i;
        return 1;
    }
    return 0;
}

static int make_block(const struct fmi_parcels *p, size_t bytes, uint32_t number, uint64_t me)
{
    struct fmi_parcel_shm *record = &p->records[number];
    void *block;
    FMI_FAULT("parcel.make");
    int rc = fmi_heap_alloc(&block, bytes, 0);
    if (rc == -ENOMEM || rc == -ENOSPC) {
        fmi_parcels_sweep(p, me);
        rc = fmi_heap_alloc(&block, bytes, 0);
    }
    if (rc != 0) {
        change(p, number, word_of(p, number), FMI_PARCEL_EMPTY, 0);
        return rc;
    }
    FMI_FAULT("parcel.made");
    atomic_store_explicit(&record->room, bytes, memory_order_relaxed); /* ours: FILLING */
    atomic_store_explicit(&record->block, (uintptr_t)block, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->shm->made_bytes, bytes, memory_order_relaxed);
    if (atomic_fetch_add_explicit(&p->shm->n_made, 1, memory_order_relaxed) >= SWEEP_BLOCKS ||
        atomic_load_explicit(&p->shm->made_bytes, memory_order_relaxed) > sweep_bytes)
        fmi_parcels_sweep(p, me);
    return 0;
}

int fmi_parcel_take(const struct fmi_parcels *p, size_t bytes, uint64_t me, uint32_t *number)
{
    if (!take_spare(p, bytes, me, number)) {
        if (!take_empty(p, me, number)) {
            fmi_parcels_sweep(p, me);
            if (!take_empty(p, me, number))
                return FMI_PARCEL_ALL_TAKEN;
        }
        int rc = make_block(p, room_for(bytes), *number, me);
        if (rc != 0)
            return rc;
    }
    atomic_store_explicit(&p->records[*number].at, bytes, memory_order_relaxed); /* ours */
    FMI_FAULT("parcel.taken");
    return 0;
}

void *fmi_parcel_block(const struct fmi_parcels *p, uint32_t number, size_t bytes)
{
    if (number >= p->n)
        return NULL;
    struct fmi_parcel_shm *record = &p->records[number];
    void *block = (void *)atomic_load_explicit(&record->block, memory_order_relaxed); /* ours */
    return atomic_load_explicit(&record->room, memory_order_relaxed) >= bytes &&
                   fmi_heap_contains(block, bytes)
               ? block
               : NULL;
}

size_t fmi_parcel_asked(const struct fmi_parcels *p, uint32_t number)
{
    return atomic_load_explicit(&p->records[number].at, memory_order_relaxed); /* ours */
}

/* ---- handing on --------------------------------------------------------------------------------- */

int fmi_parcel_queue(const struct fmi_parcels *p, uint32_t number, uint64_t at)
{
    uint64_t word = word_of(p, number);
    if (fmi_holder_state(word) != FMI_PARCEL_FILLING)
        return fmi_error(FM_ECORRUPT, "a queue's table of blocks is overwritten");
    atomic_store_explicit(&p->records[number].at, at, memory_order_relaxed); /* ours: FILLING */
    FMI_FAULT("parcel.queue");
    change(p, number, word, FMI_PARCEL_QUEUED, 0);
    FMI_FAULT("parcel.queued");
    return 0;
}

int fmi_parcel_lend(const struct fmi_parcels *p, uint32_t number, uint64_t at, uint64_t me)
{
    uint64_t word = number < p->n ? word_of(p, number) : 0;
    unsigned state = fmi_holder_state(word);
    int is_there = state == FMI_PARCEL_FILLING ||
                   (state == FMI_PARCEL_QUEUED &&
                    atomic_load_explicit(&p->records[number].at, memory_order_relaxed) == at);
    FMI_FAULT("parcel.lend");
    if (!is_there || !change(p, number, word, FMI_PARCEL_LENT, me))
        return fmi_error(FM_ECORRUPT, "a queue's table of blocks is overwritten");
    FMI_FAULT("parcel.lent");
    return 0;
}

/* Notes it as a spare; one that was noted there before, and is still IDLE, makes room. */
static void note_spare(const struct fmi_parcels *p, uint32_t number, uint64_t me)
{
    uint32_t none = 0;
    for (int i = 0; i < FMI_PARCEL_SPARES; i++, none = 0)
        if (atomic_load_explicit(&p->shm->spares[i], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&p->shm->spares[i], &none, number + 1))
            return;
    uint32_t i = atomic_fetch_add_explicit(&p->shm->victim, 1, memory_order_relaxed);
    uint32_t other = atomic_exchange(&p->shm->spares[i % FMI_PARCEL_SPARES], number + 1);
    FMI_FAULT("parcel.replaced");
    if (other == 0 || other > p->n || other == number + 1)
        return;
    uint64_t word = word_of(p, other - 1);
    if (fmi_holder_state(word) == FMI_PARCEL_IDLE)
        drop_if(p, other - 1, word, me);
}

int fmi_parcel_give_back(const struct fmi_parcels *p, uint32_t number, uint64_t me)
{
    uint64_t word = word_of(p, number);
    unsigned state = fmi_holder_state(word);
    size_t room = atomic_load_explicit(&p->records[number].room, memory_order_relaxed);
    if (state != FMI_PARCEL_FILLING && state != FMI_PARCEL_LENT)
        return fmi_error(FM_ECORRUPT, "a queue's table of blocks is overwritten");
    FMI_FAULT("parcel.give_back");
    if (room > most_spare) {
        drop_if(p, number, word, me);
        return 0;
    }
    if (!change(p, number, word, FMI_PARCEL_IDLE, 0))
        return fmi_error(FM_ECORRUPT, "a message's block was given back twice");
    FMI_FAULT("parcel.idle");
    note_spare(p, number, me);
    return 0;
}

static int is_at(const struct fmi_parcels *p, uint32_t number, const void *block, unsigned state)
{
    return number < p->n && fmi_holder_state(word_of(p, number)) == state &&
           atomic_load_explicit(&p->records[number].block, memory_order_relaxed) ==
               (uintptr_t)block;
}

int fmi_parcel_find(const struct fmi_parcels *p, const void *block, unsigned state,
                    uint32_t *number)
{
    *number = last_found;
    if (block != NULL && is_at(p, last_found, block, state))
        return 0;
    for (uint32_t i = 0, top = top_of(p); i < top && block != NULL; i++)
        if (is_at(p, i, block, state)) {
            *number = last_found = i;
            return 0;
        }
    return -ENOENT;
}

void fmi_parcels_fini(const struct fmi_parcels *p)
{
    for (uint32_t i = 0, top = top_of(p); i < top; i++)
        fmi_heap_free((void *)atomic_exchange(&p->records[i].block, 0));
}
