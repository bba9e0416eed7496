/* SPDX-License-Identifier: MIT */
#ifndef BENCH_BOUND_TBB_H
#define BENCH_BOUND_TBB_H

/* oneTBB as the benchmarks use it: as many threads as the pools have workers, each bound to a core. */

#ifdef __cplusplus
#include <tbb/task_scheduler_observer.h>

/* While one exists in a thread that asks for work, the library's threads that come to help are bound. */
class bench_tbb_binder : public tbb::task_scheduler_observer
{
  public:
    bench_tbb_binder();
    ~bench_tbb_binder() override;
    void on_scheduler_entry(bool is_worker) override;
};

extern "C" {
#endif

/*
 * So many threads in all, the one that asks among them; worker i is bound to cpus[i % n_threads]. Before the caller is
 * bound itself: the library makes no more threads than it finds cores here.
 */
void bench_tbb_open(int n_threads, const int *cpus);

#ifdef __cplusplus
}
#endif
#endif
