/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_STREAM_H
#define FORKMAP_STREAM_H

/**
 * @file stream.h
 * Maps whose results are taken one by one while the rest is computed, in bounded memory.
 */
/**
 * @defgroup fm_streams Streams
 * Results as they come: over arrays, ranges, and generators that may never end.
 *
 * Items go to the workers in batches, through a window of bounded size: no more items are drawn from the source than the window has
 * room for, whatever the consumer does. A result is read where the worker wrote it.
 * @{
 */

#include <forkmap/map.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A stream. Opaque; private to the process that opened it, used by one thread at a time. */
typedef struct fm_stream fm_stream;

/**
 * Makes the next item. Called by the thread that opens the stream or takes from it.
 * @param slot  item_bytes zeroed bytes in the heap, to be filled
 * @param arg   of fm_source_generator()
 * @return 0: there is an item; FM_ECLOSED: there are no more; any other value: it failed. Items before are delivered, then the failure
 */
typedef int fm_generator_fn(void *slot, void *arg);

/** Where the items of a stream come from: fm_source_array(), fm_source_range(), fm_source_generator(). */
typedef struct fm_source {
    fm_array *array;       /**< its rows; NULL: not an array */
    int64_t begin;         /**< of a range */
    int64_t end;           /**< of a range */
    fm_generator_fn *next; /**< NULL: no generator */
    void *arg;             /**< of the generator */
    size_t item_bytes;     /**< [bytes] of an item of the generator */
} fm_source;

/** The rows of an array: in the heap, or a file mapped by fm_npy_load() or fm_npy_map_reserved(). It must live until the stream is closed. */
static inline fm_source fm_source_array(fm_array *array)
{
    fm_source s = {0, 0, 0, 0, 0, 0};
    s.array = array;
    return s;
}

/** The numbers begin .. end-1, each an int64_t. */
static inline fm_source fm_source_range(int64_t begin, int64_t end)
{
    fm_source s = {0, 0, 0, 0, 0, 0};
    s.begin = begin;
    s.end = end;
    return s;
}

/** What `next` makes, until it says FM_ECLOSED; or for ever. */
static inline fm_source fm_source_generator(fm_generator_fn *next, void *arg, size_t item_bytes)
{
    fm_source s = {0, 0, 0, 0, 0, 0};
    s.next = next;
    s.arg = arg;
    s.item_bytes = item_bytes;
    return s;
}

/** Options of fm_pool_imap() and fm_pool_imap_unordered(). */
typedef struct fm_stream_opts {
    /** Set by FM_STREAM_OPTS(). */
    size_t struct_size;
    size_t result_bytes; /**< [bytes] of a result; 0: the function gives none */
    int64_t
        chunk; /**< [items] in a batch; 0: automatic, from 1 upwards as long as batches are short */
    size_t
        window_bytes; /**< [bytes] that items and results in the window may take; 0: 16 MiB. There is always room for one item */
    void *arg;        /**< third parameter of the function */
    size_t arg_bytes; /**< as in fm_map_opts */
    int retries;      /**< further attempts for a failed item; 0 .. 1000 */
    int64_t item_timeout; /**< [ns] wall time of one item; 0: none */
    uint64_t seed;        /**< of fm_rng() */
} fm_stream_opts;
/**
 * @def FM_STREAM_OPTS
 * Options by name, the others 0: `FM_STREAM_OPTS(.result_bytes = sizeof(double))`.
 */
#define FM_STREAM_OPTS(...) FM_OPTS(fm_stream_opts, __VA_ARGS__)

/** What fm_stream_next() gives. */
typedef struct fm_stream_item {
    int64_t index; /**< number of the item, from 0 */
    const void *
        result; /**< result_bytes bytes, aligned to 8 at least; NULL: none, or the item failed. Valid until the next call on the stream */
    const fm_failure *
        failure; /**< of an item that failed: its record, valid as `result`; else NULL, also where there was no memory for it */
} fm_stream_item;

/**
 * Opens a stream of a function's results, in the order of the items.
 * @param pool    an open pool
 * @param fn      item function; `item` is a packed row, an int64_t of a range, or what the generator wrote
 * @param source  fm_source_array(), fm_source_range(), fm_source_generator()
 * @param opts    FM_STREAM_OPTS(.result_bytes = ...), or NULL
 * @param stream  gets the stream; to be closed with fm_stream_close()
 * @return 0; as fm_pool_apply_async(); `-EINVAL` a source that is none, options; FM_ECORRUPT the array
 * State after an error: *stream is NULL, no item was drawn from a generator.
 * Undefined: to change the source's array or arg while the stream is open.
 * Blocks / thread-safety: as fm_pool_apply_async(); the generator is called to fill the window. Several streams may be open on one pool. A pool that is closed
 *   finishes what is in the window and takes no more.
 * Source: multiprocessing.Pool.imap.
 */
FM_API FM_NODISCARD int fm_pool_imap(fm_pool *pool, fm_item_fn *fn, fm_source source,
                                     const fm_stream_opts *opts, fm_stream **stream);

/**
 * fm_pool_imap() in the order in which results come.
 * @param pool    an open pool
 * @param fn      as for fm_pool_imap()
 * @param source  as for fm_pool_imap()
 * @param opts    as for fm_pool_imap()
 * @param stream  gets the stream
 * @return as fm_pool_imap()
 * State after an error: as fm_pool_imap().
 * Blocks / thread-safety: as fm_pool_imap().
 * Source: multiprocessing.Pool.imap_unordered.
 */
FM_API FM_NODISCARD int fm_pool_imap_unordered(fm_pool *pool, fm_item_fn *fn, fm_source source,
                                               const fm_stream_opts *opts, fm_stream **stream);

/**
 * The next result.
 * @param stream   a stream
 * @param item     gets number, result, and what failed
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; FM_ETASK, FM_ECRASHED, FM_ETIMEOUT, FM_EOOM this item failed (item->failure), and the stream goes on; FM_ECLOSED there are no more;
 *         `-ETIMEDOUT` none yet; what the generator returned when it failed (if positive: FM_ETASK), once, item->index is the number of the item it did not make; FM_ECANCELLED the pool was terminated, or closed before the source had ended;
 *         FM_EBROKEN; FM_ENOFUNC, FM_ESTALE a worker cannot have the function's library; `-EINVAL` NULL; FM_EFORKED; FM_ECORRUPT
 * State after an error: `-ETIMEDOUT` changes nothing; after FM_ECANCELLED, FM_EBROKEN, FM_ENOFUNC and FM_ESTALE there are no more.
 * Blocks / thread-safety: up to `timeout`, and as long as the generator takes; one thread at a time. A caller that works runs
 *   functions meanwhile if the timeout is FM_FOREVER.
 * Source: multiprocessing.pool.IMapIterator.next.
 */
FM_API FM_NODISCARD int fm_stream_next(fm_stream *stream, fm_stream_item *item, int64_t timeout);

/**
 * Closes a stream, at any moment. Items that wait are dropped; those that run get 20 ms, then their workers are killed and replaced.
 * @param stream  a stream; NULL is ignored
 * @return 0; FM_EFORKED in a forked child
 * Undefined: using it, or a result of it, afterwards.
 * Blocks / thread-safety: until none of its items runs: some 20 ms at most. One thread at a time. In the share of a caller that works
 *   nothing is running then.
 */
FM_API int fm_stream_close(fm_stream *stream);

static inline void fm_stream_auto(fm_stream **stream)
{
    fm_stream_close(*stream);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
