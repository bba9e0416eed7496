/* SPDX-License-Identifier: MIT */
#ifndef FMC_CONVERT_H
#define FMC_CONVERT_H

/* Numbers of one type as numbers of another, checked: nothing is cut off or wrapped around. */

#include <forkmap/forkmap.h>

/*
 * Replaces *array by one of dtype `to`, in C order; nothing to do if that is its dtype. Fractions round to the nearest
 * float; an integer or bool must hold the value exactly, and a finite value must stay finite. Complex numbers become
 * complex numbers only. Returns 0; FMC_USAGE types that do not convert; FMC_ENVIRONMENT a value that does not fit (it is
 * named) or no memory. On failure *array is as it was.
 */
int fmc_convert(const char *what, fm_array **array, fm_dtype to);

#endif
