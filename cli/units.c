/* SPDX-License-Identifier: MIT */
/* Numbers for people. */
#include "units.h"

#include <stdio.h>

/* Divides by `base` until three digits are left. Returns how often. */
static int scale(double *value, double base, int most)
{
    int steps = 0;
    while (*value >= 999.5 && steps < most) {
        *value /= base;
        steps++;
    }
    return steps;
}

void fmc_units_count(char *text, size_t cap, double count)
{
    static const char *const marks[] = {"", "k", "M", "G", "T"};
    const int steps = scale(&count, 1e3, 4);
    const int digits = steps > 0 && count < 9.95 ? 1 : 0;
    snprintf(text, cap, "%.*f%s", digits, count, marks[steps]);
}

void fmc_units_seconds(char *text, size_t cap, double seconds)
{
    if (seconds < 1e-3)
        snprintf(text, cap, "%.2f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, cap, "%.2f ms", seconds * 1e3);
    else
        snprintf(text, cap, "%.2f s", seconds);
}

void fmc_units_clock(char *text, size_t cap, double seconds)
{
    if (!(seconds >= 0) || seconds > 1e8) {
        snprintf(text, cap, "--:--");
        return;
    }
    const long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(text, cap, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(text, cap, "%ld:%02ld", whole / 60, whole % 60);
}

void fmc_units_bytes(char *text, size_t cap, int64_t bytes)
{
    static const char *const marks[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    const int steps = scale(&value, 1024, 4);
    snprintf(text, cap, "%.*f %s", steps > 0 && value < 9.95 ? 1 : 0, value, marks[steps]);
}
