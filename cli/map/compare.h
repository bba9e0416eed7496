/* SPDX-License-Identifier: MIT */
#ifndef FMC_COMPARE_H
#define FMC_COMPARE_H

/*
 * --compare: the same kernel as a serial loop, under OpenMP (static, as many threads as the pool has workers) and in
 * the pool, in turn, round by round; medians are printed.
 */

#include "job.h"

/*
 * The pool must have been opened before: a child that is forked after an OpenMP region cannot use OpenMP.
 * Overwrites the job's output. Returns 0, FMC_SOME_FAILED (the three do not give the same bits),
 * FMC_ENVIRONMENT, or FMC_SIGNALLED + the signal that asked to stop.
 */
int fmc_compare(struct fmc_job *job, fm_pool *pool);

#endif
