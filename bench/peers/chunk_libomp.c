/* SPDX-License-Identifier: MIT */
/*
 * libomp, clang's OpenMP runtime, as an engine of bench/chunk: the command is in bench/chunk.h. Its schedule static_steal, where each thread
 * has a range of its own and robs the others when it is empty, has no name in the language: it is asked for by OMP_SCHEDULE.
 *
 *     chunk_libomp THREADS
 */
#include "chunk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An int: the runtime changes ranges of 4-byte numbers by one compare-and-swap, those of 8 bytes under a lock. */
static int run_libomp(void *self, int64_t n, struct bench_tally *tally)
{
    (void)self;
    if (n > INT_MAX)
        return -EINVAL;
#pragma omp parallel for schedule(runtime)
    for (int i = 0; i < (int)n; i++)
        bench_tally_kernel(i, i + 1, tally);
    return 0;
}

/* The runtime reads its settings as the program starts. */
static int start_again(char *const argv[])
{
    setenv("OMP_NUM_THREADS", argv[1], 1);
    setenv("OMP_PROC_BIND", "true", 1);
    setenv("OMP_PLACES", "cores", 1);
    setenv("OMP_DYNAMIC", "false", 1);
    setenv("OMP_WAIT_POLICY", "active", 1);
    setenv("OMP_SCHEDULE", "static_steal,1", 1);
    execv("/proc/self/exe", argv);
    perror("chunk_libomp");
    return 1;
}

int main(int argc, char **argv)
{
    static struct bench_tally tally;
    struct bench_chunk_loop loop = {.run = run_libomp, .tally = &tally};
    if (argc != 2 || atoi(argv[1]) < 1)
        return 2;
    if (getenv("OMP_SCHEDULE") == NULL)
        return start_again(argv);
    return bench_engine_serve(bench_chunk_answer, &loop);
}
