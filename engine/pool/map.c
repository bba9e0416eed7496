/* SPDX-License-Identifier: MIT */
/*
 * A map, from the host's side: prepare a plan, take a job slot, publish it, wait (or take part), collect.
 */
#include "clock.h"
#include "error.h"
#include "heap.h"
#include "inline.h"
#include "mapping.h"
#include "opts.h"
#include "prepare.h"
#include "series.h"
#include "soft_stop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MIN_TICK_NS = 1000000,
    MAX_TICK_NS = 100000000,
    FACTOR_TICK_NS = 10000000,
};

#define END_TIMEOUT_NS FM_SECONDS(5)

int64_t fmi_pool_tick_of(int64_t limit_ns, double factor)
{
    int64_t tick_ns = limit_ns > 0 ? limit_ns / 10 : FACTOR_TICK_NS;
    if (factor > 0 && tick_ns > FACTOR_TICK_NS)
        tick_ns = FACTOR_TICK_NS;
    return tick_ns < MIN_TICK_NS ? MIN_TICK_NS : tick_ns > MAX_TICK_NS ? MAX_TICK_NS : tick_ns;
}

void fmi_mapping_open(struct fmi_mapping *m)
{
    m->is_limited = m->pool->has_crew && (m->plan.limit_ns > 0 || m->plan.factor > 0);
    if (m->is_limited)
        fmi_pool_limit_begin(m->pool, fmi_pool_tick_of(m->plan.limit_ns, m->plan.factor));
    fmi_mapping_publish(m);
    if (fmi_pool_phase(m->pool) == FMI_PHASE_TERMINATED || fmi_soft_stop_told(m->pool) != 0)
        fmi_job_stop_at(m->job, 0); /* it was not there yet when the others were stopped */
}

/* Workers may still be dying in the job: its slot and its blocks go with the pool. */
static int leave_to_pool(struct fmi_mapping *m, int rc)
{
    fmi_pool_keep_block(m->pool, m->arg_block);
    fmi_pool_keep_block(m->pool, m->undo_block);
    if (m->pool->has_crew) { /* the caller may free its arrays when this returns */
        fmi_crew_command(&m->pool->crew, FMI_COMMAND_KILL); /* it is broken, if that is true */
        fmi_crew_await_end(&m->pool->crew, END_TIMEOUT_NS);
    }
    if (rc != FM_ECORRUPT)
        return rc;
    return fmi_error(rc, "a worker overwrote the pool's control memory; the pool is terminated");
}

/* The first error is kept, with its detail. */
static int close_journal(struct fmi_mapping *m, int rc)
{
    char detail[256];
    if (m->journal.array == NULL)
        return rc;
    snprintf(detail, sizeof detail, "%s", fm_error_detail());
    int closed = fmi_journal_close(&m->journal);
    return rc == 0 ? closed : fmi_error(rc, "%s", detail);
}

static int end_job(struct fmi_mapping *m, int rc, struct fmi_report *report)
{
    if (m->is_limited)
        fmi_pool_limit_end(m->pool);
    if (rc == 0)
        rc = fmi_mapping_collect(m, report);
    if (rc == FM_ECORRUPT) /* nothing that the workers do can be trusted any more */
        fmi_pool_condemn(m->pool);
    if (rc == FM_ECORRUPT || (rc != 0 && fmi_pool_trouble(m->pool) != 0 &&
                              atomic_load(&m->job->word) != fmi_job_word(m->ticket, FMI_JOB_DONE)))
        return leave_to_pool(m, rc);
    fmi_mapping_free_slot(m);
    (void)fmi_heap_free(m->arg_block);
    (void)fmi_heap_free(m->undo_block);
    return rc;
}

int fmi_mapping_end(struct fmi_mapping *m, int rc, struct fmi_report *report)
{
    return close_journal(m, end_job(m, rc, report));
}

static void report_end(const struct fmi_mapping *m)
{
    fm_progress p = {.n_items = m->plan.n_items,
                     .n_done = m->plan.n_items,
                     .seconds = (double)(fmi_now_ns() - m->begin_ns) / 1e9};
    (void)m->opts->progress(&p, m->opts->progress_arg);
}

static int take_and_fill(struct fmi_mapping *m, fmi_any_fn *fn)
{
    int rc = fmi_mapping_take_slot(m);
    if (rc != 0)
        return rc;
    rc = fmi_mapping_fill(m, fn);
    if (rc != 0) {
        fmi_mapping_free_slot(m);
        (void)fmi_heap_free(m->arg_block);
    }
    return rc;
}

