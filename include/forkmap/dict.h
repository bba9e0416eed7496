/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_DICT_H
#define FORKMAP_DICT_H

/**
 * @file dict.h
 * Dicts in the shared heap.
 */
/**
 * @defgroup fm_dicts Dicts
 * Keys and values of any bytes, kept in the order of insertion, that all processes of the family share: Python's `Manager().dict()`, without its server.
 *
 * An `fm_dict *` means the same in every process of the family, whenever it was made. Keys are spread over stripes, each with a lock of its own, so processes that use
 * different keys seldom wait for each other. Every value is read and written whole. A process may be killed at any instruction: each of its changes
 * then happened or did not, others go on, and nobody has to be told.
 *
 * * Every call that takes locks has a timeout [ns], FM_FOREVER or FM_NOWAIT, and `-ETIMEDOUT` says that nothing was done. Others hold a lock for less than a
 *   microsecond, but longer to copy a long value or all keys, to make a table larger, or as they are stopped.
 * * Every such call may also return `-EINVAL` NULL, not in the heap, or bytes at NULL; FM_ECORRUPT no dict (any more), or overwritten; `-EAGAIN` 16,384 living
 *   threads of the family use shared objects already. They are not listed again.
 * @{
 */

#include <forkmap/array.h> /* FM_AUTO */
#include <forkmap/snapshot.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A dict. Opaque; lives in the heap. */
typedef struct fm_dict fm_dict;

enum {
    FM_DICT_DEFAULT_STRIPES = 32, /**< of fm_dict_create() */
    FM_DICT_MAX_STRIPES = 256     /**< at most */
};

/** How a dict is made: FM_DICT_OPTS(.stripes = 64). What is 0 is the default. */
typedef struct fm_dict_opts {
    size_t struct_size; /**< set by FM_DICT_OPTS() */
    int stripes; /**< how many locks, 0 .. FM_DICT_MAX_STRIPES; made a power of two. 64 bytes each, and some hundred with the first key in it */
} fm_dict_opts;

/** The address of options for fm_dict_create(). */
#define FM_DICT_OPTS(...) FM_OPTS(fm_dict_opts, __VA_ARGS__)

/**
 * Makes a dict without keys in the shared heap.
 * @param out   the dict; NULL on failure
 * @param opts  FM_DICT_OPTS(...); NULL: the defaults
 * @return 0; `-EINVAL` NULL, an option is out of range; `-ENOMEM`, `-ENOSPC` no room; `-EFBIG` over RLIMIT_FSIZE
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.managers.SyncManager.dict.
 */
FM_API FM_NODISCARD int fm_dict_create(fm_dict **out, const fm_dict_opts *opts);

/**
 * Destroys a dict and what is in it.
 * @param d  a dict; NULL is ignored, one that is destroyed already is reported in the log
 * Undefined: destroying a dict that somebody is about to use.
 * Blocks / thread-safety: never; any process and thread, one of two that destroy at once wins.
 */
FM_API void fm_dict_destroy(fm_dict *d);

/**
 * Copies a value out.
 * @param d        a dict
 * @param key      its key
 * @param buf      gets the value
 * @param timeout  [ns]
 * @return 0; `-ENOENT` no such key; FM_ETOOLONG longer than the buffer: buf->bytes says how long; `-ETIMEDOUT`
 * State after an error: buf->bytes is 0, but for FM_ETOOLONG; nothing was written.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: dict.get, dict.__getitem__.
 */
FM_API FM_NODISCARD int fm_dict_get(fm_dict *d, fm_bytes key, fm_buf *buf, int64_t timeout);

/**
 * Sets a value. A key that is there keeps its place in the order.
 * @param d        a dict
 * @param key      its key, copied
 * @param value    what it becomes, copied
 * @param timeout  [ns]
 * @return 0; `-ENOMEM`, `-ENOSPC` no room; `-EOVERFLOW` more bytes than there can be; `-ETIMEDOUT`
 * State after an error: as it was. A process that dies in here leaves the old value, or none, or the new one.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: dict.__setitem__.
 */
FM_API FM_NODISCARD int fm_dict_set(fm_dict *d, fm_bytes key, fm_bytes value, int64_t timeout);

/**
 * Takes a key out.
 * @param d        a dict
 * @param key      the key
 * @param timeout  [ns]
 * @return 0; `-ENOENT` no such key; `-ETIMEDOUT`
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: dict.__delitem__.
 */
FM_API FM_NODISCARD int fm_dict_delete(fm_dict *d, fm_bytes key, int64_t timeout);

/**
 * Whether a key is there.
 * @param d        a dict
 * @param key      the key
 * @param timeout  [ns]
 * @return 1, 0; `-ETIMEDOUT`
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: dict.__contains__.
 */
FM_API FM_NODISCARD int fm_dict_contains(fm_dict *d, fm_bytes key, int64_t timeout);

/**
 * Takes a key out and gives its value.
 * @param d        a dict
 * @param key      the key
 * @param buf      gets the value; NULL: it is not wanted
 * @param timeout  [ns]
 * @return 0; `-ENOENT` no such key; FM_ETOOLONG longer than the buffer: buf->bytes says how long; `-ETIMEDOUT`
 * State after an error: as it was; buf as after fm_dict_get().
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: dict.pop.
 */
FM_API FM_NODISCARD int fm_dict_pop(fm_dict *d, fm_bytes key, fm_buf *buf, int64_t timeout);

/**
 * Takes out the key that came last, and gives it and its value.
 * @param d        a dict
 * @param key      gets the key
 * @param value    gets the value
 * @param timeout  [ns] of all locks together
 * @return 0; `-ENOENT` there are no keys; FM_ETOOLONG key or value are longer than their buffer: both `bytes` say how long; `-ETIMEDOUT`
 * State after an error: as it was; both buffers as after fm_dict_get().
 * Blocks / thread-safety: up to `timeout`, and keeps others waiting: it takes all locks. Any process and thread.
 * Source: dict.popitem.
 */
