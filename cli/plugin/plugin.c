/* SPDX-License-Identifier: MIT */
/* Kernels of the user's own. */
#include "plugin.h"

#include "kernels.h"
#include "library.h"
#include "say.h"
#include "symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char symbol[] = "fmk_plugin";

/* Neither is closed or freed: kernels in the table, and where they are from, point into both. */
static int load(const char *text)
{
    char *path = fmc_library_path(text, strlen(text));
    if (path == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "--load %s: out of memory", text);
    void *library = fmc_library_open(path, text);
    const void *table = library != NULL ? dlsym(library, symbol) : NULL;
    int rc = FMC_USAGE;
    if (library != NULL && table == NULL)
        fmc_say_error(rc,
                      "its source ends with FMK_PLUGIN(&kernel); as what `forkmap new kernel NAME` "
                      "writes does; a plain function is mapped by `forkmap map PATH.so:SYMBOL`",
                      "--load %s: no table of kernels in it (symbol %s)", text, symbol);
    else if (library != NULL && !fmc_symbols_is_data(table))
        fmc_say_error(rc, "the name is taken by FMK_PLUGIN(...)",
                      "--load %s: %s is a function, not a table of kernels", text, symbol);
    else if (library != NULL) {
        const int code = fmk_plugin_add(table, path);
        rc = code == 0 ? FMC_DONE
                       : fmc_say_code(code, "--load",
                                      "<forkmap/kernel.h> says what an entry must have; after an "
                                      "update of forkmap the library is to be compiled again");
        if (code == 0)
            return rc;
    }
    if (library != NULL)
        dlclose(library);
    free(path);
    return rc;
}

int fmc_plugin_load(const char *const *paths, int n)
{
    int rc = FMC_DONE;
    for (int i = 0; i < n && rc == FMC_DONE; i++)
        rc = load(paths[i]);
    return rc;
}
