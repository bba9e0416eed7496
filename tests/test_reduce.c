/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* What reductions give: the bits of a serial reference with any workers, schedule and caller; every operation and dtype; NaNs, ties, nothing. */
#include "t_reduce.h"

/* ---- the same bits ---- */

static void reduce_in_every_way(fm_array *in, int op, const void *expected, size_t bytes,
                                const fm_reduce_opts *given)
{
    fm_reduce_opts opts = *given;
    char result[256];
    for (size_t w = 0; w < T_N_OF(t_worker_counts); w++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
            fm_pool *pool = t_open(t_worker_counts[w], caller);
            for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
                opts.map.schedule = schedule;
                memset(result, 0x55, sizeof result);
                t_expect(fm_pool_reduce(pool, in, op, result, bytes, &opts), 0);
                assert_memory_equal(result, expected, bytes);
            }
            t_destroy(pool);
        }
}

static void test_reduce_sum_has_the_bits_of_the_serial_tree_with_any_workers(void **state)
{
    (void)state;
    fm_array *all = t_reals(70000);
    const double sum = t_sum(fm_array_data(all), 70000);
    reduce_in_every_way(all, FM_SUM, &sum, sizeof sum, FM_REDUCE_OPTS());
    fm_array_destroy(all);
}

static void test_reduce_sum_is_right_around_the_borders_of_blocks(void **state)
{
    (void)state;
    fm_array *all = t_reals(70000);
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    for (size_t i = 0; i < T_N_OF(t_sizes); i++) {
        const double expected = t_sum(fm_array_data(all), t_sizes[i]);
        double sum;
        fm_array *part;
        assert_int_equal(fm_array_view(&part, all, &(fm_slice){0, t_sizes[i], 1}), 0);
        t_expect(fm_pool_reduce(pool, part, FM_SUM, &sum, sizeof sum, NULL), 0);
        t_same_bits(sum, expected);
        fm_array_destroy(part);
    }
    t_destroy(pool);
    fm_array_destroy(all);
}

static void test_reduce_every_operation_has_the_same_bits_with_any_workers(void **state)
{
    (void)state;
    fm_array *in = t_reals(50001);
    const fm_reduce_opts *opts = FM_REDUCE_OPTS(.lo = -1e9, .hi = 1e9, .bins = 20);
    static const size_t bytes[] = {0, 8, 8, 8, 8, 8, 8, sizeof(fm_moments), 23 * 8};
    fm_pool *pool = t_open(1, FM_CALLER_WORKS);
    for (int op = FM_SUM; op <= FM_HISTOGRAM; op++) {
        char expected[256];
        t_expect(fm_pool_reduce(pool, in, op, expected, bytes[op], opts), 0);
        reduce_in_every_way(in, op, expected, bytes[op], opts);
    }
    t_destroy(pool);
    fm_array_destroy(in);
}

static void reduce_affines(void **state, int64_t n)
{
    struct t_affine result, expected = t_all_affines(n);
    const fm_context *context = NULL;
    fm_context by_method;
    fm_array *in = t_affines(n);
    fm_pool *pool;
    assert_int_equal(fm_get_context(t_method(state), &by_method), 0);
    context = &by_method;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3, .context = context)), 0);
    t_expect(fm_pool_reduce(pool, in, FM_COMBINE, &result, sizeof result,
                            FM_REDUCE_OPTS(.combine = t_combine_affine, .identity = T_IDENTITY)),
             0);
    t_same_bits(result, expected);
    t_destroy(pool);
    fm_array_destroy(in);
}

static void test_reduce_by_a_function_keeps_the_order_of_items(void **state)
{
    for (size_t i = 0; i < T_N_OF(t_sizes); i += 3)
        reduce_affines(state, t_sizes[i]);
}

static int add_scaled(void *into, const void *from, void *arg)
{
    *(int64_t *)into += *(const int64_t *)from + *(const int64_t *)arg;
    return 0;
}

