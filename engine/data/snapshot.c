/* SPDX-License-Identifier: MIT */
/* Copies of containers, and of single values; see snapshot.h. */
#include "snapshot.h"

#include "checked.h"
#include "error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

size_t fmi_snapshot_room(size_t bytes)
{
    return (bytes / 8 + 1) * 8;
}

/* The block: the snapshot, keys, values, the bytes. */
int fmi_snapshot_begin(struct fmi_snapshot *s, int64_t n_items, size_t bytes, int has_keys,
                       int has_values)
{
    size_t all;
    *s = (struct fmi_snapshot){.n_items = n_items, .has_keys = has_keys, .has_values = has_values};
    if (!fmi_checked_mul((size_t)n_items, 2 * sizeof(fm_bytes), &all) ||
        !fmi_checked_add(all, sizeof(fm_snapshot) + bytes, &all))
        return fmi_error(-ENOMEM, "%zu bytes for a copy", bytes);
    s->snapshot = calloc(1, all);
    s->items = malloc(((size_t)n_items + 1) * sizeof *s->items);
    if (s->snapshot == NULL || s->items == NULL) {
        fmi_snapshot_drop(s);
        return fmi_error(-ENOMEM, "no private memory for a copy of %zu bytes", all);
    }
    s->at = (char *)(s->snapshot + 1) + (size_t)n_items * 2 * sizeof(fm_bytes);
    s->end = (char *)s->snapshot + all;
    return 0;
}

static int copy_in(struct fmi_snapshot *s, fm_bytes from, fm_bytes *to)
{
    const size_t room = fmi_snapshot_room(from.bytes);
    if (from.bytes > (size_t)(s->end - s->at) || room > (size_t)(s->end - s->at))
        return FM_ECORRUPT;
    if (from.bytes > 0)
        memcpy(s->at, from.data, from.bytes);
    *to = fm_bytes_of(s->at, from.bytes);
    s->at += room;
    return 0;
}

int fmi_snapshot_add(struct fmi_snapshot *s, uint64_t order, fm_bytes key, fm_bytes value)
{
    struct fmi_snapshot_item *item = &s->items[s->n];
    if (s->n == s->n_items)
        return FM_ECORRUPT;
    *item = (struct fmi_snapshot_item){.order = order};
    if ((s->has_keys && copy_in(s, key, &item->key) != 0) ||
        (s->has_values && copy_in(s, value, &item->value) != 0))
        return FM_ECORRUPT;
    s->n++;
    return 0;
}

static int compare_order(const void *a, const void *b)
{
    const uint64_t x = ((const struct fmi_snapshot_item *)a)->order,
                   y = ((const struct fmi_snapshot_item *)b)->order;
    return (x > y) - (x < y);
}

fm_snapshot *fmi_snapshot_end(struct fmi_snapshot *s)
{
    fm_snapshot *snapshot = s->snapshot;
    fm_bytes *keys = (fm_bytes *)(snapshot + 1), *values = keys + s->n_items;
    qsort(s->items, (size_t)s->n, sizeof *s->items, compare_order);
    for (int64_t i = 0; i < s->n; i++) {
        keys[i] = s->items[i].key;
        values[i] = s->items[i].value;
    }
    *snapshot = (fm_snapshot){s->n, s->has_keys ? keys : NULL, s->has_values ? values : NULL};
    free(s->items);
    return snapshot;
}

void fmi_snapshot_drop(struct fmi_snapshot *s)
{
    free(s->items);
    free(s->snapshot);
}

void fm_snapshot_free(fm_snapshot *s)
{
    free(s);
}

/* ---- single values ------------------------------------------------------------------------------- */

int fmi_buf_check(const fm_buf *buf)
{
    if (buf == NULL || (buf->data == NULL && buf->cap > 0))
        return fmi_error(-EINVAL, "the buffer is NULL");
    return 0;
}

int fmi_buf_put(fm_buf *buf, fm_bytes from)
{
    buf->bytes = from.bytes;
    if (from.bytes > buf->cap)
        return fmi_error(FM_ETOOLONG, "%zu bytes, and a buffer of %zu", from.bytes, buf->cap);
    if (from.bytes > 0)
        memcpy(buf->data, from.data, from.bytes);
    return 0;
}

int fmi_bytes_check(fm_bytes bytes, const char *what)
{
    if (bytes.data == NULL && bytes.bytes > 0)
        return fmi_error(-EINVAL, "%s of %zu bytes at NULL", what, bytes.bytes);
    return 0;
}
