/* SPDX-License-Identifier: MIT */
/* LABELS: crash stress fork */
/* TIMEOUT: 120 */
/*
 * A storm of worker kills over in-place maps. In place, because a function that updates its rows shows what an
 * out-of-place one hides: an item that ran twice, or not at all. Bursts and quiet times alternate, so that a lost
 * wake-up in a quiet time is not repaired by the next death; a map that does not end is ended by the time limit of the test.
 */
#include "t.h"
#include "victim.h"

#include <forkmap/forkmap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { N_ITEMS = 4096, N_WORKERS = 2, WORK = 200 };

struct storm {
    fm_pool *pool;
    uint64_t n_deaths; /* to be reached: a kill may meet a worker that is dead already */
    struct t_random random;
    _Atomic int is_over;
};

static void *rage(void *arg)
{
    struct storm *storm = arg;
    fm_pool_counters counters = {0};
    for (int i = 0; counters.deaths < storm->n_deaths; i++) {
        t_kill_a_worker(storm->pool, &storm->random);
        t_sleep_us((int64_t)t_random_below(&storm->random, 1500));
        if (i % 200 == 199)
            t_sleep_us(30000); /* quiet */
        if (fm_pool_stats(storm->pool, &counters) != 0)
            break;
    }
    atomic_store(&storm->is_over, 1);
    return NULL;
}

/* x -> 3 x + 1, not idempotent, of some microseconds. */
static int step_item(const void *item, void *result, void *arg)
{
    volatile uint64_t x = *(const uint64_t *)item;
    (void)arg;
    for (int i = 0; i < WORK; i++)
        x = x + 1;
    *(uint64_t *)result = (x - WORK) * 3 + 1;
    return 0;
}

static int step_chunk(const fm_chunk *chunk, void *arg)
{
    for (int64_t i = 0; i < chunk->count; i++) {
        char *row = (char *)chunk->out + i * chunk->out_stride;
        step_item(row, row, arg);
    }
    return 0;
}

static void fill(fm_array *a, uint64_t *expected)
{
    for (uint64_t i = 0; i < N_ITEMS; i++)
        expected[i] = ((uint64_t *)fm_array_data(a))[i] = i;
}

static int64_t count_wrong(const fm_array *a, uint64_t *expected)
{
    int64_t n_wrong = 0;
    for (int64_t i = 0; i < N_ITEMS; i++) {
        expected[i] = expected[i] * 3 + 1;
        n_wrong += ((uint64_t *)fm_array_data(a))[i] != expected[i];
    }
    return n_wrong;
}

/* Maps in place until the storm is over, and a few times after it. */
static void weather(uint64_t n_deaths, int with_chunks)
{
    static uint64_t expected[N_ITEMS];
    struct storm storm = {.n_deaths = n_deaths, .random = t_random_begin()};
    fm_array *a;
    pthread_t thread;
    int64_t n = N_ITEMS, n_maps = 0;
    fm_pool_counters counters;
    const fm_map_opts *opts = FM_MAP_OPTS(.flags = FM_IN_PLACE, .retries = 20);
    assert_int_equal(fm_pool_open(&storm.pool, FM_POOL_OPTS(.workers = N_WORKERS)), 0);
    assert_int_equal(fm_array_create(&a, FM_U64, 1, &n, NULL), 0);
    fill(a, expected);
    pthread_create(&thread, NULL, rage, &storm);
    for (int calm = 0; calm < 20; calm += atomic_load(&storm.is_over), n_maps++) {
        int rc = with_chunks ? fm_pool_map_chunks(storm.pool, step_chunk, a, a, opts)
                             : fm_pool_map(storm.pool, step_item, a, a, opts);
        assert_int_equal(rc, 0);
        assert_int_equal(count_wrong(a, expected), 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(fm_pool_stats(storm.pool, &counters), 0);
    printf("%lld maps, %llu deaths, %llu reruns, %llu bytes undone\n", (long long)n_maps,
           (unsigned long long)counters.deaths, (unsigned long long)counters.reruns,
           (unsigned long long)counters.undo_bytes);
    assert_true(counters.deaths >= n_deaths);
    assert_true(counters.reruns > 0);
    fm_array_destroy(a);
    assert_int_equal(fm_pool_destroy(storm.pool), 0);
}

static void test_storm_of_kills_leaves_in_place_items_exact(void **state)
{
    (void)state;
    weather((uint64_t)t_times(400, 2000), 0);
}

static void test_storm_of_kills_leaves_in_place_chunks_exact(void **state)
{
    (void)state;
    weather((uint64_t)t_times(400, 2000), 1);
}

T_MAIN(T_EACH_METHOD(test_storm_of_kills_leaves_in_place_items_exact),
       T_EACH_METHOD(test_storm_of_kills_leaves_in_place_chunks_exact))