/* The identity is combined too, once in each block and once for each block but the first: so many times `arg` is added. */
static void test_reduce_by_a_function_hands_over_its_argument(void **state)
{
    fm_context context;
    fm_pool *pool;
    fm_array *in = t_counted(10000);
    const int64_t zero = 0, step = 1000000;
    int64_t sum;
    assert_int_equal(fm_get_context(t_method(state), &context), 0);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .context = &context)), 0);
    const fm_reduce_opts *opts =
        FM_REDUCE_OPTS(.combine = add_scaled, .identity = &zero,
                       .map = {.arg = (void *)(uintptr_t)&step, .arg_bytes = sizeof step});
    t_expect(fm_pool_reduce(pool, in, FM_COMBINE, &sum, sizeof sum, opts), 0);
    assert_int_equal(sum, 9999 * 5000 + 10002 * step);
    fm_reduce_opts by_pointer = *opts;
    by_pointer.map.arg_bytes = 0;
    if (t_method(state) != FM_FORK) /* this stack is not theirs */
        t_expect(fm_pool_reduce(pool, in, FM_COMBINE, &sum, sizeof sum, &by_pointer), -EINVAL);
    t_destroy(pool);
    fm_array_destroy(in);
}

static int combine_pairs(void *into, const void *from, void *arg)
{
    int64_t *sums = into;
    const int64_t *row = from;
    (void)arg;
    sums[0] += row[0];
    sums[1] += row[1];
    return 0;
}

/* A row of a Fortran array has gaps: the function sees a packed copy. */
static void test_reduce_by_a_function_sees_packed_rows(void **state)
{
    (void)state;
    const int64_t shape[] = {500, 2}, zero[2] = {0, 0};
    int64_t result[2], expected[2] = {0, 0};
    fm_array *in;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    assert_int_equal(fm_array_create(&in, FM_I64, 2, shape, FM_ARRAY_OPTS(.order = FM_ORDER_F)), 0);
    for (int64_t i = 0; i < 500; i++)
        for (int64_t k = 0; k < 2; k++) {
            int64_t *x = fm_array_at(in, 2, T_SHAPE(i, k));
            *x = 10 * i + k;
        }
    for (int64_t i = 0; i < 500; i++)
        combine_pairs(expected, T_SHAPE(10 * i, 10 * i + 1), NULL);
    t_expect(fm_pool_reduce(pool, in, FM_COMBINE, result, sizeof result,
                            FM_REDUCE_OPTS(.combine = combine_pairs, .identity = zero)),
             0);
    assert_memory_equal(result, expected, sizeof result);
    t_destroy(pool);
    fm_array_destroy(in);
}

/* ---- dtypes and layouts ---- */

/* For each dtype: values, and the results of a plain loop. */
#define CHECK_DTYPE(dtype, type, wide, low, high)                                                  \
    do {                                                                                           \
        fm_array *in = t_vector(dtype, 9000), *odd;                                                \
        type *x = fm_array_data(in);                                                               \
        wide sum = 0, prod = 1, got;                                                               \
        type least = high, most = low, extreme;                                                    \
        for (int64_t i = 0; i < 9000; i++)                                                         \
            x[i] = i % 2 == 0 ? (type)0                                                            \
                              : (type)(low + (type)((double)(t_mix((uint64_t)i) % 1000) / 1000.0 * \
                                                    ((double)high - (double)low)));                \
        assert_int_equal(fm_array_view(&odd, in, &(fm_slice){8999, -1, -2}), 0);                   \
        for (int64_t i = 8999; i > 0; i -= 2) {                                                    \
            sum += (wide)x[i];                                                                     \
            prod *= (wide)x[i];                                                                    \
            least = x[i] < least ? x[i] : least;                                                   \
            most = x[i] > most ? x[i] : most;                                                      \
        }                                                                                          \
        t_expect(fm_pool_reduce(pool, odd, FM_SUM, &got, sizeof got, NULL), 0);                    \
        assert_true(got == sum);                                                                   \
        t_expect(fm_pool_reduce(pool, odd, FM_PROD, &got, sizeof got, NULL), 0);                   \
        assert_true(got == prod);                                                                  \
        t_expect(fm_pool_reduce(pool, odd, FM_MIN, &extreme, sizeof extreme, NULL), 0);            \
        assert_true(extreme == least);                                                             \
        t_expect(fm_pool_reduce(pool, odd, FM_MAX, &extreme, sizeof extreme, NULL), 0);            \
        assert_true(extreme == most);                                                              \
        fm_array_destroy(odd);                                                                     \
        fm_array_destroy(in);                                                                      \
    } while (0)

