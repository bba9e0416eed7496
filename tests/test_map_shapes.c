/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* Maps over rows that are not plain: several elements, gaps, backwards, broadcast, none at all, and very many. */
#include "t_pool.h"

#include <stdatomic.h>

static fm_pool *pool; /* one for each test */

static void setup_pool(int caller)
{
    pool = t_open(3, caller);
}

static void teardown_pool(void)
{
    t_destroy(pool);
    pool = NULL;
}

static double *at(const fm_array *a, int ndim, const int64_t *index)
{
    double *p = fm_array_at(a, ndim, index);
    assert_non_null(p);
    return p;
}

/* A (rows, width) array in some order, element (i, j) = 100 i + j. */
static fm_array *make_table(int64_t rows, int64_t width, int order)
{
    fm_array *a;
    assert_int_equal(fm_array_create(&a, FM_F64, 2, T_SHAPE(rows, width),
                                     FM_ARRAY_OPTS(.order = order, .zero = 1)),
                     0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < width; j++)
            *at(a, 2, T_SHAPE(i, j)) = (double)(100 * i + j);
    return a;
}

/* ---- rows of several elements ---- */

enum { WIDTH = 4, ROWS = 250 };

/* Reverses a packed row and adds its sum to each element: wrong gaps or order show. */
static int reverse_row(const void *item, void *result, void *arg)
{
    const double *x = item;
    double *y = result, sum = 0;
    (void)arg;
    for (int j = 0; j < WIDTH; j++)
        sum += x[j];
    for (int j = 0; j < WIDTH; j++)
        y[j] = x[WIDTH - 1 - j] + sum;
    return 0;
}

static double reversed(int64_t i, int64_t j)
{
    double sum = 0;
    for (int k = 0; k < WIDTH; k++)
        sum += (double)(100 * i + k);
    return (double)(100 * i + WIDTH - 1 - j) + sum;
}

static void check_reversed(const fm_array *out, int64_t first, int64_t step)
{
    for (int64_t i = 0; i < fm_array_len(out); i++)
        for (int64_t j = 0; j < WIDTH; j++)
            assert_true(*at(out, 2, T_SHAPE(i, j)) == reversed(first + i * step, j));
}

static void map_reversed(int caller, int in_order, int out_order)
{
    fm_array *in = make_table(ROWS, WIDTH, in_order), *out = make_table(ROWS, WIDTH, out_order);
    setup_pool(caller);
    t_expect(fm_pool_map(pool, reverse_row, in, out, NULL), 0);
    check_reversed(out, 0, 1);
    fm_array_destroy(in);
    fm_array_destroy(out);
    teardown_pool();
}

static void test_map_rows_of_several_elements_come_packed(void **state)
{
    (void)state;
    map_reversed(FM_CALLER_SLEEPS, FM_ORDER_C, FM_ORDER_C);
    map_reversed(FM_CALLER_WORKS, FM_ORDER_C, FM_ORDER_C);
}

static void test_map_fortran_order_rows_come_packed(void **state)
{
    (void)state;
    map_reversed(FM_CALLER_SLEEPS, FM_ORDER_F, FM_ORDER_C);
    map_reversed(FM_CALLER_SLEEPS, FM_ORDER_C, FM_ORDER_F);
    map_reversed(FM_CALLER_WORKS, FM_ORDER_F, FM_ORDER_F);
}

static void test_map_views_with_negative_strides_run_backwards(void **state)
{
    (void)state;
    fm_array *base = make_table(ROWS, WIDTH, FM_ORDER_C),
             *out = make_table(ROWS, WIDTH, FM_ORDER_C), *in;
    assert_int_equal(fm_array_view(&in, base, (fm_slice[]){{ROWS - 1, -1, -1}, FM_ALL}), 0);
    setup_pool(0);
    t_expect(fm_pool_map(pool, reverse_row, in, out, NULL), 0);
    check_reversed(out, ROWS - 1, -1);
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(base);
    fm_array_destroy(out);
}

