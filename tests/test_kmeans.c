/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */

/* kmeans: passes against a plain program, files, how it ends, and what its check finds. */

#include "t_kernel.h"

#include "kmeans.h"

#include <math.h>

static double coordinate(const struct fmk_kmeans_ctx *c, int64_t point, int64_t dim)
{
    return c->points[fmk_kmeans_place(c, point) + dim * FMK_KMEANS_LANES];
}

static int64_t plain_nearest(const struct fmk_kmeans_ctx *c, int64_t point, const double *centres)
{
    int64_t nearest = -1;
    double least = INFINITY;
    for (int64_t k = 0; k < c->n_centres; k++) {
        volatile double sum = 0.0; /* no fused multiply-add */
        for (int64_t d = 0; d < c->n_dims; d++) {
            const double difference = coordinate(c, point, d) - centres[k * c->n_dims + d];
            volatile const double square = difference * difference;
            sum = sum + square;
        }
        if (sum < least) {
            nearest = k;
            least = sum;
        }
    }
    return nearest;
}

/* One step of Lloyd's over all points, without blocks: exact, since the coordinates are whole. */
static void plain_step(const struct fmk_kmeans_ctx *c, double *centres)
{
    const int64_t length = c->n_dims + 1;
    double *totals = calloc((size_t)(c->n_centres * length), sizeof *totals);
    assert_non_null(totals);
    for (int64_t i = 0; i < c->n_points; i++) {
        double *total = totals + plain_nearest(c, i, centres) * length;
        for (int64_t d = 0; d < c->n_dims; d++)
            total[d] += coordinate(c, i, d);
        total[c->n_dims] += 1.0;
    }
    for (int64_t k = 0; k < c->n_centres; k++)
        for (int64_t d = 0; d < c->n_dims && totals[k * length + c->n_dims] > 0.0; d++)
            centres[k * c->n_dims + d] = totals[k * length + d] / totals[k * length + c->n_dims];
    free(totals);
}

static void assert_counts_all_points(const struct fmk_problem *p)
{
    const struct fmk_kmeans_ctx *c = p->ctx;
    double n = 0.0;
    for (int64_t row = 0; row < p->n * c->n_centres; row++)
        n += c->sums[row * (c->n_dims + 1) + c->n_dims];
    assert_true(n == (double)c->n_points);
}

static void test_kmeans_passes_are_lloyds_for_odd_sizes(void **state)
{
    /* blocks, points per block, coordinates, centres */
    static const char *const sizes[][4] = {{"1", "1", "1", "1"},    {"3", "1", "2", "2"},
                                           {"7", "31", "3", "5"},   {"5", "33", "4", "4"},
                                           {"2", "100", "9", "13"}, {"1", "5", "2", "9"}};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        struct fmk_problem p, q;
        t_open(&p, "kmeans",
               T_PARAMS({"n", sizes[s][0], NULL}, {"block", sizes[s][1], NULL},
                        {"dims", sizes[s][2], NULL}, {"k", sizes[s][3], NULL},
                        {"iterations", "1", NULL}),
               NULL);
        t_open(&q, "kmeans",
               T_PARAMS({"n", sizes[s][0], NULL}, {"block", sizes[s][1], NULL},
                        {"dims", sizes[s][2], NULL}, {"k", sizes[s][3], NULL},
                        {"iterations", "4", NULL}),
               NULL);
        t_run(&p);
        t_run(&q);
        assert_int_equal(t_verify(&p), 0);
        assert_int_equal(t_verify(&q), 0);
        assert_counts_all_points(&q);
        const struct fmk_kmeans_ctx *first = p.ctx, *last = q.ctx;
        const size_t n_bytes = (size_t)(first->n_centres * first->n_dims) * sizeof(double);
        double centres[128];
        assert_true(n_bytes <= sizeof centres);
        memcpy(centres, first->centres, n_bytes);
        for (int pass = 1; pass < 4; pass++)
            plain_step(first, centres);
        assert_memory_equal(last->centres, centres, n_bytes);
        fmk_release(&q);
        fmk_release(&p);
    }
}

