/* SPDX-License-Identifier: MIT */
#ifndef FMC_EXPR_H
#define FMC_EXPR_H

/*
 * The EXPR of `forkmap map -e`: a C expression over x0, x1, ... (x is x0), the elements of the inputs' rows, `i`, the
 * number of the item from 0, and the --arg by name. All of these are doubles (complex for a complex input). An element of a
 * longer row is x0[2], or x0[1][2]. n0, n1, ... are the same items as the whole numbers that the files hold. Several results are separated by semicolons.
 *
 * Names and brackets are checked here, so that nothing but expressions of known names gets to the compiler. What is left to
 * it keeps its columns: the code has the length of the text, and its errors can be shown at the text.
 */

#include "kernels.h"

struct fmc_expr_part {
    int begin, length; /* in text and code */
};

struct fmc_expr_element {
    struct fmc_expr_part name; /* "x0[1][2]" in the text, "x0_1__2_" in the code */
    int input;
    int is_whole; /* n0 instead of x0 */
    int n_index;
    int64_t index[FM_MAX_DIMS - 1];
};

struct fmc_expr {
    char *text; /* as typed, with blanks for white space */
    char *code; /* the same in C */
    struct fmc_expr_part *results;
    int n_results;
    struct fmc_expr_element *elements; /* in the order of the text, each as often as it is there */
    int n_elements;
    const struct fmk_param *args; /* the user's; all are used */
    double *values;               /* their numbers */
    int n_args;
    int uses_item;    /* `i` */
    int uses_complex; /* I, or a function of <complex.h> */
    int leaves_open; /* a shift, or a cast to whole numbers: C does not say what becomes of all numbers */
};

/*
 * Checks the text. `args` ends with a NULL key and must live as long as the expression. Returns 0, FMC_USAGE or
 * FMC_ENVIRONMENT; it has said why. Release it in any case.
 */
int fmc_expr_parse(struct fmc_expr *e, const char *text, int n_inputs,
                   const struct fmk_param *args);

/* Says what is wrong at text[at], with the text and a caret below it. `hint` may be NULL. Returns FMC_USAGE. */
int fmc_expr_refuse(const struct fmc_expr *e, int at, const char *hint, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

void fmc_expr_release(struct fmc_expr *e);

#endif
