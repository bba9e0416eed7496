/* SPDX-License-Identifier: MIT */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

/*
 * The engines of the queue benchmark, each in a process of its own, which forks those that write and read. Commands:
 *   run WRITERS READERS BYTES N   answers the time per message [ns] of N messages, from the first put to the last get
 *   trip BYTES N GAP_NS           answers the time of a round trip [ns]: one process asks, after a sleep of GAP_NS each time, another answers
 */

/* `kind`: "forkmap", "forkmap-loan" (written and read in place), "posix-mq", "pipe", "unix-socket". Returns the exit code. */
int bench_queue_engine(const char *kind, char *const args[]);

#endif
