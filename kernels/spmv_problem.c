/* SPDX-License-Identifier: MIT */

/*
 * spmv's problem: a matrix whose rows are as imbalanced as the links of a web, or one from files,
 * and the check by sums of whole numbers or in extended precision.
 *
 * Row i of the generated matrix has 1 + (longest - 1) / (i + 1)^exponent entries, longest first:
 * the rank-size rule of Zipf, "Human Behavior and the Principle of Least Effort", 1949. Entry j of
 * m lies somewhere in the j-th of m equal parts of the row. Values and x are whole numbers, so that
 * y is exact.
 */

#include "inputs.h"
#include "kernel_list.h"
#include "params.h"
#include "spmv.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_ENTRIES (INT64_C(1) << 40)

enum { SEED_X = 11, SEED_COLUMNS = 12, SEED_VALUES = 13 }; /* of the generated numbers */

/*
 * ---- the context --------------------------------------------------------------------------------
 */

/* The context in the heap, with room behind it for the arrays whose lengths `sizes` has. */
static int create_memory(struct fmk_problem *p, const struct fmk_spmv_ctx *sizes)
{
    const size_t n_words =
        (size_t)sizes->n_rows + 1 + (size_t)sizes->n_entries + (size_t)sizes->n_columns;
    int e = fm_array_create(&p->out, FM_F64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof *sizes + n_words * sizeof(double) +
                                     (size_t)sizes->n_entries * sizeof(int32_t));
    if (e != 0)
        return e;
    struct fmk_spmv_ctx *c = p->ctx;
    *c = *sizes;
    c->starts = (void *)(c + 1);
    c->values = (const void *)(c->starts + c->n_rows + 1);
    c->x = c->values + c->n_entries;
    c->columns = (const void *)(c->x + c->n_columns);
    c->y = fm_array_data(p->out);
    return 0;
}

/* The arrays of the context, for those who fill them. */
struct parts {
    int64_t *starts;
    double *values, *x;
    int32_t *columns;
};

static struct parts open_parts(const struct fmk_spmv_ctx *c)
{
    return (struct parts){(int64_t *)c->starts, (double *)c->values, (double *)c->x,
                          (int32_t *)c->columns};
}

/*
 * ---- generated ----------------------------------------------------------------------------------
 */

struct shape {
    int64_t n, longest;
    double exponent;
};

static int read_shape(struct shape *s, const struct fmk_param *params)
{
    int e = fmk_param_int(params, "longest", 1, INT32_MAX, &s->longest);
    if (e == 0)
        e = fmk_param_real(params, "exponent", &s->exponent);
    if (e == 0 && !(s->exponent >= 0.0 && s->exponent <= 16.0))
        e = fmk_error(-EINVAL, "exponent=%g: a number from 0 to 16 is needed", s->exponent);
    if (s->longest > s->n && s->n > 0)
        s->longest = s->n;
    return e;
}

static int64_t row_length(const struct shape *s, int64_t row)
{
    return 1 + (int64_t)((double)(s->longest - 1) / pow((double)(row + 1), s->exponent));
}

/* Entry j of m, which is number `entry` of all, in a row of n columns. */
static int64_t entry_column(int64_t n, int64_t m, int64_t j, int64_t entry)
{
    const int64_t from = j * n / m, to = (j + 1) * n / m;
    return from + fmk_below_at(SEED_COLUMNS, entry, to - from);
}

static int64_t entry_value(int64_t entry)
{
    return 1 + fmk_below_at(SEED_VALUES, entry, 8);
}

static int64_t x_value(int64_t column)
{
    return fmk_below_at(SEED_X, column, 100);
}

static void fill(const struct fmk_spmv_ctx *c, const struct shape *s)
{
    const struct parts parts = open_parts(c);
    int64_t entry = 0;
    for (int64_t row = 0; row < s->n; row++) {
        const int64_t m = row_length(s, row);
        parts.x[row] = (double)x_value(row); /* as many columns as rows */
        parts.starts[row] = entry;
        for (int64_t j = 0; j < m; j++, entry++) {
            parts.columns[entry] = (int32_t)entry_column(s->n, m, j, entry);
            parts.values[entry] = (double)entry_value(entry);
        }
    }
    parts.starts[s->n] = entry;
}

