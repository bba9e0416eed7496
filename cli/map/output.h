/* SPDX-License-Identifier: MIT */
#ifndef FMC_OUTPUT_H
#define FMC_OUTPUT_H

/*
 * The output: what a row of it looks like, its array, and its file. The file is reserved at full size without a name (or under a
 * temporary one) before the work begins, and gets its name when the results are in it. A large one is mapped: its array is the file, so
 * it may be larger than the memory, and is not written a second time at the end. With a journal it is a file from the beginning (part.h).
 */

#include "part.h"

#include <forkmap/forkmap.h>

/* --out DTYPE:ROWSHAPE, as f8: (one number per item), f4:3, i4:2x3; or none. */
struct fmc_rows {
    int none;
    fm_dtype dtype;
    int ndim; /* axes below axis 0 */
    int64_t shape[FM_MAX_DIMS - 1];
};

/* Returns 0 or FMC_USAGE. */
int fmc_output_parse(struct fmc_rows *rows, const char *spec);

/*
 * What the descriptor of an array says. Descriptors lie in shared memory: a function that writes astray can change
 * them, so what is needed after a map is read before it.
 */
struct fmc_seen {
    char *data; /* NULL: no array */
    fm_dtype dtype;
    int ndim;
    int64_t shape[FM_MAX_DIMS], strides[FM_MAX_DIMS];
    size_t row_bytes;
};

/* `array` may be NULL. */
void fmc_output_look(struct fmc_seen *seen, const fm_array *array);

/* 1 if the descriptor still says what it said. */
int fmc_output_is_as_seen(const struct fmc_seen *seen, const fm_array *array);

/* Zeroes the rows whose status (u8, one per item) is not FM_ITEM_DONE: a crash leaves half a row behind. */
void fmc_output_clear_failed(const struct fmc_seen *out, const struct fmc_seen *status);

struct fmc_output {
    const char *path;
    fm_npy_writer *writer;
    struct fmc_part part; /* with a journal, instead of the writer */
    int is_begun;         /* a journal speaks of it */
};

/* 1 until it is committed or abandoned. */
int fmc_output_is_open(const struct fmc_output *o);

/* From this size on a file is mapped and not copied: below, a copy is as fast, and a file that others change meanwhile does no harm. */
#define FMC_MAP_BYTES ((size_t)256 << 20)

/* What --map says: whether a file of `bytes` is to be mapped. */
enum fmc_map { FMC_MAP_AUTO = 0, FMC_MAP_ALWAYS, FMC_MAP_NEVER };
int fmc_output_is_to_map(int map, size_t bytes);

/* Reserves `path` for the array's size. Returns 0 or FMC_ENVIRONMENT. */
int fmc_output_reserve(struct fmc_output *o, const char *path, const fm_array *array);

/*
 * Reserves `path` for n rows, and makes their array: the file itself, or one in the heap. Returns 0, FMC_USAGE (more than can be
 * addressed) or FMC_ENVIRONMENT.
 */
int fmc_output_open(struct fmc_output *o, const char *path, int map, const struct fmc_rows *rows,
                    int64_t n, fm_array **out);

/* The same for a map with that journal. */
int fmc_output_open_part(struct fmc_output *o, const char *path, const char *journal,
                         const struct fmc_rows *rows, int64_t n, fm_array **out);

/* Writes the array and gives the file its name. Returns 0 or FMC_ENVIRONMENT; then nothing is left. */
int fmc_output_commit(struct fmc_output *o, const fm_array *array);

/* Removes what was reserved, but not what a journal speaks of; nothing to do after a commit. */
void fmc_output_abandon(struct fmc_output *o);

#endif
