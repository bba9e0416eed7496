/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_REDUCE_H
#define FORKMAP_REDUCE_H

/**
 * @file reduce.h
 * Sums, extremes, moments, histograms, scans and filters that give the same bits for any number of workers.
 */
/**
 * @defgroup fm_reductions Reductions
 * Many rows become one value, their running values, or fewer rows.
 *
 * The rows are cut into blocks. How long a block is follows from the number of rows and the operation, never from the workers. Each block is
 * added up in the order of its items, and blocks are combined by a binary tree over their numbers. So the result is the same,
 * bit for bit, for any number of workers, schedule, caller, retry and crash.
 * @{
 */

#include <forkmap/map.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * How rows become one value. Each says what the result is; it is given with its size, so that the two can be compared.
 * A NaN among floats makes sum, product, minimum, maximum, mean and variance NaN.
 */
enum fm_reduce_op {
    /** int64_t for FM_BOOL and signed rows and uint64_t for unsigned ones (modulo 2^64), double for floats, two doubles for complex. Of none: 0. */
    FM_SUM = 1,
    FM_PROD = 2, /**< as FM_SUM, not for complex. Of none: 1 */
    FM_MIN = 3,  /**< of the rows' own dtype, not complex. Of none: `-ENODATA` */
    FM_MAX = 4,  /**< as FM_MIN */
    FM_ARGMIN =
        5, /**< int64_t: the lowest item that has the minimum, or a NaN. Of none: `-ENODATA` */
    FM_ARGMAX = 6,        /**< as FM_ARGMIN */
    FM_MEAN_VARIANCE = 7, /**< fm_moments, of the rows as doubles; not complex */
    /**
     * int64_t [bins + 3]: how many rows, as doubles, lie in each of `bins` parts of lo .. hi, which begin at lo + k ((hi - lo) / bins), hi
     * belongs to the last; then how many lie below, above, and how many are NaN. Not complex.
     */
    FM_HISTOGRAM = 8,
    FM_COMBINE = 9 /**< a row: `combine` of the options. Of none: `identity` */
};

/** Result of FM_MEAN_VARIANCE. */
typedef struct fm_moments {
    int64_t n;   /**< rows */
    double mean; /**< 0 of none */
    double
        m2; /**< sum of the squared distances from the mean: m2 / n is the variance, m2 / (n - 1) that of a sample */
} fm_moments;

/**
 * Combines two values, of which `from` belongs to later items. It must be associative as far as the caller cares; it need
 * not be commutative. Returns 0, or any other value to fail the item.
 * @param into  a value, to be updated; aligned as a row of an array of its own
 * @param from  a packed row, or a value
 * @param arg   of the options
 */
typedef int fm_combine_fn(void *into, const void *from, void *arg);

#define FM_COMPENSATED 1u /**< reduction flag: FM_SUM of floats and complex by Neumaier's method */
#define FM_EXCLUSIVE   2u /**< scan flag: row i is the value of the items before i */

/**
 * @def FM_REDUCE_OPTS
 * Options by name, the others 0: `FM_REDUCE_OPTS(.flags = FM_COMPENSATED, .map = {.retries = 2})`.
 */
/** Options of reductions and scans. */
typedef struct fm_reduce_opts {
    /** Set by FM_REDUCE_OPTS(). */
    size_t struct_size;
    unsigned flags;         /**< FM_COMPENSATED, FM_EXCLUSIVE */
    fm_combine_fn *combine; /**< FM_COMBINE; a function of any loaded module */
    /** FM_COMBINE: a row that changes no value it is combined with. Read before the call returns, anywhere in memory. */
    const void *identity;
    double lo;    /**< FM_HISTOGRAM: lower end, finite */
    double hi;    /**< FM_HISTOGRAM: upper end, finite, above lo */
    int64_t bins; /**< FM_HISTOGRAM: parts, 1 .. 2^20 */
    fm_array
        *rows; /**< fm_pool_map_reduce(): gets the function's results; NULL: they are not kept */
    uint64_t reserved[4]; /**< 0 */
    /**
     * As of a map; struct_size is not looked at. `arg` is also the third parameter of `combine`. `chunk` counts for the function of
     * fm_pool_map_reduce() only, and FM_IN_PLACE is refused.
     */
    fm_map_opts map;
} fm_reduce_opts;
#define FM_REDUCE_OPTS(...) FM_OPTS(fm_reduce_opts, __VA_ARGS__)

