/* SPDX-License-Identifier: MIT */
#ifndef BENCH_TRIAD_ENGINES_H
#define BENCH_TRIAD_ENGINES_H

/*
 * The engines of the triad benchmark, each in a process of its own. Commands; both answer GB per second.
 *   triad BYTES S   a = b + S c over three arrays of BYTES each, made when their size changes; 24 bytes an element
 *   touch BYTES     makes an array of BYTES, and writes all of it once. For an engine that has had none before
 * triad.h is the kernel's.
 */

/*
 * `kind`: "forkmap-caller", "forkmap-isolated", "libgomp", "libgomp-huge"; args: the number of workers. Returns the exit
 * code.
 */
int bench_triad_engine(const char *kind, char *const args[]);

#endif
