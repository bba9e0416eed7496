/* SPDX-License-Identifier: MIT */
#ifndef FMC_PART_H
#define FMC_PART_H

/*
 * The output of a map with --journal: OUT.part, which stays where it is when the command is killed, and gets its name OUT at the end.
 *
 *   what is there                 | is mapped          | at the end
 *   OUT.part                      | OUT.part           | renamed to OUT
 *   OUT and the journal           | OUT: it was ended  | nothing: the rows of failed items may have changed
 *   neither of these              | OUT.part, made new | renamed to OUT
 *
 * Whether the file is that of the journal is looked at by the library.
 */

#include <forkmap/forkmap.h>

struct fmc_part {
    char *target;     /* of OUT, links followed; NULL: there is no such output */
    char *unfinished; /* OUT.part */
    int is_target;    /* OUT is mapped itself */
    int is_made;      /* by this command */
};

/* Maps or makes it for an array of that dtype and shape. Returns 0, FMC_USAGE or FMC_ENVIRONMENT. */
int fmc_part_open(struct fmc_part *p, const char *path, const char *journal, fm_dtype dtype,
                  int ndim, const int64_t *shape, fm_array **out);

/* The results are in it. Returns 0 or FMC_ENVIRONMENT; then it stays unfinished. */
int fmc_part_commit(struct fmc_part *p);

/* `is_begun`: a journal speaks of it, so it stays. */
void fmc_part_abandon(struct fmc_part *p, int is_begun);

#endif
