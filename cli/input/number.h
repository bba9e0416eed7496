/* SPDX-License-Identifier: MIT */
#ifndef FMC_NUMBER_H
#define FMC_NUMBER_H

/* A number as text files write it, whatever the locale. */

#include <stddef.h>

enum fmc_number {
    FMC_NUMBER = 1,
    FMC_NUMBER_NONE, /* no number; hexadecimal is none */
    FMC_NUMBER_LARGE /* above the largest double */
};

/*
 * Reads all n bytes at `text`: [+-] digits [. digits] [e [+-] digits], nan, inf or infinity in either case. The result is the
 * nearest double. Returns an fmc_number.
 */
int fmc_number_read(const char *text, size_t n, double *value);

#endif
