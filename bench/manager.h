/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MANAGER_H
#define BENCH_MANAGER_H

/*
 * The engines of the manager benchmark, each in a process of its own, which starts a server and forks clients. Command:
 *   run get|set N_CLIENTS N       answers the time per operation [ns]: so many clients at once, each N operations on one dict
 */

#include <stdint.h>

enum { BENCH_MANAGER_KEYS = 1000, BENCH_MANAGER_BYTES = 8 /* of a key, and of a value */ };

/*
 * `kind`: "forkmap" (clients of the family), "forkmap-host" (of none, who have mapped the heap), "forkmap-path", "forkmap-tcp" (by calls),
 * "redis". Returns the exit code.
 */
int bench_manager_engine(const char *kind, char *const args[]);

/* ---- Redis: manager_redis.c, where there are hiredis and a server; 0 or -errno ---- */

/* Executes a server that listens at a path, ready, without files. */
int bench_redis_start(const char *path);
void bench_redis_end(void);
int bench_redis_connect(void **client, const char *path);
int bench_redis_set(void *client, const char *key, const char *value);
int bench_redis_get(void *client, const char *key, char *value);

#endif
