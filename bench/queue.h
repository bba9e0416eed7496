/* SPDX-License-Identifier: MIT */
#ifndef BENCH_QUEUE_H
#define BENCH_QUEUE_H

/*
 * The engines of the queue benchmark, each in a process of its own, which forks those that write and read. Commands:
 *   run WRITERS READERS BYTES N   answers the time per message [ns] of N messages, from the first put to the last get
 *   trip BYTES N GAP_NS BOUND     answers the time of a round trip [ns]: one process asks, after a sleep of GAP_NS each time, another answers; bound
 *                                 to a core each, or (0) not
 */

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `kind`: "forkmap", "forkmap-loan" (written and read in place), "posix-mq", "boost-mq", "pipe", "unix-socket", "line", "futex". Returns the exit code. */
int bench_queue_engine(const char *kind, char *const args[]);

/* `kind`: "line", "futex": what the machine takes at least; only trips of 8 bytes, "line" also `run 1 1 8 N`. */
int bench_queue_floor(const char *kind);

/* ---- Boost.Interprocess: queue_boost.cpp, where there is a C++ compiler and the headers; 0 or -errno ---- */

int bench_boost_open(void **queue, size_t capacity, size_t bytes);
int bench_boost_put(void *queue, const char *buf, size_t bytes);
int bench_boost_get(void *queue, char *buf, size_t bytes);
void bench_boost_close(void *queue);

#ifdef __cplusplus
}
#endif

#endif
