/* SPDX-License-Identifier: MIT */
/* oneTBB as an engine of the tasks benchmark. A submitter has a task_group of its own. */
#include "tasks.h"

#include "bound_tbb.h"

#include <tbb/task_group.h>

void bench_tbb_batch(const struct bench_block *args, struct bench_block *results, int n)
{
    thread_local bench_tbb_binder here;
    thread_local tbb::task_group group;
    (void)here;
    for (int i = 0; i < n; i++)
        group.run([arg = args[i], result = &results[i]] { bench_trivial_task(&arg, result); });
    group.wait();
}
