/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_NBODY_H
#define FORKMAP_NBODY_H

/* The systems of bodies that nbody's range function moves. */

#include "inputs.h"

#include <stdint.h>

#define FMK_NBODY_BODIES 5
#define FMK_NBODY_ROW    2  /* energy before the first step, and after the last */
#define FMK_NBODY_LANES  32 /* systems that are moved together: a lone one costs as much as these */
#define FMK_NBODY_SEED   41

struct fmk_nbody_body {
    double x[3]; /* [AU] */
    double v[3]; /* [AU/year] */
    double mass; /* [4 pi^2 is the Sun's] */
};

struct fmk_nbody_ctx {
    struct fmk_nbody_body bodies[FMK_NBODY_BODIES]; /* of member 0 */
    int64_t n_steps;
    double dt;        /* [years] */
    double spread;    /* a coordinate of another member differs by at most this part of itself */
    double *energies; /* n members x FMK_NBODY_ROW, packed */
};

/* Where coordinate k of a body of one member begins. */
static inline double fmk_nbody_start(const struct fmk_nbody_ctx *c, int64_t member, int body, int k)
{
    const int64_t index = (member * FMK_NBODY_BODIES + body) * 3 + k;
    const double part = member == 0 ? 0.0 : fmk_fraction_at(FMK_NBODY_SEED, index);
    return c->bodies[body].x[k] * (1.0 + c->spread * part);
}

/* Items [begin, end), members, of the fmk_nbody_ctx at ctx. */
void fmk_nbody_range(int64_t begin, int64_t end, const void *ctx);

#endif
