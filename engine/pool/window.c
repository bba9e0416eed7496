/* SPDX-License-Identifier: MIT */
/* The window of a stream: see window.h. */
#include "window.h"

#include "clock.h"
#include "error.h"
#include "heap.h"
#include "mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    WINDOW_BYTES = 16 << 20,
    MAX_CHUNK = 4096,
    TARGET_NS = 40000, /* how long a batch should last: long against its way (1 us) */
    EAGER_NS = 4000,
    LOOK_NS = 1000000000,
    GRACE_NS = 20000000, /* what runs may go on for so long when the stream is closed */
    KILL_AGAIN_NS = 1000000,
    LINE = 64
};

/* ---- room --------------------------------------------------------------------------------------- */

static int64_t round_up(int64_t bytes, int64_t to)
{
    return (bytes + to - 1) / to * to;
}

/* Rows are aligned as their size suggests: to 8 at least, to a cache line if they fill one. */
static int64_t stride_of(size_t bytes)
{
    return bytes == 0 ? 0 : round_up((int64_t)bytes, bytes >= LINE ? LINE : 8);
}

/* Items that are asked for in a batch; they are counted in 32 bits. */
static int64_t asked_chunk(const struct fmi_window *w)
{
    int64_t asked = w->opts->chunk > 0 ? w->opts->chunk : 1;
    return asked < UINT32_MAX ? asked : UINT32_MAX;
}

/* Two batches for each worker, and the one that is being read; fewer if the window is too small for one item in each. */
static void choose_sizes(struct fmi_window *w)
{
    int64_t slot = w->item_stride + w->result_stride + 1;
    int64_t window = w->opts->window_bytes > 0 ? (int64_t)w->opts->window_bytes : WINDOW_BYTES;
    int64_t asked = asked_chunk(w), most = window / slot;
    int is_parallel = w->pool != NULL && w->pool->has_crew;
    int64_t n = is_parallel ? 2 * (int64_t)w->pool->n_workers + 1 : 1;
    if (n > most / asked)
        n = most / asked > 0 ? most / asked : 1;
    w->n_batches = (int)n;
    w->max_chunk = !is_parallel           ? 1
                   : w->opts->chunk > 0   ? asked
                   : most / n < MAX_CHUNK ? most / n
                                          : MAX_CHUNK;
    if (w->max_chunk > most)
        w->max_chunk = most;
    if (w->max_chunk < 1)
        w->max_chunk = 1;
    w->chunk = w->opts->chunk > 0 ? w->max_chunk : 1;
}

static int64_t batch_bytes(const struct fmi_window *w)
{
    return round_up((int64_t)sizeof(struct fmi_more_shm), LINE) + round_up(w->max_chunk, LINE) +
           round_up(w->max_chunk * w->item_stride, LINE) +
           round_up(w->max_chunk * w->result_stride, LINE);
}

static void lay_out(const struct fmi_window *w, struct fmi_batch *b, char *at)
{
    b->state = FMI_BATCH_EMPTY;
    b->more = (struct fmi_more_shm *)(void *)at;
    at += round_up((int64_t)sizeof *b->more, LINE);
    b->states = (uint8_t *)at;
    at += round_up(w->max_chunk, LINE);
    b->items = at;
    at += round_up(w->max_chunk * w->item_stride, LINE);
    b->results = w->result_stride == 0 ? NULL : at;
}

static int take_block(struct fmi_window *w)
{
    int64_t bytes = batch_bytes(w) * w->n_batches;
    if (w->pool != NULL)
        return fmi_heap_alloc(&w->block, (size_t)bytes, 0);
    w->block = aligned_alloc(LINE, (size_t)bytes);
    return w->block == NULL ? -ENOMEM : 0;
}

static int copy_argument(struct fmi_window *w)
{
    if (w->opts->arg_bytes == 0)
        return w->pool == NULL ? 0 : fmi_pool_check_pointer(w->pool, w->opts->arg);
    int rc = fmi_heap_alloc(&w->arg_block, w->opts->arg_bytes, 0);
    if (rc == 0)
        memcpy(w->arg_block, w->opts->arg, w->opts->arg_bytes);
    return rc;
}

static void free_private(struct fmi_window *w)
{
    for (int i = 0; w->batches != NULL && i < w->n_batches; i++) {
        free(w->batches[i].report.list);
        free(w->batches[i].own.task);
    }
    free(w->batches);
    free(w->flying);
}

