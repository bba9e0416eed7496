/* SPDX-License-Identifier: MIT */
/* Cuts an expression into tokens, checks them, and finds the elements that it names. */
#include "expr.h"

#include "expr_names.h"
#include "names.h"
#include "say.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONGEST_TEXT 4000 /* compilers lose count of the columns of longer lines */
#define LONGEST_NAME 63
#define DEEPEST      200 /* brackets in brackets; clang allows 256 */

enum kind { END = 1, NAME, NUMBER, WHOLE_NUMBER, OPERATOR, OPEN, CLOSE, SEMICOLON };

struct token {
    enum kind kind;
    int begin, length;
};

struct reader {
    struct fmc_expr *e;
    int n_inputs;
    struct token *tokens; /* the last one is END */
    int n_tokens;
    char *arg_is_used;
};

/* ---- saying what is wrong -------------------------------------------------------------------- */

/* A long text is shown in part. */
#define SHOWN_BEFORE 60
#define SHOWN        100

static char *draw_caret(const char *text, int at, const char *hint)
{
    char *drawing = NULL;
    const int begin = at > SHOWN_BEFORE ? at - SHOWN_BEFORE : 0;
    const char *dots = begin > 0 ? "..." : "";
    const char *more = strlen(text + begin) > SHOWN ? "..." : "";
    const int column = at - begin + (int)strlen(dots);
    const int length = asprintf(&drawing, "%s%.*s%s\n%*s^%s%s", dots, SHOWN, text + begin, more,
                                column, "", hint != NULL ? "\n" : "", hint != NULL ? hint : "");
    return length < 0 ? NULL : drawing;
}

int fmc_expr_refuse(const struct fmc_expr *e, int at, const char *hint, const char *format, ...)
{
    char *what = NULL, *drawing = draw_caret(e->text, at, hint);
    va_list list;
    va_start(list, format);
    const int length = vasprintf(&what, format, list);
    va_end(list);
    fmc_say_error(FMC_USAGE, drawing, "-e: %s", length < 0 ? format : what);
    if (length >= 0)
        free(what);
    free(drawing);
    return FMC_USAGE;
}

