/* SPDX-License-Identifier: MIT */

/*
 * docking: the energy of a ligand placed at many poses beside a protein. One pose is one item.
 *
 * Source     miniBUDE: Poenaru, Lin, McIntosh-Smith, "A Performance Analysis of Modern Parallel
 *            Programming Models Using a Compute-Bound Application", ISC 2021. Written from a
 *            description of the energy; no code of theirs.
 * Work       per pair of atoms 26 [flop], a square root, minimum or maximum counted as one; per ligand
 *            atom 19, per pose 22 and 6 sines and cosines. bm1 (26 x 938 atoms): 635,000 [flop] per
 *            pose.
 * Traffic    24 [bytes] read and 4 written per pose; the deck (16 KiB of atoms, 1 KiB of the pair
 *            table per ligand atom) stays in the first-level cache.
 *
 * Poses are lanes. A block of FMK_DOCKING_LANES of them goes through the loops over atoms together,
 * and the innermost loop runs over the lanes without a branch: it becomes vector instructions of
 * any length. The three terms need none, because "full inside, falling outside, nothing beyond the
 * range" is a clamp to [0, 1].
 *
 * The last block of a range repeats its last pose in the lanes that are left over, and does not
 * store them: each pose sees the same operations in the same order wherever a range is cut.
 */

#include "clones.h"
#include "docking.h"

#include <math.h>

#define LANES FMK_DOCKING_LANES

/* Rows of the rotation with the shift behind each, one column per lane. */
struct placement {
    float m[12][LANES];
};

static inline float pose_value(const struct fmk_docking_ctx *c, int64_t pose, int k)
{
    return *(const float *)(const void *)(c->poses + pose * c->row_stride + k * c->column_stride);
}

static inline void place_lane(struct placement *t, int lane, const struct fmk_docking_ctx *c,
                              int64_t pose)
{
    const float a = pose_value(c, pose, 0), b = pose_value(c, pose, 1), g = pose_value(c, pose, 2);
    const float sx = sinf(a), cx = cosf(a), sy = sinf(b), cy = cosf(b), sz = sinf(g), cz = cosf(g);
    const float rows[12] = {
        cy * cz,
        sx * sy * cz - cx * sz,
        cx * sy * cz + sx * sz,
        pose_value(c, pose, 3),
        cy * sz,
        sx * sy * sz + cx * cz,
        cx * sy * sz - sx * cz,
        pose_value(c, pose, 4),
        -sy,
        sx * cy,
        cx * cy,
        pose_value(c, pose, 5),
    };
    for (int k = 0; k < 12; k++)
        t->m[k][lane] = rows[k];
}

/* The larger of v and 0, not above 1. */
static inline float clamp_unit(float v)
{
    const float low = v > 0.0f ? v : 0.0f;
    return low < 1.0f ? low : 1.0f;
}

/* Adds the energy of one ligand atom with the whole protein, twice what counts, to each lane. */
static inline void add_ligand_atom(const struct fmk_docking_ctx *c,
                                   const struct fmk_docking_atom *atom,
                                   const struct placement *restrict t, float *restrict energy)
{
    const struct fmk_docking_pair *row = c->pairs + atom->type * c->n_types;
    float x[LANES], y[LANES], z[LANES], sum[LANES];
    for (int l = 0; l < LANES; l++) {
        x[l] = t->m[3][l] + atom->x * t->m[0][l] + atom->y * t->m[1][l] + atom->z * t->m[2][l];
        y[l] = t->m[7][l] + atom->x * t->m[4][l] + atom->y * t->m[5][l] + atom->z * t->m[6][l];
        z[l] = t->m[11][l] + atom->x * t->m[8][l] + atom->y * t->m[9][l] + atom->z * t->m[10][l];
        sum[l] = 0.0f;
    }
    for (int64_t k = 0; k < c->n_protein; k++) {
        const struct fmk_docking_atom p = c->protein[k];
        const struct fmk_docking_pair v = row[p.type];
        for (int l = 0; l < LANES; l++) {
            const float dx = x[l] - p.x, dy = y[l] - p.y, dz = z[l] - p.z;
            const float d = sqrtf(dx * dx + dy * dy + dz * dz);
            const float g = d - v.radius;
            const float steric = v.steric - d * v.steric_slope;
            sum[l] += (steric > 0.0f ? steric : 0.0f) +
                      v.charge * clamp_unit(1.0f - g * v.charge_slope) +
                      v.solvation * clamp_unit(1.0f - g * v.solvation_slope);
        }
    }
    for (int l = 0; l < LANES; l++)
        energy[l] += sum[l];
}

FMK_CLONES void fmk_docking_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_docking_ctx *c = ctx;
    for (int64_t first = begin; first < end; first += LANES) {
        const int64_t left = end - first, n = left < LANES ? left : LANES;
        struct placement t;
        float energy[LANES] = {0.0f};
        for (int l = 0; l < LANES; l++)
            place_lane(&t, l, c, first + (l < n ? l : n - 1));
        for (int64_t k = 0; k < c->n_ligand; k++)
            add_ligand_atom(c, &c->ligand[k], &t, energy);
        for (int l = 0; l < n; l++)
            c->energies[first + l] = 0.5f * energy[l];
    }
}
