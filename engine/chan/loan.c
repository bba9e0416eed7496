/* SPDX-License-Identifier: MIT */
/* Messages that are written and read where they lie: reserve and commit, borrow and release; see queue.h and parcel.h. */
#include "error.h"
#include "fault.h"
#include "queue.h"

#include <errno.h>
#include <string.h>

int fm_queue_reserve(fm_queue *q, size_t bytes, void **ptr, int64_t timeout)
{
    struct fmi_queue view;
    struct fmi_turn turn;
    uint32_t number;
    if (ptr == NULL)
        return fmi_error(-EINVAL, "ptr is NULL");
    *ptr = NULL;
    int rc = fmi_queue_look(q, &view);
    if (rc != 0)
        return rc;
    if (bytes > FM_QUEUE_MAX_BYTES)
        return fmi_error(-EMSGSIZE, "a message of %zu bytes is longer than the heap", bytes);
    fmi_turn_begin(&turn, timeout);
    rc = fmi_queue_await_room(&view, &turn);
    return rc != 0 ? rc : fmi_queue_parcel(&view, &turn, bytes, &number, ptr);
}

/* The record of what this pointer was given for. */
static int look_up(fm_queue *q, const void *ptr, unsigned state, struct fmi_queue *view,
                   uint32_t *number)
{
    int rc = fmi_queue_look(q, view);
    if (rc == 0 && fmi_parcel_find(&view->ring.parcels, ptr, state, number) != 0)
        rc = fmi_error(-EINVAL, "nothing of this queue is %s at %p",
                       state == FMI_PARCEL_LENT ? "borrowed" : "reserved", ptr);
    return rc;
}

int fm_queue_commit(fm_queue *q, void *ptr, size_t bytes, int64_t timeout)
{
    struct fmi_queue view;
    struct fmi_turn turn;
    uint32_t number;
    int rc = look_up(q, ptr, FMI_PARCEL_FILLING, &view, &number);
    if (rc != 0)
        return rc;
    size_t asked = fmi_parcel_asked(&view.ring.parcels, number);
    if (bytes > asked)
        return fmi_error(-EINVAL, "%zu bytes of a message for which %zu were reserved", bytes,
                         asked);
    fmi_turn_begin(&turn, timeout);
    return fmi_queue_put_parcel(&view, &turn, number, bytes);
}

int fm_queue_abandon(fm_queue *q, void *ptr)
{
    struct fmi_queue view;
    uint32_t number;
    int rc = look_up(q, ptr, FMI_PARCEL_FILLING, &view, &number);
    return rc != 0 ? rc : fmi_queue_give_back(&view, number);
}

/* A short message is copied out of its cell, which others need; `*number` is a parcel for that, from before. */
static int borrow_short(struct fmi_queue *view, struct fmi_spot *spot, uint32_t number, void *block)
{
    size_t bytes = fmi_ring_bytes_of(spot->size);
    int fits = block != NULL && bytes <= fmi_ring_inline(&view->ring);
    if (fits)
        memcpy(block, spot->cell->payload, bytes);
    fmi_ring_release(&view->ring, spot);
    if (!fits)
        return fmi_error(FM_ECORRUPT, "a message's length is overwritten");
    return fmi_parcel_lend(&view->ring.parcels, number, 0, view->ring.me);
}

/* Takes the next message; `*has` says that a parcel for a short one is there already, or is left. */
static int take_next(struct fmi_queue *view, struct fmi_turn *turn, struct fmi_spot *spot, int *has,
                     uint32_t *number, void **block)
{
    do {
        int rc = fmi_queue_await_message(view, turn, spot);
        if (rc == 0 && fmi_ring_parcel_of(spot->size) == 0 && !*has) {
            rc = fmi_parcel_take(&view->ring.parcels, fmi_ring_inline(&view->ring), view->ring.me,
                                 number);
            if (rc == FMI_PARCEL_ALL_TAKEN)
                rc = fmi_error(-ENOMEM, "too many messages are borrowed");
            *has = rc == 0;
            *block =
                *has ? fmi_parcel_block(&view->ring.parcels, *number, fmi_ring_inline(&view->ring))
                     : NULL;
            if (*has && *block == NULL)
                rc = fmi_error(FM_ECORRUPT, "a queue's table of blocks is overwritten");
        }
        if (rc != 0)
            return rc;
    } while (!fmi_queue_take(view, spot));
    return 0;
}

int fm_queue_borrow(fm_queue *q, void **ptr, size_t *bytes, int64_t timeout)
{
    struct fmi_queue view;
    struct fmi_turn turn;
    struct fmi_spot spot;
    uint32_t short_one = 0, number;
    int has_short = 0;
    void *block = NULL;
    if (ptr == NULL || bytes == NULL)
        return fmi_error(-EINVAL, "ptr or bytes is NULL");
    *ptr = NULL;
    *bytes = 0;
    int rc = fmi_queue_look(q, &view);
    if (rc != 0)
        return rc;
    fmi_turn_begin(&turn, timeout);
    rc = take_next(&view, &turn, &spot, &has_short, &short_one, &block);
    int is_short = rc == 0 && fmi_ring_parcel_of(spot.size) == 0;
    if (rc == 0)
        rc = is_short ? borrow_short(&view, &spot, short_one, block)
                      : fmi_queue_lend(&view, &spot, &number, ptr);
    if (has_short && (rc != 0 || !is_short))
        fmi_queue_give_back(&view, short_one);
    if (rc != 0)
        return rc;
    if (is_short)
        *ptr = block;
    *bytes = fmi_ring_bytes_of(spot.size);
    return 0;
}

int fm_queue_release(fm_queue *q, void *ptr)
{
    struct fmi_queue view;
    uint32_t number;
    int rc = look_up(q, ptr, FMI_PARCEL_LENT, &view, &number);
    return rc != 0 ? rc : fmi_queue_give_back(&view, number);
}
