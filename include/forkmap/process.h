/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_PROCESS_H
#define FORKMAP_PROCESS_H

/** @file process.h  Start methods, and processes that run one function. */
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

#include <errno.h>
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
 * returns: what follows in `main` does not run there. Elsewhere it notes that the program can be spawned, and returns. A program that runs
 * with more rights than its caller (set-user-ID) cannot be spawned: there it does nothing.
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

/**
 * @defgroup fm_processes Processes
 * One function in a process of its own.
 *
 *     static int greet(void *arg) { return printf("hello, %s\n", (char *)arg) < 0; }
 *     ...
 *     fm_process *p;
 *     rc = fm_process_create(&p, greet, "world", 6, NULL);
 *     rc = fm_process_start(p);
 *     rc = fm_process_join(p, FM_FOREVER);
 *     rc = fm_process_close(p);
 *
 * A process is watched by a small keeper, its parent in the eyes of the kernel: its exit code is known whatever the program
 * does with SIGCHLD and wait(2), and it ends when the program ends in any way (what it forks by itself, it must end by itself). When a program that has started processes leaves by exit(3) or
 * returns from main, daemons are terminated and the others are waited for. The same holds in a process that has started others. A process
 * leaves by _exit(2) after its stdio is flushed: handlers of atexit(3) that its parent registered do not run in it.
 * @{
 */

/** A process: made, started once, joined, closed. Opaque; private to the process that created it. */
typedef struct fm_process fm_process;

/**
 * What a process runs.
 * @param arg  the copy of fm_process_create()'s bytes, or its pointer
 * @return the exit code, 0..255. Another value is an error that nobody caught: it is reported on stderr with the process's name, and
 *         the exit code is 1.
 */
typedef int fm_target_fn(void *arg);

/**
 * What a process runs that knows itself.
 * @param me    the process, as fm_current_process()
 * @param self  the copy of fm_process_create_run()'s bytes, or its pointer
 * @return as for fm_target_fn
 */
typedef int fm_run_fn(fm_process *me, void *self);

/** Options of a process. */
typedef struct fm_process_opts {
    /** Set by FM_PROCESS_OPTS(). */
    size_t struct_size;
    const char *
        name; /**< NULL: "Process-1", ...; in its children "Process-1:1"; at most 95 bytes are kept */
    int daemon; /**< 1: terminated when its parent exits, and may not start processes */
    const fm_context *context; /**< NULL: fm_get_start_method() */
    size_t stack_bytes;        /**< stack of its function; 0: RLIMIT_STACK, 8 MiB if unlimited */
    int inner_threads;         /**< OMP_NUM_THREADS and the like in it; 0 or -1: leave as it is */
    int64_t start_timeout;     /**< [ns] for fm_process_start(); 0: 60 s */
} fm_process_opts;
/**
 * @def FM_PROCESS_OPTS
 * Options by name, the others 0: `FM_PROCESS_OPTS(.daemon = 1)`.
 */
#define FM_PROCESS_OPTS(...) FM_OPTS(fm_process_opts, __VA_ARGS__)

/**
 * Makes a process that is to run `target(arg)`. It does not start yet.
 * @param out        the process; NULL on failure
 * @param target     a function of the program or of any library, static or not
 * @param arg        arg_bytes > 0: copied now, and the function gets the copy, which it may write to. 0: handed on as it is: NULL, a pointer into the
 *                   shared heap, or with FM_FORK any pointer
 * @param arg_bytes  [bytes]
 * @param opts       FM_PROCESS_OPTS(...), or NULL
 * @return 0; `-EINVAL` NULL, an option out of range, or a pointer to private memory for a start method that does not have it; `-ENOMEM`, `-ENOSPC`
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process(target, args, name, daemon).
 */
FM_API FM_NODISCARD int fm_process_create(fm_process **out, fm_target_fn *target, const void *arg,
                                          size_t arg_bytes, const fm_process_opts *opts);