static fm_array *make_matrix(const double *numbers, int64_t rows, int64_t columns)
{
    fm_array *a;
    assert_int_equal(fm_array_from(&a, numbers, FM_F64, 2, (int64_t[]){rows, columns}), 0);
    return a;
}

/* Two heaps of three points; the first centres are points 0 and 3. */
static const double two_heaps[] = {0, 0, 10, 10, 0, 3, 13, 10, 3, 0, 10, 13};

static void test_kmeans_two_heaps_are_found_and_the_passes_end(void **state)
{
    const char *points = t_save("points.npy", make_matrix(two_heaps, 6, 2));
    struct fmk_problem p;
    (void)state;
    t_open(&p, "kmeans",
           T_PARAMS({"points", points, NULL}, {"k", "2", NULL}, {"block", "4", NULL},
                    {"iterations", "2000000000", NULL}),
           NULL);
    t_run(&p);
    assert_int_equal(p.n, 2);
    const struct fmk_kmeans_ctx *c = p.ctx;
    const double centres[] = {1, 1, 11, 11}, sums[] = {0, 3, 2, 23, 20, 2, 3, 0, 1, 10, 13, 1};
    assert_memory_equal(c->centres, centres, sizeof centres);
    assert_memory_equal(c->sums, sums, sizeof sums);
    assert_int_equal(t_verify(&p), 0);
    fmk_release(&p);
}

static void test_kmeans_first_centres_from_a_file_and_one_without_points_stays(void **state)
{
    const char *points = t_save("points.npy", make_matrix(two_heaps, 6, 2));
    const char *centres =
        t_save("centres.npy", make_matrix((double[]){20, 20, -900, 900, 1, 0}, 3, 2));
    struct fmk_problem p;
    (void)state;
    t_open(&p, "kmeans", T_PARAMS({"points", points, NULL}, {"centres", centres, NULL}), NULL);
    t_run(&p);
    const struct fmk_kmeans_ctx *c = p.ctx;
    const double expected[] = {11, 11, -900, 900, 1, 1};
    assert_int_equal(c->n_centres, 3);
    assert_memory_equal(c->centres, expected, sizeof expected);
    assert_int_equal(t_verify(&p), 0);
    fmk_release(&p);
}

static void test_kmeans_point_between_two_centres_belongs_to_the_first(void **state)
{
    const char *points = t_save("points.npy", make_matrix((double[]){5}, 1, 1));
    const char *centres = t_save("centres.npy", make_matrix((double[]){9, 6, 4}, 3, 1));
    struct fmk_problem p;
    (void)state;
    t_open(
        &p, "kmeans",
        T_PARAMS({"points", points, NULL}, {"centres", centres, NULL}, {"iterations", "1", NULL}),
        NULL);
    t_run(&p);
    const double sums[] = {0, 0, 5, 1, 0, 0};
    assert_memory_equal(fm_array_data(p.out), sums, sizeof sums);
    assert_int_equal(t_verify(&p), 0);
    fmk_release(&p);
}

static void test_kmeans_second_run_starts_anew(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "kmeans", T_PARAMS({"n", "9", NULL}, {"block", "50", NULL}), NULL);
    void *expected = t_serial_result(&p);
    t_run(&p);
    t_assert_same_bits(&p, expected);
    free(expected);
    fmk_release(&p);
}

static int cancel_at_once(const fm_progress *progress, void *arg)
{
    (void)progress, (void)arg;
    return 1;
}

/* Centre 0 starts at point 0; it has not been moved. */
static void test_kmeans_cancelled_pass_is_the_last(void **state)
{
    struct fmk_problem p;
    fm_pool *pool;
    (void)state;
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    t_open(&p, "kmeans", T_PARAMS({"n", "1024", NULL}, {"k", "64", NULL}), NULL);
    const int e = fmk_run_forkmap(
        &p, pool, FM_MAP_OPTS(.progress = cancel_at_once, .progress_interval = FM_MS(1)));
    assert_int_equal(fm_pool_destroy(pool), 0);
    assert_int_equal(e, FM_ECANCELLED);
    const struct fmk_kmeans_ctx *c = p.ctx;
    for (int64_t d = 0; d < c->n_dims; d++)
        assert_true(c->centres[d] == coordinate(c, 0, d));
    fmk_release(&p);
}

