/* SPDX-License-Identifier: MIT */
#ifndef FMC_VALUES_H
#define FMC_VALUES_H

/* Values of options. The ones that take argp's state end the command with a usage error (exit code 2). */

#include <argp.h>
#include <stddef.h>
#include <stdint.h>

struct fmc_word {
    const char *text; /* a table ends with NULL */
    int value;
};

extern const struct fmc_word fmc_words_pin[], fmc_words_caller[], fmc_words_schedule[],
    fmc_words_on_error[], fmc_words_map[];

/* A decimal number with an optional sign and nothing else. Returns 0, -EINVAL or -ERANGE. */
int fmc_value_read_whole(const char *text, int64_t *out);

int64_t fmc_value_whole(const struct argp_state *state, const char *option, const char *text,
                        int64_t low, int64_t high);
/* A size in bytes from `low` on: a whole number, or one with K, M, G or T (powers of 1024). */
size_t fmc_value_size(const struct argp_state *state, const char *option, const char *text,
                      size_t low);
/* A finite number above 0. */
double fmc_value_positive(const struct argp_state *state, const char *option, const char *text,
                          double high);
int fmc_value_word(const struct argp_state *state, const char *option, const char *text,
                   const struct fmc_word *words);

/* The text of a value, "?" if the table lacks it. */
const char *fmc_value_text(const struct fmc_word *words, int value);

#endif
