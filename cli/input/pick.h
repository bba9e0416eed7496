/* SPDX-License-Identifier: MIT */
#ifndef FMC_PICK_H
#define FMC_PICK_H

/* Which part of each input is mapped over, and as what: --columns, --rows, --repeat, --as, --missing, --map. */

#include <argp.h>
#include <forkmap/forkmap.h>

struct fmc_pick {
    const char *columns; /* names or numbers joined by commas; NULL: all */
    const char *rows;    /* BEGIN:END as typed; NULL: all */
    int64_t begin, end;  /* of the rows; below 0: from the end */
    int has_end;
    int64_t repeat; /* how often the rows follow each other; >= 1 */
    fm_dtype as;    /* 0: as they are */
    int missing;    /* an fmc_missing of csv.h; 0: not said */
    double missing_value;
    int map; /* an fmc_map of output.h: whether files are mapped */
};

/* 1 if anything was asked for. */
int fmc_pick_is_any(const struct fmc_pick *pick);

/* Values of the options. They end the command with a usage error, as those of values.h do. */
void fmc_pick_read_rows(struct fmc_pick *pick, const struct argp_state *state, const char *text);
void fmc_pick_read_as(struct fmc_pick *pick, const struct argp_state *state, const char *text);
void fmc_pick_read_missing(struct fmc_pick *pick, const struct argp_state *state, const char *text);

/* Makes a bound count from 0. Returns 1 if it lies in 0 .. n. */
int fmc_pick_settle(int64_t *bound, int64_t n);

/* The rows [*begin, *end) of n. Returns 1, or 0 if there are no such. */
int fmc_pick_bounds(const struct fmc_pick *pick, int64_t n, int64_t *begin, int64_t *end);

/* The same, for the command. Returns 0 or FMC_USAGE; `what` is for the message. */
int fmc_pick_rows(const struct fmc_pick *pick, const char *what, int64_t n, int64_t *begin,
                  int64_t *end);

/*
 * Each replaces *array by what was picked of it; on failure it is as it was. Return 0, FMC_USAGE or FMC_ENVIRONMENT.
 * Columns are numbers, or BEGIN:END, of the second axis.
 */
int fmc_pick_apply_columns(const struct fmc_pick *pick, const char *what, fm_array **array);
int fmc_pick_apply_rows(const struct fmc_pick *pick, const char *what, fm_array **array);
int fmc_pick_apply_repeat(const struct fmc_pick *pick, const char *what, fm_array **array);

/* A copy of one column of a matrix, an array of one axis. Returns 0 or FMC_ENVIRONMENT. */
int fmc_pick_column(const char *what, const fm_array *matrix, int64_t column, fm_array **out);

#endif
