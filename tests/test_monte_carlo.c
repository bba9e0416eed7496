/* SPDX-License-Identifier: MIT */
/* LABELS: stress crash */
/* TIMEOUT: 120 */
/*
 * A Monte Carlo map-reduce has one SHA-256, whoever computes it: all results of the items and their moments, for any number of
 * workers, any schedule, and with workers killed all along. The reference is made by the caller alone. Digests are those
 * of sha256sum, so that no code of ours says that two outputs are the same.
 */
#include "t_pool.h"
#include "victim.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { N = 8000, STEPS = 800, KILL_US = 20000, DIGEST = 64 };

#define SEED 20240229u

static const int worker_counts[] = {1, 2, 3, 5, 8};
static const char *const schedules[] = {"auto", "static", "dynamic", "guided"}; /* from 1 */

/* What a call option is worth on one path of a random walk. `arg` counts walks. */
static int walk(const void *item, void *result, void *arg)
{
    fm_random r = fm_rng(*(const int64_t *)item);
    double price = 100;
    atomic_fetch_add((_Atomic int64_t *)arg, 1);
    for (int i = 0; i < STEPS; i++)
        price += price * 0.005 * fm_random_normal(&r);
    *(double *)result = price > 105 ? price - 105 : 0;
    return 0;
}

/* ---- digests ---- */

struct digest {
    char text[DIGEST + 1];
};

static struct digest digest_of(fm_array *rows, const fm_moments *moments)
{
    struct digest d = {{0}};
    char path[300], command[400];
    snprintf(path, sizeof path, "%s/output", t_temp_dir());
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(fm_array_data(rows), 1, fm_array_bytes(rows), file),
                     fm_array_bytes(rows));
    assert_int_equal(fwrite(moments, 1, sizeof *moments, file), sizeof *moments);
    assert_int_equal(fclose(file), 0);
    snprintf(command, sizeof command, "sha256sum <'%s'", path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t n = fread(d.text, 1, DIGEST, pipe);
    while (fgetc(pipe) != EOF)
        ;
    if (pclose(pipe) != 0 || n != DIGEST)
        t_skip("sha256sum");
    return d;
}

/* Rows are cleared first: what is left of an earlier run would have the right digest. */
static struct digest map_reduce(fm_pool *pool, fm_array *rows, fm_array *walks, int schedule)
{
    fm_moments moments;
    memset(fm_array_data(rows), 0xff, fm_array_bytes(rows));
    memset(&moments, 0, sizeof moments);
    const fm_reduce_opts *opts = FM_REDUCE_OPTS(.rows = rows, .map = {.schedule = schedule,
                                                                      .seed = SEED,
                                                                      .retries = 20,
                                                                      .arg = fm_array_data(walks)});
    t_expect(fm_pool_map_range_reduce(pool, walk, 0, N, FM_F64, FM_MEAN_VARIANCE, &moments,
                                      sizeof moments, opts),
             0);
    return digest_of(rows, &moments);
}

static struct digest reference(fm_array *rows, fm_array *walks)
{
    fm_pool *alone = t_open(1, FM_CALLER_ONLY);
    const struct digest d = map_reduce(alone, rows, walks, FM_SCHEDULE_AUTO);
    t_destroy(alone);
    printf("%s\n", d.text);
    return d;
}

/* ---- kills ---- */

struct killer {
    fm_pool *pool;
    struct t_random random;
    _Atomic int64_t *n_walks;
    _Atomic int is_over;
};

/* If a start takes longer than that, as under a sanitizer, until somebody works again: workers that never come so far break the pool. */
static void *kill_now_and_then(void *arg)
{
    struct killer *killer = arg;
    for (t_sleep_us(KILL_US); !atomic_load(&killer->is_over);) {
        t_kill_a_worker(killer->pool, &killer->random);
        t_sleep_us(1000); /* until it is dead */
        const int64_t n_walks = atomic_load(killer->n_walks);
        do
            t_sleep_us(KILL_US - 1000);
        while (!atomic_load(&killer->is_over) && atomic_load(killer->n_walks) == n_walks);
    }
    return NULL;
}

static struct digest map_reduce_under_kills(fm_pool *pool, fm_array *rows, fm_array *walks,
                                            int schedule, struct t_random *random)
{
    struct killer killer = {.pool = pool, .random = *random, .n_walks = fm_array_data(walks)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, kill_now_and_then, &killer), 0);
    const struct digest d = map_reduce(pool, rows, walks, schedule);
    atomic_store(&killer.is_over, 1);
    pthread_join(thread, NULL);
    *random = killer.random;
    return d;
}

/* ---- all runs ---- */

/* Of `random` NULL: in peace. Returns how many workers died. */
static uint64_t compare_all(struct t_random *random)
{
    fm_array *rows = t_vector(FM_F64, N), *walks = t_vector(FM_I64, 1);
    const struct digest expected = reference(rows, walks);
    uint64_t deaths = 0;
    for (size_t k = 0; k < T_N_OF(worker_counts); k++)
        for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
            fm_pool_counters counters;
            fm_pool *pool = t_open(worker_counts[k], FM_CALLER_SLEEPS);
            const struct digest d =
                random == NULL ? map_reduce(pool, rows, walks, schedule)
                               : map_reduce_under_kills(pool, rows, walks, schedule, random);
            if (strcmp(d.text, expected.text) != 0)
                fail_msg("%d workers, %s: %s instead of %s", worker_counts[k],
                         schedules[schedule - 1], d.text, expected.text);
            t_expect(fm_pool_stats(pool, &counters), 0);
            deaths += counters.deaths;
            t_destroy(pool);
        }
    fm_array_destroy(rows);
    fm_array_destroy(walks);
    return deaths;
}

static void test_monte_carlo_has_one_sha256_for_any_workers_and_schedule(void **state)
{
    (void)state;
    assert_int_equal(compare_all(NULL), 0);
}

static void test_monte_carlo_has_one_sha256_with_a_kill_every_20_ms(void **state)
{
    (void)state;
    struct t_random random = t_random_begin();
    const uint64_t deaths = compare_all(&random);
    printf("%llu deaths\n", (unsigned long long)deaths);
    assert_true(deaths > 0);
}

T_MAIN(T_TEST(test_monte_carlo_has_one_sha256_for_any_workers_and_schedule),
       T_TEST(test_monte_carlo_has_one_sha256_with_a_kill_every_20_ms))
