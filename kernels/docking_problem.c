/* SPDX-License-Identifier: MIT */

/*
 * docking's deck: reads the files of data/docking (described in its README.md), works out what each
 * pair of atom types does to each other, and compares energies with the deck's references.
 */

#include "docking.h"
#include "kernel_list.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER_MAX     1024
#define PATH_MAX_BYTES (FOLDER_MAX + 32)

/* In the heap. The tables follow: atoms of the ligand, atoms of the protein, pairs. */
struct deck {
    struct fmk_docking_ctx ctx; /* first: p->ctx points to it */
    char folder[FOLDER_MAX];
};

/* The files as arrays of 32-bit words, one record per row. */
struct deck_files {
    fm_array *ligand, *protein, *types;
};

enum { TYPE_CHARGE_NEGATIVE = 69, TYPE_CHARGE_FAR = 70 }; /* hbtype values with a meaning */

struct atom_type {
    int32_t hbtype;
    float radius, hphb, elsc; /* [A], hydrophobicity, charge */
};

/*
 * ---- files --------------------------------------------------------------------------------------
 */

static int find_folder(const struct fmk_param *params, char *folder)
{
    const char *deck = fmk_param_text(params, "deck");
    if (*deck == '\0')
        return fmk_data_path(folder, FOLDER_MAX, "docking");
    if (strlen(deck) >= FOLDER_MAX)
        return fmk_error(-ENAMETOOLONG, "deck: longer than %d bytes", FOLDER_MAX - 1);
    memcpy(folder, deck, strlen(deck) + 1);
    return 0;
}

static void join_path(char *path, const char *folder, const char *name)
{
    snprintf(path, PATH_MAX_BYTES, "%s/%s", folder, name);
}

static int load_words(const char *folder, const char *name, const char *spec, fm_array **out)
{
    char path[PATH_MAX_BYTES];
    join_path(path, folder, name);
    const int e = fm_raw_load(path, spec, out);
    if (e == 0 && fm_array_len(*out) == 0) {
        fm_array_destroy(*out);
        *out = NULL;
        return fmk_error(FM_EFORMAT, "%s: no records", path);
    }
    return e;
}

static void release_files(struct deck_files *f)
{
    fm_array_destroy(f->ligand);
    fm_array_destroy(f->protein);
    fm_array_destroy(f->types);
}

/* Atom types index the force field; a bad one would be read from outside the table. */
static int check_atoms(const char *folder, const char *name, const fm_array *atoms, int64_t n_types)
{
    const uint32_t *words = fm_array_data(atoms);
    for (int64_t k = 0; k < fm_array_len(atoms); k++)
        if (words[4 * k + 3] >= (uint64_t)n_types)
            return fmk_error(FM_EFORMAT,
                             "%s/%s: atom %" PRId64 " is of type %d, the force field has %" PRId64,
                             folder, name, k, (int)words[4 * k + 3], n_types);
    return 0;
}

static int load_files(struct deck_files *f, const char *folder)
{
    *f = (struct deck_files){NULL, NULL, NULL};
    int e = load_words(folder, "forcefield.in", "raw:u4:?x4", &f->types);
    if (e == 0)
        e = load_words(folder, "ligand.in", "raw:u4:?x4", &f->ligand);
    if (e == 0)
        e = load_words(folder, "protein.in", "raw:u4:?x4", &f->protein);
    if (e == 0)
        e = check_atoms(folder, "ligand.in", f->ligand, fm_array_len(f->types));
    if (e == 0)
        e = check_atoms(folder, "protein.in", f->protein, fm_array_len(f->types));
    if (e != 0)
        release_files(f);
    return e;
}

static int open_poses(const struct fmk_param *params, fm_array **columns)
{
    char folder[FOLDER_MAX];
    fm_array *all;
    int64_t n;
    int e = fmk_param_int(params, "n", 0, INT64_MAX, &n);
    if (e == 0)
        e = find_folder(params, folder);
    if (e == 0)
        e = load_words(folder, "poses.in", "raw:f4:?x6:F", &all);
    if (e != 0)
        return e;
    if (n > fm_array_len(all))
        e = fmk_error(-EINVAL, "n=%" PRId64 ": %s/poses.in has %" PRId64 " poses", n, folder,
                      fm_array_len(all));
    else
        e = fm_array_view(&columns[0], all, (fm_slice[]){{0, n > 0 ? n : INT64_MAX, 1}, FM_ALL});
    fm_array_destroy(all); /* the view keeps the poses */
    return e;
}

