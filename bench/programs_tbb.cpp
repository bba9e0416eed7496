/* SPDX-License-Identifier: MIT */
/* oneTBB as an engine of the programs benchmark: its default partitioner. */
#include "programs.h"

#include "bound_tbb.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

void bench_tbb_range(fmk_range_fn *range, int64_t n, int64_t grain, const void *ctx)
{
    bench_tbb_bind_helpers();
    tbb::parallel_for(
        tbb::blocked_range<int64_t>(0, n, static_cast<std::size_t>(grain)),
        [=](const tbb::blocked_range<int64_t> &r) { range(r.begin(), r.end(), ctx); });
}
