/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PROGRAMS_H
#define BENCH_PROGRAMS_H

/*
 * The engines of the programs benchmark, each in a process of its own. Commands:
 *   run SCHEDULE CHUNK KERNEL [KEY=VALUE]...   answers "MS CHECKSUM SUM": the time of the whole program [ms]; of its
 *                                              result the checksum ("-" from Python) and the sum of all elements
 *   check KERNEL [KEY=VALUE]...                answers "0 TEXT": what the kernel's own check says of a serial run
 *   forget                                     answers "0": the problems that were prepared are gone
 * SCHEDULE: an OpenMP one (static, dynamic, guided) for the OpenMP runtimes; "auto" for all others. CHUNK: in grains
 * of the kernel, 0 is the default.
 */

#include "kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * `kind`: "forkmap-caller", "forkmap-isolated", "serial", "TBB", "libgomp", "libomp" (in a program that is linked
 * with it); args: the number of workers. Returns the exit code.
 */
int bench_programs_engine(const char *kind, char *const args[]);

/* oneTBB: programs_tbb.cpp, where there is a C++ compiler and the library. Pieces of `grain` items or more. */
void bench_tbb_range(fmk_range_fn *range, int64_t n, int64_t grain, const void *ctx);

#ifdef __cplusplus
}
#endif
#endif
