/* SPDX-License-Identifier: MIT */

/*
 * xs_lookup's problem: nuclides and materials that are generated, the bins, and the check of
 * lookups by a search through all points of a nuclide.
 *
 * The points of a nuclide lie at the sums of random gaps, 1 to 3970 wide: close together here and
 * there, as resonances are. Absorption and elastic scattering are all reactions there are, so their
 * columns must add up to the first one, and neutrons by fission are 2.5 times the fissions.
 */

#include "kernel_list.h"
#include "lane_math.h"
#include "params.h"
#include "xs_lookup.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MOST_NUCLIDES   4096
#define MOST_POINTS     (1 << 24)
#define MOST_BINS       (1 << 24)
#define MOST_IN_ALL     (INT64_C(1) << 32) /* points, or numbers of the bins */
#define SAMPLED         4096               /* lookups that verify repeats, evenly over all */
#define MOST_DIFFERENCE 1e-12              /* relative, of columns that add up */
#define NEUTRONS        2.5                /* by a fission */

/* of the generated numbers */
enum { SEED_GAPS = 53, SEED_XS = 54, SEED_FIRST = 55, SEED_CONCENTRATIONS = 56 };

/* Fuel; cladding; water; vessel; plates; nozzles: nuclides of 64, and weights. */
static const struct {
    int nuclides, weight;
} materials[FMK_XS_MATERIALS] = {{32, 36}, {5, 13}, {4, 105}, {26, 40}, {20, 48}, {9, 14}};

/*
 * ---- bind ---------------------------------------------------------------------------------------
 */

static int read_sizes(struct fmk_xs_ctx *c, const struct fmk_param *params)
{
    int e = fmk_param_int(params, "nuclides", 1, MOST_NUCLIDES, &c->n_nuclides);
    if (e == 0)
        e = fmk_param_int(params, "points", 2, MOST_POINTS, &c->n_points);
    if (e == 0)
        e = fmk_param_int(params, "bins", 1, MOST_BINS, &c->n_bins);
    if (e == 0 && (c->n_bins & (c->n_bins - 1)) != 0)
        e = fmk_error(-EINVAL, "bins=%" PRId64 ": a power of two is needed", c->n_bins);
    if (e == 0 && c->n_nuclides > MOST_IN_ALL / c->n_points)
        e = fmk_error(-EINVAL, "%" PRId64 " nuclides of %" PRId64 " points: more than 2^32 in all",
                      c->n_nuclides, c->n_points);
    if (e == 0 && c->n_nuclides > MOST_IN_ALL / (c->n_bins + 1))
        e = fmk_error(-EINVAL,
                      "%" PRId64 " bins of %" PRId64 " nuclides: more than 2^32 numbers in all",
                      c->n_bins, c->n_nuclides);
    return e;
}

/* Returns the number of concentrations. */
static int64_t choose_materials(struct fmk_xs_ctx *c)
{
    int64_t n = 0;
    for (int m = 0; m < FMK_XS_MATERIALS; m++) {
        const int64_t share = c->n_nuclides * materials[m].nuclides / 64;
        c->materials[m] = (struct fmk_xs_material){
            .n_nuclides = share > 0 ? share : 1,
            .first = m > 0 ? fmk_below_at(SEED_FIRST, m, c->n_nuclides) : 0,
            .weight = materials[m].weight,
            .concentrations = n};
        n += c->materials[m].n_nuclides;
    }
    return n;
}

/* A number from (0, 1]. */
static double make_part(uint64_t seed, int64_t index)
{
    return (double)(1 + fmk_below_at(seed, index, 1024)) / 1024.0;
}

static void make_xs(double *xs, int64_t point)
{
    xs[1] = make_part(SEED_XS, 3 * point);
    xs[2] = make_part(SEED_XS, 3 * point + 1);
    xs[0] = xs[1] + xs[2];
    xs[3] = xs[2] * make_part(SEED_XS, 3 * point + 2);
    xs[4] = NEUTRONS * xs[3];
}

static int64_t make_gap(int64_t point)
{
    const int64_t root = fmk_below_at(SEED_GAPS, point, 64);
    return 1 + root * root;
}

/* `first` is the number of the nuclide's first point among all. */
static void fill_nuclide(struct fmk_xs_point *points, int64_t n_points, int64_t first)
{
    int64_t sum = 0, all = 0;
    for (int64_t k = 1; k < n_points; k++)
        all += make_gap(first + k);
    for (int64_t k = 0; k < n_points; k++) {
        sum += k > 0 ? make_gap(first + k) : 0;
        points[k].energy = (double)sum / (double)all;
        make_xs(points[k].xs, first + k);
    }
}

/* The last interval that begins at or below each edge of a bin. */
static void fill_starts(const struct fmk_xs_ctx *c, int32_t *starts, int64_t nuclide)
{
    const struct fmk_xs_point *points = c->points + nuclide * c->n_points;
    int64_t interval = 0;
    for (int64_t bin = 0; bin <= c->n_bins; bin++) {
        const double edge = (double)bin / (double)c->n_bins;
        while (interval < c->n_points - 2 && points[interval + 1].energy <= edge)
            interval++;
        starts[bin * c->n_nuclides + nuclide] = (int32_t)interval;
    }
}

