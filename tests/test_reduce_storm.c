/* SPDX-License-Identifier: MIT */
/* LABELS: crash stress fork */
/* TIMEOUT: 120 */
/* A storm of worker kills over reductions, scans and filters: each gives what an undisturbed one gives. */
#include "t_reduce.h"
#include "victim.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { N = 30000, N_WORKERS = 2, N_DEATHS = 500 };

struct storm {
    fm_pool *pool;
    struct t_random random;
    _Atomic int is_over;
};

static void *rage(void *arg)
{
    struct storm *storm = arg;
    fm_pool_counters counters = {0};
    while (counters.deaths < N_DEATHS && fm_pool_stats(storm->pool, &counters) == 0) {
        t_kill_a_worker(storm->pool, &storm->random);
        t_sleep_us((int64_t)t_random_below(&storm->random, 3000));
    }
    atomic_store(&storm->is_over, 1);
    return NULL;
}

struct results {
    double sum, compensated;
    fm_moments moments;
    struct t_affine all;
    int64_t n_kept;
};

static int want(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int *)result = *(const double *)item > 0;
    return 0;
}

/* `out` gets the running sums, `kept` the positive rows. */
static void reduce_all(fm_pool *pool, fm_array *in, fm_array *affines, fm_array *out,
                       fm_array *kept, struct results *r)
{
    const fm_map_opts map = {.struct_size = sizeof map, .retries = 20};
    const fm_reduce_opts *opts =
        FM_REDUCE_OPTS(.combine = t_combine_affine, .identity = T_IDENTITY, .map = map);
    fm_reduce_opts compensated = *opts;
    compensated.flags = FM_COMPENSATED;
    memset(r, 0, sizeof *r);
    t_expect(fm_pool_reduce(pool, in, FM_SUM, &r->sum, sizeof r->sum, opts), 0);
    t_expect(fm_pool_reduce(pool, in, FM_SUM, &r->compensated, sizeof r->compensated, &compensated),
             0);
    t_expect(fm_pool_reduce(pool, in, FM_MEAN_VARIANCE, &r->moments, sizeof r->moments, opts), 0);
    t_expect(fm_pool_reduce(pool, affines, FM_COMBINE, &r->all, sizeof r->all, opts), 0);
    t_expect(fm_pool_scan(pool, in, FM_SUM, out, opts), 0);
    t_expect(fm_pool_filter(pool, want, in, kept, &r->n_kept, &map), 0);
}

static void test_reduce_storm_of_500_kills_changes_no_bit(void **state)
{
    (void)state;
    fm_array *in = t_reals(N), *affines = t_affines(N), *out[2], *kept[2];
    struct results expected, results;
    struct storm storm = {.pool = t_open(N_WORKERS, FM_CALLER_SLEEPS), .random = t_random_begin()};
    pthread_t thread;
    int n_rounds = 0;
    for (int i = 0; i < 2; i++) {
        out[i] = t_vector(FM_F64, N);
        kept[i] = t_vector(FM_F64, N);
    }
    reduce_all(storm.pool, in, affines, out[0], kept[0], &expected);
    pthread_create(&thread, NULL, rage, &storm);
    for (int calm = 0; calm < 3; calm += atomic_load(&storm.is_over), n_rounds++) {
        memset(fm_array_data(out[1]), 0, N * sizeof(double));
        memset(fm_array_data(kept[1]), 0, N * sizeof(double));
        reduce_all(storm.pool, in, affines, out[1], kept[1], &results);
        assert_memory_equal(&results, &expected, sizeof results);
        assert_memory_equal(fm_array_data(out[1]), fm_array_data(out[0]), N * sizeof(double));
        assert_memory_equal(fm_array_data(kept[1]), fm_array_data(kept[0]), N * sizeof(double));
    }
    pthread_join(thread, NULL);
    printf("%d rounds of six\n", n_rounds);
    t_destroy(storm.pool);
    for (int i = 0; i < 2; i++) {
        fm_array_destroy(out[i]);
        fm_array_destroy(kept[i]);
    }
    fm_array_destroy(in);
    fm_array_destroy(affines);
}

T_MAIN(T_TEST(test_reduce_storm_of_500_kills_changes_no_bit))
