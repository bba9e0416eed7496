/* SPDX-License-Identifier: MIT */
/*
 * The header of a .npy file, read. Strict: this grammar and nothing else of Python, and nothing is evaluated.
 *
 *   header  = "{" [ pair { "," pair } [ "," ] ] "}" blanks      each of the three keys once
 *   pair    = "'descr'" ":" descr | "'fortran_order'" ":" ( "True" | "False" ) | "'shape'" ":" tuple
 *   descr   = string | "[" [ field { "," field } [ "," ] ] "]" | "(" descr "," lengths ")"
 *   field   = "(" name "," descr [ "," lengths ] [ "," ] ")"
 *   name    = string | "(" string "," string [ "," ] ")"        title and name
 *   lengths = number | tuple
 *   tuple   = "(" [ number "," { number "," } [ number ] ] ")"
 */
#include "npy_header.h"
#include "dtype.h"
#include "error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 16 };   /* of nested records */
enum { MAX_LENGTHS = 64 }; /* axes that NumPy 2 knows */

struct reader {
    const char *path, *text;
    size_t n, at;
    uint64_t base;
};

/* What a descr describes. Records are bytes; only a plain number keeps its kind and byte order. */
struct element {
    uint64_t bytes;
    size_t swap_unit;
    char kind;
};

struct lengths {
    int64_t length[MAX_LENGTHS];
    int n;
};

__attribute__((format(printf, 4, 5))) static int fail(const struct reader *r, int code, size_t at,
                                                      const char *format, ...)
{
    char reason[160];
    va_list values;
    va_start(values, format);
    vsnprintf(reason, sizeof reason, format, values);
    va_end(values);
    return fmi_error(code, "%s: offset %" PRIu64 ": %s", r->path, r->base + at, reason);
}

/* The next character that is no blank, without passing it; 0 at the end. */
static char peek(struct reader *r)
{
    while (r->at < r->n && memchr(" \t\r\n\f\v", r->text[r->at], 6) != NULL)
        r->at++;
    return r->at < r->n ? r->text[r->at] : '\0';
}

static int accept(struct reader *r, char wanted)
{
    if (peek(r) != wanted || r->at >= r->n)
        return 0;
    r->at++;
    return 1;
}

static int expect(struct reader *r, char wanted, const char *where)
{
    if (accept(r, wanted))
        return 0;
    if (r->at >= r->n)
        return fail(r, FM_EFORMAT, r->at, "the header ends where '%c' is due %s", wanted, where);
    return fail(r, FM_EFORMAT, r->at, "'%c' is due %s", wanted, where);
}

/* A string in either quote; the first cap - 1 bytes go to `text`. Python 2 puts 'u' or 'b' in front. */
static int read_string(struct reader *r, char *text, size_t cap, size_t *n)
{
    *n = 0;
    char c = peek(r);
    if ((c == 'u' || c == 'b') && r->at + 1 < r->n)
        c = r->text[++r->at];
    size_t begin = r->at;
    if ((c != '\'' && c != '"') || r->at >= r->n)
        return fail(r, FM_EFORMAT, begin, "a string is due");
    for (r->at++; r->at < r->n; r->at++) {
        if (r->text[r->at] == c) {
            r->at++;
            text[*n < cap ? *n : cap - 1] = '\0';
            return 0;
        }
        if (r->text[r->at] == '\\' && r->at + 1 < r->n)
            r->at++; /* what follows cannot end the string; no name is compared by what an escape means */
        if (*n < cap - 1)
            text[*n] = r->text[r->at];
        *n += 1;
    }
    return fail(r, FM_EFORMAT, begin, "a string without end");
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int read_number(struct reader *r, int64_t *out)
{
    if (peek(r) == '-')
        return fail(r, FM_EFORMAT, r->at, "a negative length");
    size_t begin = r->at;
    *out = 0;
    for (; r->at < r->n && is_digit(r->text[r->at]); r->at++)
        if (__builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, r->text[r->at] - '0', out))
            return fail(r, -EOVERFLOW, begin, "a length above 2^63 - 1");
    if (r->at == begin && begin >= r->n)
        return fail(r, FM_EFORMAT, begin, "the header ends where a length is due");
    if (r->at == begin || (r->text[begin] == '0' && r->at > begin + 1))
        return fail(r, FM_EFORMAT, begin, "a length is due");
    if (r->at < r->n && r->text[r->at] == 'L') /* Python 2 */
        r->at++;
    return 0;
}

static int read_tuple(struct reader *r, struct lengths *out)
{
    out->n = 0;
    size_t begin = r->at;
    int has_comma = 0;
    int code = expect(r, '(', "before the lengths");
    while (code == 0 && !accept(r, ')')) {
        if (out->n > 0 && !has_comma)
            return fail(r, FM_EFORMAT, r->at, "',' or ')' is due after a length");
        if (out->n == MAX_LENGTHS)
            return fail(r, FM_EFORMAT, begin, "more than %d axes", MAX_LENGTHS);
        code = read_number(r, &out->length[out->n++]);
        has_comma = code == 0 && accept(r, ',');
    }
    if (code == 0 && out->n == 1 && !has_comma)
        return fail(r, FM_EFORMAT, begin, "a number in parentheses is no tuple; (n,) is");
    return code;
}

