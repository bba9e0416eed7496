/* SPDX-License-Identifier: MIT */
/* Taking part in a job: claim, run, steal, until nothing is left; and going on where a dead process stopped. */
#include "run.h"

#include "alone.h"
#include "clock.h"
#include "fault.h"
#include "journal.h"

#include <errno.h>
#include <stdlib.h>

enum {
    TARGET_NS =
        40000, /* how long a chunk should last: long against a claim (10 ns), short against a job */
    MAX_WANT = 1 << 21,
    ALL_FINISHED = 3
};

/* ---- set-up --------------------------------------------------------------------------------- */

enum { PACKED_ALIGNMENT = 64 }; /* of each row, as of an array in the heap */

/* The packed rows of the inputs follow each other, that of the result comes last. */
static size_t packed_offset(const struct fmi_runner *r, int k)
{
    size_t offset = 0;
    for (int i = 0; i < k; i++)
        offset += r->views[i].row_bytes / PACKED_ALIGNMENT * PACKED_ALIGNMENT + PACKED_ALIGNMENT;
    return offset;
}

char *fmi_runner_packed_row(const struct fmi_runner *r, int k)
{
    return r->packed + packed_offset(r, k);
}

static size_t packed_bytes(const struct fmi_runner *r)
{
    size_t result = r->views[FM_MAX_COLUMNS].row_bytes;
    return packed_offset(r, r->plan->n_in) + result / PACKED_ALIGNMENT * PACKED_ALIGNMENT +
           PACKED_ALIGNMENT;
}

/* Item functions see packed rows, and undo copies them: both need to know how the rows lie. */
static int prepare_rows(struct fmi_runner *r)
{
    const struct fmi_plan *plan = r->plan;
    int needs_packing = plan->unpacked != 0 && plan->kind != FMI_FN_CHUNK;
    if (!needs_packing && plan->undo == NULL)
        return 0;
    r->views = calloc(FM_MAX_COLUMNS + 1, sizeof *r->views);
    if (r->views == NULL)
        return -ENOMEM;
    int rc =
        plan->out.array == NULL ? 0 : fmi_array_inspect(plan->out.array, &r->views[FM_MAX_COLUMNS]);
    for (int k = 0; k < plan->n_in && rc == 0; k++)
        rc = fmi_array_inspect(plan->in[k].array, &r->views[k]);
    if (rc != 0 || !needs_packing)
        return rc;
    r->packed = aligned_alloc(PACKED_ALIGNMENT, packed_bytes(r));
    return r->packed == NULL ? -ENOMEM : 0;
}

static int reach_journal(struct fmi_runner *r)
{
    struct fmi_array_view view;
    int rc = fmi_array_inspect(r->plan->journal, &view);
    if (rc == 0 && (view.is_readonly || view.n_items < (int64_t)FMI_JOURNAL_HEAD_BYTES ||
                    view.n_items - (int64_t)FMI_JOURNAL_HEAD_BYTES < r->plan->n_items ||
                    r->plan->n_grains > FMI_JOURNAL_CELLS))
        rc = FM_ECORRUPT; /* plan and descriptor lie where functions may have written */
    r->journal = rc == 0 ? (struct fmi_journal_shm *)(void *)view.data : NULL;
    return rc;
}

/* A file that was mapped after this process was forked is not there yet. */
static int reach_mapped(struct fmi_runner *r)
{
    const struct fmi_plan *plan = r->plan;
    struct fmi_array_view view;
    int rc = 0;
    if (plan->mapped >> FM_MAX_COLUMNS & 1)
        rc = fmi_array_inspect(plan->out.array, &view);
    for (int k = 0; k < plan->n_in && rc == 0; k++)
        if (plan->mapped >> k & 1)
            rc = fmi_array_inspect(plan->in[k].array, &view);
    if (rc == 0 && (plan->mapped & FMI_MAPPED_JOURNAL) != 0)
        rc = reach_journal(r);
    return rc;
}

