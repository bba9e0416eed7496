/* SPDX-License-Identifier: MIT */
#ifndef FMC_DATASET_H
#define FMC_DATASET_H

/*
 * Datasets of HDF5 files. The library for them brings thirty others along (for encryption, and for files on the web), which
 * would double the time that the command takes to start: so the reader is a module, forkmap_hdf5.so, that lies beside the
 * command and is loaded for the first file of that kind. Where HDF5 was missing when this was built, there is none.
 */

#include "pick.h"
#include "source.h"
#include "trouble.h"

#include <forkmap/forkmap.h>

struct fmc_dataset_rows {
    const struct fmc_pick *pick;
    int64_t taken; /* out: the array has the picked ones of so many rows; 0: it has all */
};

/*
 * Loads a dataset of numbers: only the picked rows, unless it has just one, which may be for every item. `dataset` NULL: none was named, which is an error whose remedy lists them. Returns 0,
 * FMC_USAGE (no such dataset) or FMC_ENVIRONMENT with *trouble filled.
 */
int fmc_dataset_load(const struct fmc_source *source, const char *dataset,
                     struct fmc_dataset_rows *rows, fm_array **out, struct fmc_trouble *trouble);

/* What the module has: the same, by HDF5. */
#define FMC_DATASET_SYMBOL "fmc_dataset_read"
typedef int fmc_dataset_read_fn(const struct fmc_source *source, const char *dataset,
                                struct fmc_dataset_rows *rows, fm_array **out,
                                struct fmc_trouble *trouble);

#endif
