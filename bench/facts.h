/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FACTS_H
#define BENCH_FACTS_H

/*
 * What a figure depends on besides the code: the machine, the build, and what else ran meanwhile.
 */

#include <forkmap/forkmap.h>
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The header line's facts: commit, CPU, cores, kernel, governor, cgroup quota, compiler, flags. */
json_t *bench_facts(const char *commit, int workers);

/* CPU time since boot, or since the program began [s]. */
struct bench_usage {
    double wall, stolen; /* stolen: the hypervisor gave it to somebody else */
    double used;         /* by all processes of this machine */
    double own;          /* by this process, and those of its children that have ended */
};
struct bench_usage bench_usage_now(void);

/* 0 .. 1 of the CPU time in use since then was stolen. */
double bench_stolen_share(struct bench_usage since);

/* How many cores the processes that are none of ours used since then. After the engines have ended. */
double bench_other_cores(struct bench_usage since);

/*
 * How many times faster are n independent single processes, one pinned to each place, than the one on
 * places[0] alone? n on a perfect machine. Same arithmetic, nothing shared. Takes a few ms. NaN: no process.
 */
double bench_calibrate(const fm_place *places, int n, double steps_per_us);

/* Pins the calling thread. Nothing for cpu < 0. */
void bench_pin(int cpu);

#ifdef __cplusplus
}
#endif
#endif