static int say_no_memory(void)
{
    return fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static int starts_with(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* What C reads otherwise than it looks, what would leave the expression, and what other languages have. */
static const struct refused {
    const char *begin, *what, *hint;
} refused[] = {
    {"**", "** is no operator of C", "a power is pow(a, b), a square x*x"},
    {"//", "// begins a comment in C", "to divide and round down: floor(a / b)"},
    {"/*", "/* begins a comment in C", "leave a blank between / and *"},
    {"++", "++ changes a variable in C", "leave a blank between + and +"},
    {"--", "-- changes a variable in C", "leave a blank between - and -"},
    {"->", "-> is not for numbers", NULL},
    {"??", "?? has a meaning of its own in C", "leave a blank between them"},
    {"<:", "<: has a meaning of its own in C", "leave a blank between them"},
    {"<%", "<% has a meaning of its own in C", "leave a blank between them"},
    {"%:", "%: has a meaning of its own in C", "leave a blank between them"},
    {"%>", "%> has a meaning of its own in C", "leave a blank between them"},
    {":>", ":> has a meaning of its own in C", "leave a blank between them"},
    {"=", "an expression assigns nothing", "equality is =="},
    {"{", "braces are not for expressions", "several results are separated by semicolons"},
    {"}", "braces are not for expressions", "several results are separated by semicolons"},
    {"\"", "a text is not a number", NULL},
    {"'", "a text is not a number", NULL},
    {".", "this dot is not in a number", "functions stand alone: sqrt(x0)"},
};

static const char *const operators[] = {"<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
                                        "+",  "-",  "*",  "/",  "%",  "<",  ">",  "!",
                                        "~",  "&",  "|",  "^",  "?",  ":",  ",",  NULL};

/* As far as the preprocessor would read it: 1.5e-3, but also 2x0. */
static int measure_number(const char *text)
{
    int n = 1;
    while (isalnum((unsigned char)text[n]) || text[n] == '.' || text[n] == '_' ||
           ((text[n] == '+' || text[n] == '-') && strchr("eEpP", text[n - 1]) != NULL &&
            !(text[0] == '0' && (text[1] == 'x' || text[1] == 'X') &&
              strchr("eE", text[n - 1]) != NULL)))
        n++;
    return n;
}

static int check_number(const struct reader *r, struct token *t)
{
    const char *text = r->e->text + t->begin;
    char *end;
    (void)strtod(text, &end);
    const int read = (int)(end - text), digits = (int)strspn(text, "0123456789");
    const int suffix = read + (int)strspn(end, "uUlLfFiIjJ");
    if (digits == t->length)
        t->kind = WHOLE_NUMBER;
    if (digits == t->length && digits > 1 && text[0] == '0')
        return fmc_expr_refuse(r->e, t->begin, "leave the zero away",
                               "a number with a zero in front is octal in C");
    if (suffix >= t->length) {
        for (int c = read; c < t->length; c++)
            r->e->uses_complex |= strchr("iIjJ", text[c]) != NULL;
        return FMC_DONE;
    }
    return fmc_expr_refuse(r->e, t->begin + read,
                           isalpha((unsigned char)*end) ? "a product is written with *, as in 2*x0"
                                                        : NULL,
                           "%.*s is not a number", t->length, text);
}

static int read_operator(const struct reader *r, struct token *t)
{
    const char *text = r->e->text + t->begin;
    if (!starts_with(text, "=="))
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
            if (starts_with(text, refused[i].begin))
                return fmc_expr_refuse(r->e, t->begin, refused[i].hint, "%s", refused[i].what);
    t->kind = OPERATOR;
    for (int i = 0; operators[i] != NULL; i++)
        if (starts_with(text, operators[i])) {
            t->length = (int)strlen(operators[i]);
            r->e->leaves_open |= starts_with(text, "<<") || starts_with(text, ">>");
            return FMC_DONE;
        }
    return fmc_expr_refuse(r->e, t->begin, "names, numbers, operators, brackets and ; are",
                           isprint((unsigned char)*text)
                               ? "'%c' is not for expressions"
                               : "the byte \\x%02x is not for expressions",
                           (unsigned char)*text);
}

static int read_token(const struct reader *r, struct token *t)
{
    const char *text = r->e->text + t->begin;
    t->length = 1;
    if (isalpha((unsigned char)*text) || *text == '_') {
        t->kind = NAME;
        while (isalnum((unsigned char)text[t->length]) || text[t->length] == '_')
            t->length++;
        return FMC_DONE;
    }
    if (isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1]))) {
        t->kind = NUMBER;
        t->length = measure_number(text);
        return check_number(r, t);
    }
    if (*text == '(' || *text == '[')
        t->kind = OPEN;
    else if (*text == ')' || *text == ']')
        t->kind = CLOSE;
    else if (*text == ';')
        t->kind = SEMICOLON;
    else
        return read_operator(r, t);
    return FMC_DONE;
}

static int read_tokens(struct reader *r)
{
    const char *text = r->e->text;
    int at = (int)strspn(text, " "), rc = FMC_DONE;
    while (text[at] != '\0' && rc == FMC_DONE) {
        struct token *t = &r->tokens[r->n_tokens++];
        t->begin = at;
        rc = read_token(r, t);
        at += t->length;
        at += (int)strspn(text + at, " ");
    }
    r->tokens[r->n_tokens++] = (struct token){.kind = END, .begin = at};
    return rc;
}

static int is_token(const struct reader *r, int i, const char *word)
{
    const struct token *t = &r->tokens[i];
    return t->length == (int)strlen(word) && starts_with(r->e->text + t->begin, word);
}

/* ---- brackets, commas, results ---------------------------------------------------------------- */

static const char *closing(char open)
{
    return open == '(' ? ")" : "]";
}

static int check_comma(const struct reader *r, int i, int in_call)
{
    if (in_call)
        return FMC_DONE;
    return fmc_expr_refuse(r->e, r->tokens[i].begin, "several results are separated by semicolons",
                           "a comma belongs between the arguments of a function");
}

