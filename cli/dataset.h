/* SPDX-License-Identifier: MIT */
#ifndef FMC_DATASET_H
#define FMC_DATASET_H

#include "source.h"

#include <forkmap/forkmap.h>

/*
 * Loads a dataset of numbers from an HDF5 file. `dataset` NULL: none was named, which is an
 * error whose remedy lists them. Returns 0, FMC_USAGE (no such dataset) or FMC_ENVIRONMENT, and has said why. A build
 * without HDF5 refuses, and says so.
 */
int fmc_dataset_load(const struct fmc_source *source, const char *dataset, fm_array **out);

#endif
