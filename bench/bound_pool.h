/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BOUND_POOL_H
#define BENCH_BOUND_POOL_H

/* The pool of an engine that is forkmap, with a caller that is bound like the first thread of an OpenMP runtime. */

#include <forkmap/forkmap.h>

/*
 * Opens what `kind` says, "forkmap-caller" (it works) or "forkmap-isolated", and binds the calling thread to the
 * core of rank 0. Returns 0, < 0, or 1: `kind` is another engine, and *pool NULL.
 */
int bench_pool_open(fm_pool **pool, const char *kind, int workers);

/* Says on stderr what went wrong with an engine's start. Returns the exit code. */
int bench_engine_fail(const char *kind, int code);

#endif