static int bind_generated(struct fmk_problem *p, const struct fmk_param *params)
{
    struct shape s = {.n = p->n};
    struct fmk_spmv_ctx c = {.n_rows = p->n, .n_columns = p->n, .is_generated = 1};
    int e = read_shape(&s, params);
    for (int64_t row = 0; row < s.n && e == 0; row++) {
        c.n_entries += row_length(&s, row);
        if (c.n_entries > MAX_ENTRIES)
            e = fmk_error(-EINVAL, "more than 2^40 entries: a smaller n or longest, or a larger "
                                   "exponent, is needed");
    }
    if (e == 0)
        e = create_memory(p, &c);
    if (e == 0)
        fill(p->ctx, &s);
    return e;
}

/*
 * ---- from files ---------------------------------------------------------------------------------
 */

enum part { INDPTR, INDICES, DATA, X, N_PARTS };
static const char *const part_keys[N_PARTS] = {"indptr", "indices", "data", "x"};

static int load_parts(fm_array **parts, const struct fmk_param *params)
{
    static const fm_dtype whole[] = {FM_I32, FM_I64, 0}, real[] = {FM_F64, 0};
    int e = 0;
    for (int k = 0; k < N_PARTS && e == 0; k++) {
        const char *path = fmk_param_text(params, part_keys[k]);
        if (*path == '\0')
            return fmk_error(-EINVAL,
                             "%s is missing: indptr, indices, data and x are given together",
                             part_keys[k]);
        e = fmk_array_load(part_keys[k], path, 1, k == DATA || k == X ? real : whole, &parts[k]);
    }
    return e;
}

static int64_t whole_at(const fm_array *a, int64_t k)
{
    const void *data = fm_array_data(a);
    return fm_array_dtype(a) == FM_I32 ? ((const int32_t *)data)[k] : ((const int64_t *)data)[k];
}

/* Row starts that rise from 0 to the number of entries: no entry is read from elsewhere. */
static int check_starts(const fm_array *starts, int64_t n_entries)
{
    const int64_t n = fm_array_len(starts);
    if (n == 0)
        return fmk_error(-EINVAL, "indptr is empty; it has one element more than there are rows");
    if (n - 1 > INT32_MAX)
        return fmk_error(-EINVAL, "indptr has %" PRId64 " rows, at most 2^31 - 1 are possible",
                         n - 1);
    for (int64_t k = 0; k < n; k++) {
        const int64_t start = whole_at(starts, k), before = k > 0 ? whole_at(starts, k - 1) : 0;
        if (start < before || start > n_entries || (k == 0 && start != 0))
            return fmk_error(-EINVAL,
                             "indptr: element %" PRId64 " is %" PRId64
                             "; they rise from 0 to the %" PRId64 " of data",
                             k, start, n_entries);
    }
    if (whole_at(starts, n - 1) != n_entries)
        return fmk_error(-EINVAL, "indptr ends with %" PRId64 ", but data has %" PRId64 " elements",
                         whole_at(starts, n - 1), n_entries);
    return 0;
}

static int check_columns(const fm_array *columns, int64_t n_entries, int64_t n_columns)
{
    if (fm_array_len(columns) != n_entries)
        return fmk_error(-EINVAL, "indices has %" PRId64 " elements, data %" PRId64,
                         fm_array_len(columns), n_entries);
    if (n_columns > INT32_MAX)
        return fmk_error(-EINVAL, "x has %" PRId64 " elements, at most 2^31 - 1 are possible",
                         n_columns);
    for (int64_t k = 0; k < n_entries; k++)
        if (whole_at(columns, k) < 0 || whole_at(columns, k) >= n_columns)
            return fmk_error(-EINVAL,
                             "indices: element %" PRId64 " is %" PRId64 ", but x has %" PRId64
                             " elements",
                             k, whole_at(columns, k), n_columns);
    return 0;
}

static void copy_parts(const struct fmk_spmv_ctx *c, fm_array *const *files)
{
    const struct parts parts = open_parts(c);
    for (int64_t k = 0; k <= c->n_rows; k++)
        parts.starts[k] = whole_at(files[INDPTR], k);
    for (int64_t k = 0; k < c->n_entries; k++)
        parts.columns[k] = (int32_t)whole_at(files[INDICES], k);
    memcpy(parts.values, fm_array_data(files[DATA]), fm_array_bytes(files[DATA]));
    memcpy(parts.x, fm_array_data(files[X]), fm_array_bytes(files[X]));
}

