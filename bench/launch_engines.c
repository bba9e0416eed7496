/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the launch benchmark: the same loop around one call that differs. The items' inputs
 * and outputs lie in the shared heap for all of them, and each run is checked: every launch must have
 * run every item once.
 */
#include "launch.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "engine.h"
#include "spin_kernel.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_ELEMENTS 8 /* one cache line per item: the question is the launch, not false sharing */
#define WARM_HOT      200
#define WARM_COLD     2
#define BATCH         16 /* at most so many hot launches between two looks at the clock */

struct session {
    int n;        /* workers, and items of a map */
    int schedule; /* an fm_schedule */
    fm_pool *pool;
    uint32_t *iterations;
    uint64_t *result;
    struct bench_kernel_ctx *ctx; /* in the heap */
    int (*launch)(struct session *s);
};

/* ---- the launches ---- */

static int run_chunk(const fm_chunk *chunk, void *arg)
{
    bench_kernel(chunk->begin, chunk->begin + chunk->count, arg);
    return 0;
}

static int launch_forkmap(struct session *s)
{
    return fm_pool_map_range_chunks(s->pool, run_chunk, 0, s->n, NULL,
                                    FM_MAP_OPTS(.schedule = s->schedule, .arg = s->ctx));
}

#ifdef _OPENMP
static int launch_openmp(struct session *s)
{
#pragma omp parallel for schedule(static)
    for (int i = 0; i < s->n; i++)
        bench_kernel(i, i + 1, s->ctx);
    return 0;
}
#endif

/* ---- timing ---- */

/* Back to back. Returns the timed part [ns] and how many there were, or < 0. */
static int64_t time_hot(struct session *s, int64_t max_launches, int64_t max_ns, int64_t *n_done)
{
    int64_t ns = 0, batch = 1;
    const int64_t begin_ns = bench_now_ns();
    for (*n_done = 0; *n_done < max_launches && ns < max_ns; *n_done += batch) {
        batch = *n_done < BATCH ? 1 : BATCH; /* slow ones shall not run for long past max_ns */
        for (int64_t i = 0; i < batch; i++) {
            const int code = s->launch(s);
            if (code != 0)
                return code;
        }
        ns = bench_now_ns() - begin_ns;
    }
    return ns;
}

/* With the caller busy elsewhere for gap_ns before each; the gaps are not counted. */
static int64_t time_after_gaps(struct session *s, int64_t gap_ns, int64_t max_launches,
                               int64_t max_ns, int64_t *n_done)
{
    int64_t ns = 0;
    for (*n_done = 0; *n_done < max_launches && ns < max_ns; *n_done += 1) {
        bench_spin_ns(gap_ns);
        const int64_t begin_ns = bench_now_ns();
        const int code = s->launch(s);
        ns += bench_now_ns() - begin_ns;
        if (code != 0)
            return code;
    }
    return ns;
}

static int64_t time_launches(struct session *s, int64_t gap_ns, int64_t max_launches,
                             int64_t max_ns, int64_t *n_done)
{
    return gap_ns == 0 ? time_hot(s, max_launches, max_ns, n_done)
                       : time_after_gaps(s, gap_ns, max_launches, max_ns, n_done);
}

/* The values must be n_launches times those of one serial run. */
static int check_results(const struct session *s, int64_t n_launches)
{
    for (int i = 0; i < s->n; i++) {
        const uint64_t sum = s->result[i * LINE_ELEMENTS];
        s->result[i * LINE_ELEMENTS] = 0;
        bench_kernel(i, i + 1, s->ctx);
        if (s->result[i * LINE_ELEMENTS] * (uint64_t)n_launches != sum)
            return -EPROTO;
    }
    return 0;
}

static int answer_run(struct session *s, const char *command, char answer[BENCH_LINE])
{
    char variant[16];
    int64_t gap_ns, max_launches, max_ns, n_warm, n_timed = 0;
    uint32_t steps;
    if (sscanf(command, "run %15s %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNu32, variant, &gap_ns,
               &max_launches, &max_ns, &steps) != 5)
        return -EINVAL;
    s->schedule = strcmp(variant, "static") == 0 ? FM_SCHEDULE_STATIC : FM_SCHEDULE_AUTO;
    for (int i = 0; i < s->n; i++) {
        s->iterations[i] = steps;
        s->result[i * LINE_ELEMENTS] = 0;
    }
    int64_t ns = time_launches(s, gap_ns, gap_ns == 0 ? WARM_HOT : WARM_COLD, max_ns, &n_warm);
    if (ns >= 0)
        ns = time_launches(s, gap_ns, max_launches, max_ns, &n_timed);
    const int code = ns < 0 ? (int)ns : check_results(s, n_warm + n_timed);
    if (code != 0) {
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code),
                 code == -EPROTO ? "items are missing" : fm_error_detail());
        return code;
    }
    snprintf(answer, BENCH_LINE, "%.3f", (double)ns / (double)n_timed);
    return 0;
}

