/* SPDX-License-Identifier: MIT */
/* LABELS: unit */

/* matmul: the product for odd sizes and strides, its check, and A and B from files. */

#include "t_kernel.h"

#include "matmul.h"

#include <math.h>

/* The element as the definition has it; the order of the sum is that of the kernel. */
static double plain_element(const struct fmk_problem *p, int64_t i, int64_t j)
{
    const struct fmk_matmul_ctx *m = p->ctx;
    volatile double sum = 0.0; /* no fused multiply-add: the product is rounded, too */
    for (int64_t k = 0; k < m->depth; k++) {
        volatile const double product =
            *(double *)fm_array_at(p->columns[0], 2, (int64_t[]){i, k}) *
            m->b[k * m->n_columns + j];
        sum = sum + product;
    }
    return sum;
}

static void assert_is_the_plain_product(struct fmk_problem *p)
{
    const struct fmk_matmul_ctx *m = p->ctx;
    t_run(p);
    for (int64_t i = 0; i < m->n_rows; i++)
        for (int64_t j = 0; j < m->n_columns; j++)
            if (m->c[i * m->n_columns + j] != plain_element(p, i, j))
                fail_msg("element %d, %d is %.17g, not %.17g", (int)i, (int)j,
                         m->c[i * m->n_columns + j], plain_element(p, i, j));
    assert_int_equal(t_verify(p), 0);
}

static void test_matmul_is_the_plain_product_for_odd_sizes(void **state)
{
    static const char *const sizes[][3] = {{"1", "1", "1"},   {"5", "1", "3"},  {"3", "131", "2"},
                                           {"9", "64", "17"}, {"7", "67", "9"}, {"4", "3", "1029"},
                                           {"13", "2", "513"}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct fmk_problem p;
        t_open(
            &p, "matmul",
            T_PARAMS({"n", sizes[s][0], NULL}, {"k", sizes[s][1], NULL}, {"m", sizes[s][2], NULL}),
            NULL);
        assert_is_the_plain_product(&p);
        fmk_release(&p);
    }
}

/* 1 / (i + k + 1): a sum in another order, or a fused one, would have other bits. */
static fm_array *make_inexact(int64_t n, int64_t k, int order)
{
    fm_array *a;
    assert_int_equal(
        fm_array_create(&a, FM_F64, 2, (int64_t[]){n, k}, FM_ARRAY_OPTS(.order = order)), 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < k; j++)
            *(double *)fm_array_at(a, 2, (int64_t[]){i, j}) = 1.0 / (double)(i + 2 * j + 3);
    return a;
}

static void test_matmul_sums_in_the_order_of_the_plain_loop(void **state)
{
    fm_array *a = make_inexact(11, 203, FM_ORDER_C);
    struct fmk_problem p;
    (void)state;
    t_open(&p, "matmul", T_PARAMS({"m", "37", NULL}), a);
    assert_is_the_plain_product(&p);
    fmk_release(&p);
    fm_array_destroy(a);
}

static void test_matmul_takes_a_in_columns_and_backwards(void **state)
{
    fm_array *a = make_inexact(10, 21, FM_ORDER_F), *view;
    const fm_slice backwards[] = {{9, -1, -1}, {20, -1, -2}};
    struct fmk_problem p;
    (void)state;
    assert_int_equal(fm_array_view(&view, a, backwards), 0);
    t_open(&p, "matmul", T_PARAMS({"m", "5", NULL}), a);
    assert_is_the_plain_product(&p);
    fmk_release(&p);
    t_open(&p, "matmul", T_PARAMS({"m", "5", NULL}), view);
    assert_int_equal(((struct fmk_matmul_ctx *)p.ctx)->depth, 11);
    assert_is_the_plain_product(&p);
    fmk_release(&p);
    fm_array_destroy(view);
    fm_array_destroy(a);
}

static void test_matmul_wrong_elements_are_found_and_their_row_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "matmul", T_PARAMS({"n", "30", NULL}, {"k", "40", NULL}, {"m", "50", NULL}), NULL);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    double *c = fm_array_data(p.out);
    c[7 * 50 + 49] += 1.0 / 65536.0; /* the least that it can be wrong by */
    assert_true(t_finds(&p, "row 7 of C"));
    c[7 * 50] -= 1.0 / 65536.0; /* so that the sum of the row is right */
    assert_true(t_finds(&p, "row 7 of C"));
    c[0] = NAN;
    assert_true(t_finds(&p, "row 0 of C"));
    fmk_release(&p);
}

static void test_matmul_what_is_not_finite_is_not_called_right(void **state)
{
    fm_array *a = make_inexact(3, 4, FM_ORDER_C);
    struct fmk_problem p;
    (void)state;
    *(double *)fm_array_at(a, 2, (int64_t[]){1, 2}) = INFINITY;
    t_open(&p, "matmul", T_PARAMS({"m", "2", NULL}), a);
    t_run(&p);
    assert_int_equal(t_verify(&p), 2);
    fmk_release(&p);
    fm_array_destroy(a);
}

static void test_matmul_a_without_rows_gives_c_without_rows(void **state)
{
    fm_array *a = make_inexact(0, 4, FM_ORDER_C);
    struct fmk_problem p;
    (void)state;
    t_open(&p, "matmul", T_PARAMS({"m", "2", NULL}), a);
    t_run(&p);
    assert_int_equal(fm_array_len(p.out), 0);
    assert_int_equal(t_verify(&p), 0);
    fmk_release(&p);
    t_open(&p, "matmul", T_PARAMS({"n", "0", NULL}), NULL);
    assert_int_equal(p.n, 0);
    fmk_release(&p);
    fm_array_destroy(a);
}

