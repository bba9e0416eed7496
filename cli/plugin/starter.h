/* SPDX-License-Identifier: MIT */
#ifndef FMC_STARTER_H
#define FMC_STARTER_H

/* The files of cli/starter, which CMake puts into the command as they are (starter.cmake). */

#include <stddef.h>

#define FMC_STARTER_NAME "my_kernel" /* stands in them wherever the kernel's name is to be */

struct fmc_starter {
    const char *name,
        *suffix; /* suffix: the file is called after the kernel, with this behind; else NULL */
    const unsigned char *bytes;
    size_t n_bytes;
};

#define FMC_N_STARTERS 3
extern const struct fmc_starter fmc_starters[FMC_N_STARTERS];

#endif
