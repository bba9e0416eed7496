/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_SHLIST_H
#define FORKMAP_SHLIST_H

/**
 * @file shlist.h
 * Lists of fixed length with items of different types, in the shared heap.
 */
/**
 * @defgroup fm_shlists Shareable lists
 * Lists of fixed length whose items are integers, doubles, booleans, texts, bytes, or none: Python's ShareableList.
 *
 * An `fm_shlist *` means the same in every process of the family, whenever it was made. The list cannot grow, and no slot outgrows its first
 * size: a slot made for a text or bytes of n bytes has 8 (n / 8 + 1), any other 8. Within that a slot may change its type. Every item is read and
 * written whole, whoever else reads or writes it, also if a process dies meanwhile; a change that depends on what was read before
 * (`l[i] += 1`) needs a lock around both, or an fm_value.
 *
 * Indexes are those of Python: 0 .. n - 1 from the front, -1 .. -n from the end.
 * Other than in Python, texts and bytes keep the NULs at their end, and a slot is measured in bytes, also for texts that are not ASCII.
 * @{
 */

#include <forkmap/array.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A list of fixed length. Opaque; lives in the heap. */
typedef struct fm_shlist fm_shlist;

/** What an item is. */
enum fm_shlist_type {
    FM_SHLIST_NONE = 1,   /**< nothing: Python's None */
    FM_SHLIST_INT = 2,    /**< int64_t */
    FM_SHLIST_DOUBLE = 3, /**< double */
    FM_SHLIST_BOOL = 4,   /**< 0 or 1 */
    FM_SHLIST_STRING = 5, /**< a text, in UTF-8 by convention; nobody checks that */
    FM_SHLIST_BYTES = 6   /**< any bytes */
};

/** One item. `type` says which member counts. Made by fm_shlist_int() and its like. */
typedef struct fm_shlist_item {
    int type;         /**< an `fm_shlist_type` */
    int boolean;      /**< FM_SHLIST_BOOL: 0 or 1; any other number is taken for 1 */
    int64_t integer;  /**< FM_SHLIST_INT */
    double real;      /**< FM_SHLIST_DOUBLE */
    const char *data; /**< FM_SHLIST_STRING, FM_SHLIST_BYTES: where they are */
    size_t bytes;     /**< [bytes] of a text, without a NUL that ends it, or of bytes */
} fm_shlist_item;

/** The item None. */
static inline fm_shlist_item fm_shlist_none(void)
{
    fm_shlist_item item = {FM_SHLIST_NONE, 0, 0, 0, 0, 0};
    return item;
}

/** An integer. */
static inline fm_shlist_item fm_shlist_int(int64_t integer)
{
    fm_shlist_item item = {FM_SHLIST_INT, 0, integer, 0, 0, 0};
    return item;
}

/** A double. */
static inline fm_shlist_item fm_shlist_double(double real)
{
    fm_shlist_item item = {FM_SHLIST_DOUBLE, 0, 0, real, 0, 0};
    return item;
}

/** A boolean. */
static inline fm_shlist_item fm_shlist_bool(int boolean)
{
    fm_shlist_item item = {FM_SHLIST_BOOL, boolean != 0, 0, 0, 0, 0};
    return item;
}

/** A text that ends with a NUL. It is not copied here: it must live until the call that gets the item. */
static inline fm_shlist_item fm_shlist_string(const char *text)
{
    fm_shlist_item item = {FM_SHLIST_STRING, 0, 0, 0, text, text == 0 ? 0 : strlen(text)};
    return item;
}

/** Bytes. They are not copied here: they must live until the call that gets the item. */
static inline fm_shlist_item fm_shlist_bytes(const void *data, size_t bytes)
{
    fm_shlist_item item = {FM_SHLIST_BYTES, 0, 0, 0, (const char *)data, bytes};
    return item;
}

/**
 * Makes a list in the shared heap.
 * @param out    the list; NULL on failure
 * @param items  n items, copied; may be NULL if n is 0
 * @param n      [items] >= 0
 * @return 0; `-EINVAL` NULL, n < 0, an item of no type, a text without data (detail: which); `-EOVERFLOW` more bytes than there can be;
 *         `-ENOMEM`, `-ENOSPC` no room; `-EFBIG` over RLIMIT_FSIZE
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.shared_memory.ShareableList.
 */
FM_API FM_NODISCARD int fm_shlist_create(fm_shlist **out, const fm_shlist_item *items, int64_t n);

