/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The xs_lookup kernel: its tables and lookups against a plain program that knows the generator only,
 * energies at the edges of intervals, and what its check finds. That its bits do not depend on who
 * runs it is in test_kernels.c.
 */

#include "t_kernel.h"

#include "lane_math.h"
#include "xs_lookup.h"

#include <inttypes.h>
#include <math.h>

static double part(uint64_t seed, int64_t index)
{
    return (double)(1 + fmk_below_at(seed, index, 1024)) / 1024.0;
}

static int64_t gap(int64_t point)
{
    const int64_t root = fmk_below_at(53, point, 64);
    return 1 + root * root;
}

/* Adds what a nuclide has at an energy, by a walk from its first point. */
static void add_by_walk(int64_t nuclide, int64_t n_points, double energy, double weight,
                        double *row)
{
    const int64_t first = nuclide * n_points;
    int64_t sum = 0, all = 0, k = 0;
    for (int64_t j = 1; j < n_points; j++)
        all += gap(first + j);
    while (k < n_points - 2 && (double)(sum + gap(first + k + 1)) / (double)all <= energy)
        sum += gap(first + ++k);
    const double low = (double)sum / (double)all;
    const double high = (double)(sum + gap(first + k + 1)) / (double)all;
    const double f = (high - energy) / (high - low);
    double xs[2][5];
    for (int64_t j = 0; j < 2; j++) {
        const int64_t point = 3 * (first + k + j);
        xs[j][1] = part(54, point);
        xs[j][2] = part(54, point + 1);
        xs[j][0] = xs[j][1] + xs[j][2];
        xs[j][3] = xs[j][2] * part(54, point + 2);
        xs[j][4] = 2.5 * xs[j][3];
    }
    for (int x = 0; x < 5; x++)
        row[x] += weight * (xs[1][x] - f * (xs[1][x] - xs[0][x]));
}

struct sizes {
    int64_t nuclides, points;
};

/* One lookup from nothing but the numbers of the generator. */
static void look_up_plainly(struct sizes s, int64_t i, double *row)
{
    static const int shares[6] = {32, 5, 4, 26, 20, 9}, weights[6] = {36, 13, 105, 40, 48, 14};
    const double energy = ldexp((double)(fmk_bits_at(51, i) >> 11), -53);
    int64_t left = fmk_below_at(52, i, 256), before = 0, n = 0;
    int m = -1;
    do {
        before += n;
        m++;
        n = s.nuclides * shares[m] / 64 > 0 ? s.nuclides * shares[m] / 64 : 1;
        left -= weights[m];
    } while (left >= 0);
    const int64_t first = m > 0 ? fmk_below_at(55, m, s.nuclides) : 0;
    for (int x = 0; x < 5; x++)
        row[x] = 0.0;
    for (int64_t k = 0; k < n; k++)
        add_by_walk((first + k) % s.nuclides, s.points, energy, part(56, before + k), row);
}

static void test_xs_lookup_rows_and_checksum_are_those_of_a_plain_program(void **state)
{
    const struct sizes sizes = {21, 301};
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    struct fmk_problem p;
    char text[240], expected[40];
    (void)state;
    t_prepare(&p, "xs_lookup",
              T_PARAMS({"n", "400", NULL}, {"nuclides", "21", NULL}, {"points", "301", NULL},
                       {"bins", "64", NULL}),
              NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    const double *rows = fm_array_data(p.out);
    for (int64_t i = 0; i < p.n; i++) {
        double row[5];
        look_up_plainly(sizes, i, row);
        for (int x = 0; x < 5; x++) {
            assert_true(rows[5 * i + x] == row[x]);
            sum = (sum ^ fmk_bits(row[x])) * UINT64_C(0x100000001b3);
        }
    }
    snprintf(expected, sizeof expected, "checksum %016" PRIx64, sum);
    assert_non_null(strstr(text, expected));
    fmk_release(&p);
}

/* Few bins: long searches. More bins than points: none. */
static void test_xs_lookup_does_not_depend_on_the_number_of_bins(void **state)
{
    static const char *const bins[] = {"1", "2", "256", "65536"};
    void *expected = NULL;
    (void)state;
    for (size_t k = 0; k < sizeof bins / sizeof bins[0]; k++) {
        struct fmk_problem p;
        t_prepare(&p, "xs_lookup",
                  T_PARAMS({"n", "1000", NULL}, {"points", "500", NULL}, {"bins", bins[k], NULL}),
                  NULL, 0);
        if (expected == NULL)
            expected = t_serial_result(&p);
        t_run(&p);
        t_assert_same_bits(&p, expected);
        assert_int_equal(t_verify(&p), 0);
        fmk_release(&p);
    }
    free(expected);
}

static void test_xs_lookup_smallest_tables_work(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "xs_lookup",
              T_PARAMS({"n", "500", NULL}, {"nuclides", "1", NULL}, {"points", "2", NULL},
                       {"bins", "1", NULL}),
              NULL, 0);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    fmk_release(&p);
}

