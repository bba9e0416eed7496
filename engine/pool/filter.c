/* SPDX-License-Identifier: MIT */
/*
 * The rows that a function wants to keep. A map as any asks the function, into an int for each item. Two maps over blocks of items follow: one counts
 * what each block keeps, and when the host has added that up, so that each block knows where its rows go, one copies them. Both may
 * run again for a block whose worker died: they write the same.
 */
#include "blocks.h"
#include "error.h"
#include "heap.h"
#include "opts.h"
#include "row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_OF_A_BLOCK = 1024 }; /* for its length */

struct filter_shm { /* written by the host before the maps */
    const fm_array *in, *out;
    const int *wanted;     /* by item: what the function said */
    const uint8_t *status; /* NULL, or by item: those that are not FM_ITEM_DONE are dropped */
    int64_t status_stride;
    int64_t n_items, length, n_blocks;
    int64_t *
        places; /* of each block: how many rows it keeps, then the row where they begin; n_blocks + 1 */
};

struct filter { /* private to its thread */
    struct fmi_series series;
    fm_map_opts opts;
    fm_array *in, *out;
    int64_t *n_kept;
    fm_array *wanted, *status, *places;
    struct filter_shm plan, *shm;
};

/* ---- in the workers ------------------------------------------------------------------------- */

static int is_kept(const struct filter_shm *f, int64_t item)
{
    return f->wanted[item] != 0 &&
           (f->status == NULL || f->status[item * f->status_stride] == FM_ITEM_DONE);
}

static int64_t end_of(const struct filter_shm *f, int64_t block)
{
    int64_t begin = block * f->length;
    return f->n_items - begin < f->length ? f->n_items : begin + f->length;
}

static int count_block(const void *number, void *result, void *arg)
{
    const struct filter_shm *f = arg;
    int64_t block = *(const int64_t *)number, end = end_of(f, block), n = 0;
    for (int64_t item = block * f->length; item < end; item++)
        n += is_kept(f, item);
    *(int64_t *)result = n;
    return 0;
}

/* `packed` has room for a row, if neither array has its rows packed. */
static void copy_row(const struct fmi_array_view *in, int64_t item,
                     const struct fmi_array_view *out, int64_t row, char *packed)
{
    if (out->row_is_packed) {
        fmi_row_gather(in, item, out->data + row * out->strides[0]);
    } else if (in->row_is_packed) {
        fmi_row_scatter(out, row, in->data + item * in->strides[0]);
    } else {
        fmi_row_gather(in, item, packed);
        fmi_row_scatter(out, row, packed);
    }
}

static int copy_block(const void *number, void *result, void *arg)
{
    const struct filter_shm *f = arg;
    int64_t block = *(const int64_t *)number, end = end_of(f, block);
    int64_t row = f->places[block], last = f->places[block + 1];
    struct fmi_array_view in, out;
    char *packed = NULL;
    int rc = fmi_array_inspect(f->in, &in);
    (void)result;
    if (rc == 0)
        rc = fmi_array_inspect(f->out, &out);
    if (rc != 0)
        return rc;
    if (!in.row_is_packed && !out.row_is_packed && (packed = malloc(in.row_bytes + 1)) == NULL)
        return -ENOMEM;
    for (int64_t item = block * f->length; item < end && row < last; item++)
        if (is_kept(f, item))
            copy_row(&in, item, &out, row++, packed);
    free(packed);
    return 0;
}

/* ---- the host ------------------------------------------------------------------------------- */

static int check_output(const struct filter *f, const struct fmi_array_view *in)
{
    struct fmi_array_view out;
    if (f->out == NULL)
        return 0;
    int rc = fmi_array_inspect(f->out, &out);
    if (rc != 0)
        return rc == -EINVAL ? fmi_error(rc, "the output is not an array in the shared heap") : rc;
    if (out.dtype != in->dtype || out.ndim != in->ndim ||
        memcmp(out.shape + 1, in->shape + 1, (size_t)(in->ndim - 1) * sizeof in->shape[0]) != 0)
        return fmi_error(-EINVAL, "the output's dtype or row shape is not that of the input");
    if (out.is_readonly)
        return fmi_error(-EINVAL, "the output is a file mapped for reading only");
    if (fmi_plan_overlap(in, &out))
        return fmi_error(-EINVAL, "the output overlaps the input");
    return 0;
}

/* All but what the map of `keep` checks itself. Fills the plan. */
static int prepare_filter(struct filter *f)
{
    struct fmi_array_view in;
    if (f->n_kept == NULL)
        return fmi_error(-EINVAL, "n_kept is NULL");
    if ((f->opts.flags & FM_IN_PLACE) != 0)
        return fmi_error(-EINVAL, "FM_IN_PLACE means nothing to a filter");
    int rc = fmi_array_inspect(f->in, &in);
    if (rc != 0)
        return rc == -EINVAL ? fmi_error(rc, "the input is not an array in the shared heap") : rc;
    rc = check_output(f, &in);
    f->plan.in = f->in;
    f->plan.out = f->out;
    f->plan.n_items = in.n_items;
    f->plan.length = fmi_blocks_length(in.n_items, BYTES_OF_A_BLOCK);
    f->plan.n_blocks = in.n_items / f->plan.length + (in.n_items % f->plan.length != 0);
    return rc;
}

