/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_KERNEL_H
#define FORKMAP_KERNEL_H

/**
 * @file kernel.h
 * A kernel of your own for the `forkmap` command.
 */
/**
 * @defgroup fm_kernels Kernels of the command
 * A kernel of your own for the `forkmap` command: it knows its input, its parameters and how to check
 * its results, so the command can list, run, verify it, and compare it with OpenMP.
 *
 * A kernel is a function that computes items [begin, end) of a problem, and an entry that says how a
 * problem is made. A shared library (.so) exports one table of them:
 *
 *     static const struct fmk_kernel square = {.name = "square", ..., .range = range, .bind = bind, ...};
 *     FMK_PLUGIN(&square);
 *
 *     cc -O2 -shared -fPIC square.c -o square.so
 *     forkmap kernels --load ./square.so
 *     forkmap run square --load ./square.so --verify --compare
 *     forkmap map square --load ./square.so in.npy -o out.npy
 *
 * `forkmap new kernel NAME` writes one to start from. The library is loaded before the workers are
 * forked, so they have its code at the same addresses; the same object code runs serially, under OpenMP
 * and in the workers.
 *
 * It may call every function of array.h, machine.h, status.h and log.h, and those that are declared
 * here. The command has them all, so nothing needs to be linked (and `-Wl,-z,defs`, which forbids
 * that, not be given).
 * @{
 */

#include <forkmap/array.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FMK_MAX_PARAMS  8 /**< the last entry is the end, so 7 parameters at most */
#define FMK_MAX_COLUMNS 4 /**< inputs of a kernel */
#define FMK_ANY_LENGTH  0 /**< in row_shape: the input says how long */

/**
 * Computes items [begin, end), 0 <= begin <= end <= n, of the problem that `ctx` points to (the
 * problem's `ctx`), and writes every row of the result that belongs to them, and nothing else.
 *
 * Runs in workers, in OpenMP's threads and in the caller, each for other items, and may run again for
 * items whose worker died: it must not depend on what it wrote before. Whatever the cut, an item's
 * bits should be the same: then they are for any number of workers.
 */
typedef void fmk_range_fn(int64_t begin, int64_t end, const void *ctx);

/** A parameter: `--arg key=value`. In a kernel's entry `value` is the default. */
struct fmk_param {
    const char *key;   /**< NULL: the end of a list */
    const char *value; /**< never NULL */
    const char *help;  /**< one line, shown by `forkmap kernels` */
};

/** An input: its rows are the items. */
struct fmk_column {
    const char *name;     /**< shown by `forkmap kernels`, and in messages */
    fm_dtype dtype;       /**< of its elements; an input of another is refused */
    int row_ndim;         /**< axes of a row, 0 .. 2; 0 is one element */
    int64_t row_shape[2]; /**< their lengths [elements], or FMK_ANY_LENGTH */
};

struct fmk_problem;

/** A kernel's entry. All texts must be there; they are shown by `forkmap kernels`. */
struct fmk_kernel {
    const char *name;    /**< letters, digits, '_' and '-'; no other kernel has it */
    const char *summary; /**< one line */
    const char *source;  /**< where the method comes from */
    const char *cost;    /**< "[flop] and [bytes] per item" in words */
    const char *result;  /**< the output in words: dtype, row, meaning, [unit] */
    /** 0: runs over a range. The parameter "n" is its length, unless bind sets another p->n. */
    int n_columns;
    /** Items that cost no more together than one, 1 or more: the chunk when none is asked for. */
    int64_t grain;
    struct fmk_column columns[FMK_MAX_COLUMNS]; /**< the first n_columns count */
    struct fmk_param params[FMK_MAX_PARAMS];    /**< ends with a NULL key */
    fmk_range_fn *range;                        /**< the computation */
    /**
     * Makes the columns of `forkmap run`. NULL when n_columns is 0. `params` is complete: each key has
     * the user's value or the default. Columns that it made before an error are destroyed for it.
     * @return 0, or an error < 0 (fmk_error() adds what was wrong)
     */
    int (*default_input)(const struct fmk_param *params, fm_array **columns);
    /**
     * Given p->n, p->columns and complete params: makes p->out, whose axis 0 has n rows, and p->ctx.
     * The context and all that it points to must lie in the shared heap: fmk_memory_create(), and the
     * data of arrays. What it made before an error is destroyed for it.
     * @return 0, or an error < 0
     */
    int (*bind)(struct fmk_problem *p, const struct fmk_param *params);
    /**
     * NULL: one pass over all items. Else the caller of the run calls it before each pass, with the
     * number of those that are done: it makes the next one ready, from p->out and what the context
     * points to, and starts anew when none is done.
     * @return 1 ready, 0 all passes are done, or an error < 0
     */
    int (*next_pass)(struct fmk_problem *p, int64_t n_done);
    /**
     * Checks p->out against something that was not computed by `range`, and writes a line of text.
     * @return 0 right, 1 wrong, 2 no reference for this input (the command then compares with a serial
     *         run), or an error < 0
     */
    int (*verify)(const struct fmk_problem *p, char *text, size_t cap);
};