/**
 * The same for a function that gets its own process and a "self": the C form of a class that overrides run().
 * @param out         the process; NULL on failure
 * @param run         as `target` of fm_process_create()
 * @param self        as `arg` of fm_process_create()
 * @param self_bytes  [bytes]
 * @param opts        FM_PROCESS_OPTS(...), or NULL
 * @return as fm_process_create()
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.run.
 */
FM_API FM_NODISCARD int fm_process_create_run(fm_process **out, fm_run_fn *run, const void *self,
                                              size_t self_bytes, const fm_process_opts *opts);

/**
 * Starts it, once. At return it runs and has a pid.
 * @param p  a process
 * @return 0; `-EALREADY` it was started before; `-EPERM` in a daemonic process or in a pool's worker; FM_ENOFUNC, FM_ESTALE its function cannot be
 *         had in the child; FM_ENOINIT (FM_SPAWN) fm_init() was not called; FM_EUNSAFE (FM_FORK, if `FORKMAP_FORK=strict`) this process has other
 *         threads; FM_EBROKEN the keeper ended as it started; `-ETIMEDOUT`; `-EAGAIN`, `-ENOMEM`, `-ENOSPC`, `-EMFILE`; (FM_SPAWN) `-EEXIST` the
 *         heap's addresses are taken in the new execution, `-EBADF` the program has closed the heap's descriptor; `-EINVAL`; FM_EFORKED
 * State after an error: not started, nobody runs; it may be tried again.
 * Blocks / thread-safety: until it runs; any thread.
 * Source: multiprocessing.Process.start.
 */
FM_API FM_NODISCARD int fm_process_start(fm_process *p);

/**
 * Waits until it has ended. May be repeated.
 * @param p        a process that was started; or fm_parent_process()
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0 it has ended; `-ETIMEDOUT`; `-EINTR` a signal handler ran meanwhile (not for the parent); `-EINVAL` not started, or itself; FM_EFORKED
 * State after an error: as it was.
 * Blocks / thread-safety: until its end or the timeout; any thread, also several.
 * Source: multiprocessing.Process.join.
 */
FM_API FM_NODISCARD int fm_process_join(fm_process *p, int64_t timeout);

/**
 * Whether it runs.
 * @param p  a process; also fm_current_process() and fm_parent_process()
 * @return 1 it was started and has not ended; 0; `-EINVAL`; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.is_alive.
 */
FM_API int fm_process_is_alive(fm_process *p);

/**
 * Sends SIGTERM. Clean-up of the function does not run, unless it handles that signal.
 * @param p  a process that was started
 * @return 0, also if it has ended; `-EINVAL` not started, or no child; `-EPERM` it has become another user's; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.terminate.
 */
FM_API int fm_process_terminate(fm_process *p);

/**
 * Sends SIGKILL.
 * @param p  a process that was started
 * @return as fm_process_terminate()
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.kill.
 */
FM_API int fm_process_kill(fm_process *p);

/**
 * Sends SIGINT. That of a terminal's Ctrl-C, which goes to all, a process ignores: the program decides.
 * @param p  a process that was started
 * @return as fm_process_terminate()
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.interrupt.
 */
FM_API int fm_process_interrupt(fm_process *p);

/**
 * Frees a process that has ended, or was never started.
 * @param p  a process; NULL is ignored
 * @return 0; `-EBUSY` it runs; `-EINVAL` closed already, or fm_current_process(); FM_EFORKED
 * State after an error: nothing was done.
 * Undefined: using it afterwards, or in another thread meanwhile (two may close it: one of them does).
 * Blocks / thread-safety: never, but for the moment in which its keeper takes note of the end; any thread.
 * Source: multiprocessing.Process.close.
 */
FM_API int fm_process_close(fm_process *p);

