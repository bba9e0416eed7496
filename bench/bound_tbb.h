/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BOUND_TBB_H
#define BENCH_BOUND_TBB_H

/* The threads of oneTBB, bound to cores like those of the other engines: bound_tbb.cpp, where there is the library. */

#ifdef __cplusplus
extern "C" {
#endif

/*
 * So many threads in all, the one that asks among them; worker i is bound to cpus[i % n_threads]. Once in a process, and before the caller is
 * bound itself: the library makes no more threads than it finds cores here.
 */
void bench_tbb_open(int n_threads, const int *cpus);

/* In a thread that has work, before it hands out any: who comes to help it is bound when it first does. */
void bench_tbb_bind_helpers(void);

#ifdef __cplusplus
}
#endif
#endif
