/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_RESULT_H
#define FORKMAP_RESULT_H

/**
 * @file result.h
 * Work that is handed to a pool and waited for later: single calls, maps, their results and callbacks.
 */
/**
 * @defgroup fm_results Results
 * Calls and maps that return at once, and what becomes of them.
 *
 * An fm_result is what Python calls an AsyncResult. It is handed out by fm_pool_apply_async() and the fm_pool_..._async() maps, belongs to
 * the process that asked, and may be used by any of its threads. It outlives its pool: when that is destroyed, what has
 * not ended ends with FM_ECANCELLED.
 * @{
 */

#include <forkmap/conn.h>
#include <forkmap/map.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Options of fm_pool_apply_async(). */
typedef struct fm_apply_opts {
    /** Set by FM_APPLY_OPTS(). */
    size_t struct_size;
    int retries;                    /**< further attempts for a call that fails; 0 .. 1000 */
    int64_t item_timeout;           /**< [ns] wall time of the call; 0: none */
    uint64_t seed;                  /**< of fm_rng() */
    fm_callback_fn *callback;       /**< called once if the call succeeds; NULL: none */
    fm_callback_fn *error_callback; /**< called once if it does not; NULL: none */
    void *callback_arg;             /**< handed to both */
} fm_apply_opts;
/**
 * @def FM_APPLY_OPTS
 * Options by name, the others 0: `FM_APPLY_OPTS(.callback = add_up, .callback_arg = &sum)`.
 */
#define FM_APPLY_OPTS(...) FM_OPTS(fm_apply_opts, __VA_ARGS__)

/**
 * Has a function called once, in one worker, and does not wait for it.
 * @param pool          an open pool
 * @param fn            of any loaded module
 * @param arg           arg_bytes > 0: copied. 0: handed on as it is, as `arg` of fm_map_opts
 * @param arg_bytes     [bytes]; up to 96 cost no allocation
 * @param result        where fm_result_get() copies the result to, if that is to be done; NULL: fm_result_data() has it
 * @param result_bytes  [bytes] of the result; up to 96 cost no allocation
 * @param opts          FM_APPLY_OPTS(...), or NULL
 * @param out           gets the result, to be freed with fm_result_free(); NULL: nobody asks, the call runs and is forgotten
 * @return 0; FM_ECLOSED; FM_EBROKEN, FM_ECANCELLED the pool cannot go on; FM_EFORKED; FM_ENOFUNC; `-EINVAL` NULL, options; `-EAGAIN` a callback
 *         is asked for, and its thread cannot be started; `-ENOMEM`, `-ENOSPC`
 * State after an error: nothing is called, *out is NULL.
 * Undefined: to change or free what is not copied before the call has ended.
 * Blocks / thread-safety: while 65,536 calls wait to be begun, until one is; else never. Several threads may ask one pool. Inside a function,
 *   and on a pool that has no workers, the function is called before this returns. A caller that works calls functions while it waits.
 * Order: calls are begun in the order in which they were asked for. They may end in any order.
 * Source: multiprocessing.Pool.apply_async.
 */
FM_API FM_NODISCARD int fm_pool_apply_async(fm_pool *pool, fm_task_fn *fn, const void *arg,
                                            size_t arg_bytes, void *result, size_t result_bytes,
                                            const fm_apply_opts *opts, fm_result **out);

/**
 * fm_pool_map() that does not wait. With FM_CALLER_WORKS the workers do it; a caller that waits for ever for the result helps them.
 * @param pool  an open pool
 * @param fn    as for fm_pool_map()
 * @param in    array in the heap, shape (n, ...), any order; must live until the result is ready, as `out`
 * @param out   array in the heap, shape (n, ...); may be NULL
 * @param opts  FM_MAP_OPTS(...), or NULL. `progress` and `on_signal` are heeded by a thread that waits in fm_result_get() or _wait() only
 * @param res   gets the result; NULL: nobody asks
 * @return 0; what fm_pool_map() returns for a map that cannot begin. How it ended is what fm_result_get() returns
 * State after an error: nothing was changed, *res is NULL.
 * Undefined: to change or free columns, output or status before the result is ready.
 * Blocks / thread-safety: while 64 maps are under way, until one has ended; else never. Inside a function, and on a pool without
 *   workers, the map is done before this returns.
 * Source: multiprocessing.Pool.map_async.
 */
