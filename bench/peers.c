/* SPDX-License-Identifier: MIT */
/* Starts engines. Nothing of the user's OpenMP settings reaches one. */
#include "peers.h"

#include <stdio.h>
#include <stdlib.h>

#ifndef BENCH_PEERS
#define BENCH_PEERS "bench/peers"
#endif

#define THIS_PROGRAM "/proc/self/exe"

static char *const unbound[] = {
    "OMP_NUM_THREADS", "OMP_PROC_BIND", "OMP_PLACES",    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",  "KMP_AFFINITY",  "KMP_BLOCKTIME", NULL};

/* first, second and args, without the const that execvp's prototype lacks. */
static void join_args(char *argv[BENCH_MAX_ARGS + 3], const char *first, const char *second,
                      const char *const args[])
{
    int n = 0;
    argv[n++] = (char *)first;
    argv[n++] = (char *)second;
    for (int i = 0; i < BENCH_MAX_ARGS && args[i] != NULL; i++)
        argv[n++] = (char *)args[i];
    argv[n] = NULL;
}

static int start_build(struct bench_engine *e, const char *name, const char *path,
                       const char *const args[], char *const environment[])
{
    char kind[64], *argv[BENCH_MAX_ARGS + 3];
    snprintf(kind, sizeof(kind), "--engine=%s", name);
    join_args(argv, path, kind, args);
    return bench_engine_start(e, name, argv, environment);
}

static int start_bound(struct bench_engine *e, const char *name, const char *path,
                       const char *const args[], int n_threads, const char *wait_policy)
{
    char threads[32], policy[32] = "OMP_WAIT_POLICY";
    snprintf(threads, sizeof(threads), "OMP_NUM_THREADS=%d", n_threads);
    if (wait_policy != NULL)
        snprintf(policy, sizeof(policy), "OMP_WAIT_POLICY=%s", wait_policy);
    char *const bound[] = {threads,
                           "OMP_PROC_BIND=true",
                           "OMP_PLACES=cores",
                           "OMP_DYNAMIC=false",
                           "GOMP_SPINCOUNT",
                           "KMP_AFFINITY",
                           "KMP_BLOCKTIME",
                           policy,
                           NULL};
    return start_build(e, name, path, args, bound);
}

int bench_start_own(struct bench_engine *e, const char *name, const char *const args[])
{
    return start_build(e, name, THIS_PROGRAM, args, unbound);
}

int bench_start_openmp(struct bench_engine *e, const char *name, const char *const args[],
                       int n_threads, const char *wait_policy)
{
    return start_bound(e, name, THIS_PROGRAM, args, n_threads, wait_policy);
}

int bench_start_openmp_program(struct bench_engine *e, const char *name, const char *path,
                               const char *const args[], int n_threads)
{
    return start_bound(e, name, path, args, n_threads, "active");
}

int bench_start_program(struct bench_engine *e, const char *name, const char *path,
                        const char *const args[])
{
    char *argv[BENCH_MAX_ARGS + 3];
    join_args(argv, path, args[0], args[0] == NULL ? args : args + 1);
    return bench_engine_start(e, name, argv, unbound);
}

int bench_start_python(struct bench_engine *e, const char *name, const char *script,
                       const char *const args[])
{
    char path[512], *argv[BENCH_MAX_ARGS + 3];
    const char *python = getenv("BENCH_PYTHON");
    snprintf(path, sizeof(path), "%s/%s", BENCH_PEERS, script);
    join_args(argv, python != NULL ? python : "/usr/bin/python3", path, args);
    return bench_engine_start(e, name, argv, unbound);
}