static int create_memory(struct fmk_problem *p, struct fmk_xs_ctx *c)
{
    const int64_t n_points = c->n_nuclides * c->n_points;
    const int64_t n_concentrations = choose_materials(c);
    int e = fm_array_create(&p->out, FM_F64, 2, (int64_t[]){p->n, FMK_XS_COLUMNS}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof *c + (size_t)n_points * sizeof *c->points +
                                     (size_t)n_concentrations * sizeof(double) +
                                     (size_t)((c->n_bins + 1) * c->n_nuclides) * sizeof(int32_t));
    if (e != 0)
        return e;
    struct fmk_xs_point *points = (void *)((struct fmk_xs_ctx *)p->ctx + 1);
    double *concentrations = (void *)(points + n_points);
    int32_t *starts = (void *)(concentrations + n_concentrations);
    c->points = points;
    c->concentrations = concentrations;
    c->starts = starts;
    c->rows = fm_array_data(p->out);
    for (int64_t k = 0; k < c->n_nuclides; k++) {
        fill_nuclide(points + k * c->n_points, c->n_points, k * c->n_points);
        fill_starts(c, starts, k);
    }
    for (int64_t k = 0; k < n_concentrations; k++)
        concentrations[k] = make_part(SEED_CONCENTRATIONS, k);
    *(struct fmk_xs_ctx *)p->ctx = *c;
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_xs_ctx c = {.n_bins = 0};
    const int e = read_sizes(&c, params);
    return e == 0 ? create_memory(p, &c) : e;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

/* In all of a nuclide: the last interval that begins at or below the energy. */
static int64_t search_all(const struct fmk_xs_point *points, int64_t n_points, double energy)
{
    int64_t low = 0, high = n_points - 1; /* points[low].energy <= energy < points[high].energy */
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        *(points[middle].energy > energy ? &high : &low) = middle;
    }
    return low;
}

/* As the report writes it. Same operations in the same order as the kernel: equal, not close. */
static int is_wrong_row(const struct fmk_xs_ctx *c, int64_t i)
{
    const double energy = fmk_xs_energy(i);
    const struct fmk_xs_material *material = &c->materials[fmk_xs_material(c, i)];
    double expected[FMK_XS_COLUMNS] = {0.0};
    int is_wrong = 0;
    for (int64_t k = 0; k < material->n_nuclides; k++) {
        const int64_t nuclide = (material->first + k) % c->n_nuclides;
        const struct fmk_xs_point *points = c->points + nuclide * c->n_points;
        const struct fmk_xs_point *low = points + search_all(points, c->n_points, energy);
        const struct fmk_xs_point *high = low + 1;
        const double f = (high->energy - energy) / (high->energy - low->energy);
        for (int x = 0; x < FMK_XS_COLUMNS; x++)
            expected[x] += c->concentrations[material->concentrations + k] *
                           (high->xs[x] - f * (high->xs[x] - low->xs[x]));
    }
    for (int x = 0; x < FMK_XS_COLUMNS; x++)
        is_wrong |= !(c->rows[i * FMK_XS_COLUMNS + x] == expected[x]);
    return is_wrong;
}

static int adds_up(const double *row)
{
    const double allowed = MOST_DIFFERENCE * row[0];
    return fabs(row[1] + row[2] - row[0]) <= allowed &&
           fabs(row[4] - NEUTRONS * row[3]) <= allowed && row[3] > 0.0 && row[3] <= row[2];
}

/*
 * The row that is wrong, -1 if none is: those that do not add up, and of a sample those that differ
 * from the plain search.
 */
static int64_t find_wrong_row(const struct fmk_xs_ctx *c, int64_t n, int64_t n_sampled)
{
    for (int64_t i = 0; i < n; i++)
        if (!adds_up(c->rows + i * FMK_XS_COLUMNS))
            return i;
    for (int64_t k = 0; k < n_sampled; k++) {
        const int64_t i = n_sampled > 1 ? k * (n - 1) / (n_sampled - 1) : 0;
        if (is_wrong_row(c, i))
            return i;
    }
    return -1;
}

/* FNV-1a over the bits of all numbers: the same on every machine. */
static uint64_t make_checksum(const double *values, int64_t n)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (int64_t k = 0; k < n; k++)
        sum = (sum ^ fmk_bits(values[k])) * UINT64_C(0x100000001b3);
    return sum;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_xs_ctx *c = p->ctx;
    const int64_t n_sampled = p->n < SAMPLED ? p->n : SAMPLED;
    const int64_t wrong = find_wrong_row(c, p->n, n_sampled);
    if (wrong >= 0)
        snprintf(text, cap, "lookup %" PRId64 " differs from a search through all points", wrong);
    else
        snprintf(text, cap,
                 "all add up, %" PRId64 " of %" PRId64
                 " equal a search through all points; checksum %016" PRIx64,
                 n_sampled, p->n, make_checksum(c->rows, p->n * FMK_XS_COLUMNS));
    return wrong >= 0;
}

const struct fmk_kernel fmk_kernel_xs_lookup = {
    .name = "xs_lookup",
    .summary = "cross sections of a material at an energy (as in XSBench); imbalanced",
    .source = "Tramm et al., XSBench, PHYSOR 2014; bins: Brown, Trans. ANS 111, 2014",
    .cost = "28 flop and 100 bytes per nuclide and 40 bytes per lookup; 4 to 34 of 68 nuclides",
    .result = "f8 x 5: all reactions, elastic, absorption, fission, neutrons by fission",
    .grain = 1,
    .params = {{"n", "250000", "lookups"},
               {"nuclides", "68", "nuclides; a material has 1/16 to 1/2 of them"},
               {"points", "11303", "points of a nuclide, between which is interpolated"},
               {"bins", "8192", "bins of energies, a power of two"}},
    .range = fmk_xs_lookup_range,
    .bind = bind,
    .verify = verify,
};
