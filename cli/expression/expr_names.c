/* SPDX-License-Identifier: MIT */
/* Tables of the names in expressions. Source: C11, 7.12 and 7.3; POSIX for the Bessel functions and M_PI. */
#include "expr_names.h"

#include "names.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const functions[] = {
    "acos",     "acosh",  "asin",      "asinh",     "atan",      "atan2", "atanh", "cbrt",
    "ceil",     "cos",    "cosh",      "erf",       "erfc",      "exp",   "exp2",  "expm1",
    "copysign", "fabs",   "fdim",      "floor",     "fma",       "fmax",  "fmin",  "fmod",
    "hypot",    "ldexp",  "lgamma",    "llrint",    "llround",   "log",   "log10", "log1p",
    "log2",     "logb",   "lrint",     "lround",    "pow",       "rint",  "round", "sin",
    "sinh",     "sqrt",   "nearbyint", "nextafter", "remainder", "tan",   "tanh",  "tgamma",
    "trunc",    "scalbn", "j0",        "j1",        "jn",        "y0",    "y1",    "yn",
    NULL};
/* Macros of <math.h>: no suffix f. */
static const char *const tests[] = {"isfinite", "isinf", "isnan", "isnormal", "signbit", NULL};
static const char *const complex_functions[] = {
    "cabs",  "cacos", "cacosh", "carg",  "casin", "casinh", "catan", "catanh",
    "ccos",  "ccosh", "cexp",   "cimag", "clog",  "conj",   "cpow",  "cproj",
    "creal", "csin",  "csinh",  "csqrt", "ctan",  "ctanh",  NULL};
static const char *const types[] = {"double",   "float",    "int",     "long",     "short",
                                    "char",     "unsigned", "signed",  "int8_t",   "int16_t",
                                    "int32_t",  "int64_t",  "uint8_t", "uint16_t", "uint32_t",
                                    "uint64_t", NULL};
static const char *const macros[] = {"INFINITY", "NAN", "M_E", "M_PI", "M_PI_2", "M_SQRT2", NULL};

const struct fmc_expr_constant fmc_expr_constants[] = {{"pi", "3.14159265358979323846"},
                                                       {"inf", "__builtin_inf()"},
                                                       {"nan", "__builtin_nan(\"\")"},
                                                       {NULL, NULL}};

static const char *const keywords[] = {
    "asm",      "auto",   "break",  "case",     "const",  "continue", "default", "defined",
    "do",       "else",   "enum",   "extern",   "for",    "goto",     "if",      "inline",
    "register", "return", "sizeof", "restrict", "static", "struct",   "switch",  "typeof",
    "typedef",  "union",  "void",   "volatile", "while",  "i",        NULL};

static const struct alias {
    const char *name, *instead;
} aliases[] = {
    {"abs", "the absolute value is fabs(x)"},
    {"labs", "the absolute value is fabs(x)"},
    {"min", "the smaller of two is fmin(a, b)"},
    {"minimum", "the smaller of two is fmin(a, b)"},
    {"max", "the larger of two is fmax(a, b)"},
    {"maximum", "the larger of two is fmax(a, b)"},
    {"mod", "the remainder is fmod(a, b)"},
    {"power", "a power is pow(a, b)"},
    {"ln", "the natural logarithm is log(x)"},
    {"arcsin", "it is asin(x) here"},
    {"arccos", "it is acos(x) here"},
    {"arctan", "it is atan(x) here"},
    {"arctan2", "it is atan2(y, x) here"},
    {"arcsinh", "it is asinh(x) here"},
    {"arccosh", "it is acosh(x) here"},
    {"arctanh", "it is atanh(x) here"},
    {"gamma", "it is tgamma(x), and lgamma(x) its logarithm"},
    {"square", "write x*x"},
    {"sign", "write (x > 0) - (x < 0)"},
    {"where", "a choice is condition ? a : b"},
    {"if", "a choice is condition ? a : b"},
    {"else", "a choice is condition ? a : b"},
    {"and", "write a && b"},
    {"or", "write a || b"},
    {"not", "write !a"},
    {"true", "write 1"},
    {"True", "write 1"},
    {"false", "write 0"},
    {"False", "write 0"},
    {"PI", "it is pi here"},
    {"real", "it is creal(z) here"},
    {"imag", "it is cimag(z) here"},
    {"angle", "it is carg(z) here"},
};
#define N_ALIASES (sizeof aliases / sizeof aliases[0])

static int is_in(const char *const *table, const char *name)
{
    for (; *table != NULL; table++)
        if (strcmp(*table, name) == 0)
            return 1;
    return 0;
}

/* sqrtf is sqrt for float. */
static int is_float_form(const char *const *table, const char *name)
{
    char stem[16];
    const size_t length = strlen(name);
    if (length < 2 || length > sizeof stem || name[length - 1] != 'f')
        return 0;
    snprintf(stem, sizeof stem, "%.*s", (int)length - 1, name);
    return is_in(table, stem);
}

static int is_constant(const char *name)
{
    for (const struct fmc_expr_constant *c = fmc_expr_constants; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return 1;
    return 0;
}

enum fmc_expr_name fmc_expr_name_kind(const char *name)
{
    if (is_in(functions, name) || is_in(tests, name) || is_float_form(functions, name))
        return FMC_EXPR_FUNCTION;
    if (is_in(complex_functions, name) || is_float_form(complex_functions, name))
        return FMC_EXPR_COMPLEX_FUNCTION;
    if (is_in(types, name))
        return FMC_EXPR_TYPE;
    if (is_in(macros, name) || is_constant(name))
        return FMC_EXPR_CONSTANT;
    return strcmp(name, "I") == 0 ? FMC_EXPR_COMPLEX_CONSTANT : FMC_EXPR_UNKNOWN;
}

int fmc_expr_is_reserved(const char *name)
{
    const enum fmc_expr_name kind = fmc_expr_name_kind(name);
    const int is_element = (name[0] == 'x' || (name[0] == 'n' && name[1] != '\0')) &&
                           strspn(name + 1, "0123456789_") == strlen(name) - 1;
    return name[0] == '_' || strncmp(name, "fm_", 3) == 0 || strncmp(name, "FM_", 3) == 0 ||
           is_element || is_in(keywords, name) || (kind != FMC_EXPR_UNKNOWN && !is_constant(name));
}

const char *fmc_expr_instead_of(const char *name)
{
    for (size_t i = 0; i < N_ALIASES; i++)
        if (strcmp(aliases[i].name, name) == 0)
            return aliases[i].instead;
    return NULL;
}

const char *fmc_expr_nearest(const char *name)
{
    static const char *const *const tables[] = {functions, tests, complex_functions, types, macros};
    const char *nearest = NULL;
    int distance = FMC_NAMES_FAR;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const char *const *known = tables[t]; *known != NULL; known++) {
            const int d = fmc_names_distance(name, *known);
            if (d < distance) {
                distance = d;
                nearest = *known;
            }
        }
    return nearest;
}
