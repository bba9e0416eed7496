/* SPDX-License-Identifier: MIT */
#ifndef T_POOL_H
#define T_POOL_H

/* Short hands for tests that map: each asserts, so none may be used in a child. */
#include "t.h"

#include <forkmap/forkmap.h>
#include <string.h>
#include <time.h>

#define T_SHAPE(...) ((const int64_t[]){__VA_ARGS__})
#define T_N_OF(list) (sizeof(list) / sizeof(list)[0])
/* For functions that do on purpose what a sanitizer would report. */
#define T_UNCHECKED __attribute__((no_sanitize("undefined", "address")))

static inline fm_pool *t_open(int workers, int caller)
{
    fm_pool *pool;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers, .caller = caller));
    if (rc != 0)
        fail_msg("fm_pool_open: %s: %s", fm_errname(rc), fm_error_detail());
    assert_non_null(pool);
    return pool;
}

static inline void t_destroy(fm_pool *pool)
{
    assert_int_equal(fm_pool_destroy(pool), 0);
}

static inline fm_array *t_array(fm_dtype dtype, int ndim, const int64_t *shape)
{
    fm_array *a;
    int rc = fm_array_zeros(&a, dtype, ndim, shape);
    if (rc != 0)
        fail_msg("fm_array_zeros: %s: %s", fm_errname(rc), fm_error_detail());
    return a;
}

static inline fm_array *t_vector(fm_dtype dtype, int64_t n)
{
    return t_array(dtype, 1, &n);
}

/* 0, 1, 2, ... */
static inline fm_array *t_counted(int64_t n)
{
    fm_array *a = t_vector(FM_I64, n);
    int64_t *data = fm_array_data(a);
    for (int64_t i = 0; i < n; i++)
        data[i] = i;
    return a;
}

/* Names the code and the detail when a call returns something else. */
static inline void t_expect_at(int rc, int expected, const char *file, int line)
{
    if (rc == expected)
        return;
    print_error("%s instead of %s: %s\n", fm_errname(rc), fm_errname(expected), fm_error_detail());
    _fail(file, line);
}
#define t_expect(rc, expected) t_expect_at(rc, expected, __FILE__, __LINE__)

static inline void t_sleep_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* With FM_POOL_OPTS(...). */
static inline fm_pool *t_open_with(const fm_pool_opts *opts)
{
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, opts), 0);
    return pool;
}

/* In order: what runs is finished, workers run their finalizers. */
static inline void t_close_and_destroy(fm_pool *pool)
{
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(30)), 0);
    t_destroy(pool);
}

static inline fm_pool_counters t_counters(fm_pool *pool)
{
    fm_pool_counters counters;
    t_expect(fm_pool_stats(pool, &counters), 0);
    return counters;
}

static inline int64_t *t_i64(fm_array *a)
{
    return fm_array_data(a);
}

#endif
