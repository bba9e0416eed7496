/* SPDX-License-Identifier: MIT */
/* Lists: their life, and what is done with one item; see list.h. */
#include "list.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "message.h"
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* ---- the record ---------------------------------------------------------------------------------- */

static int look(const fm_list *l)
{
    if ((uintptr_t)l % 64 != 0 || !fmi_heap_contains(l, sizeof *l))
        return fmi_error(-EINVAL,
                         "list %p is not in the shared heap; make it with fm_list_create()",
                         (const void *)l);
    /* Acquire pairs with the release in fm_list_create. */
    if (!fmi_heap_is_block(l, sizeof *l) ||
        atomic_load_explicit(&l->mark, memory_order_acquire) != FMI_LIST_LIVE)
        return fmi_error(FM_ECORRUPT, "list %p was destroyed or overwritten", (const void *)l);
    return 0;
}

static int fail(const void *store, int code)
{
    if (code == FM_ECORRUPT)
        return fmi_error(code, "the list at %p was overwritten", store);
    if (code == -ETIMEDOUT || code == -EAGAIN || code == -EDEADLK)
        return fmi_error(code, "the lock of the list at %p: %s", store, fm_strerror(code));
    return code;
}

int fmi_list_begin(struct fmi_list *held, fm_list *l, int64_t timeout)
{
    const int code = look(l);
    return code != 0 ? code
                     : fail(&l->store, fmi_list_acquire(held, &l->store, fmi_deadline_of(timeout)));
}

int fmi_list_end(struct fmi_list *held, int code)
{
    fmi_list_release(held);
    return fail(held->shm, code);
}

/* ---- life ---------------------------------------------------------------------------------------- */

