/* SPDX-License-Identifier: MIT */
#ifndef FMC_UNPACK_H
#define FMC_UNPACK_H

/* Compressed inputs: gzip (RFC 1952, any number of members) and zstd (RFC 8878, any number of frames). */

#include "spool.h"

enum fmc_packing { FMC_PACKING_NONE = 1, FMC_PACKING_GZIP, FMC_PACKING_ZSTD };

/* How the n first bytes of a file say that it is packed. */
int fmc_unpack_recognise(const unsigned char *magic, size_t n);

/* What a file's name says: .gz, .zst. */
int fmc_unpack_expect(const char *name);

/* Unpacks all of `fd` into the spool. Returns 0, or says what is wrong and at which offset: FMC_ENVIRONMENT. */
int fmc_unpack(int fd, int packing, struct fmc_spool *to);

#endif
