/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

/*
 * The engines of the memory benchmark, each in a process of its own, which is a new one in each sample. Commands:
 *   open N      opens a pool of N workers, or has a team of N threads, and has each do one trivial item
 *   map BYTES   opens as many as there are cores, and maps half of BYTES of data to the other half
 * Both answer the number of a process that is neither program nor worker, 0 if there is none, and go on to have what
 * they opened and mapped. The driver adds up from outside what the processes have (pss.h).
 */

/* `kind`: "forkmap", "libgomp"; args: the number of cores. Returns the exit code. */
int bench_memory_engine(const char *kind, char *const args[]);

#endif
