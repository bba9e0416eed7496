/* SPDX-License-Identifier: MIT */
/* Adding up blocks in the workers, and combining them; see blocks.h. */
#include "blocks.h"

#include "error.h"
#include "fault.h"
#include "heap.h"
#include "mapping.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MIN_LENGTH = 4096, MAX_BLOCKS = 16384, MAX_BYTES = 64 << 20 };

int64_t fmi_blocks_length(int64_t n_items, size_t bytes)
{
    int64_t most = bytes > MAX_BYTES ? 1 : MAX_BYTES / (int64_t)bytes;
    if (most > MAX_BLOCKS)
        most = MAX_BLOCKS;
    int64_t length = n_items / most + (n_items % most != 0);
    return length < MIN_LENGTH ? MIN_LENGTH : length;
}

/* ---- in the workers ------------------------------------------------------------------------- */

/* Descriptions live as long as the pool. A caller that works may do so in several threads. */
static int resolve(const struct fmi_function_shm *described, fm_combine_fn **out)
{
    static _Thread_local const struct fmi_function_shm *last;
    static _Thread_local union { /* ISO C has no cast between the two */
        void *object;
        fm_combine_fn *function;
    } found;
    int rc = 0;
    if (last != described)
        rc = fmi_function_resolve(described, &found.object);
    last = rc == 0 ? described : NULL;
    *out = found.function;
    return rc;
}

int fmi_blocks_fold_here(const struct fmi_blocks_shm *plan, struct fmi_fold *fold)
{
    *fold = plan->fold;
    if (plan->described == NULL || fmi_worker_self() == NULL)
        return 0;
    return resolve(plan->described, &fold->combine);
}

static struct fmi_slot_shm *slot_of(const struct fmi_blocks_shm *plan, int64_t block, int k)
{
    return (struct fmi_slot_shm *)(void *)(plan->slots +
                                           (size_t)(2 * block + k) * plan->slot_bytes);
}

static struct fmi_fold_state *state_of(struct fmi_slot_shm *slot)
{
    return (struct fmi_fold_state *)(void *)slot->state;
}

/* The slot that a piece from `from` goes on with, or NULL; *other is the one that it may write. */
static struct fmi_slot_shm *find_slot(const struct fmi_blocks_shm *plan, int64_t block,
                                      int64_t from, struct fmi_slot_shm **other)
{
    struct fmi_slot_shm *found = NULL;
    int64_t best = 0;
    *other = slot_of(plan, block, 0);
    for (int k = 0; k < 2; k++) {
        struct fmi_slot_shm *slot = slot_of(plan, block, k);
        int64_t upto = atomic_load_explicit(&slot->upto, memory_order_acquire);
        if (upto > best && upto <= from) {
            found = slot;
            best = upto;
            *other = slot_of(plan, block, 1 - k);
        }
    }
    return found;
}

/* Items `rows->item` .. + n of one block. */
static int add_piece(const struct fmi_blocks_shm *plan, const struct fmi_fold *fold, int64_t block,
                     const struct fmi_fold_rows *rows)
{
    struct fmi_slot_shm *to, *from = find_slot(plan, block, rows->item, &to);
    atomic_store(&to->upto, 0); /* seq_cst: before what follows */
    if (from == NULL) {
        atomic_store(&slot_of(plan, block, 1)->upto, 0); /* what a dead process had beyond */
        fmi_fold_begin(fold, state_of(to));
    } else {
        memcpy(to->state, from->state, fold->state_bytes);
    }
    int rc = fmi_fold_add(fold, state_of(to), rows);
    FMI_FAULT("blocks.added");
    if (rc == 0)
        atomic_store_explicit(&to->upto, rows->item + rows->n,
                              memory_order_release); /* pairs with find_slot */
    FMI_FAULT("blocks.stored");
    return rc;
}