/* Every bracket has its partner, in the same result. */
static int check_brackets(const struct reader *r)
{
    const char *text = r->e->text;
    int open[DEEPEST], depth = 0, rc = FMC_DONE;
    for (int i = 0; i < r->n_tokens && rc == FMC_DONE; i++) {
        const struct token *t = &r->tokens[i];
        if (t->kind == OPEN && depth == DEEPEST)
            return fmc_expr_refuse(r->e, t->begin, NULL, "more than %d brackets in brackets",
                                   DEEPEST);
        if (t->kind == OPEN)
            open[depth++] = i;
        else if (t->kind == CLOSE && depth == 0)
            rc = fmc_expr_refuse(r->e, t->begin, NULL, "this bracket was not opened");
        else if (t->kind == CLOSE && !is_token(r, i, closing(text[r->tokens[open[--depth]].begin])))
            rc = fmc_expr_refuse(r->e, t->begin, NULL, "'%s' is missing before this bracket",
                                 closing(text[r->tokens[open[depth]].begin]));
        else if ((t->kind == SEMICOLON || t->kind == END) && depth > 0)
            rc = fmc_expr_refuse(r->e, r->tokens[open[depth - 1]].begin, NULL,
                                 "this bracket is not closed");
        else if (is_token(r, i, ","))
            rc = check_comma(r, i,
                             depth > 0 && open[depth - 1] > 0 &&
                                 r->tokens[open[depth - 1] - 1].kind == NAME);
    }
    return rc;
}

static int split_results(const struct reader *r)
{
    struct fmc_expr *e = r->e;
    int begin = 0;
    for (int i = 0; i < r->n_tokens; i++) {
        const struct token *t = &r->tokens[i];
        if (t->kind != SEMICOLON && t->kind != END)
            continue;
        if (i == 0 || r->tokens[i - 1].kind == SEMICOLON)
            return fmc_expr_refuse(e, t->begin, "it computes one number per item, as in sqrt(x0)",
                                   "an expression is missing here");
        e->results[e->n_results++] = (struct fmc_expr_part){begin, t->begin - begin};
        begin = t->begin + t->length;
    }
    return FMC_DONE;
}

/* Pointers are nothing for an expression: & and * stand between two numbers. */
static int check_pointers(const struct reader *r)
{
    for (int i = 0; i < r->n_tokens; i++) {
        const enum kind before = i > 0 ? r->tokens[i - 1].kind : SEMICOLON;
        if (!is_token(r, i, "*") && !is_token(r, i, "&"))
            continue;
        if (before == OPERATOR || before == OPEN || before == SEMICOLON)
            return fmc_expr_refuse(r->e, r->tokens[i].begin, NULL, "a number is missing before %c",
                                   r->e->text[r->tokens[i].begin]);
        if (r->tokens[i + 1].kind == CLOSE)
            return fmc_expr_refuse(r->e, r->tokens[i + 1].begin, NULL,
                                   "a number is missing behind %c", r->e->text[r->tokens[i].begin]);
    }
    return FMC_DONE;
}

/* The value of a product or shift of whole numbers that begins at token i; its last token in *end. -1: beyond 2^62. */
static int64_t value_of_chain(const struct reader *r, int i, int *end)
{
    int64_t value = strtoll(r->e->text + r->tokens[i].begin, NULL, 10);
    for (*end = i; *end + 2 < r->n_tokens && r->tokens[*end + 2].kind == WHOLE_NUMBER; *end += 2) {
        const int64_t next = strtoll(r->e->text + r->tokens[*end + 2].begin, NULL, 10);
        const int is_shift = is_token(r, *end + 1, "<<");
        if (!is_shift && !is_token(r, *end + 1, "*"))
            break;
        const int64_t factor = !is_shift ? next : next < 62 ? INT64_C(1) << next : INT64_MAX;
        if (__builtin_mul_overflow(value, factor, &value))
            return -1;
    }
    return value;
}

