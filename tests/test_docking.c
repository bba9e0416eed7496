/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */

/*
 * The docking kernel: its energies against the references and against pencil and paper, poses in
 * every layout, and decks that are none. That its bits do not depend on who runs it is in
 * test_kernels.c.
 */

#include "t_kernel.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Not a multiple of any vector length. */
static const struct fmk_param small_docking[] = {{"n", "203", NULL}, {NULL, NULL, NULL}};

static void assert_column_refused(fm_dtype dtype, int ndim, const int64_t *shape)
{
    fm_array *a;
    struct fmk_problem p;
    assert_int_equal(fm_array_zeros(&a, dtype, ndim, shape), 0);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), NULL, &a, 1), -EINVAL);
    assert_non_null(strstr(fmk_error_detail(), "f4 of shape n x 6 is needed"));
    fmk_release(&p);
    fm_array_destroy(a);
}

static void test_docking_poses_of_another_type_or_shape_are_refused(void **state)
{
    (void)state;
    assert_column_refused(FM_F64, 2, (int64_t[]){4, 6});
    assert_column_refused(FM_F32, 2, (int64_t[]){4, 5});
    assert_column_refused(FM_F32, 1, (int64_t[]){24});
    assert_column_refused(FM_F32, 3, (int64_t[]){4, 6, 1});
}

static void test_docking_file_without_poses_gives_no_energies(void **state)
{
    fm_array *poses;
    struct fmk_problem p;
    (void)state;
    assert_int_equal(fm_array_zeros(&poses, FM_F32, 2, (int64_t[]){0, 6}), 0);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), NULL, &poses, 1), 0);
    assert_int_equal(p.n, 0);
    assert_int_equal(fmk_run_serial(&p), 0);
    fmk_release(&p);
    fm_array_destroy(poses);
}

static void test_docking_energies_match_the_references(void **state)
{
    static const struct fmk_param params[] = {{"n", "3001", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    char text[200];
    (void)state;
    t_prepare(&p, "docking", params, NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    assert_non_null(strstr(text, "3001 energies"));
    fmk_release(&p);
}

static void test_docking_one_wrong_energy_is_found_and_named(void **state)
{
    struct fmk_problem p;
    char text[200];
    (void)state;
    t_prepare(&p, "docking", small_docking, NULL, 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 0);
    float *energies = fm_array_data(p.out);
    const float right = energies[202];
    energies[202] = right * 1.0005f;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    assert_non_null(strstr(text, "1 of 203"));
    assert_non_null(strstr(text, "pose 202"));
    energies[202] = NAN;
    assert_int_equal(p.kernel->verify(&p, text, sizeof text), 1);
    fmk_release(&p);
}

static void test_docking_poses_without_reference_are_not_called_right(void **state)
{
    const float pose[6] = {0.1f, 0.2f, 0.3f, 1.0f, 2.0f, 3.0f};
    fm_array *poses;
    struct fmk_problem p;
    char text[1500];
    (void)state;
    assert_int_equal(fm_array_from(&poses, pose, FM_F32, 2, (int64_t[]){1, 6}), 0);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), NULL, &poses, 1), 0);
    assert_int_equal(t_run_and_verify(&p, text, sizeof text), 2);
    assert_true(isfinite(*(float *)fm_array_data(p.out)));
    fmk_release(&p);
    fm_array_destroy(poses);
}

/* The poses as packed rows; the deck has them column by column. */
static fm_array *copy_to_rows(const fm_array *poses)
{
    const int64_t n = fm_array_len(poses);
    fm_array *rows;
    assert_int_equal(fm_array_create(&rows, FM_F32, 2, (int64_t[]){n, 6}, NULL), 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < 6; k++)
            ((float *)fm_array_data(rows))[6 * i + k] =
                *(float *)fm_array_at(poses, 2, (int64_t[]){i, k});
    return rows;
}

static void test_docking_poses_in_rows_give_the_same_bits_as_in_columns(void **state)
{
    struct fmk_problem p, q;
    char text[200];
    (void)state;
    t_prepare(&p, "docking", small_docking, NULL, 0);
    void *expected = t_serial_result(&p);
    fm_array *rows = copy_to_rows(p.columns[0]);
    assert_int_equal(fmk_prepare(&q, p.kernel, NULL, &rows, 1), 0);
    assert_int_equal(t_run_and_verify(&q, text, sizeof text), 0);
    t_assert_same_bits(&q, expected);
    fmk_release(&q);
    fm_array_destroy(rows);
    free(expected);
    fmk_release(&p);
}

