/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/* Running values: the bits of a serial reference over the same blocks, with any workers, deaths and failures. */
#include "t_reduce.h"

#include "fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { N = 20481 };

/* Each block from the sum of those before it, which have eight lanes each. */
static void scan_serially(const double *x, int64_t n, int is_exclusive, double *y)
{
    double before = 0;
    for (int64_t b = 0; b < n; b += T_BLOCK) {
        int64_t end = n - b < T_BLOCK ? n : b + T_BLOCK;
        double running = before;
        for (int64_t i = b; i < end; i++) {
            double after = running + x[i];
            y[i] = is_exclusive ? running : after;
            running = after;
        }
        before += t_sum_of_block(x + b, end - b);
    }
}

static void test_scan_sum_has_the_bits_of_the_serial_blocks_in_every_way(void **state)
{
    (void)state;
    fm_array *in = t_reals(N), *out = t_vector(FM_F64, N);
    double *expected = calloc(N, sizeof *expected);
    for (size_t w = 0; w < T_N_OF(t_worker_counts); w++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
            fm_pool *pool = t_open(t_worker_counts[w], caller);
            for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++)
                for (int exclusive = 0; exclusive < 2; exclusive++) {
                    t_expect(fm_pool_scan(pool, in, FM_SUM, out,
                                          FM_REDUCE_OPTS(.flags = exclusive ? FM_EXCLUSIVE : 0,
                                                         .map = {.schedule = schedule})),
                             0);
                    scan_serially(fm_array_data(in), N, exclusive, expected);
                    assert_memory_equal(fm_array_data(out), expected, N * sizeof *expected);
                }
            t_destroy(pool);
        }
    free(expected);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_scan_is_right_around_the_borders_of_blocks(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    for (size_t i = 0; i < T_N_OF(t_sizes); i++) {
        int64_t n = t_sizes[i];
        fm_array *in = t_reals(n), *out = t_vector(FM_F64, n);
        double *expected = calloc((size_t)n, sizeof *expected);
        scan_serially(fm_array_data(in), n, 0, expected);
        t_expect(fm_pool_scan(pool, in, FM_SUM, out, NULL), 0);
        assert_memory_equal(fm_array_data(out), expected, (size_t)n * sizeof *expected);
        free(expected);
        fm_array_destroy(in);
        fm_array_destroy(out);
    }
    t_destroy(pool);
}

#define CHECK_SCAN(op, in_dtype, in_type, out_dtype, out_type, first, combine)                     \
    do {                                                                                           \
        fm_array *in = t_vector(in_dtype, 9000), *out = t_vector(out_dtype, 9000), *back, *gaps;   \
        fm_array *wide = t_array(out_dtype, 2, T_SHAPE(9000, 3));                                  \
        in_type *x = fm_array_data(in);                                                            \
        for (int64_t i = 0; i < 9000; i++)                                                         \
            x[i] = (in_type)(t_mix((uint64_t)i) % 200);                                            \
        assert_int_equal(fm_array_view(&back, in, &(fm_slice){8999, -1, -1}), 0);                  \
        assert_int_equal(fm_array_view(&gaps, wide, (fm_slice[]){FM_ALL, {1, 2, 1}}), 0);          \
        for (int exclusive = 0; exclusive < 2; exclusive++) {                                      \
            out_type a = first;                                                                    \
            t_expect(fm_pool_scan(pool, back, op, gaps,                                            \
                                  FM_REDUCE_OPTS(.flags = exclusive ? FM_EXCLUSIVE : 0)),          \
                     0);                                                                           \
            for (int64_t i = 0; i < 9000; i++) {                                                   \
                const out_type before = a, b = (out_type)x[8999 - i];                              \
                a = combine;                                                                       \
                assert_true(*(out_type *)fm_array_at(gaps, 2, T_SHAPE(i, 0)) ==                    \
                            (exclusive ? before : a));                                             \
            }                                                                                      \
        }                                                                                          \
        fm_array_destroy(back);                                                                    \
        fm_array_destroy(gaps);                                                                    \
        fm_array_destroy(wide);                                                                    \
        fm_array_destroy(in);                                                                      \
        fm_array_destroy(out);                                                                     \
    } while (0)

