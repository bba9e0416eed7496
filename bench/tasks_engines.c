/* SPDX-License-Identifier: MIT */
/*
 * The engine processes of the tasks benchmark: the same submitters and the same function; only how a batch of calls is
 * handed over and waited for differs. Every result is looked at.
 */
#include "tasks.h"

#include "bench_clock.h"
#include "bound_pool.h"
#include "bound_tbb.h"
#include "engine.h"
#include "facts.h"

#include <forkmap/forkmap.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SUBMITTERS 2
#define MAX_BATCH      1024
#define TASKS_PER_LOOK 16 /* at the clock, when batches are short */

struct session;

struct submitter { /* one thread */
    struct session *s;
    int cpu; /* -1: bound already */
    struct bench_block args[MAX_BATCH], results[MAX_BATCH];
    fm_result *pending[MAX_BATCH];
    int64_t n_done, begin_ns, end_ns;
    int code;
};

struct session {
    int n_workers;
    fm_pool *pool;
    /* Has the first n args done, and waits for the results. */
    int (*batch)(struct submitter *me, int n);
    /* Runs run_submitter() in n threads at once. */
    void (*run)(struct session *s, int n);
    int batch_tasks;
    int64_t max_ns;
    pthread_barrier_t start;
    struct submitter submitters[MAX_SUBMITTERS];
};

/* ---- batches ---- */

static int batch_forkmap(struct submitter *me, int n)
{
    int n_pending = 0, code = 0;
    while (code == 0 && n_pending < n) {
        code = fm_pool_apply_async(me->s->pool, bench_trivial_task, &me->args[n_pending],
                                   sizeof(me->args[0]), &me->results[n_pending],
                                   sizeof(me->results[0]), NULL, &me->pending[n_pending]);
        n_pending += code == 0;
    }
    for (int i = 0; i < n_pending; i++) {
        const int got = fm_result_get(me->pending[i], FM_FOREVER);
        fm_result_free(me->pending[i]);
        code = code == 0 ? got : code;
    }
    return code;
}

#ifdef _OPENMP
static int batch_openmp(struct submitter *me, int n)
{
    for (int i = 0; i < n; i++) {
        const struct bench_block arg = me->args[i];
        struct bench_block *result = &me->results[i];
#pragma omp task firstprivate(arg, result)
        bench_trivial_task(&arg, result);
    }
#pragma omp taskwait
    return 0;
}
#endif

#ifdef BENCH_TBB
static int batch_tbb(struct submitter *me, int n)
{
    bench_tbb_batch(me->args, me->results, n);
    return 0;
}
#endif

/* ---- submitters ---- */

static int run_batch(struct submitter *me)
{
    const int n = me->s->batch_tasks;
    for (int i = 0; i < n; i++)
        me->args[i].words[0] = (uint64_t)(me->n_done + i);
    const int code = me->s->batch(me, n);
    uint64_t wrong = 0;
    for (int i = 0; i < n; i++)
        wrong |= me->results[i].words[0] ^ (uint64_t)(me->n_done + i + 1);
    me->n_done += n;
    return code == 0 && wrong != 0 ? -EPROTO : code;
}

static int run_until_look(struct submitter *me)
{
    const int64_t until = me->n_done + TASKS_PER_LOOK;
    int code = 0;
    while (code == 0 && me->n_done < until)
        code = run_batch(me);
    return code;
}

/* Some tasks that do not count; then all submitters begin together. */
static void run_submitter(struct submitter *me)
{
    bench_pin(me->cpu);
    me->n_done = 0;
    me->code = run_until_look(me);
    pthread_barrier_wait(&me->s->start);
    me->n_done = 0;
    me->begin_ns = me->end_ns = bench_now_ns();
    while (me->code == 0 && me->end_ns - me->begin_ns < me->s->max_ns) {
        me->code = run_until_look(me);
        me->end_ns = bench_now_ns();
    }
}

static void *submit_in_thread(void *arg)
{
    run_submitter(arg);
    return NULL;
}