int fm_list_create(fm_list **out)
{
    void *record;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    const int code = fmi_heap_alloc(&record, sizeof(fm_list), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    fm_list *l = record;
    fmi_lock_init(&l->store.lock);
    FMI_FAULT("list.publish");
    /* Release: whoever sees the mark sees the rest; pairs with look. */
    atomic_store_explicit(&l->mark, FMI_LIST_LIVE, memory_order_release);
    *out = l;
    return 0;
}

void fm_list_destroy(fm_list *l)
{
    uint64_t live = FMI_LIST_LIVE;
    if (l == NULL)
        return;
    /* Relaxed: only one caller may win; nobody else may use it any more. */
    if (look(l) != 0 ||
        !atomic_compare_exchange_strong_explicit(&l->mark, &live, FMI_LIST_DEAD,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        fmi_log(FM_LOG_ERROR, "destroy of %p, which is no list (any more)", (void *)l);
        return;
    }
    FMI_FAULT("list.dead");
    fmi_list_fini(&l->store);
    if (fmi_heap_free(l) != 0)
        fmi_log(FM_LOG_ERROR, "list %p was overwritten; it is not freed", (void *)l);
}

/* ---- one item ------------------------------------------------------------------------------------ */

int fm_list_append(fm_list *l, fm_bytes item, int64_t timeout)
{
    return fm_list_extend(l, &item, 1, timeout);
}

int fm_list_insert(fm_list *l, int64_t i, fm_bytes item, int64_t timeout)
{
    struct fmi_list held;
    int code = fmi_bytes_check(item, "an item");
    if (code == 0)
        code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    return fmi_list_end(&held, fmi_list_insert(&held, fmi_list_clamp(&held, i), item));
}

/* The item at an index. 0; -ERANGE; FM_ECORRUPT. */
static int find(const struct fmi_list *held, int64_t i, uint64_t *number, fm_bytes *item)
{
    if (!fmi_list_resolve(held, i, number))
        return fmi_error(-ERANGE, "index %" PRId64 " in a list of %" PRIu64, i, held->n);
    return fmi_list_item(held, *number, item);
}

int fm_list_get(fm_list *l, int64_t i, fm_buf *buf, int64_t timeout)
{
    struct fmi_list held;
    uint64_t number;
    fm_bytes item;
    int code = fmi_buf_check(buf);
    if (code != 0)
        return code;
    buf->bytes = 0;
    code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    code = find(&held, i, &number, &item);
    return fmi_list_end(&held, code != 0 ? code : fmi_buf_put(buf, item));
}

int fm_list_set(fm_list *l, int64_t i, fm_bytes item, int64_t timeout)
{
    struct fmi_list held;
    uint64_t number;
    fm_bytes old;
    int code = fmi_bytes_check(item, "an item");
    if (code == 0)
        code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    code = find(&held, i, &number, &old);
    return fmi_list_end(&held, code != 0 ? code : fmi_list_set(&held, number, item));
}

int fm_list_pop(fm_list *l, int64_t i, fm_buf *buf, int64_t timeout)
{
    struct fmi_list held;
    uint64_t number;
    fm_bytes item;
    int code = buf == NULL ? 0 : fmi_buf_check(buf);
    if (code != 0)
        return code;
    if (buf != NULL)
        buf->bytes = 0;
    code = fmi_list_begin(&held, l, timeout);
    if (code != 0)
        return code;
    code = find(&held, i, &number, &item);
    if (code == 0 && buf != NULL)
        code = fmi_buf_put(buf, item);
    return fmi_list_end(&held, code != 0 ? code : fmi_list_remove(&held, number));
}

int fm_list_delete(fm_list *l, int64_t i, int64_t timeout)
{
    return fm_list_pop(l, i, NULL, timeout);
}

/* ---- by value ------------------------------------------------------------------------------------ */

/* From item `begin` on: the first that is equal; n if none is. 0; FM_ECORRUPT. */
static int search(const struct fmi_list *held, fm_bytes wanted, uint64_t begin, uint64_t *found)
{
    for (*found = begin; *found < held->n; ++*found) {
        fm_bytes item;
        if (fmi_list_item(held, *found, &item) != 0)
            return FM_ECORRUPT;
        if (item.bytes == wanted.bytes &&
            (item.bytes == 0 || memcmp(item.data, wanted.data, item.bytes) == 0))
            break;
    }
    return 0;
}

/* With the lock, and the first that is equal. 0; -ENOENT; else: not held, but for -ENOENT. */
static int begin_search(struct fmi_list *held, fm_list *l, fm_bytes item, uint64_t *found,
                        int64_t timeout)
{
    int code = fmi_bytes_check(item, "an item");
    if (code == 0)
        code = fmi_list_begin(held, l, timeout);
    if (code != 0)
        return code;
    code = search(held, item, 0, found);
    if (code != 0)
        return fmi_list_end(held, code);
    return *found < held->n ? 0 : -ENOENT;
}

int fm_list_remove(fm_list *l, fm_bytes item, int64_t timeout)
{
    struct fmi_list held;
    uint64_t found;
    const int code = begin_search(&held, l, item, &found, timeout);
    if (code != 0 && code != -ENOENT)
        return code;
    return fmi_list_end(&held, code != 0 ? code : fmi_list_remove(&held, found));
}

int fm_list_index(fm_list *l, fm_bytes item, int64_t *i, int64_t timeout)
{
    struct fmi_list held;
    uint64_t found;
    if (i == NULL)
        return fmi_error(-EINVAL, "i is NULL");
    *i = -1;
    const int code = begin_search(&held, l, item, &found, timeout);
    if (code != 0 && code != -ENOENT)
        return code;
    if (code == 0)
        *i = (int64_t)found;
    return fmi_list_end(&held, code);
}

int fm_list_contains(fm_list *l, fm_bytes item, int64_t timeout)
{
    int64_t i;
    const int code = fm_list_index(l, item, &i, timeout);
    return code == -ENOENT ? 0 : code == 0 ? 1 : code;
}

int fm_list_count(fm_list *l, fm_bytes item, int64_t *n, int64_t timeout)
{
    struct fmi_list held;
    uint64_t found;
    int64_t so_far = 0;
    if (n == NULL)
        return fmi_error(-EINVAL, "n is NULL");
    *n = 0;
    int code = begin_search(&held, l, item, &found, timeout);
    if (code != 0 && code != -ENOENT)
        return code;
    for (; code == 0 && found < held.n; so_far++)
        code = search(&held, item, found + 1, &found);
    code = fmi_list_end(&held, code == -ENOENT ? 0 : code);
    if (code == 0)
        *n = so_far;
    return code;
}
