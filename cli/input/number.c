/* SPDX-License-Identifier: MIT */
/*
 * Decimal text to double. Up to 19 digits and a power of ten up to 22 make one exact product or quotient of two exact
 * doubles (Clinger 1990); all else goes to strtod, which rounds right, too, but is slower.
 */
#include "number.h"

#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_DIGITS = 19 }; /* that fit 64 bits whatever they are */
enum { SHORT_TEXT = 128 };
enum { MAX_POWER = 100000000 }; /* no text has as many digits as would make up for it */

struct decimal {
    uint64_t digits;
    int n_digits; /* without zeros in front */
    long power;   /* of ten, for `digits` */
};

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *take_digits(const char *p, const char *end, struct decimal *d)
{
    for (; p < end && is_digit(*p); p++) {
        if (d->n_digits < MAX_DIGITS)
            d->digits = 10 * d->digits + (uint64_t)(*p - '0');
        if (d->n_digits > 0 || *p != '0')
            d->n_digits++;
    }
    return p;
}

/* "e-12". Returns what follows, or NULL. */
static const char *take_exponent(const char *p, const char *end, struct decimal *d)
{
    const int minus = p < end && *p == '-';
    long power = 0;
    if (p < end && (*p == '-' || *p == '+'))
        p++;
    if (p == end)
        return NULL;
    for (; p < end && is_digit(*p); p++)
        if (power < MAX_POWER)
            power = 10 * power + (*p - '0');
    d->power += minus ? -power : power;
    return p;
}

/* What follows the sign. Returns 1 if all of it is a decimal number. */
static int parse(const char *p, const char *end, struct decimal *d)
{
    const char *begin = p;
    p = take_digits(p, end, d);
    long n = p - begin;
    if (p < end && *p == '.') {
        begin = ++p;
        p = take_digits(p, end, d);
        d->power -= p - begin;
        n += p - begin;
    }
    if (n > 0 && p < end && (*p == 'e' || *p == 'E'))
        p = take_exponent(p + 1, end, d);
    return n > 0 && p == end;
}

static int is_word(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && strncasecmp(text, word, n) == 0;
}

static double multiply(const struct decimal *d)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const double digits = (double)d->digits;
    return d->power < 0 ? digits / powers[-d->power] : digits * powers[d->power];
}

/* Any number of digits: the text is known to be a number. */
static int read_slowly(const char *text, size_t n, double *value)
{
    static locale_t c_locale;
    char brief[SHORT_TEXT], *copy = n < sizeof brief ? brief : malloc(n + 1);
    if (c_locale == NULL)
        c_locale = newlocale(LC_ALL_MASK, "C", NULL);
    if (copy == NULL || c_locale == NULL) {
        if (copy != brief)
            free(copy);
        return FMC_NUMBER_NONE;
    }
    memcpy(copy, text, n);
    copy[n] = '\0';
    *value = strtod_l(copy, NULL, c_locale);
    if (copy != brief)
        free(copy);
    return isfinite(*value) ? FMC_NUMBER : FMC_NUMBER_LARGE;
}

int fmc_number_read(const char *text, size_t n, double *value)
{
    const char *end = text + n;
    const int minus = n > 0 && *text == '-';
    const char *p = text + (n > 0 && (*text == '-' || *text == '+'));
    struct decimal d = {0};
    if (parse(p, end, &d)) {
        if (d.digits >> 53 != 0 || d.n_digits > MAX_DIGITS || d.power < -22 || d.power > 22)
            return read_slowly(text, n, value);
        *value = minus ? -multiply(&d) : multiply(&d);
        return FMC_NUMBER;
    }
    const size_t left = (size_t)(end - p);
    if (is_word(p, left, "nan"))
        *value = NAN;
    else if (is_word(p, left, "inf") || is_word(p, left, "infinity"))
        *value = INFINITY;
    else
        return FMC_NUMBER_NONE;
    if (minus)
        *value = -*value;
    return FMC_NUMBER;
}
