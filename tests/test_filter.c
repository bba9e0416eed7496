/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/* Filters: the rows of a serial loop, in the order of items, with any workers, deaths and failures. */
#include "t_reduce.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 20481 };

static int is_wanted(int64_t i)
{
    return t_mix((uint64_t)i) % 3 == 0 ? -5 : 0; /* not 1: any other value than 0 keeps */
}

static int want(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int *)result = is_wanted(*(const int64_t *)item);
    return 0;
}

/* `out` must have the wanted numbers below n, but for three; what lies behind them is 77. */
static void expect_kept(fm_array *out, int64_t n, int64_t n_kept, const int64_t *without)
{
    const int64_t *row = fm_array_data(out);
    int64_t k = 0;
    for (int64_t i = 0; i < n; i++)
        if (is_wanted(i) &&
            (without == NULL || (i != without[0] && i != without[1] && i != without[2])))
            assert_int_equal(row[k++], i);
    assert_int_equal(k, n_kept);
    for (; k < fm_array_len(out); k++)
        assert_int_equal(row[k], 77);
}

static fm_array *fresh(int64_t n)
{
    fm_array *out = t_vector(FM_I64, n);
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)fm_array_data(out))[i] = 77;
    return out;
}

static void filter_by(fm_pool *pool, int64_t n, int schedule)
{
    fm_array *in = t_counted(n), *out = fresh(n);
    int64_t n_kept = -7;
    t_expect(fm_pool_filter(pool, want, in, out, &n_kept, FM_MAP_OPTS(.schedule = schedule)), 0);
    expect_kept(out, n, n_kept, NULL);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_filter_keeps_the_order_of_items_in_every_way(void **state)
{
    (void)state;
    for (size_t w = 0; w < T_N_OF(t_worker_counts); w++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
            fm_pool *pool = t_open(t_worker_counts[w], caller);
            for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++)
                filter_by(pool, N, schedule);
            t_destroy(pool);
        }
}

static void test_filter_is_right_around_the_borders_of_blocks(void **state)
{
    fm_context context;
    fm_pool *pool;
    assert_int_equal(fm_get_context(t_method(state), &context), 0);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3, .context = &context)), 0);
    for (size_t i = 0; i < T_N_OF(t_sizes); i++)
        filter_by(pool, t_sizes[i], 0);
    filter_by(pool, 0, 0);
    t_destroy(pool);
}

static int want_first(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int *)result = is_wanted(((const int64_t *)item)[0]);
    return 0;
}

/* Rows of two numbers, from either order and through views, into either order. */
static void filter_rows(fm_pool *pool, int in_order, int out_order)
{
    fm_array *in, *out, *view;
    int64_t n_kept, k = 0;
    assert_int_equal(
        fm_array_create(&in, FM_I64, 2, T_SHAPE(9000, 2), FM_ARRAY_OPTS(.order = in_order)), 0);
    assert_int_equal(
        fm_array_create(&out, FM_I64, 2, T_SHAPE(9000, 2), FM_ARRAY_OPTS(.order = out_order)), 0);
    for (int64_t i = 0; i < 9000; i++)
        for (int64_t d = 0; d < 2; d++)
            *(int64_t *)fm_array_at(in, 2, T_SHAPE(i, d)) = i + d;
    assert_int_equal(fm_array_view(&view, in, (fm_slice[]){{8999, -1, -1}, FM_ALL}), 0);
    t_expect(fm_pool_filter(pool, want_first, view, out, &n_kept, NULL), 0);
    for (int64_t i = 8999; i >= 0; i--)
        for (int64_t d = 0; is_wanted(i) && d < 2; d++)
            assert_int_equal(*(int64_t *)fm_array_at(out, 2, T_SHAPE(d == 0 ? k++ : k - 1, d)),
                             i + d);
    assert_int_equal(k, n_kept);
    fm_array_destroy(view);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_filter_copies_whole_rows_between_both_orders(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    for (int in_order = FM_ORDER_C; in_order <= FM_ORDER_F; in_order++)
        for (int out_order = FM_ORDER_C; out_order <= FM_ORDER_F; out_order++)
            filter_rows(pool, in_order, out_order);
    t_destroy(pool);
}

static void test_filter_without_room_says_how_much_is_needed(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *small = fresh(10), *fitting;
    int64_t n_kept, n_needed;
    t_expect(fm_pool_filter(pool, want, in, NULL, &n_needed, NULL), 0);
    t_expect(fm_pool_filter(pool, want, in, small, &n_kept, NULL), -ENOBUFS);
    assert_int_equal(n_kept, n_needed);
    expect_kept(small, 0, 0, NULL);
    fitting = fresh(n_needed);
    t_expect(fm_pool_filter(pool, want, in, fitting, &n_kept, NULL), 0);
    expect_kept(fitting, N, n_needed, NULL);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(small);
    fm_array_destroy(fitting);
}

/* ---- deaths and failures ---- */

static int want_and_die(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    if (i % 3001 == 77 && atomic_fetch_add(&((_Atomic int64_t *)arg)[i / 3001], 1) == 0)
        raise(SIGKILL);
    return want(item, result, arg);
}

static void test_filter_by_workers_that_are_killed_loses_and_doubles_nothing(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = fresh(N), *seen = t_vector(FM_I64, 10);
    int64_t n_kept;
    t_expect(fm_pool_filter(pool, want_and_die, in, out, &n_kept,
                            FM_MAP_OPTS(.arg = fm_array_data(seen), .retries = 3)),
             0);
    expect_kept(out, N, n_kept, NULL);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(seen);
}

static const int64_t bad[3] = {0, 5001, 12345}; /* wanted, all of them, if they did not fail */

T_UNCHECKED static int want_or_fail(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    *(int *)result = 1;
    if (i == bad[0])
        return 9;
    if (i == bad[1])
        raise(SIGSEGV);
    if (i == bad[2])
        exit(3);
    return want(item, result, arg);
}

static void test_filter_function_that_fails_drops_its_item_or_ends_all(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = fresh(N), *status = t_vector(FM_U8, N);
    fm_failure list[4];
    int64_t n_kept = -7;
    t_expect(fm_pool_filter(pool, want_or_fail, in, out, &n_kept, NULL), FM_ETASK);
    assert_int_equal(n_kept, 0);
    for (int round = 0; round < 2; round++) { /* with a status array of the caller's, and without */
        t_expect(fm_pool_filter(pool, want_or_fail, in, out, &n_kept,
                                FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE,
                                            .status = round == 0 ? status : NULL)),
                 FM_ETASK);
        expect_kept(out, N, n_kept, bad);
        assert_int_equal(fm_pool_failures(pool, list, 4), 3);
        for (int i = 0; i < 3; i++)
            assert_int_equal(list[i].item, bad[i]);
    }
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(status);
}

