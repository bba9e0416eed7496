/* SPDX-License-Identifier: MIT */
/* LABELS: unit */

/* spmv: the generated matrix and its product, matrices from files, and what is no matrix. */

#include "t_kernel.h"

#include "spmv.h"

#include <math.h>

/* Row by row into a dense matrix, which is then multiplied as the definition has it. */
static void assert_is_the_dense_product(struct fmk_problem *p)
{
    const struct fmk_spmv_ctx *c = p->ctx;
    double dense[512];
    assert_true(c->n_columns <= 512);
    t_run(p);
    for (int64_t row = 0; row < c->n_rows; row++) {
        double sum = 0.0;
        memset(dense, 0, sizeof dense);
        for (int64_t e = c->starts[row]; e < c->starts[row + 1]; e++)
            dense[c->columns[e]] += c->values[e];
        for (int64_t k = 0; k < c->n_columns; k++)
            sum += dense[k] * c->x[k];
        assert_true(c->y[row] == sum);
    }
    assert_int_equal(t_verify(p), 0);
}

static void test_spmv_is_the_dense_product_for_odd_sizes(void **state)
{
    static const char *const sizes[][3] = {{"1", "1", "0"},
                                           {"2", "2", "1"},
                                           {"77", "77", "0"},
                                           {"211", "150", "0.5"},
                                           {"509", "1", "2"}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct fmk_problem p;
        t_open(&p, "spmv",
               T_PARAMS({"n", sizes[s][0], NULL}, {"longest", sizes[s][1], NULL},
                        {"exponent", sizes[s][2], NULL}),
               NULL);
        assert_is_the_dense_product(&p);
        fmk_release(&p);
    }
}

static void test_spmv_generated_rows_fall_by_the_rule_with_rising_columns(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "spmv",
           T_PARAMS({"n", "300", NULL}, {"longest", "201", NULL}, {"exponent", "1", NULL}), NULL);
    const struct fmk_spmv_ctx *c = p.ctx;
    assert_int_equal(c->starts[0], 0);
    for (int64_t row = 0; row < 300; row++) {
        assert_int_equal(c->starts[row + 1] - c->starts[row], 1 + 200 / (row + 1));
        for (int64_t e = c->starts[row]; e < c->starts[row + 1]; e++) {
            assert_true(c->columns[e] >= 0 && c->columns[e] < 300 && c->values[e] >= 1.0);
            assert_true(e == c->starts[row] || c->columns[e] > c->columns[e - 1]);
        }
    }
    assert_int_equal(c->starts[300], c->n_entries);
    fmk_release(&p);
}

static void test_spmv_row_is_never_longer_than_the_matrix_is_wide(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "spmv", T_PARAMS({"n", "5", NULL}, {"exponent", "0", NULL}), NULL);
    assert_int_equal(((struct fmk_spmv_ctx *)p.ctx)->n_entries, 25);
    assert_is_the_dense_product(&p);
    fmk_release(&p);
}

static void test_spmv_wrong_element_is_found_and_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "spmv", T_PARAMS({"n", "211", NULL}), NULL);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    double *y = fm_array_data(p.out);
    y[210] += 1.0;
    assert_true(t_finds(&p, "element 210 of y"));
    y[0] = NAN;
    assert_true(t_finds(&p, "element 0 of y"));
    fmk_release(&p);
}

/*
 * ---- files
 * ---------------------------------------------------------------------------------------
 */

/* [1 0 2 0; 0 0 0 0; 0.5 -4 0 8], as scipy would save it. */
struct csr {
    int64_t starts[4], columns[5];
    double values[5], x[4];
    int64_t n_starts, n_columns, n_values, n_x;
};
static const struct csr good = {{0, 2, 2, 5},
                                {0, 2, 0, 1, 3},
                                {1.0, 2.0, 0.5, -4.0, 8.0},
                                {10.0, 20.0, 30.0, 40.0},
                                4,
                                5,
                                5,
                                4};

static const char *save_whole(const char *name, const int64_t *numbers, int64_t n, fm_dtype dtype)
{
    fm_array *a;
    assert_int_equal(fm_array_create(&a, dtype, 1, &n, NULL), 0);
    for (int64_t k = 0; k < n; k++)
        if (dtype == FM_I32)
            ((int32_t *)fm_array_data(a))[k] = (int32_t)numbers[k];
        else
            ((int64_t *)fm_array_data(a))[k] = numbers[k];
    return t_save(name, a);
}

static const char *save_real(const char *name, const double *numbers, int64_t n)
{
    fm_array *a;
    assert_int_equal(fm_array_from(&a, numbers, FM_F64, 1, &n), 0);
    return t_save(name, a);
}

struct files {
    struct fmk_param params[6];
};

/* `extra` is one parameter more, its key NULL for none. */
static struct files save_csr(const struct csr *m, fm_dtype dtype, struct fmk_param extra)
{
    return (struct files){
        {{"indptr", save_whole("indptr.npy", m->starts, m->n_starts, dtype), NULL},
         {"indices", save_whole("indices.npy", m->columns, m->n_columns, dtype), NULL},
         {"data", save_real("data.npy", m->values, m->n_values), NULL},
         {"x", save_real("x.npy", m->x, m->n_x), NULL},
         extra,
         {NULL, NULL, NULL}}};
}
static const struct fmk_param no_more = {NULL, NULL, NULL};

