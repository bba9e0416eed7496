/* SPDX-License-Identifier: MIT */
#ifndef FMC_SPOOL_H
#define FMC_SPOOL_H

/*
 * A file without a name in memory, for input that has no size of its own: what comes through a pipe or out of a compressed
 * file. It grows only while memory is left for it, so that a small file that becomes a huge one ends with an error.
 */

#include <stddef.h>
#include <stdint.h>

struct fmc_spool {
    const char *path; /* of the input, for messages */
    int fd;
    uint64_t bytes, checked_bytes;
};

/* Each returns 0 or FMC_ENVIRONMENT, and has said why. */
int fmc_spool_open(struct fmc_spool *s, const char *path);
int fmc_spool_write(struct fmc_spool *s, const void *data, size_t bytes);

/* All that can be read from `fd`. */
int fmc_spool_copy(struct fmc_spool *s, int fd);

void fmc_spool_close(struct fmc_spool *s);

#endif
