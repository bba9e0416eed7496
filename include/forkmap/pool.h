/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_POOL_H
#define FORKMAP_POOL_H

/**
 * @file pool.h
 * A pool of pinned worker processes, and maps over shared arrays.
 */
/**
 * @defgroup fm_functions Functions that are mapped
 * What a pool calls in its workers: one item at a time, or runs of them.
 *
 * The item axis is axis 0: an item is a row of the input, a result a row of the output. Results are
 * written where the caller reads them. Nothing that a function does in a worker can hurt the caller:
 * a crash, an exit or an endless loop becomes a record that names the item.
 * @{
 */

#include <forkmap/array.h>
#include <forkmap/machine.h>
#include <forkmap/process.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FM_MAX_WORKERS 1023 /**< most workers of a pool */
#define FM_MAX_COLUMNS 16   /**< most input arrays of a map */
#define FM_MAX_FRAMES  12   /**< most functions that a record names; the innermost ones */

/** A pool. Opaque; private to the process that opened it. */
typedef struct fm_pool fm_pool;

/** What becomes of work that was handed to a pool (result.h). Opaque; private to the process that asked. */
typedef struct fm_result fm_result;

/**
 * Is called when such work has ended, once, by the pool's dispatcher thread, one after the other. The thread starts with the first callback
 * and has all signals blocked. (On a pool without workers it is called by the thread that asked.) It must not destroy or join the pool,
 * and it must not wait for a result whose own callback is yet to be called: one thread calls both.
 * @param result  is ready: fm_result_get() does not wait. If nobody else has it, it is freed after the call
 * @param arg     of the options
 */
typedef void fm_callback_fn(fm_result *result, void *arg);

/* ---- functions ------------------------------------------------------------------------------ */

/** Consecutive items for a chunk function. Row r of column k is at (char *)in[k] + r * in_stride[k]. */
typedef struct fm_chunk {
    int64_t begin;                     /**< number of the first item */
    int64_t count;                     /**< items, >= 1 */
    int n_in;                          /**< columns; 0 for a range */
    const void *in[FM_MAX_COLUMNS];    /**< its first row in each column; [0] NULL: a range */
    int64_t in_stride[FM_MAX_COLUMNS]; /**< [bytes] from row to row; 0 for a broadcast column */
    const fm_array *in_array[FM_MAX_COLUMNS]; /**< the whole column: shape, inner strides */
    void *out;                 /**< the chunk's first result row; NULL without output */
    int64_t out_stride;        /**< [bytes] */
    const fm_array *out_array; /**< the whole output; NULL without output */
} fm_chunk;

/**
 * Item function: one item in, one result out. Returns 0, or any other value to fail the item.
 * Runs at least once per item: items of a crashed worker run again. Must not keep the pointers.
 * @param item    a packed row in C order; for a range an int64_t
 * @param result  a packed row to be written whole; NULL without output
 * @param arg     of the map's options
 */
typedef int fm_item_fn(const void *item, void *result, void *arg);

/**
 * The same with one pointer per column.
 * @param items   a packed row of each column
 * @param result  a packed row to be written whole; NULL without output
 * @param arg     of the map's options
 */
typedef int fm_star_fn(const void *const items[], void *result, void *arg);

/**
 * Chunk function: a run of items, so that the loop is the function's own. A failing chunk is split and rerun.
 * @param chunk  where the rows lie, valid during the call
 * @param arg    of the map's options
 */
typedef int fm_chunk_fn(const fm_chunk *chunk, void *arg);

/**
 * Task function, of fm_pool_apply(): one call, one result. Returns 0, or any other value to fail.
 * @param arg     as fm_pool_apply() got it, or its copy
 * @param result  to be written whole, zeroed before the first attempt; NULL without a result
 */
typedef int fm_task_fn(const void *arg, void *result);

/**
 * Whether a chunk's rows are what a function takes that reads one value per row and writes another.
 * @param chunk      as the function got it
 * @param in_bytes   [bytes] of the value in column 0
 * @param out_bytes  [bytes] of the result
 * @return 0; `-EINVAL` no column or several, no output, rows of another size or with gaps inside: the note says which
 * Blocks / thread-safety: never; any thread.
 */
FM_API FM_NODISCARD int fm_chunk_check(const fm_chunk *chunk, size_t in_bytes, size_t out_bytes);

