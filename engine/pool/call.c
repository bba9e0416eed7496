/* SPDX-License-Identifier: MIT */
/* Calling the user's function: items one by one, or chunks in pieces; limits, retries, early ends. */
#include "clock.h"
#include "fault.h"
#include "process.h"
#include "row.h"
#include "run.h"

#include <errno.h>

enum {
    BLOCK = 256,            /* items between two looks at `stop` */
    MIN_FACTOR_NS = 1000000 /* a limit derived from the median is never shorter */
};

#define MAX_FACTOR_NS 9e18 /* beyond, a limit is none */

static _Thread_local struct fmi_runner *current;
static struct fmi_runner *serving; /* of a worker; for threads that its function started */

struct fmi_runner *fmi_runner_current(void)
{
    return current != NULL ? current : serving;
}

void fmi_runner_enter(struct fmi_runner *r)
{
    r->outer = current;
    current = r;
    if (r->worker == NULL)
        return;
    serving = r;
    errno = 0; /* for the crash handler (crash.c) */
}

/* What a worker has printed is out before its work counts as done: a pool may be destroyed right after the map. */
void fmi_runner_leave(const struct fmi_runner *r)
{
    current = r->outer;
    if (r->worker == NULL)
        return;
    serving = NULL;
    fmi_sys_flush_output();
}

int fm_worker_rank(void)
{
    if (fmi_worker_self() != NULL)
        return fmi_worker_rank();
    return current != NULL ? current->rank : -1; /* a caller that works */
}

int fm_cancelled(void)
{
    for (const struct fmi_runner *r = fmi_runner_current(); r != NULL; r = r->outer)
        if (r->task != NULL ? fmi_task_is_unwanted(r->task) : atomic_load(&r->job->stop) <= r->item)
            return 1;
    return 0;
}

static int64_t stop_of(const struct fmi_runner *r)
{
    return atomic_load_explicit(&r->job->stop,
                                memory_order_relaxed); /* moves down only; late is harmless */
}

/* ---- limits --------------------------------------------------------------------------------- */

static int has_limit(const struct fmi_runner *r)
{
    return r->plan->limit_ns > 0 || r->plan->factor > 0;
}

/* Of a call with `count` items; 0: none yet. */
static int64_t limit_of(const struct fmi_runner *r, int64_t count)
{
    int64_t limit_ns = r->plan->limit_ns;
    int64_t median_ns =
        atomic_load_explicit(&r->job->median_ns, memory_order_relaxed); /* an estimate */
    if (r->plan->factor > 0 && median_ns > 0) {
        double by_median = r->plan->factor * (double)median_ns * (double)count;
        int64_t limit = by_median < MIN_FACTOR_NS   ? MIN_FACTOR_NS
                        : by_median > MAX_FACTOR_NS ? INT64_MAX
                                                    : (int64_t)by_median;
        limit_ns = limit_ns == 0 || limit < limit_ns ? limit : limit_ns;
    }
    return limit_ns;
}

/* A frugal running median (Ma, Muthukrishnan, Sandler 2013): one step up or down for each item seen. */
static void note_time(struct fmi_runner *r, uint64_t ticks, int64_t count)
{
    if (r->plan->factor <= 0)
        return;
    int64_t ns = (int64_t)((double)ticks / fmi_ticks_per_ns()) / count;
    int64_t median = atomic_load_explicit(&r->job->median_ns, memory_order_relaxed);
    if (median < 0 || median > INT64_MAX / 2)
        median = 0; /* overwritten */
    int64_t step = median / 16 + 1;
    int64_t better = median == 0   ? ns + 1
                     : ns > median ? median + step
                     : ns < median ? median - step
                                   : median;
    atomic_store_explicit(&r->job->median_ns, better > 0 ? better : 1, memory_order_relaxed);
}

/* ---- item functions ------------------------------------------------------------------------- */

static const void *row_of(struct fmi_runner *r, int k, int64_t item, int64_t *number)
{
    const struct fmi_plan *plan = r->plan;
    if (plan->n_in == 0) {
        *number = plan->begin + item;
        return number;
    }
    const struct fmi_column *column = &plan->in[k];
    if ((plan->unpacked >> k & 1) == 0)
        return column->data + item * column->stride;
    char *packed = fmi_runner_packed_row(r, k);
    fmi_row_gather(&r->views[k], column->stride == 0 ? 0 : item, packed);
    return packed;
}

