/* SPDX-License-Identifier: MIT */
/*
 * Reductions, from the host's side. The rows of an array: one map that adds up blocks, and the tree. The results of a function: a map as any,
 * into an array of all results, and then the same; so a function that fails, crashes or hangs is found as by any map.
 */
#include "blocks.h"
#include "error.h"
#include "opts.h"

#include <errno.h>
#include <string.h>

struct reduction { /* private to its thread */
    int op;
    void *result;
    size_t result_bytes;
    fm_reduce_opts opts; /* whole, whatever the caller's struct_size */
    struct fmi_series series;
};

static int check_result(const struct reduction *r, const struct fmi_fold *fold)
{
    if (r->result == NULL)
        return fmi_error(-EINVAL, "result is NULL");
    if (r->result_bytes == fold->result_bytes)
        return 0;
    return fmi_error(-EINVAL, "result has %zu bytes, and the operation gives %zu", r->result_bytes,
                     fold->result_bytes);
}

static int begin_reduction(struct reduction *r, fm_pool *pool, const fm_reduce_opts *opts)
{
    int rc = fmi_opts_copy(&r->opts, sizeof r->opts, opts);
    r->opts.map.struct_size = sizeof r->opts.map;
    return rc != 0 ? rc : fmi_series_begin(&r->series, pool);
}

/* Adds up columns[0], of those items that columns[1] says are done, if there is one. */
static int reduce_columns(struct reduction *r, const struct fmi_fold *fold,
                          fm_array *const *columns, int n_columns, const fm_map_opts *map)
{
    struct fmi_blocks blocks;
    int rc = fmi_blocks_create(&blocks, &r->series, fold, fm_array_len(columns[0]), FMI_BLOCKS_TREE,
                               &r->opts);
    if (rc == 0)
        rc = fmi_blocks_fold(&blocks, columns, n_columns, map);
    if (fmi_blocks_may_go_on(&r->series, rc, map)) {
        int later = fmi_blocks_combine(&blocks);
        if (later == 0 &&
            (later = fmi_fold_get(fold, fmi_blocks_result(&blocks.plan, 0), r->result)) ==
                -ENODATA &&
            rc != 0)
            later = 0; /* all items failed: that is what is returned */
        rc = later != 0 ? later : rc;
    }
    fmi_blocks_destroy(&blocks);
    return rc;
}

/* ---- the rows of an array ------------------------------------------------------------------- */

static int reduce_array(struct reduction *r, fm_array *in)
{
    struct fmi_array_view view;
    struct fmi_fold fold;
    int rc = fmi_array_inspect(in, &view);
    if (rc != 0)
        return rc == -EINVAL ? fmi_error(rc, "the input is not an array in the shared heap") : rc;
    rc = fmi_fold_prepare(&fold, r->op, &view, &r->opts);
    if (rc == 0 && (r->opts.flags & FM_EXCLUSIVE) != 0)
        rc = fmi_error(-EINVAL, "FM_EXCLUSIVE is for scans");
    if (rc == 0)
        rc = check_result(r, &fold);
    return rc != 0 ? rc : reduce_columns(r, &fold, &in, 1, &r->opts.map);
}

int fm_pool_reduce(fm_pool *pool, fm_array *in, int op, void *result, size_t result_bytes,
                   const fm_reduce_opts *opts)
{
    struct reduction r = {.op = op, .result = result, .result_bytes = result_bytes};
    int rc = begin_reduction(&r, pool, opts);
    if (rc != 0)
        return rc;
    rc = r.opts.rows != NULL ? fmi_error(-EINVAL, "the option rows is for fm_pool_map_reduce()")
                             : reduce_array(&r, in);
    fmi_series_end(&r.series);
    return rc;
}

/* ---- the results of a function -------------------------------------------------------------- */

static int count_request(const struct fmi_request *request, int64_t *n)
{
    struct fmi_array_view view;
    if (request->n_columns == 0) {
        if (request->end < request->begin ||
            __builtin_sub_overflow(request->end, request->begin, n))
            *n = 0; /* the map says what is wrong */
        return 0;
    }
    int rc = fmi_array_inspect(request->columns[0], &view);
    *n = view.n_items;
    return rc == -EINVAL ? fmi_error(rc, "the input is not an array in the shared heap") : rc;
}