/**
 * Its name. "MainProcess" is the program itself.
 * @param p  a process
 * @return a text, valid until the name is set or the process closed; "?" if `p` is no process
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fm_process_name(const fm_process *p);

/**
 * Names it. After the start only this process knows the new name.
 * @param p     a process
 * @param name  text; at most 95 bytes are kept
 * @return 0; `-EINVAL` NULL or no process
 * Blocks / thread-safety: never; no other thread may use the process meanwhile.
 */
FM_API int fm_process_set_name(fm_process *p, const char *name);

/**
 * Whether it is a daemon: terminated when its parent exits.
 * @param p  a process
 * @return 1 or 0; `-EINVAL`
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_process_daemon(const fm_process *p);

/**
 * Makes it a daemon, or not.
 * @param p       a process that was not started
 * @param daemon  1 or 0
 * @return 0; `-EALREADY` it was started; `-EINVAL`; FM_EFORKED
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_process_set_daemon(fm_process *p, int daemon);

/**
 * Its process number.
 * @param p  a process
 * @return the pid; 0 before the start; `-EINVAL`
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_process_pid(const fm_process *p);

/**
 * How it ended.
 * @param p     a process
 * @param code  0..255, or -signal; unchanged on failure
 * @return 0; `-EAGAIN` it has not ended, or was not started; `-EINVAL`; FM_EFORKED
 * Blocks / thread-safety: never, but for the moment in which its keeper takes note of the end; any thread.
 * Source: multiprocessing.Process.exitcode.
 */
FM_API FM_NODISCARD int fm_process_exitcode(fm_process *p, int *code);

/**
 * A descriptor for poll(2), select(2) and epoll(7): readable when the process has ended. It is a pidfd, and close-on-exec.
 * @param p  a process that was started; or fm_parent_process()
 * @return the descriptor, valid until the process is closed; `-EINVAL` not started; `-ENOSYS` the kernel (before 5.3), or a filter of system
 *         calls, has no pidfd_open(2): all else works, by looks at /proc every 10 ms; FM_EFORKED
 * Undefined: reading it, closing it.
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.sentinel.
 */
FM_API int fm_process_sentinel(const fm_process *p);

/**
 * Its key for connections: random bytes that the program makes at first use and its processes inherit.
 * @param p      a process
 * @param key    its bytes; valid until it is set or the process closed
 * @param bytes  [bytes] how many
 * @return 0; `-EINVAL`; what getrandom(2) said
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.Process.authkey.
 */
FM_API FM_NODISCARD int fm_process_authkey(fm_process *p, const void **key, size_t *bytes);

/**
 * Sets the key. A process inherits its parent's as it is when it is created.
 * @param p      a process
 * @param key    bytes, copied
 * @param bytes  [bytes] 1 .. 64
 * @return 0; `-EINVAL`; FM_EFORKED
 * Blocks / thread-safety: never; no other thread may use the process meanwhile.
 */
FM_API FM_NODISCARD int fm_process_set_authkey(fm_process *p, const void *key, size_t bytes);

/**
 * The process that calls.
 * @return never NULL; lives as long as the process
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.current_process.
 */
FM_API fm_process *fm_current_process(void);

/**
 * The process that started the calling one. It can be asked for its name and pid, whether it lives, and be joined.
 * @return lives as long as the process; NULL in the program itself
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.parent_process.
 */
FM_API fm_process *fm_parent_process(void);

/**
 * The processes that this one has started and that run. Takes note of those that have ended.
 * @param list  gets up to n of them; may be NULL when n is 0
 * @param n     room in `list`
 * @return how many there are (may exceed n); `-EINVAL` n < 0, NULL
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.active_children.
 */
FM_API int fm_active_children(fm_process **list, int n);

/** @} */

static inline void fm_process_auto(fm_process **p)
{
    if (*p != NULL && fm_process_is_alive(*p) == 1) {
        (void)fm_process_kill(*p);
        while (fm_process_join(*p, FM_FOREVER) == -EINTR)
            ;
    }
    (void)fm_process_close(*p);
}

#ifdef __cplusplus
}
#endif
#endif