static void test_docking_reversed_view_gives_the_energies_in_reverse(void **state)
{
    struct fmk_problem p, q;
    fm_array *reversed;
    (void)state;
    t_prepare(&p, "docking", small_docking, NULL, 0);
    float *expected = t_serial_result(&p);
    const fm_slice backwards[] = {{202, -1, -1}, FM_ALL};
    assert_int_equal(fm_array_view(&reversed, p.columns[0], backwards), 0);
    assert_int_equal(fmk_prepare(&q, p.kernel, NULL, &reversed, 1), 0);
    assert_int_equal(fmk_run_serial(&q), 0);
    for (int k = 0; k < 203; k++)
        assert_memory_equal((float *)fm_array_data(q.out) + k, &expected[202 - k], sizeof(float));
    fmk_release(&q);
    fm_array_destroy(reversed);
    free(expected);
    fmk_release(&p);
}

static void test_docking_more_poses_than_the_deck_has_are_refused(void **state)
{
    (void)state;
    const struct fmk_param params[] = {{"n", "65537", NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), params, NULL, 0), -EINVAL);
    assert_non_null(strstr(fmk_error_detail(), "65536 poses"));
}

static void test_docking_missing_deck_says_which_file(void **state)
{
    const struct fmk_param params[] = {{"deck", t_temp_dir(), NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    (void)state;
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), params, NULL, 0), -ENOENT);
    assert_non_null(strstr(fmk_error_detail(), "poses.in"));
}

static void write_deck_file(const char *name, const void *bytes, size_t n_bytes)
{
    char path[1100];
    snprintf(path, sizeof path, "%s/%s", t_temp_dir(), name);
    t_write_file(path, bytes, n_bytes);
}

struct atom {
    float x, y, z;
    int32_t type;
};
struct atom_type {
    int32_t hbtype;
    float radius, hphb, elsc;
};

/* A deck of one ligand atom of type 0 and one protein atom of type 1 at the origin, and n poses. */
static void write_deck(const struct atom_type types[2], int32_t ligand_type, const float *shifts,
                       int n)
{
    const struct atom ligand = {0.0f, 0.0f, 0.0f, ligand_type}, protein = {0.0f, 0.0f, 0.0f, 1};
    float poses[6][16] = {{0.0f}};
    write_deck_file("forcefield.in", types, 2 * sizeof types[0]);
    write_deck_file("ligand.in", &ligand, sizeof ligand);
    write_deck_file("protein.in", &protein, sizeof protein);
    float packed[6 * 16];
    memcpy(poses[3], shifts, (size_t)n * sizeof *shifts);
    for (int k = 0; k < 6; k++)
        memcpy(packed + k * n, poses[k], (size_t)n * sizeof(float));
    write_deck_file("poses.in", packed, 6 * (size_t)n * sizeof(float));
}

static void assert_energies(const struct atom_type types[2], const float *distances,
                            const float *expected, int n)
{
    const struct fmk_param params[] = {{"deck", t_temp_dir(), NULL}, {NULL, NULL, NULL}};
    struct fmk_problem p;
    write_deck(types, 0, distances, n);
    t_prepare(&p, "docking", params, NULL, 0);
    assert_int_equal(p.n, n);
    assert_int_equal(fmk_run_serial(&p), 0);
    for (int k = 0; k < n; k++)
        assert_float_equal(((float *)fm_array_data(p.out))[k], expected[k], 1e-4f);
    fmk_release(&p);
}

/* Two atoms of radius 1 + 1: each term at distances inside, on the slope, and beyond its range. */
static void test_docking_two_atoms_repel_when_inside(void **state)
{
    const struct atom_type types[2] = {{0, 1.0f, 0.0f, 0.0f}, {0, 1.0f, 0.0f, 0.0f}};
    (void)state;
    assert_energies(types, (float[]){0.0f, 1.0f, -1.5f, 2.0f, 9.0f},
                    (float[]){38.0f, 19.0f, 9.5f, 0.0f, 0.0f}, 5);
}

