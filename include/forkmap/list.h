/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_LIST_H
#define FORKMAP_LIST_H

/**
 * @file list.h
 * Lists that grow, in the shared heap.
 */
/**
 * @defgroup fm_lists Lists
 * Lists of items of any bytes, which all processes of the family share, and which grow and shrink: Python's `Manager().list()`, without its server. For items that are numbers and
 * texts, in a list of fixed length, there are @ref fm_shlists.
 *
 * An `fm_list *` means the same in every process of the family, whenever it was made. A list has one lock; each call is one step, and a process may be killed at any instruction: its
 * call then happened or did not, others go on, and nobody has to be told. To get, set, append, and take the last one costs the same in a list of any length; to insert, delete or find
 * elsewhere grows with it.
 *
 * Indexes are those of Python: 0 .. n - 1 from the front, -1 .. -n from the end.
 *
 * * Every call that takes the lock has a timeout [ns], FM_FOREVER or FM_NOWAIT, and `-ETIMEDOUT` says that nothing was done.
 * * Every such call may also return `-EINVAL` NULL, not in the heap, or bytes at NULL; FM_ECORRUPT no list (any more), or overwritten; `-EAGAIN` 16,384 living
 *   threads of the family use shared objects already; `-EDEADLK` it was called from the function that compares in fm_list_sort(). They are not listed again.
 * @{
 */

#include <forkmap/array.h> /* FM_AUTO */
#include <forkmap/snapshot.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A list. Opaque; lives in the heap. */
typedef struct fm_list fm_list;

/** Negative: a comes before b; 0: they may stay as they are; positive: b before a. Must not write to them. */
typedef int fm_compare_fn(fm_bytes a, fm_bytes b, void *arg);

/**
 * Makes a list without items in the shared heap.
 * @param out  the list; NULL on failure
 * @return 0; `-EINVAL` NULL; `-ENOMEM`, `-ENOSPC` no room; `-EFBIG` over RLIMIT_FSIZE
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.managers.SyncManager.list.
 */
FM_API FM_NODISCARD int fm_list_create(fm_list **out);

/**
 * Destroys a list and what is in it.
 * @param l  a list; NULL is ignored, one that is destroyed already is reported in the log
 * Undefined: destroying a list that somebody is about to use.
 * Blocks / thread-safety: never; any process and thread, one of two that destroy at once wins.
 */
FM_API void fm_list_destroy(fm_list *l);

/**
 * Puts an item at the end.
 * @param l        a list
 * @param item     the item, copied
 * @param timeout  [ns]
 * @return 0; `-ENOMEM`, `-ENOSPC` no room; `-EOVERFLOW` more bytes than there can be; `-ETIMEDOUT`
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.append.
 */
FM_API FM_NODISCARD int fm_list_append(fm_list *l, fm_bytes item, int64_t timeout);

/**
 * Puts many items at the end, as one step.
 * @param l        a list
 * @param items    n items, copied
 * @param n        [items] >= 0
 * @param timeout  [ns]
 * @return as fm_list_append()
 * State after an error: as it was. A process that dies in here leaves all of them or none.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.extend.
 */
FM_API FM_NODISCARD int fm_list_extend(fm_list *l, const fm_bytes *items, int64_t n,
                                       int64_t timeout);

/**
 * Puts an item before another.
 * @param l        a list
 * @param i        index of what will come behind it; beyond an end it is that end
 * @param item     the item, copied
 * @param timeout  [ns]
 * @return as fm_list_append()
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.insert.
 */
FM_API FM_NODISCARD int fm_list_insert(fm_list *l, int64_t i, fm_bytes item, int64_t timeout);

/**
 * Copies an item out.
 * @param l        a list
 * @param i        index, -n .. n - 1
 * @param buf      gets the item
 * @param timeout  [ns]
 * @return 0; `-ERANGE` no such index; FM_ETOOLONG longer than the buffer: buf->bytes says how long; `-ETIMEDOUT`
 * State after an error: buf->bytes is 0, but for FM_ETOOLONG; nothing was written.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.__getitem__.
 */
FM_API FM_NODISCARD int fm_list_get(fm_list *l, int64_t i, fm_buf *buf, int64_t timeout);

/**
 * Changes an item.
 * @param l        a list
 * @param i        index, -n .. n - 1
 * @param item     what it becomes, copied
 * @param timeout  [ns]
 * @return 0; `-ERANGE` no such index; else as fm_list_append()
 * State after an error: as it was. A process that dies in here leaves the old or the new item.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.__setitem__.
 */
FM_API FM_NODISCARD int fm_list_set(fm_list *l, int64_t i, fm_bytes item, int64_t timeout);

/**
 * Takes an item out and gives it.
 * @param l        a list
 * @param i        index, -n .. n - 1; -1 is the last, and costs least
 * @param buf      gets the item; NULL: it is not wanted
 * @param timeout  [ns]
 * @return as fm_list_get(); `-ENOMEM`, `-ENOSPC` no room for the list without it
 * State after an error: as it was; buf as after fm_list_get(), but for no room, which leaves the item there.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.pop.
 */