static int make_arrays(struct filter *f)
{
    int64_t n = f->plan.n_items, n_places = f->plan.n_blocks + 1;
    void *p = NULL;
    int rc = fm_array_create(&f->wanted, FM_I32, 1, &n, NULL);
    if (rc == 0)
        rc = fm_array_zeros(&f->places, FM_I64, 1, &n_places);
    if (rc == 0 && f->opts.on_error == FM_ON_ERROR_CONTINUE && f->opts.status == NULL)
        rc = fm_array_create(&f->status, FM_U8, 1, &n, NULL);
    if (f->status != NULL)
        f->opts.status = f->status;
    if (rc == 0)
        rc = fmi_heap_alloc(&p, sizeof *f->shm, 0);
    f->shm = p;
    f->plan.wanted = fm_array_data(f->wanted);
    f->plan.places = fm_array_data(f->places);
    return rc;
}

static void free_arrays(struct filter *f)
{
    (void)fmi_heap_free(f->shm);
    fm_array_destroy(f->wanted);
    fm_array_destroy(f->status);
    fm_array_destroy(f->places);
}

static int ask(struct filter *f, fm_item_fn *keep)
{
    struct fmi_request request = {.kind = FMI_FN_ITEM,
                                  .fn = (fmi_any_fn *)keep,
                                  .columns = &f->in,
                                  .n_columns = 1,
                                  .out = f->wanted,
                                  .opts = &f->opts};
    int rc = fmi_series_map(&f->series, &request);
    if (rc != 0 && f->opts.status != NULL) { /* some have no answer */
        f->plan.status = fm_array_data(f->opts.status);
        f->plan.status_stride = fm_array_strides(f->opts.status)[0];
    }
    return rc;
}

/* A map over blocks. What fails in it fails for the first item of a block. */
static int map_blocks(struct filter *f, fm_item_fn *fn, fm_array *out)
{
    fm_map_opts opts = {.struct_size = sizeof opts,
                        .schedule = f->opts.schedule,
                        .retries = f->opts.retries,
                        .on_signal = f->opts.on_signal,
                        .arg = f->shm};
    struct fmi_request request = {.kind = FMI_FN_ITEM,
                                  .fn = (fmi_any_fn *)fn,
                                  .end = f->plan.n_blocks,
                                  .out = out,
                                  .opts = &opts};
    memcpy(f->shm, &f->plan, sizeof f->plan);
    int rc = fmi_series_map(&f->series, &request);
    for (int64_t i = 0; i < f->series.report.n && fmi_blocks_is_code_of_items(rc); i++)
        f->series.report.list[i].item *= f->plan.length;
    return rc;
}

/* Counts become places. */
static int add_up(struct filter *f, int64_t *total)
{
    int64_t place = 0;
    for (int64_t block = 0; block < f->plan.n_blocks; block++) {
        int64_t n = f->plan.places[block];
        if (n < 0 || n > f->plan.length)
            return FM_ECORRUPT;
        f->plan.places[block] = place;
        place += n;
    }
    f->plan.places[f->plan.n_blocks] = place;
    *total = place;
    return 0;
}

static int copy_kept(struct filter *f)
{
    FM_AUTO(fm_array) counts = NULL;
    int64_t total = 0;
    int rc = fm_array_view(&counts, f->places, &(fm_slice){0, f->plan.n_blocks, 1});
    if (rc == 0)
        rc = map_blocks(f, count_block, counts);
    if (rc == 0)
        rc = add_up(f, &total);
    if (rc == 0 && f->out != NULL && total > fm_array_len(f->out)) {
        *f->n_kept = total;
        return fmi_error(-ENOBUFS, "the output has %lld rows, and %lld are kept",
                         (long long)fm_array_len(f->out), (long long)total);
    }
    if (rc == 0 && f->out != NULL)
        rc = map_blocks(f, copy_block, NULL);
    if (rc == 0)
        *f->n_kept = total;
    return rc;
}

static int run_filter(struct filter *f, fm_item_fn *keep)
{
    int rc = prepare_filter(f);
    if (rc != 0)
        return rc;
    rc = make_arrays(f);
    if (rc == 0)
        rc = ask(f, keep);
    if (fmi_blocks_may_go_on(&f->series, rc, &f->opts)) {
        int later = copy_kept(f);
        rc = later != 0 ? later : rc;
    }
    free_arrays(f);
    return rc;
}

int fm_pool_filter(fm_pool *pool, fm_item_fn *keep, fm_array *in, fm_array *out, int64_t *n_kept,
                   const fm_map_opts *opts)
{
    struct filter f = {.in = in, .out = out, .n_kept = n_kept};
    int rc = fmi_opts_copy(&f.opts, sizeof f.opts, opts);
    f.opts.struct_size = sizeof f.opts;
    if (n_kept != NULL)
        *n_kept = 0;
    if (rc == 0)
        rc = fmi_series_begin(&f.series, pool);
    if (rc != 0)
        return rc;
    rc = run_filter(&f, keep);
    fmi_series_end(&f.series);
    return rc;
}
