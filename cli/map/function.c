/* SPDX-License-Identifier: MIT */
/* Finds what is to be mapped, and helps when the word is wrong. */
#include "function.h"

#include "library.h"
#include "names.h"
#include "say.h"
#include "symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int refuse_kernel(const char *name)
{
    int n = 0;
    const struct fmk_kernel *const *kernels = fmk_kernels(&n);
    const char *nearest = NULL;
    int distance = FMC_NAMES_FAR;
    for (int i = 0; i < n; i++) {
        const int d = fmc_names_distance(name, kernels[i]->name);
        if (d < distance) {
            distance = d;
            nearest = kernels[i]->name;
        }
    }
    char remedy[160];
    if (nearest != NULL)
        snprintf(remedy, sizeof remedy, "did you mean %s? `forkmap kernels` lists them all",
                 nearest);
    else if (strchr(name, '/') != NULL || strstr(name, ".so") != NULL)
        snprintf(remedy, sizeof remedy, "a function of your own is PATH.so:SYMBOL, as in ./f.so:f");
    else
        snprintf(remedy, sizeof remedy,
                 "`forkmap kernels` lists them; kernels of your own come with --load PATH.so, a "
                 "function of your own is PATH.so:SYMBOL");
    return fmc_say_error(FMC_USAGE, remedy, "%s: no such kernel", name);
}

int fmc_function_find_kernel(struct fmc_function *f, const char *name)
{
    *f = (struct fmc_function){.text = name, .kernel = fmk_find(name)};
    return f->kernel != NULL ? FMC_DONE : refuse_kernel(name);
}

struct nearest {
    const char *word;
    char text[200];
    int n;
};

static void note_near(const char *name, void *arg)
{
    struct nearest *near = arg;
    const size_t used = strlen(near->text);
    if (near->n >= 5 || name[0] == '_' || fmc_names_distance(near->word, name) >= FMC_NAMES_FAR ||
        used + strlen(name) + 3 > sizeof near->text)
        return;
    snprintf(near->text + used, sizeof near->text - used, "%s%s", near->n > 0 ? ", " : "", name);
    near->n++;
}

static void note_any(const char *name, void *arg)
{
    struct nearest *near = arg;
    const size_t used = strlen(near->text);
    if (near->n >= 5 || name[0] == '_' || used + strlen(name) + 3 > sizeof near->text)
        return;
    snprintf(near->text + used, sizeof near->text - used, "%s%s", near->n > 0 ? ", " : "", name);
    near->n++;
}

/* C++ writes f as _Z1fPKvPvS1_, _Z with the length in front of the name. */
static void note_mangled(const char *name, void *arg)
{
    struct nearest *near = arg;
    char prefix[80];
    snprintf(prefix, sizeof prefix, "_Z%zu%s", strlen(near->word), near->word);
    near->n += strncmp(name, prefix, strlen(prefix)) == 0;
}

static int refuse_symbol(const struct fmc_function *f, const char *path, const char *symbol)
{
    char remedy[300] = "the library exports no function; is it static, or hidden by -fvisibility?";
    struct nearest mangled = {.word = symbol}, near = {.word = symbol}, any = {.word = symbol};
    fmc_symbols_each(f->library, note_mangled, &mangled);
    fmc_symbols_each(f->library, note_near, &near);
    fmc_symbols_each(f->library, note_any, &any);
    if (mangled.n > 0)
        snprintf(remedy, sizeof remedy, "it is a C++ function there: declare it extern \"C\"");
    else if (near.n > 0)
        snprintf(remedy, sizeof remedy, "did you mean %s?", near.text);
    else if (any.n > 0)
        snprintf(remedy, sizeof remedy, "the library exports %s%s", any.text,
                 any.n == 5 ? ", ..." : "");
    return fmc_say_error(FMC_USAGE, remedy, "%s: no symbol '%s' in %s", f->text, symbol, path);
}

static int load(struct fmc_function *f, const char *path, const char *symbol)
{
    f->library = fmc_library_open(path, f->text);
    if (f->library == NULL)
        return FMC_USAGE;
    f->code.address = dlsym(f->library, symbol);
    if (f->code.address == NULL)
        return refuse_symbol(f, path, symbol);
    if (fmc_symbols_is_data(f->code.address))
        return fmc_say_error(FMC_USAGE, NULL, "%s: '%s' is a variable, not a function", f->text,
                             symbol);
    return FMC_DONE;
}

int fmc_function_find(struct fmc_function *f, const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return fmc_function_find_kernel(f, text);
    *f = (struct fmc_function){.text = text};
    if (colon == text || colon[1] == '\0')
        return fmc_say_error(FMC_USAGE, "as in ./f.so:f",
                             "%s: a function of your own is PATH.so:SYMBOL", text);
    f->path = fmc_library_path(text, (size_t)(colon - text));
    if (f->path == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: out of memory", text);
    return load(f, f->path, colon + 1);
}

void fmc_function_close(struct fmc_function *f)
{
    if (f->library != NULL)
        dlclose(f->library);
    f->library = NULL;
    free(f->path);
    f->path = NULL;
}
