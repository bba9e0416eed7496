/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* FM_CALLER_ONLY: a pool without processes, with the results and the rules of the others. */
#include "t_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static fm_pool *open_serial(void)
{
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 8, .caller = FM_CALLER_ONLY)), 0);
    return pool;
}

static int tell_pid(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item == fm_worker_rank() ? getpid() : 0;
    return 0;
}

static void test_serial_pool_has_no_process_but_the_caller(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 1);
    fm_pool *pool = open_serial();
    assert_int_equal(fm_pool_workers(pool), 1);
    assert_int_equal(fm_pool_warden_pid(pool), 0);
    t_expect(fm_pool_map_range(pool, tell_pid, 0, 1, out, NULL), 0);
    assert_int_equal(*(int64_t *)fm_array_data(out), getpid());
    assert_int_equal(t_n_children(), 0);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int square(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item * *(const int64_t *)item;
    return 0;
}

static int add_all(const fm_chunk *chunk, void *arg)
{
    for (int64_t i = 0; i < chunk->count; i++)
        ((int64_t *)chunk->out)[i] = ((const int64_t *)chunk->in[0])[i] + *(int64_t *)arg;
    return 0;
}

static int multiply(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)items[0] * *(const int64_t *)items[1];
    return 0;
}

static void test_serial_pool_maps_as_others_do(void **state)
{
    enum { N = 1000 };
    (void)state;
    fm_array *in = t_counted(N), *out = t_vector(FM_I64, N), *two = t_vector(FM_I64, 1);
    const int64_t *y = fm_array_data(out);
    int64_t five = 5;
    *(int64_t *)fm_array_data(two) = 2;
    fm_pool *pool = open_serial();
    for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
        t_expect(fm_pool_map(pool, square, in, out, FM_MAP_OPTS(.schedule = schedule)), 0);
        for (int64_t i = 0; i < N; i++)
            assert_int_equal(y[i], i * i);
        t_expect(fm_pool_map_chunks(pool, add_all, in, out,
                                    FM_MAP_OPTS(.schedule = schedule, .arg = &five)),
                 0);
        for (int64_t i = 0; i < N; i++)
            assert_int_equal(y[i], i + 5);
        t_expect(fm_pool_starmap(pool, multiply, (fm_array *[]){in, two}, 2, out,
                                 FM_MAP_OPTS(.schedule = schedule)),
                 0);
        for (int64_t i = 0; i < N; i++)
            assert_int_equal(y[i], 2 * i);
    }
    t_expect(fm_pool_map(pool, square, out, out, FM_MAP_OPTS(.flags = FM_IN_PLACE)), 0);
    assert_int_equal(y[7], 14 * 14);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(two);
}

static int fail_at_three_and_seven(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = i;
    return i == 3 || i == 7 ? (int)i : 0;
}

static void test_serial_pool_records_failures_as_others_do(void **state)
{
    (void)state;
    fm_failure list[4];
    fm_array *out = t_vector(FM_I64, 10), *status = t_vector(FM_U8, 10);
    fm_pool *pool = open_serial();
    t_expect(fm_pool_map_range(pool, fail_at_three_and_seven, 0, 10, out, NULL), FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, list, 4), 1);
    assert_int_equal(list[0].item, 3);
    t_expect(fm_pool_map_range(
                 pool, fail_at_three_and_seven, 0, 10, out,
                 FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE, .retries = 2, .status = status)),
             FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, list, 4), 2);
    assert_int_equal(list[1].item, 7);
    assert_int_equal(list[1].code, 7);
    assert_int_equal(list[1].attempt, 3);
    const uint8_t *states = fm_array_data(status);
    for (int i = 0; i < 10; i++)
        assert_int_equal(states[i], i == 3 || i == 7 ? FM_ITEM_FAILED : FM_ITEM_DONE);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

struct steps {
    int n_begun, n_ended;
};

static int begin(int rank, void *arg)
{
    ((struct steps *)arg)->n_begun++;
    return rank;
}

static int end(int rank, void *arg)
{
    ((struct steps *)arg)->n_ended++;
    return rank;
}

static void test_serial_pool_initializes_and_finalizes_the_caller_once(void **state)
{
    (void)state;
    struct steps steps = {0};
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.caller = FM_CALLER_ONLY, .initializer = begin,
                                              .finalizer = end, .init_arg = &steps)),
             0);
    assert_int_equal(steps.n_begun, 1);
    assert_int_equal(steps.n_ended, 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_FOREVER), 0);
    assert_int_equal(steps.n_ended, 1);
    t_destroy(pool);
    assert_int_equal(steps.n_ended, 1);
}

static int refuse(int rank, void *arg)
{
    (void)arg;
    return rank + 5;
}

static void test_serial_pool_whose_initializer_fails_is_not_opened(void **state)
{
    (void)state;
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.caller = FM_CALLER_ONLY, .initializer = refuse)),
             FM_EINIT);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "5"));
}