FM_API FM_NODISCARD int fm_list_pop(fm_list *l, int64_t i, fm_buf *buf, int64_t timeout);

/**
 * Takes an item out.
 * @param l        a list
 * @param i        index, -n .. n - 1
 * @param timeout  [ns]
 * @return as fm_list_pop()
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.__delitem__.
 */
FM_API FM_NODISCARD int fm_list_delete(fm_list *l, int64_t i, int64_t timeout);

/**
 * Takes out the first item that is equal to one, byte for byte.
 * @param l        a list
 * @param item     the item
 * @param timeout  [ns]
 * @return 0; `-ENOENT` none is; `-ENOMEM`, `-ENOSPC` as fm_list_pop(); `-ETIMEDOUT`
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.remove.
 */
FM_API FM_NODISCARD int fm_list_remove(fm_list *l, fm_bytes item, int64_t timeout);

/**
 * Finds the first item that is equal to one, byte for byte.
 * @param l        a list
 * @param item     the item
 * @param i        gets its index, from the front; -1 after an error
 * @param timeout  [ns]
 * @return 0; `-ENOENT` none is (Python raises ValueError); `-ETIMEDOUT`
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.index.
 */
FM_API FM_NODISCARD int fm_list_index(fm_list *l, fm_bytes item, int64_t *i, int64_t timeout);

/**
 * Counts the items that are equal to one, byte for byte.
 * @param l        a list
 * @param item     the item
 * @param n        [items] gets their number; 0 after an error
 * @param timeout  [ns]
 * @return 0; `-ETIMEDOUT`
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.count.
 */
FM_API FM_NODISCARD int fm_list_count(fm_list *l, fm_bytes item, int64_t *n, int64_t timeout);

/**
 * Whether an item is there.
 * @param l        a list
 * @param item     the item
 * @param timeout  [ns]
 * @return 1, 0; `-ETIMEDOUT`
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.__contains__.
 */
FM_API FM_NODISCARD int fm_list_contains(fm_list *l, fm_bytes item, int64_t timeout);

/**
 * Number of items.
 * @param l        a list
 * @param n        [items] gets it; 0 after an error
 * @param timeout  [ns]
 * @return 0; `-ETIMEDOUT`
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: len(list).
 */
FM_API FM_NODISCARD int fm_list_len(fm_list *l, int64_t *n, int64_t timeout);

/**
 * Turns the order around, as one step.
 * @param l        a list
 * @param timeout  [ns]
 * @return 0; `-ENOMEM`, `-ENOSPC` no room for another order; `-ETIMEDOUT`
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.reverse.
 */
FM_API FM_NODISCARD int fm_list_reverse(fm_list *l, int64_t timeout);

/**
 * Sorts, as one step. What is equal stays in its order. The function is called in this process, while the list is locked.
 * @param l        a list
 * @param compare  tells the order; NULL: by bytes as unsigned numbers, and a shorter one before those that begin with it
 * @param arg      handed to compare
 * @param timeout  [ns] for the lock; `compare` takes as long as it takes
 * @return 0; `-ENOMEM`, `-ENOSPC` no room for another order, private memory included; `-ETIMEDOUT`
 * State after an error: as it was. A process that dies in here, in compare as well, leaves the old order or the new one.
 * Undefined: compare leaves by longjmp, or its thread is cancelled or ends in it.
 * Blocks / thread-safety: up to `timeout`, and then keeps others waiting; any process and thread.
 * Source: list.sort.
 */
FM_API FM_NODISCARD int fm_list_sort(fm_list *l, fm_compare_fn *compare, void *arg,
                                     int64_t timeout);

/**
 * Takes all items out, as one step.
 * @param l        a list
 * @param timeout  [ns]
 * @return 0; `-ETIMEDOUT`
 * State after an error: as it was. A process that dies in here leaves all items or none.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: list.clear.
 */
FM_API FM_NODISCARD int fm_list_clear(fm_list *l, int64_t timeout);

/**
 * Copies items, as they were at one moment: `l[begin:end]`.
 * @param l        a list
 * @param begin    index of the first; beyond an end it is that end
 * @param end      index behind the last; beyond an end it is that end: INT64_MAX is all of the rest
 * @param out      gets them in `values`, to be freed by fm_snapshot_free(); NULL on failure
 * @param timeout  [ns]
 * @return 0; `-ENOMEM` no private memory; `-ETIMEDOUT`
 * State after an error: nothing was made.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: slices of a list, and iteration over it.
 */
FM_API FM_NODISCARD int fm_list_slice(fm_list *l, int64_t begin, int64_t end, fm_snapshot **out,
                                      int64_t timeout);

static inline void fm_list_auto(fm_list **l)
{
    fm_list_destroy(*l);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