static int call_item(struct fmi_runner *r, int64_t item)
{
    const struct fmi_plan *plan = r->plan;
    const void *rows[FM_MAX_COLUMNS];
    int64_t number;
    int out_has_gaps = plan->unpacked >> FM_MAX_COLUMNS & 1;
    char *result = NULL;
    if (out_has_gaps) {
        result = fmi_runner_packed_row(r, plan->n_in);
        fmi_row_gather(&r->views[FM_MAX_COLUMNS], item, result); /* it may be in place */
    } else if (plan->out.data != NULL) {
        result = plan->out.data + item * plan->out.stride;
    }
    int n = plan->n_in == 0 ? 1 : plan->n_in;
    for (int k = 0; k < n; k++)
        rows[k] = row_of(r, k, item, &number);
    int code = plan->kind == FMI_FN_STAR   ? ((fm_star_fn *)r->fn)(rows, result, plan->arg)
               : plan->kind == FMI_FN_TASK ? ((fm_task_fn *)r->fn)(plan->arg, result)
                                           : ((fm_item_fn *)r->fn)(rows[0], result, plan->arg);
    if (code == 0 && out_has_gaps)
        fmi_row_scatter(&r->views[FM_MAX_COLUMNS], item, result);
    return code;
}

static int call_item_limited(struct fmi_runner *r, int64_t item)
{
    int64_t limit_ns = r->worker == NULL ? 0 : limit_of(r, 1);
    if (limit_ns > 0)
        fmi_call_begin(r->worker, limit_ns);
    uint64_t begin = fmi_ticks();
    int code = call_item(r, item);
    note_time(r, fmi_ticks() - begin, 1);
    if (limit_ns > 0)
        fmi_call_end(r->worker);
    return code;
}

/* The item failed by its return value: again, or on to the next. Returns the item to go on with. */
static int64_t settle_item(struct fmi_runner *r, int64_t item, int code, int64_t begin)
{
    fmi_undo_restore(r, begin, item, item + 1);
    if (fmi_blame_return(r, item, code) == FMI_VERDICT_AGAIN)
        return item;
    atomic_store_explicit(&r->progress->next, fmi_next_word(item + 1), memory_order_release);
    return item + 1;
}

static int64_t run_items_with_care(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    int is_limited = has_limit(r);
    while (item < end && item < stop_of(r)) {
        r->item = item;
        int code = is_limited ? call_item_limited(r, item) : call_item(r, item);
        FMI_FAULT("call.item");
        if (code != 0) {
            item = settle_item(r, item, code, begin);
            continue;
        }
        atomic_store_explicit(&r->progress->next, fmi_next_word(++item), memory_order_release);
    }
    return item;
}

/*
 * The loop that 10^8 trivial items go through, until one fails. `is_range` is a constant where it is inlined. The function may write into
 * the number that it is given.
 */
static inline __attribute__((always_inline)) int64_t
run_block(const struct fmi_runner *r, int64_t item, int64_t end, int is_range, int *code)
{
    const struct fmi_plan *plan = r->plan;
    fm_item_fn *fn = (fm_item_fn *)r->fn;
    void *arg = plan->arg;
    const char *row = is_range ? NULL : plan->in[0].data + item * plan->in[0].stride;
    char *result = plan->out.data == NULL ? NULL : plan->out.data + item * plan->out.stride;
    uint64_t next = fmi_next_word(item);
    for (; item < end; item++) {
        const int64_t number = plan->begin + item;
        *code = fn(is_range ? (const void *)&number : row, result, arg);
        FMI_FAULT("call.item");
        if (*code != 0)
            break;
        /* release: a successor that reads `next` finds the results of the items before it */
        next += FMI_NEXT_FACTOR;
        atomic_store_explicit(&r->progress->next, next, memory_order_release);
        row = is_range ? NULL : row + plan->in[0].stride;
        result = result == NULL ? NULL : result + plan->out.stride;
    }
    return item;
}