int fmi_mapping_begin(struct fmi_mapping *m, fm_pool *pool, const struct fmi_request *request,
                      int is_async)
{
    m->pool = pool;
    m->opts = request->opts;
    m->arg_block = m->undo_block = NULL;
    m->is_cancelled = 0;
    m->is_async = is_async;
    m->journal.array = NULL;
    m->n_inspections = 0;
    if (m->opts->progress != NULL || m->opts->journal != NULL) {
        m->begin_ns = fmi_now_ns();
        m->report_ns = fmi_deadline_after(fmi_mapping_report_interval(m));
    }
    fmi_mapping_prefetch(pool);
    int rc = fmi_plan_prepare(&m->plan, request, atomic_load(&pool->n_workers));
    if (rc != 0 || m->plan.n_items == 0)
        return rc;
    if (m->opts->journal != NULL)
        rc = fmi_journal_open(&m->journal, &m->plan, request,
                              pool->has_crew ? pool->crew.warden.pid : 0);
    if (rc != 0)
        return rc;
    rc = take_and_fill(m, request->fn);
    return rc == 0 ? 0 : close_journal(m, rc);
}

static int run_map(fm_pool *pool, const struct fmi_request *request, struct fmi_report *report)
{
    struct fmi_mapping m; /* set here, its plan by fmi_plan_prepare: no need to clear half a KiB */
    int rc = fmi_mapping_begin(&m, pool, request, 0);
    if (rc != 0 || m.plan.n_items == 0)
        return rc;
    fmi_mapping_open(&m);
    rc = fmi_mapping_end(&m, fmi_mapping_await(&m), report);
    if (rc == 0 && m.opts->progress != NULL)
        report_end(&m);
    return rc;
}

static _Thread_local const fm_pool *mapping;

const fm_pool *fmi_pool_mapping(void)
{
    return mapping;
}

const fm_pool *fmi_pool_set_mapping(const fm_pool *pool)
{
    const fm_pool *outer = mapping;
    mapping = pool;
    return outer;
}

static int map_inside(fm_pool *pool, const struct fmi_request *request, struct fmi_report *report)
{
    const fm_pool *outer = fmi_pool_set_mapping(pool);
    int rc = run_map(pool, request, report);
    fmi_pool_set_mapping(outer);
    return rc;
}

/* A handle's address comes again with the next pool, its serial number does not. Inline, the handle is not this process's. */
static uint64_t report_key(const fm_pool *pool)
{
    return fmi_pool_is_inline(pool) ? (uintptr_t)pool : pool->serial;
}

int fmi_series_begin(struct fmi_series *s, fm_pool *pool)
{
    int rc = 0;
    s->pool = pool;
    s->report = (struct fmi_report){0};
    s->is_inline = fmi_pool_is_inline(pool);
    if (!s->is_inline)
        rc = fmi_pool_enter(pool);
    if (rc != 0)
        return rc;
    s->key = report_key(pool);
    if (!s->is_inline)
        fmi_soft_stop_begin(pool);
    return 0;
}

static int map_in_series(struct fmi_series *s, const struct fmi_request *request,
                         struct fmi_report *report)
{
    if (s->is_inline)
        return fmi_inline_map(request, report);
    int rc = map_inside(s->pool, request, report);
    if (s->pool->view.is_isolated)
        atomic_store_explicit(&s->pool->last_done_ticks, fmi_ticks(),
                              memory_order_relaxed); /* a hint */
    return rc;
}

int fmi_series_map(struct fmi_series *s, const struct fmi_request *request)
{
    struct fmi_report report = {0};
    int rc = map_in_series(s, request, &report);
    if (report.n > 0 || s->report.n == 0) {
        free(s->report.list);
        s->report = report;
    }
    return rc;
}

void fmi_series_end(struct fmi_series *s)
{
    if (!s->is_inline) {
        fmi_soft_stop_end(s->pool);
        fmi_pool_leave(s->pool);
    }
    fmi_report_keep(s->key, &s->report);
}

static int check_no_callback(const fm_map_opts *opts)
{
    if (opts->callback == NULL && opts->error_callback == NULL)
        return 0;
    return fmi_error(-EINVAL, "callbacks are for fm_pool_map_async() and the like");
}

