/* SPDX-License-Identifier: MIT */
/* Checking a map's arguments and turning them into a plan; see prepare.h. */
#include "prepare.h"

#include "error.h"

#include <errno.h>
#include <string.h>

enum { UNDO_BYTES = 1 << 20, MAX_RETRIES = 1000 };

static int check_policy(const fm_map_opts *o)
{
    if (o->schedule < 0 || o->schedule > FM_SCHEDULE_GUIDED)
        return fmi_error(-EINVAL, "unknown schedule %d", o->schedule);
    if (o->on_error < 0 || o->on_error > FM_ON_ERROR_CONTINUE)
        return fmi_error(-EINVAL, "unknown on_error %d", o->on_error);
    if ((o->flags & ~FM_IN_PLACE) != 0)
        return fmi_error(-EINVAL, "unknown flags 0x%x", o->flags & ~FM_IN_PLACE);
    if ((o->guard & ~FM_GUARD_INPUTS) != 0)
        return fmi_error(-EINVAL, "unknown guard 0x%x", o->guard & ~FM_GUARD_INPUTS);
    if (o->guard != 0 && (o->flags & FM_IN_PLACE) != 0)
        return fmi_error(-EINVAL, "FM_GUARD_INPUTS with FM_IN_PLACE: its input is to be written");
    if (o->on_signal < 0 || o->on_signal > FM_SIGNAL_CANCEL)
        return fmi_error(-EINVAL, "unknown on_signal %d", o->on_signal);
    if (o->retries < 0 || o->retries > MAX_RETRIES)
        return fmi_error(-EINVAL, "retries is %d; it may be 0 .. %d", o->retries, MAX_RETRIES);
    if (o->chunk < FM_CHUNK_PYTHON)
        return fmi_error(-EINVAL, "chunk is %lld; it may be 0, positive, or FM_CHUNK_PYTHON",
                         (long long)o->chunk);
    if (o->item_timeout < 0 || !(o->timeout_factor >= 0) || o->max_failures < 0 ||
        o->progress_interval < 0)
        return fmi_error(-EINVAL,
                         "item_timeout, timeout_factor, max_failures and progress_interval "
                         "may not be negative");
    if (o->arg == NULL && o->arg_bytes > 0)
        return fmi_error(-EINVAL, "arg is NULL, arg_bytes is %zu", o->arg_bytes);
    return 0;
}

enum { OUTPUT = -1, STATUS = -2 };

/* What a column, the output or the status is called in messages. */
static const char *column_name(int k)
{
    static const char *const names[] = {"the input", "column 1", "column 2", "column 3"};
    return k == STATUS ? "status" : k < 0 ? "the output" : k < 4 ? names[k] : "a column";
}

static int inspect(const fm_array *a, int k, struct fmi_array_view *view)
{
    int rc = fmi_array_inspect(a, view);
    if (rc == -EINVAL)
        return fmi_error(-EINVAL,
                         "%s is not an array in the shared heap (fm_array_create, fm_array_from)",
                         column_name(k));
    if (rc == FM_ECORRUPT)
        return fmi_error(rc, "%s: its descriptor is destroyed or overwritten", column_name(k));
    return rc; /* 0, or why the file that it is mapped from cannot be reached */
}

/* One file may be mapped twice, at two places. */
int fmi_plan_overlap(const struct fmi_array_view *a, const struct fmi_array_view *b)
{
    if (!a->is_mapped || !b->is_mapped || a->device != b->device || a->inode != b->inode)
        return a->lo < b->hi && b->lo < a->hi;
    return a->lo_in_file < b->lo_in_file + (uint64_t)(b->hi - b->lo) &&
           b->lo_in_file < a->lo_in_file + (uint64_t)(a->hi - a->lo);
}

static int same_rows(const struct fmi_array_view *a, const struct fmi_array_view *b)
{
    return a->n_items == b->n_items && a->data == b->data && a->strides[0] == b->strides[0] &&
           a->row_bytes == b->row_bytes && a->row_is_packed && b->row_is_packed;
}

static int check_overlap(const struct fmi_array_view *in, const struct fmi_array_view *out, int k,
                         unsigned flags)
{
    if (!fmi_plan_overlap(in, out))
        return 0;
    if ((flags & FM_IN_PLACE) == 0)
        return fmi_error(-EINVAL, "the output overlaps %s; give FM_IN_PLACE if that is meant",
                         column_name(k));
    if (!same_rows(in, out))
        return fmi_error(
            -EINVAL, "FM_IN_PLACE: the output's rows are neither those of %s nor apart from them",
            column_name(k));
    return 0;
}