static void test_scan_of_every_kind_through_views_is_right(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    CHECK_SCAN(FM_SUM, FM_I8, int8_t, FM_I64, int64_t, 0, a + b);
    CHECK_SCAN(FM_SUM, FM_U16, uint16_t, FM_U64, uint64_t, 0, a + b);
    CHECK_SCAN(FM_SUM, FM_F32, float, FM_F64, double, 0, a + b);
    CHECK_SCAN(FM_PROD, FM_U32, uint32_t, FM_U64, uint64_t, 1, a * b);
    CHECK_SCAN(FM_MIN, FM_I16, int16_t, FM_I16, int16_t, INT16_MAX, b < a ? b : a);
    CHECK_SCAN(FM_MAX, FM_F32, float, FM_F32, float, -INFINITY, b > a ? b : a);
    CHECK_SCAN(FM_MIN, FM_U8, uint8_t, FM_U8, uint8_t, UINT8_MAX, b < a ? b : a);
    CHECK_SCAN(FM_MAX, FM_I64, int64_t, FM_I64, int64_t, INT64_MIN, b > a ? b : a);
    t_destroy(pool);
}

static void test_scan_sums_complex_numbers(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_vector(FM_C64, 5000), *out = t_vector(FM_C128, 5000);
    for (int64_t i = 0; i < 5000; i++) {
        ((float *)fm_array_data(in))[2 * i] = 1;
        ((float *)fm_array_data(in))[2 * i + 1] = -0.5f;
    }
    t_expect(fm_pool_scan(pool, in, FM_SUM, out, NULL), 0);
    for (int64_t i = 0; i < 5000; i++) {
        const double *y = (const double *)fm_array_data(out) + 2 * i;
        assert_true(y[0] == (double)(i + 1) && y[1] == -0.5 * (double)(i + 1));
    }
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void expect_affines(fm_array *out, int is_exclusive)
{
    struct t_affine all = {1, 0};
    for (int64_t i = 0; i < fm_array_len(out); i++) {
        struct t_affine before = all, *row = (struct t_affine *)fm_array_data(out) + i;
        all = t_then(all, t_affine_of(i));
        assert_memory_equal(row, is_exclusive ? &before : &all, sizeof all);
    }
}

static void test_scan_by_a_function_keeps_the_order_of_items(void **state)
{
    fm_context context;
    fm_pool *pool;
    fm_array *in = t_affines(N), *out = t_vector(FM_STRUCT(sizeof(struct t_affine)), N);
    assert_int_equal(fm_get_context(t_method(state), &context), 0);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3, .context = &context)), 0);
    for (int exclusive = 0; exclusive < 2; exclusive++) {
        t_expect(fm_pool_scan(pool, in, FM_COMBINE, out,
                              FM_REDUCE_OPTS(.combine = t_combine_affine, .identity = T_IDENTITY,
                                             .flags = exclusive ? FM_EXCLUSIVE : 0)),
                 0);
        expect_affines(out, exclusive);
    }
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

/* The fifth and the nine thousandth item that comes by kill their worker. */
static int combine_and_die(void *into, const void *from, void *arg)
{
    _Atomic int64_t *n_seen = arg;
    int64_t n = atomic_fetch_add(n_seen, 1);
    if (n == 5 || n == 9000 || n == 30000)
        raise(SIGKILL);
    return t_combine_affine(into, from, NULL);
}

static void test_scan_by_workers_that_are_killed_is_the_same(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = t_affines(N), *out = t_vector(FM_STRUCT(sizeof(struct t_affine)), N),
             *seen = t_vector(FM_I64, 1);
    fm_pool_counters counters;
    t_expect(fm_pool_scan(pool, in, FM_COMBINE, out,
                          FM_REDUCE_OPTS(.combine = combine_and_die, .identity = T_IDENTITY,
                                         .map = {.arg = fm_array_data(seen), .retries = 3})),
             0);
    expect_affines(out, 0);
    assert_int_equal(fm_pool_stats(pool, &counters), 0);
    assert_int_equal(counters.deaths, 3);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(seen);
}

/* ---- failures ---- */

static int fail_at_10007(void *into, const void *from, void *arg)
{
    struct t_affine bad = t_affine_of(10007);
    if (memcmp(from, &bad, sizeof bad) == 0) {
        if (arg == NULL)
            return 9;
        raise(SIGSEGV);
    }
    return t_combine_affine(into, from, NULL);
}

