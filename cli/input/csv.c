/* SPDX-License-Identifier: MIT */
/*
 * CSV to array. The lines are counted first, since that is fast and bounds the rows: the numbers then go straight into the
 * array, and what blank lines and skipped rows left over is cut off by a view.
 */
#include "csv.h"

#include "names.h"
#include "number.h"
#include "say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct csv {
    struct fmc_csv_text text;
    const struct fmc_csv_options *options;
    char **names;  /* of the columns; NULL without a header */
    int n_columns; /* in the file */
    int *slots;    /* per column: its place in a row of the array, -1: not taken */
    int n_slots;
    double *rows; /* of the array */
    int64_t n_rows, max_rows;
};

static int fail(struct csv *c, int exit_code, const char *remedy, const char *reason)
{
    struct fmc_trouble *e = c->text.error;
    e->exit_code = exit_code;
    snprintf(e->text, sizeof e->text, "%.200s: %.300s", c->text.path, reason);
    snprintf(e->remedy, sizeof e->remedy, "%.500s", remedy != NULL ? remedy : "");
    return exit_code;
}

static int fail_memory(struct csv *c)
{
    return fail(c, FMC_ENVIRONMENT, NULL, "no memory to read it");
}

static int is_blank(const struct csv *c, char byte)
{
    return byte == ' ' || (byte == '\t' && c->text.separator != '\t');
}

static void trim(const struct csv *c, struct fmc_csv_field *f)
{
    while (f->n > 0 && is_blank(c, f->text[0])) {
        f->text++;
        f->n--;
    }
    while (f->n > 0 && is_blank(c, f->text[f->n - 1]))
        f->n--;
}

/* ---- columns ---- */

static char *copy_name(const struct csv *c, struct fmc_csv_field field)
{
    if (!field.quoted)
        trim(c, &field);
    char *name = malloc(field.n + 1), *to = name;
    for (size_t i = 0; name != NULL && i < field.n; i++) {
        *to++ = field.text[i];
        if (field.quoted && field.text[i] == '"')
            i++; /* doubled */
    }
    if (name != NULL)
        *to = '\0';
    return name;
}

static int is_number(const struct csv *c, struct fmc_csv_field field)
{
    double ignored;
    trim(c, &field);
    return fmc_number_read(field.text, field.n, &ignored) != FMC_NUMBER_NONE;
}

static int add_name(struct csv *c, const struct fmc_csv_field *field)
{
    const size_t n = (size_t)c->n_columns;
    if ((n & (n - 1)) == 0) { /* full at each power of two */
        char **more = realloc(c->names, 2 * (n + 1) * sizeof *more);
        if (more == NULL)
            return fail_memory(c);
        c->names = more;
    }
    c->names[n] = copy_name(c, *field);
    if (c->names[n] == NULL)
        return fail_memory(c);
    c->n_columns++;
    return FMC_DONE;
}

static int read_header(struct csv *c)
{
    struct fmc_csv_field field = {0};
    const int64_t line = c->text.line;
    int rc = FMC_DONE, n_numbers = 0;
    while (rc == FMC_DONE && !field.is_last) {
        rc = fmc_csv_text_next_field(&c->text, &field);
        if (rc == FMC_DONE)
            rc = add_name(c, &field);
        if (rc == FMC_DONE)
            n_numbers += is_number(c, field);
    }
    if (rc != FMC_DONE)
        return rc;
    if (n_numbers == c->n_columns)
        return fmc_csv_text_fail(&c->text, line, 0,
                                 "if it is a row, and there are no names: csv:noheader:PATH",
                                 "numbers where the names of the columns belong");
    c->text.names = c->names;
    c->text.n_names = c->n_columns;
    return FMC_DONE;
}

/* Without a header the first row says how many columns there are. */
static int count_columns(struct csv *c)
{
    struct fmc_csv_field field = {0};
    const struct fmc_csv_place begin = fmc_csv_text_place(&c->text);
    int rc = FMC_DONE;
    while (rc == FMC_DONE && !field.is_last) {
        rc = fmc_csv_text_next_field(&c->text, &field);
        c->n_columns++;
    }
    fmc_csv_text_go(&c->text, begin);
    return rc;
}

static int find_columns(struct csv *c)
{
    int more;
    int rc = fmc_csv_text_next_record(&c->text, &more);
    if (rc == FMC_DONE && !more)
        rc = fail(c, FMC_ENVIRONMENT, "a CSV file begins with a line of column names",
                  "there are only empty lines");
    if (rc == FMC_DONE)
        rc = fmc_csv_text_separate(&c->text, c->options->separator);
    if (rc == FMC_DONE)
        rc = c->options->no_header ? count_columns(c) : read_header(c);
    if (rc != FMC_DONE)
        return rc;
    c->slots = malloc((size_t)c->n_columns * sizeof *c->slots);
    for (int i = 0; c->slots != NULL && i < c->n_columns; i++)
        c->slots[i] = -1;
    return c->slots != NULL ? FMC_DONE : fail_memory(c);
}

/* ---- which of them ---- */