FM_API FM_NODISCARD int fm_pool_map_async(fm_pool *pool, fm_item_fn *fn, fm_array *in,
                                          fm_array *out, const fm_map_opts *opts, fm_result **res);

/**
 * fm_pool_map_chunks() that does not wait.
 * @param pool  an open pool
 * @param fn    as for fm_pool_map_chunks()
 * @param in    as for fm_pool_map_async()
 * @param out   as for fm_pool_map_async()
 * @param opts  as for fm_pool_map_async()
 * @param res   gets the result; NULL: nobody asks
 * @return as fm_pool_map_async()
 * State after an error: as fm_pool_map_async().
 * Blocks / thread-safety: as fm_pool_map_async().
 */
FM_API FM_NODISCARD int fm_pool_map_chunks_async(fm_pool *pool, fm_chunk_fn *fn, fm_array *in,
                                                 fm_array *out, const fm_map_opts *opts,
                                                 fm_result **res);

/**
 * fm_pool_map_range() that does not wait.
 * @param pool   an open pool
 * @param fn     as for fm_pool_map_range()
 * @param begin  first number
 * @param end    bound that is not reached, >= begin
 * @param out    array in the heap, shape (end - begin, ...); may be NULL
 * @param opts   as for fm_pool_map_async()
 * @param res    gets the result; NULL: nobody asks
 * @return as fm_pool_map_async()
 * State after an error: as fm_pool_map_async().
 * Blocks / thread-safety: as fm_pool_map_async().
 */
FM_API FM_NODISCARD int fm_pool_map_range_async(fm_pool *pool, fm_item_fn *fn, int64_t begin,
                                                int64_t end, fm_array *out, const fm_map_opts *opts,
                                                fm_result **res);

/**
 * fm_pool_map_range_chunks() that does not wait.
 * @param pool   an open pool
 * @param fn     as for fm_pool_map_range_chunks()
 * @param begin  first number
 * @param end    bound that is not reached, >= begin
 * @param out    array in the heap, shape (end - begin, ...); may be NULL
 * @param opts   as for fm_pool_map_async()
 * @param res    gets the result; NULL: nobody asks
 * @return as fm_pool_map_async()
 * State after an error: as fm_pool_map_async().
 * Blocks / thread-safety: as fm_pool_map_async().
 */
FM_API FM_NODISCARD int fm_pool_map_range_chunks_async(fm_pool *pool, fm_chunk_fn *fn,
                                                       int64_t begin, int64_t end, fm_array *out,
                                                       const fm_map_opts *opts, fm_result **res);

/**
 * fm_pool_starmap() that does not wait.
 * @param pool     an open pool
 * @param fn       as for fm_pool_starmap()
 * @param columns  n arrays in the heap, shape (items, ...) or (1, ...); the list is copied
 * @param n        number of columns, 1 .. FM_MAX_COLUMNS
 * @param out      array in the heap, shape (items, ...); may be NULL
 * @param opts     as for fm_pool_map_async()
 * @param res      gets the result; NULL: nobody asks
 * @return as fm_pool_map_async()
 * State after an error: as fm_pool_map_async().
 * Blocks / thread-safety: as fm_pool_map_async().
 * Source: multiprocessing.Pool.starmap_async.
 */
FM_API FM_NODISCARD int fm_pool_starmap_async(fm_pool *pool, fm_star_fn *fn,
                                              fm_array *const *columns, int n, fm_array *out,
                                              const fm_map_opts *opts, fm_result **res);

/**
 * fm_pool_starmap_chunks() that does not wait.
 * @param pool     an open pool
 * @param fn       as for fm_pool_starmap_chunks()
 * @param columns  n arrays in the heap, shape (items, ...) or (1, ...); the list is copied
 * @param n        number of columns, 1 .. FM_MAX_COLUMNS
 * @param out      array in the heap, shape (items, ...); may be NULL
 * @param opts     as for fm_pool_map_async()
 * @param res      gets the result; NULL: nobody asks
 * @return as fm_pool_map_async()
 * State after an error: as fm_pool_map_async().
 * Blocks / thread-safety: as fm_pool_map_async().
 */