static int enter_map(fm_pool *pool, const struct fmi_request *asked, const fm_map_opts *opts)
{
    static const fm_map_opts defaults = {.struct_size = sizeof(fm_map_opts)};
    fm_map_opts copy;
    struct fmi_request request = *asked;
    struct fmi_series series;
    int rc = 0;
    request.may_journal = 1;
    request.opts = opts == NULL ? &defaults : opts;
    if (request.opts->struct_size != sizeof copy) {
        rc = fmi_opts_copy(&copy, sizeof copy, opts);
        request.opts = &copy;
    }
    if (rc == 0)
        rc = check_no_callback(request.opts);
    if (rc == 0)
        rc = fmi_series_begin(&series, pool);
    if (rc != 0)
        return rc;
    rc = fmi_series_map(&series, &request);
    fmi_series_end(&series);
    return rc;
}

int fm_pool_map(fm_pool *pool, fm_item_fn *fn, fm_array *in, fm_array *out, const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1, .out = out};
    return enter_map(pool, &request, opts);
}

int fm_pool_map_chunks(fm_pool *pool, fm_chunk_fn *fn, fm_array *in, fm_array *out,
                       const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_CHUNK, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1, .out = out};
    return enter_map(pool, &request, opts);
}

int fm_pool_map_range(fm_pool *pool, fm_item_fn *fn, int64_t begin, int64_t end, fm_array *out,
                      const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end, .out = out};
    return enter_map(pool, &request, opts);
}

int fm_pool_map_range_chunks(fm_pool *pool, fm_chunk_fn *fn, int64_t begin, int64_t end,
                             fm_array *out, const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_CHUNK, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end, .out = out};
    return enter_map(pool, &request, opts);
}

static int starmap(fm_pool *pool, int kind, fmi_any_fn *fn, fm_array *const *columns, int n,
                   fm_array *out, const fm_map_opts *opts)
{
    struct fmi_request request = {
        .kind = kind, .fn = fn, .columns = columns, .n_columns = n, .out = out};
    if (n < 1)
        return fmi_error(-EINVAL, "%d columns; there may be 1 .. %d", n, FM_MAX_COLUMNS);
    return enter_map(pool, &request, opts);
}

int fm_pool_starmap(fm_pool *pool, fm_star_fn *fn, fm_array *const *columns, int n, fm_array *out,
                    const fm_map_opts *opts)
{
    return starmap(pool, FMI_FN_STAR, (fmi_any_fn *)fn, columns, n, out, opts);
}

int fm_pool_starmap_chunks(fm_pool *pool, fm_chunk_fn *fn, fm_array *const *columns, int n,
                           fm_array *out, const fm_map_opts *opts)
{
    return starmap(pool, FMI_FN_CHUNK, (fmi_any_fn *)fn, columns, n, out, opts);
}

static int apply(fm_pool *pool, fm_task_fn *fn, void *result, size_t result_bytes,
                 const fm_map_opts *opts)
{
    const int64_t shape[] = {1, (int64_t)result_bytes};
    fm_array *out = NULL;
    int rc = result_bytes == 0 ? 0 : fm_array_zeros(&out, FM_U8, 2, shape);
    if (rc != 0)
        return rc;
    struct fmi_request request = {
        .kind = FMI_FN_TASK, .fn = (fmi_any_fn *)fn, .end = 1, .out = out};
    rc = enter_map(pool, &request, opts);
    if (rc == 0 && out != NULL)
        memcpy(result, fm_array_data(out), result_bytes);
    fm_array_destroy(out);
    return rc;
}

int fm_pool_apply(fm_pool *pool, fm_task_fn *fn, const void *arg, size_t arg_bytes, void *result,
                  size_t result_bytes)
{
    if ((result == NULL && result_bytes > 0) || result_bytes > INT64_MAX)
        return fmi_error(-EINVAL, "result is NULL, or of %zu bytes", result_bytes);
    return apply(pool, fn, result, result_bytes,
                 FM_MAP_OPTS(.arg = (void *)arg, .arg_bytes = arg_bytes, .chunk = 1));
}

int64_t fm_pool_failures(fm_pool *pool, fm_failure *list, int64_t n)
{
    int rc = fmi_pool_is_inline(pool) ? 0 : fmi_pool_check(pool);
    if (rc != 0)
        return rc;
    if (n < 0 || (n > 0 && list == NULL))
        return fmi_error(-EINVAL, "list is NULL or n is negative");
    const struct fmi_report *report = fmi_report_kept(report_key(pool));
    if (report == NULL)
        return 0;
    int64_t n_copied = n < report->n ? n : report->n;
    if (n_copied > 0)
        memcpy(list, report->list, (size_t)n_copied * sizeof *list);
    return report->n;
}

const char *fm_item_state_name(int state)
{
    static const char *const names[] = {"?",         "done",          "failed",   "crashed",
                                        "timed out", "out of memory", "cancelled"};
    return state > 0 && state <= FM_ITEM_CANCELLED ? names[state] : names[0];
}
