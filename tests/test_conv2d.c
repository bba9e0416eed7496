/* SPDX-License-Identifier: MIT */
/* LABELS: unit */

/* conv2d: the definition for odd sizes and every border, filters from files, and what is refused. */

#include "t_kernel.h"

#include "conv2d.h"

#include <math.h>
#include <stdlib.h>

static const char *const borders[] = {"edge", "reflect", "wrap", "zero"};

/* Position i of an axis of n, in formulas; -1 for a zero. */
static int64_t place(int64_t i, int64_t n, int64_t border)
{
    const int64_t m = 2 * n - 2;
    if (border == FMK_CONV2D_ZERO)
        return i < 0 || i >= n ? -1 : i;
    if (border == FMK_CONV2D_WRAP)
        return ((i % n) + n) % n;
    if (border == FMK_CONV2D_EDGE || n == 1)
        return i < 0 ? 0 : i >= n ? n - 1 : i;
    return n - 1 - llabs(n - 1 - ((i % m) + m) % m);
}

static double plain_pixel(const struct fmk_conv2d_ctx *c, int64_t row, int64_t column)
{
    double sum = 0.0;
    for (int64_t u = 0; u < c->filter_height; u++)
        for (int64_t v = 0; v < c->filter_width; v++) {
            const int64_t i = place(row + u - c->filter_height / 2, c->height, c->border);
            const int64_t j = place(column + v - c->filter_width / 2, c->width, c->border);
            if (i >= 0 && j >= 0)
                sum +=
                    (double)c->taps[u * c->filter_width + v] * (double)c->image[i * c->width + j];
        }
    return sum;
}

/* Whole numbers that floats hold: equal, not close. */
static void assert_is_the_plain_result(struct fmk_problem *p)
{
    const struct fmk_conv2d_ctx *c = p->ctx;
    t_run(p);
    for (int64_t i = 0; i < c->height; i++)
        for (int64_t j = 0; j < c->width; j++)
            if ((double)c->out[i * c->width + j] != plain_pixel(c, i, j))
                fail_msg("%d x %d, border %d: pixel %d, %d is %.9g, not %.9g", (int)c->height,
                         (int)c->width, (int)c->border, (int)i, (int)j,
                         (double)c->out[i * c->width + j], plain_pixel(c, i, j));
    assert_int_equal(t_verify(p), 0);
}