static void test_map_every_other_row_leaves_the_rows_between_alone(void **state)
{
    (void)state;
    fm_array *in = make_table(ROWS, WIDTH, FM_ORDER_C),
             *base = make_table(2 * ROWS, WIDTH, FM_ORDER_C), *out;
    assert_int_equal(fm_array_view(&out, base, (fm_slice[]){{0, 2 * ROWS, 2}, FM_ALL}), 0);
    setup_pool(0);
    t_expect(fm_pool_map(pool, reverse_row, in, out, NULL), 0);
    check_reversed(out, 0, 1);
    for (int64_t i = 1; i < 2 * ROWS; i += 2)
        for (int64_t j = 0; j < WIDTH; j++)
            assert_true(*at(base, 2, T_SHAPE(i, j)) == (double)(100 * i + j));
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(base);
}

static void test_map_columns_with_gaps_in_their_rows_come_packed(void **state)
{
    (void)state;
    fm_array *base = make_table(ROWS, 2 * WIDTH, FM_ORDER_C),
             *out = make_table(ROWS, WIDTH, FM_ORDER_C), *in;
    assert_int_equal(fm_array_view(&in, base, (fm_slice[]){FM_ALL, {0, 2 * WIDTH, 2}}), 0);
    setup_pool(0);
    t_expect(fm_pool_map(pool, reverse_row, in, out, NULL), 0);
    for (int64_t i = 0; i < ROWS; i++) {
        double sum = 400.0 * (double)i + 12;
        for (int64_t j = 0; j < WIDTH; j++)
            assert_true(*at(out, 2, T_SHAPE(i, j)) ==
                        (double)(100 * i + 2 * (WIDTH - 1 - j)) + sum);
    }
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(base);
    fm_array_destroy(out);
}

/* ---- columns ---- */

static int weigh(const void *const items[], void *result, void *arg)
{
    const double *x = items[0], *weights = items[1];
    (void)arg;
    *(double *)result = 0;
    for (int j = 0; j < WIDTH; j++)
        *(double *)result += x[j] * weights[j] + *(const float *)items[2];
    return 0;
}

static void test_map_column_of_one_row_is_broadcast(void **state)
{
    (void)state;
    fm_array *x = make_table(ROWS, WIDTH, FM_ORDER_F), *weights = make_table(1, WIDTH, FM_ORDER_C);
    fm_array *offsets = t_vector(FM_F32, ROWS), *out = t_vector(FM_F64, ROWS);
    for (int i = 0; i < ROWS; i++)
        ((float *)fm_array_data(offsets))[i] = (float)i / 8;
    setup_pool(0);
    t_expect(fm_pool_starmap(pool, weigh, (fm_array *[]){x, weights, offsets}, 3, out, NULL), 0);
    for (int i = 0; i < ROWS; i++) {
        double sum = 0;
        for (int j = 0; j < WIDTH; j++)
            sum += (double)(100 * i + j) * j + (double)((float)i / 8);
        assert_true(((double *)fm_array_data(out))[i] == sum);
    }
    teardown_pool();
    fm_array_destroy(x);
    fm_array_destroy(weights);
    fm_array_destroy(offsets);
    fm_array_destroy(out);
}

static int add_columns(const fm_chunk *chunk, void *arg)
{
    (void)arg;
    for (int64_t r = 0; r < chunk->count; r++) {
        int64_t sum = 0;
        for (int k = 0; k < chunk->n_in; k++)
            sum += *(const int64_t *)((const char *)chunk->in[k] + r * chunk->in_stride[k]);
        *(int64_t *)((char *)chunk->out + r * chunk->out_stride) = sum;
    }
    return 0;
}

