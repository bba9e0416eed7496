/* SPDX-License-Identifier: MIT */
/* Limits and binds the threads of oneTBB. */
#include "bound_tbb.h"

#include "facts.h"

#include <atomic>
#include <memory>
#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/task_scheduler_observer.h>
#include <vector>

namespace
{

std::unique_ptr<tbb::global_control> limit;
std::vector<int> worker_cpus;

/* Binds each of the library's threads once, when it first comes to help a submitter. */
class binder : public tbb::task_scheduler_observer
{
  public:
    binder()
    {
        observe(true);
    }
    ~binder()
    {
        observe(false);
    }
    void on_scheduler_entry(bool is_worker) override
    {
        static std::atomic<unsigned> n_workers{1};
        thread_local bool is_bound = false;
        if (is_worker && !is_bound)
            bench_pin(worker_cpus[n_workers++ % worker_cpus.size()]);
        is_bound = true;
    }
};

} // namespace

void bench_tbb_open(int n_threads, const int *cpus)
{
    worker_cpus.assign(cpus, cpus + n_threads);
    tbb::info::default_concurrency(); /* looks, once, on how many cores the caller may run */
    limit = std::make_unique<tbb::global_control>(tbb::global_control::max_allowed_parallelism,
                                                  static_cast<std::size_t>(n_threads));
}

void bench_tbb_bind_helpers()
{
    thread_local binder here;
    (void)here;
}
