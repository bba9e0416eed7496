/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_KERNELS_H
#define FORKMAP_KERNELS_H

/*
 * The shipped kernels: one table, and one way to run each of them serially, under OpenMP and in a
 * pool, from the same object code.
 *
 * A kernel is `void range(int64_t begin, int64_t end, const void *ctx)`: it computes items
 * [begin, end) of a problem whose inputs, outputs and parameters `ctx` points to. The context and
 * all that it points to lie in the shared heap, so that a worker runs the very same call.
 *
 *     struct fmk_problem p;
 *     fmk_prepare(&p, fmk_find("docking"), NULL, NULL, 0);
 *     fmk_run_serial(&p);  p.kernel->verify(&p, text, sizeof text);
 *     fmk_release(&p);
 */

#include <forkmap/forkmap.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMK_MAX_PARAMS  8
#define FMK_MAX_COLUMNS 4
#define FMK_ANY_LENGTH  0

typedef void fmk_range_fn(int64_t begin, int64_t end, const void *ctx);

/* In a kernel's table: the default. From a user: help is NULL. */
struct fmk_param {
    const char *key, *value, *help;
};

struct fmk_column {
    const char *name;
    fm_dtype dtype;
    int row_ndim;         /* axes below axis 0 */
    int64_t row_shape[2]; /* FMK_ANY_LENGTH: given by the input */
};

struct fmk_problem;

struct fmk_kernel {
    const char *name, *summary, *source; /* source: where the method comes from */
    const char *cost;                    /* "[flop] and [bytes] per item" in words */
    const char *result;                  /* the output in words: dtype, row, meaning, [unit] */
    /* 0: runs over a range. The parameter "n" is its length, unless bind sets another p->n. */
    int n_columns;
    int64_t grain; /* items that cost no more together than one: the chunk when none is asked for */
    struct fmk_column columns[FMK_MAX_COLUMNS];
    struct fmk_param params[FMK_MAX_PARAMS]; /* ends with a NULL key */
    fmk_range_fn *range;
    /* Opens the default input columns. NULL when n_columns is 0. `params` is complete. */
    int (*default_input)(const struct fmk_param *params, fm_array **columns);
    /* Given p->n, columns and complete params: creates p->out, p->memory and p->ctx in the heap. */
    int (*bind)(struct fmk_problem *p, const struct fmk_param *params);
    /*
     * NULL: one pass over all items. Else the fmk_run_ functions call it before each pass, with the
     * number of those that are done: it makes the next one ready, and returns 1, or 0 after the
     * last. After 0 passes it starts anew.
     */
    int (*next_pass)(struct fmk_problem *p, int64_t n_done);
    /*
     * Checks p->out against something that was not computed by `range`. Writes a line of text.
     * Returns 0 right, 1 wrong, 2 no reference for this input, or an error < 0.
     */
    int (*verify)(const struct fmk_problem *p, char *text, size_t cap);
};

struct fmk_problem {
    const struct fmk_kernel *kernel;
    int64_t n; /* items */
    fm_array *columns[FMK_MAX_COLUMNS];
    fm_array *out;
    fm_array *memory; /* the bytes that ctx and its tables lie in */
    void *ctx;
    int owns_columns; /* 1: the default input, destroyed by fmk_release() */
};

const struct fmk_kernel *const *fmk_kernels(int *n); /* the table: n pointers */
const struct fmk_kernel *fmk_find(const char *name); /* NULL: no such kernel */

/*
 * Prepares a problem. `columns` NULL: the default input. `params`: the user's, ends with a NULL
 * key, may be NULL; an unknown key or bad value is -EINVAL with a detail. Shapes and dtypes of
 * given columns are checked (-EINVAL). Given columns stay the caller's and must live until the
 * release. Other errors are those of fm_raw_load() and fm_array_create(). After an error nothing is
 * left, and a release does no harm.
 */
FM_NODISCARD int fmk_prepare(struct fmk_problem *p, const struct fmk_kernel *kernel,
                             const struct fmk_param *params, fm_array *const *columns,
                             int n_columns);
void fmk_release(struct fmk_problem *p); /* destroys out, ctx, and owned columns */

/*
 * What the last fmk_ call of this thread that failed had to say, or fm_error_detail() if the
 * library failed.
 */
const char *fmk_error_detail(void);

/* Each runs the whole problem, pass by pass: every row of p->out is written. 0, or an error < 0. */
int fmk_run_serial(struct fmk_problem *p);
/*
 * schedule: "static" (the default: NULL), "dynamic" or "guided"; chunk 0: one even piece per thread
 * for static, the kernel's grain for the others. threads 0: the runtime's default. -EINVAL with a
 * detail.
 */
int fmk_run_openmp(struct fmk_problem *p, int threads, const char *schedule, int64_t chunk);
/*
 * Ends the OpenMP runtime's threads: afterwards none of them spins while something else is timed,
 * and a process forked from this one may use OpenMP itself (libgomp hangs there otherwise).
 */
void fmk_pause_openmp(void);
/*
 * As fm_pool_map_chunks(), whose codes it returns; one map per pass, and none after a failed one.
 * The pool must have been opened after the kernels were loaded. opts may be NULL; arg and arg_bytes
 * are replaced; chunk 0 becomes the kernel's grain where that is more than 1, except for
 * FM_SCHEDULE_STATIC.
 */
int fmk_run_forkmap(struct fmk_problem *p, fm_pool *pool, const fm_map_opts *opts);

#ifdef __cplusplus
}
#endif
#endif