static int fold_chunk(const fm_chunk *chunk, void *arg)
{
    const struct fmi_blocks_shm *plan = arg;
    struct fmi_fold fold;
    struct fmi_array_view view;
    int rc = fmi_blocks_fold_here(plan, &fold);
    if (rc == 0)
        rc = fmi_array_inspect(chunk->in_array[0], &view);
    int64_t end = chunk->begin + chunk->count;
    for (int64_t item = chunk->begin; item < end && rc == 0;) {
        int64_t block = item / plan->length, offset = item - chunk->begin;
        int64_t last = end - block * plan->length < plan->length ? end : (block + 1) * plan->length;
        struct fmi_fold_rows rows = {
            .data = (const char *)chunk->in[0] + offset * chunk->in_stride[0],
            .stride = chunk->in_stride[0],
            .item = item,
            .n = last - item,
            .view = view.row_is_packed ? NULL : &view,
        };
        if (chunk->n_in > 1) {
            rows.status = (const uint8_t *)chunk->in[1] + offset * chunk->in_stride[1];
            rows.status_stride = chunk->in_stride[1];
        }
        rc = add_piece(plan, &fold, block, &rows);
        item = last;
    }
    return rc;
}

/* ---- combining ------------------------------------------------------------------------------ */

static struct fmi_fold_state *state_at(char *states, size_t state_bytes, int64_t k)
{
    return (struct fmi_fold_state *)(void *)(states + (size_t)k * state_bytes);
}

/* The state of a block, closed. */
static void take_block(const struct fmi_blocks_shm *plan, const struct fmi_fold *fold,
                       int64_t block, struct fmi_fold_state *to)
{
    struct fmi_slot_shm *other, *slot = find_slot(plan, block, INT64_MAX, &other);
    if (slot == NULL) /* none of its items was done */
        fmi_fold_begin(fold, to);
    else
        memcpy(to, slot->state, fold->state_bytes);
    fmi_fold_close(fold, to);
}

/* Notes whose function is called now: a crash is blamed on it. */
static void note_block(struct fmi_blocks_shm *shm, int64_t block)
{
    atomic_store_explicit(&shm->adding, block * shm->length,
                          memory_order_relaxed); /* read after the map */
}

static int combine_tree(const struct fmi_blocks_shm *plan, const struct fmi_fold *fold,
                        struct fmi_blocks_shm *shm, char *states)
{
    int64_t n = plan->n_blocks;
    int rc = 0;
    fmi_fold_begin(fold, state_at(states, fold->state_bytes, 0)); /* if there is none */
    for (int64_t block = 0; block < n; block++)
        take_block(plan, fold, block, state_at(states, fold->state_bytes, block));
    for (int64_t step = 1; step < n && rc == 0; step *= 2)
        for (int64_t block = 0; block + step < n && rc == 0; block += 2 * step) {
            note_block(shm, block + step);
            rc = fmi_fold_merge(fold, state_at(states, fold->state_bytes, block),
                                state_at(states, fold->state_bytes, block + step));
        }
    if (rc == 0)
        memcpy(plan->result, states, fold->state_bytes);
    return rc;
}

/* `states` has room for two: the value so far, and the next block. */
static int combine_prefix(const struct fmi_blocks_shm *plan, const struct fmi_fold *fold,
                          struct fmi_blocks_shm *shm, char *states)
{
    struct fmi_fold_state *before = state_at(states, fold->state_bytes, 0);
    struct fmi_fold_state *next = state_at(states, fold->state_bytes, 1);
    int rc = 0;
    fmi_fold_begin(fold, before);
    fmi_fold_close(fold, before);
    for (int64_t block = 0; block < plan->n_blocks && rc == 0; block++) {
        memcpy(state_at(plan->result, fold->state_bytes, block), before, fold->state_bytes);
        take_block(plan, fold, block, next);
        note_block(shm, block);
        rc = fmi_fold_merge(fold, before, next);
    }
    return rc;
}

