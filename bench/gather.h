/* SPDX-License-Identifier: MIT */
#ifndef BENCH_GATHER_H
#define BENCH_GATHER_H

/*
 * The engines of the gather benchmark, each in a process of its own, or several. Command:
 *   gather BYTES VALUE   every worker makes one part of BYTES bytes of results: the part of number p is full of (VALUE + p) mod 256
 *   memmap BYTES VALUE   (joblib) the same into memory of the caller's
 * Answers "GATHER READ MOVED":
 *   GATHER  from the end of the last part's making to when the caller has them all [ns]
 *   READ    for the caller to read one byte of each page of them then [ns]
 *   MOVED   bytes that the caller did not find where a worker wrote them; -1: this engine does not know
 */

enum { BENCH_GATHER_PAGE_BYTES = 4096 };

/* `kind`: "forkmap-caller", "forkmap-isolated"; args: the number of workers. Returns the exit code. */
int bench_gather_engine(const char *kind, char *const args[]);

#endif
