/* SPDX-License-Identifier: MIT */
#ifndef BENCH_CHUNK_H
#define BENCH_CHUNK_H

/*
 * The engines of the chunk benchmark, each in a process of its own. Command:
 *   run N   one loop over N items in chunks of one item that do nothing but count; answers its time per chunk [ns]
 */

#include "engine.h"
#include "tally_kernel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `kind`: "forkmap-caller", "forkmap-isolated", "libgomp", "TBB"; args: the number of workers. Returns the exit code. */
int bench_chunk_engine(const char *kind, char *const args[]);

/* A loop over n items, each a chunk by bench_tally_kernel. Returns 0 or an error. */
typedef int bench_chunk_fn(void *self, int64_t n, struct bench_tally *tally);

struct bench_chunk_loop {
    bench_chunk_fn *run;
    void *self;
    struct bench_tally *tally;
};

/* A bench_answer_fn; `self`: a bench_chunk_loop. A tenth of the items first, so that everybody is awake after the stop. */
int bench_chunk_answer(void *self, const char *command, char answer[BENCH_LINE]);

/* ---- oneTBB: chunk_tbb.cpp, where there is a C++ compiler and the library ---- */

/* After bench_tbb_open(). */
bench_chunk_fn bench_chunk_tbb_run;

#ifdef __cplusplus
}
#endif
#endif
