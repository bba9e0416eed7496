/* SPDX-License-Identifier: MIT */
/* The life of a queue: create, put, get, close, join, destroy; see queue.h. */
#include "queue.h"

#include "checked.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "message.h"
#include "opts.h"

#include <errno.h>
#include <string.h>

enum { MORE_PARCELS = 1024, DEFAULT_CELL = 128 };

/* ---- where it lies ------------------------------------------------------------------------------ */

/* [bytes] of a queue in all; 0: no queue has such numbers. */
static size_t bytes_in_all(uint32_t n_cells, uint32_t cell_bytes, uint32_t n_parcels,
                           int is_joinable)
{
    if (n_cells == 0 || n_cells > FMI_RING_MOST_CELLS || cell_bytes < FMI_RING_LEAST_CELL ||
        cell_bytes > FMI_RING_MOST_CELL || cell_bytes % FMI_RING_LEAST_CELL != 0 ||
        n_parcels != n_cells + MORE_PARCELS)
        return 0;
    return sizeof(struct fm_queue) + (size_t)n_cells * cell_bytes +
           ((size_t)n_parcels * sizeof(struct fmi_parcel_shm) + 63) / 64 * 64 +
           (is_joinable ? sizeof(struct fmi_hands_shm) : 0);
}

int fmi_queue_look(fm_queue *q, struct fmi_queue *view)
{
    if (q == NULL)
        return fmi_error(-EINVAL, "the queue is NULL");
    if ((uintptr_t)q % 64 != 0 || !fmi_heap_contains(q, sizeof *q) ||
        atomic_load_explicit(&q->mark, memory_order_acquire) !=
            FMI_QUEUE_LIVE) /* pairs with fm_queue_create */
        return fmi_error(FM_ECORRUPT, "%p is no queue (any more)", (void *)q);
    struct fmi_ring_shm *shm = &q->ring;
    uint32_t n_cells = shm->n_cells, cell_bytes = shm->cell_bytes, n_parcels = q->n_parcels;
    int is_joinable = q->is_joinable != 0;
    size_t bytes = bytes_in_all(n_cells, cell_bytes, n_parcels, is_joinable);
    if (bytes == 0 || !fmi_heap_contains(q, bytes))
        return fmi_error(FM_ECORRUPT, "the queue at %p is overwritten", (void *)q);
    char *cells = (char *)(q + 1), *records = cells + (size_t)n_cells * cell_bytes;
    char *end = (char *)q + bytes;
    view->ring = (struct fmi_ring){
        .shm = shm,
        .cells = cells,
        .n_cells = n_cells,
        .cell_bytes = cell_bytes,
        .parcels = {&q->parcels, (struct fmi_parcel_shm *)records, n_parcels},
        .me = fmi_mortal_self(),
    };
    view->hands = is_joinable ? (struct fmi_hands_shm *)(end - sizeof(struct fmi_hands_shm)) : NULL;
    view->done = &q->done;
    return view->ring.me != 0 ? 0
                              : fmi_error(-ENOMEM, "more threads than the family's table holds");
}

/* ---- create and destroy ------------------------------------------------------------------------- */

static int read_opts(const fm_queue_opts *given, fm_queue_opts *opts)
{
    int rc = fmi_opts_copy(opts, sizeof *opts, given);
    if (rc != 0)
        return rc;
    if (opts->capacity < 0 || opts->capacity > FM_QUEUE_MAX_CAPACITY)
        return fmi_error(-EINVAL, "capacity %lld is not in 1 .. %d", (long long)opts->capacity,
                         FM_QUEUE_MAX_CAPACITY);
    if (opts->capacity == 0)
        opts->capacity = FM_QUEUE_DEFAULT_CAPACITY;
    return 0;
}

static uint32_t cell_for(size_t message_bytes)
{
    if (message_bytes == 0)
        return DEFAULT_CELL;
    if (message_bytes > FMI_RING_MOST_CELL - sizeof(struct fmi_cell_shm))
        return FMI_RING_LEAST_CELL; /* all go into parcels, but for notes of a few words */
    return (uint32_t)(message_bytes + sizeof(struct fmi_cell_shm) + 63) / 64 * 64;
}

int fm_queue_create(fm_queue **out, const fm_queue_opts *given)
{
    fm_queue_opts opts;
    void *memory;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = read_opts(given, &opts);
    if (rc != 0)
        return rc;
    uint32_t n_cells = (uint32_t)opts.capacity, cell_bytes = cell_for(opts.message_bytes);
    uint32_t n_parcels = n_cells + MORE_PARCELS;
    size_t bytes = bytes_in_all(n_cells, cell_bytes, n_parcels, opts.joinable != 0);
    rc = fmi_heap_alloc(&memory, bytes, FMI_HEAP_ZERO);
    if (rc != 0)
        return rc;
    fm_queue *q = memory;
    q->n_parcels = n_parcels;
    q->is_joinable = opts.joinable != 0;
    fmi_ring_init(&q->ring, n_cells, cell_bytes);
    atomic_init(&q->done.word, 2);
    /* release: pairs with fmi_queue_look */
    atomic_store_explicit(&q->mark, FMI_QUEUE_LIVE, memory_order_release);
    *out = q;
    return 0;
}

