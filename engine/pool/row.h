/* SPDX-License-Identifier: MIT */
#ifndef FMI_ROW_H
#define FMI_ROW_H

/* Rows between arrays of any strides and packed bytes in C order, which is what item functions see. */

#include "array.h"

/* Copies row `item` of `a` to `packed` (a->row_bytes). */
void fmi_row_gather(const struct fmi_array_view *a, int64_t item, char *packed);
/* Copies `packed` to row `item` of `a`. */
void fmi_row_scatter(const struct fmi_array_view *a, int64_t item, const char *packed);

#endif
