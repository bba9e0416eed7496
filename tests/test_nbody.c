/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The nbody kernel: the published energies, what is conserved, and what its check finds. That its
 * bits do not depend on who runs it is in test_kernels.c.
 */

#include "t_kernel.h"

#include "nbody.h"

#include <math.h>

static double energy(const struct fmk_problem *p, int64_t member, int which)
{
    return ((const double *)fm_array_data(p->out))[member * FMK_NBODY_ROW + which];
}

static void test_nbody_1000_steps_end_with_the_published_energy(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "nbody", T_PARAMS({"n", "1", NULL}), NULL, 0);
    t_run(&p);
    assert_int_equal(t_verify(&p), 0);
    assert_true(fabs(energy(&p, 0, 0) + 0.169075164) < 1e-9);
    assert_true(fabs(energy(&p, 0, 1) + 0.169087605) < 1e-9);
    fmk_release(&p);
}

/* Wherever a range is cut, and whoever shares the lanes with it. */
static void test_nbody_members_do_not_depend_on_how_many_there_are(void **state)
{
    static const char *const sizes[] = {"2", "31", "32", "33", "65"};
    struct fmk_problem all;
    (void)state;
    t_prepare(&all, "nbody", T_PARAMS({"n", "65", NULL}, {"steps", "50", NULL}), NULL, 0);
    t_run(&all);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct fmk_problem p;
        t_prepare(&p, "nbody", T_PARAMS({"n", sizes[k], NULL}, {"steps", "50", NULL}), NULL, 0);
        t_run(&p);
        assert_int_equal(t_verify(&p), 0);
        assert_memory_equal(fm_array_data(p.out), fm_array_data(all.out), fm_array_bytes(p.out));
        fmk_release(&p);
    }
    fmk_release(&all);
}

static void test_nbody_members_differ_as_much_as_they_were_spread(void **state)
{
    struct fmk_problem none, some;
    (void)state;
    t_prepare(&none, "nbody",
              T_PARAMS({"n", "40", NULL}, {"steps", "3", NULL}, {"spread", "0", NULL}), NULL, 0);
    t_prepare(&some, "nbody",
              T_PARAMS({"n", "40", NULL}, {"steps", "3", NULL}, {"spread", "0.01", NULL}), NULL, 0);
    t_run(&none);
    t_run(&some);
    for (int64_t k = 1; k < 40; k++) {
        const double difference = energy(&some, k, 0) / energy(&none, 0, 0) - 1.0;
        assert_memory_equal((double *)fm_array_data(none.out) + k * FMK_NBODY_ROW,
                            fm_array_data(none.out), FMK_NBODY_ROW * sizeof(double));
        assert_true(difference != 0.0 && fabs(difference) < 0.05);
    }
    fmk_release(&none);
    fmk_release(&some);
}

/* Of first order: a tenth of the step, a tenth of the error. */
static void test_nbody_shorter_steps_conserve_energy_better(void **state)
{
    struct fmk_problem coarse, fine;
    (void)state;
    t_prepare(&coarse, "nbody", T_PARAMS({"n", "8", NULL}, {"steps", "200", NULL}), NULL, 0);
    t_prepare(&fine, "nbody",
              T_PARAMS({"n", "8", NULL}, {"steps", "2000", NULL}, {"dt", "0.001", NULL}), NULL, 0);
    t_run(&coarse);
    t_run(&fine);
    for (int64_t k = 0; k < 8; k++) {
        const double far = fabs(energy(&coarse, k, 1) - energy(&coarse, k, 0));
        const double near = fabs(energy(&fine, k, 1) - energy(&fine, k, 0));
        assert_true(near > 0.05 * far && near < 0.2 * far && far < 1e-4);
    }
    fmk_release(&coarse);
    fmk_release(&fine);
}

static void test_nbody_all_momentum_is_zero(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "nbody", T_PARAMS({"n", "1", NULL}), NULL, 0);
    const struct fmk_nbody_ctx *c = p.ctx;
    for (int k = 0; k < 3; k++) {
        double sum = 0.0;
        for (int b = 0; b < FMK_NBODY_BODIES; b++)
            sum += c->bodies[b].mass * c->bodies[b].v[k];
        assert_true(fabs(sum) < 1e-14);
    }
    fmk_release(&p);
}

static void test_nbody_wrong_member_is_found_and_named(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "nbody", T_PARAMS({"n", "40", NULL}), NULL, 0);
    t_run(&p);
    double *last = (double *)fm_array_data(p.out) + 39 * FMK_NBODY_ROW + 1;
    *last = nextafter(*last, 0.0);
    assert_true(t_finds(&p, "member 39"));
    *last = NAN;
    assert_true(t_finds(&p, "member 39"));
    fmk_release(&p);
}

/* The plain loop would move the same wrong bodies. */
static void test_nbody_wrong_planet_is_found_though_the_loops_agree(void **state)
{
    struct fmk_problem p;
    (void)state;
    t_prepare(&p, "nbody", T_PARAMS({"n", "3", NULL}), NULL, 0);
    ((struct fmk_nbody_ctx *)p.ctx)->bodies[4].mass *= 1.001;
    t_run(&p);
    assert_true(t_finds(&p, "published are -0.169075164 and -0.169087605"));
    fmk_release(&p);
}

static void test_nbody_steps_and_spreads_without_meaning_are_refused(void **state)
{
    (void)state;
    t_refused("nbody", T_PARAMS({"steps", "-1", NULL}), NULL, "from 0 to");
    t_refused("nbody", T_PARAMS({"dt", "-0.01", NULL}), NULL, "dt=-0.01: a number from 0 to 1");
    t_refused("nbody", T_PARAMS({"dt", "inf", NULL}), NULL, "finite");
    t_refused("nbody", T_PARAMS({"spread", "0.5", NULL}), NULL, "from 0 to 0.125");
}

T_MAIN(T_TEST(test_nbody_1000_steps_end_with_the_published_energy),
       T_TEST(test_nbody_members_do_not_depend_on_how_many_there_are),
       T_TEST(test_nbody_members_differ_as_much_as_they_were_spread),
       T_TEST(test_nbody_shorter_steps_conserve_energy_better),
       T_TEST(test_nbody_all_momentum_is_zero), T_TEST(test_nbody_wrong_member_is_found_and_named),
       T_TEST(test_nbody_wrong_planet_is_found_though_the_loops_agree),
       T_TEST(test_nbody_steps_and_spreads_without_meaning_are_refused))
