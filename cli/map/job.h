/* SPDX-License-Identifier: MIT */
#ifndef FMC_JOB_H
#define FMC_JOB_H

/* What is to be mapped over what: the command line's words turned into a function and arrays. */

#include "expression.h"
#include "function.h"
#include "input.h"
#include "options.h"
#include "output.h"

struct fmc_job {
    const struct fmc_options *options;
    struct fmc_function function;
    struct fmc_expression expression; /* -e only */
    struct fmc_input inputs[FM_MAX_COLUMNS];
    int n_inputs;
    struct fmc_rows rows;
    struct fmk_problem problem; /* kernels; its out is `out` */
    int prepared;               /* the problem is to be released */
    int64_t n;                  /* items */
    fm_array *out;              /* NULL: none */
    fm_array *status;           /* u8 per item, --on-error continue only */
    struct fmc_seen seen_in[FM_MAX_COLUMNS], seen_out, seen_status; /* before the map */
    char *arg; /* "key=value\n..." for a function of the user's own; an expression's argument */
    size_t arg_bytes;
};

/*
 * Checks all words, then opens the inputs, then checks their shapes. `run`: a kernel on its default input. Returns 0, FMC_USAGE or
 * FMC_ENVIRONMENT; it has said why. Release it in any case.
 */
int fmc_job_prepare(struct fmc_job *job, const struct fmc_options *options, int run);

/* Makes the output's array and reserves its file, if there are to be any; and the items' states. As fmc_job_prepare(). */
int fmc_job_open_output(struct fmc_job *job, struct fmc_output *output);

/* The options' map options with this job's argument, without progress. */
fm_map_opts fmc_job_map_opts(const struct fmc_job *job);

/* Maps. Returns what the library's map returns. */
int fmc_job_map(struct fmc_job *job, fm_pool *pool, fm_map_opts *opts);

/* 1 if the arrays' descriptors are as they were before the map. */
int fmc_job_is_intact(const struct fmc_job *job);

/* What lies in shared memory: not if that cannot be trusted, it ends with the command. */
void fmc_job_release_arrays(struct fmc_job *job);
/* The rest. */
void fmc_job_release(struct fmc_job *job);

#endif