static void test_spmv_matrix_from_files_of_either_whole_type(void **state)
{
    static const fm_dtype dtypes[] = {FM_I32, FM_I64};
    (void)state;
    for (int k = 0; k < 2; k++) {
        const struct files files = save_csr(&good, dtypes[k], no_more);
        struct fmk_problem p;
        t_open(&p, "spmv", files.params, NULL);
        assert_is_the_dense_product(&p);
        const double *y = fm_array_data(p.out);
        assert_int_equal(p.n, 3);
        assert_true(y[0] == 70.0 && y[1] == 0.0 && y[2] == 245.0);
        ((double *)fm_array_data(p.out))[2] = 245.0 * (1.0 + 1e-14);
        assert_true(t_finds(&p, "element 2 of y"));
        fmk_release(&p);
    }
}

static void test_spmv_matrix_without_rows_or_entries_is_one(void **state)
{
    struct csr m = good;
    struct fmk_problem p;
    (void)state;
    m.n_starts = 1;
    m.n_columns = m.n_values = 0;
    struct files files = save_csr(&m, FM_I64, no_more);
    t_open(&p, "spmv", files.params, NULL);
    assert_int_equal(p.n, 0);
    assert_is_the_dense_product(&p);
    fmk_release(&p);
    m.n_starts = 3;
    m.n_x = m.starts[1] = m.starts[2] = 0;
    files = save_csr(&m, FM_I64, no_more);
    t_open(&p, "spmv", files.params, NULL);
    assert_int_equal(p.n, 2);
    assert_is_the_dense_product(&p);
    fmk_release(&p);
}

static void test_spmv_what_is_not_finite_is_not_called_right(void **state)
{
    struct csr m = good;
    struct fmk_problem p;
    (void)state;
    m.values[4] = INFINITY;
    const struct files files = save_csr(&m, FM_I64, no_more);
    t_open(&p, "spmv", files.params, NULL);
    t_run(&p);
    assert_int_equal(t_verify(&p), 2);
    fmk_release(&p);
}

static void assert_csr_refused(const struct csr *m, const char *reason)
{
    const struct files files = save_csr(m, FM_I64, no_more);
    t_refused("spmv", files.params, NULL, reason);
}

static void test_spmv_row_starts_that_are_none_are_refused(void **state)
{
    struct csr m = good;
    (void)state;
    m.starts[0] = 1;
    assert_csr_refused(&m, "element 0 is 1; they rise from 0 to the 5 of data");
    m = good, m.starts[2] = 1;
    assert_csr_refused(&m, "element 2 is 1; they rise");
    m = good, m.starts[2] = INT64_MAX;
    assert_csr_refused(&m, "element 2 is 9223372036854775807; they rise");
    m = good, m.starts[3] = 4;
    assert_csr_refused(&m, "ends with 4, but data has 5");
    m = good, m.n_starts = 0;
    assert_csr_refused(&m, "indptr is empty");
}

static void test_spmv_columns_outside_of_x_are_refused(void **state)
{
    struct csr m = good;
    (void)state;
    m.columns[3] = 4;
    assert_csr_refused(&m, "element 3 is 4, but x has 4 elements");
    m.columns[3] = -1;
    assert_csr_refused(&m, "element 3 is -1");
    m = good, m.n_columns = 4;
    assert_csr_refused(&m, "indices has 4 elements, data 5");
}

static void test_spmv_half_a_matrix_or_a_contradiction_is_refused(void **state)
{
    (void)state;
    t_refused("spmv", T_PARAMS({"x", "x.npy", NULL}), NULL, "indptr is missing");
    struct files files = save_csr(&good, FM_I64, (struct fmk_param){"n", "4", NULL});
    t_refused("spmv", files.params, NULL, "n=4, but indptr has 3 rows");
    files = save_csr(&good, FM_I64, (struct fmk_param){"longest", "4", NULL});
    t_refused("spmv", files.params, NULL, "for the generated matrix");
    files = save_csr(&good, FM_I64, no_more);
    files.params[2].value = files.params[0].value;
    t_refused("spmv", files.params, NULL, "has 1 axes of i8; 1 of f8 is needed");
    files.params[0].value = files.params[3].value;
    t_refused("spmv", files.params, NULL, "1 of i4 or i8 is needed");
}

static void test_spmv_bad_parameters_are_refused_with_the_bounds(void **state)
{
    (void)state;
    t_refused("spmv", T_PARAMS({"longest", "0", NULL}), NULL, "from 1 to");
    t_refused("spmv", T_PARAMS({"exponent", "-1", NULL}), NULL, "from 0 to 16");
    t_refused("spmv", T_PARAMS({"exponent", "inf", NULL}), NULL, "finite");
    t_refused("spmv",
              T_PARAMS({"n", "2147483647", NULL}, {"longest", "2147483647", NULL},
                       {"exponent", "0", NULL}),
              NULL, "more than 2^40 entries");
}

T_MAIN(T_TEST(test_spmv_is_the_dense_product_for_odd_sizes),
       T_TEST(test_spmv_generated_rows_fall_by_the_rule_with_rising_columns),
       T_TEST(test_spmv_row_is_never_longer_than_the_matrix_is_wide),
       T_TEST(test_spmv_wrong_element_is_found_and_named),
       T_TEST(test_spmv_matrix_from_files_of_either_whole_type),
       T_TEST(test_spmv_matrix_without_rows_or_entries_is_one),
       T_TEST(test_spmv_what_is_not_finite_is_not_called_right),
       T_TEST(test_spmv_row_starts_that_are_none_are_refused),
       T_TEST(test_spmv_columns_outside_of_x_are_refused),
       T_TEST(test_spmv_half_a_matrix_or_a_contradiction_is_refused),
       T_TEST(test_spmv_bad_parameters_are_refused_with_the_bounds))
