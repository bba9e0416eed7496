/* SPDX-License-Identifier: MIT */
#ifndef BENCH_SUITE_H
#define BENCH_SUITE_H

/*
 * The driver that benchmarks share: it starts the engines, lets them alternate, and ends them.
 */

#include "args.h"
#include "engine.h"
#include "harness.h"

#define BENCH_MAX_PEERS 12

/* How an engine is started. */
enum {
    BENCH_OWN = 1, /* this program again, not bound */
    BENCH_OPENMP =
        2, /* this program again with an OpenMP runtime that is bound; `how`: its wait policy, or NULL */
    BENCH_PYTHON =
        3, /* `how`: a program of bench/peers; the names of benchmark and engine are its first arguments */
    BENCH_PROGRAM = 4,       /* `how`: the path of a program; missing if it is not there */
    BENCH_OPENMP_PROGRAM = 5 /* the same, started as BENCH_OPENMP with an active wait policy */
};

struct bench_peer {
    const char *name;
    int kind;
    const char *how;
};

struct bench_run;

struct bench_suite { /* one benchmark */
    const char *name, *question, *unit;
    const struct bench_peer *peers;
    int n_peers;
    int n_needed; /* the first so many are forkmap, and must be there */
    int (*run_engine)(const char *kind,
                      char *const args[]); /* in the engine's process; returns the exit code */
    int (*measure)(
        struct bench_run
            *r); /* starts the engines, runs the cases, judges; 0 or < 0 after a message */
};

struct bench_run {
    const struct bench_suite *suite;
    struct bench *bench;
    struct bench_args args;
    struct bench_cores cores;
    struct bench_engine running[BENCH_MAX_PEERS]; /* as suite->peers; pid 0: missing */
    void *own;                                    /* what measure() wants to find again */
};

/* The whole of main(). */
int bench_suite_main(const struct bench_suite *suite, int argc, char **argv);

/* Starts all engines with the same arguments. Returns 0, or < 0 after a message. */
int bench_run_start(struct bench_run *r, const char *const args[]);

/*
 * Starts suite->peers[p] alone, as r->running[p]; for a benchmark whose engines are new in each sample. Returns as
 * bench_engine_start().
 */
int bench_run_start_peer(struct bench_run *r, int p, const char *const args[]);

/* Writes the command for a sample of one peer in case `c`. Returns 0, or 1: the peer has no part in it. */
typedef int bench_command_fn(const struct bench_run *r, const void *c, int peer,
                             char command[BENCH_LINE]);

/*
 * The warm-up, then the samples of one case, engine after engine in each round: the first number of each answer. `extra` as
 * for bench_case_end(). Returns 0, or < 0 after a message.
 */
int bench_run_case(struct bench_run *r, const char *case_name, const char *unit,
                   bench_command_fn *command, const void *c, json_t *extra);

#endif
