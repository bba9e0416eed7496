/* SPDX-License-Identifier: MIT */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

/*
 * The engines of the stream benchmark, each in a process of its own. Commands:
 *   run ORDER RESULT_BYTES N_ITEMS      answers the time per item of one stream, from its opening to its end [ns]
 *   copies ORDER RESULT_BYTES N_ITEMS   forkmap only: how many of its results lie elsewhere than the function wrote them
 * ORDER is "ordered" or "unordered".
 */

/* `kind`: "forkmap-caller", "forkmap-isolated"; args: the number of workers. Returns the exit code. */
int bench_stream_engine(const char *kind, char *const args[]);

#endif
