/* SPDX-License-Identifier: MIT */
#ifndef FMC_NAMES_H
#define FMC_NAMES_H

/* Which of the known names did the user mean? */

/*
 * How far `name` is from the word that was typed: single letters to insert, drop, replace or swap; 1 when one contains the
 * other. Below FMC_NAMES_FAR it is worth suggesting.
 */
int fmc_names_distance(const char *word, const char *name);

#define FMC_NAMES_FAR 3

/* The nearest of n names, NULL when none is near. */
const char *fmc_names_nearest(const char *word, const char *const *names, int n);

#endif
