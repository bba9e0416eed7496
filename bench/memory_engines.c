/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the memory benchmark: what forkmap and libgomp have when they have workers or threads, and
 * data. forkmap's arrays lie in its heap; those of libgomp in private memory, as in any OpenMP program.
 */
#include "memory.h"

#include "bound_pool.h"
#include "engine.h"
#include "trivial_kernel.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session {
    int n_cores, is_forkmap;
    fm_pool *pool;
    struct bench_trivial_ctx ctx; /* all of it is new in each process: nothing is freed */
};

/* ---- forkmap ---- */

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    bench_trivial_kernel(chunk->begin, chunk->begin + chunk->count, arg);
    return 0;
}

/* A static schedule: each worker has its share. */
static int map_forkmap(struct session *s, int64_t n)
{
    return fm_pool_map_range_chunks(
        s->pool, run_chunk, 0, n, NULL,
        FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC, .arg = &s->ctx, .arg_bytes = sizeof(s->ctx)));
}

static int create_rows_forkmap(struct session *s, int64_t n)
{
    fm_array *in, *out;
    int code = fm_array_arange(&in, FM_U32, 0, (double)n, 1);
    if (code == 0)
        code = fm_array_zeros(&out, FM_U32, 1, &n);
    if (code == 0)
        s->ctx = (struct bench_trivial_ctx){fm_array_data(in), fm_array_data(out), 1};
    return code;
}

/* ---- libgomp ---- */

#ifdef _OPENMP
static void map_openmp(struct session *s, int64_t n, int n_threads)
{
#pragma omp parallel for schedule(static) num_threads(n_threads)
    for (int part = 0; part < n_threads; part++)
        bench_trivial_kernel(n * part / n_threads, n * (part + 1) / n_threads, &s->ctx);
}
#endif

static int create_rows_private(struct session *s, int64_t n)
{
    uint32_t *in = malloc((size_t)n * sizeof(*in)), *out = calloc((size_t)n, sizeof(*out));
    s->ctx = (struct bench_trivial_ctx){in, out, 1};
    for (int64_t i = 0; in != NULL && i < n; i++)
        in[i] = (uint32_t)i;
    return in == NULL || out == NULL ? -ENOMEM : 0;
}

/* ---- commands ---- */

static int map_rows(struct session *s, int64_t n, int n_workers)
{
    int code = s->is_forkmap ? create_rows_forkmap(s, n) : create_rows_private(s, n);
    if (code == 0 && s->is_forkmap)
        code = fm_pool_open(&s->pool, FM_POOL_OPTS(.workers = n_workers));
    if (code == 0 && s->is_forkmap)
        code = map_forkmap(s, n);
#ifdef _OPENMP
    else if (code == 0)
        map_openmp(s, n, n_workers);
#endif
    uint32_t wrong = 0;
    for (int64_t i = 0; code == 0 && i < n; i++)
        wrong |= s->ctx.out[i] ^ bench_trivial_value((uint32_t)i, s->ctx.salt);
    return wrong == 0 ? code : -EPROTO;
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    int n_workers, code = -EINVAL;
    int64_t bytes;
    if (sscanf(command, "open %d", &n_workers) == 1)
        code = map_rows(s, n_workers, n_workers);
    else if (sscanf(command, "map %" SCNd64, &bytes) == 1)
        code = map_rows(s, bytes / (int64_t)(2 * sizeof(uint32_t)), s->n_cores);
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code),
                 code == -EPROTO ? "items are missing" : fm_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%d", s->is_forkmap ? fm_pool_warden_pid(s->pool) : 0);
    return code;
}

int bench_memory_engine(const char *kind, char *const args[])
{
    struct session s = {.n_cores = args[0] == NULL ? 0 : atoi(args[0]),
                        .is_forkmap = strcmp(kind, "forkmap") == 0};
    if (s.n_cores < 1)
        return bench_engine_fail(kind, -EINVAL);
#ifndef _OPENMP
    if (!s.is_forkmap)
        return bench_engine_missing("not built in: the compiler has no OpenMP");
#endif
    const int code = bench_engine_serve(answer_command, &s);
    fm_pool_destroy(s.pool);
    return code;
}
