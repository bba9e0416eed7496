/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* Several host threads, several pools, and ends that come while maps run. */
#include "t_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- several maps at once ---- */

static int add_value(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)arg;
    return 0;
}

static int fail_at_value(const void *item, void *result, void *arg)
{
    (void)result;
    return *(const int64_t *)item == *(const int64_t *)arg ? 7 : 0;
}

struct mapper {
    pthread_t thread;
    fm_pool *pool;
    int64_t value;
    int n_maps;
    int n_wrong; /* cmocka's assertions belong to the main thread */
};

static void *map_many(void *arg)
{
    struct mapper *m = arg;
    fm_array *in, *out;
    if (fm_array_arange(&in, FM_I64, 0, 300, 1) != 0 ||
        fm_array_arange(&out, FM_I64, 0, 300, 1) != 0) {
        m->n_wrong = 1;
        return NULL;
    }
    for (int round = 0; round < m->n_maps; round++) {
        int64_t value = m->value + round;
        m->n_wrong += fm_pool_map(m->pool, add_value, in, out,
                                  FM_MAP_OPTS(.arg = &value, .arg_bytes = sizeof value,
                                              .chunk = round % 5)) != 0;
        for (int64_t i = 0; i < 300; i++)
            m->n_wrong += ((int64_t *)fm_array_data(out))[i] != i + value;
    }
    fm_array_destroy(in);
    fm_array_destroy(out);
    return NULL;
}

static void run_mappers(struct mapper *mappers, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(pthread_create(&mappers[i].thread, NULL, map_many, &mappers[i]), 0);
    for (int i = 0; i < n; i++)
        pthread_join(mappers[i].thread, NULL);
    for (int i = 0; i < n; i++)
        assert_int_equal(mappers[i].n_wrong, 0);
}

static void map_from_threads(int caller)
{
    struct mapper mappers[6];
    fm_pool *pool = t_open(3, caller);
    for (int i = 0; i < 6; i++)
        mappers[i] = (struct mapper){.pool = pool, .value = 1000 * i, .n_maps = 60};
    run_mappers(mappers, 6);
    t_destroy(pool);
}

static void test_map_from_several_threads_gives_each_its_results(void **state)
{
    (void)state;
    map_from_threads(FM_CALLER_SLEEPS);
    map_from_threads(FM_CALLER_WORKS);
}

/* More maps than a pool has slots for (64). */
static void test_map_from_a_hundred_threads_waits_for_room(void **state)
{
    (void)state;
    enum { N = 100 };
    struct mapper *mappers = calloc(N, sizeof *mappers);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int i = 0; i < N; i++)
        mappers[i] = (struct mapper){.pool = pool, .value = i, .n_maps = 3};
    run_mappers(mappers, N);
    t_destroy(pool);
    free(mappers);
}

static void test_map_on_two_pools_at_once_gives_each_its_results(void **state)
{
    (void)state;
    fm_pool *pools[2] = {t_open(2, FM_CALLER_SLEEPS), t_open(2, FM_CALLER_WORKS)};
    struct mapper mappers[4];
    for (int i = 0; i < 4; i++)
        mappers[i] = (struct mapper){.pool = pools[i % 2], .value = 77 * i, .n_maps = 100};
    run_mappers(mappers, 4);
    t_destroy(pools[0]);
    t_destroy(pools[1]);
}

static void test_map_uses_arrays_that_were_created_after_the_pool(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int64_t n = 1; n < 3000000; n *= 7) { /* the largest takes new pages of the heap */
        fm_array *in = t_counted(n), *out = t_vector(FM_I64, n), *value = t_counted(2);
        t_expect(fm_pool_map(pool, add_value, in, out,
                             FM_MAP_OPTS(.arg = (int64_t *)fm_array_data(value) + 1)),
                 0);
        for (int64_t i = 0; i < n; i++)
            if (((int64_t *)fm_array_data(out))[i] != i + 1)
                fail_msg("item %lld of %lld", (long long)i, (long long)n);
        fm_array_destroy(in);
        fm_array_destroy(out);
        fm_array_destroy(value);
    }
    t_destroy(pool);
}

