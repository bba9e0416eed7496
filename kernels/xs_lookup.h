/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_XS_LOOKUP_H
#define FORKMAP_XS_LOOKUP_H

/* The tables in which xs_lookup's range function looks cross sections up. */

#include "inputs.h"

#include <stdint.h>

/* Columns of a cross section: all reactions; elastic; absorption; fission; neutrons by fission. */
#define FMK_XS_COLUMNS   5
#define FMK_XS_MATERIALS 6
#define FMK_XS_WEIGHTS   256 /* sum of the materials' weights */

enum { FMK_XS_SEED_ENERGY = 51, FMK_XS_SEED_MATERIAL = 52 }; /* of the lookups */

struct fmk_xs_point {
    double energy; /* 0 at a nuclide's first point, 1 at its last, rising */
    double xs[FMK_XS_COLUMNS];
};

struct fmk_xs_material {
    int64_t n_nuclides;     /* from `first` on, and round from the last nuclide to nuclide 0 */
    int64_t first, weight;  /* of FMK_XS_WEIGHTS lookups so many are in it */
    int64_t concentrations; /* place of the first of them in the table */
};

struct fmk_xs_ctx {
    int64_t n_nuclides, n_points; /* points of each nuclide */
    int64_t n_bins;               /* a power of two: the bin of an energy is exact */
    struct fmk_xs_material materials[FMK_XS_MATERIALS];
    const double *concentrations;      /* of the materials' nuclides */
    const struct fmk_xs_point *points; /* n_nuclides x n_points */
    const int32_t
        *starts;  /* n_bins + 1 rows of n_nuclides: the last interval whose energy is not above
                              that at which the bin begins */
    double *rows; /* n lookups x FMK_XS_COLUMNS, packed */
};

/* Where lookup i looks: an energy from [0, 1), a multiple of 2^-53, and a material. */
static inline double fmk_xs_energy(int64_t i)
{
    return (double)(int64_t)(fmk_bits_at(FMK_XS_SEED_ENERGY, i) >> 11) * 0x1p-53;
}

static inline int64_t fmk_xs_material(const struct fmk_xs_ctx *c, int64_t i)
{
    int64_t left = fmk_below_at(FMK_XS_SEED_MATERIAL, i, FMK_XS_WEIGHTS), m = 0;
    while (m < FMK_XS_MATERIALS - 1 && left >= c->materials[m].weight)
        left -= c->materials[m++].weight;
    return m;
}

/* Items [begin, end), lookups, of the fmk_xs_ctx at ctx. */
void fmk_xs_lookup_range(int64_t begin, int64_t end, const void *ctx);

#endif