/*
 * ---- energies of pairs
 * ----------------------------------------------------------------------------
 */

static void set_solvation(struct fmk_docking_pair *v, const struct atom_type *l,
                          const struct atom_type *p)
{
    const int l_negative = l->hphb < 0.0f, p_negative = p->hphb < 0.0f;
    const float hp = p_negative && l->hphb > 0.0f ? -p->hphb : p->hphb;
    const float hl = p->hphb > 0.0f && l_negative ? -l->hphb : l->hphb;
    if (p->hphb == 0.0f || !(l_negative || p_negative))
        return; /* no such term: both stay 0 */
    v->solvation = hp + hl;
    v->solvation_slope = l_negative && p_negative ? 1.0f / 5.5f : 1.0f;
}

static struct fmk_docking_pair make_pair(const struct atom_type *l, const struct atom_type *p)
{
    struct fmk_docking_pair v = {.radius = l->radius + p->radius};
    const int far = l->hbtype == TYPE_CHARGE_FAR && p->hbtype == TYPE_CHARGE_FAR;
    if (v.radius > 0.0f) { /* else no distance is inside */
        v.steric = 76.0f;
        v.steric_slope = 76.0f / v.radius;
    }
    v.charge = 45.0f * (l->elsc * p->elsc);
    if (l->hbtype == TYPE_CHARGE_NEGATIVE || p->hbtype == TYPE_CHARGE_NEGATIVE)
        v.charge = -fabsf(v.charge);
    v.charge_slope = far ? 0.25f : 0.5f;
    set_solvation(&v, l, p);
    return v;
}

static struct atom_type read_type(const fm_array *types, int64_t k)
{
    struct atom_type type;
    memcpy(&type, (const uint32_t *)fm_array_data(types) + 4 * k, sizeof type);
    return type;
}

static void fill_pairs(struct fmk_docking_pair *pairs, const fm_array *types)
{
    const int64_t n = fm_array_len(types);
    for (int64_t l = 0; l < n; l++)
        for (int64_t p = 0; p < n; p++) {
            const struct atom_type of_ligand = read_type(types, l),
                                   of_protein = read_type(types, p);
            pairs[l * n + p] = make_pair(&of_ligand, &of_protein);
        }
}

/*
 * ---- bind
 * -----------------------------------------------------------------------------------------
 */

/* Sizes that fit a file fit memory; only the square of the types needs a limit. */
static int create_deck(struct fmk_problem *p, const struct deck_files *f, const char *folder)
{
    const int64_t n_types = fm_array_len(f->types);
    const size_t atoms = fm_array_bytes(f->ligand) + fm_array_bytes(f->protein);
    if (n_types > 4096)
        return fmk_error(FM_EFORMAT, "%s/forcefield.in: %" PRId64 " types, at most 4096", folder,
                         n_types);
    const size_t pairs = (size_t)(n_types * n_types) * sizeof(struct fmk_docking_pair);
    const int e = fmk_memory_create(p, sizeof(struct deck) + pairs + atoms);
    if (e != 0)
        return e;
    struct deck *deck = p->ctx;
    struct fmk_docking_pair *pair_table = (void *)(deck + 1);
    char *ligand = (char *)(deck + 1) + pairs, *protein = ligand + fm_array_bytes(f->ligand);
    fill_pairs(pair_table, f->types);
    memcpy(ligand, fm_array_data(f->ligand), fm_array_bytes(f->ligand));
    memcpy(protein, fm_array_data(f->protein), fm_array_bytes(f->protein));
    memcpy(deck->folder, folder, strlen(folder) + 1);
    deck->ctx = (struct fmk_docking_ctx){.ligand = (const void *)ligand,
                                         .protein = (const void *)protein,
                                         .n_ligand = fm_array_len(f->ligand),
                                         .n_protein = fm_array_len(f->protein),
                                         .pairs = pair_table,
                                         .n_types = n_types};
    return 0;
}

static int bind_arrays(struct fmk_problem *p)
{
    struct fmk_docking_ctx *c = p->ctx;
    const int e = fm_array_create(&p->out, FM_F32, 1, &p->n, NULL);
    if (e != 0)
        return e;
    c->poses = fm_array_data(p->columns[0]);
    c->row_stride = fm_array_strides(p->columns[0])[0];
    c->column_stride = fm_array_strides(p->columns[0])[1];
    c->n_poses = p->n;
    c->energies = fm_array_data(p->out);
    return 0;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    char folder[FOLDER_MAX];
    struct deck_files files;
    int64_t n;
    int e = fmk_param_int(params, "n", 0, INT64_MAX, &n);
    if (e == 0 && n != 0 && !p->owns_columns)
        e = fmk_error(-EINVAL, "n=%" PRId64 " is for the default poses, not for a file of poses",
                      n);
    if (e == 0)
        e = find_folder(params, folder);
    if (e == 0)
        e = load_files(&files, folder);
    if (e != 0)
        return e;
    e = create_deck(p, &files, folder);
    release_files(&files);
    return e == 0 ? bind_arrays(p) : e;
}