/**
 * Reduces the rows of `in` to one value.
 * @param pool          an open pool
 * @param in            array in the heap, shape (n) or (n, 1, ...), of any number dtype, or (FM_COMBINE) of any shape and dtype. A column of
 *                      a table is a view of shape (n, 1)
 * @param op            an fm_reduce_op
 * @param result        anywhere in memory
 * @param result_bytes  [bytes] of `result`: what `op` says
 * @param opts          FM_REDUCE_OPTS(...), or NULL
 * @return 0; `-ENODATA` no item, and the operation has no value of none; `-EINVAL` unknown operation or option, a dtype or shape that it is
 *         not for, a result of another size, NULL; otherwise as fm_pool_map()
 * State after an error: `result` is as it was. But with FM_ON_ERROR_CONTINUE and a code of items (FM_ETASK, FM_ECRASHED, FM_ETIMEOUT,
 *   FM_EOOM) it is that of all other items, if there were fewer failures than max_failures; of no other items: as it was.
 * Policy: as a map with a chunk function of a block of items at most (4096 or more). A `combine` that fails is blamed on the item that was to
 *   be added; where values of blocks are combined, on the first item of the later block.
 * Memory: some 400 bytes for each block, 64 MiB at most, from the heap.
 * Blocks / thread-safety: as fm_pool_map(). Inside a function it runs inline, with the same bits.
 * Source: functools.reduce, numpy.sum, MPI_Reduce; Neumaier, ZAMM 54 (1974), 39-51; Chan, Golub, LeVeque, The American
 *   Statistician 37 (1983), 242-247.
 */
FM_API FM_NODISCARD int fm_pool_reduce(fm_pool *pool, fm_array *in, int op, void *result,
                                       size_t result_bytes, const fm_reduce_opts *opts);

/**
 * Maps an item function and reduces its results.
 * @param pool          an open pool
 * @param fn            as for fm_pool_map(); its result is one value of `dtype`
 * @param in            as for fm_pool_map()
 * @param dtype         of what `fn` writes; for FM_COMBINE any, FM_STRUCT() too
 * @param op            an fm_reduce_op
 * @param result        anywhere in memory
 * @param result_bytes  [bytes] of `result`: what `op` says
 * @param opts          FM_REDUCE_OPTS(...), or NULL
 * @return as fm_pool_reduce()
 * State after an error: as fm_pool_reduce(): what it says of other items holds for those whose function failed.
 * Policy: the function runs as by fm_pool_map(): records, retries, limits, status and progress mean its items. Then its results are reduced.
 * Memory: a result of each item at once, from the heap: in an array that is freed again, or in `rows` of the options, of dtype `dtype` and
 *   shape (n), which may be a mapped file. With FM_ON_ERROR_CONTINUE and no `status`, a byte for each item.
 * Blocks / thread-safety: as fm_pool_map(); inside a function it runs inline, with the same bits.
 * Source: Dean, Ghemawat, MapReduce, OSDI 2004.
 */
FM_API FM_NODISCARD int fm_pool_map_reduce(fm_pool *pool, fm_item_fn *fn, fm_array *in,
                                           fm_dtype dtype, int op, void *result,
                                           size_t result_bytes, const fm_reduce_opts *opts);

/**
 * fm_pool_map_reduce() over the numbers begin .. end-1, each an int64_t. FM_ARGMIN and FM_ARGMAX give the item, counted from 0.
 * @param pool          an open pool
 * @param fn            as for fm_pool_map()
 * @param begin         first number
 * @param end           bound that is not reached, >= begin
 * @param dtype         of what `fn` writes
 * @param op            an fm_reduce_op
 * @param result        anywhere in memory
 * @param result_bytes  [bytes] of `result`: what `op` says
 * @param opts          FM_REDUCE_OPTS(...), or NULL
 * @return as fm_pool_reduce()
 * State after an error: as fm_pool_map_reduce().
 * Blocks / thread-safety: as fm_pool_map_reduce().
 */
