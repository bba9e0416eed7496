/* SPDX-License-Identifier: MIT */
#ifndef BENCH_LAUNCH_H
#define BENCH_LAUNCH_H

/*
 * The engines of the launch benchmark, each in a process of its own. Commands:
 *   run VARIANT GAP_NS MAX_LAUNCHES MAX_NS STEPS   answers the mean time of one launch [ns]
 *   idle AFTER_NS WINDOW_NS                        answers "CPU_NS TICKS" that the pool used in the window
 * VARIANT is "static" or "auto". An item costs STEPS steps of bench_kernel. MAX_NS limits the timed part.
 */

/* `kind` is "forkmap-caller", "forkmap-isolated" or "libgomp"; args: the number of workers. Returns the exit code. */
int bench_launch_engine(const char *kind, char *const args[]);

#endif
