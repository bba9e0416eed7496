/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Reductions of a function's results, and reductions that fail: the record names the item, others count, and the bits are those of an
 * undisturbed run, whoever is killed.
 */
#include "t_reduce.h"

#include "fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { N = 20481 };

static int real_of(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = t_real(*(const int64_t *)item);
    return 0;
}

static double sum_of_reals(void)
{
    fm_array *all = t_reals(N);
    double sum = t_sum(fm_array_data(all), N);
    fm_array_destroy(all);
    return sum;
}

static fm_pool *open_by(int method)
{
    fm_context context;
    fm_pool *pool;
    assert_int_equal(fm_get_context(method, &context), 0);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3, .context = &context)), 0);
    return pool;
}

/* ---- results of a function ---- */

static void test_map_reduce_has_the_bits_of_map_and_serial_tree(void **state)
{
    fm_array *in = t_counted(N);
    const double expected = sum_of_reals();
    fm_pool *pool = open_by(t_method(state));
    double sum = 0;
    t_expect(fm_pool_map_reduce(pool, real_of, in, FM_F64, FM_SUM, &sum, sizeof sum, NULL), 0);
    t_same_bits(sum, expected);
    sum = 0;
    t_expect(fm_pool_map_range_reduce(pool, real_of, 0, N, FM_F64, FM_SUM, &sum, sizeof sum, NULL),
             0);
    t_same_bits(sum, expected);
    t_destroy(pool);
    fm_array_destroy(in);
}

static void test_map_reduce_has_the_same_bits_in_every_way(void **state)
{
    (void)state;
    const double expected = sum_of_reals();
    for (size_t w = 0; w < T_N_OF(t_worker_counts); w++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
            fm_pool *pool = t_open(t_worker_counts[w], caller);
            for (int schedule = FM_SCHEDULE_AUTO; schedule <= FM_SCHEDULE_GUIDED; schedule++) {
                double sum = 0;
                t_expect(fm_pool_map_range_reduce(
                             pool, real_of, 0, N, FM_F64, FM_SUM, &sum, sizeof sum,
                             FM_REDUCE_OPTS(.map = {.schedule = schedule, .chunk = 100})),
                         0);
                t_same_bits(sum, expected);
            }
            t_destroy(pool);
        }
}

static int affine_of(const void *item, void *result, void *arg)
{
    (void)arg;
    *(struct t_affine *)result = t_affine_of(*(const int64_t *)item);
    return 0;
}

static void test_map_reduce_by_a_function_keeps_the_order_of_items(void **state)
{
    const struct t_affine expected = t_all_affines(N);
    struct t_affine all;
    fm_pool *pool = open_by(t_method(state));
    t_expect(fm_pool_map_range_reduce(
                 pool, affine_of, 0, N, FM_STRUCT(sizeof(struct t_affine)), FM_COMBINE, &all,
                 sizeof all, FM_REDUCE_OPTS(.combine = t_combine_affine, .identity = T_IDENTITY)),
             0);
    t_same_bits(all, expected);
    t_destroy(pool);
}

static int count_progress(const fm_progress *p, void *arg)
{
    *(int64_t *)arg = p->n_items;
    return 0;
}

static void test_map_reduce_keeps_rows_status_and_progress_of_items(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *rows = t_vector(FM_F64, N), *status = t_vector(FM_U8, N);
    int64_t n_items = 0, item = -7;
    t_expect(
        fm_pool_map_range_reduce(pool, real_of, 0, N, FM_F64, FM_ARGMAX, &item, sizeof item,
                                 FM_REDUCE_OPTS(.rows = rows, .map = {.status = status,
                                                                      .progress = count_progress,
                                                                      .progress_arg = &n_items})),
        0);
    const double *x = fm_array_data(rows);
    for (int64_t i = 0; i < N; i++) {
        const double expected = t_real(i);
        t_same_bits(x[i], expected);
        assert_int_equal(((uint8_t *)fm_array_data(status))[i], FM_ITEM_DONE);
        assert_true(x[i] <= x[item]);
    }
    assert_int_equal(n_items, N);
    t_destroy(pool);
    fm_array_destroy(rows);
    fm_array_destroy(status);
}

static void test_map_reduce_of_nothing_is_neutral(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    double sum = -7;
    t_expect(fm_pool_map_range_reduce(pool, real_of, 5, 5, FM_F64, FM_SUM, &sum, sizeof sum, NULL),
             0);
    assert_true(sum == 0);
    t_expect(fm_pool_map_range_reduce(pool, real_of, 5, 5, FM_F64, FM_MIN, &sum, sizeof sum, NULL),
             -ENODATA);
    t_destroy(pool);
}