FM_API FM_NODISCARD int fm_pool_starmap_chunks_async(fm_pool *pool, fm_chunk_fn *fn,
                                                     fm_array *const *columns, int n, fm_array *out,
                                                     const fm_map_opts *opts, fm_result **res);

/* ---- results --------------------------------------------------------------------------------- */

/**
 * Waits for the end and says how it was. The result of a call is then where it was to be copied to, that of a map in its output.
 * @param result   a result
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return what fm_pool_apply() or fm_pool_map() would return: 0, FM_ETASK, FM_ECRASHED ...; FM_ECANCELLED after fm_result_cancel() or when the pool
 *         was terminated; `-ETIMEDOUT` it has not ended; `-EDEADLK` from the callback of another, if its own is yet to be called;
 *         `-EINVAL` NULL; FM_EFORKED
 * State after an error: `-ETIMEDOUT` changes nothing. The result of a call that failed is not copied.
 * Blocks / thread-safety: up to `timeout`; any thread, several at once. A caller that works (FM_CALLER_WORKS) runs functions
 *   meanwhile if the timeout is FM_FOREVER. If there are callbacks, they have returned.
 * Source: multiprocessing.pool.AsyncResult.get.
 */
FM_API FM_NODISCARD int fm_result_get(fm_result *result, int64_t timeout);

/**
 * Waits for the end, however it is.
 * @param result   a result
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0: it has ended; `-ETIMEDOUT`; `-EDEADLK` as fm_result_get(); `-EINVAL` NULL; FM_EFORKED
 * Blocks / thread-safety: as fm_result_get().
 * Source: multiprocessing.pool.AsyncResult.wait.
 */
FM_API int fm_result_wait(fm_result *result, int64_t timeout);

/**
 * Whether it has ended.
 * @param result  a result
 * @return 1, 0; `-EINVAL` NULL; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.pool.AsyncResult.ready.
 */
FM_API int fm_result_ready(fm_result *result);

/**
 * Whether it has ended well.
 * @param result  a result
 * @return 1, 0; FM_ENOTREADY it has not ended; `-EINVAL` NULL; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.pool.AsyncResult.successful.
 */
FM_API int fm_result_successful(fm_result *result);

#define FM_CANCEL_KILL 1u /**< what runs is ended, too: the worker is killed and replaced */

/**
 * Calls it off: what has not begun does not begin. What runs goes on to its end, and sees fm_cancelled(); with FM_CANCEL_KILL its
 * worker is killed. A result that was not ready ends with FM_ECANCELLED, except a call that ran and ended well all the same.
 * @param result  a result
 * @param flags   0, FM_CANCEL_KILL
 * @return 0, also if it has ended already; `-EINVAL` NULL, unknown flags; FM_EFORKED
 * State after an error: as it was.
 * Undefined: nothing. Work of others that the killed worker had begun since is done again.
 * Blocks / thread-safety: never; any thread. fm_result_wait() waits for the end.
 */
FM_API int fm_result_cancel(fm_result *result, unsigned flags);

/**
 * A descriptor for poll(2), epoll(7) and the like, readable once the result is ready. It belongs to the result, which closes it.
 * @param result  a result
 * @return a descriptor >= 0 (an eventfd; not to be read, written or closed); `-EMFILE` ...; `-EAGAIN` no thread can be started; `-EINVAL` NULL; FM_EFORKED
 * Blocks / thread-safety: never; any thread. Like a callback, it starts the pool's dispatcher thread.
 */
FM_API int fm_result_fileno(fm_result *result);

/**
 * The result of a call that ended well, where it lies; valid until fm_result_free().
 * @param result  a result of fm_pool_apply_async() with result_bytes > 0
 * @return a pointer to result_bytes bytes, aligned to 8 at least; NULL: not ready, failed, of a map, or NULL
 * Blocks / thread-safety: never; any thread.
 */
FM_API const void *fm_result_data(fm_result *result);

/**
 * The records of what failed, lowest item first; a call is item 0.
 * @param result  a result that is ready
 * @param list    gets up to n records; may be NULL when n is 0
 * @param n       [records] room in `list`
 * @return number of records there are (may exceed n); FM_ENOTREADY; `-EINVAL` NULL, n < 0; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 */
FM_API int64_t fm_result_failures(fm_result *result, fm_failure *list, int64_t n);

