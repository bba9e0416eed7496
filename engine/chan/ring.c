/* SPDX-License-Identifier: MIT */
/* The ring of cells; the protocol is in ring.h. */
#include "ring.h"

#include "error.h"
#include "fault.h"
#include "holder.h"

#include <inttypes.h>

enum { INDEX_BITS = 24 };
#define INDEX_MASK ((1u << INDEX_BITS) - 1)
#define ONE_ROUND  ((uint64_t)1 << INDEX_BITS)

static uint32_t index_of(uint64_t at)
{
    return (uint32_t)at & INDEX_MASK;
}

static uint64_t round_of(uint64_t at)
{
    return at >> INDEX_BITS;
}

static uint64_t after(const struct fmi_ring *ring, uint64_t at)
{
    return index_of(at) + 1 < ring->n_cells ? at + 1 : (round_of(at) + 1) << INDEX_BITS;
}

static struct fmi_cell_shm *cell_at(const struct fmi_ring *ring, uint32_t index)
{
    return (struct fmi_cell_shm *)(ring->cells + (size_t)index * ring->cell_bytes);
}

static int is_overwritten(const struct fmi_spot *spot)
{
    return fmi_error(FM_ECORRUPT,
                     "a queue's control words are overwritten: word %#" PRIx64 " at %#" PRIx64,
                     spot->word, spot->at);
}

/* Where `end` points, and the cell there. */
static int look_at(const struct fmi_ring *ring, _Atomic uint64_t *end, struct fmi_spot *spot)
{
    spot->at = atomic_load(end);
    spot->holder = 0;
    spot->is_empty = 0;
    spot->word = 0;
    if (index_of(spot->at) >= ring->n_cells)
        return is_overwritten(spot);
    spot->cell = cell_at(ring, index_of(spot->at));
    spot->word = atomic_load(&spot->cell->word); /* acquire: pairs with w3, r3 */
    return 0;
}

/* Others' end, or this thread's own, that lags behind the cell. */
static void help(const struct fmi_ring *ring, _Atomic uint64_t *end, uint64_t at)
{
    FMI_FAULT("ring.help");
    atomic_compare_exchange_strong(end, &at, after(ring, at));
}

/* w4, r4. Where a helper was faster the operation is needed for its order: a waiter reads this end after it has joined. */
static void move_on(const struct fmi_ring *ring, _Atomic uint64_t *end, uint64_t at)
{
    if (!atomic_compare_exchange_strong(end, &at, after(ring, at)))
        atomic_fetch_add(end, 0);
}

/* The holder of the cell is dead: WRITING, READING -> FREE of the next round. `at`: the position of that round. */
static void bury(const struct fmi_ring *ring, const struct fmi_spot *spot, uint64_t at)
{
    /* relaxed: the CAS below, or the record's, finds out if it is of another round */
    uint64_t size = atomic_load_explicit(&spot->cell->size, memory_order_relaxed);
    uint64_t word = spot->word;
    if (fmi_ring_parcel_of(size) != 0)
        fmi_parcel_bury(&ring->parcels, fmi_ring_parcel_of(size) - 1, at, ring->me);
    FMI_FAULT("ring.bury");
    if (!atomic_compare_exchange_strong(&spot->cell->word, &word,
                                        fmi_holder_word(FMI_CELL_FREE, round_of(at) + 1, 0)))
        return;
    FMI_FAULT("ring.buried");
    fmi_turnstile_wake(&ring->shm->room);
    fmi_turnstile_wake(&ring->shm->message);
}

/* Somebody is at the cell: waits for him, or buries him. 0: look again. */
static int wait_or_bury(const struct fmi_ring *ring, struct fmi_spot *spot, uint64_t at)
{
    spot->holder = fmi_holder_alive(spot->word);
    if (spot->holder != 0)
        return FMI_RING_WAIT;
    bury(ring, spot, at);
    return 0;
}

void fmi_ring_init(struct fmi_ring_shm *shm, uint32_t n_cells, uint32_t cell_bytes)
{
    shm->n_cells = n_cells;
    shm->cell_bytes = cell_bytes;
    atomic_init(&shm->closed, 0);
    atomic_init(&shm->tail, 0);
    atomic_init(&shm->head, 0);
    atomic_init(&shm->message.word, 2);
    atomic_init(&shm->room.word, 2);
}

/* ---- writers ------------------------------------------------------------------------------------ */

/* The cell has the message of the last round. 0: look again. */
static int wait_for_reader(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    switch (fmi_holder_state(spot->word)) {
    case FMI_CELL_FULL:
        return FMI_RING_WAIT;
    case FMI_CELL_WRITING:
    case FMI_CELL_READING:
        return wait_or_bury(ring, spot, spot->at - ONE_ROUND);
    default:
        return is_overwritten(spot);
    }
}

int fmi_ring_find_room(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    for (;;) {
        if (atomic_load_explicit(&ring->shm->closed, memory_order_relaxed) != 0)
            return FM_ECLOSED; /* relaxed: if it is missed, SEALED tells */
        int rc = look_at(ring, &ring->shm->tail, spot);
        if (rc != 0)
            return rc;
        int32_t ahead = fmi_holder_ahead(spot->word, round_of(spot->at));
        unsigned state = fmi_holder_state(spot->word);
        if (ahead == 0 && state == FMI_CELL_FREE)
            return 0;
        if (ahead == 0 && state == FMI_CELL_SEALED)
            return FM_ECLOSED;
        if (ahead >= 0)
            help(ring, &ring->shm->tail, spot->at);
        else if (ahead < -1)
            return is_overwritten(spot);
        else if ((rc = wait_for_reader(ring, spot)) != 0)
            return rc;
    }
}

