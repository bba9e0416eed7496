/* SPDX-License-Identifier: MIT */
#ifndef FMI_NPY_HEADER_H
#define FMI_NPY_HEADER_H

/*
 * The header of a .npy file: the literal of a Python dict with three keys. Source: numpy.lib.format.
 *
 *      0:  | \x93 N U M P Y |
 *      6:  | major | minor |       1.0, 2.0 or 3.0
 *      8:  | length |              of the text: 2 bytes in 1.0, else 4, little-endian
 *     10:  | {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } blanks \n |
 *   64 k:  | elements |
 */

#include "infile.h"

#include <stddef.h>

enum { FMI_NPY_PREFIX_BYTES = 10 }; /* of version 1.0 */
enum {
    FMI_NPY_MAX_HEADER = 1 << 20
}; /* text of the header [bytes]; NumPy itself stops at 10,000 */

/*
 * Reads the text of a header, which lies at offset `base` of the file. `out->offset` is the caller's. Returns 0;
 * FM_EFORMAT with path, offset and reason; -EOVERFLOW a length passes 63 bits. Allocates nothing.
 */
int fmi_npy_parse(const char *path, const char *text, size_t n, uint64_t base,
                  struct fmi_infile_layout *out);

#endif
