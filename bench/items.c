/* SPDX-License-Identifier: MIT */
/*
 * Item costs by distribution. The mean of all but one-giant is 20 us. Random ones come from splitmix64
 * with a fixed seed, so nobody can pick a lucky one.
 */
#include "items.h"

#include "bench_clock.h"
#include "spin_kernel.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define MEAN_US     20.0
#define SHORTEST_US 1.0
#define LONGEST_US  10000.0
#define SIGMA                                                                                      \
    1.2 /* of the lognormal's exponent: the longest of 2000 items is about 40 times the mean */
#define ALPHA 1.5 /* of Pareto: the variance is infinite */

/* Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 16. */
static double draw_uniform(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return ((double)(z >> 11) + 0.5) * 0x1p-53; /* never 0 or 1 */
}

enum { TRIANGULAR, REVERSED, LOGNORMAL, PARETO, GIANT, N_DISTRIBUTIONS };
static const char *const names[N_DISTRIBUTIONS] = {"triangular", "reversed", "lognormal",
                                                   "pareto-1.5", "one-giant"};

static double draw_lognormal_us(uint64_t *state)
{
    const double radius = sqrt(-2 * log(draw_uniform(state)));
    const double normal = radius * cos(2 * 3.14159265358979323846 * draw_uniform(state));
    return MEAN_US * exp(SIGMA * normal - SIGMA * SIGMA / 2);
}

/* Half the mean for every item but one, as long as an item may be, at a place drawn from the generator. */
static double cost_giant_us(int64_t i, int64_t n)
{
    uint64_t seed = 1;
    return i == (int64_t)(draw_uniform(&seed) * (double)n) ? LONGEST_US : MEAN_US / 2;
}

static double cost_us(int distribution, int64_t i, int64_t n, uint64_t *state)
{
    switch (distribution) {
    case TRIANGULAR:
        return 2 * MEAN_US * (double)(i + 1) / (double)n;
    case REVERSED:
        return 2 * MEAN_US * (double)(n - i) / (double)n;
    case LOGNORMAL:
        return draw_lognormal_us(state);
    case PARETO:
        return MEAN_US * (ALPHA - 1) / ALPHA * pow(draw_uniform(state), -1 / ALPHA);
    default:
        return cost_giant_us(i, n);
    }
}

int bench_items_fill(uint32_t *iterations, int64_t n, const char *name, double steps_per_us)
{
    uint64_t state = 2025;
    int d = 0;
    while (d < N_DISTRIBUTIONS && strcmp(name, names[d]) != 0)
        d++;
    if (d == N_DISTRIBUTIONS)
        return -EINVAL;
    for (int64_t i = 0; i < n; i++) {
        const double us = fmin(fmax(cost_us(d, i, n, &state), SHORTEST_US), LONGEST_US);
        iterations[i] = (uint32_t)(us * steps_per_us);
    }
    return 0;
}

/* Source: Fowler, Noll, Vo, IETF draft-eastlake-fnv; here a word at a time. */
uint64_t bench_items_checksum(const uint32_t *words, int64_t n)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < n; i++)
        sum = (sum ^ words[i]) * 0x100000001b3u;
    return sum;
}

double bench_items_calibrate(void)
{
    const uint32_t steps = 1000000;
    uint64_t result = 0;
    const struct bench_kernel_ctx ctx = {&steps, &result, 1};
    int64_t shortest_ns = INT64_MAX;
    for (int i = 0; i < 7; i++) {
        const int64_t begin = bench_now_ns();
        bench_kernel(0, 1, &ctx);
        const int64_t ns = bench_now_ns() - begin;
        if (ns < shortest_ns)
            shortest_ns = ns;
    }
    return (double)steps * 1000 / (double)shortest_ns;
}
