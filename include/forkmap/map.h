/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_MAP_H
#define FORKMAP_MAP_H

/**
 * @file map.h
 * Maps of a pool over shared arrays, and single calls; what became of each item.
 */

#include <forkmap/function.h>
#include <forkmap/pool.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FM_MAX_FRAMES 12 /**< most functions that a record names; the innermost ones */

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

#ifdef __cplusplus
}
#endif
#endif