static void test_conv2d_is_the_plain_sum_for_odd_sizes_and_every_border(void **state)
{
    static const char *const sizes[][3] = {{"1", "1", "0"},   {"1", "1", "4"},   {"1", "5", "3"},
                                           {"5", "1", "3"},   {"3", "2", "4"},   {"7", "9", "4"},
                                           {"13", "77", "1"}, {"2", "4109", "2"}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (int b = 0; b < 4; b++) {
            struct fmk_problem p;
            t_open(&p, "conv2d",
                   T_PARAMS({"n", sizes[s][0], NULL}, {"width", sizes[s][1], NULL},
                            {"radius", sizes[s][2], NULL}, {"border", borders[b], NULL}),
                   NULL);
            assert_is_the_plain_result(&p);
            fmk_release(&p);
        }
}

static fm_array *make_matrix(const double *numbers, int64_t rows, int64_t columns, fm_dtype dtype)
{
    fm_array *a;
    assert_int_equal(fm_array_create(&a, dtype, 2, (int64_t[]){rows, columns}, NULL), 0);
    for (int64_t k = 0; k < rows * columns; k++)
        if (dtype == FM_F32)
            ((float *)fm_array_data(a))[k] = (float)numbers[k];
        else
            ((double *)fm_array_data(a))[k] = numbers[k];
    return a;
}

/* Output pixel j is input pixel j - 2. */
static void test_conv2d_borders_continue_the_image_as_numpy_pad_does(void **state)
{
    static const float expected[4][4] = {{1, 1, 1, 2}, {3, 2, 1, 2}, {3, 4, 1, 2}, {0, 0, 1, 2}};
    const char *path = t_save("f.npy", make_matrix((double[]){0, 0, 0, 0, 1}, 1, 5, FM_F64));
    fm_array *image = make_matrix((double[]){1, 2, 3, 4}, 1, 4, FM_F32);
    (void)state;
    for (int b = 0; b < 4; b++) {
        struct fmk_problem p;
        t_open(&p, "conv2d", T_PARAMS({"filter", path, NULL}, {"border", borders[b], NULL}), image);
        assert_is_the_plain_result(&p);
        assert_memory_equal(fm_array_data(p.out), expected[b], sizeof expected[b]);
        fmk_release(&p);
    }
    fm_array_destroy(image);
}

/* Convolved, not correlated: one bright pixel becomes the filter, as it is. */
static void test_conv2d_one_bright_pixel_becomes_the_filter(void **state)
{
    static const double filter[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    static const fm_dtype dtypes[] = {FM_F32, FM_F64};
    double pixels[7 * 9] = {0};
    (void)state;
    pixels[3 * 9 + 4] = 1.0;
    fm_array *image = make_matrix(pixels, 7, 9, FM_F32);
    for (int k = 0; k < 2; k++) {
        const char *path = t_save("f.npy", make_matrix(filter, 3, 5, dtypes[k]));
        struct fmk_problem p;
        t_open(&p, "conv2d", T_PARAMS({"filter", path, NULL}), image);
        assert_is_the_plain_result(&p);
        const float *out = fm_array_data(p.out);
        for (int64_t i = 0; i < 7; i++)
            for (int64_t j = 0; j < 9; j++) {
                const int inside = i >= 2 && i < 5 && j >= 2 && j < 7;
                assert_true((double)out[i * 9 + j] == (inside ? filter[(i - 2) * 5 + j - 2] : 0.0));
            }
        fmk_release(&p);
    }
    fm_array_destroy(image);
}

static void test_conv2d_even_image_stays_even_under_the_default_filter(void **state)
{
    double pixels[15 * 11];
    struct fmk_problem p;
    (void)state;
    for (int k = 0; k < 15 * 11; k++)
        pixels[k] = 7.0;
    fm_array *image = make_matrix(pixels, 15, 11, FM_F32);
    for (int b = 0; b < 3; b++) {
        t_open(&p, "conv2d", T_PARAMS({"border", borders[b], NULL}), image);
        t_run(&p);
        for (int k = 0; k < 15 * 11; k++)
            assert_true(((float *)fm_array_data(p.out))[k] == 7.0F);
        assert_int_equal(t_verify(&p), 0);
        fmk_release(&p);
    }
    fm_array_destroy(image);
}

/* 1 / 3, 1 / 4, ...: nothing is exact. */
static fm_array *make_inexact(int64_t rows, int64_t columns, int order)
{
    fm_array *a;
    assert_int_equal(
        fm_array_create(&a, FM_F32, 2, (int64_t[]){rows, columns}, FM_ARRAY_OPTS(.order = order)),
        0);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            *(float *)fm_array_at(a, 2, (int64_t[]){i, j}) = 1.0F / (float)(3 + i * columns + j);
    return a;
}

static void test_conv2d_image_in_columns_or_backwards_gives_the_same_bits(void **state)
{
    fm_array *rows = make_inexact(23, 41, FM_ORDER_C), *columns = make_inexact(23, 41, FM_ORDER_F);
    fm_array *backwards;
    struct fmk_problem p, q;
    (void)state;
    t_open(&p, "conv2d", NULL, rows);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    t_open(&q, "conv2d", NULL, columns);
    t_run(&q);
    assert_memory_equal(fm_array_data(q.out), fm_array_data(p.out), fm_array_bytes(p.out));
    assert_int_equal(t_verify(&q), 0);
    fmk_release(&q);
    assert_int_equal(fm_array_view(&backwards, rows, (fm_slice[]){{22, -1, -1}, FM_ALL}), 0);
    t_open(&q, "conv2d", NULL, backwards);
    t_run(&q);
    assert_int_equal(t_verify(&q), 0);
    fmk_release(&q);
    fmk_release(&p);
    fm_array_destroy(backwards);
    fm_array_destroy(columns);
    fm_array_destroy(rows);
}

static void test_conv2d_wrong_pixel_is_found_and_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "conv2d", T_PARAMS({"n", "61", NULL}, {"width", "77", NULL}), NULL);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    float *out = fm_array_data(p.out);
    out[60 * 77 + 76] = nextafterf(out[60 * 77 + 76], 0.0F);
    assert_true(t_finds(&p, "row 60, column 76"));
    out[0] = NAN;
    assert_true(t_finds(&p, "row 0, column 0"));
    fmk_release(&p);
}

