/* SPDX-License-Identifier: MIT */
/* Lists of fixed length in the heap; see shlist.h. */
#include "shlist.h"

#include "checked.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "message.h"
#include "shlist_slot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What a list says of itself, copied and checked. */
struct seen {
    uint64_t n_items;
    char *data;
    uint64_t bytes;
};

/* ---- items ---- */

static const char *name_of(int type)
{
    return type == FM_SHLIST_STRING ? "a text" : "bytes";
}

static int check_item(const fm_shlist_item *item, int64_t number)
{
    if (item == NULL)
        return fmi_error(-EINVAL, "the item is NULL");
    if (item->type < FM_SHLIST_NONE || item->type > FM_SHLIST_BYTES)
        return fmi_error(-EINVAL, "item %" PRId64 " has type %d; make it with fm_shlist_int() ...",
                         number, item->type);
    if (fmi_shlist_has_data(item->type) && item->data == NULL &&
        (item->bytes > 0 || item->type == FM_SHLIST_STRING))
        return fmi_error(-EINVAL, "item %" PRId64 ", %s, has no data", number, name_of(item->type));
    return 0;
}

/* Room of the slot for an item [8 bytes]: Python's rule. 0: too much. */
static uint64_t words_for(const fm_shlist_item *item)
{
    if (!fmi_shlist_has_data(item->type))
        return 1;
    return item->bytes > INT64_MAX / 4 ? 0 : item->bytes / 8 + 1;
}

/* ---- the record ---- */

static int copy_record(const fm_shlist *l, struct seen *s)
{
    /* Acquire pairs with the release in publish. */
    if (atomic_load_explicit(&l->mark, memory_order_acquire) != FMI_SHLIST_LIVE)
        return 0;
    s->n_items = l->n_items;
    s->data = l->data;
    s->bytes = l->bytes;
    /* From here on the compiler may not read the shared fields again: they may have changed since. */
    __asm__ volatile("" ::: "memory");
    return (uintptr_t)s->data % 64 == 0 && s->bytes >= sizeof(uint64_t) &&
           s->n_items <= s->bytes / sizeof(struct fmi_shlist_entry_shm) &&
           fmi_heap_contains(s->data, s->bytes);
}

/* 0; -EINVAL: nothing of the heap; FM_ECORRUPT: no list. Says nothing of it. */
static int look_quietly(const fm_shlist *l, struct seen *s)
{
    memset(s, 0, sizeof *s);
    if ((uintptr_t)l % 64 != 0 || !fmi_heap_contains(l, sizeof *l))
        return -EINVAL;
    return fmi_heap_is_block(l, sizeof *l) && copy_record(l, s) ? 0 : FM_ECORRUPT;
}

static int look(const fm_shlist *l, struct seen *s)
{
    const int code = look_quietly(l, s);
    if (code == -EINVAL)
        return fmi_error(code, "list %p is not in the shared heap; make it with fm_shlist_create()",
                         (const void *)l);
    if (code != 0)
        return fmi_error(code, "list %p was destroyed or overwritten", (const void *)l);
    return 0;
}

/* 1 if entry `number` leads to a slot in the list's memory. */
static int find_slot(const struct seen *s, uint64_t number, struct fmi_shlist_slot *slot)
{
    struct fmi_shlist_entry_shm entry;
    memcpy(&entry, s->data + number * sizeof entry, sizeof entry);
    __asm__ volatile("" ::: "memory"); /* as in copy_record */
    if (entry.offset % sizeof(uint64_t) != 0 || entry.offset > s->bytes || entry.n_words == 0 ||
        entry.n_words > s->bytes / 16 ||
        fmi_shlist_slot_bytes(entry.n_words) > s->bytes - entry.offset)
        return 0;
    fmi_shlist_place(s->data + entry.offset, entry.n_words, slot);
    return 1;
}

/* Python's indexes: from the end, if negative. 1 if there is such an item. */
static int resolve_index(const struct seen *s, int64_t i, uint64_t *number)
{
    *number = i < 0 ? s->n_items + (uint64_t)i : (uint64_t)i;
    return *number < s->n_items;
}

