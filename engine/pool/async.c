/* SPDX-License-Identifier: MIT */
/* Handing work to a pool without waiting for it: single calls and maps. What becomes of them is result.c. */
#include "clock.h"
#include "dispatcher.h"
#include "error.h"
#include "heap.h"
#include "inline.h"
#include "opts.h"
#include "result.h"
#include "series.h"
#include "soft_stop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RETRIES = 1000, LINE = 64 };

/* ---- what both have ----------------------------------------------------------------------------- */

struct callbacks {
    fm_callback_fn *callback, *error_callback;
    void *arg;
};

static int has_callback(const struct callbacks *c)
{
    return c->callback != NULL || c->error_callback != NULL;
}

/* Forgotten: whoever settles it, or calls its callback, frees it. So once its work is queued it is not touched here. */
static void set_callbacks(struct fm_result *r, const struct callbacks *c, int is_forgotten)
{
    r->callback = c->callback;
    r->error_callback = c->error_callback;
    r->callback_arg = c->arg;
    r->is_forgotten = is_forgotten;
}

/* Nobody else does anything here, so callbacks are called by the caller. */
static void finish_here(struct fm_result *r, fm_result **out)
{
    int is_forgotten = out == NULL;
    atomic_store(&r->stage, FMI_RESULT_TOLD);
    if (out != NULL)
        *out = r;
    fmi_result_call_back(r);
    if (is_forgotten)
        fmi_result_delete(r);
}

/* On a pool that is entered. */
static int prepare_callbacks(fm_pool *pool, const struct callbacks *c)
{
    return has_callback(c) && pool->has_crew ? fmi_dispatcher_start(pool) : 0;
}

/* The work has been handed out. */
static void hand_out(fm_pool *pool, struct fm_result *r, fm_result **out)
{
    if (out != NULL)
        *out = r;
    if (fmi_result_has_callback(r))
        fmi_dispatcher_watch(pool, r);
}

/* ---- single calls ------------------------------------------------------------------------------- */

struct call { /* what was asked for; private */
    fm_task_fn *fn;
    const void *arg;
    size_t arg_bytes;
    void *result;
    size_t result_bytes;
    fm_apply_opts opts; /* whole */
    struct callbacks callbacks;
};

static int check_call(struct call *call, const fm_apply_opts *opts)
{
    int rc = fmi_opts_copy(&call->opts, sizeof call->opts, opts);
    if (rc != 0)
        return rc;
    if (call->fn == NULL)
        return fmi_error(-EINVAL, "the function is NULL");
    if (call->arg == NULL && call->arg_bytes > 0)
        return fmi_error(-EINVAL, "arg is NULL, arg_bytes is %zu", call->arg_bytes);
    if (call->result_bytes > PTRDIFF_MAX / 4 || call->arg_bytes > PTRDIFF_MAX / 4)
        return fmi_error(-EINVAL, "arg_bytes is %zu, result_bytes is %zu", call->arg_bytes,
                         call->result_bytes);
    if (call->opts.retries < 0 || call->opts.retries > MAX_RETRIES)
        return fmi_error(-EINVAL, "retries is %d; it may be 0 .. %d", call->opts.retries,
                         MAX_RETRIES);
    if (call->opts.item_timeout < 0)
        return fmi_error(-EINVAL, "item_timeout may not be negative");
    call->callbacks =
        (struct callbacks){call->opts.callback, call->opts.error_callback, call->opts.callback_arg};
    return 0;
}