static int prepare_rows(struct reduction *r, fm_dtype dtype, int64_t n, fm_array **made)
{
    if (r->opts.rows == NULL)
        return fm_array_create(made, dtype, 1, &n, NULL);
    if (fm_array_dtype(r->opts.rows) != dtype)
        return fmi_error(-EINVAL, "the option rows is no array of the dtype that was given");
    return 0;
}

/* Once `fn` has run: policies that were for it are not for adding up. */
static int reduce_rows(struct reduction *r, const struct fmi_fold *fold, fm_array *rows,
                       fm_array *status)
{
    const fm_map_opts *map = &r->opts.map;
    fm_array *columns[] = {rows, status};
    fm_map_opts opts = {.struct_size = sizeof opts,
                        .schedule = map->schedule,
                        .retries = map->retries,
                        .item_timeout = fold->op == FM_COMBINE ? map->item_timeout : 0,
                        .on_signal = map->on_signal,
                        .seed = map->seed};
    return reduce_columns(r, fold, columns, status != NULL ? 2 : 1, &opts);
}

static int map_and_reduce(struct reduction *r, const struct fmi_request *asked,
                          const struct fmi_fold *fold, fm_array *rows, int64_t n)
{
    FM_AUTO(fm_array) made_status = NULL;
    struct fmi_request request = *asked;
    fm_map_opts opts = r->opts.map;
    int rc = 0;
    if (opts.status == NULL && opts.on_error == FM_ON_ERROR_CONTINUE)
        rc = fm_array_create(&made_status, FM_U8, 1, &n, NULL);
    if (rc != 0)
        return rc;
    if (made_status != NULL)
        opts.status = made_status;
    request.out = rows;
    request.opts = &opts;
    rc = fmi_series_map(&r->series, &request);
    if (!fmi_blocks_may_go_on(&r->series, rc, &opts))
        return rc;
    int later = reduce_rows(r, fold, rows, rc == 0 ? NULL : opts.status);
    return later == 0 || (later == -ENODATA && rc != 0) ? rc : later;
}

static int reduce_function(struct reduction *r, const struct fmi_request *request, fm_dtype dtype)
{
    FM_AUTO(fm_array) made = NULL;
    struct fmi_array_view view;
    struct fmi_fold fold;
    int64_t n;
    if (fm_dtype_bytes(dtype) == 0)
        return fmi_error(-EINVAL, "0x%x is no dtype", dtype);
    int rc = count_request(request, &n);
    if (rc == 0)
        rc = prepare_rows(r, dtype, n, &made);
    fm_array *rows = made != NULL ? made : r->opts.rows;
    if (rc == 0)
        rc = fmi_array_inspect(rows, &view);
    if (rc == 0)
        rc = fmi_fold_prepare(&fold, r->op, &view, &r->opts);
    if (rc == 0 && view.row_bytes != view.item_bytes)
        rc = fmi_error(-EINVAL, "the option rows has rows of several elements");
    if (rc == 0 && (r->opts.flags & FM_EXCLUSIVE) != 0)
        rc = fmi_error(-EINVAL, "FM_EXCLUSIVE is for scans");
    if (rc == 0)
        rc = check_result(r, &fold);
    return rc != 0 ? rc : map_and_reduce(r, request, &fold, rows, n);
}

static int map_reduce(fm_pool *pool, const struct fmi_request *request, fm_dtype dtype, int op,
                      void *result, size_t result_bytes, const fm_reduce_opts *opts)
{
    struct reduction r = {.op = op, .result = result, .result_bytes = result_bytes};
    int rc = begin_reduction(&r, pool, opts);
    if (rc != 0)
        return rc;
    rc = reduce_function(&r, request, dtype);
    fmi_series_end(&r.series);
    return rc;
}

int fm_pool_map_reduce(fm_pool *pool, fm_item_fn *fn, fm_array *in, fm_dtype dtype, int op,
                       void *result, size_t result_bytes, const fm_reduce_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .columns = &in, .n_columns = 1};
    return map_reduce(pool, &request, dtype, op, result, result_bytes, opts);
}

/* NOLINTNEXTLINE(readability-function-size): a range has two ends */
int fm_pool_map_range_reduce(fm_pool *pool, fm_item_fn *fn, int64_t begin, int64_t end,
                             fm_dtype dtype, int op, void *result, size_t result_bytes,
                             const fm_reduce_opts *opts)
{
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)fn, .begin = begin, .end = end};
    return map_reduce(pool, &request, dtype, op, result, result_bytes, opts);
}
