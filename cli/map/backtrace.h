/* SPDX-License-Identifier: MIT */
#ifndef FMC_BACKTRACE_H
#define FMC_BACKTRACE_H

/* The frames of a crash, in words: "half+0x1c at ./f.so+0x1139", without the name where the file has none. */

#include <forkmap/forkmap.h>
#include <jansson.h>

/*
 * The innermost function that is not of the C library, for the line of a failure: " in half at f.so+0x1139"; "" if there is none. One that stands in the C library
 * was called with something bad.
 */
void fmc_backtrace_innermost(fm_pool *pool, const fm_failure *f, char *text, size_t cap);

/* All of them, the innermost first, as an array of texts. */
json_t *fmc_backtrace_event(fm_pool *pool, const fm_failure *f);

#endif