/* Whole numbers are C's ints: products of them wrap around at 2^31, where a user means the number. */
static int check_products(const struct reader *r)
{
    for (int i = 0, end = 0; i < r->n_tokens; i = end + 1) {
        end = i;
        if (r->tokens[i].kind != WHOLE_NUMBER || (i > 0 && is_token(r, i - 1, "[")))
            continue;
        if (strtoll(r->e->text + r->tokens[i].begin, NULL, 10) == INT64_MAX) /* or it saturates */
            return fmc_expr_refuse(r->e, r->tokens[i].begin,
                                   "with a point it is a double, as in 1e20 or 1.0",
                                   "whole numbers in C end at %lld", (long long)INT64_MAX);
        const int64_t value = value_of_chain(r, i, &end);
        if (end > i && (value < 0 || value > INT32_MAX))
            return fmc_expr_refuse(r->e, r->tokens[i].begin,
                                   "write one of them with a point, as in 100000.0*100000",
                                   "whole numbers in C end at %d", INT32_MAX);
    }
    return FMC_DONE;
}

/* 1/2 is no half, and 2^3 no power: nobody means what C makes of them. */
static int check_whole_numbers(const struct reader *r)
{
    for (int i = 1; i + 1 < r->n_tokens; i++) {
        const struct token *a = &r->tokens[i - 1], *b = &r->tokens[i + 1];
        if (a->kind != WHOLE_NUMBER || b->kind != WHOLE_NUMBER)
            continue;
        if (is_token(r, i, "/"))
            return fmc_expr_refuse(r->e, a->begin, "write one of them with a point, as in 1.0/2",
                                   "%.*s/%.*s is rounded to a whole number in C", a->length,
                                   r->e->text + a->begin, b->length, r->e->text + b->begin);
        if (is_token(r, i, "^"))
            return fmc_expr_refuse(r->e, r->tokens[i].begin, "a power is pow(a, b)",
                                   "^ is no power in C: it is exclusive or");
    }
    return check_products(r);
}

/* ---- names ------------------------------------------------------------------------------------ */

/* The input that x, x0, n0, x1, ... means; -1 if it is no such name. A lone n is none: it may be an --arg. */
static int64_t find_input(const char *name)
{
    const char *digits = name + 1;
    if ((name[0] != 'x' && name[0] != 'n') || strspn(digits, "0123456789") != strlen(digits) ||
        strcmp(name, "n") == 0)
        return -1;
    return digits[0] == '0' && digits[1] != '\0' ? -1 : strtoll(digits, NULL, 10);
}

/* Reads [2] or [1][2] behind an input's name, and makes it all one C name of the same length. Moves *i behind it. */
static int read_index(const struct reader *r, struct fmc_expr_element *element, int *i)
{
    struct fmc_expr *e = r->e;
    while (is_token(r, *i + 1, "[")) {
        const struct token *number = &r->tokens[*i + 2], *end = &r->tokens[*i + 3];
        if (number->kind != WHOLE_NUMBER)
            return fmc_expr_refuse(e, number->begin, "as in x0[2], or x0[1][2]",
                                   "an index is a whole number");
        if (!is_token(r, *i + 3, "]"))
            return fmc_expr_refuse(e, end->begin, "as in x0[2], or x0[1][2]",
                                   "an index is one whole number");
        if (element->n_index == FM_MAX_DIMS - 1)
            return fmc_expr_refuse(e, number->begin, NULL, "a row has at most %d axes",
                                   FM_MAX_DIMS - 1);
        errno = 0;
        element->index[element->n_index++] = strtoll(e->text + number->begin, NULL, 10);
        if (errno != 0)
            return fmc_expr_refuse(e, number->begin, NULL, "this index is too large");
        *i += 3;
        element->name.length = end->begin + 1 - element->name.begin;
    }
    for (int c = 0; c < element->name.length; c++)
        if (!isalnum((unsigned char)e->code[element->name.begin + c]))
            e->code[element->name.begin + c] = '_';
    return FMC_DONE;
}

static int refuse_input(const struct reader *r, const char *name, int at)
{
    char hint[80] = "the only one is x0, or x";
    if (r->n_inputs > 1)
        snprintf(hint, sizeof hint, "they are x0 to x%d", r->n_inputs - 1);
    return fmc_expr_refuse(r->e, at, hint, "%s is not among the %d INPUT", name, r->n_inputs);
}