static void test_kmeans_wrong_block_is_found_and_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_open(&p, "kmeans", T_PARAMS({"n", "9", NULL}, {"block", "50", NULL}, {"k", "3", NULL}), NULL);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    double *sums = fm_array_data(p.out);
    sums[8 * 27] += 1.0;
    assert_true(t_finds(&p, "block 8"));
    sums[2 * 27] = NAN;
    assert_true(t_finds(&p, "block 2"));
    fmk_release(&p);
}

static void test_kmeans_what_is_not_finite_is_not_called_right(void **state)
{
    const char *points = t_save("points.npy", make_matrix((double[]){1, NAN, 3, 4}, 2, 2));
    struct fmk_problem p;
    (void)state;
    t_open(&p, "kmeans", T_PARAMS({"points", points, NULL}, {"k", "2", NULL}), NULL);
    t_run(&p);
    assert_int_equal(t_verify(&p), 2);
    fmk_release(&p);
}

static void test_kmeans_files_that_do_not_fit_are_refused(void **state)
{
    const char *points = t_save("points.npy", make_matrix(two_heaps, 6, 2));
    const char *centres = t_save("centres.npy", make_matrix(two_heaps, 2, 3));
    const char *none = t_save("none.npy", make_matrix(two_heaps, 0, 2));
    (void)state;
    t_refused("kmeans", T_PARAMS({"points", points, NULL}, {"centres", centres, NULL}), NULL,
              "has 3 columns, and the points have 2");
    t_refused("kmeans", T_PARAMS({"points", points, NULL}, {"dims", "3", NULL}), NULL,
              "dims=3, but points has 2 columns");
    t_refused("kmeans", T_PARAMS({"points", points, NULL}, {"n", "3", NULL}), NULL,
              "n=3, but points makes 1 blocks of 1024");
    t_refused("kmeans", T_PARAMS({"centres", centres, NULL}, {"k", "3", NULL}), NULL,
              "k=3, but centres has 2 rows");
    t_refused("kmeans", T_PARAMS({"points", none, NULL}), NULL, "is 0 x 2, and holds nothing");
}

static void test_kmeans_bad_parameters_are_refused_with_the_bounds(void **state)
{
    (void)state;
    t_refused("kmeans", T_PARAMS({"k", "0", NULL}), NULL, "from 1 to 65536");
    t_refused("kmeans", T_PARAMS({"block", "0", NULL}), NULL, "from 1 to");
    t_refused("kmeans", T_PARAMS({"iterations", "0", NULL}), NULL, "from 1 to");
    t_refused("kmeans", T_PARAMS({"dims", "x", NULL}), NULL, "dims=x");
    t_refused(
        "kmeans",
        T_PARAMS({"n", "2147483647", NULL}, {"block", "16777216", NULL}, {"dims", "65536", NULL}),
        NULL, "more than 2^40 numbers");
}

T_MAIN(T_TEST(test_kmeans_passes_are_lloyds_for_odd_sizes),
       T_TEST(test_kmeans_two_heaps_are_found_and_the_passes_end),
       T_TEST(test_kmeans_first_centres_from_a_file_and_one_without_points_stays),
       T_TEST(test_kmeans_point_between_two_centres_belongs_to_the_first),
       T_TEST(test_kmeans_second_run_starts_anew), T_TEST(test_kmeans_cancelled_pass_is_the_last),
       T_TEST(test_kmeans_wrong_block_is_found_and_named),
       T_TEST(test_kmeans_what_is_not_finite_is_not_called_right),
       T_TEST(test_kmeans_files_that_do_not_fit_are_refused),
       T_TEST(test_kmeans_bad_parameters_are_refused_with_the_bounds))
