/* SPDX-License-Identifier: MIT */
/* Compiles an expression, or finds it compiled. */
#include "expression.h"

#include "compile.h"
#include "say.h"
#include "stop.h"
#include "symbols.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_BYTES 64

/* ---- reading ------------------------------------------------------------------------------------ */

static int read_rows(struct fmc_rows *rows, const char *spec, int n_results)
{
    const int rc = fmc_output_parse(rows, spec != NULL ? spec : "f8");
    if (rc != FMC_DONE)
        return rc;
    if (rows->none)
        return fmc_say_error(FMC_USAGE, "its results are all that it is for",
                             "--out none: an expression needs an output");
    if (rows->ndim == 0 && n_results > 1) {
        rows->ndim = 1;
        rows->shape[0] = n_results;
    }
    return FMC_DONE;
}

int fmc_expression_parse(struct fmc_expression *x, const char *text, int n_inputs,
                         const struct fmk_param *args, const char *out_spec, struct fmc_rows *rows)
{
    *x = (struct fmc_expression){.cache.fd = -1};
    const int rc = fmc_expr_parse(&x->expr, text, n_inputs, args);
    return rc == FMC_DONE ? read_rows(rows, out_spec, x->expr.n_results) : rc;
}

/* ---- the name of an entry ----------------------------------------------------------------------- */

/* Source: Fowler, Noll, Vo: FNV-1a of 128 bits. */
static void hash(const char *bytes, size_t n, uint64_t *high, uint64_t *low)
{
    __extension__ typedef unsigned __int128 wide;
    const wide prime = ((wide)1 << 88) + 0x13b;
    wide h = ((wide)0x6c62272e07bb0142 << 64) + 0x62b821756295c58d;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)bytes[i]) * prime;
    *high = (uint64_t)(h >> 64);
    *low = (uint64_t)h;
}

/* The function's name follows from all that its code depends on; the entry has the same name. */
static int make_name(const struct fmc_compiler *c, const char *source, char *name)
{
    char *text = NULL;
    size_t bytes;
    uint64_t high, low;
    FILE *to = open_memstream(&text, &bytes);
    if (to == NULL)
        return -1;
    fmc_compiler_describe(c, to);
    fputs(source, to);
    if (fclose(to) != 0) {
        free(text);
        return -1;
    }
    hash(text, bytes, &high, &low);
    free(text);
    snprintf(name, NAME_BYTES, "fm_expression_%016" PRIx64 "%016" PRIx64, high, low);
    return 0;
}

/* ---- what the compiler said ---------------------------------------------------------------------- */

