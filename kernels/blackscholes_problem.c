/* SPDX-License-Identifier: MIT */

/*
 * blackscholes' problem: options from data/options (described in its README.md), repeated to the size
 * that is asked for, and prices worked out again with the C library's erfc() and compared with the
 * references.
 */

#include "blackscholes.h"
#include "kernel_list.h"
#include "params.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 1024
#define FILE_VALUES                                                                                \
    9 /* the columns of the file: those of a row, dividend_amount, reference_price */
#define REFERENCE      (FILE_VALUES - 1)
#define MOST_REFERENCE 1e-4  /* allowed difference to a reference [money] */
#define MOST_FORMULA   1e-12 /* to the formula, relative to spot + strike */

struct options {
    struct fmk_blackscholes_ctx ctx; /* first: p->ctx points to it */
    char path[PATH_BYTES];
};

/* A file's rows, as packed doubles; type is 1 or -1. */
struct table {
    double (*rows)[FILE_VALUES];
    int64_t n;
};

/*
 * ---- the file -----------------------------------------------------------------------------------
 */

static int find_file(const struct fmk_param *params, char *path)
{
    const char *data = fmk_param_text(params, "data");
    if (*data == '\0')
        return fmk_data_path(path, PATH_BYTES, "options/options.csv");
    if (strlen(data) >= PATH_BYTES)
        return fmk_error(-ENAMETOOLONG, "data: longer than %d bytes", PATH_BYTES - 1);
    memcpy(path, data, strlen(data) + 1);
    return 0;
}

/* 1 if the line is a row: numbers and a letter C or P between commas. */
static int parse_row(const char *line, double *row)
{
    for (int k = 0; k < FILE_VALUES; k++) {
        char *end = (char *)line + 1;
        if (k != FMK_OPTION_TYPE)
            row[k] = strtod(line, &end);
        else if (*line == 'C' || *line == 'P')
            row[k] = *line == 'C' ? 1.0 : -1.0;
        else
            return 0;
        if (end == line || *end != (k + 1 < FILE_VALUES ? ',' : '\0'))
            return 0;
        line = end + 1;
    }
    return 1;
}

static int add_row(struct table *t, int64_t *room, const char *line)
{
    if (t->n == *room) {
        void *more = realloc(t->rows, 2 * (size_t)*room * sizeof t->rows[0]);
        if (more == NULL)
            return -ENOMEM;
        t->rows = more;
        *room *= 2;
    }
    return parse_row(line, t->rows[t->n++]) ? 0 : FM_EFORMAT;
}

static int read_rows(struct table *t, FILE *file, const char *path)
{
    char *line = NULL;
    size_t cap = 0;
    int64_t room = 1024, number = 1; /* the first line has the names */
    int e = 0;
    t->rows = malloc((size_t)room * sizeof t->rows[0]);
    if (t->rows == NULL || getline(&line, &cap, file) < 0)
        e = t->rows == NULL ? -ENOMEM : fmk_error(FM_EFORMAT, "%s: no line of names", path);
    while (e == 0 && getline(&line, &cap, file) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        number++;
        e = add_row(t, &room, line);
        if (e == FM_EFORMAT)
            fmk_error(e, "%s:%" PRId64 ": not 6 numbers, C or P, and 2 numbers: %.60s", path,
                      number, line);
    }
    if (e == 0 && t->n == 0)
        e = fmk_error(FM_EFORMAT, "%s: no options", path);
    free(line);
    return e;
}

static int read_table(struct table *t, const char *path)
{
    *t = (struct table){NULL, 0};
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return fmk_error(-errno, "%s: %s", path, strerror(errno));
    int e = read_rows(t, file, path);
    if (e == 0 && ferror(file))
        e = fmk_error(-EIO, "%s: cannot be read", path);
    fclose(file);
    if (e != 0)
        free(t->rows);
    return e;
}

static void repeat_rows(const struct table *t, double *rows, int64_t n)
{
    for (int64_t i = 0; i < n && t->n > 0; i++)
        memcpy(rows + i * FMK_OPTION_VALUES, t->rows[i % t->n], FMK_OPTION_VALUES * sizeof *rows);
}

static int open_options(const struct fmk_param *params, fm_array **columns)
{
    char path[PATH_BYTES];
    struct table t;
    int64_t n;
    int e = fmk_param_int(params, "n", 0, INT32_MAX, &n);
    if (e == 0)
        e = find_file(params, path);
    if (e == 0)
        e = read_table(&t, path);
    if (e != 0)
        return e;
    e = fm_array_create(&columns[0], FM_F64, 2, (int64_t[]){n, FMK_OPTION_VALUES}, NULL);
    if (e == 0)
        repeat_rows(&t, fm_array_data(columns[0]), n);
    free(t.rows);
    return e;
}

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    char path[PATH_BYTES];
    int e = find_file(params, path);
    if (e == 0)
        e = fm_array_create(&p->out, FM_F64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof(struct options));
    if (e != 0)
        return e;
    struct options *options = p->ctx;
    memcpy(options->path, path, strlen(path) + 1);
    options->ctx =
        (struct fmk_blackscholes_ctx){.options = fm_array_data(p->columns[0]),
                                      .row_stride = fm_array_strides(p->columns[0])[0],
                                      .column_stride = fm_array_strides(p->columns[0])[1],
                                      .n = p->n,
                                      .prices = fm_array_data(p->out)};
    return 0;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

