/* SPDX-License-Identifier: MIT */
/*
 * Datasets of HDF5 files. The library itself converts byte orders and odd sizes to the machine's types, and unpacks chunks;
 * what is done here is to choose the type, and to say what is wrong.
 */
#include "dataset.h"

#include "say.h" /* the exit codes */

#define H5_USE_110_API
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

enum { IMAGE_STEP_BYTES = 1 << 16 };

struct dataset {
    const char *path, *name;
    struct fmc_trouble *trouble;
    char text[400]; /* "PATH:/NAME", for messages */
    hid_t file, set, type, memory_type, space, memory_space;
    fm_dtype dtype;
    int ndim;
    int64_t shape[FM_MAX_DIMS];
};

/* ---- what HDF5 says ---- */

static herr_t take_reason(unsigned n, const H5E_error2_t *error, void *to)
{
    if (n == 0)
        snprintf(to, 200, "%s", error->desc != NULL ? error->desc : "");
    return 0;
}

/* The innermost reason of the last failure. */
static const char *last_reason(void)
{
    static char reason[200];
    reason[0] = '\0';
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, reason);
    return reason[0] != '\0' ? reason : "HDF5 does not say why";
}

static int fail(const struct dataset *d, int exit_code, const char *remedy, const char *what)
{
    struct fmc_trouble *t = d->trouble;
    t->exit_code = exit_code;
    snprintf(t->text, sizeof t->text, "%s: %.100s", d->text, what);
    snprintf(t->remedy, sizeof t->remedy, "%s", remedy != NULL ? remedy : "");
    return exit_code;
}

static int fail_damaged(const struct dataset *d, const char *what)
{
    char both[100];
    snprintf(both, sizeof both, "%s: %.70s", what, last_reason());
    return fail(d, FMC_ENVIRONMENT, "h5dump shows whether the file is whole", both);
}

/* ---- names ---- */

static herr_t add_name(hid_t file, const char *name, const H5O_info_t *info, void *to)
{
    char *list = to;
    const size_t used = strlen(list), cap = 400;
    (void)file;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    if (used + strlen(name) + 10 > cap) {
        snprintf(list + used, cap - used, ", ...");
        return 1;
    }
    snprintf(list + used, cap - used, "%s/%s", used > 0 ? ", " : "its datasets are ", name);
    return 0;
}

/* The name is missing, or is not one of a dataset: tell which there are. */
static int fail_name(const struct dataset *d, const char *what)
{
    char list[400] = "";
    if (H5Ovisit(d->file, H5_INDEX_NAME, H5_ITER_INC, add_name, list) < 0)
        return fail_damaged(d, "the file is damaged");
    return fail(d, FMC_USAGE, list[0] != '\0' ? list : "there is no dataset in it", what);
}

static int open_set(struct dataset *d)
{
    if (d->name == NULL)
        return fail_name(d, "which dataset? FILE:/DATASET names it");
    const hid_t object = H5Oopen(d->file, d->name, H5P_DEFAULT);
    if (object < 0)
        return fail_name(d, "no such dataset, or it cannot be opened");
    const H5I_type_t kind = H5Iget_type(object);
    if (kind == H5I_DATASET) {
        d->set = object;
        return FMC_DONE;
    }
    H5Oclose(object);
    return fail_name(d, kind == H5I_GROUP ? "this is a group, not a dataset" : "not a dataset");
}

/* ---- types ---- */

struct known_type {
    size_t bytes;
    fm_dtype dtype;
    hid_t memory;
};

