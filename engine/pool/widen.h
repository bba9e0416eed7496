/* SPDX-License-Identifier: MIT */
#ifndef FMI_WIDEN_H
#define FMI_WIDEN_H

/*
 * Numbers of any dtype as one of three wide types, so that each operation is written three times and not eleven. Complex numbers are
 * two columns of doubles.
 */

#include <forkmap/array.h>

enum fmi_wide { FMI_WIDE_I = 1, FMI_WIDE_U = 2, FMI_WIDE_F = 3 }; /* int64_t, uint64_t, double */
enum { FMI_WIDE_BYTES = 8 };

/* The wide type that holds every value of `dtype`, or of its parts; 0: it is no number. */
int fmi_widen_kind(fm_dtype dtype);

/* 1, or 2 for complex. */
int fmi_widen_parts(fm_dtype dtype);

/* Part `part` of n elements, `stride` bytes apart, into to[0 .. n-1]: of that wide type, or of double for any. */
void fmi_widen_load(fm_dtype dtype, int part, const char *from, int64_t stride, int64_t n, int kind,
                    void *to);

/* Back into elements of `dtype`, which has the wide type `kind` and holds the values. */
void fmi_widen_store(fm_dtype dtype, int part, char *to, int64_t stride, int64_t n, int kind,
                     const void *from);

#endif