static void test_docking_charges_fade_over_their_range(void **state)
{
    struct atom_type types[2] = {{70, 1.0f, 0.0f, 2.0f}, {70, 1.0f, 0.0f, -1.0f}};
    (void)state;
    assert_energies(types, (float[]){1.0f, 2.0f, 4.0f, 6.0f, 7.0f},
                    (float[]){19.0f - 45.0f, -45.0f, -22.5f, 0.0f, 0.0f}, 5);
    types[0].hbtype = 0; /* half the range */
    assert_energies(types, (float[]){2.0f, 3.0f, 4.0f}, (float[]){-45.0f, -22.5f, 0.0f}, 3);
    types[0].elsc = -2.0f; /* equal signs repel, unless one is of type 69 */
    assert_energies(types, (float[]){2.0f, 3.0f}, (float[]){45.0f, 22.5f}, 2);
    types[1].hbtype = 69;
    assert_energies(types, (float[]){2.0f, 3.0f}, (float[]){-45.0f, -22.5f}, 2);
}

static void test_docking_solvation_follows_the_signs_of_both_atoms(void **state)
{
    struct atom_type types[2] = {{0, 1.0f, -4.0f, 0.0f}, {0, 1.0f, -2.0f, 0.0f}};
    (void)state;
    assert_energies(types, (float[]){2.0f, 4.75f, 7.5f, 9.0f}, (float[]){-3.0f, -1.5f, 0.0f, 0.0f},
                    4);
    types[1].hphb = 2.0f; /* ligand negative, protein positive: the ligand's turns */
    assert_energies(types, (float[]){2.0f, 2.5f, 3.0f}, (float[]){3.0f, 1.5f, 0.0f}, 3);
    types[0].hphb = 4.0f, types[1].hphb = -2.0f; /* the other way: the protein's turns */
    assert_energies(types, (float[]){2.0f, 2.5f, 3.0f}, (float[]){3.0f, 1.5f, 0.0f}, 3);
    types[1].hphb = 2.0f; /* both positive: none */
    assert_energies(types, (float[]){2.0f}, (float[]){0.0f}, 1);
    types[0].hphb = -4.0f, types[1].hphb = 0.0f; /* protein neutral: none */
    assert_energies(types, (float[]){2.0f}, (float[]){0.0f}, 1);
}

static void test_docking_atom_of_a_type_that_does_not_exist_is_refused(void **state)
{
    const struct atom_type types[2] = {{0, 1.0f, 0.0f, 0.0f}, {0, 1.0f, 0.0f, 0.0f}};
    const struct fmk_param params[] = {{"deck", t_temp_dir(), NULL}, {NULL, NULL, NULL}};
    const float shift = 1.0f;
    struct fmk_problem p;
    (void)state;
    write_deck(types, 2, &shift, 1);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), params, NULL, 0), FM_EFORMAT);
    assert_non_null(strstr(fmk_error_detail(), "type 2"));
    write_deck(types, -1, &shift, 1);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), params, NULL, 0), FM_EFORMAT);
}

static void test_docking_truncated_or_empty_deck_is_refused(void **state)
{
    const struct atom_type types[2] = {{0, 1.0f, 0.0f, 0.0f}, {0, 1.0f, 0.0f, 0.0f}};
    const struct fmk_param params[] = {{"deck", t_temp_dir(), NULL}, {NULL, NULL, NULL}};
    const float shift = 1.0f;
    struct fmk_problem p;
    (void)state;
    write_deck(types, 0, &shift, 1);
    write_deck_file("protein.in", types, 15);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), params, NULL, 0), FM_EFORMAT);
    write_deck_file("protein.in", types, 0);
    assert_int_equal(fmk_prepare(&p, fmk_find("docking"), params, NULL, 0), FM_EFORMAT);
    assert_non_null(strstr(fmk_error_detail(), "protein.in"));
}

T_MAIN(T_TEST(test_docking_energies_match_the_references),
       T_TEST(test_docking_one_wrong_energy_is_found_and_named),
       T_TEST(test_docking_poses_without_reference_are_not_called_right),
       T_TEST(test_docking_poses_in_rows_give_the_same_bits_as_in_columns),
       T_TEST(test_docking_reversed_view_gives_the_energies_in_reverse),
       T_TEST(test_docking_more_poses_than_the_deck_has_are_refused),
       T_TEST(test_docking_missing_deck_says_which_file),
       T_TEST(test_docking_two_atoms_repel_when_inside),
       T_TEST(test_docking_charges_fade_over_their_range),
       T_TEST(test_docking_solvation_follows_the_signs_of_both_atoms),
       T_TEST(test_docking_atom_of_a_type_that_does_not_exist_is_refused),
       T_TEST(test_docking_truncated_or_empty_deck_is_refused),
       T_TEST(test_docking_poses_of_another_type_or_shape_are_refused),
       T_TEST(test_docking_file_without_poses_gives_no_energies))