/* Descriptions live as long as the pool, and only its workers need them. */
int fmi_runner_find(const struct fmi_function_shm *described, fmi_any_fn **fn)
{
    static const struct fmi_function_shm *last; /* private to the worker */
    static union {                              /* ISO C has no cast between the two */
        void *object;
        fmi_any_fn *function;
    } found;
    int rc = last == described ? 0 : fmi_function_resolve(described, &found.object);
    last = rc == 0 ? described : NULL;
    *fn = found.function;
    return rc;
}

static int find_function(struct fmi_runner *r)
{
    r->fn = r->plan->fn;
    return r->fn != NULL ? 0 : fmi_runner_find(r->plan->described, &r->fn);
}

int fmi_runner_init(struct fmi_runner *r)
{
    r->want = 1;
    r->attempted = -1;
    r->target_ticks = fmi_ticks_of_ns(TARGET_NS);
    int rc = find_function(r);
    if (rc == 0 && r->plan->mapped != 0)
        rc = reach_mapped(r);
    return rc == 0 ? prepare_rows(r) : rc;
}

void fmi_runner_fini(struct fmi_runner *r)
{
    free(r->packed);
    free(r->views);
}

/* ---- chunks --------------------------------------------------------------------------------- */

static int64_t first_item(const struct fmi_runner *r, uint32_t grain)
{
    return (int64_t)grain * r->plan->grain;
}

/* The last grain may be short, and its full length past the last item may be past 2^63. */
static int64_t end_item(const struct fmi_runner *r, uint32_t grain)
{
    return grain < r->plan->n_grains ? (int64_t)grain * r->plan->grain : r->plan->n_items;
}

static int is_stopped_at(const struct fmi_runner *r, int64_t item)
{
    return atomic_load_explicit(&r->job->stop, memory_order_relaxed) <= item; /* late is harmless */
}

/* How many grains the undo copy has room for. */
static uint32_t undoable_grains(const struct fmi_runner *r)
{
    if (r->plan->undo == NULL)
        return FMI_RANGE_MAX_GRAINS;
    int64_t grain_bytes = r->plan->grain * (int64_t)r->views[FM_MAX_COLUMNS].row_bytes;
    int64_t grains = grain_bytes > 0 ? r->plan->undo_bytes / grain_bytes : r->plan->n_grains;
    return (uint32_t)grains; /* at most n_grains: choose_undo */
}

/* Grains to claim next. Automatic: as long as TARGET_NS lasts, but no more than a quarter of what is left. */
static uint32_t next_want(const struct fmi_runner *r)
{
    uint32_t want = r->plan->want;
    if (r->plan->schedule == FM_SCHEDULE_GUIDED) {
        uint32_t share = fmi_range_left(&r->ranges, r->rank) / 2, most = undoable_grains(r);
        if (share > most)
            share = most;
        return share > want ? share : want;
    }
    if (want != FMI_WANT_AUTO)
        return want;
    uint32_t most = fmi_range_left(&r->ranges, r->rank) / 4;
    want = r->want < most ? r->want : most;
    return want > 0 ? want : 1;
}

static void adapt_want(struct fmi_runner *r, uint32_t grains, uint64_t ticks)
{
    if (ticks * 2 < r->target_ticks && grains >= r->want && r->want < MAX_WANT)
        r->want *= 2;
    else if (ticks > r->target_ticks * 2)
        r->want = (uint32_t)((double)grains * (double)r->target_ticks / (double)ticks) + 1;
}

static void mark_status(const struct fmi_runner *r, int64_t begin, int64_t end, uint8_t state)
{
    uint8_t *status = r->plan->status;
    if (status == NULL)
        return;
    for (int64_t i = begin; i < end; i++)
        if (status[i * r->plan->status_stride] == 0)
            status[i * r->plan->status_stride] = state;
}

/* Before F, so that whoever knows that all is finished finds all counted. */
static void count_chunk(struct fmi_runner *r, uint64_t n_items)
{
    struct fmi_progress_shm *p = r->progress;
    fmi_count_own(&p->n_items, n_items);
    fmi_count_own(&p->n_chunks, 1);
    fmi_count_own(&p->n_bytes, n_items * r->plan->item_bytes);
}