/* ---- CPU time of an idle pool ---- */

struct cpu_time {
    int64_t ns, ticks;
};

/* The kernel counts a sleeping task's time to the nanosecond in schedstat, and in clock ticks in stat. */
static int add_cpu_time(int pid, struct cpu_time *sum)
{
    char path[64];
    int64_t ns = 0, user_ticks = 0, system_ticks = 0;
    snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
    FILE *f = fopen(path, "re");
    const int has_ns = f != NULL && fscanf(f, "%" SCNd64, &ns) == 1;
    if (f != NULL)
        fclose(f);
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "re");
    /* 14 and 15; the name in field 2 is bracketed and may hold blanks */
    const int has_ticks =
        f != NULL && fscanf(f,
                            "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u "
                            "%" SCNd64 " %" SCNd64,
                            &user_ticks, &system_ticks) == 2;
    if (f != NULL)
        fclose(f);
    sum->ns += ns;
    sum->ticks += user_ticks + system_ticks;
    return has_ns && has_ticks ? 0 : -ESRCH;
}

/* The warden and every worker but the caller itself. */
static int read_pool_time(struct session *s, struct cpu_time *sum)
{
    fm_worker_info worker;
    *sum = (struct cpu_time){0, 0};
    int code = add_cpu_time(fm_pool_warden_pid(s->pool), sum);
    for (int rank = 0; code == 0 && rank < s->n; rank++) {
        code = fm_pool_worker(s->pool, rank, &worker);
        if (code == 0 && worker.pid != getpid())
            code = add_cpu_time(worker.pid, sum);
    }
    return code;
}

static int answer_idle(struct session *s, const char *command, char answer[BENCH_LINE])
{
    int64_t after_ns, window_ns, n_done;
    struct cpu_time before, after;
    if (s->pool == NULL || sscanf(command, "idle %" SCNd64 " %" SCNd64, &after_ns, &window_ns) != 2)
        return -EINVAL;
    if (time_hot(s, WARM_HOT, INT64_MAX, &n_done) < 0)
        return -EPROTO;
    bench_sleep_ns(after_ns);
    int code = read_pool_time(s, &before);
    bench_sleep_ns(window_ns);
    if (code == 0)
        code = read_pool_time(s, &after);
    if (code == 0)
        snprintf(answer, BENCH_LINE, "%" PRId64 " %" PRId64, after.ns - before.ns,
                 after.ticks - before.ticks);
    return code;
}

static int answer_command(void *self, const char *command, char answer[BENCH_LINE])
{
    if (strncmp(command, "idle ", 5) == 0)
        return answer_idle(self, command, answer);
    return answer_run(self, command, answer);
}

/* ---- start ---- */

static int create_items(struct session *s)
{
    fm_array *iterations, *result, *ctx;
    int code = fm_array_zeros(&iterations, FM_U32, 1, (const int64_t[]){s->n});
    if (code == 0)
        code = fm_array_zeros(&result, FM_U64, 2, (const int64_t[]){s->n, LINE_ELEMENTS});
    if (code == 0)
        code = fm_array_zeros(&ctx, FM_STRUCT(sizeof(*s->ctx)), 1, (const int64_t[]){1});
    if (code != 0)
        return code;
    s->iterations = fm_array_data(iterations);
    s->result = fm_array_data(result);
    s->ctx = fm_array_data(ctx);
    *s->ctx = (struct bench_kernel_ctx){s->iterations, s->result, LINE_ELEMENTS};
    return 0;
}

int bench_launch_engine(const char *kind, char *const args[])
{
    struct session s = {.n = args[0] == NULL ? 0 : atoi(args[0])};
    int code = s.n < 1 ? -EINVAL : create_items(&s);
    if (code == 0)
        code = bench_pool_open(&s.pool, kind, s.n);
    if (code < 0)
        return bench_engine_fail(kind, code);
    if (s.pool != NULL)
        s.launch = launch_forkmap;
#ifdef _OPENMP
    else
        s.launch = launch_openmp;
#endif
    if (s.launch == NULL)
        return bench_engine_missing("not built in: the compiler has no OpenMP");
    code = bench_engine_serve(answer_command, &s);
    fm_pool_destroy(s.pool);
    return code;
}
