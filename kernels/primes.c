/* SPDX-License-Identifier: MIT */

/*
 * primes: how many numbers of a block are prime, by trial division. One block of numbers is one
 * item, and the last costs some hundred times what the first does: an even share is a bad one.
 *
 * Source     The sieve's slow brother, and an old test of load balance: Quinn, "Parallel Programming in
 *            C with MPI and OpenMP", 2003, section 5; Knuth, "The Art of Computer Programming 2",
 *            section 4.5.4, algorithm A.
 * Work       no [flop]; a prime x costs sqrt(x) / 3 divisions of integers, other numbers a few
 *            (2 and 3 are tried first, then only 6 k - 1 and 6 k + 1).
 * Traffic    nothing read, 8 [bytes] written per block.
 */

#include "primes.h"

static inline int is_prime(uint32_t x)
{
    if (x < 4)
        return x > 1;
    if (x % 2 == 0 || x % 3 == 0)
        return 0;
    /* Up to 65,535, whose square still fits: there is no prime between that and 2^16. */
    for (uint32_t d = 5; d < 65536 && d * d <= x; d += 6)
        if (x % d == 0 || x % (d + 2) == 0)
            return 0;
    return 1;
}

void fmk_primes_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_primes_ctx *c = ctx;
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item * c->block + 1;
        int64_t count = 0;
        for (int64_t x = first; x < first + c->block; x++)
            count += is_prime((uint32_t)x);
        c->counts[item] = count;
    }
}
