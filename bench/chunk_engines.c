/* SPDX-License-Identifier: MIT */
/* forkmap, libgomp and oneTBB as engines of the chunk benchmark: the same object code, called for one item at a time. */
#include "chunk.h"

#include "bound_pool.h"
#include "bound_tbb.h"
#include "facts.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the loops ---- */

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    bench_tally_kernel(chunk->begin, chunk->begin + chunk->count, arg);
    return 0;
}

static int run_forkmap(void *self, int64_t n, struct bench_tally *tally)
{
    return fm_pool_map_range_chunks(
        self, run_chunk, 0, n, NULL,
        FM_MAP_OPTS(.schedule = FM_SCHEDULE_DYNAMIC, .chunk = 1, .arg = tally));
}

#ifdef _OPENMP
static int run_openmp(void *self, int64_t n, struct bench_tally *tally)
{
    (void)self;
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t i = 0; i < n; i++)
        bench_tally_kernel(i, i + 1, tally);
    return 0;
}
#endif

/* ---- start ---- */

#ifdef BENCH_TBB
static int open_tbb(struct bench_chunk_loop *loop, int n_threads)
{
    fm_place *places = calloc((size_t)n_threads, sizeof(*places));
    int *cpus = calloc((size_t)n_threads, sizeof(*cpus));
    int code = places == NULL || cpus == NULL ? -ENOMEM : 0;
    if (code == 0 && fm_places(places, n_threads, FM_PIN_CORE, NULL) < 0)
        code = -EINVAL;
    for (int i = 0; code == 0 && i < n_threads; i++)
        cpus[i] = places[i].cpu;
    if (code == 0) {
        bench_tbb_open(n_threads, cpus);
        bench_pin(cpus[0]);
        loop->run = bench_chunk_tbb_run;
    }
    free(cpus);
    free(places);
    return code;
}
#endif

/* loop->run stays NULL: not built in. */
static int open_loop(struct bench_chunk_loop *loop, fm_pool **pool, const char *kind, int n_workers)
{
    int code = bench_pool_open(pool, kind, n_workers);
    if (code == 0) {
        loop->run = run_forkmap;
        loop->self = *pool;
    }
    if (code <= 0)
        return code;
#ifdef _OPENMP
    if (strcmp(kind, "libgomp") == 0)
        loop->run = run_openmp;
#endif
#ifdef BENCH_TBB
    if (strcmp(kind, "TBB") == 0)
        return open_tbb(loop, n_workers);
#endif
    return 0;
}

int bench_chunk_engine(const char *kind, char *const args[])
{
    struct bench_chunk_loop loop = {.run = NULL};
    fm_pool *pool = NULL;
    fm_array *tally;
    const int n_workers = args[0] == NULL ? 0 : atoi(args[0]);
    int code = n_workers < 1 ? -EINVAL
                             : fm_array_zeros(&tally, FM_STRUCT(sizeof(struct bench_tally)), 1,
                                              (const int64_t[]){1});
    if (code == 0)
        code = open_loop(&loop, &pool, kind, n_workers);
    if (code < 0)
        return bench_engine_fail(kind, code);
    if (loop.run == NULL)
        return bench_engine_missing("not built in: the library or its compiler was not there");
    loop.tally = fm_array_data(tally);
    code = bench_engine_serve(bench_chunk_answer, &loop);
    fm_pool_destroy(pool);
    return code;
}
