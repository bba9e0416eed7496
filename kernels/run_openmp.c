/* SPDX-License-Identifier: MIT */

/* Runs a problem under OpenMP. The only file of the kernels that knows of it. */

#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <omp.h>
#include <string.h>

static int find_schedule(const char *name, omp_sched_t *kind)
{
    static const struct {
        const char *name;
        omp_sched_t kind;
    } known[] = {
        {"static", omp_sched_static}, {"dynamic", omp_sched_dynamic}, {"guided", omp_sched_guided}};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
        if (name != NULL && strcmp(name, known[k].name) == 0) {
            *kind = known[k].kind;
            return 0;
        }
    return fmk_error(-EINVAL, "schedule \"%s\": static, dynamic or guided is needed", name);
}

/*
 * One even piece per thread: what schedule(static) does, with one call of the function per thread.
 */
static void run_even(const struct fmk_problem *p, int threads)
{
    fmk_range_fn *const range = p->kernel->range;
    const int64_t n = p->n;
    const void *const ctx = p->ctx;
#pragma omp parallel num_threads(threads)
    {
        const int64_t team = omp_get_num_threads(), me = omp_get_thread_num();
        const int64_t piece = n / team, longer = n % team; /* the first `longer` get one more */
        const int64_t begin = me * piece + (me < longer ? me : longer);
        const int64_t end = begin + piece + (me < longer ? 1 : 0);
        if (begin < end)
            range(begin, end, ctx);
    }
}

/*
 * The loop runs over chunks, so that the function is called once per chunk and not once per item.
 */
static void run_scheduled(const struct fmk_problem *p, int threads, omp_sched_t kind, int64_t chunk)
{
    fmk_range_fn *const range = p->kernel->range;
    const int64_t n = p->n;
    const void *const ctx = p->ctx;
    const int64_t n_chunks = n / chunk + (n % chunk != 0);
    omp_sched_t old_kind;
    int old_modifier;
    omp_get_schedule(&old_kind, &old_modifier);
    omp_set_schedule(kind, 1);
#pragma omp parallel for num_threads(threads) schedule(runtime)
    for (int64_t k = 0; k < n_chunks; k++)
        range(k * chunk, n - k * chunk < chunk ? n : (k + 1) * chunk, ctx);
    omp_set_schedule(old_kind, old_modifier);
}

int fmk_run_openmp(struct fmk_problem *p, int threads, const char *schedule, int64_t chunk)
{
    omp_sched_t kind = omp_sched_static;
    fmk_error_clear();
    if (threads < 0)
        return fmk_error(-EINVAL, "%d threads: at least 1, or 0 for the default", threads);
    if (chunk < 0)
        return fmk_error(-EINVAL, "chunk of %" PRId64 " items: at least 1, or 0 for the default",
                         chunk);
    const int e = find_schedule(schedule == NULL ? "static" : schedule, &kind);
    if (e != 0)
        return e;
    const int team = threads > 0 ? threads : omp_get_max_threads();
    int ready;
    for (int64_t pass = 0; (ready = fmk_next_pass(p, pass)) == 1; pass++) {
        if (kind == omp_sched_static && chunk == 0)
            run_even(p, team);
        else
            run_scheduled(p, team, kind, chunk > 0 ? chunk : p->kernel->grain);
    }
    return ready;
}

void fmk_pause_openmp(void)
{
    omp_pause_resource_all(omp_pause_hard);
}