FM_API FM_NODISCARD int fm_dict_popitem(fm_dict *d, fm_buf *key, fm_buf *value, int64_t timeout);

/**
 * Sets a value if the key is not there, and gives the one that is there then.
 * @param d        a dict
 * @param key      its key, copied
 * @param value    what it becomes, copied
 * @param buf      gets the value; NULL: it is not wanted
 * @param timeout  [ns]
 * @return 0 it was set; 1 it was there; FM_ETOOLONG it was there, and is longer than the buffer: buf->bytes says how long; else as fm_dict_set()
 * State after an error: as it was; buf as after fm_dict_get().
 * Blocks / thread-safety: up to `timeout`; any process and thread. Of several that call it at once one sets.
 * Source: dict.setdefault.
 */
FM_API FM_NODISCARD int fm_dict_setdefault(fm_dict *d, fm_bytes key, fm_bytes value, fm_buf *buf,
                                           int64_t timeout);

/**
 * Sets many values, one after another in the order given; each as fm_dict_set() does.
 * @param d        a dict
 * @param keys     n keys
 * @param values   n values
 * @param n        [pairs] >= 0
 * @param n_set    [pairs] gets how many were set; may be NULL
 * @param timeout  [ns] of all together
 * @return 0; as fm_dict_set()
 * State after an error: the first *n_set are set, the others are as they were. So it is when the process dies in here: it is no step of its own, as in Python.
 * Blocks / thread-safety: up to `timeout`; any process and thread. Others see some set and others not.
 * Source: dict.update.
 */
FM_API FM_NODISCARD int fm_dict_update(fm_dict *d, const fm_bytes *keys, const fm_bytes *values,
                                       int64_t n, int64_t *n_set, int64_t timeout);

/**
 * Adds to a value that is an int64_t, of 8 bytes in the machine's order, as one step. A key that is not there counts as 0.
 * @param d        a dict
 * @param key      its key, copied
 * @param addend   what to add
 * @param sum      gets what it is now; may be NULL
 * @param timeout  [ns]
 * @return 0; `-EINVAL` the value has not 8 bytes; `-ERANGE` the sum is no int64_t; else as fm_dict_set()
 * State after an error: as it was. A process that dies in here has added or not.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: `d[key] = d.get(key, 0) + addend` as one step; collections.Counter.
 */
FM_API FM_NODISCARD int fm_dict_add(fm_dict *d, fm_bytes key, int64_t addend, int64_t *sum,
                                    int64_t timeout);

/**
 * Number of keys, at one moment.
 * @param d        a dict
 * @param n        [keys] gets it; 0 after an error
 * @param timeout  [ns] of all locks together
 * @return 0; `-ETIMEDOUT`
 * Blocks / thread-safety: up to `timeout`, and keeps others waiting: it takes all locks. Any process and thread.
 * Source: len(dict).
 */
FM_API FM_NODISCARD int fm_dict_len(fm_dict *d, int64_t *n, int64_t timeout);

/**
 * Takes all keys out, at one moment.
 * @param d        a dict
 * @param timeout  [ns] of all locks together
 * @return 0; `-ETIMEDOUT`
 * State after an error: as it was. A process that dies in here leaves all keys or none.
 * Blocks / thread-safety: up to `timeout`; then frees, while others may use the dict. Any process and thread.
 * Source: dict.clear.
 */
FM_API FM_NODISCARD int fm_dict_clear(fm_dict *d, int64_t timeout);

/**
 * Copies all keys, in the order of insertion, as they were at one moment.
 * @param d        a dict
 * @param out      gets them, with `values` NULL, to be freed by fm_snapshot_free(); NULL on failure
 * @param timeout  [ns] of all locks together
 * @return 0; `-ENOMEM` no private memory; `-ETIMEDOUT`
 * State after an error: nothing was made.
 * Blocks / thread-safety: up to `timeout`, and keeps others waiting while it copies. Any process and thread.
 * Source: dict.keys.
 */
FM_API FM_NODISCARD int fm_dict_keys(fm_dict *d, fm_snapshot **out, int64_t timeout);

/**
 * Copies all values: fm_dict_keys() with `keys` NULL.
 * @param d        a dict
 * @param out      as for fm_dict_keys()
 * @param timeout  [ns]
 * @return as fm_dict_keys()
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_dict_keys().
 * Source: dict.values.
 */
FM_API FM_NODISCARD int fm_dict_values(fm_dict *d, fm_snapshot **out, int64_t timeout);

/**
 * Copies all keys and values: fm_dict_keys() with both.
 * @param d        a dict
 * @param out      as for fm_dict_keys()
 * @param timeout  [ns]
 * @return as fm_dict_keys()
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_dict_keys().
 * Source: dict.items.
 */
FM_API FM_NODISCARD int fm_dict_items(fm_dict *d, fm_snapshot **out, int64_t timeout);

/**
 * Makes another dict with the same keys and values, in the same order, as they were at one moment.
 * @param out      the new dict; NULL on failure
 * @param d        a dict
 * @param timeout  [ns] of all locks together
 * @return 0; as fm_dict_create(), fm_dict_items()
 * State after an error: nothing was made.
 * Blocks / thread-safety: as fm_dict_keys().
 * Source: dict.copy.
 */
FM_API FM_NODISCARD int fm_dict_copy(fm_dict **out, fm_dict *d, int64_t timeout);

static inline void fm_dict_auto(fm_dict **d)
{
    fm_dict_destroy(*d);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
