/* SPDX-License-Identifier: MIT */
#ifndef BENCH_ARGS_H
#define BENCH_ARGS_H

/* The command line of a benchmark, and the cores that it runs on. */

#include <forkmap/forkmap.h>

#define BENCH_SAMPLES 31 /* in a full run */

struct bench_args {
    int quick;          /* fewer samples and cases: a look, not a result */
    int smoke;          /* the least that runs through everything: for the tests */
    int n_samples;      /* per case and engine, after the warm-up */
    int n_warmup;       /* rounds that are thrown away */
    const char *out;    /* path of the JSON lines; NULL: none are written */
    const char *commit; /* of the source tree, "unknown" if nobody says */
    const char *only;   /* run this case only; NULL: all */
    const char *engine; /* the kind of engine that this process is; NULL: it is the driver */
    char **engine_args; /* what its driver wants it to know; ends with NULL */
    int n_wanted;       /* how often bench_wants() said yes */
};

/* Reads the command line. Returns 0; 1 and an exit code in *exit_code when the program has to end. */
int bench_args_parse(struct bench_args *args, int argc, char **argv, int *exit_code);

/* 1: this run includes the case. `in_quick`: a quick run does; `in_smoke`: a smoke run does. */
int bench_wants(struct bench_args *args, const char *case_name, int in_quick, int in_smoke);

/* After all were asked for. Returns 0, or -1 after a message: there is no case of the name that --case gave. */
int bench_wanted_any(const struct bench_args *args);

struct bench_cores {
    int n;               /* workers, and threads of the peers: fm_cpu_budget() */
    fm_place *places;    /* n: where they are pinned */
    double steps_per_us; /* of bench_kernel */
};

/* Returns 0, or < 0 after a message. */
int bench_cores_open(struct bench_cores *cores);
void bench_cores_close(struct bench_cores *cores);

#endif