static void test_xs_lookup_bins_begin_in_the_interval_of_their_edge(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "xs_lookup",
              T_PARAMS({"n", "1", NULL}, {"nuclides", "7", NULL}, {"points", "99", NULL},
                       {"bins", "128", NULL}),
              NULL, 0);
    const struct fmk_xs_ctx *c = p.ctx;
    for (int64_t bin = 0; bin <= 128; bin++)
        for (int64_t k = 0; k < 7; k++) {
            const int32_t interval = c->starts[bin * 7 + k];
            const struct fmk_xs_point *at = c->points + k * 99 + interval;
            assert_true(interval >= 0 && interval <= 97);
            assert_true(at[0].energy <= (double)bin / 128.0);
            assert_true(at[1].energy > (double)bin / 128.0 || interval == 97);
        }
    fmk_release(&p);
}

static void test_xs_lookup_materials_are_as_frequent_as_their_weights(void **state)
{
    struct fmk_problem p;
    int64_t counts[FMK_XS_MATERIALS] = {0};
    (void)state;
    t_prepare(&p, "xs_lookup", T_PARAMS({"n", "1", NULL}, {"points", "2", NULL}), NULL, 0);
    const struct fmk_xs_ctx *c = p.ctx;
    for (int64_t i = 0; i < 100000; i++)
        counts[fmk_xs_material(c, i)]++;
    for (int m = 0; m < FMK_XS_MATERIALS; m++) {
        const double expected = 100000.0 * (double)c->materials[m].weight / FMK_XS_WEIGHTS;
        assert_true(fabs((double)counts[m] - expected) < 5.0 * sqrt(expected));
    }
    fmk_release(&p);
}

static void test_xs_lookup_wrong_row_is_found_and_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "xs_lookup", T_PARAMS({"n", "20000", NULL}, {"points", "500", NULL}), NULL, 0);
    t_run(&p);
    double *rows = fm_array_data(p.out);
    rows[5 * 19999 + 3] = nextafter(rows[5 * 19999 + 3], 0.0); /* still adds up, but is sampled */
    assert_true(t_finds(&p, "lookup 19999"));
    t_run(&p);
    rows[5 * 7 + 1] *= 1.0 + 1e-9; /* is not sampled, but does not add up */
    assert_true(t_finds(&p, "lookup 7 "));
    rows[5 * 7] = NAN;
    assert_true(t_finds(&p, "lookup 7 "));
    fmk_release(&p);
}

static void test_xs_lookup_wrong_bin_is_found(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "xs_lookup",
              T_PARAMS({"n", "4096", NULL}, {"points", "500", NULL}, {"bins", "64", NULL}), NULL,
              0);
    const struct fmk_xs_ctx *c = p.ctx;
    int32_t *starts = (int32_t *)(uintptr_t)c->starts;
    for (int64_t k = 0; k < c->n_nuclides; k++)
        starts[32 * c->n_nuclides + k] += 1; /* the interval of the edge is lost */
    t_run(&p);
    assert_int_equal(t_verify(&p), 1);
    fmk_release(&p);
}

static void test_xs_lookup_sizes_without_meaning_are_refused(void **state)
{
    (void)state;
    t_refused("xs_lookup", T_PARAMS({"bins", "100", NULL}), NULL, "bins=100: a power of two");
    t_refused("xs_lookup", T_PARAMS({"bins", "0", NULL}), NULL, "from 1 to");
    t_refused("xs_lookup", T_PARAMS({"points", "1", NULL}), NULL, "from 2 to");
    t_refused("xs_lookup", T_PARAMS({"nuclides", "0", NULL}), NULL, "from 1 to");
    t_refused("xs_lookup", T_PARAMS({"nuclides", "4096", NULL}, {"points", "16777216", NULL}), NULL,
              "4096 nuclides of 16777216 points: more than 2^32");
    t_refused("xs_lookup", T_PARAMS({"nuclides", "4096", NULL}, {"bins", "16777216", NULL}), NULL,
              "16777216 bins of 4096 nuclides: more than 2^32");
}

T_MAIN(T_TEST(test_xs_lookup_rows_and_checksum_are_those_of_a_plain_program),
       T_TEST(test_xs_lookup_does_not_depend_on_the_number_of_bins),
       T_TEST(test_xs_lookup_smallest_tables_work),
       T_TEST(test_xs_lookup_bins_begin_in_the_interval_of_their_edge),
       T_TEST(test_xs_lookup_materials_are_as_frequent_as_their_weights),
       T_TEST(test_xs_lookup_wrong_row_is_found_and_named),
       T_TEST(test_xs_lookup_wrong_bin_is_found),
       T_TEST(test_xs_lookup_sizes_without_meaning_are_refused))