/*
 * Not if the map has been stopped short of the cell's end: `stop` never rises again, so if it is beyond the end now, nothing of the cell was
 * left out, by this process or by the one before it.
 */
static void end_cell(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    if (item == end && !is_stopped_at(r, end - 1))
        fmi_journal_end(r->journal, (uint32_t)(begin / r->plan->grain), begin, end);
}

/* Items [begin, item) ended in one state or another, those from `item` on are not wanted. */
static void finish_chunk(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    struct fmi_progress_shm *p = r->progress;
    mark_status(r, begin, item, FM_ITEM_DONE);
    mark_status(r, item, end, FM_ITEM_CANCELLED);
    uint64_t n_done = (uint64_t)atomic_load_explicit(&p->n_done, memory_order_relaxed); /* own */
    atomic_store_explicit(&p->n_done, (int64_t)(n_done + (uint64_t)(item - begin)),
                          memory_order_relaxed);
    if (item > begin)
        count_chunk(r, (uint64_t)(item - begin));
    if (r->journal != NULL)
        end_cell(r, begin, item, end);
    atomic_store_explicit(&p->next, fmi_next_word(end),
                          memory_order_relaxed); /* before F, which is released */
    if (atomic_load_explicit(&p->piece, memory_order_relaxed) != 0)
        atomic_store_explicit(&p->piece, 0, memory_order_relaxed);
    if (r->plan->undo != NULL)
        atomic_store(&p->undo_of, -1);
    fmi_range_finish(&r->ranges, r->rank);
    if (r->caller != NULL && r->caller->between != NULL)
        r->caller->between(r->caller->arg);
}

/* From here on a death is blamed on an item of the chunk; and the warden sees that this process came so far. */
static void begin_calling(struct fmi_runner *r)
{
    atomic_store_explicit(&r->progress->calling, r->starts, memory_order_release);
    if (r->worker != NULL)
        atomic_store_explicit(&r->worker->called, r->starts, memory_order_release);
}

/* A cell that an earlier run of the map has ended. It counts as done, not as work. */
static void skip_cell(struct fmi_runner *r, int64_t begin, int64_t end)
{
    struct fmi_progress_shm *p = r->progress;
    int64_t n_done = atomic_load_explicit(&p->n_done, memory_order_relaxed); /* own */
    atomic_store_explicit(&p->n_done, n_done + end - begin, memory_order_relaxed);
    fmi_range_finish(&r->ranges, r->rank);
    if (r->caller != NULL && r->caller->between != NULL)
        r->caller->between(r->caller->arg);
}

static int is_ended_cell(const struct fmi_runner *r, const struct fmi_span *span)
{
    return r->journal != NULL && span->hi - span->lo == 1 &&
           fmi_journal_bit(r->journal->done, span->lo);
}

/* Items [item, end) of the chunk; of a cell some of whose items are tried again, these. Returns the first not run. */
static int64_t call_items(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    if (r->journal == NULL)
        return fmi_runner_call(r, begin, item, end);
    uint32_t cell = (uint32_t)(begin / r->plan->grain);
    int64_t stretch_end;
    while ((item = fmi_journal_next(r->journal, cell, item, end, &stretch_end)) < end) {
        atomic_store_explicit(&r->progress->next, fmi_next_word(item), memory_order_release);
        item = fmi_runner_call(r, begin, item, stretch_end);
        if (item < stretch_end)
            break; /* the map was stopped */
    }
    return item;
}

/* The item that the dead process was in is to blame; between two stretches it was in none. */
static int64_t blame_death(struct fmi_runner *r, int64_t begin, int64_t next, int64_t end)
{
    int64_t stretch_end = end, item = next;
    if (r->journal != NULL)
        item = fmi_journal_next(r->journal, (uint32_t)(begin / r->plan->grain), next, end,
                                &stretch_end);
    return item == next ? fmi_blame_death(r, next, stretch_end) : item;
}