int fmi_ring_claim(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    uint64_t claimed = fmi_holder_word(FMI_CELL_WRITING, round_of(spot->at), ring->me);
    FMI_FAULT("ring.claim");
    /* acquire: pairs with r3 */
    int is_ours = atomic_compare_exchange_strong_explicit(
        &spot->cell->word, &spot->word, claimed, memory_order_acquire, memory_order_relaxed);
    FMI_FAULT("ring.claimed");
    return is_ours;
}

void fmi_ring_commit(const struct fmi_ring *ring, struct fmi_spot *spot, uint64_t size)
{
    /* relaxed: published by the word */
    atomic_store_explicit(&spot->cell->size, size, memory_order_relaxed);
    FMI_FAULT("ring.commit");
    /* release: pairs with the load in look_at, and r1 */
    atomic_store_explicit(&spot->cell->word, fmi_holder_word(FMI_CELL_FULL, round_of(spot->at), 0),
                          memory_order_release);
    FMI_FAULT("ring.full");
    move_on(ring, &ring->shm->tail, spot->at);
    FMI_FAULT("ring.tail");
    fmi_turnstile_wake(&ring->shm->message);
}

/* ---- readers ------------------------------------------------------------------------------------ */

/* Nothing is there. Closed: nothing will be, once the cell is sealed. 0: look again. */
static int seal(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    if (atomic_load(&ring->shm->closed) == 0) {
        spot->is_empty = 1;
        return FMI_RING_WAIT;
    }
    FMI_FAULT("ring.seal");
    uint64_t word = spot->word;
    return atomic_compare_exchange_strong(&spot->cell->word, &word,
                                          fmi_holder_word(FMI_CELL_SEALED, round_of(spot->at), 0))
               ? FM_ECLOSED
               : 0;
}

/* The cell at head is still of the last round: its reader is slow, and all the others are free. 0: look again. */
static int wait_for_slow_reader(const struct fmi_ring *ring, struct fmi_spot *spot, int32_t ahead)
{
    if (ahead != -1 || fmi_holder_state(spot->word) != FMI_CELL_READING)
        return is_overwritten(spot);
    int rc = wait_or_bury(ring, spot, spot->at - ONE_ROUND);
    spot->is_empty = rc == FMI_RING_WAIT;
    return rc;
}

/* 0: the cell has a message, or (`again`) look again. */
static int judge(const struct fmi_ring *ring, struct fmi_spot *spot, int *again)
{
    int32_t ahead = fmi_holder_ahead(spot->word, round_of(spot->at));
    *again = 1;
    if (ahead < 0)
        return wait_for_slow_reader(ring, spot, ahead);
    unsigned state = ahead > 0 ? FMI_CELL_READING : fmi_holder_state(spot->word);
    switch (state) {
    case FMI_CELL_FREE:
        return seal(ring, spot);
    case FMI_CELL_WRITING:
        return wait_or_bury(ring, spot, spot->at);
    case FMI_CELL_FULL:
        /* relaxed: published by the word; r1 finds out if it is of another round */
        spot->size = atomic_load_explicit(&spot->cell->size, memory_order_relaxed);
        *again = 0;
        return 0;
    case FMI_CELL_READING: /* or past it */
        help(ring, &ring->shm->head, spot->at);
        return 0;
    case FMI_CELL_SEALED:
        return FM_ECLOSED;
    default:
        return is_overwritten(spot);
    }
}

int fmi_ring_find(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    int rc, again = 1;
    do {
        rc = look_at(ring, &ring->shm->head, spot);
        if (rc == 0)
            rc = judge(ring, spot, &again);
    } while (rc == 0 && again);
    return rc;
}

int fmi_ring_take(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    uint64_t taken = fmi_holder_word(FMI_CELL_READING, round_of(spot->at), ring->me);
    FMI_FAULT("ring.take");
    /* acquire: pairs with w3 */
    int is_ours = atomic_compare_exchange_strong_explicit(
        &spot->cell->word, &spot->word, taken, memory_order_acquire, memory_order_relaxed);
    FMI_FAULT("ring.taken");
    return is_ours;
}

void fmi_ring_release(const struct fmi_ring *ring, struct fmi_spot *spot)
{
    FMI_FAULT("ring.release");
    /* release: pairs with w1 */
    atomic_store_explicit(&spot->cell->word,
                          fmi_holder_word(FMI_CELL_FREE, round_of(spot->at) + 1, 0),
                          memory_order_release);
    FMI_FAULT("ring.free");
    move_on(ring, &ring->shm->head, spot->at);
    FMI_FAULT("ring.head");
    fmi_turnstile_wake(&ring->shm->room);
    if (atomic_load_explicit(&ring->shm->closed, memory_order_relaxed) != 0)
        fmi_turnstile_wake_all(&ring->shm->message); /* the last reader can seal the cell now */
}

void fmi_ring_close(const struct fmi_ring *ring)
{
    atomic_store(&ring->shm->closed, 1);
    FMI_FAULT("ring.closed");
    fmi_turnstile_wake_all(&ring->shm->message);
    fmi_turnstile_wake_all(&ring->shm->room);
}

uint32_t fmi_ring_count(const struct fmi_ring *ring)
{
    uint64_t head = atomic_load(&ring->shm->head), tail = atomic_load(&ring->shm->tail);
    if (tail <= head)
        return 0;
    uint64_t n =
        (round_of(tail) - round_of(head)) * ring->n_cells + index_of(tail) - index_of(head);
    return n < ring->n_cells ? (uint32_t)n : ring->n_cells;
}