#ifdef __clang__
#define FM_IVDEP /* clang looks at run time whether rows overlap */
#else
#define FM_IVDEP _Pragma("GCC ivdep")
#endif
/* No iteration reads what another wrote: rows do not overlap, and in place each lies on itself. */
#define FM_CHUNK_LOOP(in_type, out_type, in_step, out_step, ...)                                   \
    FM_IVDEP                                                                                       \
    for (int64_t fm_k = 0; fm_k < chunk->count; fm_k++) {                                          \
        const int64_t i = chunk->begin + fm_k;                                                     \
        const in_type x = *(const in_type *)(fm_in + fm_k * (in_step));                            \
        (void)i;                                                                                   \
        *(out_type *)(fm_out + fm_k * (out_step)) = (__VA_ARGS__);                                 \
    }

/**
 * Makes chunk function `name` from an expression of one item, often the call of an inline function: `x` is the
 * item (type `in_type`), `i` its number (int64_t), `arg` the map's arg, and the value is stored as `out_type`.
 *     static FM_CHUNK_FN(square, double, double, x * x)
 *     static FM_CHUNK_FN(energy, struct pose, float, energy_of(&x, arg))
 * Where rows follow each other without gaps the loop has constant strides, so that the compiler can make vector
 * code of it. A row that is no `in_type` fails its item with `-EINVAL`, see fm_chunk_check().
 */
#define FM_CHUNK_FN(name, in_type, out_type, ...)                                                  \
    int name(const fm_chunk *chunk, void *arg)                                                     \
    {                                                                                              \
        const char *fm_in = (const char *)chunk->in[0];                                            \
        char *fm_out = (char *)chunk->out;                                                         \
        const int64_t fm_in_step = chunk->n_in > 0 ? chunk->in_stride[0] : 0;                      \
        const int64_t fm_out_step = chunk->out_stride;                                             \
        const int fm_rc = fm_chunk_check(chunk, sizeof(in_type), sizeof(out_type));                \
        (void)arg;                                                                                 \
        if (fm_rc != 0)                                                                            \
            return fm_rc;                                                                          \
        if (fm_in_step == (int64_t)sizeof(in_type) && fm_out_step == (int64_t)sizeof(out_type)) {  \
            FM_CHUNK_LOOP(in_type, out_type, (int64_t)sizeof(in_type), (int64_t)sizeof(out_type),  \
                          __VA_ARGS__)                                                             \
        } else {                                                                                   \
            FM_CHUNK_LOOP(in_type, out_type, fm_in_step, fm_out_step, __VA_ARGS__)                 \
        }                                                                                          \
        return 0;                                                                                  \
    }

/** @} */

/* ---- pool ----------------------------------------------------------------------------------- */

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

/* ---- maps ----------------------------------------------------------------------------------- */

/**
 * @defgroup fm_maps Maps
 * A function over the rows of arrays, and what became of each.
 * @{
 */

/** How items are shared out between the workers. */
enum fm_schedule {
    FM_SCHEDULE_AUTO = 1,    /**< default: own range first, then steal; chunk length follows time */
    FM_SCHEDULE_STATIC = 2,  /**< own range in one chunk (or in chunks of `chunk`), no stealing */
    FM_SCHEDULE_DYNAMIC = 3, /**< chunks of `chunk` (default 1), stealing */
    FM_SCHEDULE_GUIDED = 4   /**< chunks of a share of what is left, at least `chunk`, stealing */
};
#define FM_CHUNK_PYTHON ((int64_t)-1) /**< ceil(n / (4 W)), as multiprocessing.Pool.map */

/** What a failed item means for the others. */
enum fm_on_error {
    FM_ON_ERROR_STOP = 1,    /**< default: the lowest failed item ends the map */
    FM_ON_ERROR_CONTINUE = 2 /**< every item is tried */
};

/** What it means when a signal handler runs in the calling thread while that waits for the map. */
enum fm_on_signal {
    FM_SIGNAL_WAIT = 1, /**< default: nothing; the map goes on */
    FM_SIGNAL_CANCEL =
        2 /**< items that run are finished, no others begin, the map returns FM_ECANCELLED */
};

