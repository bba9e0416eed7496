/* SPDX-License-Identifier: MIT */
#ifndef FMC_KINDS_H
#define FMC_KINDS_H

/* How many items failed in which way: "1 crashed (SIGSEGV), 1 exited (3), 2 passed the time limit". */

#include <forkmap/forkmap.h>

/* The kinds in order of their first item; the seventh and later ones together, as "N otherwise". "" without records. */
void fmc_kinds_describe(const fm_failure *list, int64_t n, char *text, size_t cap);

#endif