static void test_map_reduce_refuses_what_makes_no_sense(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(10), *other = t_vector(FM_F32, 10), *shorter = t_vector(FM_F64, 9),
             *wide = t_array(FM_F64, 2, T_SHAPE(10, 2));
    double sum = -7;
    const struct {
        fm_item_fn *fn;
        fm_array *in;
        fm_dtype dtype;
        size_t bytes;
        const fm_reduce_opts *opts;
    } wrong[] = {
        {NULL, in, FM_F64, 8, NULL},
        {real_of, NULL, FM_F64, 8, NULL},
        {real_of, in, 0, 8, NULL},
        {real_of, in, FM_STRUCT(8), 8, NULL},
        {real_of, in, FM_F64, 16, NULL},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.rows = other)},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.rows = shorter)},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.rows = wide)},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.rows = in)},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.map = {.status = other})},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.map = {.flags = FM_IN_PLACE})},
        {real_of, in, FM_F64, 8, FM_REDUCE_OPTS(.flags = FM_EXCLUSIVE)},
    };
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        int rc = fm_pool_map_reduce(pool, wrong[i].fn, wrong[i].in, wrong[i].dtype, FM_SUM, &sum,
                                    wrong[i].bytes, wrong[i].opts);
        if (rc != -EINVAL)
            fail_msg("case %zu: %s: %s", i, fm_errname(rc), fm_error_detail());
    }
    t_expect(fm_pool_map_range_reduce(pool, real_of, 5, 4, FM_F64, FM_SUM, &sum, 8, NULL), -EINVAL);
    t_expect(fm_pool_map_range_reduce(pool, real_of, INT64_MIN, INT64_MAX, FM_F64, FM_SUM, &sum, 8,
                                      NULL),
             -EOVERFLOW);
    assert_true(
        fm_pool_map_range_reduce(pool, real_of, 0, INT64_MAX, FM_F64, FM_SUM, &sum, 8, NULL) < 0);
    assert_true(sum == -7);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(other);
    fm_array_destroy(shorter);
    fm_array_destroy(wide);
}

/* ---- functions that fail ---- */

enum { FAILING = 5000, CRASHING = 12345, EXITING = 20480 };

T_UNCHECKED static int fail_some(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    *(double *)result = 1; /* what must not count */
    if (i == FAILING)
        return 9;
    if (i == CRASHING)
        raise(SIGSEGV);
    if (i == EXITING)
        exit(3);
    return real_of(item, result, arg);
}

static void expect_record(fm_pool *pool, int64_t n, int64_t k, int64_t item, int state)
{
    fm_failure list[8];
    assert_int_equal(fm_pool_failures(pool, list, 8), n);
    assert_int_equal(list[k].item, item);
    assert_int_equal(list[k].state, state);
}

static void test_map_reduce_that_fails_names_the_item_and_leaves_the_result(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    double sum = -7;
    t_expect(
        fm_pool_map_range_reduce(pool, fail_some, 0, N, FM_F64, FM_SUM, &sum, sizeof sum, NULL),
        FM_ETASK);
    expect_record(pool, 1, 0, FAILING, FM_ITEM_FAILED);
    int rc = fm_pool_map_range_reduce(
        pool, fail_some, 0, N, FM_F64, FM_SUM, &sum, sizeof sum,
        FM_REDUCE_OPTS(.map = {.on_error = FM_ON_ERROR_CONTINUE, .max_failures = 1}));
    assert_true(rc == FM_ETASK || rc == FM_ECRASHED); /* whichever item came first */
    assert_true(sum == -7);
    t_destroy(pool);
}