struct close_arg {
    fm_pool *pool;
    struct steps *steps;
};

static int close_own_pool(const void *item, void *result, void *arg)
{
    struct close_arg *a = arg;
    if (*(const int64_t *)item == 2 && fm_pool_close(a->pool) != 0)
        return 1;
    *(int64_t *)result = a->steps->n_ended; /* not before the map is over */
    return 0;
}

static void test_serial_pool_that_is_closed_in_a_map_is_finalized_after_it(void **state)
{
    (void)state;
    struct steps steps = {0};
    fm_pool *pool;
    fm_array *out = t_vector(FM_I64, 5);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.caller = FM_CALLER_ONLY, .finalizer = end,
                                              .init_arg = &steps)),
             0);
    struct close_arg arg = {pool, &steps};
    t_expect(fm_pool_map_range(pool, close_own_pool, 0, 5, out, FM_MAP_OPTS(.arg = &arg)), 0);
    assert_int_equal(((int64_t *)fm_array_data(out))[4], 0);
    assert_int_equal(steps.n_ended, 1);
    t_expect(fm_pool_map_range(pool, square, 0, 5, out, NULL), FM_ECLOSED);
    t_destroy(pool);
    fm_array_destroy(out);
}

struct mapper {
    fm_pool *pool;
    int code, is_right;
};

static void *map_in_thread(void *arg)
{
    struct mapper *m = arg;
    fm_array *out;
    int64_t n = 2000;
    m->is_right = 1;
    m->code = fm_array_zeros(&out, FM_I64, 1, &n);
    for (int k = 0; k < 20 && m->code == 0; k++)
        m->code = fm_pool_map_range(m->pool, square, 0, n, out, NULL);
    for (int64_t i = 0; i < n; i++)
        m->is_right &= ((int64_t *)fm_array_data(out))[i] == i * i;
    fm_array_destroy(out);
    return NULL;
}

static void test_serial_pool_may_be_used_by_several_threads(void **state)
{
    enum { N = 3 };
    (void)state;
    pthread_t threads[N];
    struct mapper mappers[N];
    fm_pool *pool = open_serial();
    for (int i = 0; i < N; i++) {
        mappers[i] = (struct mapper){.pool = pool};
        assert_int_equal(pthread_create(&threads[i], NULL, map_in_thread, &mappers[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        t_expect(mappers[i].code, 0);
        assert_int_equal(mappers[i].is_right, 1);
    }
    t_destroy(pool);
}

static int look_for_the_end(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return __atomic_load_n(&((struct steps *)arg)->n_ended,
                           __ATOMIC_RELAXED); /* a late call fails */
}

static int end_slowly(int rank, void *arg)
{
    __atomic_fetch_add(&((struct steps *)arg)->n_ended, 1, __ATOMIC_RELAXED);
    t_sleep_ms(1);
    return rank;
}

static void *map_until_closed(void *arg)
{
    struct close_arg *a = arg;
    int rc;
    do
        rc = fm_pool_map_range(a->pool, look_for_the_end, 0, 3, NULL, FM_MAP_OPTS(.arg = a->steps));
    while (rc == 0);
    return (void *)(intptr_t)(rc == FM_ECLOSED ? 0 : rc);
}

/* Whoever leaves last finalizes, and nobody is inside then. */
static void test_serial_pool_closed_under_threads_is_finalized_once_after_the_last_map(void **state)
{
    enum { N = 3, ROUNDS = 200 };
    (void)state;
    pthread_t threads[N];
    void *code;
    for (int round = 0; round < ROUNDS; round++) {
        struct steps steps = {0};
        struct close_arg arg = {.steps = &steps};
        t_expect(fm_pool_open(&arg.pool, FM_POOL_OPTS(.caller = FM_CALLER_ONLY,
                                                      .finalizer = end_slowly, .init_arg = &steps)),
                 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, map_until_closed, &arg), 0);
        if (round % 2 != 0)
            t_sleep_ms(1);
        t_expect(fm_pool_close(arg.pool), 0);
        for (int i = 0; i < N; i++) {
            pthread_join(threads[i], &code);
            t_expect((int)(intptr_t)code, 0);
        }
        t_destroy(arg.pool);
        assert_int_equal(steps.n_ended, 1);
    }
}

T_MAIN(T_TEST(test_serial_pool_has_no_process_but_the_caller),
       T_TEST(test_serial_pool_maps_as_others_do),
       T_TEST(test_serial_pool_records_failures_as_others_do),
       T_TEST(test_serial_pool_initializes_and_finalizes_the_caller_once),
       T_TEST(test_serial_pool_whose_initializer_fails_is_not_opened),
       T_TEST(test_serial_pool_that_is_closed_in_a_map_is_finalized_after_it),
       T_TEST(test_serial_pool_may_be_used_by_several_threads),
       T_TEST(test_serial_pool_closed_under_threads_is_finalized_once_after_the_last_map))
