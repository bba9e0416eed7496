/* SPDX-License-Identifier: MIT */
#ifndef FMC_EXPRESSION_H
#define FMC_EXPRESSION_H

/* `forkmap map -e`: from the text of an expression to a chunk function that is loaded. */

#include "cache.h"
#include "expr.h"
#include "expr_source.h"
#include "function.h"

struct fmc_expression {
    struct fmc_expr expr;
    struct fmc_cache cache;
};

/*
 * Reads the text and what a row of the output is: `out_spec` may be NULL (f8), or lack the shape, which is then as many
 * numbers as there are results. Returns 0, FMC_USAGE or FMC_ENVIRONMENT; it has said why. Release it in any case.
 */
int fmc_expression_parse(struct fmc_expression *x, const char *text, int n_inputs,
                         const struct fmk_param *args, const char *out_spec, struct fmc_rows *rows);

/* Checks the inputs, and takes the function from the cache or compiles it. The same codes. */
int fmc_expression_load(struct fmc_expression *x, struct fmc_function *f,
                        const struct fmc_expr_inputs *in, const struct fmc_rows *rows);

/* Checks the inputs, and prints what fmc_expression_load() would compile. The same codes. */
int fmc_expression_print(const struct fmc_expression *x, const struct fmc_expr_inputs *in,
                         const struct fmc_rows *rows);

void fmc_expression_release(struct fmc_expression *x);

#endif
