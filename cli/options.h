/* SPDX-License-Identifier: MIT */
#ifndef FMC_OPTIONS_H
#define FMC_OPTIONS_H

/* The options that `map` and `run` share, as one argp child. */

#include "kernels.h"
#include "pick.h"

#include <argp.h>

enum fmc_show { FMC_SHOW_AUTO = 1, FMC_SHOW_ALWAYS, FMC_SHOW_NEVER };

struct fmc_options {
    const char *function;
    const char *inputs[FM_MAX_COLUMNS];
    int n_inputs;
    const char *output;   /* -o, NULL: none */
    const char *out_spec; /* --out, NULL: none */
    const char *failures; /* --failures, NULL: none */
    const char *joblog;   /* --joblog, NULL: none */
    const char **loads;   /* --load in the order given */
    int n_loads;
    struct fmk_param *args; /* --arg in the order given; ends with a NULL key */
    int n_args;
    fm_pool_opts pool;
    fm_map_opts map;
    struct fmc_pick pick;
    int chunk_fn, star;
    int expression;   /* -e: `function` is its text */
    int print_source; /* of the expression, instead of a map */
    int verify, compare, repeats, has_repeats;
    int json, quiet, progress; /* progress: an fmc_show */
};

/* Its parser takes a struct fmc_options as input. */
extern const struct argp fmc_options_argp;

/* 1 if results or records go to the standard output, where nothing else may stand then. */
int fmc_options_writes_stdout(const struct fmc_options *o);

/* Defaults; `argc` bounds the number of --arg and --load. Returns 0 or -ENOMEM; to be ended in any case. */
int fmc_options_init(struct fmc_options *o, int argc);
void fmc_options_fini(struct fmc_options *o);

#endif
