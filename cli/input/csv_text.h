/* SPDX-License-Identifier: MIT */
#ifndef FMC_CSV_TEXT_H
#define FMC_CSV_TEXT_H

/*
 * The text of a CSV file, field by field (RFC 4180): fields between separators, in quotes where they hold separators, quotes
 * (doubled) or line ends; lines that end with LF or CRLF; a UTF-8 byte order mark is passed over. The file is read once, a
 * block at a time; a field may be as long as a block.
 */

#include "trouble.h"

#include <stdint.h>
#include <sys/types.h>

enum { FMC_CSV_BLOCK_BYTES = 1 << 20 };

struct fmc_csv_text {
    int fd;
    const char *path; /* for messages */
    struct fmc_trouble *error;
    char *block;             /* of FMC_CSV_BLOCK_BYTES + 1: a NUL stands behind what was read */
    char *at, *end;          /* what is left of it */
    off_t offset;            /* of `end` in the file */
    int at_end;              /* nothing follows `end` */
    int64_t line;            /* of `at`, from 1 */
    int column;              /* of the next field, from 1 */
    char *const *names;      /* of the columns, for messages; NULL: not known */
    int n_names;             /* how many of them */
    unsigned char ends[256]; /* 1: the byte may end a field without quotes */
    char separator;
};

struct fmc_csv_field {
    const char *text; /* valid until the next read; quotes inside stay doubled */
    size_t n;
    int quoted;
    int is_last; /* of its record */
};

/* `fd` is a regular file, and stays the caller's. 0, or an exit code with *error filled. Close it in any case. */
int fmc_csv_text_open(struct fmc_csv_text *t, int fd, const char *path, struct fmc_trouble *error);
void fmc_csv_text_close(struct fmc_csv_text *t);

/*
 * Sets the separator, or finds it if `separator` is 0: the one of comma, semicolon and tab that the first line has. A line
 * with none of them has one column. Two of them: an error, the user must say which.
 */
int fmc_csv_text_separate(struct fmc_csv_text *t, char separator);

/* A place to go back to, at the begin of a record. */
struct fmc_csv_place {
    off_t offset;
    int64_t line;
};
struct fmc_csv_place fmc_csv_text_place(const struct fmc_csv_text *t);
void fmc_csv_text_go(struct fmc_csv_text *t, struct fmc_csv_place place);

/* Passes empty lines. *more: 0 at the end of the file, else 1 and the next field is the first one of a record. */
int fmc_csv_text_next_record(struct fmc_csv_text *t, int *more);

int fmc_csv_text_next_field(struct fmc_csv_text *t, struct fmc_csv_field *field);

/* Lines of the file, read apart: an upper bound of its records. */
int fmc_csv_text_count_lines(struct fmc_csv_text *t, int64_t *n);

/* Fills the error: "PATH: line L, column C (NAME): ...". Returns FMC_ENVIRONMENT. `column` 0: the line only. */
int fmc_csv_text_fail(struct fmc_csv_text *t, int64_t line, int column, const char *remedy,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));

#endif