static int add_column(struct fmi_plan *plan, const struct fmi_request *q, int k,
                      const struct fmi_array_view *out)
{
    struct fmi_array_view view;
    int rc = inspect(q->columns[k], k, &view);
    if (rc != 0)
        return rc;
    if (view.n_items != plan->n_items && view.n_items != 1)
        return fmi_error(-EINVAL, "%s has %lld rows, others have %lld", column_name(k),
                         (long long)view.n_items, (long long)plan->n_items);
    plan->in[k] = (struct fmi_column){.data = view.data,
                                      .stride = view.n_items == plan->n_items ? view.strides[0] : 0,
                                      .array = q->columns[k]};
    plan->unpacked |= view.row_is_packed ? 0 : 1u << k;
    plan->item_bytes += view.row_bytes;
    plan->mapped |= view.is_mapped ? 1u << k : 0;
    return out == NULL ? 0 : check_overlap(&view, out, k, q->opts->flags);
}

static int count_items(struct fmi_plan *plan, const struct fmi_request *q)
{
    if (q->n_columns == 0) {
        plan->begin = q->begin;
        if (q->end < q->begin)
            return fmi_error(-EINVAL, "the range ends at %lld, before it begins at %lld",
                             (long long)q->end, (long long)q->begin);
        if (__builtin_sub_overflow(q->end, q->begin, &plan->n_items))
            return fmi_error(-EOVERFLOW, "the range has more than 2^63 - 1 numbers");
        return 0;
    }
    plan->n_items = 1;
    for (int k = 0; k < q->n_columns; k++) {
        struct fmi_array_view view;
        int rc = inspect(q->columns[k], k, &view);
        if (rc != 0)
            return rc;
        if (view.n_items != 1)
            plan->n_items = view.n_items;
    }
    return 0;
}

static int add_output(struct fmi_plan *plan, const struct fmi_request *q,
                      struct fmi_array_view *out)
{
    int rc = inspect(q->out, OUTPUT, out);
    if (rc != 0)
        return rc;
    if (out->is_readonly)
        return fmi_error(-EINVAL, "the output is a file mapped for reading only; map it with "
                                  "FM_NPY_MAP_WRITE, or make a file with fm_npy_create()");
    if (out->n_items != plan->n_items)
        return fmi_error(-EINVAL, "the output has %lld rows, the map %lld items",
                         (long long)out->n_items, (long long)plan->n_items);
    plan->out = (struct fmi_column){.data = out->data, .stride = out->strides[0], .array = q->out};
    plan->unpacked |= out->row_is_packed ? 0 : 1u << FM_MAX_COLUMNS;
    plan->item_bytes += out->row_bytes;
    plan->mapped |= out->is_mapped ? 1u << FM_MAX_COLUMNS : 0;
    return 0;
}

static int add_status(struct fmi_plan *plan, const struct fmi_request *q)
{
    struct fmi_array_view status;
    if (q->opts->status == NULL)
        return 0;
    int rc = inspect(q->opts->status, STATUS, &status);
    if (rc != 0)
        return rc;
    if (status.dtype != FM_U8 || status.ndim != 1 || status.n_items != plan->n_items)
        return fmi_error(-EINVAL, "status must be a u8 array of one axis with %lld elements",
                         (long long)plan->n_items);
    if (status.is_mapped)
        return fmi_error(-EINVAL, "status is a mapped file; it must lie in the shared heap");
    for (int k = OUTPUT; k < q->n_columns; k++) {
        const fm_array *other = k == OUTPUT ? q->out : q->columns[k];
        struct fmi_array_view view;
        if (other != NULL && fmi_array_inspect(other, &view) == 0 &&
            fmi_plan_overlap(&status, &view))
            return fmi_error(-EINVAL, "status overlaps %s", column_name(k));
    }
    plan->status = (uint8_t *)status.data;
    plan->status_stride = status.strides[0];
    return 0;
}

/* ranges of n / grain, rounded up, must fit their words; a chunk that the caller gave divides them. */
static void choose_grain(struct fmi_plan *plan, const fm_map_opts *o, int n_ranks)
{
    int64_t n = plan->n_items, chunk = o->chunk;
    int64_t least = n / FMI_RANGE_MAX_GRAINS + (n % FMI_RANGE_MAX_GRAINS != 0);
    if (chunk == FM_CHUNK_PYTHON)
        chunk = n / (4 * n_ranks) + (n % (4 * n_ranks) != 0);
    if (chunk > n)
        chunk = n;
    if (chunk == 0 && plan->schedule == FM_SCHEDULE_DYNAMIC)
        chunk = 1;
    plan->max_call = chunk;
    plan->grain = chunk == 0 ? least : (least / chunk + (least % chunk != 0)) * chunk;
    plan->n_grains = (uint32_t)(n / plan->grain + (n % plan->grain != 0));
    if (chunk == 0 && plan->schedule == FM_SCHEDULE_STATIC)
        plan->want = FMI_WANT_ALL;
    else if (chunk == 0 && plan->schedule == FM_SCHEDULE_AUTO)
        plan->want = FMI_WANT_AUTO;
    else
        plan->want = 1;
}

