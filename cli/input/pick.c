/* SPDX-License-Identifier: MIT */
/* Parts of an input. A run of rows or columns is a view; columns in any other order, and rows that repeat, are a copy. */
#include "pick.h"

#include "csv.h"
#include "number.h"
#include "say.h"
#include "values.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int fmc_pick_is_any(const struct fmc_pick *pick)
{
    return pick->columns != NULL || pick->rows != NULL || pick->repeat > 1 || pick->as != 0 ||
           pick->missing != 0;
}

/* ---- options ---- */

/* "BEGIN:END", either may be empty. Returns 0 or -EINVAL. */
static int read_bounds(const char *text, int64_t *begin, int64_t *end, int *has_end)
{
    char first[32];
    const char *colon = strchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof first)
        return -EINVAL;
    memcpy(first, text, (size_t)(colon - text));
    first[colon - text] = '\0';
    *begin = *end = 0;
    *has_end = colon[1] != '\0';
    if (first[0] != '\0' && fmc_value_read_whole(first, begin) != 0)
        return -EINVAL;
    return *has_end && fmc_value_read_whole(colon + 1, end) != 0 ? -EINVAL : 0;
}

void fmc_pick_read_rows(struct fmc_pick *pick, const struct argp_state *state, const char *text)
{
    pick->rows = text;
    if (read_bounds(text, &pick->begin, &pick->end, &pick->has_end) != 0)
        argp_error(
            state,
            "--rows %s: must be BEGIN:END, from 0 and without END, as in 0:1000, 500: or -100:",
            text);
}

void fmc_pick_read_as(struct fmc_pick *pick, const struct argp_state *state, const char *text)
{
    if (fm_dtype_parse(text, &pick->as) != 0)
        argp_error(state, "--as %s: %s", text, fm_error_detail());
    else if (fm_dtype_bytes(pick->as) > 16 || (pick->as & ~0xffffffu) == FM_STRUCT(0))
        argp_error(state, "--as %s: numbers cannot become records", text);
}

void fmc_pick_read_missing(struct fmc_pick *pick, const struct argp_state *state, const char *text)
{
    pick->missing = FMC_MISSING_VALUE;
    if (strcmp(text, "error") == 0)
        pick->missing = FMC_MISSING_ERROR;
    else if (strcmp(text, "skip") == 0)
        pick->missing = FMC_MISSING_SKIP;
    else if (fmc_number_read(text, strlen(text), &pick->missing_value) != FMC_NUMBER)
        argp_error(state, "--missing %s: must be error, skip, nan or another number", text);
}

/* ---- bounds ---- */

int fmc_pick_rows(const struct fmc_pick *pick, const char *what, int64_t n, int64_t *begin,
                  int64_t *end)
{
    if (fmc_pick_bounds(pick, n, begin, end))
        return FMC_DONE;
    const int is_reversed = *begin >= 0 && *begin <= n && *end >= 0 && *end <= n;
    return fmc_say_error(FMC_USAGE, "rows count from 0, or from the end if negative",
                         is_reversed ? "--rows %s: it ends before it begins (%s has %" PRId64
                                       " rows)"
                                     : "--rows %s: %s has %" PRId64 " rows",
                         pick->rows, what, n);
}

/* ---- arrays ---- */

static int replace(fm_array **array, const char *what, int code, fm_array *by)
{
    if (code != 0)
        return fmc_say_code(code, what, NULL);
    fm_array_destroy(*array);
    *array = by;
    return FMC_DONE;
}

static int view_axis(const char *what, fm_array **array, int axis, int64_t begin, int64_t end)
{
    fm_slice slices[FM_MAX_DIMS];
    fm_array *view;
    for (int i = 0; i < FM_MAX_DIMS; i++)
        slices[i] = FM_ALL;
    slices[axis] = (fm_slice){begin, end, 1};
    const int code = fm_array_view(&view, *array, slices);
    return replace(array, what, code, view);
}

int fmc_pick_apply_rows(const struct fmc_pick *pick, const char *what, fm_array **array)
{
    int64_t begin, end;
    const int rc = fmc_pick_rows(pick, what, fm_array_len(*array), &begin, &end);
    if (rc != FMC_DONE || (begin == 0 && end == fm_array_len(*array)))
        return rc;
    return view_axis(what, array, 0, begin, end);
}

static int check_has_columns(const struct fmc_pick *pick, const char *what, const fm_array *array)
{
    char type[24];
    fm_dtype_name(fm_array_dtype(array), type, sizeof type);
    if (type[0] == 'V')
        return fmc_say_error(FMC_USAGE, "in NumPy: np.save('field.npy', a['field'])",
                             "--columns %s: the rows of %s are records of %s bytes, whose fields "
                             "forkmap does not know",
                             pick->columns, what, type + 1);
    if (fm_array_ndim(array) == 2)
        return FMC_DONE;
    return fmc_say_error(FMC_USAGE, "columns are those of a matrix: rows of several numbers",
                         "--columns %s: %s has %d %s", pick->columns, what, fm_array_ndim(array),
                         fm_array_ndim(array) == 1 ? "axis" : "axes");
}

