/* SPDX-License-Identifier: MIT */
#ifndef FMC_WORK_H
#define FMC_WORK_H

#include "options.h"

/*
 * Does what `forkmap map` (run = 0) or `forkmap run` (run = 1) was asked for, in this order: check words, open inputs,
 * check shapes, reserve the output, open the pool, map, verify, write the output, compare. Returns the exit code.
 */
int fmc_work(const struct fmc_options *options, int run);

#endif
