/* SPDX-License-Identifier: MIT */
#ifndef T_TASK_H
#define T_TASK_H

/* Short hands for tests of work that is waited for later. Each asserts, so none may be used in a child, but for the functions. */
#include "t_pool.h"

#include <stdatomic.h>

/* ---- a gate: calls that wait in it end when, and in the order in which, the test wants ---- */

struct t_gate { /* in the heap */
    _Atomic int is_open;
    _Atomic int n_begun, n_ended;
};

struct t_visit { /* argument of t_pass_gate */
    struct t_gate *gate;
    int64_t value;
    int code; /* what is returned */
};

static inline struct t_gate *t_gates(fm_array **memory, int64_t n)
{
    *memory = t_vector(FM_U8, n * (int64_t)sizeof(struct t_gate));
    return fm_array_data(*memory);
}

/* Function: is behind the gate when that is open. The result, if any, is `value`. */
static inline int t_pass_gate(const void *arg, void *result)
{
    const struct t_visit *visit = arg;
    atomic_fetch_add(&visit->gate->n_begun, 1);
    while (atomic_load(&visit->gate->is_open) == 0)
        t_sleep_ms(1);
    if (result != NULL)
        *(int64_t *)result = visit->value;
    atomic_fetch_add(&visit->gate->n_ended, 1);
    return visit->code;
}

/* Function: as long as it is wanted. */
static inline int t_pass_when_cancelled(const void *arg, void *result)
{
    const struct t_visit *visit = arg;
    atomic_fetch_add(&visit->gate->n_begun, 1);
    while (!fm_cancelled())
        t_sleep_ms(1);
    if (result != NULL)
        *(int64_t *)result = visit->value;
    atomic_fetch_add(&visit->gate->n_ended, 1);
    return visit->code;
}

static inline void t_open_gate(struct t_gate *gate)
{
    atomic_store(&gate->is_open, 1);
}

static inline void t_await_count(const _Atomic int *count, int n)
{
    while (atomic_load(count) < n)
        t_sleep_ms(1);
}

/* ---- asking ---- */

static inline fm_result *t_apply_bytes(fm_pool *pool, fm_task_fn *fn, const void *arg,
                                       size_t arg_bytes, size_t result_bytes,
                                       const fm_apply_opts *opts)
{
    fm_result *r = NULL;
    t_expect(fm_pool_apply_async(pool, fn, arg, arg_bytes, NULL, result_bytes, opts, &r), 0);
    assert_non_null(r);
    return r;
}

/* A call of t_pass_gate or the like, whose result is an int64_t. */
static inline fm_result *t_visit(fm_pool *pool, fm_task_fn *fn, struct t_gate *gate, int64_t value,
                                 const fm_apply_opts *opts)
{
    struct t_visit visit = {gate, value, 0};
    return t_apply_bytes(pool, fn, &visit, sizeof visit, sizeof(int64_t), opts);
}

static inline void t_free(fm_result *r)
{
    t_expect(fm_result_free(r), 0);
}

/* It ends with `code`; and is freed. */
static inline void t_end_with(fm_result *r, int code)
{
    t_expect(fm_result_get(r, FM_FOREVER), code);
    assert_int_equal(fm_result_ready(r), 1);
    assert_int_equal(fm_result_successful(r), code == 0);
    t_free(r);
}

static inline int64_t t_value(fm_result *r)
{
    t_expect(fm_result_get(r, FM_FOREVER), 0);
    assert_non_null(fm_result_data(r));
    return *(const int64_t *)fm_result_data(r);
}

#endif