static double normal_below(double x)
{
    return 0.5 * erfc(-x * M_SQRT1_2);
}

/* As textbooks write it. */
static double price(const double *v)
{
    const double years = v[FMK_OPTION_YEARS], type = v[FMK_OPTION_TYPE];
    const double spot = v[FMK_OPTION_SPOT] * exp(-v[FMK_OPTION_DIVIDEND] * years);
    const double strike = v[FMK_OPTION_STRIKE] * exp(-v[FMK_OPTION_RATE] * years);
    const double deviation = v[FMK_OPTION_VOLATILITY] * sqrt(years);
    if (!(v[FMK_OPTION_SPOT] > 0.0 && v[FMK_OPTION_STRIKE] > 0.0 && deviation >= 0.0) ||
        fabs(type) != 1.0)
        return NAN;
    const double d1 = log(spot / strike) / deviation + 0.5 * deviation;
    const double value =
        type * (spot * normal_below(type * d1) - strike * normal_below(type * (d1 - deviation)));
    if (isnan(value) && deviation > 0.0)
        return NAN; /* which fmax() would swallow */
    return fmax(deviation > 0.0 ? value : type * (spot - strike), 0.0);
}

static int is_same_option(const double *v, const double *known)
{
    for (int k = 0; k < FMK_OPTION_VALUES; k++)
        if (v[k] != known[k])
            return 0;
    return 1;
}

/* How far a price is from right, in units of what is allowed; `reference` may be NULL. */
static double judge(double price_found, const double *v, const double *reference)
{
    const double expected = price(v);
    if (isnan(expected) || isnan(price_found))
        return isnan(expected) && isnan(price_found) ? 0.0 : INFINITY;
    const double by_formula =
        fabs(price_found - expected) / (MOST_FORMULA * (v[FMK_OPTION_SPOT] + v[FMK_OPTION_STRIKE]));
    const double by_reference =
        reference != NULL ? fabs(price_found - *reference) / MOST_REFERENCE : 0.0;
    return fmax(by_formula, by_reference);
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct options *options = p->ctx;
    const struct fmk_blackscholes_ctx *c = &options->ctx;
    struct table t;
    int64_t n_references = 0;
    if (read_table(&t, options->path) != 0)
        t = (struct table){NULL, 0}; /* then there are no references */
    for (int64_t i = 0; i < c->n; i++) {
        const double *known = t.n > 0 ? t.rows[i % t.n] : NULL;
        double v[FMK_OPTION_VALUES];
        for (int k = 0; k < FMK_OPTION_VALUES; k++)
            v[k] = fmk_option_value(c, i, k);
        if (known != NULL && !is_same_option(v, known))
            known = NULL;
        n_references += known != NULL;
        if (judge(c->prices[i], v, known != NULL ? &known[REFERENCE] : NULL) < 1.0)
            continue;
        snprintf(text, cap, "option %" PRId64 " has the price %.12g, the formula gives %.12g%s", i,
                 c->prices[i], price(v), known != NULL ? " (and the file a reference)" : "");
        free(t.rows);
        return 1;
    }
    free(t.rows);
    snprintf(text, cap,
             "%" PRId64 " prices as by erfc(); %" PRId64
             " have a reference and are within %g of it",
             c->n, n_references, MOST_REFERENCE);
    return 0;
}

const struct fmk_kernel fmk_kernel_blackscholes = {
    .name = "blackscholes",
    .summary = "prices of European calls and puts by the formula of Black and Scholes",
    .source = "Black, Scholes 1973; Merton 1973; as a benchmark Bienia et al. (PARSEC), 2008",
    .cost = "280 flop and 64 bytes per option; all options cost the same",
    .result = "f8: price of the option [money]",
    .n_columns = 1,
    .grain = 1024,
    .columns = {{.name =
                     "options (spot, strike, rate, dividend, volatility, years, 1 call or -1 put)",
                 .dtype = FM_F64,
                 .row_ndim = 1,
                 .row_shape = {FMK_OPTION_VALUES}}},
    .params = {{"n", "4000000", "options of the default input: those of the file, repeated"},
               {"data", "", "file with options and reference prices; empty: the 1,000 shipped"}},
    .range = fmk_blackscholes_range,
    .default_input = open_options,
    .bind = bind,
    .verify = verify,
};
