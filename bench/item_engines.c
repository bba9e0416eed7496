/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the item benchmark: the same arrays and the same object code; only what calls the
 * items differs.
 */
#include "item.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "trivial_kernel.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WARM_ITEMS 1000000 /* enough for every worker to take part */

struct session;

/* Maps the rows of s->in_view to those of s->out_view. */
typedef int map_fn(struct session *s);

struct session {
    fm_pool *pool;
    fm_array *in, *out;            /* all rows */
    fm_array *in_view, *out_view;  /* those that are mapped next */
    int64_t n;                     /* how many these are */
    struct bench_trivial_ctx *ctx; /* in the heap */
    bench_item_fn *row, *number;   /* what is called through a pointer in every engine */
    map_fn *maps[3];               /* by case; NULL: not with this engine */
};
static const char *const case_names[] = {"item", "item-range", "chunk"};
#define N_CASES (sizeof(case_names) / sizeof(case_names[0]))

/* ---- forkmap ---- */

static int map_rows(struct session *s)
{
    return fm_pool_map(s->pool, s->row, s->in_view, s->out_view, FM_MAP_OPTS(.arg = s->ctx));
}

static int map_numbers(struct session *s)
{
    return fm_pool_map_range(s->pool, s->number, 0, s->n, s->out_view, FM_MAP_OPTS(.arg = s->ctx));
}

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    bench_trivial_kernel(chunk->begin, chunk->begin + chunk->count, arg);
    return 0;
}

static int map_chunks(struct session *s)
{
    return fm_pool_map_range_chunks(s->pool, run_chunk, 0, s->n, NULL, FM_MAP_OPTS(.arg = s->ctx));
}

/* ---- libgomp ---- */

#ifdef _OPENMP
static int loop_rows(struct session *s)
{
    bench_item_fn *const row = s->row;
    struct bench_trivial_ctx *const ctx = s->ctx;
    int failed = 0;
#pragma omp parallel for schedule(static) reduction(| : failed)
    for (int64_t i = 0; i < s->n; i++)
        failed |= row(ctx->in + i, ctx->out + i, ctx);
    return failed;
}

static int loop_numbers(struct session *s)
{
    bench_item_fn *const number = s->number;
    struct bench_trivial_ctx *const ctx = s->ctx;
    int failed = 0;
#pragma omp parallel for schedule(static) reduction(| : failed)
    for (int64_t i = 0; i < s->n; i++)
        failed |= number(&i, ctx->out + i, ctx);
    return failed;
}

static int share_out(struct session *s)
{
#pragma omp parallel
    {
        const int64_t me = omp_get_thread_num(), n_threads = omp_get_num_threads();
        bench_trivial_kernel(s->n * me / n_threads, s->n * (me + 1) / n_threads, s->ctx);
    }
    return 0;
}

static int loop_inlined(struct session *s)
{
    const uint32_t *restrict in = s->ctx->in;
    uint32_t *restrict out = s->ctx->out;
    const uint32_t salt = s->ctx->salt;
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < s->n; i++)
        out[i] = bench_trivial_value(in[i], salt);
    return 0;
}
#endif

/* ---- commands ---- */

/* The time of the map alone [ns], or < 0. */
static int64_t time_map(struct session *s, map_fn *map, int64_t n)
{
    const fm_slice first_n = {0, n, 1};
    int64_t ns = 0;
    s->n = n;
    s->ctx->salt++;
    int code = fm_array_view(&s->in_view, s->in, &first_n);
    if (code == 0)
        code = fm_array_view(&s->out_view, s->out, &first_n);
    if (code == 0) {
        const int64_t begin_ns = bench_now_ns();
        code = map(s);
        ns = bench_now_ns() - begin_ns;
    }
    fm_array_destroy(s->out_view);
    fm_array_destroy(s->in_view);
    s->in_view = s->out_view = NULL;
    return code == 0 ? ns : code > 0 ? -EPROTO : code;
}

static int check_results(const struct session *s)
{
    uint32_t wrong = 0;
    for (int64_t i = 0; i < s->n; i++)
        wrong |= s->ctx->out[i] ^ bench_trivial_value((uint32_t)i, s->ctx->salt);
    return wrong == 0 ? 0 : -EPROTO;
}

static map_fn *find_map(const struct session *s, const char *name)
{
    for (size_t i = 0; i < N_CASES; i++)
        if (strcmp(name, case_names[i]) == 0)
            return s->maps[i];
    return NULL;
}

/* Fewer items first, so that everybody is awake after the stop. */
static int answer_run(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    char name[16];
    int64_t n;
    if (sscanf(command, "run %15s %" SCNd64, name, &n) != 2 || n < 1 || n > fm_array_len(s->in))
        return -EINVAL;
    map_fn *const map = find_map(s, name);
    if (map == NULL)
        return -EINVAL;
    int64_t ns = time_map(s, map, n < WARM_ITEMS ? n : WARM_ITEMS);
    if (ns >= 0)
        ns = time_map(s, map, n);
    const int code = ns < 0 ? (int)ns : check_results(s);
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code),
                 code == -EPROTO ? "items are missing" : fm_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%.6f", (double)ns / (double)n);
    return code;
}

/* ---- start ---- */

static int create_rows(struct session *s, int64_t n)
{
    fm_array *ctx;
    int code = fm_array_arange(&s->in, FM_U32, 0, (double)n, 1);
    if (code == 0)
        code = fm_array_zeros(&s->out, FM_U32, 1, &n);
    if (code == 0)
        code = fm_array_zeros(&ctx, FM_STRUCT(sizeof(*s->ctx)), 1, (const int64_t[]){1});
    if (code != 0)
        return code;
    s->ctx = fm_array_data(ctx);
    *s->ctx = (struct bench_trivial_ctx){fm_array_data(s->in), fm_array_data(s->out), 0};
    return 0;
}

static void choose_maps(struct session *s, const char *kind)
{
    if (s->pool != NULL) {
        s->maps[0] = map_rows;
        s->maps[1] = map_numbers;
        s->maps[2] = map_chunks;
    }
#ifdef _OPENMP
    else if (strcmp(kind, "libgomp-inlined") == 0) {
        s->maps[2] = loop_inlined;
    } else {
        s->maps[0] = loop_rows;
        s->maps[1] = loop_numbers;
        s->maps[2] = share_out;
    }
#endif
    (void)kind;
}

int bench_item_engine(const char *kind, char *const args[])
{
    if (args[0] == NULL || args[1] == NULL)
        return 2;
    struct session s = {.row = bench_trivial_row, .number = bench_trivial_number};
    int code = create_rows(&s, atoll(args[1]));
    if (code == 0)
        code = bench_pool_open(&s.pool, kind, atoi(args[0]));
    if (code < 0)
        return bench_engine_fail(kind, code);
    choose_maps(&s, kind);
    if (s.maps[2] == NULL)
        return bench_engine_missing("not built in: the compiler has no OpenMP");
    code = bench_engine_serve(answer_run, &s);
    fm_pool_destroy(s.pool);
    return code;
}
