/* SPDX-License-Identifier: MIT */
/* Changes in a stripe of a dict, and its repair; the steps are those of dict_stripe.h. */
#include "dict_stripe.h"

#include "error.h"
#include "fault.h"
#include "heap.h"
#include "step.h"

#include <errno.h>
#include <string.h>

enum { FIRST_ENTRIES = 8, KEPT_ENTRIES = 64 };
static const size_t spare_bytes[FMI_STRIPE_SPARES] = {64, 128};

/* ---- blocks -------------------------------------------------------------------------------------- */

/* Which spare a block of that size could be; FMI_STRIPE_SPARES: none. */
static int spare_for(size_t bytes)
{
    int k = 0;
    while (k < FMI_STRIPE_SPARES && bytes > spare_bytes[k])
        k++;
    return k;
}

static int take_spare(struct fmi_stripe_shm *shm, size_t bytes)
{
    const int k = spare_for(bytes);
    const uint64_t spare = k < FMI_STRIPE_SPARES ? fmi_step_load(&shm->spares[k]) : 0;
    if (spare == 0)
        return 0;
    const int is_good = fmi_heap_is_block((void *)spare, spare_bytes[k]);
    if (is_good)
        fmi_step(&shm->fresh, spare);
    FMI_FAULT("dict.spare");
    fmi_step(&shm->spares[k], 0);
    return is_good;
}

/* n1, n2 */
static int make_fresh(struct fmi_stripe_shm *shm, size_t bytes, unsigned flags, void **block)
{
    if (bytes == 0)
        return fmi_error(-EOVERFLOW, "key and value pass 2^63 - 1 bytes, or there are 2^31 keys");
    if (flags == 0 && take_spare(shm, bytes)) {
        *block = (void *)fmi_step_load(&shm->fresh);
        return 0;
    }
    const int code = fmi_heap_alloc(block, bytes, flags);
    if (code != 0)
        return code;
    FMI_FAULT("dict.taken");
    fmi_step(&shm->fresh, (uint64_t)*block);
    FMI_FAULT("dict.fresh");
    return 0;
}

/* Out of use, and in `word`. A death in between loses it; to free it twice would be worse. */
static void drop(_Atomic uint64_t *word)
{
    const uint64_t block = fmi_step_load(word);
    fmi_step(word, 0);
    FMI_FAULT("dict.dropped");
    (void)fmi_heap_free((void *)block); /* an overwritten address is none, and stays */
}

/* t1 .. t3: `stale`, which is out of use. */
static void retire(struct fmi_stripe_shm *shm)
{
    const uint64_t block = fmi_step_load(&shm->stale);
    for (int k = 0; k < FMI_STRIPE_SPARES; k++) {
        if (fmi_step_load(&shm->spares[k]) != 0 ||
            !fmi_heap_is_block((void *)block, spare_bytes[k]))
            continue;
        fmi_step(&shm->spares[k], block);
        FMI_FAULT("dict.retired");
        fmi_step(&shm->stale, 0);
        return;
    }
    drop(&shm->stale);
}

/* ---- counts -------------------------------------------------------------------------------------- */

/* Relaxed: under the lock, and after a death they are counted anew. */
static void store_counts(struct fmi_stripe *s, uint64_t n_used, uint64_t n_live)
{
    s->n_used = n_used;
    s->n_live = n_live;
    atomic_store_explicit(&s->shm->n_used, (uint32_t)n_used, memory_order_relaxed);
    atomic_store_explicit(&s->shm->n_live, (uint32_t)n_live, memory_order_relaxed);
}

/* Entries at the end that have no pair any more are used again. */
static uint64_t trim(const struct fmi_stripe *s)
{
    uint64_t n = s->n_used;
    while (n > 0 && fmi_step_load(&s->table.entries[n - 1]) == 0)
        n--;
    return n;
}

/* ---- repair -------------------------------------------------------------------------------------- */

static int is_in_use(const struct fmi_stripe *s, uint64_t block)
{
    const struct fmi_stripe_shm *shm = s->shm;
    if (block == fmi_step_load(&shm->table) || block == fmi_step_load(&shm->spares[0]) ||
        block == fmi_step_load(&shm->spares[1]))
        return 1;
    for (uint64_t i = 0; i < s->table.n; i++)
        if (fmi_step_load(&s->table.entries[i]) == block)
            return 1;
    return 0;
}

static void settle(const struct fmi_stripe *s, _Atomic uint64_t *word)
{
    const uint64_t block = fmi_step_load(word);
    if (block == 0)
        return;
    if (is_in_use(s, block))
        fmi_step(word, 0);
    else
        drop(word);
    FMI_FAULT("dict.settled");
}

