/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the balance benchmark: the same problems, made from the same numbers, and the
 * same object code; only who calls it for which [begin, end) differs.
 */
#include "balance.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "facts.h"
#include "items.h"
#include "kernels.h"
#include "spin_kernel.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_CASES       6
#define LARGEST_TRIES 3 /* an item's time is its shortest of so many */
#define WIDTH                                                                                      \
    "256" /* of the mandelbrot picture; with its height a sample lasts as long as the others */

struct problem {
    char name[24]; /* "": not prepared */
    fmk_range_fn *range;
    const void *ctx;
    int64_t n;
    void *out; /* words of 4 bytes */
    int64_t n_words;
};

struct session {
    int n_workers;
    int64_t n_items;
    double steps_per_us;
    fm_pool *pool;
    struct problem problems[N_CASES];
    /* Maps items 0 .. n-1 as the command's schedule says. */
    int (*map)(struct session *s, const struct problem *p, int64_t n);
};

/* ---- problems ---- */

static int prepare_kernel(const struct session *s, struct problem *p)
{
    char rows[24];
    struct fmk_problem picture;
    snprintf(rows, sizeof(rows), "%" PRId64, s->n_items / 2 > 0 ? s->n_items / 2 : 1);
    const struct fmk_param params[] = {
        {"n", rows, NULL}, {"width", WIDTH, NULL}, {NULL, NULL, NULL}};
    const struct fmk_kernel *kernel = fmk_find(p->name);
    if (kernel == NULL)
        return -EINVAL;
    const int code = fmk_prepare(&picture, kernel, params, NULL, 0);
    if (code != 0)
        return code;
    p->range = kernel->range;
    p->ctx = picture.ctx;
    p->n = picture.n;
    p->out = fm_array_data(picture.out);
    p->n_words = (int64_t)(fm_array_bytes(picture.out) / sizeof(uint32_t));
    return 0;
}

static int prepare_items(const struct session *s, struct problem *p)
{
    fm_array *iterations, *result, *ctx;
    const int64_t n = s->n_items, one = 1;
    int code = fm_array_zeros(&iterations, FM_U32, 1, &n);
    if (code == 0)
        code = fm_array_zeros(&result, FM_U64, 1, &n);
    if (code == 0)
        code = fm_array_zeros(&ctx, FM_STRUCT(sizeof(struct bench_kernel_ctx)), 1, &one);
    if (code == 0)
        code = bench_items_fill(fm_array_data(iterations), n, p->name, s->steps_per_us);
    if (code != 0)
        return code;
    *(struct bench_kernel_ctx *)fm_array_data(ctx) =
        (struct bench_kernel_ctx){fm_array_data(iterations), fm_array_data(result), 1};
    p->range = bench_kernel;
    p->ctx = fm_array_data(ctx);
    p->n = n;
    p->out = fm_array_data(result);
    p->n_words = (int64_t)(fm_array_bytes(result) / sizeof(uint32_t));
    return 0;
}

/* Prepared once, and kept: an engine ends with its benchmark. */
static struct problem *find_problem(struct session *s, const char *name)
{
    int i = 0;
    while (i < N_CASES && s->problems[i].name[0] != '\0' && strcmp(s->problems[i].name, name) != 0)
        i++;
    if (i == N_CASES)
        return NULL;
    struct problem *p = &s->problems[i];
    if (p->name[0] != '\0')
        return p;
    snprintf(p->name, sizeof(p->name), "%s", name);
    if (strcmp(name, "mandelbrot") == 0 ? prepare_kernel(s, p) == 0 : prepare_items(s, p) == 0)
        return p;
    p->name[0] = '\0';
    return NULL;
}

/* ---- the maps ---- */

static int map_serial(struct session *s, const struct problem *p, int64_t n)
{
    (void)s;
    p->range(0, n, p->ctx);
    return 0;
}

struct range_call { /* goes into the job by value; both pointers mean the same in the workers */
    fmk_range_fn *range;
    const void *ctx;
};

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    const struct range_call *call = arg;
    call->range(chunk->begin, chunk->begin + chunk->count, call->ctx);
    return 0;
}

static int map_forkmap(struct session *s, const struct problem *p, int64_t n)
{
    struct range_call call = {p->range, p->ctx};
    return fm_pool_map_range_chunks(s->pool, run_chunk, 0, n, NULL,
                                    FM_MAP_OPTS(.arg = &call, .arg_bytes = sizeof(call)));
}

