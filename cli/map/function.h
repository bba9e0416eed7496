/* SPDX-License-Identifier: MIT */
#ifndef FMC_FUNCTION_H
#define FMC_FUNCTION_H

/* The FUNCTION on the command line: a shipped kernel's name, or PATH.so:SYMBOL. */

#include "kernels.h"

struct fmc_function {
    const char *text;                /* as typed */
    const struct fmk_kernel *kernel; /* NULL: a function in a library */
    char *path;                      /* of the library */
    void *library;                   /* dlopen's handle */
    union {
        void *address;
        fm_item_fn *item;
        fm_star_fn *star;
        fm_chunk_fn *chunk;
    } code;
};

/* Finds the kernel, or loads the library and finds the symbol. Returns 0, or says why not and returns FMC_USAGE. */
int fmc_function_find(struct fmc_function *f, const char *text);

/* Finds a kernel only, for `forkmap run`. */
int fmc_function_find_kernel(struct fmc_function *f, const char *name);

void fmc_function_close(struct fmc_function *f);

#endif
