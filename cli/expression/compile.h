/* SPDX-License-Identifier: MIT */
#ifndef FMC_COMPILE_H
#define FMC_COMPILE_H

/* The system's C compiler: $CC, cc, gcc or clang. It is started directly, never through a shell. */

#include <stdio.h>

#define FMC_COMPILER_WORDS 8

struct fmc_compiler {
    char *text;                      /* $CC, cut to words */
    char *words[FMC_COMPILER_WORDS]; /* as "ccache", "gcc" */
    int n_words;
    char *path; /* of the first one */
};

/* Finds one. Returns 0 or FMC_ENVIRONMENT; it has said why. Release it in any case. */
int fmc_compiler_find(struct fmc_compiler *c);

/* Writes what the code depends on beside the source: the compiler's file, options and environment, the processor. */
void fmc_compiler_describe(const struct fmc_compiler *c, FILE *to);

/*
 * Compiles `source` to a shared library at `path`, with FM_ENTRY defined as `entry`. `said` gets what the compiler wrote, to
 * be freed. Returns 0, 1 (it refused the source) or -errno (it could not be run).
 */
int fmc_compile(const struct fmc_compiler *c, const char *source, const char *entry,
                const char *path, char **said);

void fmc_compiler_release(struct fmc_compiler *c);

#endif
