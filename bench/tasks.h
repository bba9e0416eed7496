/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

/*
 * The engines of the tasks benchmark, each in a process of its own. Command:
 *   run SUBMITTERS BATCH MAX_NS   answers the time per task [ns]: so many threads at once submit BATCH tasks and get
 *                                 their results, again and again for about MAX_NS. A batch of 1 is a round trip
 */

#include "trivial_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * `kind`: "forkmap-caller", "forkmap-isolated", "libgomp", "TBB"; args: the number of workers. Returns the exit code.
 */
int bench_tasks_engine(const char *kind, char *const args[]);

/* ---- oneTBB: tasks_tbb.cpp, where there is a C++ compiler and the library ---- */

/* Has n tasks done with copies of their arguments. Several threads may ask. */
void bench_tbb_batch(const struct bench_block *args, struct bench_block *results, int n);

#ifdef __cplusplus
}
#endif
#endif
