/* SPDX-License-Identifier: MIT */
#ifndef FMC_SOURCE_H
#define FMC_SOURCE_H

/*
 * Where an input's bytes come from. What is packed is unpacked, what comes through a pipe is read to its end; afterwards
 * there is a regular file, and its first bytes say what it is.
 */

enum fmc_kind { FMC_KIND_NPY = 1, FMC_KIND_CSV, FMC_KIND_HDF5, FMC_KIND_ZIP, FMC_KIND_OTHER };

struct fmc_source {
    const char *path;   /* for messages */
    const char *opened; /* under which it can be opened: path, or fd_path */
    char fd_path[32];
    int fd;
    int is_spooled;  /* it lies in memory */
    int is_nameless; /* a pipe or the standard input: no name says what it is */
    int kind;        /* by its content, or else its name */
};

/*
 * Opens the file; "-" is the standard input. `is_raw`: it has no marks, so its name must say, too, that it is packed.
 * Returns 0, or FMC_ENVIRONMENT and has said why, with `missing_remedy` (may be NULL) if there is no such file.
 */
int fmc_source_open(struct fmc_source *s, const char *path, int is_raw, const char *missing_remedy);
void fmc_source_close(struct fmc_source *s);

#endif