/* Integers and halves of them, so that a plain loop has the same bits; signed products wrap as unsigned ones. */
static void test_reduce_every_dtype_through_a_view_is_right(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    CHECK_DTYPE(FM_I8, int8_t, uint64_t, -100, 100);
    CHECK_DTYPE(FM_I16, int16_t, uint64_t, -30000, 30000);
    CHECK_DTYPE(FM_I32, int32_t, uint64_t, -1000000000, 1000000000);
    CHECK_DTYPE(FM_I64, int64_t, uint64_t, -4000000000000, 4000000000000);
    CHECK_DTYPE(FM_U8, uint8_t, uint64_t, 0, 250);
    CHECK_DTYPE(FM_U16, uint16_t, uint64_t, 0, 65000);
    CHECK_DTYPE(FM_U32, uint32_t, uint64_t, 0, 4000000000u);
    CHECK_DTYPE(FM_U64, uint64_t, uint64_t, 3, 9000000000000000000u);
    CHECK_DTYPE(FM_BOOL, uint8_t, uint64_t, 0, 1);
    CHECK_DTYPE(FM_F32, float, double, 1, 1);
    CHECK_DTYPE(FM_F64, double, double, -1, -1);
    t_destroy(pool);
}

static void test_reduce_sums_complex_numbers(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_vector(FM_C128, 9001), *single = t_vector(FM_C64, 9001);
    double *x = fm_array_data(in), re[9001], im[9001], sum[2], expected[2];
    for (int64_t i = 0; i < 9001; i++) {
        re[i] = x[2 * i] = t_real(i);
        im[i] = x[2 * i + 1] = t_real(i + 100000);
        ((float *)fm_array_data(single))[2 * i] = 0.5f;
        ((float *)fm_array_data(single))[2 * i + 1] = -2;
    }
    expected[0] = t_sum(re, 9001);
    expected[1] = t_sum(im, 9001);
    t_expect(fm_pool_reduce(pool, in, FM_SUM, sum, sizeof sum, NULL), 0);
    t_same_bits(sum, expected);
    t_expect(fm_pool_reduce(pool, single, FM_SUM, sum, sizeof sum, NULL), 0);
    assert_true(sum[0] == 4500.5 && sum[1] == -18002);
    t_expect(fm_pool_reduce(pool, single, FM_SUM, sum, sizeof sum,
                            FM_REDUCE_OPTS(.flags = FM_COMPENSATED)),
             0);
    assert_true(sum[0] == 4500.5 && sum[1] == -18002);
    t_expect(fm_pool_reduce(pool, in, FM_MAX, sum, sizeof sum, NULL), -EINVAL);
    t_expect(fm_pool_reduce(pool, in, FM_PROD, sum, sizeof sum, NULL), -EINVAL);
    t_expect(fm_pool_reduce(pool, in, FM_MEAN_VARIANCE, sum, sizeof sum, NULL), -EINVAL);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(single);
}

static void test_reduce_a_column_of_a_table_in_either_order(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int order = FM_ORDER_C; order <= FM_ORDER_F; order++) {
        fm_array *table, *column;
        double sum, x[5000];
        assert_int_equal(
            fm_array_create(&table, FM_F64, 2, T_SHAPE(5000, 3), FM_ARRAY_OPTS(.order = order)), 0);
        for (int64_t i = 0; i < 5000; i++)
            for (int64_t k = 0; k < 3; k++)
                *(double *)fm_array_at(table, 2, T_SHAPE(i, k)) = t_real(3 * i + k);
        for (int64_t i = 0; i < 5000; i++)
            x[i] = t_real(3 * i + 1);
        assert_int_equal(fm_array_view(&column, table, (fm_slice[]){FM_ALL, {1, 2, 1}}), 0);
        t_expect(fm_pool_reduce(pool, column, FM_SUM, &sum, sizeof sum, NULL), 0);
        double expected = t_sum(x, 5000);
        t_same_bits(sum, expected);
        t_expect(fm_pool_reduce(pool, table, FM_SUM, &sum, sizeof sum, NULL), -EINVAL);
        fm_array_destroy(column);
        fm_array_destroy(table);
    }
    t_destroy(pool);
}

/* ---- ties, NaNs, infinities ---- */