static void test_conv2d_what_is_not_finite_is_not_called_right(void **state)
{
    fm_array *image = make_inexact(5, 6, FM_ORDER_C);
    struct fmk_problem p;
    (void)state;
    ((float *)fm_array_data(image))[17] = NAN;
    t_open(&p, "conv2d", NULL, image);
    t_run(&p);
    assert_int_equal(t_verify(&p), 2);
    fmk_release(&p);
    fm_array_destroy(image);
}

static void test_conv2d_image_without_pixels_gives_none(void **state)
{
    static const int64_t shapes[][2] = {{0, 6}, {5, 0}, {0, 0}};
    (void)state;
    for (int k = 0; k < 3; k++) {
        fm_array *image = make_inexact(shapes[k][0], shapes[k][1], FM_ORDER_C);
        struct fmk_problem p;
        t_open(&p, "conv2d", NULL, image);
        t_run(&p);
        assert_int_equal(fm_array_len(p.out), shapes[k][0]);
        assert_int_equal(fm_array_count(p.out), 0);
        assert_int_equal(t_verify(&p), 0);
        fmk_release(&p);
        fm_array_destroy(image);
    }
}

static void test_conv2d_filter_that_has_no_middle_is_refused(void **state)
{
    double zeros[1025] = {0};
    (void)state;
    const char *path = t_save("f.npy", make_matrix(zeros, 4, 3, FM_F64));
    t_refused("conv2d", T_PARAMS({"filter", path, NULL}), NULL, "is 4 x 3; it has a middle");
    path = t_save("f.npy", make_matrix(zeros, 1025, 1, FM_F64));
    t_refused("conv2d", T_PARAMS({"filter", path, NULL}), NULL, "up to 1023");
    path = t_save("f.npy", make_matrix(zeros, 0, 3, FM_F64));
    t_refused("conv2d", T_PARAMS({"filter", path, NULL}), NULL, "holds nothing");
    path = t_save("f.npy", make_matrix(zeros, 3, 3, FM_F64));
    t_refused("conv2d", T_PARAMS({"filter", path, NULL}, {"radius", "1", NULL}), NULL,
              "radius is for the generated filter");
}

static void test_conv2d_bad_parameters_are_refused_with_what_is_needed(void **state)
{
    fm_array *image = make_inexact(5, 6, FM_ORDER_C);
    (void)state;
    t_refused("conv2d", T_PARAMS({"border", "mirror", NULL}), NULL, "edge, reflect, wrap or zero");
    t_refused("conv2d", T_PARAMS({"radius", "17", NULL}), NULL, "from 0 to 16");
    t_refused("conv2d", T_PARAMS({"width", "0", NULL}), NULL, "from 1 to");
    t_refused("conv2d", T_PARAMS({"width", "7", NULL}), image, "the image has 6 columns");
    t_refused("conv2d", T_PARAMS({"n", "7", NULL}), image, "the image has 5 rows");
    fm_array_destroy(image);
    assert_int_equal(fm_array_zeros(&image, FM_U8, 2, (int64_t[]){5, 6}), 0);
    t_refused("conv2d", NULL, image, "column image is u1 of shape 5 x 6; f4 of shape n x any");
    fm_array_destroy(image);
}

T_MAIN(T_TEST(test_conv2d_is_the_plain_sum_for_odd_sizes_and_every_border),
       T_TEST(test_conv2d_borders_continue_the_image_as_numpy_pad_does),
       T_TEST(test_conv2d_one_bright_pixel_becomes_the_filter),
       T_TEST(test_conv2d_even_image_stays_even_under_the_default_filter),
       T_TEST(test_conv2d_image_in_columns_or_backwards_gives_the_same_bits),
       T_TEST(test_conv2d_wrong_pixel_is_found_and_named),
       T_TEST(test_conv2d_what_is_not_finite_is_not_called_right),
       T_TEST(test_conv2d_image_without_pixels_gives_none),
       T_TEST(test_conv2d_filter_that_has_no_middle_is_refused),
       T_TEST(test_conv2d_bad_parameters_are_refused_with_what_is_needed))
