/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_DOCKING_H
#define FORKMAP_DOCKING_H

/*
 * What docking's range function reads: a deck (ligand, protein, force field) in the form that the
 * inner loop wants, the poses and the energies. Built by docking_problem.c, used by docking.c.
 */

#include <stdint.h>

/*
 * Poses that are computed together: a lone pose costs as much as these. 32 to 128 were no faster.
 */
#define FMK_DOCKING_LANES 16

struct fmk_docking_atom {
    float x, y, z; /* [A] */
    int32_t type;  /* 0 .. n_types - 1 */
};

/*
 * What two atoms of given types do to each other at distance d, g = d - radius:
 *     steric at d = 0, falling to 0 at d = radius
 *   + charge        x (1 inside, else 1 - g charge_slope, never below 0)
 *   + solvation     x (1 inside, else 1 - g solvation_slope, never below 0)
 */
struct fmk_docking_pair {
    float radius;                     /* [A] both radii together */
    float steric, steric_slope;       /* [energy], [energy/A] */
    float charge, charge_slope;       /* [energy], [1/A] */
    float solvation, solvation_slope; /* [energy], [1/A] */
    float unused;                     /* 32 bytes: two to a cache line */
};

struct fmk_docking_ctx {
    const char *poses; /* row i, column k at i * row_stride + k * column_stride [bytes] */
    int64_t row_stride, column_stride;
    int64_t n_poses;
    float *energies; /* n_poses, packed */
    const struct fmk_docking_atom *ligand, *protein;
    int64_t n_ligand, n_protein;
    const struct fmk_docking_pair
        *pairs; /* n_types x n_types: row ligand's type, column protein's */
    int64_t n_types;
};

/* Items [begin, end) of the fmk_docking_ctx at ctx. */
void fmk_docking_range(int64_t begin, int64_t end, const void *ctx);

#endif