/* Works on copies: if this process dies, its successor begins again. `plan` may be *shm. */
static int combine_states(const struct fmi_blocks_shm *plan, const struct fmi_fold *fold,
                          struct fmi_blocks_shm *shm)
{
    size_t n_states = plan->order == FMI_BLOCKS_TREE ? (size_t)plan->n_blocks + 1 : 2;
    char *states = aligned_alloc(64, n_states * fold->state_bytes);
    if (states == NULL)
        return -ENOMEM;
    int rc = plan->order == FMI_BLOCKS_TREE ? combine_tree(plan, fold, shm, states)
                                            : combine_prefix(plan, fold, shm, states);
    free(states);
    return rc;
}

static int combine_item(const void *item, void *result, void *arg)
{
    struct fmi_blocks_shm *shm = arg;
    struct fmi_fold fold;
    int rc = fmi_blocks_fold_here(shm, &fold);
    (void)item;
    (void)result;
    return rc != 0 ? rc : combine_states(shm, &fold, shm);
}

const struct fmi_fold_state *fmi_blocks_result(const struct fmi_blocks_shm *plan, int64_t k)
{
    return state_at(plan->result, plan->fold.state_bytes, k);
}

/* ---- the host ------------------------------------------------------------------------------- */

static int copy_to_heap(void **out, const void *bytes, size_t n)
{
    int rc = n == 0 ? 0 : fmi_heap_alloc(out, n, 0);
    if (rc == 0 && n > 0)
        memcpy(*out, bytes, n);
    return rc;
}

/* The user's function, its argument and identity, as the workers can have them. */
static int hand_over_function(struct fmi_blocks *b)
{
    struct fmi_fold *fold = &b->plan.fold;
    const fm_map_opts *map = &b->opts->map;
    int rc = 0;
    if (map->arg == NULL && map->arg_bytes > 0)
        return fmi_error(-EINVAL, "arg is NULL, arg_bytes is %zu", map->arg_bytes);
    if (!b->series->is_inline) {
        if (map->arg_bytes == 0)
            rc = fmi_pool_check_pointer(b->series->pool, map->arg);
        if (rc == 0)
            rc =
                fmi_pool_function(b->series->pool, (fmi_any_fn *)fold->combine, &b->plan.described);
    }
    if (rc == 0)
        rc = copy_to_heap(&b->arg_block, map->arg, map->arg_bytes);
    if (rc == 0)
        rc = copy_to_heap(&b->identity_block, fold->identity, fold->row_bytes);
    fold->arg = b->arg_block != NULL ? b->arg_block : map->arg;
    fold->identity = b->identity_block;
    return rc;
}

int fmi_blocks_create(struct fmi_blocks *b, struct fmi_series *series, const struct fmi_fold *fold,
                      int64_t n_items, int order, const fm_reduce_opts *opts)
{
    struct fmi_blocks_shm *plan = &b->plan;
    void *p;
    *b = (struct fmi_blocks){.series = series, .opts = opts};
    plan->fold = *fold;
    plan->n_items = n_items;
    plan->order = order;
    plan->is_exclusive = (opts->flags & FM_EXCLUSIVE) != 0;
    plan->slot_bytes = offsetof(struct fmi_slot_shm, state) + fold->state_bytes;
    plan->length = fmi_blocks_length(n_items, 2 * plan->slot_bytes);
    plan->n_blocks = n_items / plan->length + (n_items % plan->length != 0);
    size_t n = (size_t)plan->n_blocks + 1, n_results = order == FMI_BLOCKS_TREE ? 1 : n;
    int rc = fold->op == FM_COMBINE ? hand_over_function(b) : 0;
    if (rc == 0 && (rc = fmi_heap_alloc(&p, 2 * n * plan->slot_bytes, FMI_HEAP_ZERO)) == 0)
        plan->slots = p;
    if (rc == 0 && (rc = fmi_heap_alloc(&p, n_results * fold->state_bytes, FMI_HEAP_ZERO)) == 0)
        plan->result = p;
    if (rc == 0 && (rc = fmi_heap_alloc(&p, sizeof *b->shm, 0)) == 0) {
        b->shm = p;
        memcpy(b->shm, plan, sizeof *plan);
    }
    return rc;
}