/* "columns: a, b, c", cut where it gets long. */
static void list_names(const struct csv *c, char *text, size_t cap)
{
    size_t used = (size_t)snprintf(text, cap, "its columns are ");
    for (int i = 0; i < c->n_columns; i++) {
        if (used + strlen(c->names[i]) + 12 > cap) {
            snprintf(text + used, cap - used, ", ...");
            return;
        }
        used += (size_t)snprintf(text + used, cap - used, "%s%s", i > 0 ? ", " : "", c->names[i]);
    }
}

static int fail_choice(struct csv *c, const char *name)
{
    char reason[200], list[400];
    if (c->names == NULL) {
        snprintf(list, sizeof list, "without names they are numbers, 0 to %d", c->n_columns - 1);
        snprintf(reason, sizeof reason, "no column '%.100s'", name);
        return fail(c, FMC_USAGE, list, reason);
    }
    const char *near = fmc_names_nearest(name, (const char *const *)c->names, c->n_columns);
    list_names(c, list, sizeof list);
    snprintf(reason, sizeof reason, "no column '%.80s'%s%.80s%s", name,
             near != NULL ? "; did you mean " : "", near != NULL ? near : "",
             near != NULL ? "?" : "");
    return fail(c, FMC_USAGE, list, reason);
}

static int find_column(struct csv *c, const char *name, int *column)
{
    *column = -1;
    if (c->names == NULL) {
        char *end;
        const long i = strtol(name, &end, 10);
        if (*name >= '0' && *name <= '9' && *end == '\0' && i < c->n_columns)
            *column = (int)i;
    }
    for (int i = 0; c->names != NULL && i < c->n_columns; i++) {
        if (strcmp(c->names[i], name) != 0)
            continue;
        if (*column >= 0) {
            char reason[200];
            snprintf(reason, sizeof reason, "columns %d and %d are both called '%.100s'",
                     *column + 1, i + 1, name);
            return fail(c, FMC_ENVIRONMENT, "rename one of them in the first line", reason);
        }
        *column = i;
    }
    return *column >= 0 ? FMC_DONE : fail_choice(c, name);
}

static int choose_one(struct csv *c, const char *name)
{
    int column;
    const int rc = find_column(c, name, &column);
    if (rc != FMC_DONE)
        return rc;
    if (c->slots[column] >= 0) {
        char reason[200];
        snprintf(reason, sizeof reason, "--columns names '%.100s' twice", name);
        return fail(c, FMC_USAGE, "each column can be taken once", reason);
    }
    c->slots[column] = c->n_slots++;
    return FMC_DONE;
}

static int choose_named(struct csv *c)
{
    char *names = strdup(c->options->choice), *rest = names, *name;
    int rc = names != NULL ? FMC_DONE : fail_memory(c);
    while (rc == FMC_DONE && (name = strsep(&rest, ",")) != NULL)
        rc = choose_one(c, name);
    free(names);
    return rc;
}

/* Nobody should take a column for read that was not. */
static void note_ignored(struct csv *c)
{
    char *note = c->text.error->note;
    const size_t cap = sizeof c->text.error->note;
    size_t used = 0;
    for (int i = 0; i < c->n_columns && used + 120 < cap; i++) {
        if (c->slots[i] >= 0)
            continue;
        if (used == 0)
            used = (size_t)snprintf(
                note, cap, "%.120s: left out, not numbers in the first row: ", c->text.path);
        else
            used += (size_t)snprintf(note + used, cap - used, ", ");
        if (c->names == NULL)
            used += (size_t)snprintf(note + used, cap - used, "column %d", i);
        else
            used += (size_t)snprintf(note + used, cap - used, "%.100s", c->names[i]);
    }
    if (used + 120 >= cap)
        snprintf(note + used, cap - used, ", ...");
}

/* The first row decides; it is read again afterwards. Without rows all columns count. */
static int choose_numeric(struct csv *c)
{
    struct fmc_csv_field field = {0};
    int more;
    int rc = fmc_csv_text_next_record(&c->text, &more);
    const struct fmc_csv_place begin = fmc_csv_text_place(&c->text);
    for (int i = 0; rc == FMC_DONE && i < c->n_columns && !field.is_last; i++) {
        if (more)
            rc = fmc_csv_text_next_field(&c->text, &field);
        if (rc == FMC_DONE && more)
            trim(c, &field);
        if (rc == FMC_DONE && (!more || field.n == 0 || is_number(c, field)))
            c->slots[i] = c->n_slots++;
    }
    if (rc != FMC_DONE)
        return rc;
    if (c->n_slots == 0)
        return fmc_csv_text_fail(&c->text, begin.line, 0, "forkmap reads columns of numbers",
                                 "no column has a number here");
    note_ignored(c);
    fmc_csv_text_go(&c->text, begin);
    return FMC_DONE;
}

/* ---- rows ---- */

