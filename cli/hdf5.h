/* SPDX-License-Identifier: MIT */
#ifndef FMC_HDF5_H
#define FMC_HDF5_H

#include <forkmap/forkmap.h>

/*
 * Loads a dataset of numbers from the HDF5 file `opened`; `path` is for messages. `dataset` NULL: none was named, which is an
 * error whose remedy lists them. Returns 0, FMC_USAGE (no such dataset) or FMC_ENVIRONMENT, and has said why. A build
 * without HDF5 refuses, and says so.
 */
int fmc_hdf5_load(const char *opened, const char *path, const char *dataset, fm_array **out);

#endif
