/* SPDX-License-Identifier: MIT */
/* oneTBB as an engine of the chunk benchmark: simple_partitioner cuts a range into pieces of its grain, here one item. */
#include "chunk.h"

#include "bound_tbb.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

int bench_chunk_tbb_run(void *, int64_t n, struct bench_tally *tally)
{
    bench_tbb_bind_helpers();
    tbb::parallel_for(
        tbb::blocked_range<int64_t>(0, n, 1),
        [tally](const tbb::blocked_range<int64_t> &chunk) {
            bench_tally_kernel(chunk.begin(), chunk.end(), tally);
        },
        tbb::simple_partitioner());
    return 0;
}
