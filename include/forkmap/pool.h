/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_POOL_H
#define FORKMAP_POOL_H

/**
 * @file pool.h
 * A pool of pinned worker processes.
 */

#include <forkmap/machine.h>
#include <forkmap/process.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FM_MAX_WORKERS 1023 /**< most workers of a pool */

/** A pool. Opaque; private to the process that opened it. */
typedef struct fm_pool fm_pool;

/**
 * @defgroup fm_pools Pools
 * Worker processes: opened, asked about, closed.
 * @{
 */

/** What the thread that maps does meanwhile. */
enum fm_caller {
    FM_CALLER_SLEEPS = 1, /**< default: W workers; the caller is isolated from the functions */
    FM_CALLER_WORKS = 2,  /**< W - 1 workers and the caller: lowest latency, no isolation for it */
    FM_CALLER_ONLY =
        3 /**< no processes: the caller does all, one item after the other. For debuggers and valgrind */
};

/** What SIGINT and SIGTERM mean while maps run on a pool. */
enum fm_signals {
    FM_SIGNALS_LEAVE = 1, /**< default: what they mean to the program; a pool touches no handler */
    /**
     * The first one ends all maps of such pools softly: items that run are finished, no others begin, and the maps return FM_ECANCELLED. `status` arrays and
     * records tell what was done, fm_pool_signal() which signal it was. Until the last of these maps has ended, a map that begins is stopped at
     * once, and another signal, if it comes 100 ms later or more, has its default action: the process dies of it, and the workers with it. The handlers are
     * installed when a map begins and put back when the last one has ended (of a map that is handed out: when its result is settled); a signal that is
     * ignored stays ignored. Workers ignore SIGTERM, which may go to all processes of a job. Single calls and streams are no maps.
     */
    FM_SIGNALS_SOFT = 2
};

/**
 * @def FM_POOL_OPTS
 * Options by name, the others 0: `FM_POOL_OPTS(.workers = 4)`.
 */
/** Options of fm_pool_open(). */
typedef struct fm_pool_opts {
    /** Set by FM_POOL_OPTS(). */
    size_t struct_size;
    int workers; /**< 0: fm_cpu_budget(), or max_workers if that is less; at most FM_MAX_WORKERS */
    int pin;     /**< an fm_pin; 0: FM_PIN_CORE */
    int caller; /**< an fm_caller; 0: FM_CALLER_SLEEPS. FM_CALLER_ONLY leaves out workers, pin, stack_bytes, inner_threads, context and all that limits or counts workers */
    /** Runs in each worker, and in each replacement, before any work (FM_CALLER_ONLY: in the caller); non-zero: FM_EINIT. */
    int (*initializer)(int rank, void *arg);
    /** Runs in each worker that leaves in order (FM_CALLER_ONLY: in the caller, when the pool is closed). */
    int (*finalizer)(int rank, void *arg);
    void *
        init_arg; /**< for both; as the caller's memory was at open, or a heap pointer, or init_arg_bytes */
    size_t stack_bytes;    /**< stack of a worker's function; 0: RLIMIT_STACK, 8 MiB if unlimited */
    int inner_threads;     /**< OMP_NUM_THREADS and the like in workers; 0: 1; -1: leave as it is */
    int64_t start_timeout; /**< [ns] until all workers are ready; 0: 60 s */
    /** So many bytes at init_arg are copied. 0: the pointer is handed on; not by FM_FORK it must be NULL or point into the heap. */
    size_t init_arg_bytes;
    const fm_context *context; /**< how the warden comes to be; NULL: fm_get_start_method() */
    /**
     * A worker process that has run so many chunks of maps, calls, and batches of streams is replaced, also in the middle of a map. Its successor is started, and initialized, before the old
     * process runs the finalizer and ends. 0: no limit. A caller that works is never replaced. As maxtasksperchild of multiprocessing.Pool, which
     * counts chunks, too.
     */
    int64_t max_tasks_per_worker;
    /**
     * [bytes] A worker process that has more resident memory of its own is replaced in the same way, after the chunk that it runs. 0: no limit. Arrays in the
     * heap and mapped files do not count; the memory that it has from the caller's process does. Looked at every millisecond at most, and
     * before a worker sleeps: a chunk may take any amount meanwhile.
     */
    size_t max_worker_bytes;
    int max_workers; /**< that fm_pool_resize() may ask for; their cores are chosen at the open. 0: as many as at the open */
    /**
     * So many workers would do, the caller included when it works. Where no more can be forked for half a second, since a limit on processes is reached, the pool opens with those that there are: fm_pool_workers()
     * tells how many, a line in the log what is missing, and fm_pool_resize() may ask for the others later. 0: all are needed; as a number that is larger than the usable cores, if workers is 0.
     */
    int min_workers;
    int signals; /**< an fm_signals; 0: FM_SIGNALS_LEAVE */
    /**
     * [bytes] of private memory that a worker process may map beyond what it begins with, 1 MiB or more: malloc() in a function then returns NULL, and mmap()
     * fails, instead of the machine. Arrays in the heap, mapped files and the function's stack do not count. A function that then crashes, aborts or
     * exits is recorded as FM_ITEM_OUT_OF_MEMORY, with that signal or exit status, after one more attempt in a fresh worker. 0: no limit. Not for
     * the share of a caller that works. (RLIMIT_DATA: the soft limit is set, relative to what is mapped.)
     */
    size_t worker_memory_limit;
} fm_pool_opts;
#define FM_POOL_OPTS(...) FM_OPTS(fm_pool_opts, __VA_ARGS__)