static int choose_integer(struct dataset *d)
{
    const int is_signed = H5Tget_sign(d->type) != H5T_SGN_NONE;
    const struct known_type types[] = {
        {1, is_signed ? FM_I8 : FM_U8, is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8},
        {2, is_signed ? FM_I16 : FM_U16, is_signed ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16},
        {4, is_signed ? FM_I32 : FM_U32, is_signed ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32},
        {8, is_signed ? FM_I64 : FM_U64, is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (H5Tget_size(d->type) <= types[i].bytes) {
            d->dtype = types[i].dtype;
            d->memory_type = H5Tcopy(types[i].memory);
            return FMC_DONE;
        }
    return fail(d, FMC_ENVIRONMENT, "store it as int64", "integers of more than 8 bytes");
}

/* Half floats become floats, which hold all of them. */
static int choose_float(struct dataset *d)
{
    const size_t bytes = H5Tget_size(d->type);
    if (bytes > sizeof(double))
        return fail(d, FMC_ENVIRONMENT, "store it as float64", "floats of more than 8 bytes");
    d->dtype = bytes > sizeof(float) ? FM_F64 : FM_F32;
    d->memory_type = H5Tcopy(bytes > sizeof(float) ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT);
    return FMC_DONE;
}

static int member_is(hid_t type, unsigned member, const char *name)
{
    char *has = H5Tget_member_name(type, member);
    const int same = has != NULL && strcmp(has, name) == 0;
    H5free_memory(has);
    return same;
}

/* h5py stores bool as an enumeration of FALSE and TRUE. */
static int is_bool(hid_t type)
{
    return H5Tget_nmembers(type) == 2 && H5Tget_size(type) == 1 && member_is(type, 0, "FALSE") &&
           member_is(type, 1, "TRUE");
}

/* Bytes of one part if this is a complex number as h5py and others store it, {r, i}; else 0. */
static size_t complex_part(hid_t type)
{
    size_t bytes = 0;
    if (H5Tget_nmembers(type) != 2 || !member_is(type, 0, "r") || !member_is(type, 1, "i"))
        return 0;
    const hid_t r = H5Tget_member_type(type, 0), i = H5Tget_member_type(type, 1);
    if (H5Tget_class(r) == H5T_FLOAT && H5Tequal(r, i) > 0)
        bytes = H5Tget_size(r);
    H5Tclose(r);
    H5Tclose(i);
    return bytes == sizeof(float) || bytes == sizeof(double) ? bytes : 0;
}

static void choose_complex(struct dataset *d, size_t bytes)
{
    const hid_t part = bytes == sizeof(double) ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
    d->dtype = bytes == sizeof(double) ? FM_C128 : FM_C64;
    d->memory_type = H5Tcreate(H5T_COMPOUND, 2 * bytes);
    H5Tinsert(d->memory_type, "r", 0, part);
    H5Tinsert(d->memory_type, "i", bytes, part);
}

static const char *name_class(H5T_class_t class)
{
    switch (class) {
    case H5T_STRING:
        return "strings are no numbers";
    case H5T_COMPOUND:
        return "records (a compound type) are not read";
    case H5T_ENUM:
        return "an enumeration is no number";
    case H5T_VLEN:
        return "rows of varying length are not read";
    case H5T_REFERENCE:
        return "references are no numbers";
    case H5T_ARRAY:
        return "elements that are arrays themselves are not read";
    default:
        return "elements of this type are not read";
    }
}

static int choose_type(struct dataset *d)
{
    d->type = H5Dget_type(d->set);
    if (d->type < 0)
        return fail_damaged(d, "no type");
    const H5T_class_t class = H5Tget_class(d->type);
    if (class == H5T_INTEGER)
        return choose_integer(d);
    if (class == H5T_FLOAT)
        return choose_float(d);
    if (class == H5T_ENUM && is_bool(d->type)) {
        d->dtype = FM_BOOL;
        d->memory_type = H5Tcopy(d->type);
        return FMC_DONE;
    }
    const size_t part = class == H5T_COMPOUND ? complex_part(d->type) : 0;
    if (part == 0)
        return fail(d, FMC_ENVIRONMENT, "a dataset of integers, floats, bool or complex is needed",
                    name_class(class));
    choose_complex(d, part);
    return FMC_DONE;
}

/* ---- shape and elements ---- */

static int choose_shape(struct dataset *d)
{
    hsize_t shape[H5S_MAX_RANK];
    d->space = H5Dget_space(d->set);
    if (d->space < 0)
        return fail_damaged(d, "no shape");
    if (H5Sget_simple_extent_type(d->space) == H5S_NULL)
        return fail(d, FMC_ENVIRONMENT, NULL, "the dataset has no elements and no shape");
    const int ndim = H5Sget_simple_extent_dims(d->space, shape, NULL);
    if (ndim < 0)
        return fail_damaged(d, "no shape");
    if (ndim > FM_MAX_DIMS)
        return fail(d, FMC_ENVIRONMENT, "at most 8 are supported", "more than 8 axes");
    d->ndim = ndim > 0 ? ndim : 1; /* a single number becomes one row */
    d->shape[0] = 1;
    for (int i = 0; i < ndim; i++)
        d->shape[i] = shape[i] <= INT64_MAX ? (int64_t)shape[i] : -1;
    return FMC_DONE;
}

/* Selects the picked rows in the file, so that no others are read. */
static int choose_rows(struct dataset *d, struct fmc_dataset_rows *rows)
{
    hsize_t first[FM_MAX_DIMS] = {0}, count[FM_MAX_DIMS] = {0};
    int64_t begin, end;
    char reason[100];
    if (rows->pick->rows == NULL || d->shape[0] <= 1)
        return FMC_DONE;
    if (!fmc_pick_bounds(rows->pick, d->shape[0], &begin, &end)) {
        snprintf(reason, sizeof reason, "--rows %.40s: it has %" PRId64 " rows", rows->pick->rows,
                 d->shape[0]);
        return fail(d, FMC_USAGE, "rows count from 0, or from the end if negative", reason);
    }
    rows->taken = d->shape[0];
    d->shape[0] = end - begin;
    first[0] = (hsize_t)begin;
    for (int i = 0; i < d->ndim; i++)
        count[i] = (hsize_t)d->shape[i];
    d->memory_space = H5Screate_simple(d->ndim, count, NULL);
    if (d->memory_space < 0 || (end > begin && H5Sselect_hyperslab(d->space, H5S_SELECT_SET, first,
                                                                   NULL, count, NULL) < 0))
        return fail_damaged(d, "its rows cannot be selected");
    return FMC_DONE;
}

static int read_elements(struct dataset *d, fm_array **out)
{
    const hid_t space = d->memory_space >= 0 ? d->memory_space : H5S_ALL;
    fm_array *array;
    const int code = fm_array_create(&array, d->dtype, d->ndim, d->shape, NULL);
    if (code != 0) {
        char both[100];
        snprintf(both, sizeof both, "%s (%.60s)", fm_strerror(code), fm_error_detail());
        return fail(d, FMC_ENVIRONMENT, "--rows takes a part of it, and reads no more", both);
    }
    if (fm_array_count(array) > 0 &&
        H5Dread(d->set, d->memory_type, space, space == H5S_ALL ? H5S_ALL : d->space, H5P_DEFAULT,
                fm_array_data(array)) < 0) {
        fm_array_destroy(array);
        return fail_damaged(d, "its elements cannot be read");
    }
    *out = array;
    return FMC_DONE;
}

static void close_all(struct dataset *d)
{
    if (d->memory_type >= 0)
        H5Tclose(d->memory_type);
    if (d->type >= 0)
        H5Tclose(d->type);
    if (d->space >= 0)
        H5Sclose(d->space);
    if (d->memory_space >= 0)
        H5Sclose(d->memory_space);
    if (d->set >= 0)
        H5Dclose(d->set);
    if (d->file >= 0)
        H5Fclose(d->file);
    H5close(); /* the workers are forked later and need none of its memory */
}

static int fail_open(struct dataset *d)
{
    struct fmc_trouble *t = d->trouble;
    t->exit_code = FMC_ENVIRONMENT;
    snprintf(t->text, sizeof t->text, "%.250s: HDF5 cannot open it: %.200s", d->path,
             last_reason());
    snprintf(t->remedy, sizeof t->remedy, "is it an HDF5 file, and whole?");
    return t->exit_code;
}

/* A file in memory has no real path, which HDF5 asks for: it is handed over as an image instead. */
static hid_t open_image(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_size == 0)
        return -1;
    const size_t bytes = (size_t)st.st_size;
    void *image = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (image == MAP_FAILED)
        return -1;
    hid_t file = -1;
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (H5Pset_fapl_core(access, IMAGE_STEP_BYTES, 0) >= 0 &&
        H5Pset_file_image(access, image, bytes) >= 0)
        file = H5Fopen("image", H5F_ACC_RDONLY, access);
    H5Pclose(access);
    munmap(image, bytes); /* HDF5 has a copy */
    return file;
}

/* The one name that the module shows. */
__attribute__((visibility("default"))) fmc_dataset_read_fn fmc_dataset_read;

int fmc_dataset_read(const struct fmc_source *source, const char *dataset,
                     struct fmc_dataset_rows *rows, fm_array **out, struct fmc_trouble *trouble)
{
    const char *path = source->path;
    struct dataset d = {.path = path,
                        .trouble = trouble,
                        .name = dataset,
                        .file = -1,
                        .set = -1,
                        .type = -1,
                        .memory_type = -1,
                        .space = -1,
                        .memory_space = -1};
    *out = NULL;
    snprintf(d.text, sizeof d.text, "%.200s%s%.180s", path, dataset != NULL ? ":" : "",
             dataset != NULL ? dataset : "");
    H5open();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* what it has to say is said here */
    int rc = FMC_DONE;
    d.file = source->is_spooled ? open_image(source->fd)
                                : H5Fopen(source->opened, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (d.file < 0)
        rc = fail_open(&d);
    if (rc == FMC_DONE)
        rc = open_set(&d);
    if (rc == FMC_DONE)
        rc = choose_type(&d);
    if (rc == FMC_DONE)
        rc = choose_shape(&d);
    if (rc == FMC_DONE)
        rc = choose_rows(&d, rows);
    if (rc == FMC_DONE)
        rc = read_elements(&d, out);
    close_all(&d);
    return rc;
}
