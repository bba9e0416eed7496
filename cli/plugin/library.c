/* SPDX-License-Identifier: MIT */
/* Opens a shared library of the user's. */
#include "library.h"

#include "say.h"
#include "symbols.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const char how_to_compile[] =
    "compile it with: cc -O2 -shared -fPIC -o f.so f.c (and -lm, -l... for what it uses)";

char *fmc_library_path(const char *text, size_t length)
{
    char *path = NULL;
    const char *folder = memchr(text, '/', length) == NULL ? "./" : "";
    return asprintf(&path, "%s%.*s", folder, (int)length, text) < 0 ? NULL : path;
}

void *fmc_library_open(const char *path, const char *text)
{
    const char *why = fmc_symbols_refuse_file(path);
    if (why != NULL) {
        fmc_say_error(FMC_USAGE, how_to_compile, "%s: cannot load %s (%s)", text, path, why);
        return NULL;
    }
    /* NOW: a missing symbol shows here, not in a worker. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fmc_say_error(FMC_USAGE, how_to_compile, "%s: cannot be loaded (%s)", text, dlerror());
    return library;
}