static int read_lengths(struct reader *r, struct lengths *out)
{
    if (!is_digit(peek(r)))
        return read_tuple(r, out);
    out->n = 1;
    return read_number(r, &out->length[0]);
}

/* "<f8", "|S5", ">M8[ns]": order, kind, size, unit. */
static int parse_type(const struct reader *r, size_t at, const char *text, struct element *out)
{
    int is_big = text[0] == '>';
    const char *p = text + (text[0] != '\0' && strchr("<>=|", text[0]) != NULL);
    char kind = *p == '\0' ? '\0' : *p++;
    if (kind == 'O')
        return fail(r, FM_EFORMAT, at, "Python objects cannot be loaded");
    uint64_t size = 0;
    int n_digits = 0;
    for (; is_digit(*p) && n_digits < 10; p++, n_digits++)
        size = size * 10 + (uint64_t)(*p - '0');
    if (kind == '?' && n_digits == 0) {
        kind = 'b';
        n_digits = 1;
        size = 1;
    }
    int has_unit = (kind == 'm' || kind == 'M') && *p == '[' && strchr(p, ']') == p + strlen(p) - 1;
    if (kind == '\0' || strchr("biufcmMSaUV", kind) == NULL || n_digits == 0 ||
        (*p != '\0' && !has_unit))
        return fail(r, FM_EFORMAT, at, "'%s' is no element type", text);
    out->kind = kind;
    out->bytes = kind == 'U' ? 4 * size : size; /* characters of 4 bytes */
    out->swap_unit = kind == 'U' ? 4 : kind == 'c' ? (size_t)size / 2 : (size_t)size;
    if (strchr("SaV", kind) != NULL || is_big == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ||
        text[0] == '=' || text[0] == '|')
        out->swap_unit = 1;
    return 0;
}

static int multiply(const struct reader *r, size_t at, const struct lengths *lengths,
                    struct element *out)
{
    for (int i = 0; i < lengths->n; i++)
        if (__builtin_mul_overflow(out->bytes, (uint64_t)lengths->length[i], &out->bytes))
            return fail(r, -EOVERFLOW, at, "a field of more than 2^64 bytes");
    out->kind = 'V';
    out->swap_unit = 1;
    return 0;
}

static int read_descr(struct reader *r, int depth, struct element *out);

static int read_name(struct reader *r)
{
    char ignored[2];
    size_t n;
    if (!accept(r, '('))
        return read_string(r, ignored, sizeof ignored, &n);
    int code = read_string(r, ignored, sizeof ignored, &n);
    if (code == 0)
        code = expect(r, ',', "after a title");
    if (code == 0)
        code = read_string(r, ignored, sizeof ignored, &n);
    accept(r, ',');
    return code != 0 ? code : expect(r, ')', "after a title and name");
}

static int read_field(struct reader *r, int depth, struct element *out)
{
    struct lengths lengths;
    size_t begin = r->at;
    int code = expect(r, '(', "before a field");
    if (code == 0)
        code = read_name(r);
    if (code == 0)
        code = expect(r, ',', "after a field's name");
    if (code == 0)
        code = read_descr(r, depth, out);
    if (code == 0 && accept(r, ',') && peek(r) != ')') {
        code = read_lengths(r, &lengths);
        if (code == 0)
            code = multiply(r, begin, &lengths, out);
        accept(r, ',');
    }
    return code != 0 ? code : expect(r, ')', "after a field");
}

/* Offsets of fields do not matter: NumPy writes gaps as fields without a name, so sizes add up. */
static int read_record(struct reader *r, int depth, struct element *out)
{
    *out = (struct element){.kind = 'V', .swap_unit = 1};
    size_t begin = r->at;
    int code = expect(r, '[', "before the fields");
    int has_comma = 1;
    while (code == 0 && !accept(r, ']')) {
        struct element field = {0};
        if (!has_comma)
            return fail(r, FM_EFORMAT, r->at, "',' or ']' is due after a field");
        code = read_field(r, depth, &field);
        if (code == 0 && __builtin_add_overflow(out->bytes, field.bytes, &out->bytes))
            return fail(r, -EOVERFLOW, begin, "a record of more than 2^64 bytes");
        has_comma = code == 0 && accept(r, ',');
    }
    return code;
}