/**
 * Frees a result. What has not ended is cancelled with FM_CANCEL_KILL first, and waited for, as no more of it may
 * touch memory then; give NULL for the result of what is to go on unwatched.
 * @param result  a result; NULL is ignored
 * @return 0; FM_EFORKED in a forked child; `-EDEADLK` from its own callback, or from another one if its own is yet to be called
 * State after an error: as it was.
 * Undefined: using it afterwards, also in another thread.
 * Blocks / thread-safety: until the worker that had it has been killed, or a callback of it has returned; else never.
 */
FM_API int fm_result_free(fm_result *result);

static inline void fm_result_auto(fm_result **result)
{
    fm_result_free(*result);
}

/* ---- waiting for several ---------------------------------------------------------------------- */

/** Something to wait for: one of the members is set, the others are 0. See FM_WAIT_RESULT() and the like. */
typedef struct fm_waitable {
    fm_result *result;   /**< ready */
    fm_process *process; /**< ended */
    int fd_plus_1; /**< a descriptor + 1, readable or at its end: a sentinel, a socket, a pipe */
    fm_conn *conn; /**< a message is there, or the other end is gone */
} fm_waitable;
/** An fm_waitable with these members, and no `conn`. */
#ifdef __cplusplus
#define FM_WAITABLE(result, process, fd_plus_1)                                                    \
    (fm_waitable{(result), (process), (fd_plus_1), NULL})
#define FM_WAIT_CONN(c)                                                                            \
    (fm_waitable{NULL, NULL, 0, (c)}) /**< until fm_conn_recv() would not wait */
#else
#define FM_WAITABLE(result, process, fd_plus_1)                                                    \
    ((fm_waitable){(result), (process), (fd_plus_1), NULL})
#define FM_WAIT_CONN(c)                                                                            \
    ((fm_waitable){NULL, NULL, 0, (c)}) /**< until fm_conn_recv() would not wait */
#endif
#define FM_WAIT_RESULT(r)  FM_WAITABLE((r), NULL, 0)         /**< until an fm_result is ready */
#define FM_WAIT_PROCESS(p) FM_WAITABLE(NULL, (p), 0)         /**< until an fm_process has ended */
#define FM_WAIT_FD(fd)     FM_WAITABLE(NULL, NULL, (fd) + 1) /**< until a descriptor is readable */

/**
 * Waits until one of several is ready.
 * @param objects  n of FM_WAIT_RESULT(r), FM_WAIT_PROCESS(p), FM_WAIT_CONN(c), FM_WAIT_FD(fd), in any mixture
 * @param n        [objects] >= 1
 * @param ready    n flags: ready[i] becomes 1 if objects[i] is ready, else 0; may be NULL
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return [objects] how many are ready, >= 1; `-ETIMEDOUT` none; `-EINVAL` NULL, n < 1, an object that is none or a process
 *         that was not started; `-EBADF` a closed descriptor, an end of a pipe that is closed or only sends; `-EINTR` a signal handler ran; `-EMFILE` ..., `-EAGAIN` as
 *         fm_result_fileno() and fm_conn_fileno(), `-ENOMEM`; FM_EFORKED; FM_ECORRUPT no connection
 * State after an error: ready is undefined, else nothing changed.
 * Blocks / thread-safety: up to `timeout`; any thread. Results of one pool alone are waited for without descriptors or threads.
 * Source: multiprocessing.connection.wait.
 */
FM_API int fm_wait(const fm_waitable *objects, int n, int *ready, int64_t timeout);

/**
 * Waits until one of n results is ready, and swaps it to the front. So this goes through all of them as they end:
 *
 *     for (int64_t k = 0; k < n; k++)
 *         if (fm_as_completed(results + k, n - k, FM_FOREVER) == 0)
 *             use(results[k]);
 *
 * @param results  n results; the order of those that are not ready may change
 * @param n        [results] >= 1
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0: results[0] is ready; `-ETIMEDOUT`; `-EINVAL` NULL among them, n < 1; as fm_wait()
 * State after an error: the same results, in some order.
 * Blocks / thread-safety: up to `timeout`; any thread, with a list of its own.
 * Source: concurrent.futures.as_completed.
 */
FM_API int fm_as_completed(fm_result **results, int64_t n, int64_t timeout);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
