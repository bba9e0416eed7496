/* SPDX-License-Identifier: MIT */
#ifndef FMI_CHECKED_H
#define FMI_CHECKED_H

/* Size arithmetic that says when it does not fit. Each returns 1 and sets *out, or returns 0. */

#include <stddef.h>
#include <stdint.h>

static inline int fmi_checked_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

static inline int fmi_checked_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* Rounds up to a multiple of `unit`, a power of two. */
static inline int fmi_checked_round_up(size_t a, size_t unit, size_t *out)
{
    if (!fmi_checked_add(a, unit - 1, out))
        return 0;
    *out &= ~(unit - 1);
    return 1;
}

#endif
