/* SPDX-License-Identifier: MIT */
#ifndef FMC_REPORT_H
#define FMC_REPORT_H

/* What the map did: the record of each failed item, and the summary. */

#include <forkmap/forkmap.h>
#include <stdio.h>

/* One line for people, without newline: "item 777: crashed by SIGSEGV at address 0x0 in f at f.so+0x1139 (worker 1, ...)". */
void fmc_report_describe(fm_pool *pool, const fm_failure *f, int64_t limit_ns, char *text,
                         size_t cap);

/* One JSON object {"event": "failure", ...} per record. Returns 0 or -errno. */
int fmc_report_write(FILE *file, fm_pool *pool, const fm_failure *list, int64_t n);

/*
 * The first 20 on stderr, and how many more there are. `limit_ns`: --timeout, 0 if there was none. `file`: where all
 * of them are, NULL if nowhere.
 */
void fmc_report_print(fm_pool *pool, const fm_failure *list, int64_t n, int64_t limit_ns,
                      const char *file);

/*
 * All records of the last map. *n is the number of them. NULL when there are none or no memory (then an error was
 * said). The caller frees it.
 */
fm_failure *fmc_report_fetch(fm_pool *pool, int64_t *n);

#endif
