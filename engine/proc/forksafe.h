/* SPDX-License-Identifier: MIT */
#ifndef FMI_FORKSAFE_H
#define FMI_FORKSAFE_H

/*
 * What a fork does to a process that has threads, and what is done about it.
 *
 * BEFORE A FORK (fmi_forksafe_prepare) the pools of threads that would hang in the child, or that the fork ends anyway, are ended;
 * then the threads that are left are counted:
 *
 *   runtime            left alone, in a child                            before the fork
 *   libgomp            the first region of more than one thread hangs    omp_pause_resource_all(omp_pause_hard), of libgomp itself
 *   OpenBLAS, pthread  fine: ends its threads in its own atfork handler  the same, earlier, so that they are not counted
 *   OpenBLAS, openmp   as the OpenMP that it uses                        nothing
 *   libomp, libiomp5   fine: its atfork handlers make it new             nothing: after a pause the child of libomp 14 aborts
 *
 * The count is exact in the direction that matters. When it says "one thread", that is the caller, and nobody else could start another
 * one before the fork. So the end of the fork need not be looked at, and what is refused is refused before there is a child. The
 * other way round it may err: threads of libomp cannot be told from the host's own, and a thread may end between count and fork. Threads that
 * are ending are not counted (of joined ones up to 18 of 5000 are still in /proc), and those that libgomp sent away before get up to 10 ms.
 *
 * IN THE CHILD (fmi_inner_threads) nothing may wait for a lock that a thread of the host held at the fork. The loader's lock is made new by
 * glibc, that of the list of loaded objects and that of setenv are not: so no thread of the library is at the list when it forks (module.h), a worker
 * finds its runtimes looked up before the fork, and the environment of the child is an array of its own.
 */

#include <sys/types.h>

/* The variables that say how many threads a runtime starts with; ended by NULL. For a program that is executed anew, set these. */
extern const char *const fmi_inner_threads_names[];

/*
 * In the thread that is about to fork, right before it. Ends what is in the table above, and warns once per process (FORKMAP_FORK=warn, the
 * default) if other threads are left. 0; FM_EUNSAFE: there are some, and FORKMAP_FORK is strict (detail).
 */
int fmi_forksafe_prepare(void);

/* 1 if a fork now is one of a process without other threads. Ends pools as fmi_forksafe_prepare() does; says nothing. */
int fmi_forksafe_is_clean(void);

/* Before the forks, in a process that is no fork of one that has prepared one: looks up runtimes, for the children. */
void fmi_inner_threads_prepare(void);

/*
 * In a child: runtimes use n threads from now on; n <= 0: leaves them as they are. Starts no thread. A runtime that is loaded later
 * reads the environment.
 */
void fmi_inner_threads(int n);

/* A thread of the library says whether it waits, holding nothing: then it is not counted. Only as it changes. */
void fmi_forksafe_thread_waits(int does_wait);

/*
 * Removes what the OpenMP of LLVM leaves in /dev/shm for a process that ended by _exit or a signal. `dead` has ended; call it before it is
 * reaped, while its pid is its own. Who watches cannot know what the process had loaded, so it is always done: 2 us.
 */
void fmi_forksafe_forget(pid_t dead);

#endif