static int is_called_off(void *runner)
{
    const struct fmi_runner *r = runner;
    if (r->caller != NULL && r->caller->between != NULL)
        r->caller->between(r->caller->arg);
    return is_stopped_at(r, 0);
}

/* b2 of alone.h: the chunk is claimed, and nothing of it runs yet. */
static void give_way(struct fmi_runner *r)
{
    if (fmi_alone_is_asked(r->view))
        fmi_alone_give_way(r->view, r->rank, &r->ranges.lines[r->rank].rest, is_called_off, r);
}

/* What was killed for want of memory is run again alone: an item, or a piece of a chunk. Returns the first item not run. */
static int64_t run_alone(struct fmi_runner *r, int64_t begin, int64_t item, int64_t end)
{
    int64_t piece = r->plan->kind == FMI_FN_CHUNK ? atomic_load(&r->progress->piece) : 1;
    int64_t lone_end = piece > 0 && piece < end - item ? item + piece : end;
    item = call_items(r, begin, item, lone_end);
    fmi_alone_end(r->view, r->rank);
    return item;
}

/* How long the attempt took that was killed: with those before it, if there were any. */
static int64_t attempt_ns(const struct fmi_runner *r)
{
    uint64_t begin = atomic_load_explicit(&r->progress->begin_ticks, memory_order_relaxed);
    return (int64_t)((double)(fmi_ticks() - begin) / fmi_ticks_per_ns());
}

static void run_fresh_chunk(struct fmi_runner *r, const struct fmi_span *span)
{
    struct fmi_progress_shm *p = r->progress;
    int64_t begin = first_item(r, span->lo), end = end_item(r, span->hi);
    int is_timed = r->plan->want == FMI_WANT_AUTO || r->plan->limit_ns > 0 || r->journal != NULL;
    if (is_stopped_at(r, begin)) {
        finish_chunk(r, begin, begin, end);
        return;
    }
    if (is_ended_cell(r, span)) {
        skip_cell(r, begin, end);
        return;
    }
    give_way(r);
    uint64_t start = is_timed ? fmi_ticks() : 0;
    if (is_timed)
        atomic_store_explicit(&p->begin_ticks, start, memory_order_relaxed); /* for records */
    atomic_store_explicit(&p->next, fmi_next_word(begin), memory_order_relaxed);
    begin_calling(r); /* before the rows are saved: a crash in that is to have an end, too */
    if (r->plan->undo != NULL)
        fmi_undo_save(r, begin, end);
    int64_t item = call_items(r, begin, begin, end);
    if (is_timed)
        adapt_want(r, span->hi - span->lo, fmi_ticks() - start);
    finish_chunk(r, begin, item, end);
    fmi_recycle_count(r->recycle);
}

static void run_lost_chunk(struct fmi_runner *r, const struct fmi_span *span)
{
    int64_t begin = first_item(r, span->lo), end = end_item(r, span->hi);
    int64_t next = fmi_next_item(atomic_load(&r->progress->next));
    if (is_ended_cell(r, span)) {
        fmi_alone_end(r->view, r->rank); /* the turn of the dead */
        skip_cell(r, begin, end);
        return;
    }
    if (next < begin || next > end)
        next = begin; /* invariant (3) of job.h */
    fmi_undo_restore(r, begin, next,
                     end); /* the item that is to blame too, so before it is passed over */
    next = blame_death(r, begin, next, end);
    /* The predecessor may have died before it had saved the rows: then they are as they were, and are saved now. */
    if (r->plan->undo != NULL && atomic_load(&r->progress->undo_of) != begin)
        fmi_undo_save(r, begin, end);
    atomic_store(&r->progress->next, fmi_next_word(next));
    if (r->is_lone && next < end)
        fmi_alone_begin(r->view, r->rank, r->starts, &r->ranges.lines[r->rank].rest, attempt_ns(r));
    else
        fmi_alone_end(r->view, r->rank); /* the turn of the dead */
    give_way(r);
    begin_calling(r);
    FMI_FAULT("run.lost_chunk");
    int64_t item = next;
    if (r->is_lone && next < end)
        item = run_alone(r, begin, next, end);
    if (item < end) /* a map that was stopped in run_alone stops here again */
        item = call_items(r, begin, item, end);
    finish_chunk(r, begin, item, end);
    fmi_recycle_count(r->recycle);
}

