/* SPDX-License-Identifier: MIT */
#ifndef FMC_INPUT_H
#define FMC_INPUT_H

/*
 * An INPUT on the command line:
 *   PATH                               a .npy file
 *   raw:DTYPE:SHAPE[:ORDER]:PATH       raw binary, as raw:f4:65536x6:F:poses.in
 *   range:BEGIN:END                    the numbers BEGIN .. END-1, each an int64
 */

#include <forkmap/forkmap.h>

struct fmc_input {
    const char *text; /* as typed */
    const char *path; /* inside text; NULL for a range */
    char *spec;       /* of raw binary, without the path; NULL for .npy */
    int64_t begin, end;
    fm_array *array; /* once opened; NULL for a range that was not asked to be an array */
};

/* Reads the word, opens nothing. Returns 0 or FMC_USAGE. */
int fmc_input_parse(struct fmc_input *input, const char *text);

/* Loads the file. A range needs nothing. Returns 0, FMC_USAGE (bad description), FMC_ENVIRONMENT (the file). */
int fmc_input_open(struct fmc_input *input);

/* Makes a range an array of int64, so that it can be one column among others. */
int fmc_input_open_column(struct fmc_input *input);

/* Items. */
int64_t fmc_input_len(const struct fmc_input *input);

void fmc_input_close(struct fmc_input *input);

#endif