/**
 * Opens a pool: starts one warden, by the context's method, which forks and watches the workers. All workers are ready at return.
 * @param out   the pool; NULL on failure
 * @param opts  FM_POOL_OPTS(...), or NULL for one isolated worker per usable core
 * @return 0; `-EINVAL` an option out of range; FM_EINIT an initializer failed or a worker died in it
 *         (detail: rank and how); `-ETIMEDOUT` not ready within start_timeout; `-EAGAIN` fewer
 *         processes could be forked than are needed (see min_workers); `-ENOMEM`, `-ENOSPC`, `-EMFILE`, or `-ENOSYS`, `-EPERM` ... of a system call that failed
 *         (detail: which); `-ENOTSUP` worker_memory_limit, and no /proc; FM_EUNSAFE (FM_FORK, if `FORKMAP_FORK=strict`) this process has other
 *         threads; FM_ENOINIT the method needs fm_init(); FM_ENOFUNC, FM_ESTALE the initializer's library cannot be had in the warden;
 *         FM_EBROKEN the forkserver, or the warden, died meanwhile
 * State after an error: everything is undone, no process is left.
 * Undefined: memory that the caller changes after the open (FM_FORKSERVER: after the start of the server; FM_SPAWN: at any time) is not seen by
 *   workers, unless it lies in the heap. FM_FORK in a process with several threads, a function that needs a lock which another thread held at the
 *   open hangs.
 * Blocks / thread-safety: until the workers are ready; any thread.
 * Source: multiprocessing.Pool.
 */
FM_API FM_NODISCARD int fm_pool_open(fm_pool **out, const fm_pool_opts *opts);

/**
 * No new maps from now on (they get FM_ECLOSED); those that run are finished. Then the workers leave.
 * @param pool  a pool
 * @return 0; `-EINVAL` no pool; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Pool.close.
 */
FM_API int fm_pool_close(fm_pool *pool);

/**
 * Ends all workers at once; maps that run return FM_ECANCELLED.
 * @param pool  a pool
 * @return 0; `-EINVAL` no pool; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Pool.terminate.
 */
FM_API int fm_pool_terminate(fm_pool *pool);

/**
 * Waits until every process of the pool has ended, and every callback has returned.
 * @param pool     a pool, closed or terminated
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; `-EBUSY` neither closed nor terminated; `-ETIMEDOUT`; `-EINVAL` no pool; `-EDEADLK` from a map on the same
 *         pool, by its callback or function; FM_EFORKED
 * State after an error: as it was; it may be joined again.
 * Blocks / thread-safety: until the processes have ended and the callbacks have returned, or the timeout; any thread.
 * Source: multiprocessing.Pool.join.
 */
FM_API int fm_pool_join(fm_pool *pool, int64_t timeout);

/**
 * Terminates the pool if it is open, waits for its processes and frees it. A map in another thread returns
 * FM_ECANCELLED first.
 * @param pool  a pool; NULL is ignored
 * @return 0; `-EINVAL` it is destroyed already, or another thread is doing it; `-EDEADLK` from a map on the same pool, by
 *         its callback or function; FM_EFORKED in a forked child
 * State after an error: nothing was done.
 * Undefined: using the pool afterwards.
 * Blocks / thread-safety: until the processes are gone, and until a function that runs in the share of a
 *   caller that works has returned.
 */
FM_API int fm_pool_destroy(fm_pool *pool);

/**
 * Changes the number of workers. Maps that begin afterwards are shared out between these; those that run keep the workers that have a share in
 * them, and get no others. Workers that are too many run their finalizer and leave when they have no such map any more; one that
 * dies before is replaced. New ones run the initializer.
 * @param pool     an open pool
 * @param workers  1 .. max_workers of the open, the caller included when it works
 * @return 0; `-EINVAL` no pool, or no such number: for more than there were at the open, open with `.max_workers`; FM_ECLOSED the pool is closed or
 *         terminated; FM_EINIT an initializer failed or a new worker died in it (detail: rank and how); `-ETIMEDOUT` not ready within the pool's
 *         start_timeout; `-EAGAIN`, `-ENOMEM` no process could be forked; FM_ECANCELLED the pool was terminated meanwhile; FM_EBROKEN; FM_EFORKED
 * State after an error: the number is as before; new workers that had come so far leave again.
 * Blocks / thread-safety: with more workers until the new ones are ready, with fewer never; and until other calls of it on this pool have ended. Any
 *   thread, also during a map, and in its callback.
 */