/* Each rank can undo one chunk, so chunks may not be longer than its buffer: 1 MiB, or one grain if that is more. */
static int choose_undo(struct fmi_plan *plan, const struct fmi_array_view *out, int n_ranks)
{
    int64_t row = (int64_t)out->row_bytes, grain_bytes, all;
    if (__builtin_mul_overflow(plan->grain, row, &grain_bytes))
        return fmi_error(-EOVERFLOW, "FM_IN_PLACE: a chunk is larger than 2^63 bytes");
    int64_t grains = grain_bytes > 0 && grain_bytes < UNDO_BYTES ? UNDO_BYTES / grain_bytes : 1;
    if (grains > plan->n_grains)
        grains = plan->n_grains;
    plan->undo_bytes = grains * (grain_bytes > 0 ? grain_bytes : 1);
    if (__builtin_mul_overflow(plan->undo_bytes, (int64_t)n_ranks, &all))
        return fmi_error(-EOVERFLOW, "FM_IN_PLACE: the undo copies are larger than 2^63 bytes");
    if (plan->want == FMI_WANT_AUTO || plan->want > (uint32_t)grains)
        plan->want = (uint32_t)grains;
    return 0;
}

static void set_policy(struct fmi_plan *plan, const fm_map_opts *o)
{
    plan->schedule = (uint8_t)(o->schedule == 0 ? FM_SCHEDULE_AUTO : o->schedule);
    plan->on_error = (uint8_t)(o->on_error == 0 ? FM_ON_ERROR_STOP : o->on_error);
    plan->limit_ns = o->item_timeout;
    plan->factor = o->timeout_factor;
    plan->max_failures = o->max_failures;
    plan->retries = (uint16_t)o->retries; /* at most MAX_RETRIES */
    plan->flags = (uint16_t)(o->flags | (o->guard != 0 ? FMI_PLAN_GUARDS : 0));
    plan->seed = o->seed;
}

static int check_request(const struct fmi_request *q)
{
    if (q->fn == NULL)
        return fmi_error(-EINVAL, "the function is NULL");
    if (q->n_columns < 0 || q->n_columns > FM_MAX_COLUMNS ||
        (q->n_columns > 0 && q->columns == NULL))
        return fmi_error(-EINVAL, "%d columns; there may be 1 .. %d", q->n_columns, FM_MAX_COLUMNS);
    if (q->opts->journal != NULL && !q->may_journal)
        return fmi_error(-EINVAL, "a journal is for maps that are waited for, outside functions");
    if (q->opts->journal == NULL && q->opts->journal_flags != 0)
        return fmi_error(-EINVAL, "journal_flags without a journal");
    return check_policy(q->opts);
}

int fmi_plan_prepare(struct fmi_plan *plan, const struct fmi_request *q, int n_ranks)
{
    struct fmi_array_view out; /* set if there is an output */
    int rc = check_request(q);
    if (rc != 0)
        return rc;
    memset(plan, 0, offsetof(struct fmi_plan, in)); /* columns that are not used are not read */
    plan->status = NULL;
    plan->undo = NULL;
    plan->journal = NULL;
    plan->kind = (uint16_t)q->kind;
    plan->n_in = (uint16_t)q->n_columns;
    set_policy(plan, q->opts);
    rc = count_items(plan, q);
    if (rc == 0 && q->out != NULL)
        rc = add_output(plan, q, &out);
    for (int k = 0; k < q->n_columns && rc == 0; k++)
        rc = add_column(plan, q, k, q->out == NULL ? NULL : &out);
    if (rc == 0)
        rc = add_status(plan, q);
    if (rc != 0 || plan->n_items == 0)
        return rc;
    plan->n_ranks = (uint16_t)n_ranks;
    choose_grain(plan, q->opts, n_ranks);
    return (q->opts->flags & FM_IN_PLACE) != 0 && q->out != NULL ? choose_undo(plan, &out, n_ranks)
                                                                 : 0;
}