static int starts_with(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* The first line that tells of an error at the expression; NULL: none. */
static const char *find_error(const char *said)
{
    for (const char *line = said; *line != '\0';) {
        const char *end = strchrnul(line, '\n'), *error = strstr(line, "error: ");
        if (error != NULL && error < end && starts_with(line, FMC_EXPR_FILE ":"))
            return line;
        line = *end == '\n' ? end + 1 : end;
    }
    return NULL;
}

/* Where in the text "expression:2:7: ..." is; -1 if it is elsewhere. */
static int find_place(const struct fmc_expr *e, const char *line)
{
    int result, column;
    if (sscanf(line, FMC_EXPR_FILE ":%d:%d:", &result, &column) != 2 || result < 1 ||
        result > e->n_results || column < 1)
        return -1;
    const struct fmc_expr_part *part = &e->results[result - 1];
    const int last = part->begin + part->length;
    return part->begin + column - 1 < last ? part->begin + column - 1 : last;
}

/* The names of elements as the user wrote them: both have the same length. */
static void restore_names(const struct fmc_expr *e, char *text)
{
    for (int k = 0; k < e->n_elements; k++) {
        const struct fmc_expr_part *name = &e->elements[k].name;
        const size_t length = (size_t)name->length;
        if (strncmp(e->text + name->begin, e->code + name->begin, length) == 0)
            continue;
        char *code = strndup(e->code + name->begin, length);
        for (char *at = code != NULL ? strstr(text, code) : NULL; at != NULL; at = strstr(at, code))
            memcpy(at, e->text + name->begin, length);
        free(code);
    }
}

/*
 * The declaration around the expression, with its semicolon, is not the user's; and the text of an assertion is all of it. To
 * be freed; NULL: no memory.
 */
static char *rephrase(const char *message)
{
    static const char at_semicolon[] = " before ';' token", no_operator[] = "expected ',' or ';'";
    const int length = (int)strcspn(message, "\n"), tail = (int)strlen(at_semicolon);
    const char *quote = strchr(message, '"');
    char *text = NULL;
    int rc;
    if (length > tail && starts_with(message + length - tail, at_semicolon))
        rc = asprintf(&text, "%.*s at the end", length - tail, message);
    else if (starts_with(message, no_operator))
        rc = asprintf(&text, "expected an operator%.*s", length - (int)strlen(no_operator),
                      message + strlen(no_operator));
    else if (starts_with(message, "expected ';' at end of declaration"))
        rc = asprintf(&text, "expected an operator");
    else if (quote != NULL && starts_with(message, "static"))
        rc = asprintf(&text, "%.*s", (int)strcspn(quote + 1, "\""), quote + 1);
    else
        rc = asprintf(&text, "%.*s", length, message);
    return rc < 0 ? NULL : text;
}

/* Not the expression's fault, as far as one can see: a linker that is missing, a full disk. */
static int say_failed(const char *said)
{
    const size_t length = strlen(said), shown = length < 1000 ? length : 1000;
    return fmc_say_error(FMC_ENVIRONMENT, shown > 0 ? said + length - shown : NULL,
                         "-e: the compiler failed%s", shown > 0 ? ", it says" : "");
}

static int refuse(const struct fmc_expr *e, char *said)
{
    static const char power[] = "a power is pow(a, b); ^ is for whole numbers";
    const size_t length = strlen(said);
    const char *line = find_error(said);
    if (length > 0 && said[length - 1] == '\n')
        said[length - 1] = '\0';
    const int place = line != NULL ? find_place(e, line) : -1;
    if (place < 0)
        return say_failed(said);
    char *message = rephrase(strstr(line, "error: ") + strlen("error: "));
    if (message == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    restore_names(e, message);
    fmc_expr_refuse(e, place, strchr(e->text, '^') != NULL ? power : NULL, "%s", message);
    free(message);
    return FMC_USAGE;
}

/* ---- compiling and loading ----------------------------------------------------------------------- */

struct build {
    const struct fmc_expression *x;
    const struct fmc_compiler *compiler;
    const char *source;
    char name[NAME_BYTES];      /* of the function */
    char entry[NAME_BYTES + 8]; /* of the file */
};

/* Loads the entry. 0: it is not what it should be. */
static int load(const struct build *b, struct fmc_function *f)
{
    free(f->path);
    f->path = fmc_cache_path(&b->x->cache, b->entry);
    if (f->path == NULL || fmc_symbols_refuse_file(f->path) != NULL)
        return 0;
    f->library = dlopen(f->path, RTLD_NOW | RTLD_LOCAL);
    if (f->library == NULL)
        return 0;
    f->code.address = dlsym(f->library, b->name);
    if (f->code.address != NULL)
        return 1;
    dlclose(f->library);
    f->library = NULL;
    return 0;
}

static int say_not_kept(const struct build *b, int code)
{
    return fmc_say_error(FMC_ENVIRONMENT, "set XDG_CACHE_HOME to a directory with room",
                         "%s: the compiled expression cannot be kept (%s)", b->x->cache.path,
                         fm_strerror(code));
}

static int compile(const struct build *b)
{
    char made[NAME_BYTES + 40];
    char *said = NULL;
    snprintf(made, sizeof made, "making-%ld-%s", (long)getpid(), b->name);
    char *path = fmc_cache_path(&b->x->cache, made);
    if (path == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    int rc = FMC_DONE;
    int code = fmc_compile(b->compiler, b->source, b->name, path, &said);
    if (code != 0 && fmc_stop_signal() != 0)
        rc = FMC_SIGNALLED + fmc_stop_signal(); /* who asked for it says so */
    else if (code > 0)
        rc = refuse(&b->x->expr, said);
    else if (code < 0)
        rc = fmc_say_error(FMC_ENVIRONMENT, "unset CC to use the system's cc",
                           "%s cannot be run: %s", b->compiler->path, fm_strerror(code));
    else if ((code = fmc_cache_put(&b->x->cache, made, b->entry)) != 0)
        rc = say_not_kept(b, code);
    if (rc != FMC_DONE)
        fmc_cache_remove(&b->x->cache, made);
    free(said);
    free(path);
    return rc;
}

static int find_or_compile(const struct build *b, struct fmc_function *f)
{
    if (fmc_cache_has(&b->x->cache, b->entry) && load(b, f))
        return FMC_DONE;
    const int rc = compile(b);
    if (rc != FMC_DONE || load(b, f))
        return rc;
    const char *why = dlerror();
    return fmc_say_error(FMC_ENVIRONMENT,
                         "set XDG_CACHE_HOME to a directory that programs may be run from",
                         "%s: the compiled expression cannot be loaded (%s)", b->x->cache.path,
                         why != NULL ? why : "it is not what was compiled");
}

static int build(struct fmc_expression *x, struct fmc_function *f, const char *source)
{
    struct fmc_compiler compiler;
    struct build b = {.x = x, .compiler = &compiler, .source = source};
    int rc = fmc_compiler_find(&compiler);
    fmc_stop_install(); /* from here on there is something to clean up */
    if (rc == FMC_DONE)
        rc = fmc_cache_open(&x->cache);
    if (rc == FMC_DONE && make_name(&compiler, source, b.name) != 0)
        rc = fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    if (rc == FMC_DONE) {
        snprintf(b.entry, sizeof b.entry, "%s.so", b.name);
        rc = find_or_compile(&b, f);
    }
    fmc_compiler_release(&compiler);
    return rc;
}

int fmc_expression_load(struct fmc_expression *x, struct fmc_function *f,
                        const struct fmc_expr_inputs *in, const struct fmc_rows *rows)
{
    int rc = fmc_expr_check_types(&x->expr, in, rows);
    if (rc != FMC_DONE)
        return rc;
    char *source = fmc_expr_source(&x->expr, in, rows);
    rc = source != NULL ? build(x, f, source)
                        : fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    free(source);
    return rc;
}

int fmc_expression_print(const struct fmc_expression *x, const struct fmc_expr_inputs *in,
                         const struct fmc_rows *rows)
{
    const int rc = fmc_expr_check_types(&x->expr, in, rows);
    if (rc != FMC_DONE)
        return rc;
    char *source = fmc_expr_source(&x->expr, in, rows);
    if (source == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    fputs(source, stdout); /* a broken stdout is reported once, at the end */
    free(source);
    return FMC_DONE;
}

void fmc_expression_release(struct fmc_expression *x)
{
    fmc_cache_close(&x->cache);
    fmc_expr_release(&x->expr);
}