static int64_t arg_of(fm_pool *pool, fm_array *in, int op)
{
    int64_t item = -7;
    t_expect(fm_pool_reduce(pool, in, op, &item, sizeof item, NULL), 0);
    return item;
}

static double value_of(fm_pool *pool, fm_array *in, int op, unsigned flags)
{
    double value = -7;
    t_expect(fm_pool_reduce(pool, in, op, &value, sizeof value, FM_REDUCE_OPTS(.flags = flags)), 0);
    return value;
}

static void test_reduce_argmin_and_argmax_give_the_lowest_item_of_a_tie(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = t_vector(FM_F64, 20000), *numbers = t_vector(FM_U32, 20000);
    double *x = fm_array_data(in);
    assert_int_equal(arg_of(pool, in, FM_ARGMIN), 0); /* all are 0 */
    assert_int_equal(arg_of(pool, numbers, FM_ARGMAX), 0);
    x[19999] = x[15000] = x[9000] = x[9001] = -3;
    x[18000] = x[12345] = 8;
    ((uint32_t *)fm_array_data(numbers))[4096] = ((uint32_t *)fm_array_data(numbers))[19999] = 9;
    assert_int_equal(arg_of(pool, in, FM_ARGMIN), 9000);
    assert_int_equal(arg_of(pool, in, FM_ARGMAX), 12345);
    assert_int_equal(arg_of(pool, numbers, FM_ARGMAX), 4096);
    x[17000] = x[16000] = NAN;
    assert_int_equal(arg_of(pool, in, FM_ARGMIN), 16000);
    assert_int_equal(arg_of(pool, in, FM_ARGMAX), 16000);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(numbers);
}

static void test_reduce_of_nans_and_infinities_says_so(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_reals(10000);
    double *x = fm_array_data(in);
    fm_moments moments;
    x[5000] = INFINITY;
    assert_true(isinf(value_of(pool, in, FM_SUM, 0)));
    assert_true(isinf(value_of(pool, in, FM_SUM, FM_COMPENSATED)));
    assert_true(isinf(value_of(pool, in, FM_MAX, 0)));
    assert_true(isfinite(value_of(pool, in, FM_MIN, 0)));
    x[9000] = -INFINITY;
    assert_true(isnan(value_of(pool, in, FM_SUM, 0)));
    assert_true(isnan(value_of(pool, in, FM_SUM, FM_COMPENSATED)));
    x[4100] = NAN;
    for (int op = FM_SUM; op <= FM_MAX; op++)
        assert_true(isnan(value_of(pool, in, op, 0)));
    t_expect(fm_pool_reduce(pool, in, FM_MEAN_VARIANCE, &moments, sizeof moments, NULL), 0);
    assert_int_equal(moments.n, 10000);
    assert_true(isnan(moments.mean) && isnan(moments.m2));
    t_destroy(pool);
    fm_array_destroy(in);
}

/* ---- what each gives ---- */

static void test_reduce_compensated_sum_keeps_what_a_plain_one_loses(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = t_vector(FM_F64, 30000);
    double *x = fm_array_data(in);
    for (int64_t i = 0; i < 30000; i++)
        x[i] = i == 5 ? 1e18 : i == 20003 ? -1e18 : 0.5;
    assert_true(value_of(pool, in, FM_SUM, FM_COMPENSATED) == 14999);
    assert_true(value_of(pool, in, FM_SUM, 0) != 14999);
    t_destroy(pool);
    double sum = 14999;
    reduce_in_every_way(in, FM_SUM, &sum, sizeof sum, FM_REDUCE_OPTS(.flags = FM_COMPENSATED));
    fm_array_destroy(in);
}

