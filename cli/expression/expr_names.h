/* SPDX-License-Identifier: MIT */
#ifndef FMC_EXPR_NAMES_H
#define FMC_EXPR_NAMES_H

/* The names that an expression may use, beside its inputs, `i` and the --arg. */

enum fmc_expr_name {
    FMC_EXPR_UNKNOWN = 1,
    FMC_EXPR_FUNCTION,         /* of <math.h>, also with the suffix f: sqrt, sqrtf */
    FMC_EXPR_COMPLEX_FUNCTION, /* of <complex.h> */
    FMC_EXPR_CONSTANT,         /* of fmc_expr_constants[], or a macro of <math.h> */
    FMC_EXPR_COMPLEX_CONSTANT, /* I */
    FMC_EXPR_TYPE              /* for casts: double, int64_t */
};

/* Which kind of name it is. */
enum fmc_expr_name fmc_expr_name_kind(const char *name);

/* What C lacks: pi, inf, nan. An --arg may take such a name for itself. */
struct fmc_expr_constant {
    const char *name, *value; /* value: C text; the table ends with a NULL name */
};
extern const struct fmc_expr_constant fmc_expr_constants[];

/* 1 for a word that C or the generated source needs for itself, so that no --arg can have it as its name. */
int fmc_expr_is_reserved(const char *name);

/* What to write instead of a name that other languages have, as "fabs(x)" for abs; NULL if there is nothing to say. */
const char *fmc_expr_instead_of(const char *name);

/* The nearest known name, NULL if none is near. */
const char *fmc_expr_nearest(const char *name);

#endif