/* The first is the thread that opened the pool. */
static void run_in_threads(struct session *s, int n)
{
    pthread_t threads[MAX_SUBMITTERS];
    for (int i = 1; i < n; i++)
        if (pthread_create(&threads[i], NULL, submit_in_thread, &s->submitters[i]) != 0)
            abort(); /* the others would wait for it for ever */
    run_submitter(&s->submitters[0]);
    for (int i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
}

#ifdef _OPENMP
/* The threads that do not submit run tasks until all are done: that is what they do at the region's end. */
static void run_in_region(struct session *s, int n)
{
    const int n_threads = s->n_workers > n ? s->n_workers : n;
#pragma omp parallel for schedule(static, 1) num_threads(n_threads)
    for (int i = 0; i < n_threads; i++)
        if (i < n)
            run_submitter(&s->submitters[i]);
}
#endif

/* ---- commands ---- */

/* From the first begin to the last end, by all tasks [ns]. */
static double time_per_task(const struct session *s, int n_submitters)
{
    int64_t begin_ns = INT64_MAX, end_ns = 0, n_done = 0;
    for (int i = 0; i < n_submitters; i++) {
        const struct submitter *one = &s->submitters[i];
        begin_ns = one->begin_ns < begin_ns ? one->begin_ns : begin_ns;
        end_ns = one->end_ns > end_ns ? one->end_ns : end_ns;
        n_done += one->n_done;
    }
    return (double)(end_ns - begin_ns) / (double)n_done;
}

static int answer_run(void *self, const char *command, char answer[BENCH_LINE])
{
    struct session *s = self;
    int n, code = 0;
    if (sscanf(command, "run %d %d %" SCNd64, &n, &s->batch_tasks, &s->max_ns) != 3 || n < 1 ||
        n > MAX_SUBMITTERS || s->batch_tasks < 1 || s->batch_tasks > MAX_BATCH)
        return -EINVAL;
    pthread_barrier_init(&s->start, NULL, (unsigned)n);
    s->run(s, n);
    pthread_barrier_destroy(&s->start);
    for (int i = 0; i < n && code == 0; i++)
        code = s->submitters[i].code;
    if (code != 0)
        snprintf(answer, BENCH_LINE, "error %s: %.100s", fm_errname(code),
                 code == -EPROTO ? "results are missing" : fm_error_detail());
    else
        snprintf(answer, BENCH_LINE, "%.3f", time_per_task(s, n));
    return code;
}

/* ---- start ---- */

static int open_forkmap(struct session *s)
{
    fm_worker_info worker;
    int code = 0;
    for (int i = 0; i < MAX_SUBMITTERS && code == 0; i++) {
        code = fm_pool_worker(s->pool, i % s->n_workers, &worker);
        s->submitters[i].cpu = worker.cpu;
    }
    s->batch = batch_forkmap;
    s->run = run_in_threads;
    return code;
}

#ifdef BENCH_TBB
static int open_tbb(struct session *s)
{
    fm_place *places = calloc((size_t)s->n_workers, sizeof(*places));
    int *cpus = calloc((size_t)s->n_workers, sizeof(*cpus));
    int code = places == NULL || cpus == NULL ? -ENOMEM
                                              : fm_places(places, s->n_workers, FM_PIN_CORE, NULL);
    for (int i = 0; i < s->n_workers && code >= 0; i++)
        cpus[i] = places[i].cpu;
    for (int i = 0; i < MAX_SUBMITTERS && code >= 0; i++)
        s->submitters[i].cpu = cpus[i % s->n_workers];
    if (code >= 0)
        bench_tbb_open(s->n_workers, cpus);
    s->batch = batch_tbb;
    s->run = run_in_threads;
    free(cpus);
    free(places);
    return code < 0 ? code : 0;
}
#endif

static int open_engine(struct session *s, const char *kind)
{
    const int code = bench_pool_open(&s->pool, kind, s->n_workers);
    if (code <= 0)
        return code < 0 ? code : open_forkmap(s);
#ifdef BENCH_TBB
    if (strcmp(kind, "TBB") == 0)
        return open_tbb(s);
#endif
#ifdef _OPENMP
    if (strcmp(kind, "libgomp") == 0) {
        s->batch = batch_openmp;
        s->run = run_in_region;
    }
#endif
    return 0;
}

int bench_tasks_engine(const char *kind, char *const args[])
{
    static struct session s; /* too big for a stack */
    s.n_workers = args[0] == NULL ? 0 : atoi(args[0]);
    for (int i = 0; i < MAX_SUBMITTERS; i++) {
        s.submitters[i].s = &s;
        s.submitters[i].cpu = -1;
    }
    int code = s.n_workers < 1 ? -EINVAL : open_engine(&s, kind);
    if (code != 0)
        return bench_engine_fail(kind, code);
    if (s.batch == NULL)
        return bench_engine_missing(strcmp(kind, "TBB") == 0
                                        ? "not built in: no C++ compiler, or no libtbb-dev"
                                        : "not built in: the compiler has no OpenMP");
    code = bench_engine_serve(answer_run, &s);
    fm_pool_destroy(s.pool);
    return code;
}
