/* SPDX-License-Identifier: MIT */
/* What all engines of the chunk benchmark answer, those of other compilers, too. */
#include "chunk.h"

#include "bench_clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* The time of one loop [ns], or < 0. */
static int64_t time_loop(const struct bench_chunk_loop *loop, int64_t n)
{
    const int64_t begin_ns = bench_now_ns();
    const int code = loop->run(loop->self, n, loop->tally);
    const int64_t ns = bench_now_ns() - begin_ns;
    if (code != 0)
        return code < 0 ? code : -EPROTO;
    return bench_tally_take(loop->tally) == (uint64_t)n ? ns : -EPROTO;
}

int bench_chunk_answer(void *self, const char *command, char answer[BENCH_LINE])
{
    const struct bench_chunk_loop *loop = self;
    int64_t n;
    if (sscanf(command, "run %" SCNd64, &n) != 1 || n < 10)
        return -EINVAL;
    int64_t ns = time_loop(loop, n / 10);
    if (ns >= 0)
        ns = time_loop(loop, n);
    if (ns < 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname((int)ns),
                 ns == -EPROTO ? "items are missing" : "");
    else
        snprintf(answer, BENCH_LINE, "%.6f", (double)ns / (double)n);
    return ns < 0 ? (int)ns : 0;
}