static void free_block(struct fmi_window *w)
{
    if (w->pool == NULL)
        free(w->block);
    else
        (void)fmi_heap_free(w->block);
    (void)fmi_heap_free(w->arg_block);
}

static int make_batches(struct fmi_window *w)
{
    w->batches = calloc((size_t)w->n_batches, sizeof *w->batches);
    w->flying = calloc((size_t)w->n_batches, sizeof *w->flying);
    if (w->batches == NULL || w->flying == NULL)
        return -ENOMEM;
    for (int i = 0; i < w->n_batches; i++) {
        struct fmi_batch *b = &w->batches[i];
        lay_out(w, b, (char *)w->block + i * batch_bytes(w));
        if (w->pool == NULL && (b->own.task = aligned_alloc(256, sizeof *b->own.task)) == NULL)
            return -ENOMEM;
    }
    return 0;
}

int fmi_window_open(struct fmi_window *w)
{
    int rc = 0;
    w->item_stride = w->source->is_copied ? stride_of(w->source->item_bytes) : 0;
    w->result_stride = stride_of(w->opts->result_bytes);
    choose_sizes(w);
    if (w->pool != NULL)
        rc = fmi_pool_function(w->pool, (fmi_any_fn *)w->fn, &w->described);
    if (rc == 0)
        rc = copy_argument(w);
    if (rc == 0)
        rc = take_block(w);
    if (rc == 0)
        rc = make_batches(w);
    if (rc == 0)
        return 0;
    free_private(w);
    free_block(w);
    return rc;
}

/* ---- submitting --------------------------------------------------------------------------------- */

static void fill_orders(const struct fmi_window *w, struct fmi_batch *b)
{
    const struct fmi_source *s = w->source;
    char *in_place = fmi_source_item(s, b->first);
    *b->more = (struct fmi_more_shm){
        .limit_ns = w->opts->item_timeout,
        .seed = w->opts->seed,
        .retries = (uint32_t)w->opts->retries,
        .n = b->n,
        .arg = w->arg_block != NULL ? w->arg_block : w->opts->arg,
        .result = b->results,
        .result_stride = w->result_stride,
        .items = s->is_copied ? b->items : in_place,
        .item_stride = s->is_copied || in_place == NULL ? w->item_stride : s->view.strides[0],
        .first = b->first,
        .base = s->asked.begin,
        .array = s->asked.array != NULL && s->view.is_mapped ? s->asked.array : NULL,
        .states = b->states};
    memset(b->states, 0, b->n);
}

static void fill_record(const struct fmi_window *w, const struct fmi_batch *b,
                        struct fmi_task_shm *task)
{
    union { /* ISO C has no cast between the two */
        fm_item_fn *function;
        uintptr_t address;
    } fn = {.function = w->fn};
    task->fn = w->described != NULL ? (uintptr_t)w->described : fn.address;
    task->more = b->more;
    task->arg_bytes = task->result_bytes = 0;
    task->kind = FMI_TASK_BATCH | (w->described != NULL ? FMI_TASK_IS_DESCRIBED : 0);
}

static void run_here(const struct fmi_window *w, struct fmi_batch *b)
{
    memset(b->own.task, 0, sizeof *b->own.task);
    fill_record(w, b, b->own.task);
    b->slot = &b->own;
    fmi_task_remember_orders(b->slot);
    fmi_task_run_here(b->own.task);
}

static int submit(const struct fmi_window *w, struct fmi_batch *b)
{
    fm_pool *pool = w->pool;
    int rc = fmi_task_begin(pool, &b->slot);
    if (rc != 0)
        return rc;
    fill_record(w, b, b->slot->task);
    b->slot->is_limited = w->opts->item_timeout > 0 && pool->has_crew;
    if (b->slot->is_limited)
        fmi_pool_limit_begin(pool, fmi_pool_tick_of(w->opts->item_timeout, 0));
    fmi_task_submit(pool, b->slot, 0);
    if (!pool->has_crew) {
        const struct fmi_performer caller = fmi_task_caller(pool);
        (void)fmi_task_perform(&caller, b->slot->task);
    }
    return 0;
}