/** In `status` arrays and records. */
enum fm_item_state {
    FM_ITEM_DONE = 1,    /**< its result is right */
    FM_ITEM_FAILED = 2,  /**< the function returned non-zero */
    FM_ITEM_CRASHED = 3, /**< its worker died by a signal or exited */
    FM_ITEM_TIMEOUT = 4, /**< it passed its time limit */
    FM_ITEM_OUT_OF_MEMORY =
        5, /**< the kernel killed its worker for want of memory, or an allocation failed at worker_memory_limit and it crashed */
    FM_ITEM_CANCELLED = 6 /**< never run to its end */
};
/**
 * A state's name for people: "done", "failed", ...
 * @param state  an fm_item_state
 * @return a text that lives for ever; "?" for any other number
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fm_item_state_name(int state);

#define FM_IN_PLACE 1u /**< map flag: output may be the input; undo copies make reruns right */

/**
 * A map with a journal. Its items lie in cells of ceil(n / 65536) items, whatever the number of workers; the file has a bit for each cell, set when
 * its items have ended and their rows are written. The first map makes it; a later one with the same function (its file's build-id), argument bytes,
 * seed, types and shapes, and the same output file, skips the cells that are done. Contents of inputs, and what an `arg` points to that is not copied, are
 * not compared. Whoever is killed, and whenever, at most the cells that workers were in are run again: one for each. After a stop of the whole
 * machine, also what was not on disk yet: the caller's thread syncs it every 5 s, and at the end.
 *
 * The output must be a mapped file (fm_npy_create(), FM_NPY_MAP_WRITE), or NULL; no FM_IN_PLACE. Workers claim one cell at a time: `chunk` bounds the
 * calls of a chunk function, and nothing else; FM_SCHEDULE_GUIDED is FM_SCHEDULE_DYNAMIC.
 *
 * With FM_ON_ERROR_CONTINUE an item that failed has ended: a later run reports it, with its state alone (worker -1, attempt 0), and does not try it again but
 * with FM_JOURNAL_RETRY_FAILED. With FM_ON_ERROR_STOP failed items are always tried again.
 *
 * The file has 36 KiB and, where items failed, their states. It is never removed here. One map at a time can use it.
 */
enum fm_journal_flag {
    FM_JOURNAL_RETRY_FAILED = 1 /**< items that failed are run again, and no others that are done */
};
/**
 * Guard of a map: workers cannot write to its inputs while they take part in it. A function that does, crashes, and the record says
 * which input that was (fm_failure: wrote_input). Whole pages are guarded, of 4 KiB: all of an array of more than 32 KiB and of a mapped file; of a view, and of a smaller
 * array, the pages that lie between its first and its last element, which may be none. What lies in gaps of a view is guarded with it. Not guarded are maps inside functions, and the share of a
 * caller that works. It costs each worker two system calls an input and a map, and a page fault for each page that was written before and is after.
 */
#define FM_GUARD_INPUTS 1u

/** How far a map is. */
typedef struct fm_progress {
    int64_t n_items;  /**< of the map */
    int64_t n_done;   /**< finished, however they ended */
    int64_t n_failed; /**< of those that are finished */
    double seconds;   /**< since the map began */
} fm_progress;

/**
 * @def FM_MAP_OPTS
 * Options by name, the others 0: `FM_MAP_OPTS(.retries = 2, .item_timeout = FM_SECONDS(1))`.
 */
/** Options of the maps. */
typedef struct fm_map_opts {
    /** Set by FM_MAP_OPTS(). */
    size_t struct_size;
    int64_t chunk;  /**< [items]; 0: automatic; FM_CHUNK_PYTHON */
    int schedule;   /**< an fm_schedule; 0: FM_SCHEDULE_AUTO */
    int on_error;   /**< an fm_on_error; 0: FM_ON_ERROR_STOP */
    unsigned flags; /**< FM_IN_PLACE */
    int retries;    /**< further attempts for a failed item; 0 .. 1000 */
    void *arg;      /**< third (second) parameter of the function */
    /**
     * So many bytes at arg are copied into the job. 0: the pointer is handed on as it is, and must be NULL, point
     * into the heap, or (workers by FM_FORK) to memory that was there when the pool was opened.
     */
    size_t arg_bytes;
    /** [ns] wall time of one item, or of one call of a chunk function; 0: none. */
    int64_t item_timeout;
    double timeout_factor; /**< limit as a multiple of the running median of item times; 0: none */
    int64_t max_failures;  /**< continue: give up after so many; 0: no limit */
    fm_array *status;      /**< NULL, or u8 with one element per item: its fm_item_state */
    /** Called by the caller's thread; non-zero cancels the map. */
    int (*progress)(const fm_progress *p, void *arg);
    /** Handed to `progress`. */
    void *progress_arg;
    int64_t progress_interval; /**< [ns]; 0: 100 ms */
    int on_signal;             /**< an fm_on_signal; 0: FM_SIGNAL_WAIT */
    uint64_t seed;             /**< of fm_rng(); 0 is a seed like any other */
    fm_callback_fn
        *callback; /**< of an ..._async map: called once if all items are done; NULL: none */
    fm_callback_fn *error_callback; /**< called once if not; NULL: none */
    void *callback_arg;             /**< handed to both */
    /**
     * NULL, or a file that says what is done, so that another run of the same map goes on where this one was killed: see fm_journal_flag. For maps
     * that are waited for, outside functions.
     */
    const char *journal;
    unsigned journal_flags; /**< fm_journal_flag */
    int64_t *
        journal_done; /**< NULL, or gets the items that earlier runs have ended, before any begins */
    unsigned guard;   /**< FM_GUARD_INPUTS; not with FM_IN_PLACE */
} fm_map_opts;
#define FM_MAP_OPTS(...) FM_OPTS(fm_map_opts, __VA_ARGS__)