static size_t round_up(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

/* What does not fit the record, in one block: the rest of the orders, the argument, the result. */
static int make_more(const struct call *call, struct fm_result *r)
{
    const fm_apply_opts *o = &call->opts;
    void *memory;
    size_t arg_bytes = call->arg_bytes > FMI_TASK_INLINE_BYTES ? call->arg_bytes : 0;
    size_t result_bytes = call->result_bytes > FMI_TASK_INLINE_BYTES ? call->result_bytes : 0;
    if (arg_bytes == 0 && result_bytes == 0 && o->retries == 0 && o->item_timeout == 0 &&
        o->seed == 0)
        return 0;
    size_t at_arg = round_up(sizeof *r->more), at_result = at_arg + round_up(arg_bytes);
    int rc = fmi_heap_alloc(&memory, at_result + result_bytes, 0);
    if (rc != 0)
        return rc;
    char *block = memory;
    r->more = memory;
    r->elsewhere = result_bytes > 0 ? block + at_result : NULL;
    *r->more = (struct fmi_more_shm){.limit_ns = o->item_timeout,
                                     .seed = o->seed,
                                     .retries = (uint32_t)o->retries,
                                     .n = 1,
                                     .arg = arg_bytes > 0 ? block + at_arg : NULL,
                                     .result = r->elsewhere,
                                     .result_stride = (int64_t)result_bytes};
    if (arg_bytes > 0)
        memcpy(block + at_arg, call->arg, arg_bytes);
    return 0;
}

static void fill_record(struct fmi_task_shm *task, const struct call *call,
                        const struct fmi_function_shm *described, const struct fm_result *r)
{
    union { /* ISO C has no cast between the two */
        fm_task_fn *function;
        uintptr_t address;
    } fn = {.function = call->fn};
    task->fn = described != NULL ? (uintptr_t)described : fn.address;
    task->more = r->more;
    task->arg_bytes = (uint16_t)(call->arg_bytes > FMI_TASK_INLINE_BYTES ? 0 : call->arg_bytes);
    task->result_bytes = (uint16_t)(r->elsewhere != NULL ? 0 : call->result_bytes);
    task->kind = FMI_TASK_CALL | (described != NULL ? FMI_TASK_IS_DESCRIBED : 0);
    if (call->arg_bytes > FMI_TASK_INLINE_BYTES)
        task->kind |= FMI_TASK_ARG_ELSEWHERE;
    else if (call->arg_bytes > 0)
        memcpy(task->arg, call->arg, call->arg_bytes);
    else {
        task->kind |= FMI_TASK_ARG_AS_IS;
        memcpy(task->arg, &call->arg, sizeof call->arg);
    }
}

/* On a pool without workers the caller has it to the end. */
static struct fm_result *new_result(fm_pool *pool, const struct call *call, int is_forgotten)
{
    int is_small = call->result == NULL && call->result_bytes <= FMI_TASK_INLINE_BYTES;
    struct fm_result *r = fmi_result_new(pool, is_small ? call->result_bytes : 0);
    if (r == NULL)
        return NULL;
    r->copy_to = call->result;
    r->result_bytes = call->result_bytes;
    set_callbacks(r, &call->callbacks, is_forgotten && pool->has_crew);
    return r;
}

static int queue_call(fm_pool *pool, const struct call *call, struct fm_result *r)
{
    const struct fmi_function_shm *described;
    int rc = call->arg_bytes == 0 ? fmi_pool_check_pointer(pool, call->arg) : 0;
    if (rc == 0)
        rc = fmi_pool_function(pool, (fmi_any_fn *)call->fn, &described);
    if (rc == 0)
        rc = make_more(call, r);
    if (rc == 0)
        rc = fmi_task_begin(pool, &r->slot);
    if (rc != 0)
        return rc;
    fill_record(r->slot->task, call, described, r);
    r->slot->owner = r;
    r->slot->is_limited = call->opts.item_timeout > 0 && pool->has_crew;
    if (r->slot->is_limited)
        fmi_pool_limit_begin(pool, fmi_pool_tick_of(call->opts.item_timeout, 0));
    fmi_task_submit(pool, r->slot, r->is_forgotten && !fmi_result_has_callback(r));
    return 0;
}

/* A pool without workers: the caller does it. */
static void call_here(fm_pool *pool, struct fm_result *r)
{
    const struct fmi_performer caller = fmi_task_caller(pool);
    const fm_pool *outer = fmi_pool_set_mapping(pool);
    (void)fmi_task_perform(&caller, r->slot->task);
    fmi_pool_set_mapping(outer);
    fmi_result_settle(r);
}

static int apply_entered(fm_pool *pool, const struct call *call, fm_result **out)
{
    struct fm_result *over;
    while ((over = fmi_task_forgotten(pool)) != NULL)
        fmi_result_settle(over);
    int rc = prepare_callbacks(pool, &call->callbacks);
    struct fm_result *r = rc == 0 ? new_result(pool, call, out == NULL) : NULL;
    if (r == NULL)
        return rc != 0 ? rc : -ENOMEM;
    rc = queue_call(pool, call, r);
    if (rc != 0) {
        fmi_result_delete(r);
        return rc;
    }
    if (!pool->has_crew) {
        call_here(pool, r);
        finish_here(r, out);
    } else if (out != NULL || has_callback(&call->callbacks)) {
        hand_out(pool, r, out);
    }
    return 0;
}

static int is_outcome(int code)
{
    return code == 0 || code == FM_ETASK || code == FM_ECRASHED || code == FM_ETIMEOUT ||
           code == FM_EOOM || code == FM_ECANCELLED;
}

/* A map of one item, with its records. */
static int run_inline(fm_pool *pool, const struct call *call, void *result,
                      struct fmi_report *report)
{
    struct fmi_series series;
    const int64_t shape[] = {1, (int64_t)call->result_bytes};
    fm_array *out = NULL;
    int rc = call->result_bytes == 0 ? 0 : fm_array_zeros(&out, FM_U8, 2, shape);
    if (rc == 0)
        rc = fmi_series_begin(&series, pool);
    if (rc != 0) {
        fm_array_destroy(out);
        return rc;
    }
    const struct fmi_request request = {
        .kind = FMI_FN_TASK,
        .fn = (fmi_any_fn *)call->fn,
        .end = 1,
        .out = out,
        .opts = FM_MAP_OPTS(.arg = (void *)call->arg, .arg_bytes = call->arg_bytes,
                            .retries = call->opts.retries, .seed = call->opts.seed)};
    rc = fmi_series_map(&series, &request);
    *report = series.report;
    series.report = (struct fmi_report){0};
    fmi_series_end(&series);
    if (rc == 0 && out != NULL)
        memcpy(result, fm_array_data(out), call->result_bytes);
    fm_array_destroy(out);
    return rc;
}

/* Inside a function, where the pool is not this process's. */
static int apply_inline(fm_pool *pool, const struct call *call, fm_result **out)
{
    struct fm_result *r = fmi_result_new(NULL, call->result == NULL ? call->result_bytes : 0);
    if (r == NULL)
        return -ENOMEM;
    set_callbacks(r, &call->callbacks, out == NULL);
    void *to = call->result != NULL ? call->result : r->small;
    r->code = run_inline(pool, call, to, &r->report);
    if (!is_outcome(r->code)) { /* it did not begin */
        int rc = r->code;
        fmi_result_delete(r);
        return rc;
    }
    r->data = r->code == 0 && call->result_bytes > 0 ? to : NULL;
    finish_here(r, out);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): an argument and a result have a place and a size each */
int fm_pool_apply_async(fm_pool *pool, fm_task_fn *fn, const void *arg, size_t arg_bytes,
                        void *result, size_t result_bytes, const fm_apply_opts *opts,
                        fm_result **out)
{
    struct call call = {.fn = fn,
                        .arg = arg,
                        .arg_bytes = arg_bytes,
                        .result = result,
                        .result_bytes = result_bytes};
    if (out != NULL)
        *out = NULL;
    int rc = check_call(&call, opts);
    if (rc == 0 && fmi_pool_is_inline(pool))
        return apply_inline(pool, &call, out);
    if (rc == 0)
        rc = fmi_pool_enter(pool);
    if (rc != 0)
        return rc;
    rc = apply_entered(pool, &call, out);
    fmi_pool_leave(pool);
    return rc;
}

/* ---- maps --------------------------------------------------------------------------------------- */

/* On the spot: inside a function, or on a pool without workers. */
static int map_here(fm_pool *pool, const struct fmi_request *request, fm_result **out)
{
    const fm_map_opts *o = request->opts;
    const struct callbacks callbacks = {o->callback, o->error_callback, o->callback_arg};
    struct fmi_series series;
    struct fm_result *r = fmi_result_new(NULL, 0);
    if (r == NULL)
        return -ENOMEM;
    int rc = fmi_series_begin(&series, pool);
    if (rc != 0) {
        fmi_result_delete(r);
        return rc;
    }
    set_callbacks(r, &callbacks, out == NULL);
    r->code = fmi_series_map(&series, request);
    r->report = series.report;
    series.report = (struct fmi_report){0};
    fmi_series_end(&series);
    if (!is_outcome(r->code)) { /* it did not begin */
        rc = r->code;
        fmi_result_delete(r);
        return rc;
    }
    finish_here(r, out);
    return 0;
}

/* Its slot is known to the pool, so that the pool can settle it when it ends. */
static void enlist(fm_pool *pool, struct fm_result *r)
{
    pthread_mutex_lock(&pool->lock);
    pool->async[r->map->mapping.slot] = r;
    pthread_mutex_unlock(&pool->lock);
}

/* 0; 1: there is nothing to do, so it is settled; a code below 0. It is held until the job is open: nobody is to look at that before. */
static int begin_map(fm_pool *pool, struct fmi_request *request, struct fm_result *r)
{
    struct fmi_mapping *m = &r->map->mapping;
    r->map->opts = *request->opts;
    request->opts = &r->map->opts;
    fmi_soft_stop_begin(pool); /* until it is settled */
    int rc = fmi_mapping_begin(m, pool, request, 1);
    if (rc != 0 || m->plan.n_items == 0)
        fmi_soft_stop_end(pool);
    if (rc != 0)
        return rc;
    if (m->plan.n_items == 0) {
        atomic_store(&r->stage, FMI_RESULT_SETTLED);
        return 1;
    }
    r->map->report_ns = m->report_ns;
    atomic_store(&r->stage, FMI_RESULT_HELD);
    enlist(pool, r);
    fmi_mapping_open(m);
    atomic_store(&r->stage, FMI_RESULT_IN_FLIGHT);
    fmi_park_rouse(&pool->view.shm->work);
    return 0;
}

static int map_entered(fm_pool *pool, struct fmi_request *request, fm_result **out)
{
    const fm_map_opts *o = request->opts;
    const struct callbacks callbacks = {o->callback, o->error_callback, o->callback_arg};
    int rc = prepare_callbacks(pool, &callbacks);
    if (rc != 0)
        return rc;
    struct fm_result *r = fmi_result_new(pool, 0);
    if (r == NULL)
        return -ENOMEM;
    set_callbacks(r, &callbacks, out == NULL);
    r->map = calloc(1, sizeof *r->map);
    rc = r->map == NULL ? -ENOMEM : begin_map(pool, request, r);
    if (rc < 0) {
        fmi_result_delete(r);
        return rc;
    }
    if (rc == 1 && !has_callback(&callbacks))
        finish_here(r, out);
    else if (out != NULL || has_callback(&callbacks))
        hand_out(pool, r, out);
    return 0;
}

static int map_async(fm_pool *pool, const struct fmi_request *asked, const fm_map_opts *opts,
                     fm_result **out)
{
    fm_map_opts copy;
    struct fmi_request request = *asked;
    if (out != NULL)
        *out = NULL;
    int rc = fmi_opts_copy(&copy, sizeof copy, opts);
    copy.struct_size = sizeof copy;
    request.opts = &copy;
    if (rc == 0 && fmi_pool_is_inline(pool))
        return map_here(pool, &request, out);
    if (rc == 0)
        rc = fmi_pool_enter(pool);
    if (rc != 0)
        return rc;
    rc = pool->has_crew ? map_entered(pool, &request, out) : map_here(pool, &request, out);
    fmi_pool_leave(pool);
    return rc;
}

int fm_pool_map_async(fm_pool *pool, fm_item_fn *fn, fm_array *in, fm_array *out,
                      const fm_map_opts *opts, fm_result **res)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1, .out = out};
    return map_async(pool, &request, opts, res);
}

