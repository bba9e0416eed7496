/* SPDX-License-Identifier: MIT */
/* Reads the values of options. */
#include "values.h"

#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <forkmap/forkmap.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct fmc_word fmc_words_pin[] = {{"core", FM_PIN_CORE},
                                         {"spread", FM_PIN_SPREAD},
                                         {"compact", FM_PIN_COMPACT},
                                         {"none", FM_PIN_NONE},
                                         {NULL, 0}};
const struct fmc_word fmc_words_caller[] = {
    {"sleeps", FM_CALLER_SLEEPS}, {"works", FM_CALLER_WORKS}, {"only", FM_CALLER_ONLY}, {NULL, 0}};
const struct fmc_word fmc_words_schedule[] = {{"auto", FM_SCHEDULE_AUTO},
                                              {"static", FM_SCHEDULE_STATIC},
                                              {"dynamic", FM_SCHEDULE_DYNAMIC},
                                              {"guided", FM_SCHEDULE_GUIDED},
                                              {NULL, 0}};
const struct fmc_word fmc_words_on_error[] = {
    {"stop", FM_ON_ERROR_STOP}, {"continue", FM_ON_ERROR_CONTINUE}, {NULL, 0}};
const struct fmc_word fmc_words_map[] = {
    {"auto", FMC_MAP_AUTO}, {"always", FMC_MAP_ALWAYS}, {"never", FMC_MAP_NEVER}, {NULL, 0}};

int fmc_value_read_whole(const char *text, int64_t *out)
{
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (!isdigit((unsigned char)digits[0]))
        return -EINVAL;
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (*end != '\0')
        return -EINVAL;
    return -errno;
}

int64_t fmc_value_whole(const struct argp_state *state, const char *option, const char *text,
                        int64_t low, int64_t high)
{
    int64_t value = 0;
    if (fmc_value_read_whole(text, &value) != 0 || value < low || value > high) {
        if (high == INT64_MAX)
            argp_error(state, "%s %s: not a whole number of %" PRId64 " or more", option, text,
                       low);
        else
            argp_error(state, "%s %s: not a whole number from %" PRId64 " to %" PRId64, option,
                       text, low, high);
    }
    return value;
}

/* 0: it is none. */
static size_t read_size(const char *text)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    const char *unit = *end == '\0' ? NULL : strchr(units, *end);
    const int shift = unit == NULL ? 0 : 10 * (int)(unit - units + 1);
    if (!isdigit((unsigned char)text[0]) || errno != 0 || (unit == NULL && *end != '\0') ||
        (unit != NULL && end[1] != '\0') || n > SIZE_MAX >> shift)
        return 0;
    return (size_t)n << shift;
}

size_t fmc_value_size(const struct argp_state *state, const char *option, const char *text,
                      size_t low)
{
    const size_t value = read_size(text);
    if (value == 0 || value < low)
        argp_error(state, "%s %s: not a size of %zu bytes or more, as 500M or 2G", option, text,
                   low);
    return value;
}

double fmc_value_positive(const struct argp_state *state, const char *option, const char *text,
                          double high)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value) || value <= 0 || value > high)
        argp_error(state, "%s %s: not a number above 0 and up to %g", option, text, high);
    return value;
}

int fmc_value_word(const struct argp_state *state, const char *option, const char *text,
                   const struct fmc_word *words)
{
    char list[120] = "";
    for (const struct fmc_word *w = words; w->text != NULL; w++) {
        if (strcmp(text, w->text) == 0)
            return w->value;
        const size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used > 0 ? ", " : "", w->text);
    }
    argp_error(state, "%s %s: must be one of %s", option, text, list);
    return 0;
}

const char *fmc_value_text(const struct fmc_word *words, int value)
{
    for (const struct fmc_word *w = words; w->text != NULL; w++)
        if (w->value == value)
            return w->text;
    return "?";
}