static int refuse_column(const struct fmc_pick *pick, const char *what, int64_t n)
{
    return fmc_say_error(FMC_USAGE,
                         "columns without names are numbers from 0, joined by commas, or BEGIN:END",
                         "--columns %s: %s has %" PRId64 " columns", pick->columns, what, n);
}

/* Reads "4,0,2" into numbers (at most one per character). Returns how many, or -1. */
static int read_list(const char *text, int64_t n, int64_t *columns)
{
    int count = 0;
    for (;;) {
        char word[32];
        const size_t length = strcspn(text, ",");
        if (length == 0 || length >= sizeof word)
            return -1;
        memcpy(word, text, length);
        word[length] = '\0';
        if (fmc_value_read_whole(word, &columns[count]) != 0 ||
            !fmc_pick_settle(&columns[count], n) || columns[count] == n)
            return -1;
        count++;
        if (text[length] == '\0')
            return count;
        text += length + 1;
    }
}

static void copy_columns(const fm_array *from, fm_array *to, const int64_t *columns, int n)
{
    const int64_t *strides = fm_array_strides(from);
    const size_t bytes = fm_dtype_bytes(fm_array_dtype(from));
    const char *row = fm_array_data(from);
    char *p = fm_array_data(to);
    for (int64_t i = 0; i < fm_array_len(from); i++, row += strides[0])
        for (int k = 0; k < n; k++, p += bytes)
            memcpy(p, row + columns[k] * strides[1], bytes);
}

int fmc_pick_column(const char *what, const fm_array *matrix, int64_t column, fm_array **out)
{
    const int64_t n = fm_array_len(matrix);
    const int code = fm_array_create(out, fm_array_dtype(matrix), 1, &n, NULL);
    if (code != 0)
        return fmc_say_code(code, what, NULL);
    copy_columns(matrix, *out, &column, 1);
    return FMC_DONE;
}

/* One column is an array of one axis. */
static int gather(const char *what, fm_array **array, const int64_t *columns, int n)
{
    const int64_t shape[2] = {fm_array_len(*array), n};
    fm_array *copy;
    const int code = fm_array_create(&copy, fm_array_dtype(*array), n == 1 ? 1 : 2, shape, NULL);
    if (code == 0)
        copy_columns(*array, copy, columns, n);
    return replace(array, what, code, copy);
}

int fmc_pick_apply_columns(const struct fmc_pick *pick, const char *what, fm_array **array)
{
    int64_t begin = 0, end = 0;
    int has_end = 0;
    int rc = check_has_columns(pick, what, *array);
    if (rc != FMC_DONE)
        return rc;
    const int64_t n = fm_array_shape(*array)[1];
    if (strchr(pick->columns, ':') != NULL) {
        const int code = read_bounds(pick->columns, &begin, &end, &has_end);
        if (!has_end)
            end = n;
        if (code != 0 || !fmc_pick_settle(&begin, n) || !fmc_pick_settle(&end, n) || begin >= end)
            return refuse_column(pick, what, n);
        return view_axis(what, array, 1, begin, end);
    }
    int64_t *columns = malloc((strlen(pick->columns) + 1) * sizeof *columns);
    if (columns == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "no memory for --columns");
    const int count = read_list(pick->columns, n, columns);
    rc = count < 0 ? refuse_column(pick, what, n) : gather(what, array, columns, count);
    free(columns);
    return rc;
}

/* Copies one row, whatever the strides. */
static void copy_row(const char *from, const int64_t *shape, const int64_t *strides, int n_axes,
                     size_t item_bytes, char **to)
{
    if (n_axes == 0) {
        memcpy(*to, from, item_bytes);
        *to += item_bytes;
        return;
    }
    for (int64_t i = 0; i < shape[0]; i++)
        copy_row(from + i * strides[0], shape + 1, strides + 1, n_axes - 1, item_bytes, to);
}

int fmc_pick_apply_repeat(const struct fmc_pick *pick, const char *what, fm_array **array)
{
    int64_t shape[FM_MAX_DIMS] = {0};
    const int ndim = fm_array_ndim(*array);
    fm_array *copy;
    if (pick->repeat <= 1)
        return FMC_DONE;
    memcpy(shape, fm_array_shape(*array), (size_t)ndim * sizeof *shape);
    const size_t bytes = fm_array_bytes(*array);
    if (__builtin_mul_overflow(shape[0], pick->repeat, &shape[0]))
        return fmc_say_error(FMC_USAGE, NULL, "--repeat %" PRId64 ": %s would have too many rows",
                             pick->repeat, what);
    const int code = fm_array_create(&copy, fm_array_dtype(*array), ndim, shape, NULL);
    if (code == 0 && bytes > 0) {
        char *first = fm_array_data(copy), *p = first;
        copy_row(fm_array_data(*array), fm_array_shape(*array), fm_array_strides(*array), ndim,
                 fm_dtype_bytes(fm_array_dtype(*array)), &p);
        for (int64_t i = 1; i < pick->repeat; i++, p += bytes)
            memcpy(p, first, bytes);
    }
    return replace(array, what, code, copy);
}