/*
 * ---- verify
 * ---------------------------------------------------------------------------------------
 */

/*
 * 1 if the first n poses of the deck are the problem's, bit for bit: then the references are its,
 * too.
 */
static int has_poses_of(const struct fmk_docking_ctx *c, const fm_array *deck_poses)
{
    const char *theirs = fm_array_data(deck_poses);
    const int64_t *strides = fm_array_strides(deck_poses);
    if (fm_array_len(deck_poses) < c->n_poses)
        return 0;
    for (int64_t i = 0; i < c->n_poses; i++)
        for (int k = 0; k < 6; k++)
            if (memcmp(c->poses + i * c->row_stride + k * c->column_stride,
                       theirs + i * strides[0] + k * strides[1], sizeof(float)) != 0)
                return 0;
    return 1;
}

/* 0: right; 1: wrong. Differences relative to the reference; the largest goes to *worst. */
static int compare_energy(double energy, double reference, double *worst)
{
    const double difference = fabs(energy - reference) / fabs(reference);
    if (fabs(energy) < 1.0 && fabs(reference) < 1.0)
        return 0;
    if (!(difference < 0.00025)) /* not-a-number is wrong, too */
        return 1;
    *worst = difference > *worst ? difference : *worst;
    return 0;
}

static int compare_all(const struct fmk_docking_ctx *c, FILE *file, const char *path, char *text,
                       size_t cap)
{
    int64_t n_wrong = 0, first_wrong = -1;
    double worst = 0.0;
    char line[64], *end;
    for (int64_t i = 0; i < c->n_poses; i++) {
        const char *got = fgets(line, sizeof line, file);
        const double reference = got != NULL ? strtod(line, &end) : 0.0;
        if (got == NULL || end == line)
            return fmk_error(FM_EFORMAT, "%s: no energy in line %" PRId64, path, i + 1);
        if (compare_energy((double)c->energies[i], reference, &worst) == 0)
            continue;
        if (n_wrong++ == 0)
            first_wrong = i;
    }
    if (n_wrong > 0)
        snprintf(
            text, cap,
            "%" PRId64 " of %" PRId64
            " energies differ from the reference by 0.025 %% or more, the first is pose %" PRId64,
            n_wrong, c->n_poses, first_wrong);
    else
        snprintf(text, cap,
                 "%" PRId64
                 " energies within 0.025 %% of the reference, largest difference %.4f %%",
                 c->n_poses, 100.0 * worst);
    return n_wrong > 0;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct deck *deck = p->ctx;
    char path[PATH_MAX_BYTES];
    fm_array *poses = NULL;
    fmk_error_clear();
    join_path(path, deck->folder, "ref_energies.out");
    FILE *file = fopen(path, "re");
    int status = 2;
    snprintf(text, cap, "no reference energies for these poses in %s", path);
    if (file == NULL)
        return status;
    if (load_words(deck->folder, "poses.in", "raw:f4:?x6:F", &poses) == 0 &&
        has_poses_of(&deck->ctx, poses))
        status = compare_all(&deck->ctx, file, path, text, cap);
    fm_array_destroy(poses);
    fclose(file);
    return status;
}

const struct fmk_kernel fmk_kernel_docking = {
    .name = "docking",
    .summary = "energy of a ligand at each pose beside a protein (miniBUDE, deck bm1)",
    .source = "Poenaru, Lin, McIntosh-Smith, ISC 2021 (miniBUDE, University of Bristol)",
    .cost = "635,000 flop and 28 bytes per pose of bm1; all poses cost the same",
    .result = "f4: energy of the pose",
    .n_columns = 1,
    .grain = FMK_DOCKING_LANES,
    .columns = {{.name = "poses", .dtype = FM_F32, .row_ndim = 1, .row_shape = {6}}},
    .params = {{"n", "0", "poses of the default input to use; 0: all 65,536"},
               {"deck", "", "folder with protein.in, ligand.in, forcefield.in; empty: bm1"}},
    .range = fmk_docking_range,
    .default_input = open_poses,
    .bind = bind,
    .verify = verify,
};