/* What is left is added up as if the others were not there, so lanes are those of what is left. */
static void test_map_reduce_that_continues_counts_all_others(void **state)
{
    (void)state;
    struct t_affine expected = {1, 0};
    double first = 0;
    for (int64_t i = 0; i < N; i++)
        if (i != FAILING && i != CRASHING && i != EXITING)
            expected = t_then(expected, t_affine_of(i));
    for (int workers = 1; workers <= 3; workers++) {
        fm_pool *pool = t_open(workers, FM_CALLER_SLEEPS);
        double sum = -7, exact = 0;
        int64_t item;
        const fm_reduce_opts *opts =
            FM_REDUCE_OPTS(.map = {.on_error = FM_ON_ERROR_CONTINUE, .retries = 1});
        t_expect(
            fm_pool_map_range_reduce(pool, fail_some, 0, N, FM_F64, FM_SUM, &sum, sizeof sum, opts),
            FM_ETASK);
        expect_record(pool, 3, 0, FAILING, FM_ITEM_FAILED);
        expect_record(pool, 3, 1, CRASHING, FM_ITEM_CRASHED);
        expect_record(pool, 3, 2, EXITING, FM_ITEM_CRASHED);
        for (int64_t i = 0; i < N; i++)
            exact += i == FAILING || i == CRASHING || i == EXITING ? 0 : t_real(i);
        assert_true(fabs(sum - exact) < 1e-9 * fabs(exact) + 1e-3);
        first = workers == 1 ? sum : first;
        t_same_bits(sum, first);
        t_expect(fm_pool_map_range_reduce(pool, fail_some, FAILING, FAILING + 1, FM_F64, FM_ARGMIN,
                                          &item, sizeof item, opts),
                 FM_ETASK); /* nothing is left */
        t_destroy(pool);
    }
}

static int hang_at_300(const void *item, void *result, void *arg)
{
    while (*(const int64_t *)item == 300)
        t_sleep_ms(10);
    return real_of(item, result, arg);
}

static void test_map_reduce_item_that_hangs_is_ended(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    double sum;
    t_expect(fm_pool_map_range_reduce(pool, hang_at_300, 0, N, FM_F64, FM_SUM, &sum, sizeof sum,
                                      FM_REDUCE_OPTS(.map = {.item_timeout = FM_MS(200)})),
             FM_ETIMEOUT);
    expect_record(pool, 1, 0, 300, FM_ITEM_TIMEOUT);
    t_destroy(pool);
}

/* ---- combine functions that fail ---- */

struct counted {
    int64_t n, sum; /* items in it; their sum */
};

enum { WHEN_ITEM = 1, WHEN_BLOCK = 2 };
enum { BY_RETURN = 1, BY_SIGNAL = 2, BY_EXIT = 3, BY_LOOP = 4 };

struct bad {
    int64_t sum; /* what `from` holds when it happens */
    int when, by;
};

static int combine_counted(void *into, const void *from, void *arg)
{
    struct counted *all = into;
    const struct counted *more = from;
    const struct bad *bad = arg;
    int is_block = more->n > 1;
    if (bad != NULL && is_block == (bad->when == WHEN_BLOCK) && more->sum == bad->sum) {
        fm_note("here");
        if (bad->by == BY_RETURN)
            return 9;
        if (bad->by == BY_SIGNAL)
            raise(SIGSEGV);
        if (bad->by == BY_EXIT)
            exit(3);
        for (;;)
            t_sleep_ms(10);
    }
    all->n += more->n;
    all->sum += more->sum;
    return 0;
}

static fm_array *counted_items(void)
{
    fm_array *in = t_vector(FM_STRUCT(sizeof(struct counted)), N);
    for (int64_t i = 0; i < N; i++)
        ((struct counted *)fm_array_data(in))[i] = (struct counted){1, i};
    return in;
}

static int reduce_counted(fm_pool *pool, fm_array *in, const struct bad *bad, int on_error,
                          struct counted *all)
{
    static const struct counted none = {0, 0};
    return fm_pool_reduce(pool, in, FM_COMBINE, all, sizeof *all,
                          FM_REDUCE_OPTS(.combine = combine_counted, .identity = &none,
                                         .map = {.arg = (void *)(uintptr_t)bad,
                                                 .arg_bytes = bad == NULL ? 0 : sizeof *bad,
                                                 .on_error = on_error,
                                                 .item_timeout = FM_MS(200)}));
}

static const int codes[] = {0, FM_ETASK, FM_ECRASHED, FM_ECRASHED, FM_ETIMEOUT};
static const int states[] = {0, FM_ITEM_FAILED, FM_ITEM_CRASHED, FM_ITEM_CRASHED, FM_ITEM_TIMEOUT};

static void test_reduce_function_that_fails_is_blamed_on_the_item(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = counted_items();
    for (int by = BY_RETURN; by <= BY_LOOP; by++)
        for (int on_error = FM_ON_ERROR_STOP; on_error <= FM_ON_ERROR_CONTINUE; on_error++) {
            const struct bad bad = {.sum = 10007, .when = WHEN_ITEM, .by = by};
            struct counted all = {-7, -7};
            t_expect(reduce_counted(pool, in, &bad, on_error, &all), codes[by]);
            expect_record(pool, 1, 0, 10007, states[by]);
            int64_t n = on_error == FM_ON_ERROR_STOP ? -7 : N - 1;
            assert_int_equal(all.n, n);
            assert_int_equal(all.sum, n == -7 ? -7 : (int64_t)(N - 1) * N / 2 - 10007);
        }
    t_destroy(pool);
    fm_array_destroy(in);
}

