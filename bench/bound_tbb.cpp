/* SPDX-License-Identifier: MIT */
/* Limits and binds the threads of oneTBB. */
#include "bound_tbb.h"

#include "facts.h"

#include <atomic>
#include <memory>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <vector>

namespace
{

std::unique_ptr<tbb::global_control> limit;
std::vector<int> worker_cpus;

} // namespace

bench_tbb_binder::bench_tbb_binder()
{
    observe(true);
}

bench_tbb_binder::~bench_tbb_binder()
{
    observe(false);
}

/* Each thread once, when it first comes to help. */
void bench_tbb_binder::on_scheduler_entry(bool is_worker)
{
    static std::atomic<unsigned> n_workers{1};
    thread_local bool is_bound = false;
    if (is_worker && !is_bound)
        bench_pin(worker_cpus[n_workers++ % worker_cpus.size()]);
    is_bound = true;
}

void bench_tbb_open(int n_threads, const int *cpus)
{
    worker_cpus.assign(cpus, cpus + n_threads);
    tbb::info::default_concurrency(); /* looks, once, on how many cores the caller may run */
    limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                  static_cast<std::size_t>(n_threads));
}
