/* SPDX-License-Identifier: MIT */
/*
 * Running values: a map adds up blocks (blocks.h), their states are combined from left to right, and a second map goes through each
 * block from the value before it. A piece of a block goes through the items before it once more, without writing: so it needs nothing from
 * the process that had the block before.
 */
#include "blocks.h"
#include "error.h"
#include "lanes.h"
#include "opts.h"
#include "row.h"
#include "widen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 };

/* Items [begin, end) of one block, which begins at item `first`. */
struct piece {
    const struct fmi_blocks_shm *plan;
    const struct fmi_fold *fold;
    const struct fmi_array_view *in, *out;
    int64_t first, begin, end;
};

/* ---- in the workers ------------------------------------------------------------------------- */

static const char *state_before(const struct piece *p)
{
    return fmi_blocks_result(p->plan, p->first / p->plan->length)->values;
}

/* The extreme of no item, of signed rows: a number that a row can hold. */
static void clamp_extreme(fm_dtype dtype, void *running)
{
    int64_t *x = running;
    int64_t most = dtype == FM_BOOL ? 1 : INT64_MAX >> (64 - 8 * fm_dtype_bytes(dtype));
    int64_t least = dtype == FM_BOOL ? 0 : -most - 1;
    *x = *x > most ? most : *x < least ? least : *x;
}

/* Part `part` of the rows. What is computed for items before `begin` is not stored. */
static void scan_part(const struct piece *p, int part)
{
    const struct fmi_fold *fold = p->fold;
    const struct fmi_lanes_op *op = fmi_lanes_op(fold->op, fold->kind);
    union { /* wide values of any kind */
        double f[BATCH];
        int64_t i[BATCH];
        uint64_t u[BATCH];
    } x;
    union {
        double f;
        int64_t i;
        uint64_t u;
    } running;
    memcpy(&running, state_before(p) + (size_t)part * FMI_LANES * FMI_WIDE_BYTES, FMI_WIDE_BYTES);
    if (fold->kind == FMI_WIDE_I && (fold->op == FM_MIN || fold->op == FM_MAX))
        clamp_extreme(fold->dtype, &running);
    for (int64_t item = p->first; item < p->end;) {
        int64_t border = item < p->begin ? p->begin : p->end;
        int64_t n = border - item < BATCH ? border - item : BATCH;
        fmi_widen_load(fold->dtype, part, p->in->data + item * p->in->strides[0], p->in->strides[0],
                       n, fold->kind, &x);
        op->scan(&running, &x, &x, n, p->plan->is_exclusive);
        if (item >= p->begin)
            fmi_widen_store(fold->result_dtype, part, p->out->data + item * p->out->strides[0],
                            p->out->strides[0], n, fold->kind, &x);
        item += n;
    }
}

/* `value` and `row` have room for a row. */
static int scan_rows(const struct piece *p, char *value, char *row)
{
    int rc = 0;
    memcpy(value, state_before(p), p->fold->row_bytes);
    for (int64_t item = p->first; item < p->end && rc == 0; item++) {
        if (item >= p->begin && p->plan->is_exclusive)
            fmi_row_scatter(p->out, item, value);
        fmi_row_gather(p->in, item, row);
        rc = p->fold->combine(value, row, p->fold->arg);
        if (item >= p->begin && !p->plan->is_exclusive && rc == 0)
            fmi_row_scatter(p->out, item, value);
    }
    return rc;
}

static int scan_piece(const struct piece *p)
{
    if (p->fold->op != FM_COMBINE) {
        for (int part = 0; part < p->fold->n_parts; part++)
            scan_part(p, part);
        return 0;
    }
    size_t room = (p->fold->row_bytes / 64 + 1) * 64; /* aligned as rows in the heap are */
    char *value = aligned_alloc(64, 2 * room);
    int rc = value == NULL ? -ENOMEM : scan_rows(p, value, value + room);
    free(value);
    return rc;
}

