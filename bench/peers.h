/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

/*
 * How each kind of engine is started, and what it is started with. Returns as bench_engine_start().
 */

#include "engine.h"

#define BENCH_MAX_ARGS 8

/* This program again, as `--engine NAME args...`; not bound: a pool counts the cores that its opener may use. */
int bench_start_own(struct bench_engine *e, const char *name, const char *const args[]);

/* The same with an OpenMP runtime of n_threads, bound to cores. wait_policy: "active", "passive", NULL: unset. */
int bench_start_openmp(struct bench_engine *e, const char *name, const char *const args[],
                       int n_threads, const char *wait_policy);

/* The same with another build of this program, at `path`, whose runtime waits actively; missing if it is not there. */
int bench_start_openmp_program(struct bench_engine *e, const char *name, const char *path,
                               const char *const args[], int n_threads);

/* Any program. */
int bench_start_program(struct bench_engine *e, const char *name, const char *path,
                        const char *const args[]);

/* A Python program of bench/peers; BENCH_PYTHON in the environment names the interpreter. */
int bench_start_python(struct bench_engine *e, const char *name, const char *script,
                       const char *const args[]);

#endif
