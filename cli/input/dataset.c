/* SPDX-License-Identifier: MIT */
/* Finds the module that reads HDF5 files. */
#include "dataset.h"

#include "say.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The module's path, from where the command lies. Returns 0 if that is not known. */
static int name_module(char path[PATH_MAX])
{
    static const char name[] = FMC_MODULES "forkmap_hdf5.so";
    const ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - sizeof name);
    if (n <= 0)
        return 0;
    path[n] = '\0';
    memcpy(strrchr(path, '/') + 1, name, sizeof name);
    return 1;
}

static int fail(const struct fmc_source *source, struct fmc_trouble *trouble, const char *why)
{
    trouble->exit_code = FMC_ENVIRONMENT;
    snprintf(trouble->text, sizeof trouble->text,
             "%.200s: this build cannot read HDF5 files: %.200s", source->path, why);
    snprintf(trouble->remedy, sizeof trouble->remedy,
             "install Debian's libhdf5-dev and build again, or save the dataset as .npy");
    return FMC_ENVIRONMENT;
}

int fmc_dataset_load(const struct fmc_source *source, const char *dataset,
                     struct fmc_dataset_rows *rows, fm_array **out, struct fmc_trouble *trouble)
{
    static void *module; /* once there it stays: HDF5 tidies up when the process ends */
    char path[PATH_MAX];
    union {
        void *address;
        fmc_dataset_read_fn *read;
    } symbol;
    *out = NULL;
    if (!name_module(path))
        return fail(source, trouble, "/proc is not there");
    if (access(path, R_OK) != 0)
        return fail(source, trouble, "it has no forkmap_hdf5.so");
    if (module == NULL)
        module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    symbol.address = module != NULL ? dlsym(module, FMC_DATASET_SYMBOL) : NULL;
    if (symbol.address == NULL)
        return fail(source, trouble, dlerror());
    return symbol.read(source, dataset, rows, out, trouble);
}