/**
 * Maps an item function over the rows of `in`; row i of `out` becomes the result of row i.
 * @param pool  an open pool
 * @param fn    runs in the workers; a function of any loaded module, also one opened after the pool
 * @param in    array in the heap, shape (n, ...), any order
 * @param out   array in the heap, shape (n, ...); may be NULL; must not overlap `in` without FM_IN_PLACE
 * @param opts  FM_MAP_OPTS(...), or NULL
 * @return 0: every item is done. Otherwise the code of the lowest item that is not: FM_ETASK, FM_ECRASHED,
 *         FM_ETIMEOUT, FM_EOOM (fm_pool_failures() has the records); FM_ECANCELLED; FM_EBROKEN the warden is
 *         gone or workers cannot start; FM_ECLOSED; FM_EFORKED; FM_ECORRUPT; FM_ESTALE, FM_ENOFUNC the workers
 *         cannot load the function's module; `-EINVAL` wrong shapes or options, overlap, arrays outside the
 *         heap (detail); `-EOVERFLOW` a size does not fit 63 bits; `-ENOMEM`, `-ENOSPC`; `-ESTALE`, `-EACCES` ... a
 *         worker cannot map the file of an array (fm_npy_mode). With a journal also: FM_ESTALE it is of another map (detail: what differs);
 *         `-EBUSY` another map uses it, or workers of one that was killed did not end in 5 s; FM_EFORMAT it is no journal, or damaged; `-EIO` ... what was done is not on disk; and as open(2)
 * State after an error: rows of items that are done are right, others undefined (FM_IN_PLACE: as before the
 *   map). A `-EINVAL` changed nothing.
 * Policy: a function's non-zero return, crash or timeout is tried again `retries` times. A death that nobody
 *   explains (SIGKILL from outside) is tried three times at least. After a kill by the kernel for want of memory the
 *   item runs again while the pool's other workers wait, and is given up if it is killed then, too. A chunk
 *   function that fails is called again with smaller chunks until the single bad item is found.
 *   `item_timeout`: an item is ended between its limit and a fifth more (1 ms at least). Time during which the
 *   process tree was stopped does not count. It does not hold for the share of a caller that works.
 *   A map of no items is done.
 * Undefined: to change columns, output, status or arg before the map returns.
 * Blocks / thread-safety: until the map ends; several threads may map on one pool. Inside a function (in a worker,
 *   or in the share of a caller that works) the map runs inline, one item after the other.
 * Source: multiprocessing.Pool.map.
 */
FM_API FM_NODISCARD int fm_pool_map(fm_pool *pool, fm_item_fn *fn, fm_array *in, fm_array *out,
                                    const fm_map_opts *opts);

/**
 * fm_pool_map() with a chunk function.
 * @param pool  an open pool
 * @param fn    as for fm_pool_map()
 * @param in    array in the heap, shape (n, ...), any order
 * @param out   array in the heap, shape (n, ...); may be NULL
 * @param opts  FM_MAP_OPTS(...), or NULL
 * @return as fm_pool_map()
 * State after an error: as fm_pool_map().
 * Blocks / thread-safety: as fm_pool_map().
 */