static int scan_chunk(const fm_chunk *chunk, void *arg)
{
    const struct fmi_blocks_shm *plan = arg;
    struct fmi_array_view in, out;
    struct fmi_fold fold;
    int rc = fmi_blocks_fold_here(plan, &fold);
    if (rc == 0)
        rc = fmi_array_inspect(chunk->in_array[0], &in);
    if (rc == 0)
        rc = fmi_array_inspect(chunk->out_array, &out);
    int64_t end = chunk->begin + chunk->count;
    for (int64_t item = chunk->begin; item < end && rc == 0;) {
        struct piece p = {.plan = plan, .fold = &fold, .in = &in, .out = &out, .begin = item};
        p.first = item / plan->length * plan->length;
        p.end = end - p.first < plan->length ? end : p.first + plan->length;
        rc = scan_piece(&p);
        item = p.end;
    }
    return rc;
}

/* ---- the host ------------------------------------------------------------------------------- */

static int check_options(int op, const fm_reduce_opts *o)
{
    if (op >= FM_ARGMIN && op <= FM_HISTOGRAM)
        return fmi_error(-EINVAL, "scans are for FM_SUM, FM_PROD, FM_MIN, FM_MAX and FM_COMBINE");
    if ((o->flags & FM_COMPENSATED) != 0)
        return fmi_error(-EINVAL, "FM_COMPENSATED is not for scans");
    if (o->map.on_error == FM_ON_ERROR_CONTINUE)
        return fmi_error(-EINVAL, "FM_ON_ERROR_CONTINUE: an item that fails leaves those behind it "
                                  "without a value");
    if (o->rows != NULL)
        return fmi_error(-EINVAL, "the option rows is for fm_pool_map_reduce()");
    return 0;
}

static int check_output(const struct fmi_fold *fold, const fm_array *out)
{
    struct fmi_array_view view;
    char dtype[16];
    int rc = fmi_array_inspect(out, &view);
    if (rc != 0)
        return rc == -EINVAL ? fmi_error(rc, "the output is not an array in the shared heap") : rc;
    fm_dtype_name(fold->result_dtype, dtype, sizeof dtype);
    if (view.dtype == fold->result_dtype && view.row_bytes == fold->result_bytes)
        return 0;
    return fmi_error(-EINVAL, "the output must have dtype %s and rows of %zu bytes", dtype,
                     fold->result_bytes);
}

/* All that the last pass would refuse is refused before the first. */
static int prepare_scan(struct fmi_fold *fold, fm_array *in, int op, fm_array *out,
                        const fm_reduce_opts *o)
{
    struct fmi_array_view view;
    struct fmi_plan plan;
    struct fmi_request request = {.kind = FMI_FN_CHUNK,
                                  .fn = (fmi_any_fn *)scan_chunk,
                                  .columns = &in,
                                  .n_columns = 1,
                                  .out = out,
                                  .opts = &o->map};
    int rc = check_options(op, o);
    if (rc == 0 && (rc = fmi_array_inspect(in, &view)) == -EINVAL)
        rc = fmi_error(rc, "the input is not an array in the shared heap");
    if (rc == 0)
        rc = fmi_fold_prepare(fold, op, &view, o);
    if (rc == 0)
        rc = check_output(fold, out);
    return rc != 0 ? rc : fmi_plan_prepare(&plan, &request, 1);
}

static int scan_array(struct fmi_series *series, const struct fmi_fold *fold, fm_array *in,
                      fm_array *out, const fm_reduce_opts *o)
{
    struct fmi_blocks blocks;
    fm_map_opts first = o->map;
    first.progress = NULL;
    int rc = fmi_blocks_create(&blocks, series, fold, fm_array_len(in), FMI_BLOCKS_PREFIX, o);
    if (rc == 0)
        rc = fmi_blocks_fold(&blocks, &in, 1, &first);
    if (rc == 0)
        rc = fmi_blocks_combine(&blocks);
    if (rc == 0)
        rc = fmi_blocks_map(&blocks, scan_chunk, &in, 1, out, &o->map);
    fmi_blocks_destroy(&blocks);
    return rc;
}

int fm_pool_scan(fm_pool *pool, fm_array *in, int op, fm_array *out, const fm_reduce_opts *opts)
{
    struct fmi_series series;
    struct fmi_fold fold;
    fm_reduce_opts o;
    int rc = fmi_opts_copy(&o, sizeof o, opts);
    o.map.struct_size = sizeof o.map;
    if (rc == 0)
        rc = fmi_series_begin(&series, pool);
    if (rc != 0)
        return rc;
    rc = prepare_scan(&fold, in, op, out, &o);
    if (rc == 0)
        rc = scan_array(&series, &fold, in, out, &o);
    fmi_series_end(&series);
    return rc;
}