#ifdef _OPENMP
static int map_openmp(struct session *s, const struct problem *p, int64_t n)
{
    (void)s;
#pragma omp parallel for schedule(runtime)
    for (int64_t i = 0; i < n; i++)
        p->range(i, i + 1, p->ctx);
    return 0;
}

static int set_openmp_schedule(const char *name, int chunk)
{
    static const struct {
        const char *name;
        omp_sched_t kind;
    } known[] = {{"static", omp_sched_static},
                 {"dynamic", omp_sched_dynamic},
                 {"guided", omp_sched_guided},
                 {"auto", omp_sched_auto}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) == 0) {
            omp_set_schedule(known[i].kind, chunk);
            return 0;
        }
    }
    return -EINVAL;
}
#endif

static int choose_schedule(const struct session *s, const char *name, int chunk)
{
#ifdef _OPENMP
    if (s->map == map_openmp)
        return set_openmp_schedule(name, chunk);
#endif
    (void)s;
    return strcmp(name, "auto") == 0 && chunk == 0 ? 0 : -EINVAL;
}

/* ---- commands ---- */

/* First a few items untimed, so that everybody is awake after the stop; then all. */
static int answer_run(struct session *s, const char *command, char answer[BENCH_LINE])
{
    char name[24], schedule[16];
    int chunk;
    if (sscanf(command, "run %23s %15s %d", name, schedule, &chunk) != 3)
        return -EINVAL;
    const struct problem *p = find_problem(s, name);
    if (p == NULL || choose_schedule(s, schedule, chunk) != 0)
        return -EINVAL;
    int code = s->map(s, p, s->n_workers < p->n ? s->n_workers : p->n);
    memset(p->out, 0, (size_t)p->n_words * sizeof(uint32_t));
    const int64_t begin_ns = bench_now_ns();
    if (code == 0)
        code = s->map(s, p, p->n);
    const int64_t ns = bench_now_ns() - begin_ns;
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code), fm_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%.6f %016" PRIx64, (double)ns * 1e-6,
                 bench_items_checksum(p->out, p->n_words));
    return code;
}

static int64_t time_item(const struct problem *p, int64_t i)
{
    int64_t shortest_ns = INT64_MAX;
    for (int attempt = 0; attempt < LARGEST_TRIES; attempt++) {
        const int64_t begin_ns = bench_now_ns();
        p->range(i, i + 1, p->ctx);
        const int64_t ns = bench_now_ns() - begin_ns;
        shortest_ns = ns < shortest_ns ? ns : shortest_ns;
    }
    return shortest_ns;
}

static int answer_largest(struct session *s, const char *command, char answer[BENCH_LINE])
{
    char name[24];
    int64_t longest_ns = 0;
    const struct problem *p =
        sscanf(command, "largest %23s", name) == 1 ? find_problem(s, name) : NULL;
    if (p == NULL)
        return -EINVAL;
    for (int64_t i = 0; i < p->n; i++) {
        const int64_t ns = time_item(p, i);
        longest_ns = ns > longest_ns ? ns : longest_ns;
    }
    snprintf(answer, BENCH_LINE, "%.6f", (double)longest_ns * 1e-6);
    return 0;
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    if (strncmp(command, "largest ", 8) == 0)
        return answer_largest(self, command, answer);
    return answer_run(self, command, answer);
}

/* ---- start ---- */

/* Serial code runs where a pool's first worker, or an OpenMP runtime's first thread, would. */
static int bind_to_first_place(void)
{
    fm_place place;
    const int n = fm_places(&place, 1, FM_PIN_CORE, NULL);
    if (n < 0)
        return n;
    bench_pin(place.cpu);
    return 0;
}

static int open_engine(struct session *s, const char *kind)
{
    const int code = bench_pool_open(&s->pool, kind, s->n_workers);
    if (code <= 0) {
        s->map = map_forkmap;
        return code;
    }
    if (strcmp(kind, "serial") == 0) {
        s->map = map_serial;
        return bind_to_first_place();
    }
#ifdef _OPENMP
    s->map = map_openmp;
#endif
    return 0;
}

int bench_balance_engine(const char *kind, char *const args[])
{
    if (args[0] == NULL || args[1] == NULL || args[2] == NULL)
        return 2;
    struct session s = {.n_workers = atoi(args[0]),
                        .n_items = atoll(args[1]),
                        .steps_per_us = strtod(args[2], NULL)};
    int code = open_engine(&s, kind);
    if (code != 0)
        return bench_engine_fail(kind, code);
    if (s.map == NULL)
        return bench_engine_missing("not built in: the compiler has no OpenMP");
    code = bench_engine_serve(answer_command, &s);
    fm_pool_destroy(s.pool);
    return code;
}