static int launch(struct fmi_window *w, int i)
{
    struct fmi_batch *b = &w->batches[i];
    int rc = 0;
    fill_orders(w, b);
    if (w->pool == NULL)
        run_here(w, b);
    else
        rc = submit(w, b);
    if (rc != 0)
        return rc;
    b->state = FMI_BATCH_FLYING;
    w->flying[(w->first_flying + w->n_flying++) % w->n_batches] = i;
    return 0;
}

static int draw_and_launch(struct fmi_window *w, int i)
{
    struct fmi_batch *b = &w->batches[i];
    b->first = w->source->n_drawn;
    b->n = (uint32_t)fmi_source_draw(w->source, w->chunk, b->items, w->item_stride);
    int rc = b->n == 0 ? 0 : launch(w, i);
    if (rc != 0)
        w->source->n_drawn = b->first; /* what was drawn is not run */
    return rc;
}

/* The pool is entered before anything is drawn: a closed one would take no batch, and what a generator made would be lost. */
int fmi_window_fill(struct fmi_window *w)
{
    for (int i = 0; i < w->n_batches && w->source->code == 0; i++) {
        if (w->batches[i].state != FMI_BATCH_EMPTY)
            continue;
        int rc = w->pool == NULL ? 0 : fmi_pool_enter(w->pool);
        if (rc != 0)
            return rc;
        rc = draw_and_launch(w, i);
        if (w->pool != NULL)
            fmi_pool_leave(w->pool);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- waiting ------------------------------------------------------------------------------------ */

static struct fmi_batch *flying_at(const struct fmi_window *w, int k)
{
    return &w->batches[w->flying[(w->first_flying + k) % w->n_batches]];
}

/* Which of those that fly is over, counted from the first; -1: none that would do. */
static int find_over(const struct fmi_window *w, int is_ordered)
{
    int n = is_ordered && w->n_flying > 1 ? 1 : w->n_flying;
    for (int k = 0; k < n; k++)
        if (fmi_task_is_over(flying_at(w, k)->slot->task))
            return k;
    return -1;
}

static void want(const struct fmi_window *w, int is_ordered)
{
    for (int k = 0; k < (is_ordered ? 1 : w->n_flying); k++)
        (void)fmi_task_want(flying_at(w, k)->slot);
}

static int help(const struct fmi_window *w)
{
    const struct fmi_performer caller = fmi_task_caller(w->pool);
    return fmi_task_perform(&caller, flying_at(w, 0)->slot->task) || fmi_tasks_help(&caller);
}

/* Until one is over: its place among those that fly; -ETIMEDOUT; as fmi_pool_trouble. */
static int await_over(const struct fmi_window *w, int is_ordered, int64_t timeout)
{
    int k = find_over(w, is_ordered);
    if (k >= 0 || w->pool == NULL)
        return k;
    if (!w->pool->view.is_isolated && timeout < 0)
        while (find_over(w, is_ordered) < 0 && help(w))
            ;
    int64_t deadline_ns = fmi_deadline_after(timeout), spin_ns = EAGER_NS;
    for (;;) {
        uint32_t seen = fmi_park_seen(&w->pool->view.shm->done);
        want(w, is_ordered);
        if ((k = find_over(w, is_ordered)) >= 0)
            return k;
        int rc = fmi_pool_trouble(w->pool);
        if (rc != 0)
            return rc;
        int64_t now = fmi_now_ns(), look_ns = now + LOOK_NS;
        if (deadline_ns <= now)
            return -ETIMEDOUT;
        if (fmi_pool_park(w->pool, seen, spin_ns, look_ns < deadline_ns ? look_ns : deadline_ns) ==
            -ETIMEDOUT)
            for (k = 0; k < w->n_flying; k++)
                fmi_task_inspect(w->pool, flying_at(w, k)->slot);
        spin_ns = 0;
    }
}

static void take_off(struct fmi_window *w, int k)
{
    for (; k > 0; k--)
        w->flying[(w->first_flying + k) % w->n_batches] =
            w->flying[(w->first_flying + k - 1) % w->n_batches];
    w->first_flying = (w->first_flying + 1) % w->n_batches;
    w->n_flying--;
}

/* Batches grow as long as they are short. The time is a worker's word: a wrong one makes for a bad length, no more. */
static void adapt_chunk(struct fmi_window *w, const struct fmi_batch *b)
{
    uint64_t ticks = atomic_load_explicit(&b->more->busy_ticks, memory_order_relaxed);
    uint64_t target = fmi_ticks_of_ns(TARGET_NS);
    if (w->opts->chunk > 0)
        return;
    if (ticks < target / 2 && b->n >= w->chunk && w->chunk < w->max_chunk)
        w->chunk = 2 * w->chunk < w->max_chunk ? 2 * w->chunk : w->max_chunk;
    else if (ticks > 2 * target && w->chunk > 1 && b->n <= w->chunk)
        w->chunk /= 2;
}

/* Inside a function there is no rank but that of the function. */
static void name_worker(const struct fmi_window *w, struct fmi_report *report)
{
    for (int64_t i = 0; i < report->n && w->pool == NULL; i++)
        report->list[i].worker = fm_worker_rank();
}

static int settle(struct fmi_window *w, struct fmi_batch *b)
{
    int code = fmi_task_code(b->slot);
    b->report.n = 0;
    int rc = atomic_load_explicit(&b->slot->task->failures, memory_order_relaxed) == NULL
                 ? 0
                 : fmi_task_report(b->slot, &b->report);
    int error = atomic_load_explicit(&b->slot->task->error, memory_order_relaxed);
    name_worker(w, &b->report);
    if (w->pool != NULL)
        fmi_task_put(w->pool, b->slot);
    b->slot = NULL;
    b->state = FMI_BATCH_LANDED;
    b->n_taken = 0;
    adapt_chunk(w, b);
    if (rc == FM_ECORRUPT || code == FM_ECORRUPT)
        return FM_ECORRUPT;
    return error < 0 ? fmi_error(error, "a worker could not take part: %s", fm_strerror(error)) : 0;
}

int fmi_window_await(struct fmi_window *w, int is_ordered, int64_t timeout, struct fmi_batch **out)
{
    int k = await_over(w, is_ordered, timeout);
    if (k < 0)
        return k;
    *out = flying_at(w, k);
    take_off(w, k);
    return settle(w, *out);
}

void fmi_batch_release(struct fmi_batch *b)
{
    b->state = FMI_BATCH_EMPTY;
}

/* ---- closing ------------------------------------------------------------------------------------ */

static int is_all_over(const struct fmi_window *w)
{
    for (int k = 0; k < w->n_flying; k++)
        if (!fmi_task_is_over(flying_at(w, k)->slot->task))
            return 0;
    return 1;
}

/* 1: nothing of it is in a worker any more; 0: the pool is going down, and takes the block with it. */
static int call_off(const struct fmi_window *w)
{
    struct fmi_park_shm *done = &w->pool->view.shm->done;
    int64_t kill_ns = fmi_deadline_after(GRACE_NS);
    for (int k = 0; k < w->n_flying; k++)
        (void)fmi_task_drop(flying_at(w, k)->slot);
    for (;;) {
        uint32_t seen = fmi_park_seen(done);
        want(w, 0);
        if (is_all_over(w))
            return 1;
        if (fmi_pool_trouble(w->pool) != 0)
            return 0;
        if (fmi_now_ns() >= kill_ns) {
            for (int k = 0; k < w->n_flying; k++)
                fmi_task_kill(w->pool, flying_at(w, k)->slot);
            kill_ns = fmi_deadline_after(KILL_AGAIN_NS);
        }
        (void)fmi_pool_park(w->pool, seen, 0, kill_ns);
    }
}

static void close_held(struct fmi_window *w)
{
    struct fmi_report ignored = {0};
    if (!call_off(w)) {
        fmi_pool_keep_block(w->pool, w->block);
        fmi_pool_keep_block(w->pool, w->arg_block);
        w->block = w->arg_block = NULL;
        return;
    }
    for (int k = 0; k < w->n_flying; k++) {
        (void)fmi_task_report(flying_at(w, k)->slot, &ignored);
        ignored.n = 0;
        fmi_task_put(w->pool, flying_at(w, k)->slot);
    }
    free(ignored.list);
}

/* A pool that was destroyed has no processes that could still write. */
void fmi_window_close(struct fmi_window *w)
{
    if (w->pool != NULL && w->n_flying > 0 && fmi_pool_hold(w->pool, w->serial) == 0) {
        close_held(w);
        fmi_pool_leave(w->pool);
    }
    free_private(w);
    free_block(w);
}
