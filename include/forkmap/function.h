/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_FUNCTION_H
#define FORKMAP_FUNCTION_H

/**
 * @file function.h
 * Functions that are mapped, and what they may ask.
 */
/**
 * @defgroup fm_functions Functions that are mapped
 * What a pool calls in its workers: one item at a time, or runs of them.
 *
 * The item axis is axis 0: an item is a row of the input, a result a row of the output. Results are
 * written where the caller reads them. Nothing that a function does in a worker can hurt the caller:
 * a crash, an exit or an endless loop becomes a record that names the item.
 * @{
 */

#include <forkmap/array.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FM_MAX_COLUMNS 16 /**< most input arrays of a map */

/** Consecutive items for a chunk function. Row r of column k is at (char *)in[k] + r * in_stride[k]. */
typedef struct fm_chunk {
    int64_t begin;                     /**< number of the first item */
    int64_t count;                     /**< items, >= 1 */
    int n_in;                          /**< columns; 0 for a range */
    const void *in[FM_MAX_COLUMNS];    /**< its first row in each column; [0] NULL: a range */
    int64_t in_stride[FM_MAX_COLUMNS]; /**< [bytes] from row to row; 0 for a broadcast column */
    const fm_array *in_array[FM_MAX_COLUMNS]; /**< the whole column: shape, inner strides */
    void *out;                 /**< the chunk's first result row; NULL without output */
    int64_t out_stride;        /**< [bytes] */
    const fm_array *out_array; /**< the whole output; NULL without output */
} fm_chunk;

/**
 * Item function: one item in, one result out. Returns 0, or any other value to fail the item.
 * Runs at least once per item: items of a crashed worker run again. Must not keep the pointers.
 * @param item    a packed row in C order; for a range an int64_t
 * @param result  a packed row to be written whole; NULL without output
 * @param arg     of the map's options
 */
typedef int fm_item_fn(const void *item, void *result, void *arg);

/**
 * The same with one pointer per column.
 * @param items   a packed row of each column
 * @param result  a packed row to be written whole; NULL without output
 * @param arg     of the map's options
 */
typedef int fm_star_fn(const void *const items[], void *result, void *arg);

/**
 * Chunk function: a run of items, so that the loop is the function's own. A failing chunk is split and rerun.
 * @param chunk  where the rows lie, valid during the call
 * @param arg    of the map's options
 */
typedef int fm_chunk_fn(const fm_chunk *chunk, void *arg);

/**
 * Task function, of fm_pool_apply(): one call, one result. Returns 0, or any other value to fail.
 * @param arg     as fm_pool_apply() got it, or its copy
 * @param result  to be written whole, zeroed before the first attempt; NULL without a result
 */
typedef int fm_task_fn(const void *arg, void *result);

/**
 * Whether a chunk's rows are what a function takes that reads one value per row and writes another.
 * @param chunk      as the function got it
 * @param in_bytes   [bytes] of the value in column 0
 * @param out_bytes  [bytes] of the result
 * @return 0; `-EINVAL` no column or several, no output, rows of another size or with gaps inside: the note says which
 * Blocks / thread-safety: never; any thread.
 */
FM_API FM_NODISCARD int fm_chunk_check(const fm_chunk *chunk, size_t in_bytes, size_t out_bytes);

#ifdef __clang__
#define FM_IVDEP /* clang looks at run time whether rows overlap */
#else
#define FM_IVDEP _Pragma("GCC ivdep")
#endif
/* No iteration reads what another wrote: rows do not overlap, and in place each lies on itself. */
#define FM_CHUNK_LOOP(in_type, out_type, in_step, out_step, ...)                                   \
    FM_IVDEP                                                                                       \
    for (int64_t fm_k = 0; fm_k < chunk->count; fm_k++) {                                          \
        const int64_t i = chunk->begin + fm_k;                                                     \
        const in_type x = *(const in_type *)(fm_in + fm_k * (in_step));                            \
        (void)i;                                                                                   \
        *(out_type *)(fm_out + fm_k * (out_step)) = (__VA_ARGS__);                                 \
    }

/**
 * Makes chunk function `name` from an expression of one item, often the call of an inline function: `x` is the
 * item (type `in_type`), `i` its number (int64_t), `arg` the map's arg, and the value is stored as `out_type`.
 *     static FM_CHUNK_FN(square, double, double, x * x)
 *     static FM_CHUNK_FN(energy, struct pose, float, energy_of(&x, arg))
 * Where rows follow each other without gaps the loop has constant strides, so that the compiler can make vector
 * code of it. A row that is no `in_type` fails its item with `-EINVAL`, see fm_chunk_check().
 */
#define FM_CHUNK_FN(name, in_type, out_type, ...)                                                  \
    int name(const fm_chunk *chunk, void *arg)                                                     \
    {                                                                                              \
        const char *fm_in = (const char *)chunk->in[0];                                            \
        char *fm_out = (char *)chunk->out;                                                         \
        const int64_t fm_in_step = chunk->n_in > 0 ? chunk->in_stride[0] : 0;                      \
        const int64_t fm_out_step = chunk->out_stride;                                             \
        const int fm_rc = fm_chunk_check(chunk, sizeof(in_type), sizeof(out_type));                \
        (void)arg;                                                                                 \
        if (fm_rc != 0)                                                                            \
            return fm_rc;                                                                          \
        if (fm_in_step == (int64_t)sizeof(in_type) && fm_out_step == (int64_t)sizeof(out_type)) {  \
            FM_CHUNK_LOOP(in_type, out_type, (int64_t)sizeof(in_type), (int64_t)sizeof(out_type),  \
                          __VA_ARGS__)                                                             \
        } else {                                                                                   \
            FM_CHUNK_LOOP(in_type, out_type, fm_in_step, fm_out_step, __VA_ARGS__)                 \
        }                                                                                          \
        return 0;                                                                                  \
    }

/* ---- what they may ask ---- */

/**
 * Rank of the worker that runs this. A result must not depend on it.
 * @return 0 .. W-1; -1 outside
 * Blocks / thread-safety: never; any thread of a worker.
 */
FM_API int fm_worker_rank(void);
/**
 * Leaves a note for the failure record, should this item fail. Cheap.
 * @param format  as printf(3), up to 95 bytes of text; a later note replaces an earlier one
 * Blocks / thread-safety: never; the thread that was called.
 */
FM_API void fm_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/**
 * Whether the map that this function serves was cancelled, or this item is no longer wanted. Poll it in long items.
 * @return 1 or 0
 * Blocks / thread-safety: never; any thread of a worker.
 */
FM_API int fm_cancelled(void);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