int fm_pool_map_chunks_async(fm_pool *pool, fm_chunk_fn *fn, fm_array *in, fm_array *out,
                             const fm_map_opts *opts, fm_result **res)
{
    struct fmi_request request = {
        .kind = FMI_FN_CHUNK, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1, .out = out};
    return map_async(pool, &request, opts, res);
}

int fm_pool_map_range_async(fm_pool *pool, fm_item_fn *fn, int64_t begin, int64_t end,
                            fm_array *out, const fm_map_opts *opts, fm_result **res)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end, .out = out};
    return map_async(pool, &request, opts, res);
}

int fm_pool_map_range_chunks_async(fm_pool *pool, fm_chunk_fn *fn, int64_t begin, int64_t end,
                                   fm_array *out, const fm_map_opts *opts, fm_result **res)
{
    struct fmi_request request = {
        .kind = FMI_FN_CHUNK, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end, .out = out};
    return map_async(pool, &request, opts, res);
}

static int starmap_async(fm_pool *pool, const struct fmi_request *request, const fm_map_opts *opts,
                         fm_result **res)
{
    if (res != NULL)
        *res = NULL;
    if (request->n_columns < 1)
        return fmi_error(-EINVAL, "%d columns; there may be 1 .. %d", request->n_columns,
                         FM_MAX_COLUMNS);
    return map_async(pool, request, opts, res);
}

int fm_pool_starmap_async(fm_pool *pool, fm_star_fn *fn, fm_array *const *columns, int n,
                          fm_array *out, const fm_map_opts *opts, fm_result **res)
{
    struct fmi_request request = {.kind = FMI_FN_STAR,
                                  .fn = (fmi_any_fn *)fn,
                                  .columns = columns,
                                  .n_columns = n,
                                  .out = out};
    return starmap_async(pool, &request, opts, res);
}

int fm_pool_starmap_chunks_async(fm_pool *pool, fm_chunk_fn *fn, fm_array *const *columns, int n,
                                 fm_array *out, const fm_map_opts *opts, fm_result **res)
{
    struct fmi_request request = {.kind = FMI_FN_CHUNK,
                                  .fn = (fmi_any_fn *)fn,
                                  .columns = columns,
                                  .n_columns = n,
                                  .out = out};
    return starmap_async(pool, &request, opts, res);
}