static void *failing_thread(void *arg)
{
    struct mapper *m = arg;
    fm_failure failure;
    for (int round = 0; round < m->n_maps; round++) {
        int64_t value = m->value + round;
        m->n_wrong += fm_pool_failures(m->pool, NULL, 0) !=
                      (round == 0 ? 0 : 1); /* still those of this thread */
        m->n_wrong +=
            fm_pool_map_range(m->pool, fail_at_value, 0, 1000, NULL,
                              FM_MAP_OPTS(.arg = &value, .arg_bytes = sizeof value)) != FM_ETASK;
        m->n_wrong += fm_pool_failures(m->pool, &failure, 1) != 1 || failure.item != value;
    }
    return NULL;
}

static void test_map_failure_records_belong_to_the_thread(void **state)
{
    (void)state;
    struct mapper mappers[4];
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int i = 0; i < 4; i++) {
        mappers[i] = (struct mapper){.pool = pool, .value = 200 * i, .n_maps = 20};
        assert_int_equal(pthread_create(&mappers[i].thread, NULL, failing_thread, &mappers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(mappers[i].thread, NULL);
        assert_int_equal(mappers[i].n_wrong, 0);
    }
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0); /* this thread has had none */
    t_destroy(pool);
}

static void *open_and_leave(void *arg)
{
    return (void *)(intptr_t)fm_pool_open(arg, FM_POOL_OPTS(.workers = 2));
}

static int number_itself(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static void test_map_goes_on_after_the_thread_that_opened_the_pool_has_ended(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 100);
    fm_pool *pool;
    pthread_t thread;
    void *rc;
    assert_int_equal(pthread_create(&thread, NULL, open_and_leave, &pool), 0);
    pthread_join(thread, &rc);
    assert_null(rc);
    t_expect(fm_pool_map_range(pool, number_itself, 0, 100, out, NULL), 0);
    assert_int_equal(((int64_t *)fm_array_data(out))[99], 99);
    t_destroy(pool);
    fm_array_destroy(out);
}

/* ---- ends that come while maps run ---- */

static int take_a_while(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    t_sleep_ms(1);
    *(int64_t *)result = 1;
    return 0;
}

struct long_map {
    pthread_t thread;
    fm_pool *pool;
    fm_array *out;
    _Atomic int rc, is_over;
    _Atomic int has_begun;
};

static int note_begin(const fm_progress *p, void *arg)
{
    struct long_map *m = arg;
    if (p->n_done > 0)
        m->has_begun = 1;
    return 0;
}

static void *run_long_map(void *arg)
{
    struct long_map *m = arg;
    m->rc = fm_pool_map_range(m->pool, take_a_while, 0, fm_array_len(m->out), m->out,
                              FM_MAP_OPTS(.chunk = 1, .progress = note_begin, .progress_arg = m,
                                          .progress_interval = FM_MS(1)));
    m->is_over = 1;
    return NULL;
}

static void start_long_map(struct long_map *m, fm_pool *pool, int64_t n)
{
    *m = (struct long_map){.pool = pool, .out = t_vector(FM_I64, n)};
    assert_int_equal(pthread_create(&m->thread, NULL, run_long_map, m), 0);
    while (!m->has_begun)
        t_sleep_ms(1);
}

static void test_map_is_finished_by_close(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        struct long_map m;
        fm_pool *pool = t_open(2, caller);
        start_long_map(&m, pool, 100);
        t_expect(fm_pool_close(pool), 0);
        t_expect(fm_pool_map_range(pool, take_a_while, 0, 1, m.out, NULL), FM_ECLOSED);
        t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
        pthread_join(m.thread, NULL);
        t_expect(m.rc, 0);
        for (int i = 0; i < 100; i++)
            assert_int_equal(((int64_t *)fm_array_data(m.out))[i], 1);
        t_destroy(pool);
        fm_array_destroy(m.out);
    }
}

