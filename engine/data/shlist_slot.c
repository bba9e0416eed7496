/* SPDX-License-Identifier: MIT */
/* Slots of lists; see shlist_slot.h. */
#include "shlist_slot.h"

#include "clock.h"
#include "error.h"
#include "fault.h"

enum { MAX_LOOKS = 64 }; /* of a reader, before it takes the lock */

/* The bits of what is no text and no bytes. */
static uint64_t bits_of(const fm_shlist_item *item)
{
    uint64_t bits = 0;
    if (item->type == FM_SHLIST_INT)
        memcpy(&bits, &item->integer, sizeof bits);
    else if (item->type == FM_SHLIST_DOUBLE)
        memcpy(&bits, &item->real, sizeof bits);
    else if (item->type == FM_SHLIST_BOOL)
        bits = item->boolean != 0;
    return bits;
}

void fmi_shlist_set_bits(fm_shlist_item *item, uint64_t bits)
{
    if (item->type == FM_SHLIST_INT)
        memcpy(&item->integer, &bits, sizeof bits);
    else if (item->type == FM_SHLIST_DOUBLE)
        memcpy(&item->real, &bits, sizeof bits);
    else if (item->type == FM_SHLIST_BOOL)
        item->boolean = bits != 0;
}

static int visit_copy(const struct fmi_shlist_slot *slot, uint64_t turn, fmi_shlist_visit_fn *visit,
                      void *arg)
{
    const _Atomic uint64_t *head = slot->copies[turn & 1];
    /* Acquire: pairs with the releases in fmi_shlist_write, as that of the words. */
    const uint64_t bits = atomic_load_explicit(head, memory_order_acquire);
    const struct fmi_shlist_copy copy = {(int)(bits & 0xff), bits >> 8, head + 1};
    const uint64_t most = fmi_shlist_has_data(copy.type) ? slot->n_words * sizeof(uint64_t) : 0;
    if (copy.type < FM_SHLIST_NONE || copy.type > FM_SHLIST_BYTES || copy.bytes > most)
        return FM_ECORRUPT;
    return visit(&copy, arg);
}

static int is_held(int code)
{
    return code == 0 || code == FM_EOWNERDEAD; /* who died has left nothing to repair */
}

int fmi_shlist_acquire(struct fmi_lock_shm *lock)
{
    int code = fmi_lock_acquire(lock, FMI_NEVER);
    return is_held(code) ? 0 : fmi_error(code, "the lock of a list: %s", fm_strerror(code));
}

static int visit_under_lock(struct fmi_lock_shm *lock, const struct fmi_shlist_slot *slot,
                            fmi_shlist_visit_fn *visit, void *arg)
{
    int code = fmi_shlist_acquire(lock);
    if (code != 0)
        return code;
    /* Acquire: the copy is there that it points at; pairs with the release in fmi_shlist_write. */
    code = visit_copy(slot, atomic_load_explicit(slot->turn, memory_order_acquire), visit, arg);
    fmi_lock_release(lock);
    return code;
}

int fmi_shlist_read(struct fmi_lock_shm *lock, const struct fmi_shlist_slot *slot,
                    fmi_shlist_visit_fn *visit, void *arg)
{
    for (int i = 0; i < MAX_LOOKS; i++) {
        /* Acquire: the copy is there that it points at; pairs with the release in fmi_shlist_write. */
        const uint64_t turn = atomic_load_explicit(slot->turn, memory_order_acquire);
        const int code = visit_copy(slot, turn, visit, arg);
        FMI_FAULT("shlist.read");
        /* Relaxed: the acquires of head and words keep it behind them. Who saw a word of turn + 2 sees turn + 1 here. */
        if (atomic_load_explicit(slot->turn, memory_order_relaxed) == turn)
            return code;
        fmi_relax();
    }
    return visit_under_lock(lock, slot, visit, arg);
}

static void write_words(_Atomic uint64_t *words, const fm_shlist_item *item)
{
    if (!fmi_shlist_has_data(item->type)) {
        atomic_store_explicit(words, bits_of(item), memory_order_release); /* as below */
        return;
    }
    for (size_t at = 0; at < item->bytes; at += sizeof *words) {
        /* Release: who reads this word sees the turn that came before; pairs with the acquires of readers. */
        atomic_store_explicit(words + at / sizeof *words,
                              fmi_shlist_word_of(item->data, item->bytes, at),
                              memory_order_release);
        FMI_FAULT("shlist.word");
    }
}

static uint64_t head_of(const fm_shlist_item *item)
{
    return (uint64_t)item->type |
           (fmi_shlist_has_data(item->type) ? (uint64_t)item->bytes << 8 : 0);
}

void fmi_shlist_init(const struct fmi_shlist_slot *slot)
{
    atomic_init(slot->turn, FMI_SHLIST_FIRST_TURN);
}

void fmi_shlist_write(const struct fmi_shlist_slot *slot, const fm_shlist_item *item)
{
    /* Acquire: that turn comes before what is written now, also if its writer died; pairs with the release below. */
    const uint64_t turn = atomic_load_explicit(slot->turn, memory_order_acquire);
    _Atomic uint64_t *copy = slot->copies[(turn + 1) & 1];
    atomic_store_explicit(copy, head_of(item), memory_order_release); /* as the words */
    FMI_FAULT("shlist.head");
    write_words(copy + 1, item);
    FMI_FAULT("shlist.written");
    /* Release: the copy is whole where this is seen; pairs with the acquire in fmi_shlist_read. */
    atomic_store_explicit(slot->turn, turn + 1, memory_order_release);
    FMI_FAULT("shlist.turned");
}