static void test_map_sixteen_columns_are_one_map(void **state)
{
    (void)state;
    fm_array *columns[FM_MAX_COLUMNS], *out = t_vector(FM_I64, 40);
    for (int k = 0; k < FM_MAX_COLUMNS; k++)
        columns[k] = k % 5 == 3 ? t_counted(1) : t_counted(40);
    *(int64_t *)fm_array_data(columns[3]) = 1000;
    setup_pool(0);
    t_expect(fm_pool_starmap_chunks(pool, add_columns, columns, FM_MAX_COLUMNS, out, NULL), 0);
    for (int64_t i = 0; i < 40; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], 13 * i + 1000);
    teardown_pool();
    for (int k = 0; k < FM_MAX_COLUMNS; k++)
        fm_array_destroy(columns[k]);
    fm_array_destroy(out);
}

static void test_map_columns_of_one_row_only_are_one_item(void **state)
{
    (void)state;
    fm_array *a = t_counted(1), *b = t_counted(1), *out = t_vector(FM_I64, 1);
    *(int64_t *)fm_array_data(a) = 7;
    setup_pool(0);
    t_expect(fm_pool_starmap_chunks(pool, add_columns, (fm_array *[]){a, b}, 2, out, NULL), 0);
    assert_int_equal(*(int64_t *)fm_array_data(out), 7);
    teardown_pool();
    fm_array_destroy(a);
    fm_array_destroy(b);
    fm_array_destroy(out);
}

/* ---- structs ---- */

struct particle {
    double x[3];
    int32_t charge;
    char name[12];
};

static int push(const void *item, void *result, void *arg)
{
    const struct particle *p = item;
    struct particle *q = result;
    (void)arg;
    *q = *p;
    q->x[2] += p->charge * 0.5;
    q->name[0] = 'B';
    return 0;
}

static void test_map_structs_are_elements(void **state)
{
    (void)state;
    enum { N = 111 };
    fm_array *in = t_vector(FM_STRUCT(sizeof(struct particle)), N);
    fm_array *out = t_vector(FM_STRUCT(sizeof(struct particle)), N);
    struct particle *p = fm_array_data(in), *q = fm_array_data(out);
    for (int i = 0; i < N; i++)
        p[i] = (struct particle){.x = {i, 2 * i, 3 * i}, .charge = i - 50, .name = "A"};
    setup_pool(0);
    t_expect(fm_pool_map(pool, push, in, out, NULL), 0);
    for (int i = 0; i < N; i++) {
        assert_true(q[i].x[1] == 2.0 * i && q[i].x[2] == 3 * i + (i - 50) * 0.5);
        assert_string_equal(q[i].name, "B");
    }
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(out);
}

/* ---- few, none, very many ---- */

static int add_one(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item + 1;
    return 0;
}

static int never(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 1;
}

