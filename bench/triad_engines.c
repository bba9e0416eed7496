/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the triad benchmark: the same object code over arrays in forkmap's heap, or in private memory as
 * an OpenMP program has it.
 */
#include "triad_engines.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "triad.h"
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
#include <sys/mman.h>

#define CHECK_STEP 997 /* has no factor in common with the period of c, which is 0 now and then */
#define WARM_ITEMS 512 /* a page of doubles a worker */

struct vectors {
    double *a, *b, *c;
    int64_t n;
};

struct session {
    fm_pool *pool; /* NULL: libgomp */
    int is_huge, n_workers;
    fm_array *arrays[3];
    struct vectors v;
};

/* ---- memory ---- */

static double *map_private(const struct session *s, size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    if (s->is_huge)
        madvise(memory, bytes,
                MADV_HUGEPAGE); /* a kernel without huge pages refuses: it is told by the figures */
    return memory;
}

/* n doubles that nobody has written to. */
static int create_vector(struct session *s, int64_t n, fm_array **array, double **data)
{
    int code = 0;
    if (s->pool == NULL) {
        *data = map_private(s, (size_t)n * sizeof(double));
        return *data == NULL ? -ENOMEM : 0;
    }
    code = fm_array_create(array, FM_F64, 1, &n, NULL);
    if (code == 0)
        *data = fm_array_data(*array);
    return code;
}

/* ---- who calls the kernels ---- */

struct call { /* arg of the chunk function */
    bench_range_fn *kernel;
    union {
        struct fmk_triad_ctx triad;
        struct bench_fill_ctx fill;
    } ctx;
};

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    const struct call *call = arg;
    call->kernel(chunk->begin, chunk->begin + chunk->count, &call->ctx);
    return 0;
}

static int run_all(struct session *s, struct call *call, int64_t n)
{
    if (s->pool != NULL)
        return fm_pool_map_range_chunks(s->pool, run_chunk, 0, n, NULL,
                                        FM_MAP_OPTS(.arg = call, .arg_bytes = sizeof(*call)));
#ifdef _OPENMP
#pragma omp parallel
    {
        const int64_t me = omp_get_thread_num(), n_threads = omp_get_num_threads();
        call->kernel(n * me / n_threads, n * (me + 1) / n_threads, &call->ctx);
    }
#endif
    return 0;
}

static int fill(struct session *s, struct bench_fill_ctx ctx, int64_t n)
{
    struct call call = {.kernel = bench_fill_kernel, .ctx.fill = ctx};
    return run_all(s, &call, n);
}

static int add(struct session *s, double factor)
{
    const struct vectors *v = &s->v;
    struct call call = {.kernel = fmk_triad_range,
                        .ctx.triad = {.a = v->a,
                                      .b = (const char *)v->b,
                                      .c = (const char *)v->c,
                                      .b_stride = sizeof(double),
                                      .c_stride = sizeof(double),
                                      .n = v->n,
                                      .s = factor}};
    return run_all(s, &call, v->n);
}

/* ---- triad ---- */

static void drop_vectors(struct session *s)
{
    double *const private[] = {s->v.a, s->v.b, s->v.c};
    for (int i = 0; i < 3; i++) {
        if (s->pool == NULL && private[i] != NULL)
            munmap(private[i], (size_t)s -> v.n * sizeof(double));
        fm_array_destroy(s->arrays[i]);
        s->arrays[i] = NULL;
    }
    s->v = (struct vectors){.n = 0};
}

/* Touched first by who will compute there, as in STREAM. */
static int create_vectors(struct session *s, int64_t n)
{
    double **const data[] = {&s->v.a, &s->v.b, &s->v.c};
    int code = 0;
    if (s->v.n == n)
        return 0;
    drop_vectors(s);
    s->v.n = n;
    for (int i = 0; code == 0 && i < 3; i++) {
        code = create_vector(s, n, &s->arrays[i], data[i]);
        if (code == 0)
            code = fill(s, (struct bench_fill_ctx){*data[i], i + 1}, n);
    }
    for (int64_t i = 0; code == 0 && i < n; i++) {
        s->v.b[i] = (double)(i % 1019); /* products and sums are exact */
        s->v.c[i] = (double)(i % 1021);
    }
    return code;
}

static int check_element(const struct vectors *v, int64_t i, double factor)
{
    return v->a[i] == v->b[i] + factor * v->c[i] ? 0 : -EPROTO;
}

static int check_results(const struct vectors *v, double factor)
{
    int code = check_element(v, v->n - 1, factor);
    for (int64_t i = 0; code == 0 && i < v->n; i += CHECK_STEP)
        code = check_element(v, i, factor);
    return code;
}

static int time_triad(struct session *s, int64_t n, double factor, double *rate)
{
    int code = create_vectors(s, n);
    if (code == 0)
        code = add(s, -factor); /* others than those that are checked */
    const int64_t begin_ns = bench_now_ns();
    if (code == 0)
        code = add(s, factor);
    const int64_t ns = bench_now_ns() - begin_ns;
    *rate = 3 * sizeof(double) * (double)n / (double)ns;
    return code == 0 ? check_results(&s->v, factor) : code;
}

/* ---- first touch ---- */

static int check_filled(const double *data, int64_t n, double value)
{
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < n; i++)
        n_wrong += data[i] != value;
    return n_wrong == 0 ? 0 : -EPROTO;
}

/* The array is kept: the process ends soon. */
static int time_touch(struct session *s, int64_t n, double *rate)
{
    fm_array *few, *array;
    double *warm, *data;
    const int64_t n_warm = (int64_t)s->n_workers * WARM_ITEMS;
    int code = create_vector(s, n_warm, &few, &warm);
    if (code == 0)
        code = fill(s, (struct bench_fill_ctx){warm, 1}, n_warm);
    const int64_t begin_ns = bench_now_ns();
    if (code == 0)
        code = create_vector(s, n, &array, &data);
    if (code == 0)
        code = fill(s, (struct bench_fill_ctx){data, 2}, n);
    const int64_t ns = bench_now_ns() - begin_ns;
    *rate = sizeof(double) * (double)n / (double)ns;
    return code == 0 ? check_filled(data, n, 2) : code;
}

/* ---- commands ---- */

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    int64_t bytes;
    double factor, rate = 0;
    int code = -EINVAL;
    if (sscanf(command, "triad %" SCNd64 " %lf", &bytes, &factor) == 2)
        code = time_triad(s, bytes / (int64_t)sizeof(double), factor, &rate);
    else if (sscanf(command, "touch %" SCNd64, &bytes) == 1)
        code = time_touch(s, bytes / (int64_t)sizeof(double), &rate);
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code),
                 code == -EPROTO ? "elements are wrong" : fm_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%.6f", rate);
    return code;
}

int bench_triad_engine(const char *kind, char *const args[])
{
    struct session s = {.is_huge = strcmp(kind, "libgomp-huge") == 0,
                        .n_workers = args[0] == NULL ? 0 : atoi(args[0])};
    int code = s.n_workers < 1 ? -EINVAL : bench_pool_open(&s.pool, kind, s.n_workers);
    if (code < 0)
        return bench_engine_fail(kind, code);
#ifndef _OPENMP
    if (s.pool == NULL)
        return bench_engine_missing("not built in: the compiler has no OpenMP");
#endif
    code = bench_engine_serve(answer_command, &s);
    drop_vectors(&s);
    fm_pool_destroy(s.pool);
    return code;
}