/** One problem. The command fills kernel, n, columns; bind the rest. */
struct fmk_problem {
    const struct fmk_kernel *kernel; /**< its entry */
    int64_t n;                       /**< items */
    fm_array
        *columns[FMK_MAX_COLUMNS]; /**< the inputs, n rows each; may be views with any strides */
    fm_array *out;                 /**< the result, n rows */
    fm_array *memory;              /**< the bytes that ctx and its tables lie in */
    void *ctx;                     /**< what `range` gets */
    int owns_columns;              /**< 1: the default input, destroyed with the problem */
};

/**
 * The value of a parameter as text.
 * @param params  complete parameters, as default_input and bind get them
 * @param key     the key in the kernel's entry
 * @return the value, NULL if the entry has no such key
 * Blocks / thread-safety: never; any thread.
 */
FM_API const char *fmk_param_text(const struct fmk_param *params, const char *key);

/**
 * The value of a parameter as whole number.
 * @param params  complete parameters, as default_input and bind get them
 * @param key     the key in the kernel's entry
 * @param min     the least that is allowed
 * @param max     the most that is allowed
 * @param out     the number
 * @return 0, or `-EINVAL` with a detail that has the bounds
 * Blocks / thread-safety: never; any thread.
 */
FM_API FM_NODISCARD int fmk_param_int(const struct fmk_param *params, const char *key, int64_t min,
                                      int64_t max, int64_t *out);

/**
 * The value of a parameter as finite number.
 * @param params  complete parameters, as default_input and bind get them
 * @param key     the key in the kernel's entry
 * @param out     the number
 * @return 0, or `-EINVAL` with a detail
 * Blocks / thread-safety: never; any thread.
 */
FM_API FM_NODISCARD int fmk_param_real(const struct fmk_param *params, const char *key,
                                       double *out);

/**
 * Zeroed bytes in the shared heap, aligned to 64: p->memory and, pointing to them, p->ctx.
 * @param p      the problem that bind makes
 * @param bytes  of the context and the tables behind it [bytes]
 * @return as fm_array_zeros()
 * State after an error: as it was.
 * Blocks / thread-safety: as fm_array_create().
 */
FM_API FM_NODISCARD int fmk_memory_create(struct fmk_problem *p, size_t bytes);

/**
 * Notes what was wrong, for the command's message: `return fmk_error(-EINVAL, "n=%d: ...", n);`
 * @param code    an error < 0
 * @param format  as of printf(), with what follows it
 * @return `code`
 * Blocks / thread-safety: never; one text per thread.
 */
FM_API int fmk_error(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** What a library exports under the name `fmk_plugin`; FMK_PLUGIN() defines it. */
struct fmk_plugin {
    uint32_t version;                        /**< FMK_PLUGIN_VERSION */
    uint32_t kernel_bytes;                   /**< size of struct fmk_kernel [bytes] */
    uint32_t problem_bytes;                  /**< size of struct fmk_problem [bytes] */
    uint32_t n_kernels;                      /**< entries in `kernels` */
    const struct fmk_kernel *const *kernels; /**< pointers to the entries */
};
#define FMK_PLUGIN_VERSION 1 /**< of the structs and what they mean */

/** The library's table. */
extern FM_API const struct fmk_plugin fmk_plugin;

/** At file scope, once in a library: FMK_PLUGIN(&kernel, ...); exports these kernels. */
#define FMK_PLUGIN(...)                                                                            \
    static const struct fmk_kernel *const fmk_plugin_kernels[] = {__VA_ARGS__};                    \
    const struct fmk_plugin fmk_plugin = {                                                         \
        FMK_PLUGIN_VERSION, (uint32_t)sizeof(struct fmk_kernel),                                   \
        (uint32_t)sizeof(struct fmk_problem),                                                      \
        (uint32_t)(sizeof fmk_plugin_kernels / sizeof fmk_plugin_kernels[0]), fmk_plugin_kernels}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