static void test_map_of_no_items_is_done(void **state)
{
    (void)state;
    fm_array *in = t_counted(0), *out = t_counted(0), *status = t_vector(FM_U8, 0);
    setup_pool(0);
    t_expect(fm_pool_map(pool, never, in, out, FM_MAP_OPTS(.status = status)), 0);
    t_expect(fm_pool_map(pool, never, in, NULL, NULL), 0);
    t_expect(fm_pool_map_range(pool, never, 5, 5, NULL, NULL), 0);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

static void test_map_of_one_item_or_fewer_than_workers_is_right(void **state)
{
    (void)state;
    pool = t_open(7, FM_CALLER_SLEEPS);
    for (int64_t n = 1; n < 7; n++) {
        fm_array *in = t_counted(n), *out = t_vector(FM_I64, n);
        t_expect(fm_pool_map(pool, add_one, in, out, NULL), 0);
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(((int64_t *)fm_array_data(out))[i], i + 1);
        fm_array_destroy(in);
        fm_array_destroy(out);
    }
    teardown_pool();
}

static int touch(const void *item, void *result, void *arg)
{
    _Atomic int64_t *sum = arg;
    atomic_fetch_add(sum, *(const int64_t *)item);
    return result != NULL;
}

static void test_map_without_output_runs_every_item(void **state)
{
    (void)state;
    fm_array *in = t_counted(1000), *sum = t_vector(FM_I64, 1);
    setup_pool(0);
    t_expect(fm_pool_map(pool, touch, in, NULL, FM_MAP_OPTS(.arg = fm_array_data(sum))), 0);
    assert_int_equal(*(int64_t *)fm_array_data(sum), 499500);
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(sum);
}

static int count_row(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    atomic_fetch_add((_Atomic int64_t *)arg, 1);
    return 0;
}

static void test_map_rows_of_no_elements_are_still_items(void **state)
{
    (void)state;
    fm_array *in = t_array(FM_F64, 2, T_SHAPE(50, 0)), *out = t_array(FM_F32, 3, T_SHAPE(50, 3, 0));
    fm_array *count = t_vector(FM_I64, 1);
    setup_pool(0);
    t_expect(fm_pool_map(pool, count_row, in, out, FM_MAP_OPTS(.arg = fm_array_data(count))), 0);
    assert_int_equal(*(int64_t *)fm_array_data(count), 50);
    t_expect(fm_pool_map(pool, count_row, in, in,
                         FM_MAP_OPTS(.arg = fm_array_data(count), .flags = FM_IN_PLACE)),
             0);
    assert_int_equal(*(int64_t *)fm_array_data(count), 100);
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(count);
}

static int flip(const void *item, void *result, void *arg)
{
    (void)arg;
    *(uint8_t *)result = (uint8_t) ~*(const uint8_t *)item;
    return 0;
}

/* More items than a range has grains (2^22 - 1): several items make one grain, and the last one is short. */
static void test_map_of_more_items_than_grains_misses_none(void **state)
{
    (void)state;
    const int64_t n = (1 << 22) * 2 + 12345;
    fm_array *in = t_vector(FM_U8, n), *out = t_vector(FM_U8, n);
    uint8_t *x = fm_array_data(in), *y = fm_array_data(out);
    for (int64_t i = 0; i < n; i++)
        x[i] = (uint8_t)(i * 7);
    setup_pool(0);
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        memset(y, 0x55, (size_t)n);
        t_expect(fm_pool_map(pool, flip, in, out,
                             FM_MAP_OPTS(.schedule = schedule,
                                         .chunk = schedule == FM_SCHEDULE_DYNAMIC ? 1000 : 0)),
                 0);
        int64_t n_wrong = 0;
        for (int64_t i = 0; i < n; i++)
            n_wrong += y[i] + x[i] != 255;
        assert_int_equal(n_wrong, 0);
    }
    teardown_pool();
    fm_array_destroy(in);
    fm_array_destroy(out);
}

/* Numbers near both ends of int64_t, more of them than memory could hold: the first failure ends it. */
static int fail_always(const void *item, void *result, void *arg)
{
    (void)result;
    *(int64_t *)arg = *(const int64_t *)item;
    return 1;
}

static int fail_chunk(const fm_chunk *chunk, void *arg)
{
    (void)arg;
    return chunk->count > 0;
}

static void test_map_range_of_nearly_all_numbers_starts_with_the_first(void **state)
{
    (void)state;
    fm_array *seen = t_vector(FM_I64, 1);
    fm_failure failure;
    static const int64_t begins[] = {0, -5, INT64_MIN};
    static const int64_t ends[] = {INT64_MAX, INT64_MAX - 10, -2};
    static const int64_t chunks[] = {0, 1000, INT64_MAX / 3 * 2, INT64_MAX};
    pool = t_open(1, FM_CALLER_SLEEPS);
    for (size_t k = 0; k < T_N_OF(begins); k++)
        for (size_t c = 0; c < T_N_OF(chunks); c++) {
            const fm_map_opts *opts = FM_MAP_OPTS(.arg = fm_array_data(seen), .chunk = chunks[c]);
            t_expect(fm_pool_map_range(pool, fail_always, begins[k], ends[k], NULL, opts),
                     FM_ETASK);
            assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
            assert_int_equal(failure.item, begins[k]);
            assert_int_equal(*(int64_t *)fm_array_data(seen), begins[k]);
            t_expect(fm_pool_map_range_chunks(pool, fail_chunk, begins[k], ends[k], NULL, opts),
                     FM_ETASK);
            assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
            assert_int_equal(failure.item, begins[k]);
        }
    teardown_pool();
    fm_array_destroy(seen);
}