static void cancel_by(int (*end)(fm_pool *), int caller)
{
    struct long_map m;
    fm_pool *pool = t_open(2, caller);
    start_long_map(&m, pool, 100000);
    t_expect(end(pool), 0);
    pthread_join(m.thread, NULL);
    t_expect(m.rc, FM_ECANCELLED);
    if (end != fm_pool_destroy)
        t_destroy(pool);
    fm_array_destroy(m.out);
}

static void test_map_is_cancelled_by_terminate(void **state)
{
    (void)state;
    cancel_by(fm_pool_terminate, FM_CALLER_SLEEPS);
    cancel_by(fm_pool_terminate, FM_CALLER_WORKS);
}

static void test_map_is_cancelled_by_destroy(void **state)
{
    (void)state;
    cancel_by(fm_pool_destroy, FM_CALLER_SLEEPS);
    cancel_by(fm_pool_destroy, FM_CALLER_WORKS);
}

static int write_one(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(int64_t *)result = 1;
    return 0;
}

/* Maps in a loop until the pool's end stops them. Each that says 0 must be whole. */
static void *map_until_refused(void *arg)
{
    struct long_map *m = arg;
    const int64_t *values = fm_array_data(m->out), n = fm_array_len(m->out);
    do {
        memset(fm_array_data(m->out), 0, fm_array_bytes(m->out));
        m->rc = fm_pool_map_range(m->pool, write_one, 0, n, m->out, FM_MAP_OPTS(.chunk = 3));
        m->has_begun = 1;
        for (int64_t i = 0; m->rc == 0 && i < n; i++)
            if (values[i] != 1)
                m->rc = 1;
    } while (m->rc == 0);
    return NULL;
}

/* Returns the code with which the loop ended. */
static int end_in_the_middle(int (*end)(fm_pool *), int caller, int64_t n, int wait_us)
{
    struct long_map m = {.out = t_vector(FM_I64, n)};
    struct timespec wait = {.tv_nsec = wait_us * 1000L};
    m.pool = t_open(2, caller);
    assert_int_equal(pthread_create(&m.thread, NULL, map_until_refused, &m), 0);
    while (!m.has_begun)
        t_sleep_ms(1);
    nanosleep(&wait, NULL);
    t_expect(end(m.pool), 0);
    pthread_join(m.thread, NULL);
    t_destroy(m.pool);
    fm_array_destroy(m.out);
    return m.rc;
}

static void test_map_that_began_before_close_is_never_broken_by_it(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++)
        t_expect(end_in_the_middle(fm_pool_close, 1 + round % 2, 4, round), FM_ECLOSED);
}

static void test_map_never_says_done_when_terminate_skipped_items(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        int rc = end_in_the_middle(fm_pool_terminate, 1 + round % 2, 2000, 17 * round);
        if (rc != FM_ECANCELLED)
            t_expect(rc, FM_ECLOSED);
    }
}

T_MAIN(T_TEST(test_map_from_several_threads_gives_each_its_results),
       T_TEST(test_map_from_a_hundred_threads_waits_for_room),
       T_TEST(test_map_on_two_pools_at_once_gives_each_its_results),
       T_TEST(test_map_uses_arrays_that_were_created_after_the_pool),
       T_TEST(test_map_failure_records_belong_to_the_thread),
       T_TEST(test_map_goes_on_after_the_thread_that_opened_the_pool_has_ended),
       T_TEST(test_map_is_finished_by_close), T_TEST(test_map_is_cancelled_by_terminate),
       T_TEST(test_map_is_cancelled_by_destroy),
       T_TEST(test_map_that_began_before_close_is_never_broken_by_it),
       T_TEST(test_map_never_says_done_when_terminate_skipped_items))
