/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_KERNELS_H
#define FORKMAP_KERNELS_H

/*
 * The kernels: one table of those that are shipped and those of loaded libraries, and one way to run
 * each of them serially, under OpenMP and in a pool, from the same object code.
 *
 * <forkmap/kernel.h> says what a kernel is, and how a library brings kernels of its own.
 *
 *     struct fmk_problem p;
 *     fmk_prepare(&p, fmk_find("docking"), NULL, NULL, 0);
 *     fmk_run_serial(&p);  p.kernel->verify(&p, text, sizeof text);
 *     fmk_release(&p);
 */

#include <forkmap/forkmap.h>
#include <forkmap/kernel.h>

#ifdef __cplusplus
extern "C" {
#endif

const struct fmk_kernel *const *fmk_kernels(int *n); /* the table: n pointers, shipped ones first */
const struct fmk_kernel *fmk_find(const char *name); /* NULL: no such kernel */

/*
 * Adds the kernels of a library to the table, all or none, until the process ends; so must `path`,
 * where they come from. The entries are checked: -EINVAL with a detail for another version, a name
 * that is taken, an entry that is not complete. -ENOSPC: more than a thousand. Before threads or pools use the table.
 */
FM_NODISCARD int fmk_plugin_add(const struct fmk_plugin *plugin, const char *path);
const char *fmk_origin(const struct fmk_kernel *kernel); /* its library's path, NULL if shipped */

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
