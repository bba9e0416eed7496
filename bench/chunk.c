/* SPDX-License-Identifier: MIT */
/*
 * chunk: what does it cost to hand out a chunk?
 *
 * Peers      libgomp, schedule(dynamic, 1); libomp, schedule static_steal with chunks of 1, by a program that clang has compiled; oneTBB,
 *            parallel_for with simple_partitioner and a grain of 1. All bound to cores, OpenMP with OMP_WAIT_POLICY=active.
 *            Debian 12's libomp 14 is built with its traces: it formats three texts for each chunk (vsnprintf was counted), which are most of
 *            its figure, so there is no target beside it.
 * Unit       ns of wall time per chunk: the time of one loop by its number of chunks, which all workers take.
 * Method     Every engine is a process of its own; samples alternate, one loop of each engine per round, and only one engine is not
 *            stopped at any time. 4 x 10^6 chunks of one item (a quick run: 10^6); of more than 2^22 - 1 forkmap would claim
 *            several at once. The same object code in all: an item adds 1 to a count on a cache line of its thread's own, and the counts must add
 *            up to the number of items. forkmap runs with FM_SCHEDULE_DYNAMIC and .chunk = 1; by default it would take longer chunks, and
 *            that is what `item` measures.
 * Cases      empty.
 * Warm-up    2 rounds thrown away; in each sample a loop of a tenth of the chunks before the one that counts.
 * Verdicts   0.5 of libgomp.
 * Statistic  median, p10, p90 of 31 samples (all are in the output); ratios are of medians.
 */
#include "chunk.h"

#include "suite.h"

#include <inttypes.h>
#include <stdio.h>

#ifndef BENCH_CHUNK_LIBOMP
#define BENCH_CHUNK_LIBOMP "chunk_libomp"
#endif

#define MANY_CHUNKS  4000000 /* of forkmap 2^22 - 1 at most are claimed one by one */
#define QUICK_CHUNKS 1000000
#define SMOKE_CHUNKS 20000

enum { CALLER, ISOLATED, GOMP, OMP, TBB, N_PEERS };
static const struct bench_peer peers[N_PEERS] = {
    [CALLER] = {"forkmap-caller", BENCH_OWN, NULL},
    [ISOLATED] = {"forkmap-isolated", BENCH_OWN, NULL},
    [GOMP] = {"libgomp", BENCH_OPENMP, "active"},
    [OMP] = {"libomp", BENCH_PROGRAM, BENCH_CHUNK_LIBOMP},
    [TBB] = {"TBB", BENCH_OWN, NULL},
};

static int write_command(const struct bench_run *r, const void *n_chunks, int peer,
                         char command[BENCH_LINE])
{
    (void)r;
    (void)peer;
    snprintf(command, BENCH_LINE, "run %" PRId64, *(const int64_t *)n_chunks);
    return 0;
}

static void judge(struct bench *b)
{
    for (int own = CALLER; own <= ISOLATED; own++) {
        bench_compare(b, "empty", peers[own].name, "libgomp", 0.5, BENCH_AT_MOST);
        bench_relate(b, "empty", peers[own].name, "libomp");
        bench_relate(b, "empty", peers[own].name, "TBB");
    }
}

static int measure(struct bench_run *r)
{
    char workers[16];
    const int64_t n_chunks = r->args.smoke   ? SMOKE_CHUNKS
                             : r->args.quick ? QUICK_CHUNKS
                                             : MANY_CHUNKS;
    if (!bench_wants(&r->args, "empty", 1, 1))
        return 0;
    snprintf(workers, sizeof(workers), "%d", r->cores.n);
    int code = bench_run_start(r, (const char *const[]){workers, NULL});
    if (code == 0)
        code = bench_run_case(r, "empty", "ns", write_command, &n_chunks,
                              json_pack("{sI}", "chunks", (json_int_t)n_chunks));
    judge(r->bench);
    return code;
}

int main(int argc, char **argv)
{
    static const struct bench_suite suite = {
        .name = "chunk",
        .question = "what does it cost to hand out a chunk?",
        .unit = "ns",
        .peers = peers,
        .n_peers = N_PEERS,
        .n_needed = 2,
        .run_engine = bench_chunk_engine,
        .measure = measure,
    };
    return bench_suite_main(&suite, argc, argv);
}
