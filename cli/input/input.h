/* SPDX-License-Identifier: MIT */
#ifndef FMC_INPUT_H
#define FMC_INPUT_H

/*
 * An INPUT on the command line:
 *   PATH                               .npy, or .csv, or what its first bytes say; "-": the standard input
 *   PATH:/DATASET                      a dataset of an HDF5 file
 *   csv[:OPTION]...:PATH               CSV whatever its name; comma, semicolon, tab; noheader
 *   raw:DTYPE:SHAPE[:ORDER]:PATH       raw binary, as raw:f4:65536x6:F:poses.in
 *   range:BEGIN:END                    the numbers BEGIN .. END-1, each an int64
 * Files may be packed by gzip or zstd.
 */

#include "pick.h"

#include <forkmap/forkmap.h>

struct fmc_input {
    const char *text;    /* as typed */
    const char *path;    /* of the file; NULL for a range */
    char *own_path;      /* the memory of `path` where it is not inside text */
    const char *dataset; /* inside an HDF5 file; NULL: none named */
    char *spec;          /* of raw binary, without the path; else NULL */
    int is_csv;          /* by what was typed; once opened: by what it is */
    int no_header;
    char *note;         /* what the user should know of it, or NULL */
    char separator;     /* of CSV; 0: to be found */
    int64_t rows_taken; /* the array has the picked ones of so many rows already; 0: it has all */
    int64_t begin, end;
    fm_array *array; /* once opened; NULL for a range that was not asked to be an array */
};

/* Reads the word, opens nothing. Returns 0 or FMC_USAGE. */
int fmc_input_parse(struct fmc_input *input, const char *text);

/* Loads the file with the picked columns. Returns 0, FMC_USAGE (bad description or columns), FMC_ENVIRONMENT (the file). */
int fmc_input_open(struct fmc_input *input, const struct fmc_pick *pick);

/*
 * Takes the picked rows, as what and as often as was asked for. A range becomes an array of int64 if `as_column`, so that it
 * can be one column among others, or if it repeats. `csv_type`: what the numbers of a CSV file become; 0: doubles. Returns
 * 0, FMC_USAGE or FMC_ENVIRONMENT.
 */
int fmc_input_take(struct fmc_input *input, const struct fmc_pick *pick, int as_column,
                   fm_dtype csv_type);

/* Items. */
int64_t fmc_input_len(const struct fmc_input *input);

void fmc_input_close(struct fmc_input *input);

#endif