/* Rows with gaps are copied; the copies lie as elements of any type may lie. */
static int expect_aligned(const void *const items[], void *result, void *arg)
{
    (void)arg;
    for (int k = 0; k < 2; k++)
        if ((uintptr_t)items[k] % 16 != 0)
            return 1 + k;
    if ((uintptr_t)result % 16 != 0)
        return 3;
    ((double *)result)[0] = ((const double *)items[1])[1];
    ((double *)result)[1] = ((const unsigned char *)items[0])[2];
    return 0;
}

static void test_map_copies_of_rows_with_gaps_are_aligned(void **state)
{
    (void)state;
    enum { N = 50 };
    fm_pool *two = t_open(2, FM_CALLER_SLEEPS);
    fm_array *bytes, *numbers, *out;
    const fm_array_opts *by_columns = FM_ARRAY_OPTS(.order = FM_ORDER_F, .zero = 1);
    t_expect(fm_array_create(&bytes, FM_U8, 2, T_SHAPE(N, 3), by_columns), 0);
    t_expect(fm_array_create(&numbers, FM_F64, 2, T_SHAPE(N, 2), by_columns), 0);
    t_expect(fm_array_create(&out, FM_F64, 2, T_SHAPE(N, 2), by_columns), 0);
    for (int64_t i = 0; i < N; i++) {
        *(unsigned char *)fm_array_at(bytes, 2, T_SHAPE(i, 2)) = (unsigned char)i;
        *(double *)fm_array_at(numbers, 2, T_SHAPE(i, 1)) = 0.5 * (double)i;
    }
    fm_array *columns[] = {bytes, numbers};
    t_expect(fm_pool_starmap(two, expect_aligned, columns, 2, out, NULL), 0);
    for (int64_t i = 0; i < N; i++) {
        assert_true(*(double *)fm_array_at(out, 2, T_SHAPE(i, 0)) == 0.5 * (double)i);
        assert_true(*(double *)fm_array_at(out, 2, T_SHAPE(i, 1)) == (double)i);
    }
    fm_array_destroy(bytes);
    fm_array_destroy(numbers);
    fm_array_destroy(out);
    t_destroy(two);
}

T_MAIN(T_TEST(test_map_rows_of_several_elements_come_packed),
       T_TEST(test_map_fortran_order_rows_come_packed),
       T_TEST(test_map_views_with_negative_strides_run_backwards),
       T_TEST(test_map_every_other_row_leaves_the_rows_between_alone),
       T_TEST(test_map_columns_with_gaps_in_their_rows_come_packed),
       T_TEST(test_map_column_of_one_row_is_broadcast),
       T_TEST(test_map_sixteen_columns_are_one_map),
       T_TEST(test_map_columns_of_one_row_only_are_one_item), T_TEST(test_map_structs_are_elements),
       T_TEST(test_map_of_no_items_is_done),
       T_TEST(test_map_of_one_item_or_fewer_than_workers_is_right),
       T_TEST(test_map_without_output_runs_every_item),
       T_TEST(test_map_rows_of_no_elements_are_still_items),
       T_TEST(test_map_of_more_items_than_grains_misses_none),
       T_TEST(test_map_range_of_nearly_all_numbers_starts_with_the_first),
       T_TEST(test_map_copies_of_rows_with_gaps_are_aligned))