static int read_descr(struct reader *r, int depth, struct element *out)
{
    struct lengths lengths;
    char c = peek(r);
    size_t begin = r->at;
    if (depth >= MAX_DEPTH)
        return fail(r, FM_EFORMAT, begin, "records nested more than %d deep", MAX_DEPTH);
    if (c == '[')
        return read_record(r, depth + 1, out);
    if (c != '(') {
        char text[32];
        size_t n;
        int code = read_string(r, text, sizeof text, &n);
        return code != 0 ? code : parse_type(r, begin, text, out);
    }
    r->at++;
    int code = read_descr(r, depth + 1, out);
    if (code == 0)
        code = expect(r, ',', "after an element type");
    if (code == 0)
        code = read_lengths(r, &lengths);
    if (code == 0)
        code = multiply(r, begin, &lengths, out);
    accept(r, ',');
    return code != 0 ? code : expect(r, ')', "after lengths");
}

static int read_dtype(struct reader *r, struct fmi_infile_layout *out)
{
    struct element e = {0};
    peek(r);
    size_t begin = r->at;
    int code = read_descr(r, 0, &e);
    if (code != 0)
        return code;
    if (e.kind == 'm' || e.kind == 'M')
        return fail(r, FM_EFORMAT, begin, "times are not supported; save them with .view('i8')");
    if (e.kind == 'f' && (e.bytes == 2 || e.bytes > 8))
        return fail(r, FM_EFORMAT, begin,
                    "floats of %" PRIu64 " bytes; save them with .astype('f8')", e.bytes);
    out->dtype = fmi_dtype_of(strchr("SaU", e.kind) != NULL ? 'V' : e.kind, e.bytes);
    out->swap_unit = e.swap_unit;
    if (out->dtype == 0)
        return fail(r, FM_EFORMAT, begin, "no element type has kind '%c' and %" PRIu64 " bytes",
                    e.kind, e.bytes);
    return 0;
}

static int read_order(struct reader *r, struct fmi_infile_layout *out)
{
    char c = peek(r);
    const char *word = c == 'T' ? "True" : "False";
    size_t n = strlen(word), end = r->at + n;
    if (r->n - r->at < n || memcmp(r->text + r->at, word, n) != 0 ||
        (end < r->n && memchr(" \t\r\n\f\v,}", r->text[end], 8) == NULL))
        return fail(r, FM_EFORMAT, r->at, "True or False is due");
    r->at = end;
    out->order = c == 'T' ? FM_ORDER_F : FM_ORDER_C;
    return 0;
}

static int read_shape(struct reader *r, struct fmi_infile_layout *out)
{
    struct lengths lengths;
    peek(r);
    size_t begin = r->at;
    int code = read_tuple(r, &lengths);
    if (code != 0)
        return code;
    if (lengths.n > FM_MAX_DIMS)
        return fail(r, FM_EFORMAT, begin, "%d axes; at most %d are supported", lengths.n,
                    FM_MAX_DIMS);
    if (lengths.n == 0) /* a single number becomes one row */
        lengths.length[lengths.n++] = 1;
    out->ndim = lengths.n;
    memcpy(out->shape, lengths.length, (size_t)lengths.n * sizeof lengths.length[0]);
    return 0;
}

static int read_pair(struct reader *r, unsigned *seen, struct fmi_infile_layout *out)
{
    static const struct {
        const char *name;
        int (*read)(struct reader *, struct fmi_infile_layout *);
    } keys[] = {{"descr", read_dtype}, {"fortran_order", read_order}, {"shape", read_shape}};
    char name[16];
    size_t n, begin = r->at;
    int code = read_string(r, name, sizeof name, &n);
    if (code != 0)
        return code;
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(name, keys[i].name) != 0 || n != strlen(keys[i].name))
            continue;
        if (*seen & 1u << i)
            return fail(r, FM_EFORMAT, begin, "key '%s' for the second time", name);
        *seen |= 1u << i;
        code = expect(r, ':', "after a key");
        return code != 0 ? code : keys[i].read(r, out);
    }
    return fail(r, FM_EFORMAT, begin, "key '%s' is not of this format", name);
}

int fmi_npy_parse(const char *path, const char *text, size_t n, uint64_t base,
                  struct fmi_infile_layout *out)
{
    struct reader r = {.path = path, .text = text, .n = n, .base = base};
    unsigned seen = 0;
    int code = expect(&r, '{', "at the begin of the header");
    int has_comma = 1;
    while (code == 0 && !accept(&r, '}')) {
        if (!has_comma)
            return fail(&r, FM_EFORMAT, r.at, "',' or '}' is due after a value");
        code = read_pair(&r, &seen, out);
        has_comma = code == 0 && accept(&r, ',');
    }
    if (code != 0)
        return code;
    if (peek(&r) != '\0' || r.at < r.n)
        return fail(&r, FM_EFORMAT, r.at, "something follows the header's end");
    if (seen != 7)
        return fail(&r, FM_EFORMAT, 0, "key '%s' is missing",
                    !(seen & 1)   ? "descr"
                    : !(seen & 2) ? "fortran_order"
                                  : "shape");
    return 0;
}
