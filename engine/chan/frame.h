/* SPDX-License-Identifier: MIT */
#ifndef FMI_FRAME_H
#define FMI_FRAME_H

/*
 * A message as it goes through a socket: that of Python's multiprocessing.connection.
 *
 *      0:  | n |  ...                 four bytes, big-endian, signed, then n bytes; 0 <= n <= 0x7fffffff
 *      0:  | -1 | n |  ...            the same and eight bytes, big-endian, then n bytes; any n <= 2^63 - 1 is read, only those above
 *                                     0x7fffffff are written so
 *
 * Nothing here allocates, waits or calls the kernel.
 */

#include <stddef.h>
#include <stdint.h>

enum { FMI_FRAME_SHORT = 4, FMI_FRAME_LONG = 12 };

/* As much of the header as has come. Zeroed: nothing. */
struct fmi_frame_header {
    uint32_t n; /* [bytes] in `raw` */
    uint8_t raw[FMI_FRAME_LONG];
};

/* Returns its length [bytes]. */
uint32_t fmi_frame_write(uint8_t raw[FMI_FRAME_LONG], uint64_t bytes);
/* [bytes] that are still to come, to raw + n; 0: it is whole. */
uint32_t fmi_frame_missing(const struct fmi_frame_header *h);
/* Of a whole header. FM_EFORMAT: a length that none is; else 0. */
int fmi_frame_length(const struct fmi_frame_header *h, uint64_t *bytes);

#endif