FM_API FM_NODISCARD int fm_pool_map_chunks(fm_pool *pool, fm_chunk_fn *fn, fm_array *in,
                                           fm_array *out, const fm_map_opts *opts);

/**
 * fm_pool_map() over the numbers begin .. end-1, each an int64_t.
 * @param pool   an open pool
 * @param fn     as for fm_pool_map()
 * @param begin  first number
 * @param end    bound that is not reached, >= begin
 * @param out    array in the heap, shape (end - begin, ...), row 0 belongs to `begin`; may be NULL
 * @param opts   FM_MAP_OPTS(...), or NULL
 * @return as fm_pool_map()
 * State after an error: as fm_pool_map().
 * Blocks / thread-safety: as fm_pool_map().
 */
FM_API FM_NODISCARD int fm_pool_map_range(fm_pool *pool, fm_item_fn *fn, int64_t begin, int64_t end,
                                          fm_array *out, const fm_map_opts *opts);

/**
 * fm_pool_map_range() with a chunk function: chunk->begin is the first number, chunk->n_in is 0.
 * @param pool   an open pool
 * @param fn     as for fm_pool_map()
 * @param begin  first number
 * @param end    bound that is not reached, >= begin
 * @param out    array in the heap, shape (end - begin, ...), row 0 belongs to `begin`; may be NULL
 * @param opts   FM_MAP_OPTS(...), or NULL
 * @return as fm_pool_map()
 * State after an error: as fm_pool_map().
 * Blocks / thread-safety: as fm_pool_map().
 */
FM_API FM_NODISCARD int fm_pool_map_range_chunks(fm_pool *pool, fm_chunk_fn *fn, int64_t begin,
                                                 int64_t end, fm_array *out,
                                                 const fm_map_opts *opts);

/**
 * Maps over several arrays at once: item i is row i of every column. A column with one row is
 * broadcast; other lengths must agree (`-EINVAL`).
 * @param pool     an open pool
 * @param fn       as for fm_pool_map()
 * @param columns  n arrays in the heap, shape (items, ...) or (1, ...)
 * @param n        number of columns, 1 .. FM_MAX_COLUMNS
 * @param out      array in the heap, shape (items, ...); may be NULL
 * @param opts     FM_MAP_OPTS(...), or NULL
 * @return as fm_pool_map()
 * State after an error: as fm_pool_map().
 * Blocks / thread-safety: as fm_pool_map().
 * Source: multiprocessing.Pool.starmap.
 */
FM_API FM_NODISCARD int fm_pool_starmap(fm_pool *pool, fm_star_fn *fn, fm_array *const *columns,
                                        int n, fm_array *out, const fm_map_opts *opts);

/**
 * fm_pool_starmap() with a chunk function.
 * @param pool     an open pool
 * @param fn       as for fm_pool_map()
 * @param columns  n arrays in the heap, shape (items, ...) or (1, ...)
 * @param n        number of columns, 1 .. FM_MAX_COLUMNS
 * @param out      array in the heap, shape (items, ...); may be NULL
 * @param opts     FM_MAP_OPTS(...), or NULL
 * @return as fm_pool_map()
 * State after an error: as fm_pool_map().
 * Blocks / thread-safety: as fm_pool_map().
 */
FM_API FM_NODISCARD int fm_pool_starmap_chunks(fm_pool *pool, fm_chunk_fn *fn,
                                               fm_array *const *columns, int n, fm_array *out,
                                               const fm_map_opts *opts);

/**
 * Calls a function once, in one worker, and waits for it. (A caller that works may call it itself.)
 * @param pool          an open pool
 * @param fn            of any loaded module
 * @param arg           arg_bytes > 0: copied. 0: handed on as it is, as `arg` of fm_map_opts
 * @param arg_bytes     [bytes]
 * @param result        gets the result; may be NULL when result_bytes is 0
 * @param result_bytes  [bytes]
 * @return as fm_pool_map() with one item: 0; FM_ETASK the function returned non-zero; FM_ECRASHED its worker died; FM_EOOM ...
 *         (fm_pool_failures() has the record, of item 0); `-EINVAL` NULL
 * State after an error: the result is as it was.
 * Blocks / thread-safety: until the function has ended; several threads may call on one pool. Inside a function it is called there.
 * Source: multiprocessing.Pool.apply.
 */
