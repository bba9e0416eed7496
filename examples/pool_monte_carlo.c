/* SPDX-License-Identifier: MIT */
/*
 * Random numbers in a map: the price of a call option, by random walks of the share. Each item is a batch of walks with a stream of
 * its own, told by the seed and the item's number. So the price is the same in every digit with one worker or many, in any order,
 * after a crash, and in the serial loop at the end, which needs no pool at all.
 */
#include <forkmap/forkmap.h>
#include <math.h>
#include <stdio.h>

enum { BATCHES = 500, WALKS = 200, STEPS = 25, SEED = 2026 };

/* Share 100, strike 105, one year, 2 % interest, volatility 0.2. The mean of what WALKS walks pay at the end. */
static double batch(fm_random r)
{
    const double dt = 1.0 / STEPS, drift = (0.02 - 0.5 * 0.2 * 0.2) * dt,
                 volatility = 0.2 * sqrt(dt);
    double sum = 0;
    for (int walk = 0; walk < WALKS; walk++) {
        double log_price = log(100.0);
        for (int step = 0; step < STEPS; step++)
            log_price += drift + volatility * fm_random_normal(&r);
        sum += fmax(exp(log_price) - 105.0, 0.0);
    }
    return exp(-0.02) * sum / WALKS;
}

static int price_batch(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = batch(fm_rng(*(const int64_t *)item));
    return 0;
}

static int n_differences(const double *prices)
{
    int n = 0;
    for (int64_t i = 0; i < BATCHES; i++)
        n += prices[i] != batch(fm_random_at(SEED, (uint64_t)i));
    return n;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) out = NULL;
    const int64_t n = BATCHES;
    double sum = 0;
    int rc = fm_pool_open(&pool, NULL);
    if (rc == 0)
        rc = fm_array_create(&out, FM_F64, 1, &n, NULL);
    if (rc == 0)
        rc = fm_pool_map_range(pool, price_batch, 0, n, out, FM_MAP_OPTS(.seed = SEED));
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    const double *prices = fm_array_data(out);
    for (int64_t i = 0; i < n;
         i++) /* in one order, so that the sum is the same in every bit, too */
        sum += prices[i];
    printf("%d walks: the option is worth %.2f\n", BATCHES * WALKS, sum / BATCHES);
    printf("%d batches differ from a serial loop\n", n_differences(prices));
    return 0;
}