void fmi_blocks_destroy(struct fmi_blocks *b)
{
    (void)fmi_heap_free(b->shm);
    (void)fmi_heap_free(b->plan.result);
    (void)fmi_heap_free(b->plan.slots);
    (void)fmi_heap_free(b->identity_block);
    (void)fmi_heap_free(b->arg_block);
}

int fmi_blocks_is_code_of_items(int rc)
{
    return rc == FM_ETASK || rc == FM_ECRASHED || rc == FM_ETIMEOUT || rc == FM_EOOM;
}

int fmi_blocks_may_go_on(const struct fmi_series *series, int rc, const fm_map_opts *map)
{
    if (!fmi_blocks_is_code_of_items(rc))
        return rc == 0;
    return map->on_error == FM_ON_ERROR_CONTINUE &&
           (map->max_failures == 0 || series->report.n < map->max_failures);
}

/* A worker that cannot load the library of `combine` fails items, where a map would not have begun. */
static int settle_code(const struct fmi_blocks *b, int rc)
{
    int code = rc == FM_ETASK && b->series->report.n > 0 ? b->series->report.list[0].code : 0;
    if (b->plan.described == NULL || (code != FM_ENOFUNC && code != FM_ESTALE))
        return rc;
    return fmi_error(code, "a worker cannot load the library of combine: %s", fm_strerror(code));
}

int fmi_blocks_map(struct fmi_blocks *b, fm_chunk_fn *fn, fm_array *const *columns, int n_columns,
                   fm_array *out, const fm_map_opts *map)
{
    fm_map_opts opts = *map;
    struct fmi_request request = {.kind = FMI_FN_CHUNK,
                                  .fn = (fmi_any_fn *)fn,
                                  .columns = columns,
                                  .n_columns = n_columns,
                                  .out = out,
                                  .opts = &opts};
    opts.arg = b->shm;
    opts.arg_bytes = 0;
    opts.chunk = b->plan.length;
    return settle_code(b, fmi_series_map(b->series, &request));
}

int fmi_blocks_fold(struct fmi_blocks *b, fm_array *const *columns, int n_columns,
                    const fm_map_opts *map)
{
    return fmi_blocks_map(b, fold_chunk, columns, n_columns, NULL, map);
}

/* Each block counts as an item for the limit. */
static int64_t limit_of(const struct fmi_blocks *b)
{
    int64_t limit_ns;
    if (__builtin_mul_overflow(b->opts->map.item_timeout, b->plan.n_blocks, &limit_ns))
        limit_ns = 0;
    return limit_ns;
}

int fmi_blocks_combine(struct fmi_blocks *b)
{
    fm_map_opts opts = {.struct_size = sizeof opts,
                        .arg = b->shm,
                        .retries = b->opts->map.retries,
                        .on_signal = b->opts->map.on_signal,
                        .seed = b->opts->map.seed,
                        .item_timeout = limit_of(b)};
    struct fmi_request request = {
        .kind = FMI_FN_ITEM, .fn = (fmi_any_fn *)combine_item, .end = 1, .opts = &opts};
    if (b->plan.fold.op != FM_COMBINE)
        return combine_states(&b->plan, &b->plan.fold, b->shm);
    int rc = fmi_series_map(b->series, &request);
    if (!fmi_blocks_is_code_of_items(rc))
        return rc;
    int64_t item = atomic_load(&b->shm->adding);
    for (int64_t i = 0; i < b->series->report.n; i++)
        b->series->report.list[i].item = item;
    fmi_error_note("combining blocks failed at the one that begins with item %lld",
                   (long long)item);
    return settle_code(b, rc);
}
