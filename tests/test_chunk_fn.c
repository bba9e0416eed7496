/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* FM_CHUNK_FN: the same values however the rows lie, and a reason where they are not what the function takes. */
#include "t_pool.h"

#include <errno.h>

enum { N = 1003 };

struct pair {
    double a, b;
};

/* clang-format off */
static FM_CHUNK_FN(affine, double, double, 2 * x + (double)i)
static FM_CHUNK_FN(scaled, float, double, *(const double *)arg * x)
static FM_CHUNK_FN(swapped, struct pair, struct pair, (struct pair){x.b, x.a})
    /* clang-format on */

    static fm_pool *pool;

static double *doubles(const fm_array *a)
{
    return fm_array_data(a);
}

static fm_array *counted(int64_t n)
{
    fm_array *a = t_vector(FM_F64, n);
    for (int64_t i = 0; i < n; i++)
        doubles(a)[i] = (double)i / 3;
    return a;
}

static fm_array *view_of(fm_array *a, int64_t begin, int64_t end, int64_t step)
{
    fm_array *view;
    t_expect(fm_array_view(&view, a, &(fm_slice){begin, end, step}), 0);
    return view;
}

static const double *at(const fm_array *a, int64_t i)
{
    return fm_array_at(a, 1, &i);
}

static void maps_affine(fm_array *in, fm_array *out)
{
    double expected[N];
    const int64_t n = fm_array_len(in);
    for (int64_t i = 0; i < n; i++)
        expected[i] = 2 * *at(in, i) + (double)i;
    pool = t_open(3, 0);
    t_expect(fm_pool_map_chunks(pool, affine, in, out,
                                FM_MAP_OPTS(.flags = in == out ? FM_IN_PLACE : 0)),
             0);
    for (int64_t i = 0; i < n; i++)
        assert_true(*at(out, i) == expected[i]);
    t_destroy(pool);
}

