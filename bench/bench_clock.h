/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

/* The benchmarks' clock. They know include/forkmap only, so it is not the engine's. */

#include <stdint.h>
#include <time.h>

static inline int64_t bench_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void bench_sleep_ns(int64_t ns)
{
    const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

/* Keeps the caller's core busy, as a program does that computes between two maps. */
static inline void bench_spin_ns(int64_t ns)
{
    const int64_t until = bench_now_ns() + ns;
    while (bench_now_ns() < until)
        ;
}

#endif