static void test_scan_function_that_fails_is_blamed_on_the_item(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_affines(N), *out = t_vector(FM_STRUCT(sizeof(struct t_affine)), N);
    for (int crash = 0; crash < 2; crash++) {
        fm_failure failure;
        t_expect(fm_pool_scan(pool, in, FM_COMBINE, out,
                              FM_REDUCE_OPTS(.combine = fail_at_10007, .identity = T_IDENTITY,
                                             .map = {.arg = crash ? fm_array_data(in) : NULL})),
                 crash ? FM_ECRASHED : FM_ETASK);
        assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
        assert_int_equal(failure.item, 10007);
    }
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static int note_progress(const fm_progress *p, void *arg)
{
    *(int64_t *)arg = p->n_done;
    return p->n_items != N;
}

static void test_scan_reports_status_and_progress_of_items(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_reals(N), *out = t_vector(FM_F64, N), *status = t_vector(FM_U8, N);
    int64_t n_done = 0;
    t_expect(fm_pool_scan(pool, in, FM_MAX, out,
                          FM_REDUCE_OPTS(.map = {.status = status,
                                                 .progress = note_progress,
                                                 .progress_arg = &n_done})),
             0);
    assert_int_equal(n_done, N);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(((uint8_t *)fm_array_data(status))[i], FM_ITEM_DONE);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

static void test_scan_of_nothing_is_done(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_vector(FM_F64, 0), *out = t_vector(FM_F64, 0);
    t_expect(fm_pool_scan(pool, in, FM_SUM, out, NULL), 0);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_scan_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_reals(10), *out = t_vector(FM_F64, 10), *single = t_vector(FM_F32, 10),
             *shorter = t_vector(FM_F64, 9), *table = t_array(FM_F64, 2, T_SHAPE(10, 2));
    const struct {
        fm_array *in, *out;
        int op;
        const fm_reduce_opts *opts;
    } wrong[] = {
        {NULL, out, FM_SUM, NULL},
        {in, NULL, FM_SUM, NULL},
        {in, in, FM_SUM, NULL},
        {in, single, FM_SUM, NULL},
        {single, single, FM_SUM, NULL},
        {in, shorter, FM_SUM, NULL},
        {in, table, FM_SUM, NULL},
        {table, out, FM_SUM, NULL},
        {in, out, FM_ARGMIN, NULL},
        {in, out, FM_MEAN_VARIANCE, NULL},
        {in, out, FM_HISTOGRAM, FM_REDUCE_OPTS(.hi = 1, .bins = 1)},
        {in, out, FM_COMBINE, NULL},
        {in, out, 77, NULL},
        {in, out, FM_SUM, FM_REDUCE_OPTS(.flags = FM_COMPENSATED)},
        {in, out, FM_SUM, FM_REDUCE_OPTS(.flags = 8)},
        {in, out, FM_SUM, FM_REDUCE_OPTS(.rows = out)},
        {in, out, FM_SUM, FM_REDUCE_OPTS(.map = {.on_error = FM_ON_ERROR_CONTINUE})},
        {in, out, FM_SUM, FM_REDUCE_OPTS(.map = {.flags = FM_IN_PLACE})},
        {in, out, FM_SUM, FM_REDUCE_OPTS(.map = {.status = out})},
    };
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        int rc = fm_pool_scan(pool, wrong[i].in, wrong[i].op, wrong[i].out, wrong[i].opts);
        if (rc != -EINVAL)
            fail_msg("case %zu: %s: %s", i, fm_errname(rc), fm_error_detail());
    }
    for (int i = 0; i < 10; i++)
        assert_true(((double *)fm_array_data(out))[i] == 0);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(single);
    fm_array_destroy(shorter);
    fm_array_destroy(table);
}

T_MAIN(T_TEST(test_scan_sum_has_the_bits_of_the_serial_blocks_in_every_way),
       T_TEST(test_scan_is_right_around_the_borders_of_blocks),
       T_TEST(test_scan_of_every_kind_through_views_is_right),
       T_TEST(test_scan_sums_complex_numbers),
       T_EACH_METHOD(test_scan_by_a_function_keeps_the_order_of_items),
       T_TEST(test_scan_by_workers_that_are_killed_is_the_same),
       T_TEST(test_scan_function_that_fails_is_blamed_on_the_item),
       T_TEST(test_scan_reports_status_and_progress_of_items), T_TEST(test_scan_of_nothing_is_done),
       T_TEST(test_scan_refuses_what_makes_no_sense))