/**
 * Destroys a list.
 * @param l  a list; NULL is ignored, one that is destroyed already is reported in the log
 * Undefined: destroying a list that somebody is about to use.
 * Blocks / thread-safety: never; any process and thread, one of two that destroy at once wins.
 */
FM_API void fm_shlist_destroy(fm_shlist *l);

/**
 * Number of items.
 * @param l  a list
 * @return [items]; 0: no list (any more)
 * Blocks / thread-safety: never; any process and thread.
 * Source: len(ShareableList).
 */
FM_API int64_t fm_shlist_len(const fm_shlist *l);

/**
 * Room of a slot: the longest text or bytes that fm_shlist_set() can put there. A buffer of one byte more is always
 * large enough for fm_shlist_get().
 * @param l  a list
 * @param i  index, -n .. n - 1
 * @return [bytes], a multiple of 8; 0: no such slot, no list (any more)
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API size_t fm_shlist_slot_bytes(const fm_shlist *l, int64_t i);

/**
 * Copies an item out.
 * @param l     a list
 * @param i     index, -n .. n - 1
 * @param item  gets the item; a text or bytes have `data` == buf
 * @param buf   where texts, with a NUL behind them, and bytes, without, are copied to; may be NULL if there are none
 * @param cap   [bytes] room in `buf`
 * @return 0; `-ERANGE` no such index; FM_ETOOLONG a text or bytes need more than `cap`: then item has type and bytes, and `data` is NULL; `-EINVAL` NULL, not
 *         in the heap; FM_ECORRUPT no list (any more), or an overwritten slot; `-EAGAIN` as fm_value_lock()
 * State after an error: `item` has type 0, but for FM_ETOOLONG; `buf` may be overwritten.
 * Blocks / thread-safety: never while others let the item be. While they set it all the time, until one that sets is through. Any process and thread.
 * Source: ShareableList.__getitem__.
 */
FM_API FM_NODISCARD int fm_shlist_get(fm_shlist *l, int64_t i, fm_shlist_item *item, void *buf,
                                      size_t cap);

/**
 * Changes an item. A slot may get an item of another type: anything that is no text and no bytes always fits.
 * @param l     a list
 * @param i     index, -n .. n - 1
 * @param item  what it becomes, copied
 * @return 0; `-ERANGE` no such index; FM_ETOOLONG a text or bytes exceed the slot (detail: its size); `-EINVAL` NULL, not in the heap, an item of no type, a
 *         text without data; FM_ECORRUPT no list (any more), or an overwritten slot; `-EAGAIN` as fm_value_lock()
 * State after an error: the item is as it was. A process that dies in here leaves the old or the new item.
 * Blocks / thread-safety: while another process or thread sets an item of the list. Any process and thread.
 * Source: ShareableList.__setitem__.
 */
FM_API FM_NODISCARD int fm_shlist_set(fm_shlist *l, int64_t i, const fm_shlist_item *item);

/**
 * Counts the items that are equal to one. Equal is what Python calls equal: numbers and booleans by value (1, 1.0 and true are),
 * texts and bytes byte for byte, each among themselves; NaN is equal to nothing.
 * @param l     a list
 * @param item  an item
 * @param n     [items] gets their number
 * @return 0; `-EINVAL` NULL, not in the heap, an item of no type, a text without data; FM_ECORRUPT no list (any more), or an overwritten slot; `-EAGAIN` as
 *         fm_value_lock()
 * State after an error: *n is 0.
 * Blocks / thread-safety: as fm_shlist_get(). Each item is looked at once, not all at one moment.
 * Source: ShareableList.count.
 */
FM_API FM_NODISCARD int fm_shlist_count(fm_shlist *l, const fm_shlist_item *item, int64_t *n);

/**
 * Finds the first item that is equal to one, as fm_shlist_count() has it.
 * @param l     a list
 * @param item  an item
 * @param i     gets its index, from the front
 * @return 0; `-ENOENT` none is (Python raises ValueError); else as fm_shlist_count()
 * State after an error: *i is -1.
 * Blocks / thread-safety: as fm_shlist_count().
 * Source: ShareableList.index.
 */
FM_API FM_NODISCARD int fm_shlist_index(fm_shlist *l, const fm_shlist_item *item, int64_t *i);

static inline void fm_shlist_auto(fm_shlist **l)
{
    fm_shlist_destroy(*l);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
