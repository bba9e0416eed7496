/* SPDX-License-Identifier: MIT */
#ifndef FMC_CSV_H
#define FMC_CSV_H

/*
 * A CSV file becomes an array of doubles: n x k for k columns, n for one. The first line has the names of the columns.
 * Without a choice all columns are taken whose first value is a number (or missing), in the file's order.
 */

#include "csv_text.h"

#include <forkmap/forkmap.h>

enum fmc_missing { /* what an empty field means */
                   FMC_MISSING_ERROR = 1,
                   FMC_MISSING_VALUE, /* nan, or any other number */
                   FMC_MISSING_SKIP   /* the row is left out */
};

struct fmc_csv_options {
    char separator;     /* 0: found in the first line */
    int no_header;      /* the first line is a row, too; columns are chosen by number, from 0 */
    const char *choice; /* names (numbers) joined by commas; NULL: all columns of numbers */
    int missing;        /* an fmc_missing; 0 is FMC_MISSING_ERROR */
    double value;       /* of FMC_MISSING_VALUE */
};

/*
 * Reads the regular file `fd`; `path` is for messages. Returns 0; FMC_USAGE a column that is not there; FMC_ENVIRONMENT a
 * malformed file or no memory. Then *error has the text and the remedy, and *out is NULL. On
 * success its note may tell of columns that were left out.
 */
int fmc_csv_read(int fd, const char *path, const struct fmc_csv_options *options, fm_array **out,
                 struct fmc_trouble *error);

#endif
