/* SPDX-License-Identifier: MIT */

/*
 * nbody's problem: the five bodies of The Computer Language Benchmarks Game, and the check of
 * member 0 against the energies that it publishes, and of the others by the plain loop.
 */

#include "kernel_list.h"
#include "nbody.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SUN_MASS        39.47841760435743 /* 4 pi^2: a year and the Earth's distance are 1 */
#define DAYS_PER_YEAR   365.24
#define MOST_DIFFERENCE 1e-9        /* to the published energies, which have nine decimals */
#define CHECKED_STEPS   (1 << 22)   /* that verify takes again, of members evenly over all */
#define CHECKED_MEMBERS INT64_C(16) /* but so many members at least */

/* The Computer Language Benchmarks Game, for steps of 0.01 years. */
#define PUBLISHED_DT     0.01
#define PUBLISHED_STEPS  1000
#define PUBLISHED_BEFORE -0.169075164
#define PUBLISHED_AFTER  -0.169087605

/* [AU], [AU/day], [mass of the Sun] */
static const struct fmk_nbody_body sun_and_planets[FMK_NBODY_BODIES] = {
    {{0.0, 0.0, 0.0}, {0.0, 0.0, 0.0}, 1.0},
    {{4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01},
     {1.66007664274403694e-03, 7.69901118419740425e-03, -6.90460016972063023e-05},
     9.54791938424326609e-04}, /* Jupiter */
    {{8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01},
     {-2.76742510726411906e-03, 4.99852801234917238e-03, 2.30417297573763929e-05},
     2.85885980666130812e-04}, /* Saturn */
    {{1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01},
     {2.96460137564761618e-03, 2.37847173959480950e-03, -2.96589568540237556e-05},
     4.36624404335156298e-05}, /* Uranus */
    {{1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01},
     {2.68067772490389322e-03, 1.62824170038242295e-03, -9.51592254519715870e-05},
     5.15138902046611451e-05}, /* Neptune */
};

/* In the units of the kernel; the Sun moves so that the momentum of all is 0. */
static void fill_bodies(struct fmk_nbody_body *bodies)
{
    memcpy(bodies, sun_and_planets, sizeof sun_and_planets);
    for (int b = 0; b < FMK_NBODY_BODIES; b++) {
        bodies[b].mass *= SUN_MASS;
        for (int k = 0; k < 3; k++) {
            bodies[b].v[k] *= DAYS_PER_YEAR;
            if (b > 0)
                bodies[0].v[k] -= bodies[b].v[k] * bodies[b].mass / SUN_MASS;
        }
    }
}

static int read_part(const struct fmk_param *params, const char *key, double most, double *out)
{
    const int e = fmk_param_real(params, key, out);
    if (e == 0 && !(*out >= 0.0 && *out <= most))
        return fmk_error(-EINVAL, "%s=%g: a number from 0 to %g is needed", key, *out, most);
    return e;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_nbody_ctx c;
    int e = fmk_param_int(params, "steps", 0, INT64_C(1) << 40, &c.n_steps);
    if (e == 0)
        e = read_part(params, "dt", 1.0, &c.dt);
    if (e == 0)
        e = read_part(params, "spread", 0.125, &c.spread);
    if (e == 0)
        e = fm_array_create(&p->out, FM_F64, 2, (int64_t[]){p->n, FMK_NBODY_ROW}, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c);
    if (e != 0)
        return e;
    fill_bodies(c.bodies);
    c.energies = fm_array_data(p->out);
    *(struct fmk_nbody_ctx *)p->ctx = c;
    return 0;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

static double find_distance(const double *a, const double *b)
{
    const double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];
    return sqrt(x * x + y * y + z * z);
}

static double find_energy(const struct fmk_nbody_body *bodies)
{
    double energy = 0.0;
    for (int a = 0; a < FMK_NBODY_BODIES; a++) {
        const double *v = bodies[a].v;
        energy += 0.5 * bodies[a].mass * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (int b = a + 1; b < FMK_NBODY_BODIES; b++)
            energy -= bodies[a].mass * bodies[b].mass / find_distance(bodies[a].x, bodies[b].x);
    }
    return energy;
}

