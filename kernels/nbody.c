/* SPDX-License-Identifier: MIT */

/*
 * nbody: the Sun and the four large planets, moved by their gravity. One item is a whole system: a
 * member of an ensemble whose planets start at slightly different places. All items cost the same.
 *
 * Source     The Computer Language Benchmarks Game, n-body: its five bodies and its integrator
 *            (semi-implicit Euler) are member 0. Ensembles of systems that differ a little: Laskar and
 *            Gastineau, "Existence of collisional trajectories of Mercury, Mars and Venus with the
 *            Earth", Nature 459 (2009), 2,501 of them.
 * Work       280 [flop] per step, with a square root and a division for each of 10 pairs.
 * Traffic    nothing read, 16 [bytes] written per member.
 *
 * A map inside a step would be no map: its ten pairs take a tenth of a microsecond, less than any
 * launch of workers or threads, and a step needs the one before it. What is independent are members.
 *
 * Members are lanes. Each lane does what a plain loop over one system would do, in the same order,
 * so energies are exact, whatever the vector length. The last group of a range repeats its last
 * member in the lanes that are left over, and does not store them.
 */

#include "clones.h"
#include "nbody.h"

#include <math.h>

#define LANES  FMK_NBODY_LANES
#define BODIES FMK_NBODY_BODIES

struct body_lanes {
    double x[3][LANES], v[3][LANES];
};

FMK_INLINE void start_lane(struct body_lanes *bodies, int lane, const struct fmk_nbody_ctx *c,
                           int64_t member)
{
    for (int b = 0; b < BODIES; b++)
        for (int k = 0; k < 3; k++) {
            bodies[b].x[k][lane] = fmk_nbody_start(c, member, b, k);
            bodies[b].v[k][lane] = c->bodies[b].v[k];
        }
}

/* What two bodies do to each other's velocities in a time of dt. */
FMK_INLINE void attract(struct body_lanes *restrict a, struct body_lanes *restrict b, double mass_a,
                        double mass_b, double dt)
{
    for (int l = 0; l < LANES; l++) {
        const double x = a->x[0][l] - b->x[0][l], y = a->x[1][l] - b->x[1][l];
        const double z = a->x[2][l] - b->x[2][l], square = x * x + y * y + z * z;
        const double pull = dt / (square * sqrt(square));
        const double to_b = pull * mass_b, to_a = pull * mass_a;
        a->v[0][l] -= x * to_b;
        a->v[1][l] -= y * to_b;
        a->v[2][l] -= z * to_b;
        b->v[0][l] += x * to_a;
        b->v[1][l] += y * to_a;
        b->v[2][l] += z * to_a;
    }
}

FMK_INLINE void move(struct body_lanes *body, double dt)
{
    for (int k = 0; k < 3; k++)
        for (int l = 0; l < LANES; l++)
            body->x[k][l] += dt * body->v[k][l];
}

FMK_INLINE void take_step(struct body_lanes *bodies, const struct fmk_nbody_ctx *c)
{
    for (int a = 0; a < BODIES; a++)
        for (int b = a + 1; b < BODIES; b++)
            attract(&bodies[a], &bodies[b], c->bodies[a].mass, c->bodies[b].mass, c->dt);
    for (int b = 0; b < BODIES; b++)
        move(&bodies[b], c->dt);
}

FMK_INLINE void add_kinetic(const struct body_lanes *restrict a, double mass,
                            double *restrict energy)
{
    for (int l = 0; l < LANES; l++)
        energy[l] += 0.5 * mass *
                     (a->v[0][l] * a->v[0][l] + a->v[1][l] * a->v[1][l] + a->v[2][l] * a->v[2][l]);
}

FMK_INLINE void add_potential(const struct body_lanes *a, const struct body_lanes *b, double masses,
                              double *restrict energy)
{
    for (int l = 0; l < LANES; l++) {
        const double x = a->x[0][l] - b->x[0][l], y = a->x[1][l] - b->x[1][l];
        const double z = a->x[2][l] - b->x[2][l];
        energy[l] -= masses / sqrt(x * x + y * y + z * z);
    }
}

FMK_INLINE void find_energies(const struct body_lanes *bodies, const struct fmk_nbody_ctx *c,
                              double *restrict energy)
{
    for (int l = 0; l < LANES; l++)
        energy[l] = 0.0;
    for (int a = 0; a < BODIES; a++) {
        add_kinetic(&bodies[a], c->bodies[a].mass, energy);
        for (int b = a + 1; b < BODIES; b++)
            add_potential(&bodies[a], &bodies[b], c->bodies[a].mass * c->bodies[b].mass, energy);
    }
}

FMK_CLONES void fmk_nbody_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_nbody_ctx *c = ctx;
    for (int64_t first = begin; first < end; first += LANES) {
        const int64_t left = end - first, n = left < LANES ? left : LANES;
        struct body_lanes bodies[BODIES];
        double before[LANES], after[LANES];
        for (int l = 0; l < LANES; l++)
            start_lane(bodies, l, c, first + (l < n ? l : n - 1));
        find_energies(bodies, c, before);
        for (int64_t step = 0; step < c->n_steps; step++)
            take_step(bodies, c);
        find_energies(bodies, c, after);
        for (int64_t l = 0; l < n; l++) {
            c->energies[(first + l) * FMK_NBODY_ROW] = before[l];
            c->energies[(first + l) * FMK_NBODY_ROW + 1] = after[l];
        }
    }
}