static int take_element(const struct reader *r, const char *name, int64_t input, int *i)
{
    const struct token *t = &r->tokens[*i];
    if (input >= r->n_inputs)
        return refuse_input(r, name, t->begin);
    struct fmc_expr_element *element = &r->e->elements[r->e->n_elements++];
    *element = (struct fmc_expr_element){
        .name = {t->begin, t->length}, .input = (int)input, .is_whole = name[0] == 'n'};
    return read_index(r, element, i);
}

static int refuse_name(const struct reader *r, const char *name, int at)
{
    const char *instead = fmc_expr_instead_of(name), *nearest = fmc_expr_nearest(name);
    char hint[160] =
        "known are x0, x1, ... for the inputs, i, the --arg, pi, and functions of <math.h>";
    int distance = nearest != NULL ? fmc_names_distance(name, nearest) : FMC_NAMES_FAR;
    for (int a = 0; a < r->e->n_args; a++) {
        const int d = fmc_names_distance(name, r->e->args[a].key);
        if (d <= distance && d < FMC_NAMES_FAR) {
            distance = d;
            nearest = r->e->args[a].key;
        }
    }
    if (instead != NULL)
        snprintf(hint, sizeof hint, "%s", instead);
    else if (nearest != NULL)
        snprintf(hint, sizeof hint, "did you mean %s?", nearest);
    else if (strlen(name) == 1)
        snprintf(hint, sizeof hint, "give it with --arg %s=VALUE; inputs are x0, x1, ...", name);
    return fmc_expr_refuse(r->e, at, hint, "%s is not known", name);
}

static int find_arg(const struct fmc_expr *e, const char *name)
{
    for (int a = 0; a < e->n_args; a++)
        if (strcmp(e->args[a].key, name) == 0)
            return a;
    return -1;
}

static int take_known(const struct reader *r, const char *name, int i)
{
    const struct token *t = &r->tokens[i];
    switch (fmc_expr_name_kind(name)) {
    case FMC_EXPR_COMPLEX_FUNCTION:
        r->e->uses_complex = 1;
        /* fall through */
    case FMC_EXPR_FUNCTION:
        if (!is_token(r, i + 1, "("))
            return fmc_expr_refuse(r->e, t->begin + t->length, NULL,
                                   "%s is a function: its arguments are missing", name);
        return FMC_DONE;
    case FMC_EXPR_COMPLEX_CONSTANT:
        r->e->uses_complex = 1;
        return FMC_DONE;
    case FMC_EXPR_TYPE:
        r->e->leaves_open |= strcmp(name, "double") != 0 && strcmp(name, "float") != 0;
        return FMC_DONE;
    case FMC_EXPR_CONSTANT:
        return FMC_DONE;
    default:
        return refuse_name(r, name, t->begin);
    }
}

/* Moves *i to the last token that belongs to the name. */
static int take_name(const struct reader *r, int *i)
{
    const struct token *t = &r->tokens[*i];
    char name[LONGEST_NAME + 1];
    if (t->length > LONGEST_NAME)
        return fmc_expr_refuse(r->e, t->begin, NULL, "a name of more than %d letters",
                               LONGEST_NAME);
    snprintf(name, sizeof name, "%.*s", t->length, r->e->text + t->begin);
    const int64_t input = find_input(name);
    const int arg = find_arg(r->e, name);
    if (input >= 0)
        return take_element(r, name, input, i);
    if (arg >= 0)
        r->arg_is_used[arg] = 1;
    else if (strcmp(name, "i") == 0)
        r->e->uses_item = 1;
    else
        return take_known(r, name, *i);
    return FMC_DONE;
}

static int resolve_names(const struct reader *r)
{
    int rc = FMC_DONE;
    for (int i = 0; i < r->n_tokens && rc == FMC_DONE; i++) {
        if (r->tokens[i].kind == NAME)
            rc = take_name(r, &i);
        else if (is_token(r, i, "["))
            rc = fmc_expr_refuse(r->e, r->tokens[i].begin, "as in x0[2]",
                                 "only an input's row has elements");
    }
    return rc;
}

