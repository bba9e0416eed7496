/* SPDX-License-Identifier: MIT */

/*
 * primes' problem: blocks of numbers from the parameters, each counted again by the sieve of
 * Eratosthenes, and their sum against known values of the function pi(x).
 */

#include "kernel_list.h"
#include "params.h"
#include "primes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int bind(struct fmk_problem *p, const struct fmk_param *params)
{
    struct fmk_primes_ctx c = {.n_blocks = p->n};
    int e = fmk_param_int(params, "block", 1, UINT32_MAX, &c.block);
    if (e == 0 && c.n_blocks > UINT32_MAX / c.block)
        e = fmk_error(-EINVAL,
                      "%" PRId64 " blocks of %" PRId64 " numbers: more than 2^32 - 1 in all",
                      c.n_blocks, c.block);
    if (e == 0)
        e = fm_array_create(&p->out, FM_I64, 1, &p->n, NULL);
    if (e == 0)
        e = fmk_memory_create(p, sizeof c);
    if (e != 0)
        return e;
    c.counts = fm_array_data(p->out);
    *(struct fmk_primes_ctx *)p->ctx = c;
    return 0;
}

/*
 * ---- verify -------------------------------------------------------------------------------------
 */

#define N_BASE  65536   /* primes below it sieve all numbers below 2^32 */
#define SEGMENT 1048576 /* numbers sieved at a time */

/* pi(10^k). Source: OEIS A006880. */
static const int64_t primes_to_power_of_ten[] = {0,    4,     25,     168,     1229,
                                                 9592, 78498, 664579, 5761455, 50847534};

struct sieve {
    uint8_t is_composite[SEGMENT];     /* of `first` and what follows */
    uint8_t is_base_composite[N_BASE]; /* of 0, 1, ... */
    int64_t first;
};

static void cross_out_base(struct sieve *s)
{
    s->is_base_composite[0] = s->is_base_composite[1] = 1;
    for (int64_t d = 2; d * d < N_BASE; d++)
        for (int64_t x = d * d; !s->is_base_composite[d] && x < N_BASE; x += d)
            s->is_base_composite[x] = 1;
}

static void sieve_segment(struct sieve *s, int64_t first)
{
    const int64_t end = first + SEGMENT;
    memset(s->is_composite, 0, sizeof s->is_composite);
    s->first = first;
    if (first <= 1)
        memset(s->is_composite, 1, (size_t)(2 - first));
    for (int64_t d = 2; d < N_BASE && d * d < end; d++) {
        const int64_t multiple = (first + d - 1) / d * d;
        for (int64_t x = multiple > d * d ? multiple : d * d; !s->is_base_composite[d] && x < end;
             x += d)
            s->is_composite[x - first] = 1;
    }
}

/* Primes among the numbers [first, first + n), which follow those of the last call. */
static int64_t count_primes(struct sieve *s, int64_t first, int64_t n)
{
    int64_t count = 0;
    for (int64_t x = first; x < first + n; x++) {
        if (x >= s->first + SEGMENT)
            sieve_segment(s, s->first + SEGMENT);
        count += !s->is_composite[x - s->first];
    }
    return count;
}

/* 0 if the sum is pi(x), or x no power of ten. */
static int compare_total(int64_t total, int64_t x, char *text, size_t cap)
{
    int64_t power = 1;
    for (size_t k = 0; k < sizeof primes_to_power_of_ten / sizeof *primes_to_power_of_ten; k++) {
        if (power == x && total != primes_to_power_of_ten[k]) {
            snprintf(text, cap, "%" PRId64 " primes up to %" PRId64 ", and there are %" PRId64,
                     total, x, primes_to_power_of_ten[k]);
            return 1;
        }
        power *= 10;
    }
    snprintf(text, cap, "each block as by a sieve; %" PRId64 " primes up to %" PRId64, total, x);
    return 0;
}

static int verify(const struct fmk_problem *p, char *text, size_t cap)
{
    const struct fmk_primes_ctx *c = p->ctx;
    struct sieve *s = calloc(1, sizeof *s);
    int64_t total = 0;
    if (s == NULL)
        return -ENOMEM;
    cross_out_base(s);
    sieve_segment(s, 0);
    for (int64_t k = 0; k < c->n_blocks; k++) {
        const int64_t expected = count_primes(s, k * c->block + 1, c->block);
        if (c->counts[k] != expected) {
            snprintf(text, cap, "block %" PRId64 " has %" PRId64 " primes, a sieve finds %" PRId64,
                     k, c->counts[k], expected);
            free(s);
            return 1;
        }
        total += expected;
    }
    free(s);
    return compare_total(total, c->n_blocks * c->block, text, cap);
}

const struct fmk_kernel fmk_kernel_primes = {
    .name = "primes",
    .summary = "primes in each block of numbers, by trial division; imbalanced",
    .source = "trial division; Knuth, The Art of Computer Programming 2, section 4.5.4",
    .cost = "no flop, sqrt(x) / 3 integer divisions per prime x, and 8 bytes per block",
    .result = "i8: primes in the block",
    .grain = 1,
    .params = {{"n", "2000", "blocks"}, {"block", "1000", "numbers per block"}},
    .range = fmk_primes_range,
    .bind = bind,
    .verify = verify,
};