static int fail_value(struct csv *c, const struct fmc_csv_field *f, int64_t line, int column)
{
    const char *remedy =
        c->options->choice == NULL
            ? "--columns takes only the columns that are named, as in --columns a,b"
            : NULL;
    if (memchr(f->text, ',', f->n) != NULL)
        remedy = "numbers have a decimal point, and no mark between thousands";
    return fmc_csv_text_fail(&c->text, line, column, remedy, "'%.*s%s' is not a number",
                             f->n > 40 ? 40 : (int)f->n, f->text, f->n > 40 ? "..." : "");
}

/* One field of a row. *skip is set when the row is to be left out. */
static int read_value(struct csv *c, int column, double *row, int *skip,
                      struct fmc_csv_field *field)
{
    const int64_t line = c->text.line;
    const int rc = fmc_csv_text_next_field(&c->text, field);
    if (rc != FMC_DONE || c->slots[column] < 0)
        return rc;
    double *value = &row[c->slots[column]];
    trim(c, field);
    if (field->n == 0 && c->options->missing == FMC_MISSING_SKIP)
        *skip = 1;
    else if (field->n == 0 && c->options->missing == FMC_MISSING_VALUE)
        *value = c->options->value;
    else if (field->n == 0)
        return fmc_csv_text_fail(&c->text, line, column + 1,
                                 "--missing nan, --missing skip or --missing NUMBER says what an "
                                 "empty field means",
                                 "the value is missing");
    else
        switch (fmc_number_read(field->text, field->n, value)) {
        case FMC_NUMBER_NONE:
            return fail_value(c, field, line, column + 1);
        case FMC_NUMBER_LARGE:
            return fmc_csv_text_fail(&c->text, line, column + 1, NULL,
                                     "%.*s is larger than any double",
                                     field->n > 40 ? 40 : (int)field->n, field->text);
        default:
            break;
        }
    return FMC_DONE;
}

static int fail_ragged(struct csv *c, int64_t line, int n_fields)
{
    return fmc_csv_text_fail(
        &c->text, line, 0, "each line has a field for every column, or quotes are missing",
        "%s%d fields, but there are %d columns", n_fields > c->n_columns ? "more than " : "",
        n_fields > c->n_columns ? c->n_columns : n_fields, c->n_columns);
}

static int read_row(struct csv *c)
{
    const int64_t line = c->text.line;
    struct fmc_csv_field field = {0};
    int skip = 0;
    if (c->n_rows == c->max_rows)
        return fail(c, FMC_ENVIRONMENT, "copy it first", "the file grew while it was read");
    double *row = c->rows + c->n_rows * c->n_slots;
    for (int i = 0; !field.is_last; i++) {
        if (i == c->n_columns)
            return fail_ragged(c, line, i + 1);
        const int rc = read_value(c, i, row, &skip, &field);
        if (rc != FMC_DONE)
            return rc;
        if (field.is_last && i + 1 < c->n_columns)
            return fail_ragged(c, line, i + 1);
    }
    c->n_rows += !skip;
    return FMC_DONE;
}

static int read_rows(struct csv *c)
{
    int more = 1;
    int rc = FMC_DONE;
    while (rc == FMC_DONE && more) {
        rc = fmc_csv_text_next_record(&c->text, &more);
        if (rc == FMC_DONE && more)
            rc = read_row(c);
    }
    return rc;
}

static int fail_library(struct csv *c, int code)
{
    char reason[300];
    snprintf(reason, sizeof reason, "%s (%.200s)", fm_strerror(code), fm_error_detail());
    return fail(c, FMC_ENVIRONMENT, NULL, reason);
}

static int fill_array(struct csv *c, fm_array **out)
{
    int rc = fmc_csv_text_count_lines(&c->text, &c->max_rows);
    if (rc != FMC_DONE)
        return rc;
    const int64_t shape[2] = {c->max_rows, c->n_slots};
    fm_array *all, *used;
    int code = fm_array_create(&all, FM_F64, c->n_slots > 1 ? 2 : 1, shape, NULL);
    if (code != 0)
        return fail_library(c, code);
    c->rows = fm_array_data(all);
    rc = read_rows(c);
    if (rc == FMC_DONE) {
        code = fm_array_view(&used, all, (fm_slice[]){{0, c->n_rows, 1}, FM_ALL});
        rc = code == 0 ? FMC_DONE : fail_library(c, code);
    }
    fm_array_destroy(all); /* the view keeps the memory */
    if (rc == FMC_DONE)
        *out = used;
    return rc;
}

int fmc_csv_read(int fd, const char *path, const struct fmc_csv_options *options, fm_array **out,
                 struct fmc_trouble *error)
{
    struct csv c = {.options = options};
    *out = NULL;
    *error = (struct fmc_trouble){0};
    int rc = fmc_csv_text_open(&c.text, fd, path, error);
    if (rc == FMC_DONE)
        rc = find_columns(&c);
    if (rc == FMC_DONE)
        rc = options->choice != NULL ? choose_named(&c) : choose_numeric(&c);
    if (rc == FMC_DONE)
        rc = fill_array(&c, out);
    for (int i = 0; c.names != NULL && i < c.n_columns; i++)
        free(c.names[i]);
    free(c.names);
    free(c.slots);
    fmc_csv_text_close(&c.text);
    return rc;
}