/* ---- taking part ---------------------------------------------------------------------------- */

/* Invariant (2) of job.h. The ticket is stored last: a death before it repeats the reset. */
static void enter_progress(struct fmi_runner *r, uint64_t ticket)
{
    struct fmi_progress_shm *p = r->progress;
    if (atomic_load_explicit(&p->ticket, memory_order_acquire) == ticket)
        return;
    atomic_store_explicit(&p->next, fmi_next_word(-1), memory_order_relaxed);
    atomic_store_explicit(&p->piece, 0, memory_order_relaxed);
    atomic_store_explicit(&p->attempts, 0, memory_order_relaxed);
    atomic_store_explicit(&p->calling, 0, memory_order_relaxed);
    atomic_store_explicit(&p->undo_of, -1, memory_order_relaxed);
    atomic_store_explicit(&p->begin_ticks, fmi_ticks(), memory_order_relaxed);
    atomic_store_explicit(&p->n_done, 0, memory_order_relaxed);
    atomic_store_explicit(&p->n_lost, 0, memory_order_relaxed);
    atomic_store_explicit(&p->records, NULL, memory_order_relaxed);
    fmi_note_reset(r);
    FMI_FAULT("run.enter");
    atomic_store_explicit(&p->ticket, ticket,
                          memory_order_release); /* pairs with fmi_report_collect */
}

static int is_all_finished(struct fmi_runner_caller *caller)
{
    int (*before_steal)(void *) = caller == NULL ? NULL : caller->before_steal;
    if (before_steal == NULL)
        return 0;
    caller->before_steal = NULL;
    return before_steal(caller->arg);
}

/* 1: a chunk was claimed or stolen; 0: none is left; ALL_FINISHED: nor will there be; FM_ECORRUPT. */
static int get_chunk(struct fmi_runner *r, struct fmi_span *span)
{
    uint32_t want = is_stopped_at(r, 0) ? FMI_RANGE_MAX_GRAINS : next_want(r);
    int rc = fmi_range_claim(&r->ranges, r->rank, want, span);
    if (rc != 0 || r->plan->schedule == FM_SCHEDULE_STATIC)
        return rc;
    if (is_all_finished(r->caller))
        return ALL_FINISHED;
    rc = fmi_range_steal(&r->ranges, r->rank, want, span);
    if (rc == 1)
        fmi_count(&r->tally->n_steals, 1);
    return rc;
}

int fmi_runner_run(struct fmi_runner *r, int resume)
{
    struct fmi_span span;
    int rc = 0, is_due;
    if (atomic_load_explicit(&r->ranges.lines[r->rank].rest, memory_order_relaxed) != 0)
        atomic_store(&r->ranges.lines[r->rank].rest, 0); /* of the dead: before any claim */
    enter_progress(r, fmi_job_ticket(atomic_load_explicit(&r->job->word, memory_order_relaxed)));
    if (resume && (rc = fmi_range_resume(&r->ranges, r->rank, &span)) != 0) {
        if (rc < 0)
            return rc;
        run_lost_chunk(r, &span);
    }
    while (!(is_due = fmi_recycle_is_due(r->recycle)) && (rc = get_chunk(r, &span)) == 1)
        run_fresh_chunk(r, &span);
    if (!is_due && rc != 0)
        return rc == ALL_FINISHED ? 1 : rc;
    if (r->caller != NULL && r->caller->scans_later)
        return 0;
    /* The last c3 before is_awaited; pairs with await_done. */
    atomic_thread_fence(memory_order_seq_cst);
    if (r->worker != NULL && atomic_load_explicit(&r->job->is_awaited, memory_order_relaxed) == 0)
        return is_due ? FMI_RUN_RETIRES : 0; /* the caller looks itself */
    rc = fmi_ranges_done(&r->ranges);
    return rc == 0 && is_due ? FMI_RUN_RETIRES : rc;
}
