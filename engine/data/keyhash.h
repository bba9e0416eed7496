/* SPDX-License-Identifier: MIT */
#ifndef FMI_KEYHASH_H
#define FMI_KEYHASH_H

/*
 * SipHash-1-3: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012, with one round for each word and three at the end, as
 * in Python. Who does not know the seed cannot choose keys that meet in one place.
 */

#include <stddef.h>
#include <stdint.h>

/* Words are read in the machine's order: the number is for one machine only. */
uint64_t fmi_keyhash(const uint64_t seed[2], const void *data, size_t bytes);

#endif
