/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_PROCESS_H
#define FORKMAP_PROCESS_H

/** @file process.h  Start methods. */
/**
 * @defgroup fm_start Start methods
 * How the processes of a pool, and single processes, come to be.
 *
 * | method | a child is | it has | use it |
 * |---|---|---|---|
 * | FM_FORK (default) | a copy of the caller | the caller's memory as it is now | before threads, OpenMP regions and MPI_Init |
 * | FM_FORKSERVER | a copy of a clean server, started early | memory as it was when the server started | after those: call fm_forkserver_start() first in `main` |
 * | FM_SPAWN | the program, executed again | what its libraries set up, and arguments | after those, anywhere: call fm_init() first in `main` |
 *
 * The shared heap is in all of them, at the same address: arrays and pointers into it mean the same everywhere. Functions may be
 * static, of the program or of any library; a library that the child lacks is opened there, and refused with FM_ESTALE if its file has changed.
 * @{
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** How a child comes to be. */
enum fm_start_method {
    FM_FORK = 1,      /**< by fork(2) of the caller */
    FM_SPAWN = 2,     /**< by posix_spawn(3) of the running program; needs fm_init() */
    FM_FORKSERVER = 3 /**< by fork(2) of a clean server */
};

/** What options take to choose a start method other than the default one: `.context = &context`. */
typedef struct fm_context {
    size_t struct_size; /**< set by fm_get_context() */
    int method;         /**< an fm_start_method */
} fm_context;

/**
 * A context with a start method.
 * @param method   an fm_start_method; 0: the one that is the default now
 * @param context  filled whole
 * @return 0; `-EINVAL` no such method, NULL
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.get_context.
 */
FM_API FM_NODISCARD int fm_get_context(int method, fm_context *context);

/**
 * Sets the start method of pools and processes that are opened without a context.
 * @param method  an fm_start_method
 * @param force   1: even if it was set before
 * @return 0; `-EALREADY` it was set before and `force` is 0; `-EINVAL` no such method
 * State after an error: as it was.
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.set_start_method.
 */
FM_API FM_NODISCARD int fm_set_start_method(int method, int force);

/**
 * The start method of pools and processes that are opened without a context.
 * @return an fm_start_method; FM_FORK if none was set
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.get_start_method.
 */
FM_API int fm_get_start_method(void);

/**
 * The start methods that there are, the default one first.
 * @return a list that ends with 0 and lives for ever
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.get_all_start_methods.
 */
FM_API const int *fm_all_start_methods(void);

/**
 * A start method's name for people: "fork", "spawn", "forkserver".
 * @param method  an fm_start_method
 * @return a text that lives for ever; "?" for any other number
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fm_start_method_name(int method);

/**
 * The first thing in `main` of a program that uses FM_SPAWN. In a process that was spawned it takes over and never
 * returns: what follows in `main` does not run there. Elsewhere it notes that the program can be spawned, and returns.
 * @param argc  of main
 * @param argv  of main; not kept, not changed
 * @return 0; `-EINVAL` argv is NULL
 * Undefined: in a spawned process, output and other effects of what `main` does before the call.
 * Blocks / thread-safety: never, but in a spawned process it does not return; the main thread.
 * Source: multiprocessing.freeze_support.
 */
FM_API int fm_init(int argc, char **argv);

/** Options of fm_forkserver_start(). */
typedef struct fm_forkserver_opts {
    /** Set by FM_FORKSERVER_OPTS(). */
    size_t struct_size;
    const char *const *
        preload; /**< libraries to open in the server, as for dlopen(3); ends with NULL; NULL: none */
    int64_t timeout; /**< [ns] until the server answers; 0: 60 s */
} fm_forkserver_opts;
/**
 * @def FM_FORKSERVER_OPTS
 * Options by name, the others 0: `FM_FORKSERVER_OPTS(.preload = libraries)`.
 */
#define FM_FORKSERVER_OPTS(...) FM_OPTS(fm_forkserver_opts, __VA_ARGS__)

/**
 * Starts the server from which FM_FORKSERVER forks: best as the first thing in `main`, before any thread, OpenMP region or MPI_Init,
 * and before memory is filled. Otherwise it starts when it is first needed. It is a fork of the caller as long as that is safe; of a
 * program with several threads it is a new execution, which needs fm_init().
 * @param opts  FM_FORKSERVER_OPTS(...), or NULL
 * @return 0, also if it runs already; `-EALREADY` it runs already, so `preload` comes too late; `-EINVAL` an option out of range;
 *         FM_ENOINIT it has to be executed anew, and fm_init() was not called; FM_ENOFUNC a library cannot be opened (detail);
 *         `-ETIMEDOUT`; FM_EBROKEN it ended as it started; `-EAGAIN`, `-ENOMEM`, `-EMFILE`
 * State after an error: no server runs, unless the code is `-EALREADY`.
 * Blocks / thread-safety: until the server answers; any thread.
 * Source: multiprocessing.set_forkserver_preload, multiprocessing.forkserver.ensure_running.
 */
FM_API FM_NODISCARD int fm_forkserver_start(const fm_forkserver_opts *opts);

/**
 * Ends the server, if this process has one. Pools and processes that came from it live on.
 * @return 0, also without a server
 * Blocks / thread-safety: until it has ended; any thread.
 */
FM_API int fm_forkserver_stop(void);

/**
 * The server's process number, for tests and monitors.
 * @return the pid; 0 if this process has no server, or it has died
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_forkserver_pid(void);

/**
 * Registers a hook that runs in every worker, and every process, that this process starts by FM_FORK from now on, before
 * any function of the user's, in the order of registration: to seed generators, to open files anew. Children of a forkserver
 * have the hooks that were registered when the server was forked.
 * @param hook  called in the child
 * @param arg   handed to it
 * @return 0; `-EINVAL` hook is NULL; `-ENOMEM`
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.util.register_after_fork.
 */
FM_API FM_NODISCARD int fm_after_fork(void (*hook)(void *arg), void *arg);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