static int use_files(struct fmk_problem *p, const struct fmk_param *params, fm_array *const *files)
{
    char what[64];
    struct fmk_spmv_ctx c = {.n_columns = fm_array_len(files[X]),
                             .n_entries = fm_array_len(files[DATA])};
    int e = check_starts(files[INDPTR], c.n_entries);
    if (e == 0)
        e = check_columns(files[INDICES], c.n_entries, c.n_columns);
    if (e != 0)
        return e;
    c.n_rows = p->n = fm_array_len(files[INDPTR]) - 1;
    snprintf(what, sizeof what, "indptr has %" PRId64 " rows", c.n_rows);
    e = fmk_param_agrees(p->kernel, params, "n", c.n_rows, what);
    if (e == 0)
        e = create_memory(p, &c);
    if (e == 0)
        copy_parts(p->ctx, files);
    return e;
}

static int bind_files(struct fmk_problem *p, const struct fmk_param *params)
{
    fm_array *files[N_PARTS] = {NULL};
    int e = 0;
    if (fmk_param_is_given(p->kernel, params, "longest") ||
        fmk_param_is_given(p->kernel, params, "exponent"))
        e = fmk_error(-EINVAL, "longest and exponent are for the generated matrix, not for files");
    if (e == 0)
        e = load_parts(files, params);
    if (e == 0)
        e = use_files(p, params, files);
    for (int k = 0; k < N_PARTS; k++)
        fm_array_destroy(files[k]);
    return e;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    for (int k = 0; k < N_PARTS; k++)
        if (*fmk_param_text(params, part_keys[k]) != '\0')
            return bind_files(p, params);
    return bind_generated(p, params);
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

/* The row from the rules of the generator alone, in whole numbers. */
static int64_t sum_generated_row(const struct fmk_spmv_ctx *c, int64_t row)
{
    const int64_t first = c->starts[row], m = c->starts[row + 1] - first;
    int64_t sum = 0;
    for (int64_t j = 0; j < m; j++)
        sum += entry_value(first + j) * x_value(entry_column(c->n_columns, m, j, first + j));
    return sum;
}

/*
 * 0 right; 1 wrong; 2 not finite, or too large. Backwards and in extended precision; `allowed` is
 * what the rounding of m products and sums can come to.
 */
static int check_row(const struct fmk_spmv_ctx *c, int64_t row)
{
    const int64_t m = c->starts[row + 1] - c->starts[row];
    long double sum = 0.0L, size = 0.0L;
    for (int64_t e = c->starts[row + 1] - 1; e >= c->starts[row]; e--) {
        const long double product = (long double)c->values[e] * c->x[c->columns[e]];
        sum += product;
        size += fabsl(product);
    }
    const long double allowed = (long double)DBL_EPSILON * (long double)m * size;
    if (!(allowed + size <= (long double)DBL_MAX)) /* some partial sum may be infinite */
        return 2;
    /* Products below the least normal number lose up to half the least of all. */
    return !(fabsl(sum - c->y[row]) <= allowed + (long double)m * (long double)DBL_TRUE_MIN);
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_spmv_ctx *c = p->ctx;
    for (int64_t row = 0; row < c->n_rows; row++) {
        const int verdict =
            c->is_generated ? c->y[row] != (double)sum_generated_row(c, row) : check_row(c, row);
        if (verdict == 0)
            continue;
        snprintf(text, cap,
                 verdict == 1 ? "element %" PRId64 " of y is not that row of A times x"
                              : "row %" PRId64 " cannot be checked: A or x is not finite there",
                 row);
        return verdict;
    }
    snprintf(text, cap, "%" PRId64 " elements, %" PRId64 " entries: %s", c->n_rows, c->n_entries,
             c->is_generated ? "equal to sums in whole numbers"
                             : "as summed backwards in extended precision");
    return 0;
}

const struct fmk_kernel fmk_kernel_spmv = {
    .name = "spmv",
    .summary = "sparse matrix times vector, y = A x, an element of y per item; imbalanced",
    .source = "CSR loop, Barrett et al., Templates, SIAM 1994; Williams et al., SC 2007",
    .cost = "2 flop and 12 bytes per entry, and 16 bytes per row; rows of 1 to longest entries",
    .result = "f8: the element of y",
    .grain = 1,
    .params = {{"n", "524288", "rows and columns of the generated A"},
               {"longest", "16384", "entries of its row 0"},
               {"exponent", "0.5", "row i has 1 + (longest - 1) / (i + 1)^exponent entries"},
               {"indptr", "", "file of row starts, i4 or i8 (.npy), as of scipy's csr_array"},
               {"indices", "", "file of columns, i4 or i8"},
               {"data", "", "file of values, f8"},
               {"x", "", "file of x, f8; these four together replace the generated A and x"}},
    .range = fmk_spmv_range,
    .bind = bind,
    .verify = verify,
};