void fm_queue_destroy(fm_queue *q)
{
    struct fmi_queue view;
    uint64_t live = FMI_QUEUE_LIVE;
    if (q == NULL)
        return;
    /* of two that destroy at once one wins */
    if (fm_queue_close(q) != 0 || fmi_queue_look(q, &view) != 0 ||
        !atomic_compare_exchange_strong(&q->mark, &live, FMI_QUEUE_DEAD)) {
        fmi_log(FM_LOG_ERROR, "destroy of %p, which is no queue (any more)", (void *)q);
        return;
    }
    FMI_FAULT("queue.dead");
    fmi_parcels_fini(&view.ring.parcels);
    fmi_heap_free(q);
}

/* ---- put ---------------------------------------------------------------------------------------- */

int fmi_queue_await_room(struct fmi_queue *view, struct fmi_turn *turn)
{
    struct fmi_spot spot;
    int rc;
    while ((rc = fmi_ring_find_room(&view->ring, &spot)) == FMI_RING_WAIT &&
           (rc = fmi_turn_wait(turn, &view->ring.shm->room, &view->ring.shm->head, spot.holder)) ==
               0)
        ;
    return rc;
}

int fmi_queue_claim(struct fmi_queue *view, struct fmi_turn *turn, struct fmi_spot *spot)
{
    for (;;) {
        int rc = fmi_ring_find_room(&view->ring, spot);
        if (rc == 0 && fmi_ring_claim(&view->ring, spot))
            return 0;
        if (rc == FMI_RING_WAIT)
            rc = fmi_turn_wait(turn, &view->ring.shm->room, &view->ring.shm->head, spot->holder);
        if (rc != 0)
            return rc;
    }
}

int fmi_queue_parcel(struct fmi_queue *view, struct fmi_turn *turn, size_t bytes, uint32_t *number,
                     void **block)
{
    int rc;
    while ((rc = fmi_parcel_take(&view->ring.parcels, bytes, view->ring.me, number)) ==
               FMI_PARCEL_ALL_TAKEN &&
           (rc = fmi_turn_wait(turn, &view->ring.shm->room, &view->ring.shm->head, 0)) == 0)
        ;
    if (rc != 0)
        return rc;
    *block = fmi_parcel_block(&view->ring.parcels, *number, bytes);
    return *block != NULL ? 0 : fmi_error(FM_ECORRUPT, "a queue's table of blocks is overwritten");
}

int fmi_queue_give_back(struct fmi_queue *view, uint32_t number)
{
    int rc = fmi_parcel_give_back(&view->ring.parcels, number, view->ring.me);
    fmi_turnstile_wake(&view->ring.shm->room);
    return rc;
}

int fmi_queue_put_parcel(struct fmi_queue *view, struct fmi_turn *turn, uint32_t number,
                         size_t bytes)
{
    struct fmi_spot spot;
    int rc = fmi_queue_claim(view, turn, &spot);
    if (rc != 0)
        return rc;
    uint64_t size = (uint64_t)(number + 1) << 40 | bytes;
    /* before the parcel is QUEUED: whoever buries the cell finds it by this */
    atomic_store_explicit(&spot.cell->size, size, memory_order_relaxed);
    rc = fmi_parcel_queue(&view->ring.parcels, number, spot.at);
    fmi_ring_commit(&view->ring, &spot, rc == 0 ? size : 0);
    return rc;
}

static int put_long(struct fmi_queue *view, struct fmi_turn *turn, const void *data, size_t bytes)
{
    uint32_t number;
    void *block;
    int rc = fmi_queue_await_room(view, turn); /* or it would be copied for nothing */
    if (rc == 0)
        rc = fmi_queue_parcel(view, turn, bytes, &number, &block);
    if (rc != 0)
        return rc;
    memcpy(block, data, bytes);
    FMI_FAULT("queue.copied");
    rc = fmi_queue_put_parcel(view, turn, number, bytes);
    if (rc != 0 && rc != FM_ECORRUPT)
        fmi_queue_give_back(view, number);
    return rc;
}

