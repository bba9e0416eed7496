/* SPDX-License-Identifier: MIT */
#ifndef T_KERNEL_H
#define T_KERNEL_H

/* Short hands for tests of kernels: each asserts, so none may be used in a child. */
#include "t.h"

#include "kernels.h"

#include <errno.h>
#include <stdio.h>
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

/* For kernels of one column. `column` NULL: the default input. */
static inline void t_open(struct fmk_problem *p, const char *name, const struct fmk_param *params,
                          fm_array *column)
{
    t_prepare(p, name, params, column != NULL ? &column : NULL, column != NULL);
}

static inline void t_run(struct fmk_problem *p)
{
    t_poison(p);
    assert_int_equal(fmk_run_serial(p), 0);
}

/* 0 right, 1 wrong, 2 no reference. */
static inline int t_verify(const struct fmk_problem *p)
{
    char text[240] = "";
    const int verdict = p->kernel->verify(p, text, sizeof text);
    assert_true(strlen(text) > 0);
    return verdict;
}

/* 1 if verify says that the result is wrong, and names `where`. */
static inline int t_finds(const struct fmk_problem *p, const char *where)
{
    char text[240] = "";
    return p->kernel->verify(p, text, sizeof text) == 1 && strstr(text, where) != NULL;
}

/* The problem cannot be prepared: -EINVAL, the detail says why, and nothing is left. */
static inline void t_refused(const char *name, const struct fmk_param *params, fm_array *column,
                             const char *reason)
{
    struct fmk_problem p;
    const int e =
        fmk_prepare(&p, fmk_find(name), params, column != NULL ? &column : NULL, column != NULL);
    if (e != -EINVAL || strstr(fmk_error_detail(), reason) == NULL)
        fail_msg("%s: %s \"%s\", and not \"%s\"", name, fm_errname(e), fmk_error_detail(), reason);
    assert_null(p.out);
    assert_null(p.memory);
}

/* Saves an array in the test's directory and destroys it. The path is good until the next eight. */
static inline const char *t_save(const char *name, fm_array *a)
{
    static char paths[8][1100];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", t_temp_dir(), name);
    assert_int_equal(fm_npy_save(path, a), 0);
    fm_array_destroy(a);
    return path;
}

#endif
