/* SPDX-License-Identifier: MIT */
/* Entries, slots and pairs of dicts; see dict_table.h. */
#include "dict_table.h"

#include "checked.h"
#include "heap.h"
#include "step.h"

#include <string.h>

enum { ALIGNED = 64 };
#define MOST_ENTRIES (UINT64_C(1) << 31)

static size_t padded(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

size_t fmi_table_bytes(uint64_t n)
{
    return n == 0 || n > MOST_ENTRIES ? 0 : sizeof(struct fmi_table_shm) + 3 * n * sizeof(uint64_t);
}

size_t fmi_pair_bytes(size_t key_bytes, size_t value_bytes)
{
    size_t bytes;
    if (value_bytes > INT64_MAX ||
        !fmi_checked_add(sizeof(struct fmi_pair_shm) + padded(value_bytes), key_bytes, &bytes) ||
        bytes > INT64_MAX)
        return 0;
    return bytes;
}

static int is_block(uint64_t address, size_t bytes)
{
    return bytes != 0 && address % ALIGNED == 0 && fmi_heap_contains((void *)address, bytes);
}

static void set_view(struct fmi_table_shm *shm, uint64_t n, struct fmi_table *t)
{
    *t = (struct fmi_table){n, shm->entries, shm->entries + n};
}

int fmi_table_at(uint64_t address, struct fmi_table *t)
{
    struct fmi_table_shm *shm = (void *)address;
    *t = (struct fmi_table){0};
    if (address == 0)
        return 0;
    if (!is_block(address, sizeof *shm))
        return FM_ECORRUPT;
    const uint64_t mark = shm->mark, n = shm->n;
    /* From here on the compiler may not read the shared fields again: they may have changed since. */
    __asm__ volatile("" ::: "memory");
    if (mark != FMI_TABLE_MARK || (n & (n - 1)) != 0 || !is_block(address, fmi_table_bytes(n)))
        return FM_ECORRUPT;
    set_view(shm, n, t);
    return 0;
}

static int pair_at(uint64_t address, struct fmi_pair *pair)
{
    struct fmi_pair_shm *shm = (void *)address;
    if (!is_block(address, sizeof *shm))
        return FM_ECORRUPT;
    const size_t key_bytes = shm->key_bytes, value_bytes = shm->value_bytes;
    const uint32_t mark = shm->mark;
    pair->hash = shm->hash;
    pair->seq = shm->seq;
    __asm__ volatile("" ::: "memory"); /* as in fmi_table_at */
    if (mark != FMI_PAIR_MARK || !is_block(address, fmi_pair_bytes(key_bytes, value_bytes)))
        return FM_ECORRUPT;
    pair->shm = shm;
    pair->value = fm_bytes_of(shm->value, value_bytes);
    pair->key = fm_bytes_of((const char *)shm->value + padded(value_bytes), key_bytes);
    return 0;
}

int fmi_table_pair(const struct fmi_table *t, uint64_t index, struct fmi_pair *pair)
{
    pair->index = index;
    return index < t->n ? pair_at(fmi_step_load(&t->entries[index]), pair) : FM_ECORRUPT;
}

void fmi_table_init(void *block, uint64_t n, struct fmi_table *t)
{
    struct fmi_table_shm *shm = block;
    shm->mark = FMI_TABLE_MARK;
    shm->n = n;
    set_view(shm, n, t);
}

void fmi_pair_init(void *block, const struct fmi_key *key, fm_bytes value, uint64_t seq)
{
    struct fmi_pair_shm *shm = block;
    *shm = (struct fmi_pair_shm){seq, key->hash, FMI_PAIR_MARK, key->bytes.bytes, value.bytes};
    if (value.bytes > 0) {
        /* The last word first: what is left of it is 0. */
        atomic_store_explicit(&shm->value[(value.bytes - 1) / 8], 0, memory_order_relaxed);
        memcpy((void *)shm->value, value.data, value.bytes);
    }
    if (key->bytes.bytes > 0)
        memcpy((char *)shm->value + padded(value.bytes), key->bytes.data, key->bytes.bytes);
}

/* ---- slots --------------------------------------------------------------------------------------- */

static uint64_t mask_of(const struct fmi_table *t)
{
    return 2 * t->n - 1;
}

/* Relaxed: under the stripe's lock, and after a death all are made anew. */
static uint64_t load_slot(const struct fmi_table *t, uint64_t at)
{
    return atomic_load_explicit(&t->slots[at], memory_order_relaxed);
}

static void store_slot(const struct fmi_table *t, uint64_t at, uint64_t slot)
{
    atomic_store_explicit(&t->slots[at], slot, memory_order_relaxed);
}

static uint64_t slot_of(uint32_t hash, uint64_t index)
{
    return (uint64_t)hash << 32 | (index + 1);
}

static int is_equal(fm_bytes a, fm_bytes b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

int fmi_table_find(const struct fmi_table *t, const struct fmi_key *key, struct fmi_pair *pair)
{
    const uint64_t mask = t->n == 0 ? 0 : mask_of(t);
    for (uint64_t i = 0; i < 2 * t->n; i++) {
        const uint64_t slot = load_slot(t, (key->hash + i) & mask);
        if (slot == 0)
            return 0;
        if ((uint32_t)(slot >> 32) != key->hash)
            continue;
        if (fmi_table_pair(t, (uint32_t)slot - UINT64_C(1), pair) != 0)
            return FM_ECORRUPT;
        if (is_equal(pair->key, key->bytes))
            return 1;
    }
    return t->n == 0 ? 0 : FM_ECORRUPT; /* no free slot */
}

void fmi_table_index(const struct fmi_table *t, uint32_t hash, uint64_t index)
{
    const uint64_t mask = mask_of(t);
    uint64_t i = 0;
    while (i < mask && load_slot(t, (hash + i) & mask) != 0)
        i++;
    store_slot(t, (hash + i) & mask, slot_of(hash, index));
}

/* The gap at `gap` is filled with what lies behind it and may lie there (Knuth, The Art of Computer Programming 3, 6.4, algorithm R). */
static void close_gap(const struct fmi_table *t, uint64_t gap)
{
    const uint64_t mask = mask_of(t), begin = gap;
    for (uint64_t i = 1; i <= mask; i++) {
        const uint64_t at = (begin + i) & mask, slot = load_slot(t, at);
        if (slot == 0)
            break;
        if (((at - (slot >> 32)) & mask) >= ((at - gap) & mask)) {
            store_slot(t, gap, slot);
            gap = at;
        }
    }
    store_slot(t, gap, 0);
}

void fmi_table_unindex(const struct fmi_table *t, uint32_t hash, uint64_t index)
{
    const uint64_t mask = mask_of(t), wanted = slot_of(hash, index);
    for (uint64_t i = 0; i <= mask; i++) {
        const uint64_t at = (hash + i) & mask, slot = load_slot(t, at);
        if (slot == wanted)
            close_gap(t, at);
        if (slot == wanted || slot == 0)
            return;
    }
}

int fmi_table_reindex(const struct fmi_table *t, uint64_t *n_used, uint64_t *n_live)
{
    *n_used = *n_live = 0;
    for (uint64_t i = 0; i < 2 * t->n; i++)
        store_slot(t, i, 0);
    for (uint64_t i = 0; i < t->n; i++) {
        struct fmi_pair pair;
        if (fmi_step_load(&t->entries[i]) == 0)
            continue;
        if (fmi_table_pair(t, i, &pair) != 0)
            return FM_ECORRUPT;
        fmi_table_index(t, pair.hash, i);
        *n_used = i + 1;
        ++*n_live;
    }
    return 0;
}