FM_API FM_NODISCARD int fm_pool_resize(fm_pool *pool, int workers);

/**
 * Number of workers, the caller included when it works: what was asked for last.
 * @param pool  a pool
 * @return [workers] >= 1; `-EINVAL` no pool; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_pool_workers(const fm_pool *pool);

/**
 * The signal that ended the last maps of a pool with FM_SIGNALS_SOFT. One that came at the very end may have found all items done: the map
 * returned 0 then, and this tells of the signal.
 * @param pool  a pool
 * @return its number; 0 if none came since a map began while no other ran; `-EINVAL` no pool; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_pool_signal(const fm_pool *pool);

/** What has happened in a pool since it was opened. */
typedef struct fm_pool_counters {
    uint64_t maps;       /**< submitted */
    uint64_t steals;     /**< ranges taken from another worker */
    uint64_t deaths;     /**< workers that died before they were told to leave */
    uint64_t reruns;     /**< items or pieces of chunks that were started again */
    uint64_t undo_bytes; /**< restored before a rerun, FM_IN_PLACE */
    /* sums over all workers, see fm_worker_counters */
    uint64_t items;    /**< that ended, however they ended */
    uint64_t chunks;   /**< that ended */
    uint64_t restarts; /**< processes that took the place of one that died or was recycled */
    uint64_t busy_ns;  /**< [ns] */
    uint64_t idle_ns;  /**< [ns] */
    uint64_t bytes;    /**< [bytes] of rows */
    uint64_t
        recycled; /**< workers that were replaced because of max_tasks_per_worker or max_worker_bytes */
} fm_pool_counters;
/**
 * Counters since the open.
 * @param pool  a pool
 * @param out   filled whole
 * @return 0; `-EINVAL` no pool, NULL; FM_EFORKED
 * Blocks / thread-safety: never; any thread, also during a map.
 */
FM_API int fm_pool_stats(fm_pool *pool, fm_pool_counters *out);

/**
 * What the processes of a rank have done since the pool was opened, dead ones included. Items, chunks and bytes are those of chunks that ended, and
 * when a map returns all of its chunks are counted. Maps inside functions count for nobody; the maps that reductions, scans and filters are made
 * of do, with the rows or blocks that they go over.
 */
typedef struct fm_worker_counters {
    /** That ended, however they ended. Those that a cancelled map never ran do not count. */
    uint64_t items;
    uint64_t chunks;   /**< claimed or stolen runs of items */
    uint64_t steals;   /**< ranges taken from another worker */
    uint64_t restarts; /**< processes that took the place of one that died or was recycled */
    /** [ns] since its first process was ready, but for idle_ns. While a worker is replaced, its time is what it was at its death. */
    uint64_t busy_ns;
    /** [ns] it spun or slept for want of work, the wait that goes on now included. */
    uint64_t idle_ns;
    uint64_t bytes; /**< [bytes] items x (a row of each column + a row of the output) */
} fm_worker_counters;
/**
 * Counters of one worker since the open. Rank 0 of a caller that works has the items of all threads that mapped, and no times: busy_ns and
 * idle_ns are 0. Otherwise the two are estimates, from the processor's own counter: a wait may be taken for up to 1 us too short, and
 * what a worker does around a map counts as busy. They stand still once the worker has left, or the pool was terminated. A worker
 * that is killed at the very end of a chunk may have counted it, and its successor then counts it again.
 * @param pool  a pool
 * @param rank  0 .. fm_pool_workers() - 1
 * @param out   filled whole
 * @return 0; `-EINVAL` no pool, no such rank, NULL; FM_EFORKED
 * Blocks / thread-safety: never; any thread, also during a map.
 */
FM_API int fm_pool_worker_stats(fm_pool *pool, int rank, fm_worker_counters *out);

/** Who has a rank. */
typedef struct fm_worker_info {
    int pid; /**< 0 while it is being replaced; the caller's own for rank 0 when the caller works */
    int cpu; /**< where it is pinned, -1: not; of a caller that works: the core left to it */
    int starts; /**< processes that had this rank so far */
} fm_worker_info;
/**
 * Who has a rank now. A snapshot.
 * @param pool  a pool
 * @param rank  0 .. fm_pool_workers() - 1
 * @param out   filled whole
 * @return 0; `-EINVAL` no pool, no such rank, NULL; FM_EFORKED
 * Blocks / thread-safety: never; any thread, also during a map.
 */
FM_API int fm_pool_worker(fm_pool *pool, int rank, fm_worker_info *out);
/**
 * The warden's process number, for tests and monitors.
 * @param pool  a pool
 * @return the pid; 0 if the pool is the caller alone; `-EINVAL` no pool; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_pool_warden_pid(fm_pool *pool);

/** @} */

static inline void fm_pool_auto(fm_pool **pool)
{
    fm_pool_destroy(*pool);
}

#ifdef __cplusplus
}
#endif
#endif