int fm_queue_put(fm_queue *q, const void *data, size_t bytes, int64_t timeout)
{
    struct fmi_queue view;
    struct fmi_turn turn;
    struct fmi_spot spot;
    int rc = fmi_queue_look(q, &view);
    if (rc != 0)
        return rc;
    if (data == NULL && bytes > 0)
        return fmi_error(-EINVAL, "data is NULL");
    if (bytes > FM_QUEUE_MAX_BYTES)
        return fmi_error(-EMSGSIZE, "a message of %zu bytes is longer than the heap", bytes);
    fmi_turn_begin(&turn, timeout);
    if (bytes > fmi_ring_inline(&view.ring))
        return put_long(&view, &turn, data, bytes);
    rc = fmi_queue_claim(&view, &turn, &spot);
    if (rc != 0)
        return rc;
    if (bytes > 0)
        memcpy(spot.cell->payload, data, bytes);
    fmi_ring_commit(&view.ring, &spot, bytes);
    return 0;
}

int fm_queue_put_nowait(fm_queue *q, const void *data, size_t bytes)
{
    return fm_queue_put(q, data, bytes, FM_NOWAIT);
}

/* ---- get ---------------------------------------------------------------------------------------- */

int fmi_queue_await_message(struct fmi_queue *view, struct fmi_turn *turn, struct fmi_spot *spot)
{
    struct fmi_ring_shm *shm = view->ring.shm;
    int rc;
    while ((rc = fmi_ring_find(&view->ring, spot)) == FMI_RING_WAIT &&
           (rc = fmi_turn_wait(turn, &shm->message, &shm->tail, spot->holder)) == 0)
        ;
    return rc;
}

/* One message less is open. seq_cst: k1 of the joiners' turnstile. */
static void tell_joiners(struct fmi_queue *view)
{
    atomic_fetch_add(&view->hands->changes, 1);
    FMI_FAULT("queue.done");
    fmi_turnstile_wake(view->done);
}

int fmi_queue_take(struct fmi_queue *view, struct fmi_spot *spot)
{
    if (view->hands == NULL)
        return fmi_ring_take(&view->ring, spot);
    fmi_hands_add(view->hands, view->ring.me);
    if (fmi_ring_take(&view->ring, spot))
        return 1;
    fmi_hands_take_off(view->hands, view->ring.me);
    tell_joiners(view);
    return 0;
}

int fmi_queue_lend(struct fmi_queue *view, struct fmi_spot *spot, uint32_t *number, void **block)
{
    size_t bytes = fmi_ring_bytes_of(spot->size);
    *number = fmi_ring_parcel_of(spot->size) - 1;
    int rc = fmi_parcel_lend(&view->ring.parcels, *number, spot->at, view->ring.me);
    fmi_ring_release(&view->ring, spot);
    if (rc != 0)
        return rc;
    *block = fmi_parcel_block(&view->ring.parcels, *number, bytes);
    return *block != NULL ? 0 : fmi_error(FM_ECORRUPT, "a queue's table of blocks is overwritten");
}

static int get_long(struct fmi_queue *view, struct fmi_spot *spot, void *buf, size_t bytes)
{
    uint32_t number;
    void *block;
    int rc = fmi_queue_lend(view, spot, &number, &block);
    if (rc != 0)
        return rc;
    if (bytes > 0) /* one of none may have been written in place, and buf be NULL */
        memcpy(buf, block, bytes);
    return fmi_queue_give_back(view, number);
}

/* The message is this thread's: out of the cell. */
static int get_taken(struct fmi_queue *view, struct fmi_spot *spot, void *buf, size_t bytes)
{
    if (fmi_ring_parcel_of(spot->size) != 0)
        return get_long(view, spot, buf, bytes);
    int fits = bytes <= fmi_ring_inline(&view->ring);
    if (fits && bytes > 0)
        memcpy(buf, spot->cell->payload, bytes);
    fmi_ring_release(&view->ring, spot);
    return fits ? 0 : fmi_error(FM_ECORRUPT, "a message's length is overwritten");
}

/* It stays, unless it was another's already. Whoever sleeps may have a larger buffer. 1: it is so. */
static int is_too_long(struct fmi_queue *view, const struct fmi_spot *spot, size_t cap)
{
    if (fmi_ring_bytes_of(spot->size) <= cap || atomic_load(&spot->cell->word) != spot->word)
        return 0;
    fmi_turnstile_wake(&view->ring.shm->message);
    return 1;
}

int fm_queue_get(fm_queue *q, void *buf, size_t cap, size_t *bytes, int64_t timeout)
{
    struct fmi_queue view;
    struct fmi_turn turn;
    struct fmi_spot spot;
    size_t length;
    if (bytes != NULL)
        *bytes = 0;
    int rc = fmi_queue_look(q, &view);
    if (rc != 0)
        return rc;
    if (buf == NULL && cap > 0)
        return fmi_error(-EINVAL, "buf is NULL");
    fmi_turn_begin(&turn, timeout);
    do {
        rc = fmi_queue_await_message(&view, &turn, &spot);
        if (rc != 0)
            return rc;
        length = fmi_ring_bytes_of(spot.size);
        if (is_too_long(&view, &spot, cap))
            rc = fmi_error(FM_ETOOLONG, "the message has %zu bytes, the buffer %zu", length, cap);
    } while (rc == 0 && (length > cap || !fmi_queue_take(&view, &spot)));
    if (rc == 0)
        rc = get_taken(&view, &spot, buf, length);
    if (bytes != NULL && (rc == 0 || rc == FM_ETOOLONG))
        *bytes = length;
    return rc;
}