static void test_chunk_fn_maps_rows_without_gaps(void **state)
{
    (void)state;
    fm_array *in = counted(N), *out = t_vector(FM_F64, N);
    maps_affine(in, out);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_chunk_fn_maps_rows_in_place(void **state)
{
    (void)state;
    fm_array *in = counted(N);
    maps_affine(in, in);
    fm_array_destroy(in);
}

static void test_chunk_fn_maps_strided_rows_and_leaves_the_gaps(void **state)
{
    (void)state;
    fm_array *in = counted(3 * N), *out = counted(2 * N);
    fm_array *thirds = view_of(in, 0, 3 * N, 3), *halves = view_of(out, 0, 2 * N, 2);
    maps_affine(thirds, halves);
    for (int64_t i = 1; i < 2 * N; i += 2)
        assert_true(doubles(out)[i] == (double)i / 3);
    fm_array_destroy(thirds);
    fm_array_destroy(halves);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_chunk_fn_maps_rows_backwards(void **state)
{
    (void)state;
    fm_array *in = counted(N), *out = t_vector(FM_F64, N);
    fm_array *backwards = view_of(in, N - 1, -1, -1);
    maps_affine(backwards, out);
    fm_array_destroy(backwards);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_chunk_fn_sees_arg_and_converts_to_the_type_of_the_result(void **state)
{
    (void)state;
    double factor = 0.1;
    fm_array *in = t_vector(FM_F32, N), *out = t_vector(FM_F64, N);
    float *x = fm_array_data(in);
    for (int i = 0; i < N; i++)
        x[i] = (float)i / 7;
    pool = t_open(2, 0);
    t_expect(fm_pool_map_chunks(pool, scaled, in, out,
                                FM_MAP_OPTS(.arg = &factor, .arg_bytes = sizeof factor)),
             0);
    for (int i = 0; i < N; i++)
        assert_true(doubles(out)[i] == factor * x[i]);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_chunk_fn_takes_rows_as_structs_and_expressions_with_commas(void **state)
{
    (void)state;
    fm_array *in = t_array(FM_F64, 2, T_SHAPE(N, 2)), *out = t_array(FM_F64, 2, T_SHAPE(N, 2));
    for (int i = 0; i < 2 * N; i++)
        doubles(in)[i] = i;
    pool = t_open(2, 0);
    t_expect(fm_pool_map_chunks(pool, swapped, in, out, NULL), 0);
    for (int i = 0; i < 2 * N; i++)
        assert_true(doubles(out)[i] == (i ^ 1));
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

/* ---- rows that the function does not take ---- */

static void is_refused(fm_array *in, fm_array *out, const char *reason)
{
    fm_failure f;
    pool = t_open(2, 0);
    const int rc = in != NULL ? fm_pool_map_chunks(pool, swapped, in, out, NULL)
                              : fm_pool_map_range_chunks(pool, swapped, 0, 10, out, NULL);
    assert_int_equal(rc, FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_int_equal(f.item, 0);
    assert_int_equal(f.code, -EINVAL);
    if (strstr(f.note, reason) == NULL)
        fail_msg("the note \"%s\" lacks \"%s\"", f.note, reason);
    t_destroy(pool);
}

static void test_chunk_fn_refuses_rows_of_another_size(void **state)
{
    (void)state;
    fm_array *pairs = t_array(FM_F64, 2, T_SHAPE(10, 2)),
             *triples = t_array(FM_F64, 2, T_SHAPE(10, 3));
    is_refused(triples, pairs, "input rows have 24 bytes, the function's type has 16");
    is_refused(pairs, triples, "output rows have 24 bytes, the function's type has 16");
    fm_array_destroy(pairs);
    fm_array_destroy(triples);
}

static void test_chunk_fn_refuses_rows_with_gaps_inside(void **state)
{
    (void)state;
    fm_array *pairs = t_array(FM_F64, 2, T_SHAPE(10, 2)), *fortran;
    t_expect(fm_array_create(&fortran, FM_F64, 2, T_SHAPE(10, 2),
                             FM_ARRAY_OPTS(.order = FM_ORDER_F, .zero = 1)),
             0);
    is_refused(fortran, pairs, "input row do not follow each other");
    is_refused(pairs, fortran, "output row do not follow each other");
    fm_array_destroy(pairs);
    fm_array_destroy(fortran);
}

static void test_chunk_fn_refuses_a_map_without_input_or_output(void **state)
{
    (void)state;
    fm_array *pairs = t_array(FM_F64, 2, T_SHAPE(10, 2));
    is_refused(NULL, pairs, "no input array");
    is_refused(pairs, NULL, "no output array");
    fm_array_destroy(pairs);
}

static FM_CHUNK_FN(double_it, double, double, 2 * x)

    static void test_chunk_fn_refuses_several_columns(void **state)
{
    (void)state;
    fm_array *a = counted(N), *b = counted(N), *out = t_vector(FM_F64, N);
    fm_array *columns[] = {a, b};
    fm_failure f;
    pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_starmap_chunks(pool, double_it, columns, 2, out, NULL), FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, &f, 1), 1);
    assert_non_null(strstr(f.note, "2 columns, and the function takes one"));
    fm_array_destroy(a);
    fm_array_destroy(b);
    fm_array_destroy(out);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_chunk_fn_maps_rows_without_gaps), T_TEST(test_chunk_fn_maps_rows_in_place),
       T_TEST(test_chunk_fn_maps_strided_rows_and_leaves_the_gaps),
       T_TEST(test_chunk_fn_maps_rows_backwards),
       T_TEST(test_chunk_fn_sees_arg_and_converts_to_the_type_of_the_result),
       T_TEST(test_chunk_fn_takes_rows_as_structs_and_expressions_with_commas),
       T_TEST(test_chunk_fn_refuses_rows_of_another_size),
       T_TEST(test_chunk_fn_refuses_rows_with_gaps_inside),
       T_TEST(test_chunk_fn_refuses_a_map_without_input_or_output),
       T_TEST(test_chunk_fn_refuses_several_columns))