static int overwritten(const fm_shlist *l, uint64_t number)
{
    return fmi_error(FM_ECORRUPT, "slot %" PRIu64 " of list %p was overwritten", number,
                     (const void *)l);
}

static int look_for_slot(const fm_shlist *l, int64_t i, struct fmi_shlist_slot *slot)
{
    struct seen s;
    uint64_t number;
    int code = look(l, &s);
    if (code != 0)
        return code;
    if (!resolve_index(&s, i, &number))
        return fmi_error(-ERANGE, "index %" PRId64 " in a list of %" PRIu64, i, s.n_items);
    return find_slot(&s, number, slot) ? 0 : overwritten(l, number);
}

/* ---- life ---- */

/* Memory for directory and slots [bytes], checked. */
static int measure(const fm_shlist_item *items, int64_t n, size_t *bytes)
{
    if (!fmi_checked_mul((size_t)n, sizeof(struct fmi_shlist_entry_shm), bytes))
        return fmi_error(-EOVERFLOW, "a list of %" PRId64 " items", n);
    for (int64_t i = 0; i < n; i++) {
        int code = check_item(&items[i], i);
        const uint64_t n_words = code == 0 ? words_for(&items[i]) : 0;
        if (code != 0)
            return code;
        if (n_words == 0 || !fmi_checked_add(*bytes, fmi_shlist_slot_bytes(n_words), bytes) ||
            *bytes > INT64_MAX)
            return fmi_error(-EOVERFLOW, "the items up to %" PRId64 " pass 2^63 - 1 bytes", i);
    }
    if (*bytes == 0)
        *bytes = sizeof(uint64_t); /* a list without items has an address too */
    return 0;
}

static void fill(char *data, const fm_shlist_item *items, int64_t n)
{
    uint64_t offset = (uint64_t)n * sizeof(struct fmi_shlist_entry_shm);
    for (int64_t i = 0; i < n; i++) {
        const struct fmi_shlist_entry_shm entry = {offset, words_for(&items[i])};
        struct fmi_shlist_slot slot;
        memcpy(data + (uint64_t)i * sizeof entry, &entry, sizeof entry);
        fmi_shlist_place(data + offset, entry.n_words, &slot);
        fmi_shlist_init(&slot);
        fmi_shlist_write(&slot, &items[i]);
        offset += fmi_shlist_slot_bytes(entry.n_words);
    }
}

static int make_record(fm_shlist **out)
{
    void *record;
    int code = fmi_heap_alloc(&record, sizeof(fm_shlist), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    *out = record;
    fmi_lock_init(&(*out)->lock);
    return 0;
}

static void publish(fm_shlist *l, int64_t n, void *data, size_t bytes)
{
    l->n_items = (uint64_t)n;
    l->data = data;
    l->bytes = bytes;
    /* Release: whoever sees the mark sees the rest; pairs with copy_record. */
    atomic_store_explicit(&l->mark, FMI_SHLIST_LIVE, memory_order_release);
}

int fm_shlist_create(fm_shlist **out, const fm_shlist_item *items, int64_t n)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    if (n < 0 || (n > 0 && items == NULL))
        return fmi_error(-EINVAL, "%" PRId64 " items at %p", n, (const void *)items);
    fm_shlist *l;
    size_t bytes;
    void *data;
    int code = measure(items, n, &bytes);
    if (code == 0)
        code = make_record(&l);
    if (code != 0)
        return code;
    code = fmi_heap_alloc(&data, bytes, FMI_HEAP_ZERO);
    if (code != 0) {
        fmi_heap_free(l);
        return code;
    }
    fill(data, items, n);
    publish(l, n, data, bytes);
    *out = l;
    return 0;
}