static void attract(struct fmk_nbody_body *a, struct fmk_nbody_body *b, double dt)
{
    const double d[3] = {a->x[0] - b->x[0], a->x[1] - b->x[1], a->x[2] - b->x[2]};
    const double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
    const double pull = dt / (square * sqrt(square));
    for (int k = 0; k < 3; k++) {
        a->v[k] -= d[k] * (pull * b->mass);
        b->v[k] += d[k] * (pull * a->mass);
    }
}

static void take_step(struct fmk_nbody_body *bodies, double dt)
{
    for (int a = 0; a < FMK_NBODY_BODIES; a++)
        for (int b = a + 1; b < FMK_NBODY_BODIES; b++)
            attract(&bodies[a], &bodies[b], dt);
    for (int b = 0; b < FMK_NBODY_BODIES; b++)
        for (int k = 0; k < 3; k++)
            bodies[b].x[k] += dt * bodies[b].v[k];
}

/* One system, as textbooks move it. Same operations in the same order as a lane: equal, not close. */
static int is_wrong_member(const struct fmk_nbody_ctx *c, int64_t member)
{
    struct fmk_nbody_body bodies[FMK_NBODY_BODIES];
    const double *energies = c->energies + member * FMK_NBODY_ROW;
    memcpy(bodies, c->bodies, sizeof bodies);
    for (int b = 0; b < FMK_NBODY_BODIES; b++)
        for (int k = 0; k < 3; k++)
            bodies[b].x[k] = fmk_nbody_start(c, member, b, k);
    const double before = find_energy(bodies);
    for (int64_t step = 0; step < c->n_steps; step++)
        take_step(bodies, c->dt);
    return !(energies[0] == before && energies[1] == find_energy(bodies));
}

static int differs_from_published(const struct fmk_nbody_ctx *c)
{
    const int is_after_known = c->dt == PUBLISHED_DT && c->n_steps == PUBLISHED_STEPS;
    return !(fabs(c->energies[0] - PUBLISHED_BEFORE) <= MOST_DIFFERENCE) ||
           (is_after_known && !(fabs(c->energies[1] - PUBLISHED_AFTER) <= MOST_DIFFERENCE));
}

static int64_t count_checked(const struct fmk_nbody_ctx *c, int64_t n)
{
    const int64_t affordable = CHECKED_STEPS / (c->n_steps + 1);
    const int64_t wanted = affordable > CHECKED_MEMBERS ? affordable : CHECKED_MEMBERS;
    return wanted < n ? wanted : n;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_nbody_ctx *c = p->ctx;
    const int64_t n_checked = count_checked(c, p->n);
    if (p->n > 0 && differs_from_published(c)) {
        snprintf(text, cap, "member 0 has energies %.9f and %.9f, published are %.9f and %.9f",
                 c->energies[0], c->energies[1], PUBLISHED_BEFORE, PUBLISHED_AFTER);
        return 1;
    }
    for (int64_t k = 0; k < n_checked; k++) {
        const int64_t member = n_checked > 1 ? k * (p->n - 1) / (n_checked - 1) : 0;
        if (is_wrong_member(c, member)) {
            snprintf(text, cap, "member %" PRId64 " differs from the plain loop", member);
            return 1;
        }
    }
    snprintf(text, cap,
             "%" PRId64 " of %" PRId64
             " members moved again by a plain loop: equal; energies of member 0 %.9f and %.9f",
             n_checked, p->n, p->n > 0 ? c->energies[0] : 0.0, p->n > 0 ? c->energies[1] : 0.0);
    return 0;
}

const struct fmk_kernel fmk_kernel_nbody = {
    .name = "nbody",
    .summary =
        "the Sun and four planets, moved by their gravity; one system of an ensemble per item",
    .source = "The Computer Language Benchmarks Game, n-body; ensembles: Nature 459, 2009",
    .cost = "280 flop per step and 16 bytes per system; all systems cost the same",
    .result = "f8 x 2: energy before and after the steps [AU^2/year^2, the Sun having 4 pi^2]",
    .grain = FMK_NBODY_LANES,
    .params = {{"n", "4096", "members of the ensemble; member 0 is the published system"},
               {"steps", "1000", "steps; 1000 of 0.01 years end with the published energy"},
               {"dt", "0.01", "time of a step [years]"},
               {"spread", "0.001",
                "largest relative difference of the other members' coordinates"}},
    .range = fmk_nbody_range,
    .bind = bind,
    .verify = verify,
};
