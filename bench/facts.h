/* SPDX-License-Identifier: MIT */
#ifndef BENCH_FACTS_H
#define BENCH_FACTS_H

/*
 * What a figure depends on besides the code: the machine, the build, and what else ran meanwhile.
 */

#include <forkmap/forkmap.h>
#include <jansson.h>

/* The header line's facts: commit, CPU, cores, kernel, governor, cgroup quota, compiler, flags. */
json_t *bench_facts(const char *commit, int workers);

/* Jiffies since boot, of all CPUs: those that the hypervisor gave to somebody else, and all that were not idle. */
struct bench_jiffies {
    double stolen, busy;
};
struct bench_jiffies bench_jiffies_now(void);
double bench_stolen_share(struct bench_jiffies since); /* 0 .. 1 of the busy time since then */

/*
 * How many times faster are n independent single processes, one pinned to each place, than the one on
 * places[0] alone? n on a perfect machine. Same arithmetic, nothing shared. Takes a few ms. NaN: no process.
 */
double bench_calibrate(const fm_place *places, int n, double steps_per_us);

/* Pins the calling thread. Nothing for cpu < 0. */
void bench_pin(int cpu);

#endif