void fm_shlist_destroy(fm_shlist *l)
{
    if (l == NULL)
        return;
    struct seen s;
    uint64_t live = FMI_SHLIST_LIVE;
    /* Relaxed: only one caller may win; nobody else may use it any more. */
    if (look(l, &s) != 0 ||
        !atomic_compare_exchange_strong_explicit(&l->mark, &live, FMI_SHLIST_DEAD,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        fmi_log(FM_LOG_ERROR, "destroy of %p, which is no list (any more)", (void *)l);
        return;
    }
    FMI_FAULT("shlist.dead");
    if (fmi_heap_free(s.data) != 0 || fmi_heap_free(l) != 0)
        fmi_log(FM_LOG_ERROR, "list %p was overwritten; it is not freed", (void *)l);
}

/* ---- use ---- */

int64_t fm_shlist_len(const fm_shlist *l)
{
    struct seen s;
    return look_quietly(l, &s) == 0 ? (int64_t)s.n_items : 0;
}

size_t fm_shlist_slot_bytes(const fm_shlist *l, int64_t i)
{
    struct seen s;
    struct fmi_shlist_slot slot;
    uint64_t number;
    if (look_quietly(l, &s) != 0 || !resolve_index(&s, i, &number) || !find_slot(&s, number, &slot))
        return 0;
    return slot.n_words * sizeof(uint64_t);
}

struct wanted {
    fm_shlist_item *item;
    char *buf;
    size_t cap;
};

static int copy_out(const struct fmi_shlist_copy *copy, void *arg)
{
    const struct wanted *wanted = arg;
    fm_shlist_item *item = wanted->item;
    memset(item, 0, sizeof *item);
    item->type = copy->type;
    if (!fmi_shlist_has_data(copy->type)) {
        fmi_shlist_set_bits(item, fmi_shlist_load_word(copy, 0));
        return 0;
    }
    item->bytes = copy->bytes;
    const int has_end = copy->type == FM_SHLIST_STRING;
    if (copy->bytes + (size_t)has_end > wanted->cap)
        return FM_ETOOLONG;
    for (size_t at = 0; at < copy->bytes; at += sizeof(uint64_t)) {
        const uint64_t word = fmi_shlist_load_word(copy, at);
        const size_t left = copy->bytes - at;
        memcpy(wanted->buf + at, &word, left < sizeof word ? left : sizeof word);
        FMI_FAULT("shlist.copy");
    }
    if (has_end)
        wanted->buf[copy->bytes] = '\0';
    item->data = wanted->buf;
    return 0;
}

int fm_shlist_get(fm_shlist *l, int64_t i, fm_shlist_item *item, void *buf, size_t cap)
{
    if (item == NULL)
        return fmi_error(-EINVAL, "item is NULL");
    struct fmi_shlist_slot slot;
    struct wanted wanted = {item, buf, buf == NULL ? 0 : cap};
    memset(item, 0, sizeof *item);
    int code = look_for_slot(l, i, &slot);
    if (code != 0)
        return code;
    code = fmi_shlist_read(&l->lock, &slot, copy_out, &wanted);
    if (code == FM_ETOOLONG)
        return fmi_error(code, "%s of %zu bytes%s, and a buffer of %zu", name_of(item->type),
                         item->bytes, item->type == FM_SHLIST_STRING ? " and a NUL" : "",
                         wanted.cap);
    if (code != 0)
        memset(item, 0, sizeof *item);
    return code == FM_ECORRUPT
               ? fmi_error(code, "item %" PRId64 " of list %p was overwritten", i, (void *)l)
               : code;
}

int fm_shlist_set(fm_shlist *l, int64_t i, const fm_shlist_item *item)
{
    struct fmi_shlist_slot slot;
    int code = check_item(item, i);
    if (code == 0)
        code = look_for_slot(l, i, &slot);
    if (code != 0)
        return code;
    const uint64_t room = slot.n_words * sizeof(uint64_t);
    if (fmi_shlist_has_data(item->type) && item->bytes > room)
        return fmi_error(FM_ETOOLONG,
                         "%s of %zu bytes for slot %" PRId64 ", which has room for %" PRIu64,
                         name_of(item->type), item->bytes, i, room);
    code = fmi_shlist_acquire(&l->lock);
    if (code != 0)
        return code;
    FMI_FAULT("shlist.locked");
    fmi_shlist_write(&slot, item);
    fmi_lock_release(&l->lock);
    return 0;
}

/* ---- count and index ---- */

struct compared {
    const fm_shlist_item *item;
    int is_equal;
};

/* Exactly, as Python does: 2^53 + 1 is not equal to the double next to it. */
static int integer_is_real(int64_t integer, double real)
{
    const double limit = 9223372036854775808.0; /* 2^63: what is below can be converted */
    return real >= -limit && real < limit && (int64_t)real == integer &&
           (double)(int64_t)real == real;
}

static int numbers_are_equal(const fm_shlist_item *a, const fm_shlist_item *b)
{
    if (a->type == FM_SHLIST_DOUBLE && b->type == FM_SHLIST_DOUBLE)
        return a->real == b->real;
    if (a->type == FM_SHLIST_DOUBLE)
        return numbers_are_equal(b, a);
    const int64_t integer = a->type == FM_SHLIST_BOOL ? a->boolean != 0 : a->integer;
    if (b->type == FM_SHLIST_DOUBLE)
        return integer_is_real(integer, b->real);
    return integer == (b->type == FM_SHLIST_BOOL ? b->boolean != 0 : b->integer);
}

static int data_are_equal(const struct fmi_shlist_copy *copy, const fm_shlist_item *item)
{
    if (copy->type != item->type || copy->bytes != item->bytes)
        return 0;
    for (size_t at = 0; at < copy->bytes; at += sizeof(uint64_t))
        if (fmi_shlist_load_word(copy, at) != fmi_shlist_word_of(item->data, item->bytes, at))
            return 0;
    return 1;
}

static int compare(const struct fmi_shlist_copy *copy, void *arg)
{
    struct compared *compared = arg;
    const fm_shlist_item *item = compared->item;
    fm_shlist_item other = {.type = copy->type};
    if (copy->type == FM_SHLIST_NONE || item->type == FM_SHLIST_NONE)
        compared->is_equal = copy->type == item->type;
    else if (fmi_shlist_has_data(copy->type) || fmi_shlist_has_data(item->type))
        compared->is_equal = data_are_equal(copy, item);
    else {
        fmi_shlist_set_bits(&other, fmi_shlist_load_word(copy, 0));
        compared->is_equal = numbers_are_equal(&other, item);
    }
    return 0;
}

/* From item `number` on: that of the first that is equal; n_items if none is. */
static int find_equal(fm_shlist *l, const struct seen *s, const fm_shlist_item *item,
                      uint64_t *number)
{
    struct compared compared = {.item = item};
    for (; *number < s->n_items; ++*number) {
        struct fmi_shlist_slot slot;
        if (!find_slot(s, *number, &slot))
            return overwritten(l, *number);
        int code = fmi_shlist_read(&l->lock, &slot, compare, &compared);
        if (code == FM_ECORRUPT)
            return overwritten(l, *number);
        if (code != 0 || compared.is_equal)
            return code;
    }
    return 0;
}

static int begin_search(const fm_shlist *l, const fm_shlist_item *item, struct seen *s)
{
    int code = check_item(item, 0);
    return code != 0 ? code : look(l, s);
}

int fm_shlist_count(fm_shlist *l, const fm_shlist_item *item, int64_t *n)
{
    if (n == NULL)
        return fmi_error(-EINVAL, "n is NULL");
    *n = 0;
    struct seen s;
    int64_t found = 0;
    int code = begin_search(l, item, &s);
    for (uint64_t i = 0; code == 0; i++, found++) {
        code = find_equal(l, &s, item, &i);
        if (code == 0 && i >= s.n_items)
            break;
    }
    if (code == 0)
        *n = found;
    return code;
}

int fm_shlist_index(fm_shlist *l, const fm_shlist_item *item, int64_t *i)
{
    if (i == NULL)
        return fmi_error(-EINVAL, "i is NULL");
    *i = -1;
    struct seen s;
    uint64_t number = 0;
    int code = begin_search(l, item, &s);
    if (code == 0)
        code = find_equal(l, &s, item, &number);
    if (code != 0)
        return code;
    if (number >= s.n_items)
        return fmi_error(-ENOENT, "no item of list %p is equal to it", (void *)l);
    *i = (int64_t)number;
    return 0;
}