int fm_queue_get_nowait(fm_queue *q, void *buf, size_t cap, size_t *bytes)
{
    return fm_queue_get(q, buf, cap, bytes, FM_NOWAIT);
}

/* ---- questions and the end ---------------------------------------------------------------------- */

int64_t fm_queue_size(fm_queue *q)
{
    struct fmi_queue view;
    return q != NULL && fmi_queue_look(q, &view) == 0 ? fmi_ring_count(&view.ring) : 0;
}

int fm_queue_empty(fm_queue *q)
{
    struct fmi_queue view;
    struct fmi_spot spot;
    return q == NULL || fmi_queue_look(q, &view) != 0 || fmi_ring_find(&view.ring, &spot) != 0;
}

int fm_queue_full(fm_queue *q)
{
    struct fmi_queue view;
    struct fmi_spot spot;
    return q != NULL && fmi_queue_look(q, &view) == 0 &&
           fmi_ring_find_room(&view.ring, &spot) == FMI_RING_WAIT;
}

int fm_queue_close(fm_queue *q)
{
    struct fmi_queue view;
    int rc = fmi_queue_look(q, &view);
    if (rc == 0)
        fmi_ring_close(&view.ring);
    return rc;
}

/* ---- joinable ----------------------------------------------------------------------------------- */

static int look_joinable(fm_queue *q, struct fmi_queue *view)
{
    int rc = fmi_queue_look(q, view);
    if (rc == 0 && view->hands == NULL)
        rc = fmi_error(-EINVAL, "the queue was not made joinable");
    return rc;
}

int fm_queue_task_done(fm_queue *q)
{
    struct fmi_queue view;
    int rc = look_joinable(q, &view);
    if (rc != 0)
        return rc;
    rc = fmi_hands_take_off(view.hands, view.ring.me);
    if (rc != 0)
        return fmi_error(rc, "task_done is called more often than messages were taken");
    tell_joiners(&view);
    return 0;
}

/* The cells first: what leaves them is in a hand already (hands.h). 1: all is done. */
static int is_all_done(struct fmi_queue *view, int *rc)
{
    struct fmi_spot spot;
    int found = fmi_ring_find(&view->ring, &spot);
    *rc = found == FM_ECORRUPT ? found : 0;
    int is_drained = found == FM_ECLOSED || (found == FMI_RING_WAIT && spot.is_empty);
    return *rc == 0 && is_drained && fmi_hands_are_empty(view->hands);
}

int fm_queue_join(fm_queue *q, int64_t timeout)
{
    struct fmi_queue view;
    struct fmi_turn turn;
    int rc = look_joinable(q, &view);
    if (rc != 0)
        return rc;
    fmi_turn_begin(&turn, timeout);
    while (!is_all_done(&view, &rc)) {
        if (rc == 0)
            rc = fmi_turn_wait(&turn, view.done, &view.hands->changes, 0);
        if (rc != 0)
            return rc;
    }
    fmi_turnstile_wake(view.done); /* another may wait for the same */
    uint64_t n_lost = atomic_exchange(&view.hands->lost, 0);
    return n_lost == 0 ? 0
                       : fmi_error(FM_EOWNERDEAD, "%llu messages were with threads that ended",
                                   (unsigned long long)n_lost);
}

/* ---- simple queues ------------------------------------------------------------------------------ */

int fm_simple_queue_create(fm_simple_queue **out)
{
    return fm_queue_create((fm_queue **)out, NULL);
}

void fm_simple_queue_destroy(fm_simple_queue *q)
{
    fm_queue_destroy((fm_queue *)q);
}

int fm_simple_queue_put(fm_simple_queue *q, const void *data, size_t bytes)
{
    return fm_queue_put((fm_queue *)q, data, bytes, FM_FOREVER);
}

int fm_simple_queue_get(fm_simple_queue *q, void *buf, size_t cap, size_t *bytes)
{
    return fm_queue_get((fm_queue *)q, buf, cap, bytes, FM_FOREVER);
}

int fm_simple_queue_empty(fm_simple_queue *q)
{
    return fm_queue_empty((fm_queue *)q);
}

int fm_simple_queue_close(fm_simple_queue *q)
{
    return fm_queue_close((fm_queue *)q);
}
