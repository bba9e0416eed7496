/* SPDX-License-Identifier: MIT */
/* Fields of a CSV file. The NUL behind a block ends every scan, so that no byte needs a comparison with the end. */
#include "csv_text.h"

#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* "PATH: line L, column C (NAME): " */
static void place_error(struct fmc_csv_text *t, int64_t line, int column)
{
    struct fmc_trouble *e = t->error;
    const char *name = column > 0 && column <= t->n_names ? t->names[column - 1] : NULL;
    if (column == 0)
        snprintf(e->text, sizeof e->text, "%.120s: line %" PRId64 ": ", t->path, line);
    else if (name == NULL)
        snprintf(e->text, sizeof e->text, "%.120s: line %" PRId64 ", column %d: ", t->path, line,
                 column);
    else
        snprintf(e->text, sizeof e->text, "%.120s: line %" PRId64 ", column %d (%.80s): ", t->path,
                 line, column, name);
}

int fmc_csv_text_fail(struct fmc_csv_text *t, int64_t line, int column, const char *remedy,
                      const char *format, ...)
{
    struct fmc_trouble *e = t->error;
    va_list values;
    place_error(t, line, column);
    const size_t used = strlen(e->text);
    va_start(values, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang-tidy 14 does not see va_start */
    vsnprintf(e->text + used, sizeof e->text - used, format, values);
    va_end(values);
    for (char *p = e->text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f) /* the file's bytes are not for the terminal */
            *p = '?';
    snprintf(e->remedy, sizeof e->remedy, "%s", remedy != NULL ? remedy : "");
    e->exit_code = FMC_ENVIRONMENT;
    return e->exit_code;
}

/* Something that no line is to blame for. */
static int fail_whole(struct fmc_csv_text *t, const char *remedy, const char *reason)
{
    t->error->exit_code = FMC_ENVIRONMENT;
    snprintf(t->error->text, sizeof t->error->text, "%.200s: %s", t->path, reason);
    snprintf(t->error->remedy, sizeof t->error->remedy, "%s", remedy != NULL ? remedy : "");
    return FMC_ENVIRONMENT;
}

static ssize_t read_at(int fd, char *to, size_t bytes, off_t at)
{
    ssize_t n;
    do {
        n = pread(fd, to, bytes, at);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Keeps what is left, and reads behind it. *p is a pointer into the block that moves along. */
static int refill(struct fmc_csv_text *t, char **p)
{
    const size_t left = (size_t)(t->end - t->at), passed = (size_t)(*p - t->at);
    if (left == FMC_CSV_BLOCK_BYTES)
        return fmc_csv_text_fail(t, t->line, t->column, "is a quote missing, or the end of a line?",
                                 "a field of more than %d bytes", FMC_CSV_BLOCK_BYTES);
    memmove(t->block, t->at, left);
    const ssize_t n = read_at(t->fd, t->block + left, FMC_CSV_BLOCK_BYTES - left, t->offset);
    if (n < 0)
        return fail_whole(t, NULL, strerror(errno));
    t->at = t->block;
    *p = t->at + passed;
    t->end = t->block + left + n;
    *t->end = '\0';
    t->offset += n;
    t->at_end = n == 0;
    return FMC_DONE;
}

/* Sees to it that a byte, or the end of the file, is at *p. */
static int look(struct fmc_csv_text *t, char **p)
{
    return *p < t->end || t->at_end ? FMC_DONE : refill(t, p);
}

int fmc_csv_text_open(struct fmc_csv_text *t, int fd, const char *path, struct fmc_trouble *error)
{
    *t = (struct fmc_csv_text){.fd = fd, .path = path, .error = error, .line = 1, .column = 1};
    t->block = malloc(FMC_CSV_BLOCK_BYTES + 1);
    if (t->block == NULL)
        return fail_whole(t, NULL, "no memory to read it");
    t->at = t->end = t->block;
    const int rc = refill(t, &t->at);
    if (rc != FMC_DONE)
        return rc;
    if (t->at == t->end)
        return fail_whole(t, "a CSV file begins with a line of column names", "the file is empty");
    if (t->end - t->at >= 2 &&
        (memcmp(t->at, "\xff\xfe", 2) == 0 || memcmp(t->at, "\xfe\xff", 2) == 0))
        return fail_whole(t, "convert it, as in: iconv -f UTF-16 -t UTF-8 x.csv >y.csv",
                          "this is UTF-16 text; CSV is read as UTF-8");
    if (t->end - t->at >= 3 && memcmp(t->at, "\xef\xbb\xbf", 3) == 0)
        t->at += 3;
    return FMC_DONE;
}

void fmc_csv_text_close(struct fmc_csv_text *t)
{
    free(t->block);
    t->block = NULL;
}

/* Separators of the first line outside of quotes, as far as it is in the block. */
static void count_separators(const struct fmc_csv_text *t, const char *known, int64_t *counts)
{
    int quoted = 0;
    for (const char *p = t->at; p < t->end && (quoted || *p != '\n'); p++) {
        const char *found = *p != '\0' ? strchr(known, *p) : NULL;
        if (*p == '"')
            quoted = !quoted;
        else if (!quoted && found != NULL)
            counts[found - known]++;
    }
}

int fmc_csv_text_separate(struct fmc_csv_text *t, char separator)
{
    static const char known[] = ",;\t";
    int64_t counts[3] = {0};
    t->separator = separator;
    if (separator == '\0') {
        count_separators(t, known, counts);
        if ((counts[0] > 0) + (counts[1] > 0) + (counts[2] > 0) > 1)
            return fmc_csv_text_fail(t, t->line, 0,
                                     "say which it is: csv:comma:PATH, csv:semicolon:PATH or "
                                     "csv:tab:PATH",
                                     "the columns may be separated by %s",
                                     counts[0] == 0   ? "semicolons or tabs"
                                     : counts[1] == 0 ? "commas or tabs"
                                     : counts[2] == 0 ? "commas or semicolons"
                                                      : "commas, semicolons or tabs");
        t->separator = counts[1] > 0 ? ';' : counts[2] > 0 ? '\t' : ',';
    }
    t->ends['\0'] = t->ends['\n'] = t->ends[(unsigned char)t->separator] = 1;
    return FMC_DONE;
}

struct fmc_csv_place fmc_csv_text_place(const struct fmc_csv_text *t)
{
    return (struct fmc_csv_place){.offset = t->offset - (t->end - t->at), .line = t->line};
}

void fmc_csv_text_go(struct fmc_csv_text *t, struct fmc_csv_place place)
{
    t->offset = place.offset;
    t->line = place.line;
    t->at = t->end = t->block;
    *t->end = '\0';
    t->at_end = 0;
}

int fmc_csv_text_next_record(struct fmc_csv_text *t, int *more)
{
    for (;;) {
        if (t->end - t->at < 2 && !t->at_end) {
            const int rc = refill(t, &t->at);
            if (rc != FMC_DONE)
                return rc;
            if (t->end - t->at < 2 && !t->at_end)
                continue;
        }
        const int is_crlf = t->at[0] == '\r' && t->at + 1 < t->end && t->at[1] == '\n';
        if (t->at == t->end || (*t->at != '\n' && !is_crlf))
            break;
        t->at += 1 + is_crlf;
        t->line++;
    }
    *more = t->at < t->end;
    t->column = 1;
    return FMC_DONE;
}

/* What ends the field at p: the next one begins behind it. */
static int end_field(struct fmc_csv_text *t, struct fmc_csv_field *field, char *p)
{
    field->is_last = 1;
    if (p < t->end) {
        field->is_last = *p == '\n';
        t->line += field->is_last;
        p++;
    }
    t->at = p;
    t->column++;
    return FMC_DONE;
}

static int read_plain(struct fmc_csv_text *t, struct fmc_csv_field *field)
{
    char *p = t->at;
    for (;;) {
        while (!t->ends[(unsigned char)*p])
            p++;
        if (p < t->end && *p == '\0')
            return fmc_csv_text_fail(t, t->line, t->column, "is it a text file?",
                                     "a NUL byte at byte %" PRId64 " of the file",
                                     (int64_t)(t->offset - (t->end - p)));
        if (p < t->end || t->at_end)
            break;
        const int rc = refill(t, &p);
        if (rc != FMC_DONE)
            return rc;
    }
    *field = (struct fmc_csv_field){.text = t->at, .n = (size_t)(p - t->at)};
    if (field->n > 0 && p[-1] == '\r' && (p == t->end || *p == '\n'))
        field->n--;
    if (memchr(field->text, '\r', field->n) != NULL)
        return fmc_csv_text_fail(t, t->line, t->column,
                                 "lines end with LF or CRLF; for those of an old Mac: tr '\\r' "
                                 "'\\n' <x.csv >y.csv",
                                 "a carriage return inside the field");
    return end_field(t, field, p);
}

/* The line end that a quoted field may have behind it. */
static int end_quoted(struct fmc_csv_text *t, struct fmc_csv_field *field, char *p)
{
    int rc = look(t, &p);
    if (rc == FMC_DONE && p < t->end && *p == '\r') {
        p++;
        rc = look(t, &p);
        if (rc == FMC_DONE && p < t->end && *p != '\n')
            p--;
    }
    if (rc != FMC_DONE)
        return rc;
    field->text = t->at + 1; /* the block may have moved */
    if (p < t->end && (*p == '\0' || !t->ends[(unsigned char)*p]))
        return fmc_csv_text_fail(t, t->line, t->column,
                                 "a quote inside a quoted field is doubled: \"5\"\" pipe\"",
                                 "something follows the closing quote");
    return end_field(t, field, p);
}

static int read_quoted(struct fmc_csv_text *t, struct fmc_csv_field *field)
{
    const int64_t first_line = t->line;
    char *p = t->at + 1;
    for (;;) {
        int rc = look(t, &p);
        if (rc != FMC_DONE)
            return rc;
        if (p == t->end)
            return fmc_csv_text_fail(t, first_line, t->column, "add the closing quote",
                                     "the quote that opens the field is never closed");
        if (*p == '\n')
            t->line++;
        if (*p++ != '"')
            continue;
        rc = look(t, &p);
        if (rc != FMC_DONE)
            return rc;
        if (p == t->end || *p != '"')
            break;
        p++;
    }
    *field = (struct fmc_csv_field){.quoted = 1, .n = (size_t)(p - t->at) - 2};
    return end_quoted(t, field, p);
}

int fmc_csv_text_next_field(struct fmc_csv_text *t, struct fmc_csv_field *field)
{
    const int rc = look(t, &t->at);
    if (rc != FMC_DONE)
        return rc;
    return *t->at == '"' ? read_quoted(t, field) : read_plain(t, field);
}

int fmc_csv_text_count_lines(struct fmc_csv_text *t, int64_t *n)
{
    char *block = malloc(FMC_CSV_BLOCK_BYTES);
    off_t at = 0;
    ssize_t got;
    *n = 1; /* the last one may lack its end */
    if (block == NULL)
        return fail_whole(t, NULL, "no memory to read it");
    while ((got = read_at(t->fd, block, FMC_CSV_BLOCK_BYTES, at)) > 0) {
        for (const char *p = block; (p = memchr(p, '\n', (size_t)(block + got - p))) != NULL; p++)
            ++*n;
        at += got;
    }
    const int error = errno;
    free(block);
    return got < 0 ? fail_whole(t, NULL, strerror(error)) : FMC_DONE;
}