/* ---- nested ---- */

struct nested {
    fm_pool *pool;
    fm_array *in, *out;
};

static int filter_inside(const void *item, void *result, void *arg)
{
    const struct nested *nested = arg;
    (void)item;
    return fm_pool_filter(nested->pool, want, nested->in, nested->out, result, NULL);
}

static void test_filter_inside_a_function_gives_the_same(void **state)
{
    (void)state;
    struct nested nested = {.in = t_counted(N), .out = fresh(N), .pool = t_open(2, 0)};
    fm_array *n_kept = t_vector(FM_I64, 1);
    t_expect(fm_pool_map_range(nested.pool, filter_inside, 0, 1, n_kept,
                               FM_MAP_OPTS(.arg = &nested, .arg_bytes = sizeof nested)),
             0);
    expect_kept(nested.out, N, *(int64_t *)fm_array_data(n_kept), NULL);
    t_destroy(nested.pool);
    fm_array_destroy(nested.in);
    fm_array_destroy(nested.out);
    fm_array_destroy(n_kept);
}

static void test_filter_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(10), *out = fresh(10), *reals = t_vector(FM_F64, 10),
             *table = t_array(FM_I64, 2, T_SHAPE(10, 2));
    int64_t n_kept;
    const struct {
        fm_item_fn *keep;
        fm_array *in, *out;
        int64_t *n_kept;
        const fm_map_opts *opts;
    } wrong[] = {
        {NULL, in, out, &n_kept, NULL},
        {want, NULL, out, &n_kept, NULL},
        {want, in, in, &n_kept, NULL},
        {want, in, reals, &n_kept, NULL},
        {want, in, table, &n_kept, NULL},
        {want, in, out, NULL, NULL},
        {want, in, out, &n_kept, FM_MAP_OPTS(.flags = FM_IN_PLACE)},
        {want, in, out, &n_kept, FM_MAP_OPTS(.status = reals)},
        {want, in, out, &n_kept, FM_MAP_OPTS(.chunk = -9)},
    };
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        int rc = fm_pool_filter(pool, wrong[i].keep, wrong[i].in, wrong[i].out, wrong[i].n_kept,
                                wrong[i].opts);
        if (rc != -EINVAL)
            fail_msg("case %zu: %s: %s", i, fm_errname(rc), fm_error_detail());
    }
    expect_kept(out, 0, 0, NULL);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(reals);
    fm_array_destroy(table);
}

T_MAIN(T_TEST(test_filter_keeps_the_order_of_items_in_every_way),
       T_EACH_METHOD(test_filter_is_right_around_the_borders_of_blocks),
       T_TEST(test_filter_copies_whole_rows_between_both_orders),
       T_TEST(test_filter_without_room_says_how_much_is_needed),
       T_TEST(test_filter_by_workers_that_are_killed_loses_and_doubles_nothing),
       T_TEST(test_filter_function_that_fails_drops_its_item_or_ends_all),
       T_TEST(test_filter_inside_a_function_gives_the_same),
       T_TEST(test_filter_refuses_what_makes_no_sense))