static int repair(struct fmi_stripe *s)
{
    struct fmi_stripe_shm *shm = s->shm;
    uint64_t n_used, n_live;
    atomic_store_explicit(&shm->n_used, FMI_STRIPE_UNKNOWN, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* as fmi_step */
    FMI_FAULT("dict.repair");
    int code = fmi_table_at(fmi_step_load(&shm->table), &s->table);
    if (code == 0)
        code = fmi_table_reindex(&s->table, &n_used, &n_live);
    if (code != 0)
        return code;
    settle(s, &shm->fresh);
    settle(s, &shm->stale);
    atomic_signal_fence(memory_order_seq_cst);
    store_counts(s, n_used, n_live);
    FMI_FAULT("dict.repaired");
    return 0;
}

/* ---- the lock ------------------------------------------------------------------------------------ */

static int look(struct fmi_stripe *s)
{
    const uint32_t n_used = atomic_load_explicit(&s->shm->n_used, memory_order_relaxed);
    if (n_used == FMI_STRIPE_UNKNOWN)
        return repair(s);
    s->n_used = n_used;
    s->n_live = atomic_load_explicit(&s->shm->n_live, memory_order_relaxed);
    const int code = fmi_table_at(fmi_step_load(&s->shm->table), &s->table);
    if (code != 0)
        return code;
    return s->n_used <= s->table.n && s->n_live <= s->n_used ? 0 : FM_ECORRUPT;
}

int fmi_stripe_acquire(struct fmi_stripe *s, struct fmi_stripe_shm *shm,
                       const _Atomic uint64_t *epoch, int64_t deadline_ns)
{
    s->shm = shm;
    int code = fmi_lock_acquire(&shm->lock, deadline_ns);
    if (code != 0 && code != FM_EOWNERDEAD)
        return code;
    FMI_FAULT("dict.locked");
    code = code == FM_EOWNERDEAD ? repair(s) : look(s);
    const uint64_t now = fmi_step_load(epoch);
    if (code == 0 && fmi_step_load(&shm->epoch) != now)
        fmi_stripe_empty(s, now);
    if (code != 0)
        fmi_lock_release(&shm->lock);
    return code;
}

void fmi_stripe_release(struct fmi_stripe *s)
{
    fmi_lock_release(&s->shm->lock);
}

/* ---- changes ------------------------------------------------------------------------------------- */

/* Entries for twice the pairs, so that as many changes as there are pairs come before the next time. */
static uint64_t next_size(const struct fmi_stripe *s)
{
    uint64_t n = FIRST_ENTRIES;
    while (n < 2 * s->n_live)
        n *= 2;
    return n;
}

/* Pairs in their order, without the gaps. 0; FM_ECORRUPT. */
static int fill_table(const struct fmi_stripe *s, const struct fmi_table *to, uint64_t *n)
{
    *n = 0;
    for (uint64_t i = 0; i < s->n_used; i++) {
        struct fmi_pair pair;
        const uint64_t entry = fmi_step_load(&s->table.entries[i]);
        if (entry == 0)
            continue;
        if (*n == to->n || fmi_table_pair(&s->table, i, &pair) != 0)
            return FM_ECORRUPT;
        atomic_store_explicit(&to->entries[*n], entry, memory_order_relaxed); /* g3 publishes it */
        fmi_table_index(to, pair.hash, *n);
        ++*n;
    }
    return 0;
}

/* g1 .. g3 */
static int grow(struct fmi_stripe *s)
{
    struct fmi_stripe_shm *shm = s->shm;
    struct fmi_table larger;
    const uint64_t size = next_size(s);
    void *block;
    uint64_t n;
    int code = make_fresh(shm, fmi_table_bytes(size), FMI_HEAP_ZERO, &block);
    if (code != 0)
        return code;
    fmi_table_init(block, size, &larger);
    code = fill_table(s, &larger, &n);
    if (code != 0) {
        drop(&shm->fresh);
        return code;
    }
    FMI_FAULT("dict.filled");
    fmi_step(&shm->stale, fmi_step_load(&shm->table));
    FMI_FAULT("dict.grow");
    fmi_step(&shm->table, (uint64_t)block);
    FMI_FAULT("dict.grown");
    s->table = larger;
    store_counts(s, n, n);
    fmi_step(&shm->fresh, 0);
    if (fmi_step_load(&shm->stale) != 0)
        drop(&shm->stale);
    return 0;
}

int fmi_stripe_insert(struct fmi_stripe *s, const struct fmi_key *key, fm_bytes value,
                      _Atomic uint64_t *next_seq)
{
    struct fmi_stripe_shm *shm = s->shm;
    void *block;
    int code = s->n_used == s->table.n ? grow(s) : 0;
    if (code == 0)
        code = make_fresh(shm, fmi_pair_bytes(key->bytes.bytes, value.bytes), 0, &block);
    if (code != 0)
        return code;
    const uint64_t index = s->n_used;
    /* Relaxed: numbers of one stripe grow, as they are taken under its lock. */
    fmi_pair_init(block, key, value, atomic_fetch_add_explicit(next_seq, 1, memory_order_relaxed));
    FMI_FAULT("dict.written");
    fmi_step(&s->table.entries[index], (uint64_t)block);
    FMI_FAULT("dict.entered");
    fmi_table_index(&s->table, key->hash, index);
    FMI_FAULT("dict.indexed");
    store_counts(s, index + 1, s->n_live + 1);
    FMI_FAULT("dict.counted");
    fmi_step(&shm->fresh, 0);
    return 0;
}

static int has_one_word(size_t bytes)
{
    return bytes > 0 && bytes <= sizeof(uint64_t);
}

int fmi_stripe_replace(struct fmi_stripe *s, const struct fmi_pair *pair, fm_bytes value)
{
    struct fmi_stripe_shm *shm = s->shm;
    if (value.bytes == pair->value.bytes && has_one_word(value.bytes)) {
        uint64_t word = 0;
        memcpy(&word, value.data, value.bytes);
        fmi_step(pair->shm->value, word);
        FMI_FAULT("dict.in_place");
        return 0;
    }
    const struct fmi_key key = {pair->key, pair->hash};
    void *block;
    const int code = make_fresh(shm, fmi_pair_bytes(key.bytes.bytes, value.bytes), 0, &block);
    if (code != 0)
        return code;
    fmi_pair_init(block, &key, value, pair->seq);
    FMI_FAULT("dict.written");
    fmi_step(&shm->stale, (uint64_t)pair->shm);
    FMI_FAULT("dict.replace");
    fmi_step(&s->table.entries[pair->index], (uint64_t)block);
    FMI_FAULT("dict.replaced");
    fmi_step(&shm->fresh, 0);
    retire(shm);
    return 0;
}

void fmi_stripe_remove(struct fmi_stripe *s, const struct fmi_pair *pair)
{
    struct fmi_stripe_shm *shm = s->shm;
    fmi_step(&shm->stale, (uint64_t)pair->shm);
    FMI_FAULT("dict.remove");
    fmi_step(&s->table.entries[pair->index], 0);
    FMI_FAULT("dict.removed");
    fmi_table_unindex(&s->table, pair->hash, pair->index);
    FMI_FAULT("dict.unindexed");
    store_counts(s, trim(s), s->n_live - (s->n_live > 0));
    retire(shm);
}

int fmi_stripe_last(struct fmi_stripe *s, struct fmi_pair *pair)
{
    const uint64_t n = trim(s);
    if (n == 0)
        return 0;
    return fmi_table_pair(&s->table, n - 1, pair) == 0 ? 1 : FM_ECORRUPT;
}

/* ---- all of it ----------------------------------------------------------------------------------- */

static void drop_entries(const struct fmi_stripe *s)
{
    for (uint64_t i = s->n_used; i-- > 0;)
        if (fmi_step_load(&s->table.entries[i]) != 0)
            drop(&s->table.entries[i]);
}

void fmi_stripe_empty(struct fmi_stripe *s, uint64_t epoch)
{
    uint64_t n_used = 0, n_live = 0;
    FMI_FAULT("dict.empty");
    drop_entries(s);
    if (s->table.n > KEPT_ENTRIES) {
        fmi_step(&s->shm->stale, fmi_step_load(&s->shm->table));
        FMI_FAULT("dict.old_table");
        fmi_step(&s->shm->table, 0);
        FMI_FAULT("dict.no_table");
        drop(&s->shm->stale);
        s->table = (struct fmi_table){0};
    }
    (void)fmi_table_reindex(&s->table, &n_used, &n_live); /* cannot fail: there are no pairs */
    store_counts(s, 0, 0);
    FMI_FAULT("dict.emptied");
    fmi_step(&s->shm->epoch, epoch);
}

void fmi_stripe_fini(struct fmi_stripe_shm *shm)
{
    struct fmi_stripe s = {.shm = shm};
    if (fmi_table_at(fmi_step_load(&shm->table), &s.table) == 0) {
        s.n_used = s.table.n;
        settle(&s, &shm->fresh);
        settle(&s, &shm->stale);
        drop_entries(&s);
    }
    drop(&shm->table);
    for (int k = 0; k < FMI_STRIPE_SPARES; k++)
        drop(&shm->spares[k]);
}
