/* SPDX-License-Identifier: MIT */
#ifndef FMC_LIBRARY_H
#define FMC_LIBRARY_H

/* Opens a shared library of the user's. */

#include <stddef.h>

/* The path to open, to be freed: a bare name is a file of this folder, not one of the system's. NULL: no memory. */
char *fmc_library_path(const char *text, size_t length);

/* Opens it, or says why not (for `text`, the word on the command line) and returns NULL: then it is FMC_USAGE. */
void *fmc_library_open(const char *path, const char *text);

#endif