/* One packed column or a range, no limit. */
static int64_t run_items_plainly(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    int is_range = r->plan->n_in == 0;
    while (item < end && item < stop_of(r)) {
        int64_t block_end = end - item > BLOCK ? item + BLOCK : end;
        int code = 0;
        r->item = item;
        item = is_range ? run_block(r, item, block_end, 1, &code)
                        : run_block(r, item, block_end, 0, &code);
        if (code != 0)
            item = settle_item(r, item, code, begin);
    }
    return item;
}

/* ---- chunk functions ------------------------------------------------------------------------ */

static void fill_chunk(const struct fmi_runner *r, int64_t item, int64_t count, fm_chunk *chunk)
{
    const struct fmi_plan *plan = r->plan;
    chunk->begin = plan->begin + item;
    chunk->count = count;
    chunk->n_in = plan->n_in;
    chunk->in[0] = NULL;
    for (int k = 0; k < plan->n_in; k++) {
        const struct fmi_column *column = &plan->in[k];
        chunk->in[k] = column->data + item * column->stride;
        chunk->in_stride[k] = column->stride;
        chunk->in_array[k] = column->array;
    }
    chunk->out = plan->out.data == NULL ? NULL : plan->out.data + item * plan->out.stride;
    chunk->out_stride = plan->out.stride;
    chunk->out_array = plan->out.array;
}

static int call_chunk(struct fmi_runner *r, int64_t item, int64_t count)
{
    fm_chunk chunk;
    fill_chunk(r, item, count, &chunk);
    r->item = item;
    if (!has_limit(r))
        return ((fm_chunk_fn *)r->fn)(&chunk, r->plan->arg);
    int64_t limit_ns = r->worker == NULL ? 0 : limit_of(r, count);
    if (limit_ns > 0)
        fmi_call_begin(r->worker, limit_ns);
    uint64_t begin = fmi_ticks();
    int code = ((fm_chunk_fn *)r->fn)(&chunk, r->plan->arg);
    note_time(r, fmi_ticks() - begin, count);
    if (limit_ns > 0)
        fmi_call_end(r->worker);
    return code;
}

/* A piece of more than one item failed by its return value: smaller ones find out which. */
static void cut_piece(struct fmi_runner *r, int64_t count)
{
    int64_t piece = count < FMI_PIECE_CUT ? 1 : count / FMI_PIECE_CUT;
    atomic_store_explicit(&r->progress->piece, piece, memory_order_release);
    fmi_count(&r->tally->n_reruns, 1);
}

static int64_t run_pieces(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    struct fmi_progress_shm *p = r->progress;
    while (item < end) {
        int64_t stop = stop_of(r), count = (stop < end ? stop : end) - item;
        int64_t piece = atomic_load_explicit(&p->piece, memory_order_relaxed); /* own */
        if (count <= 0)
            break;
        if (r->plan->max_call > 0 && count > r->plan->max_call)
            count = r->plan->max_call;
        if (piece > 0 && count > piece)
            count = piece;
        int code = call_chunk(r, item, count);
        FMI_FAULT("call.chunk");
        if (code != 0 && count > 1) {
            fmi_undo_restore(r, begin, item, item + count);
            cut_piece(r, count);
        } else if (code != 0) {
            item = settle_item(r, item, code, begin);
        } else {
            item += count;
            atomic_store_explicit(&p->next, fmi_next_word(item), memory_order_release);
            if (piece > 0 && piece < INT64_MAX / 2)
                atomic_store_explicit(&p->piece, piece * 2, memory_order_release);
        }
    }
    return item;
}

int64_t fmi_runner_call(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    int is_plain = r->plan->kind == FMI_FN_ITEM && r->plan->n_in <= 1 && r->plan->unpacked == 0 &&
                   !has_limit(r);
    fmi_runner_enter(r);
    if (r->plan->kind == FMI_FN_CHUNK)
        item = run_pieces(r, begin, item, end);
    else if (is_plain)
        item = run_items_plainly(r, begin, item, end);
    else
        item = run_items_with_care(r, begin, item, end);
    fmi_runner_leave(r);
    return item;
}