/* In a worker, not in the host; and it is found which block it was. */
static void test_reduce_function_that_fails_on_a_block_names_its_first_item(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
    fm_array *in = counted_items();
    for (int by = BY_RETURN; by <= BY_LOOP; by++) {
        const struct bad bad = {
            .sum = (int64_t)4096 * 4096 + 4095 * 2048, .when = WHEN_BLOCK, .by = by};
        struct counted all = {-7, -7};
        t_expect(reduce_counted(pool, in, &bad, FM_ON_ERROR_STOP, &all), codes[by]);
        expect_record(pool, 1, 0, 4096, states[by]);
        assert_int_equal(all.n, -7);
    }
    t_destroy(pool);
    fm_array_destroy(in);
}

/* ---- workers that are killed ---- */

/* Kills its worker at some items, the first time that they come. */
static int combine_and_die(void *into, const void *from, void *arg)
{
    _Atomic int64_t *seen = arg;
    const struct counted *more = from;
    if (more->n == 1 && more->sum % 3001 == 77 && atomic_fetch_add(&seen[more->sum / 3001], 1) == 0)
        raise(SIGKILL);
    return combine_counted(into, from, NULL);
}

static void test_reduce_by_workers_that_are_killed_counts_every_item_once(void **state)
{
    fm_pool *pool = open_by(t_method(state));
    fm_array *in = counted_items(), *seen = t_vector(FM_I64, 10);
    static const struct counted none = {0, 0};
    struct counted all;
    fm_pool_counters counters;
    t_expect(fm_pool_reduce(pool, in, FM_COMBINE, &all, sizeof all,
                            FM_REDUCE_OPTS(.combine = combine_and_die, .identity = &none,
                                           .map = {.arg = fm_array_data(seen), .retries = 5})),
             0);
    assert_int_equal(all.n, N);
    assert_int_equal(all.sum, (int64_t)(N - 1) * N / 2);
    assert_int_equal(fm_pool_stats(pool, &counters), 0);
    assert_int_equal(counters.deaths, 7);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(seen);
}

#ifdef FORKMAP_FAULTS
static void test_reduce_by_workers_killed_beside_a_slot_has_the_same_bits(void **state)
{
    (void)state;
    static const char *const points[] = {"blocks.added", "blocks.stored", "call.chunk"};
    fm_array *in = t_reals(N);
    const double expected = t_sum(fm_array_data(in), N);
    for (size_t p = 0; p < T_N_OF(points); p++)
        for (int nth = 1; nth <= 5; nth++)
            for (int times = 1; times <= 2; times++) {
                assert_int_equal(fmi_fault_arm(points[p], nth, times), 0);
                fm_pool *pool = t_open(3, FM_CALLER_SLEEPS);
                double sum = 0;
                t_expect(fm_pool_reduce(pool, in, FM_SUM, &sum, sizeof sum,
                                        FM_REDUCE_OPTS(.map = {.retries = 3})),
                         0);
                t_same_bits(sum, expected);
                t_destroy(pool);
            }
    fmi_fault_arm(NULL, 0, 0);
    fm_array_destroy(in);
}
#else
static void test_reduce_by_workers_killed_beside_a_slot_has_the_same_bits(void **state)
{
    (void)state;
    t_skip("fault points");
}
#endif

T_MAIN(T_EACH_METHOD(test_map_reduce_has_the_bits_of_map_and_serial_tree),
       T_TEST(test_map_reduce_has_the_same_bits_in_every_way),
       T_EACH_METHOD(test_map_reduce_by_a_function_keeps_the_order_of_items),
       T_TEST(test_map_reduce_keeps_rows_status_and_progress_of_items),
       T_TEST(test_map_reduce_of_nothing_is_neutral),
       T_TEST(test_map_reduce_refuses_what_makes_no_sense),
       T_TEST(test_map_reduce_that_fails_names_the_item_and_leaves_the_result),
       T_TEST(test_map_reduce_that_continues_counts_all_others),
       T_TEST(test_map_reduce_item_that_hangs_is_ended),
       T_TEST(test_reduce_function_that_fails_is_blamed_on_the_item),
       T_TEST(test_reduce_function_that_fails_on_a_block_names_its_first_item),
       T_EACH_METHOD(test_reduce_by_workers_that_are_killed_counts_every_item_once),
       T_TEST(test_reduce_by_workers_killed_beside_a_slot_has_the_same_bits))