static void test_reduce_mean_and_variance_are_those_of_two_passes(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    const int64_t n = 50003;
    fm_array *in = t_vector(FM_F64, n), *bytes = t_vector(FM_I16, 3);
    double *x = fm_array_data(in);
    long double mean = 0, m2 = 0;
    fm_moments m;
    for (int64_t i = 0; i < n; i++) {
        x[i] = 1e6 + (double)(t_mix((uint64_t)i) % 1000);
        mean += (long double)x[i] / n;
    }
    for (int64_t i = 0; i < n; i++)
        m2 += (x[i] - mean) * (x[i] - mean);
    t_expect(fm_pool_reduce(pool, in, FM_MEAN_VARIANCE, &m, sizeof m, NULL), 0);
    assert_int_equal(m.n, n);
    assert_true(fabsl(m.mean - mean) < 1e-15L * mean * 10);
    assert_true(fabsl(m.m2 - m2) < 1e-12L * m2);
    memcpy(fm_array_data(bytes), (int16_t[]){-3, 0, 9}, 6);
    t_expect(fm_pool_reduce(pool, bytes, FM_MEAN_VARIANCE, &m, sizeof m, NULL), 0);
    assert_true(m.n == 3 && m.mean == 2 && m.m2 == 78);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(bytes);
}

static void test_reduce_histogram_counts_ends_outsiders_and_nans(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    static const double values[] = {0,       0.99, 1,   2.5,      3.999,     4, -0.0,
                                    -1e-300, 4.1,  NAN, INFINITY, -INFINITY, 2, 2};
    fm_array *in, *many = t_counted(100000);
    int64_t counts[7], n = T_N_OF(values), wide[103];
    assert_int_equal(fm_array_from(&in, values, FM_F64, 1, &n), 0);
    t_expect(fm_pool_reduce(pool, in, FM_HISTOGRAM, counts, sizeof counts,
                            FM_REDUCE_OPTS(.lo = 0, .hi = 4, .bins = 4)),
             0);
    static const int64_t expected[] = {3, 1, 3, 2, 2, 2, 1};
    assert_memory_equal(counts, expected, sizeof counts);
    t_expect(fm_pool_reduce(pool, many, FM_HISTOGRAM, wide, sizeof wide,
                            FM_REDUCE_OPTS(.lo = 0, .hi = 100000, .bins = 100)),
             0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(wide[i], 1000);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(many);
}

static void test_reduce_of_nothing_is_neutral_or_no_data(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *none = t_vector(FM_F64, 0), *no_rows = t_vector(FM_STRUCT(16), 0);
    double x = -7;
    fm_moments m;
    struct t_affine all;
    assert_true(value_of(pool, none, FM_SUM, 0) == 0);
    assert_true(value_of(pool, none, FM_PROD, 0) == 1);
    for (int op = FM_MIN; op <= FM_ARGMAX; op++)
        t_expect(fm_pool_reduce(pool, none, op, &x, sizeof x, NULL), -ENODATA);
    assert_true(x == -7);
    t_expect(fm_pool_reduce(pool, none, FM_MEAN_VARIANCE, &m, sizeof m, NULL), 0);
    assert_true(m.n == 0 && m.mean == 0 && m.m2 == 0);
    t_expect(fm_pool_reduce(pool, no_rows, FM_COMBINE, &all, sizeof all,
                            FM_REDUCE_OPTS(.combine = t_combine_affine, .identity = T_IDENTITY)),
             0);
    assert_true(all.a == 1 && all.b == 0);
    t_destroy(pool);
    fm_array_destroy(none);
    fm_array_destroy(no_rows);
}

/* ---- nested ---- */

struct nested {
    fm_pool *pool; /* workers know it by its address only */
    fm_array *in;
};

static int sum_inside(const void *item, void *result, void *arg)
{
    const struct nested *nested = arg;
    (void)item;
    return fm_pool_reduce(nested->pool, nested->in, FM_SUM, result, sizeof(double), NULL);
}

static void test_reduce_inside_a_function_has_the_same_bits(void **state)
{
    (void)state;
    struct nested nested = {.in = t_reals(20481)};
    const double expected = t_sum(fm_array_data(nested.in), 20481);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_array *out = t_vector(FM_F64, 10);
        nested.pool = t_open(2, caller);
        t_expect(fm_pool_map_range(nested.pool, sum_inside, 0, 10, out,
                                   FM_MAP_OPTS(.arg = &nested, .arg_bytes = sizeof nested)),
                 0);
        for (int i = 0; i < 10; i++)
            assert_memory_equal((double *)fm_array_data(out) + i, &expected, sizeof expected);
        t_destroy(nested.pool);
        fm_array_destroy(out);
    }
    fm_array_destroy(nested.in);
}

/* ---- wrong arguments ---- */