/* ---- arguments -------------------------------------------------------------------------------- */

static int is_name(const char *key)
{
    for (const char *c = key; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c) && *c != '_')
            return 0;
    return !isdigit((unsigned char)key[0]) && strlen(key) <= LONGEST_NAME;
}

static int read_args(struct fmc_expr *e)
{
    for (int a = 0; a < e->n_args; a++) {
        const char *key = e->args[a].key, *value = e->args[a].value;
        char *end;
        if (!is_name(key))
            return fmc_say_error(FMC_USAGE, "letters, digits and _ make a name, as in --arg a=2",
                                 "--arg %s=%s: %s cannot be a name in an expression", key, value,
                                 key);
        if (fmc_expr_is_reserved(key))
            return fmc_say_error(FMC_USAGE, "give it another name",
                                 "--arg %s=%s: %s means something else in an expression", key,
                                 value, key);
        e->values[a] = strtod(value, &end);
        if (end == value || *end != '\0')
            return fmc_say_error(FMC_USAGE, NULL, "--arg %s=%s: the value is not a number", key,
                                 value);
    }
    return FMC_DONE;
}

static int check_args_are_used(const struct reader *r)
{
    for (int a = 0; a < r->e->n_args; a++)
        if (!r->arg_is_used[a])
            return fmc_say_error(FMC_USAGE, "leave it away, or use its name in the expression",
                                 "--arg %s: the expression has no %s", r->e->args[a].key,
                                 r->e->args[a].key);
    return FMC_DONE;
}

/* ---- all together ----------------------------------------------------------------------------- */

static int check(struct reader *r)
{
    int rc = read_args(r->e);
    if (rc == FMC_DONE)
        rc = read_tokens(r);
    if (rc == FMC_DONE)
        rc = check_brackets(r);
    if (rc == FMC_DONE)
        rc = split_results(r);
    if (rc == FMC_DONE)
        rc = check_pointers(r);
    if (rc == FMC_DONE)
        rc = check_whole_numbers(r);
    if (rc == FMC_DONE)
        rc = resolve_names(r);
    return rc == FMC_DONE ? check_args_are_used(r) : rc;
}

static int copy_text(struct fmc_expr *e, const char *text)
{
    e->text = strdup(text);
    if (e->text == NULL)
        return -ENOMEM;
    for (char *c = e->text; *c != '\0'; c++)
        if (isspace((unsigned char)*c))
            *c = ' ';
    e->code = strdup(e->text);
    return e->code != NULL ? 0 : -ENOMEM;
}

int fmc_expr_parse(struct fmc_expr *e, const char *text, int n_inputs, const struct fmk_param *args)
{
    const size_t length = strlen(text);
    *e = (struct fmc_expr){.args = args};
    while (args[e->n_args].key != NULL)
        e->n_args++;
    if (length > LONGEST_TEXT)
        return fmc_say_error(FMC_USAGE, "write it as a function in C: PATH.so:SYMBOL",
                             "-e: an expression of more than %d letters", LONGEST_TEXT);
    struct reader r = {.e = e, .n_inputs = n_inputs};
    int rc = FMC_ENVIRONMENT;
    /* No list is longer than the text with its end. Four ENDs more: looking ahead needs no care. */
    r.tokens = calloc(length + 5, sizeof *r.tokens);
    r.arg_is_used = calloc((size_t)e->n_args + 1, 1);
    e->results = calloc(length + 1, sizeof *e->results);
    e->elements = calloc(length + 1, sizeof *e->elements);
    e->values = calloc((size_t)e->n_args + 1, sizeof *e->values);
    if (r.tokens == NULL || r.arg_is_used == NULL || e->results == NULL || e->elements == NULL ||
        e->values == NULL || copy_text(e, text) != 0)
        say_no_memory();
    else
        rc = check(&r);
    free(r.tokens);
    free(r.arg_is_used);
    return rc;
}

void fmc_expr_release(struct fmc_expr *e)
{
    free(e->text);
    free(e->code);
    free(e->results);
    free(e->elements);
    free(e->values);
    *e = (struct fmc_expr){0};
}
