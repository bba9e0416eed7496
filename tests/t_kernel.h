/* SPDX-License-Identifier: MIT */
#ifndef T_KERNEL_H
#define T_KERNEL_H

/* Short hands for tests of kernels: each asserts, so none may be used in a child. */
#include "t.h"

#include "kernels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Parameters as {"key", "value", NULL}, ... */
#define T_PARAMS(...) ((const struct fmk_param[]){__VA_ARGS__, {NULL, NULL, NULL}})

/* `columns` NULL: the default input. */
static inline void t_prepare(struct fmk_problem *p, const char *name,
                             const struct fmk_param *params, fm_array **columns, int n_columns)
{
    const int e = fmk_prepare(p, fmk_find(name), params, columns, n_columns);
    if (e != 0)
        fail_msg("%s: %s: %s", name, fm_errname(e), fmk_error_detail());
}

/* So that a result which is not written cannot be right. */
static inline void t_poison(struct fmk_problem *p)
{
    memset(fm_array_data(p->out), 0xEE, fm_array_bytes(p->out));
}

/* The serial result, a copy to be freed. */
static inline void *t_serial_result(struct fmk_problem *p)
{
    void *copy = malloc(fm_array_bytes(p->out) + 1);
    assert_non_null(copy);
    t_poison(p);
    assert_int_equal(fmk_run_serial(p), 0);
    memcpy(copy, fm_array_data(p->out), fm_array_bytes(p->out));
    return copy;
}

static inline void t_assert_same_bits(const struct fmk_problem *p, const void *expected)
{
    if (memcmp(fm_array_data(p->out), expected, fm_array_bytes(p->out)) != 0)
        fail_msg("%s: other bits than the serial loop's", p->kernel->name);
}

/* Runs serially and checks: 0 right, 1 wrong, 2 nothing to compare with. */
static inline int t_run_and_verify(struct fmk_problem *p, char *text, size_t cap)
{
    t_poison(p);
    assert_int_equal(fmk_run_serial(p), 0);
    return p->kernel->verify(p, text, cap);
}

/* The problem cannot be prepared, and the detail says why. */
static inline void t_assert_refused(const char *name, const struct fmk_param *params, int code,
                                    const char *reason)
{
    struct fmk_problem p;
    const int e = fmk_prepare(&p, fmk_find(name), params, NULL, 0);
    if (e != code || strstr(fmk_error_detail(), reason) == NULL)
        fail_msg("%s: %s \"%s\", and not \"%s\"", name, fm_errname(e), fmk_error_detail(), reason);
    assert_null(p.out);
    fmk_release(&p);
}

#endif