FM_API FM_NODISCARD int fm_pool_map_range_reduce(fm_pool *pool, fm_item_fn *fn, int64_t begin,
                                                 int64_t end, fm_dtype dtype, int op, void *result,
                                                 size_t result_bytes, const fm_reduce_opts *opts);

/**
 * Running values: row i of `out` is the value of the rows 0 .. i of `in`; with FM_EXCLUSIVE of the rows before i.
 * @param pool  an open pool
 * @param in    as for fm_pool_reduce()
 * @param op    FM_SUM, FM_PROD, FM_MIN, FM_MAX or FM_COMBINE
 * @param out   array in the heap with as many rows, of the dtype that the result of a reduction has (FM_I64, FM_U64, FM_F64, FM_C128, or the
 *              rows' own); must not overlap `in`
 * @param opts  FM_REDUCE_OPTS(...), or NULL
 * @return 0; `-EINVAL` as fm_pool_reduce(), or another dtype of `out`, FM_COMPENSATED, FM_ON_ERROR_CONTINUE (a failed item leaves those
 *         behind it without a value); otherwise as fm_pool_map()
 * State after an error: `out` is undefined. A `-EINVAL` changed nothing.
 * Policy: each block is reduced, values of blocks are combined from left to right, and each block is gone through again from the value before
 *   it. So a row of floats may differ from fm_pool_reduce() of the same items in its last bits, and sums of positive numbers may step
 *   down by a rounding where a block begins. Progress is that of the last pass. Before the first item an exclusive minimum is the
 *   largest value of the dtype (infinity), a maximum the smallest.
 * Blocks / thread-safety: as fm_pool_map(); inside a function it runs inline, with the same bits.
 * Source: itertools.accumulate, numpy.cumsum, MPI_Scan, MPI_Exscan; Blelloch, Prefix Sums and Their Applications, 1990.
 */
FM_API FM_NODISCARD int fm_pool_scan(fm_pool *pool, fm_array *in, int op, fm_array *out,
                                     const fm_reduce_opts *opts);

/**
 * Copies the rows that a function wants to keep, in the order of their items.
 * @param pool    an open pool
 * @param keep    an item function whose result is an `int`: 0 drops the row, any other value keeps it
 * @param in      array in the heap, shape (n, ...), any order
 * @param out     array in the heap with the dtype and row shape of `in` and room for the kept rows; must not overlap `in`; NULL: they are
 *                counted only. Rows behind the kept ones are left alone
 * @param n_kept  gets the number of kept rows, anywhere in memory
 * @param opts    FM_MAP_OPTS(...), or NULL; FM_IN_PLACE is refused
 * @return 0; `-ENOBUFS` `out` has fewer rows than are kept: *n_kept says how many are needed; `-EINVAL` another dtype or row shape,
 *         overlap, NULL; otherwise as fm_pool_map()
 * State after an error: *n_kept is 0 and `out` is undefined; after `-ENOBUFS` and `-EINVAL` it is as it was. But with
 *   FM_ON_ERROR_CONTINUE and a code of items (as fm_pool_reduce()) failed items are dropped, and all is done for the others.
 * Policy: `keep` runs as by fm_pool_map(): records, retries, limits, status and progress mean its items.
 * Memory: 4 bytes for each item, from the heap; with FM_ON_ERROR_CONTINUE and no `status` 5.
 * Blocks / thread-safety: as fm_pool_map(); inside a function it runs inline.
 * Source: filter(); numpy.compress.
 */
FM_API FM_NODISCARD int fm_pool_filter(fm_pool *pool, fm_item_fn *keep, fm_array *in, fm_array *out,
                                       int64_t *n_kept, const fm_map_opts *opts);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