/* A sum of nothing is 0. */
static void test_matmul_a_without_columns_gives_zeros(void **state)
{
    fm_array *a = make_inexact(5, 0, FM_ORDER_C);
    struct fmk_problem p;
    (void)state;
    t_open(&p, "matmul", T_PARAMS({"m", "2", NULL}), a);
    assert_is_the_plain_product(&p);
    assert_true(((double *)fm_array_data(p.out))[9] == 0.0);
    fmk_release(&p);
    fm_array_destroy(a);
}

static void test_matmul_b_from_a_file_in_either_order(void **state)
{
    (void)state;
    for (int order = FM_ORDER_C; order <= FM_ORDER_F; order++) {
        const char *path = t_save("b.npy", make_inexact(6, 35, order));
        fm_array *a = make_inexact(5, 6, FM_ORDER_C);
        struct fmk_problem p;
        t_open(&p, "matmul", T_PARAMS({"b", path, NULL}), a);
        assert_int_equal(fm_array_shape(p.out)[1], 35);
        assert_true(((struct fmk_matmul_ctx *)p.ctx)->b[36] == 1.0 / 6.0); /* row 1, column 1 */
        assert_is_the_plain_product(&p);
        fmk_release(&p);
        fm_array_destroy(a);
    }
}

static void test_matmul_b_that_does_not_fit_is_refused(void **state)
{
    fm_array *a = make_inexact(5, 6, FM_ORDER_C), *numbers, *single;
    struct fmk_problem p;
    (void)state;
    const char *path = t_save("b.npy", make_inexact(7, 3, FM_ORDER_C));
    t_refused("matmul", T_PARAMS({"b", path, NULL}), a, "has 7 rows, but A 6 columns");
    t_refused("matmul", T_PARAMS({"b", path, NULL}), NULL, "the parameter k sets");
    t_refused("matmul", T_PARAMS({"b", path, NULL}, {"m", "4", NULL}), a,
              "m=4, but b has 3 columns; leave m out");
    assert_int_equal(fm_array_zeros(&numbers, FM_F64, 1, (int64_t[]){6}), 0);
    path = t_save("b.npy", numbers);
    t_refused("matmul", T_PARAMS({"b", path, NULL}), a, "has 1 axes of f8; 2 of f8 are needed");
    assert_int_equal(fm_array_zeros(&single, FM_F32, 2, (int64_t[]){6, 2}), 0);
    path = t_save("b.npy", single);
    t_refused("matmul", T_PARAMS({"b", path, NULL}), a, "f4");
    path = t_save("b.npy", make_inexact(6, 0, FM_ORDER_C));
    t_refused("matmul", T_PARAMS({"b", path, NULL}), a, "6 x 0");
    assert_int_equal(
        fmk_prepare(&p, fmk_find("matmul"), T_PARAMS({"b", "/nonexistent/b.npy", NULL}), &a, 1),
        -ENOENT);
    assert_non_null(strstr(fmk_error_detail(), "/nonexistent/b.npy"));
    fm_array_destroy(a);
}

static void test_matmul_sizes_that_contradict_the_input_are_refused(void **state)
{
    fm_array *a = make_inexact(5, 6, FM_ORDER_C);
    struct fmk_problem p;
    (void)state;
    t_refused("matmul", T_PARAMS({"k", "7", NULL}), a, "k=7, but column a has rows of 6");
    t_refused("matmul", T_PARAMS({"n", "7", NULL}), a, "n=7, but column a has 5 rows");
    t_refused("matmul", T_PARAMS({"n", "many", NULL}), a, "n=many");
    t_open(&p, "matmul", T_PARAMS({"k", "6", NULL}, {"n", "5", NULL}, {"m", "1", NULL}), a);
    fmk_release(&p);
    fm_array_destroy(a);
}

static void test_matmul_bad_sizes_are_refused_with_the_bounds(void **state)
{
    (void)state;
    t_refused("matmul", T_PARAMS({"k", "0", NULL}), NULL, "from 1 to 1048576");
    t_refused("matmul", T_PARAMS({"m", "1048577", NULL}), NULL, "from 1 to 1048576");
    t_refused("matmul", T_PARAMS({"n", "-1", NULL}), NULL, "from 0 to");
}

T_MAIN(T_TEST(test_matmul_is_the_plain_product_for_odd_sizes),
       T_TEST(test_matmul_sums_in_the_order_of_the_plain_loop),
       T_TEST(test_matmul_takes_a_in_columns_and_backwards),
       T_TEST(test_matmul_wrong_elements_are_found_and_their_row_named),
       T_TEST(test_matmul_what_is_not_finite_is_not_called_right),
       T_TEST(test_matmul_a_without_rows_gives_c_without_rows),
       T_TEST(test_matmul_a_without_columns_gives_zeros),
       T_TEST(test_matmul_b_from_a_file_in_either_order),
       T_TEST(test_matmul_b_that_does_not_fit_is_refused),
       T_TEST(test_matmul_sizes_that_contradict_the_input_are_refused),
       T_TEST(test_matmul_bad_sizes_are_refused_with_the_bounds))