static void test_reduce_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(100), *rows = t_array(FM_F64, 2, T_SHAPE(10, 2)),
             *records = t_vector(FM_STRUCT(8), 10);
    int64_t x = -7;
    const struct {
        fm_pool *pool;
        fm_array *in;
        int op;
        void *result;
        size_t bytes;
        const fm_reduce_opts *opts;
    } wrong[] = {
        {NULL, in, FM_SUM, &x, 8, NULL},
        {pool, NULL, FM_SUM, &x, 8, NULL},
        {pool, in, 0, &x, 8, NULL},
        {pool, in, FM_COMBINE + 1, &x, 8, NULL},
        {pool, in, FM_SUM, NULL, 8, NULL},
        {pool, in, FM_SUM, &x, 4, NULL},
        {pool, rows, FM_SUM, &x, 8, NULL},
        {pool, records, FM_SUM, &x, 8, NULL},
        {pool, in, FM_COMBINE, &x, 8, NULL},
        {pool, in, FM_COMBINE, &x, 8, FM_REDUCE_OPTS(.combine = add_scaled)},
        {pool, in, FM_COMBINE, &x, 8, FM_REDUCE_OPTS(.identity = &x)},
        {pool, in, FM_HISTOGRAM, &x, 8, FM_REDUCE_OPTS(.hi = 1)},
        {pool, in, FM_HISTOGRAM, &x, 8, FM_REDUCE_OPTS(.lo = 1, .hi = 1, .bins = 1)},
        {pool, in, FM_HISTOGRAM, &x, 8, FM_REDUCE_OPTS(.lo = NAN, .hi = 1, .bins = 1)},
        {pool, in, FM_HISTOGRAM, &x, 8, FM_REDUCE_OPTS(.hi = 1, .bins = (1 << 20) + 1)},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.flags = 4)},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.flags = FM_EXCLUSIVE)},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.flags = FM_COMPENSATED)},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.reserved = {0, 1})},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.rows = in)},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.map = {.flags = FM_IN_PLACE})},
        {pool, in, FM_SUM, &x, 8, FM_REDUCE_OPTS(.map = {.retries = -1})},
        {pool, in, FM_SUM, &x, 8, &(fm_reduce_opts){.struct_size = 1000}},
    };
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        int rc = fm_pool_reduce(wrong[i].pool, wrong[i].in, wrong[i].op, wrong[i].result,
                                wrong[i].bytes, wrong[i].opts);
        if (rc != -EINVAL)
            fail_msg("case %zu: %s: %s", i, fm_errname(rc), fm_error_detail());
        assert_true(strlen(fm_error_detail()) > 0);
    }
    assert_int_equal(x, -7);
    t_destroy(pool);
    t_expect(fm_pool_reduce(pool, in, FM_SUM, &x, 8, NULL), -EINVAL);
    fm_array_destroy(in);
    fm_array_destroy(rows);
    fm_array_destroy(records);
}

T_MAIN(T_TEST(test_reduce_sum_has_the_bits_of_the_serial_tree_with_any_workers),
       T_TEST(test_reduce_sum_is_right_around_the_borders_of_blocks),
       T_TEST(test_reduce_every_operation_has_the_same_bits_with_any_workers),
       T_EACH_METHOD(test_reduce_by_a_function_keeps_the_order_of_items),
       T_EACH_METHOD(test_reduce_by_a_function_hands_over_its_argument),
       T_TEST(test_reduce_by_a_function_sees_packed_rows),
       T_TEST(test_reduce_every_dtype_through_a_view_is_right),
       T_TEST(test_reduce_sums_complex_numbers),
       T_TEST(test_reduce_a_column_of_a_table_in_either_order),
       T_TEST(test_reduce_argmin_and_argmax_give_the_lowest_item_of_a_tie),
       T_TEST(test_reduce_of_nans_and_infinities_says_so),
       T_TEST(test_reduce_compensated_sum_keeps_what_a_plain_one_loses),
       T_TEST(test_reduce_mean_and_variance_are_those_of_two_passes),
       T_TEST(test_reduce_histogram_counts_ends_outsiders_and_nans),
       T_TEST(test_reduce_of_nothing_is_neutral_or_no_data),
       T_TEST(test_reduce_inside_a_function_has_the_same_bits),
       T_TEST(test_reduce_refuses_what_makes_no_sense))
