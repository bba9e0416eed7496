/* SPDX-License-Identifier: MIT */
#ifndef FMI_DTYPE_H
#define FMI_DTYPE_H

/* Element types, as far as the public header does not say. */

#include <forkmap/array.h>

#define FMI_DTYPE_MAX_STRUCT ((1u << 24) - 1) /* largest FM_STRUCT [bytes] */

static inline char fmi_dtype_kind(fm_dtype dtype)
{
    return (char)(dtype >> 24);
}

/* The dtype of a kind letter (b i u f c V) and a size [bytes]; 0 if there is none. */
fm_dtype fmi_dtype_of(char kind, uint64_t bytes);

/* The unit that a change of byte order reverses [bytes]: a half for complex numbers, 1 for records. */
size_t fmi_dtype_swap_unit(fm_dtype dtype);

/* Reverses the bytes of each `unit` (1, 2, 4 or 8) of `bytes` bytes at `data`. */
void fmi_dtype_swap(void *data, size_t bytes, size_t unit);

#endif