FM_API FM_NODISCARD int fm_pool_apply(fm_pool *pool, fm_task_fn *fn, const void *arg,
                                      size_t arg_bytes, void *result, size_t result_bytes);

/** What became of an item that failed. */
typedef struct fm_failure {
    int64_t item;       /**< number of the item (counted from `begin` for a range) */
    int state;          /**< an fm_item_state other than DONE */
    int code;           /**< what the function returned, or the exit status; 0 for a signal */
    int signal;         /**< that killed the worker; 0: none */
    int attempt;        /**< the attempt that this was, from 1 */
    int worker;         /**< rank */
    int pid;            /**< of the worker process */
    int cpu;            /**< where it was pinned, -1: not */
    int stack_overflow; /**< 1: the fault lies in the stack's guard */
    uint64_t address;   /**< faulting address of SIGSEGV, SIGBUS, SIGILL, SIGFPE; else 0 */
    int64_t begin_ns;   /**< CLOCK_MONOTONIC [ns] when the chunk in flight began */
    int64_t end_ns;     /**< when it failed */
    int64_t peak_bytes; /**< largest resident size of the worker */
    char note[96];      /**< last fm_note() of the function, "" if none */
    int n_frames;       /**< of `frames`; 0 if it was no crash, or the stack could not be read */
    int wrote_input;    /**< FM_GUARD_INPUTS: into which input it wrote, from 1; 0: none */
    uint64_t frames[FM_MAX_FRAMES]; /**< for fm_pool_frame(); the innermost first */
} fm_failure;

/**
 * The records of the last map that this thread ran, if it ran on this pool; lowest item first. With
 * FM_ON_ERROR_STOP there is one: which others had failed by then depends on the timing.
 * @param pool  a pool
 * @param list  gets up to n records; may be NULL when n is 0
 * @param n     [records] room in `list`
 * @return number of records there are (may exceed n); `-EINVAL` no pool, n < 0, NULL; FM_EFORKED
 * Blocks / thread-safety: never; the thread that mapped.
 */
FM_API int64_t fm_pool_failures(fm_pool *pool, fm_failure *list, int64_t n);

/** Where a crash was, or one of the calls that led there. */
typedef struct fm_frame {
    /** [bytes] In the module: of the instruction that crashed, or where a call returns to. What addr2line(1) takes. Without a module the address. */
    uint64_t offset;
    uint64_t function_offset; /**< [bytes] behind the function's begin; 0 without one */
    char function[128];       /**< its name, C++'s mangled; "" if the module's file does not say */
    char module[512];         /**< path of the program or library; "" if it is not known */
} fm_frame;

/**
 * One frame of a crash, 0 being the innermost: that of the record's signal. Functions are named by the module's file as it is now: by its symbols, or if it is stripped by what it
 * exports. Frames of the library that called the function are left out, if it is a library of its own.
 * @param pool     the pool of the record, by which modules are known
 * @param failure  a record of fm_pool_failures(), fm_result_failures() ..., unchanged
 * @param i        0 .. failure->n_frames - 1
 * @param out      filled whole
 * @return 0; `-EINVAL` no pool, no such frame, NULL; FM_EFORKED
 * State after an error: *out is as it was.
 * Blocks / thread-safety: reads the module's file; any thread.
 */
FM_API FM_NODISCARD int fm_pool_frame(fm_pool *pool, const fm_failure *failure, int i,
                                      fm_frame *out);

/** @} */

/* ---- inside functions ------------------------------------------------------------------------ */

/**
 * @addtogroup fm_functions
 * @{
 */

/**
 * Rank of the worker that runs this. A result must not depend on it.
 * @return 0 .. W-1; -1 outside
 * Blocks / thread-safety: never; any thread of a worker.
 */
FM_API int fm_worker_rank(void);
/**
 * Leaves a note for the failure record, should this item fail. Cheap.
 * @param format  as printf(3), up to 95 bytes of text; a later note replaces an earlier one
 * Blocks / thread-safety: never; the thread that was called.
 */
FM_API void fm_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/**
 * Whether the map that this function serves was cancelled, or this item is no longer wanted. Poll it in long items.
 * @return 1 or 0
 * Blocks / thread-safety: never; any thread of a worker.
 */
FM_API int fm_cancelled(void);

/** @} */

static inline void fm_pool_auto(fm_pool **pool)
{
    fm_pool_destroy(*pool);
}

#ifdef __cplusplus
}
#endif
#endif
