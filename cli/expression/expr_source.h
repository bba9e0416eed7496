/* SPDX-License-Identifier: MIT */
#ifndef FMC_EXPR_SOURCE_H
#define FMC_EXPR_SOURCE_H

/*
 * The chunk function that an expression becomes, as C text that needs no header of forkmap's. What differs from map to map
 * with the same text (where an element lies in a row, the --arg, the first number of a range) reaches it through its argument.
 */

#include "expr.h"
#include "input.h"
#include "output.h"

/* Names of the parts in what the compiler says: expression k is the file "expression", line k + 1. */
#define FMC_EXPR_FILE "expression"
/* The function is called so in the text; the compiler is told its real name by -D. */
#define FMC_EXPR_ENTRY "FM_ENTRY"

struct fmc_expr_inputs {
    const struct fmc_input *inputs; /* opened */
    int n;
    int64_t n_items;
};

/* Refuses inputs and outputs that an expression cannot take. Returns 0 or FMC_USAGE; it has said why. */
int fmc_expr_check_types(const struct fmc_expr *e, const struct fmc_expr_inputs *in,
                         const struct fmc_rows *rows);

/* Writes the text. It is to be freed; NULL: no memory. */
char *fmc_expr_source(const struct fmc_expr *e, const struct fmc_expr_inputs *in,
                      const struct fmc_rows *rows);

/* The argument's bytes, to be freed; NULL: no memory. */
char *fmc_expr_argument(const struct fmc_expr *e, const struct fmc_expr_inputs *in, size_t *bytes);

#endif
