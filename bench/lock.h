/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LOCK_H
#define BENCH_LOCK_H

/*
 * The engines of the lock benchmark, each in a process of its own. Command:
 *   run N_PROCESSES N             answers the time per turn [ns]: so many processes at once, each N turns
 */

/*
 * `kind`: "forkmap", "forkmap-add", "mutex-plain", "mutex-robust", "sem_t", "C11-add"; args: none. Returns the exit code.
 */
int bench_lock_engine(const char *kind, char *const args[]);

#endif
