/* SPDX-License-Identifier: MIT */
#ifndef FMC_FAILURES_H
#define FMC_FAILURES_H

/*
 * The file of --failures. A regular file is written under a temporary name beside it and gets its name at the end;
 * pipes and devices are written straight to.
 */

#include <forkmap/forkmap.h>
#include <stdio.h>

struct fmc_failures {
    const char *text; /* as typed; NULL: none was asked for */
    char *path;       /* of the file to replace; NULL: written straight to */
    char *temporary;
    FILE *file;
};

/* 1 if both paths lead to one file, or would if they were made. */
int fmc_failures_same_file(const char *one, const char *other);

/* Finds out now whether it can be written. Returns 0 or FMC_ENVIRONMENT. */
int fmc_failures_open(struct fmc_failures *f, const char *text);

/* Writes the records and gives the file its name. Returns 0 or FMC_ENVIRONMENT; then `text` is as it was. */
int fmc_failures_commit(struct fmc_failures *f, fm_pool *pool, const fm_failure *list, int64_t n);

/* Removes what was begun; nothing to do after a commit. */
void fmc_failures_abandon(struct fmc_failures *f);

#endif
