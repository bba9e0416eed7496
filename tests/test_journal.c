/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/* Maps with a journal: what is done is not done again, failures are kept, and what does not match is refused. */
#include "t_journal.h"

#include <sys/stat.h>

static struct t_journal begin(void)
{
    t_forget_runs();
    return (struct t_journal){.out = t_path_of("out.npy"), .journal = t_path_of("journal")};
}

static void expect_all_once(void)
{
    int64_t n_twice;
    assert_int_equal(t_sum_runs(&n_twice), T_ITEMS);
    assert_int_equal(n_twice, 0);
}

static void test_journal_second_run_runs_nothing(void **state)
{
    (void)state;
    struct t_journal j = begin();
    t_expect(t_run_journal(&j), 0);
    assert_int_equal(j.n_before, 0);
    t_expect(t_run_journal(&j), 0);
    assert_int_equal(j.n_before, T_ITEMS);
    expect_all_once();
    t_expect_values(j.out, 0);
}

/* Of two maps the first was called off: the second is by another number of workers, with another schedule. */
static int stop_early(const fm_progress *p, void *arg)
{
    (void)arg;
    return p->n_done > 1000;
}

static void run_half(struct t_journal *j, int caller)
{
    fm_array *out;
    fm_pool *pool = t_open(2, caller);
    t_expect(t_open_out(j->out, &out), 0);
    t_expect(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out,
                               FM_MAP_OPTS(.journal = j->journal, .progress = stop_early,
                                           .progress_interval = 1)),
             FM_ECANCELLED);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_journal_cancelled_map_goes_on_by_other_workers(void **state)
{
    (void)state;
    static const int schedules[] = {FM_SCHEDULE_AUTO, FM_SCHEDULE_STATIC, FM_SCHEDULE_DYNAMIC,
                                    FM_SCHEDULE_GUIDED};
    for (size_t k = 0; k < T_N_OF(schedules); k++) {
        struct t_journal j = begin();
        int64_t n_before = 0, n_twice;
        fm_array *out;
        run_half(&j, k % 2 == 0 ? FM_CALLER_SLEEPS : FM_CALLER_WORKS);
        fm_pool *pool = t_open(3, k % 2 == 0 ? FM_CALLER_WORKS : FM_CALLER_SLEEPS);
        t_expect(t_open_out(j.out, &out), 0);
        t_expect(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out,
                                   FM_MAP_OPTS(.journal = j.journal, .schedule = schedules[k],
                                               .journal_done = &n_before)),
                 0);
        fm_array_destroy(out);
        t_destroy(pool);
        assert_true(n_before > 0 && n_before < T_ITEMS);
        assert_true(t_sum_runs(&n_twice) <= T_ITEMS + 2 * T_CELL);
        t_expect_values(j.out, 0);
        assert_int_equal(unlink(j.out), 0);
        assert_int_equal(unlink(j.journal), 0);
    }
}

/* 200 items fail, in one cell each. */
static void expect_failures(const fm_pool *pool, int is_earlier)
{
    fm_failure list[200];
    assert_int_equal(fm_pool_failures((fm_pool *)(uintptr_t)pool, list, 200), 200);
    for (int64_t k = 0; k < 200; k++) {
        assert_int_equal(list[k].item, 1000 * k + 999);
        assert_int_equal(list[k].state, FM_ITEM_FAILED);
        assert_int_equal(list[k].attempt, is_earlier ? 0 : 1);
        assert_int_equal(list[k].code, is_earlier ? 0 : 5);
    }
}

static void expect_status(const fm_array *status, int fails)
{
    const uint8_t *s = fm_array_data(status);
    for (int64_t i = 0; i < T_ITEMS; i++)
        if (s[i] != (fails && i % 1000 == 999 ? FM_ITEM_FAILED : FM_ITEM_DONE))
            fail_msg("status of %lld is %d", (long long)i, s[i]);
}

static void fail_and_retry(int chunks)
{
    struct t_journal j = begin();
    int64_t n_twice;
    fm_array *out, *status = t_vector(FM_U8, T_ITEMS);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    j.on_error = FM_ON_ERROR_CONTINUE;
    j.chunks = chunks;
    t_runs()->fails = 1;
    t_expect(t_open_out(j.out, &out), 0);
    t_expect(t_map_with(&j, pool, out, status), FM_ETASK);
    expect_failures(pool, 0);
    expect_status(status, 1);
    t_forget_runs();
    t_expect(t_map_with(&j, pool, out, status), FM_ETASK); /* they are reported, and not run */
    assert_int_equal(j.n_before, T_ITEMS);
    assert_int_equal(t_sum_runs(&n_twice), 0);
    expect_failures(pool, 1);
    expect_status(status, 1);
    j.flags = FM_JOURNAL_RETRY_FAILED; /* now they are good, and they alone are run */
    t_expect(t_map_with(&j, pool, out, status), 0);
    assert_int_equal(j.n_before, T_ITEMS - 200);
    assert_int_equal(t_sum_runs(&n_twice), 200);
    expect_status(status, 0);
    j.flags = 0;
    t_expect(t_map_with(&j, pool, out, status), 0);
    assert_int_equal(j.n_before, T_ITEMS);
    t_destroy(pool);
    fm_array_destroy(out);
    fm_array_destroy(status);
    t_expect_values(j.out, 0);
}

static void test_journal_failed_items_are_retried_alone_and_on_request(void **state)
{
    (void)state;
    fail_and_retry(0);
}

static void test_journal_failed_items_of_chunk_functions_are_retried_alone(void **state)
{
    (void)state;
    fail_and_retry(1);
}

static void test_journal_items_that_fail_again_stay_failed(void **state)
{
    (void)state;
    struct t_journal j = begin();
    int64_t n_twice;
    j.on_error = FM_ON_ERROR_CONTINUE;
    t_runs()->fails = 1;
    t_expect(t_run_journal(&j), FM_ETASK);
    j.flags = FM_JOURNAL_RETRY_FAILED;
    t_expect(t_run_journal(&j), FM_ETASK);
    assert_int_equal(t_sum_runs(&n_twice), T_ITEMS + 200);
    assert_int_equal(n_twice, 200);
    t_expect_values(j.out, 1);
}

static void test_journal_map_that_stops_at_a_failure_tries_it_again(void **state)
{
    (void)state;
    struct t_journal j = begin();
    t_runs()->fails = 1;
    t_expect(t_run_journal(&j), FM_ETASK);
    t_runs()->fails = 0;
    t_expect(t_run_journal(&j), 0);
    assert_true(j.n_before < T_ITEMS);
    assert_true(t_runs()->n[999] >= 2);
    t_expect_values(j.out, 0);
}

static void test_journal_without_output_is_bits_alone(void **state)
{
    (void)state;
    struct t_journal j = begin();
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    struct stat st;
    for (int i = 0; i < 2; i++)
        t_expect(fm_pool_map_range(pool, t_nothing_item, 0, T_ITEMS, NULL,
                                   FM_MAP_OPTS(.journal = j.journal, .journal_done = &j.n_before)),
                 0);
    assert_int_equal(j.n_before, T_ITEMS);
    assert_int_equal(stat(j.journal, &st), 0);
    assert_true(st.st_blocks * 512 <= 64 * 1024); /* states of good items take no room */
    t_destroy(pool);
}

/* Workers that are no forks of this process map the journal themselves. */
static void test_journal_serves_workers(void **state)
{
    fm_pool *pool;
    fm_array *in, *out;
    int64_t n_before;
    const char *journal = t_path_of("journal");
    (void)t_method(state);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    in = t_counted(N);
    t_expect(fm_npy_create(t_path_of("out.npy"), FM_I64, 1, T_SHAPE(N), &out), 0);
    for (int i = 0; i < 2; i++)
        t_expect(fm_pool_map(pool, t_triple, in, out,
                             FM_MAP_OPTS(.journal = journal, .journal_done = &n_before)),
                 0);
    assert_int_equal(n_before, N);
    t_expect_tripled(out);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

/* ---- refusals ---- */

static int other_item(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(int64_t *)result = -1;
    return 0;
}

static void expect_stale(int rc, const char *what)
{
    t_expect(rc, FM_ESTALE);
    if (strstr(fm_error_detail(), what) == NULL)
        fail_msg("'%s' does not say '%s'", fm_error_detail(), what);
}

static void test_journal_of_another_map_is_refused_and_says_in_what_it_differs(void **state)
{
    (void)state;
    struct t_journal j = begin();
    fm_array *out, *other, *floats;
    int64_t arg = 3;
    t_expect(t_run_journal(&j), 0);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(t_open_out(j.out, &out), 0);
    t_expect(t_open_out(t_path_of("other.npy"), &other), 0);
    t_expect(fm_npy_create(t_path_of("f.npy"), FM_F64, 1, T_SHAPE(T_ITEMS), &floats), 0);
    const fm_map_opts *plain = FM_MAP_OPTS(.journal = j.journal);
    const fm_map_opts *seeded = FM_MAP_OPTS(.journal = j.journal, .seed = 1);
    const fm_map_opts *with_arg =
        FM_MAP_OPTS(.journal = j.journal, .arg = &arg, .arg_bytes = sizeof arg);
    expect_stale(fm_pool_map_range(pool, other_item, 0, T_ITEMS, out, plain), "function");
    expect_stale(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out, seeded), "seed");
    expect_stale(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out, with_arg), "arguments");
    expect_stale(fm_pool_map_range(pool, t_count_item, 1, T_ITEMS + 1, out, plain), "inputs");
    expect_stale(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, floats, plain), "output");
    expect_stale(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, other, plain), "another file");
    expect_stale(fm_pool_map_range(pool, t_nothing_item, 0, 10, NULL, plain), "200000 items");
    t_expect(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out, plain), 0);
    expect_all_once();
    fm_array_destroy(out);
    fm_array_destroy(other);
    fm_array_destroy(floats);
    t_destroy(pool);
}

static int map_inside(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return fm_pool_map_range(*(fm_pool **)arg, t_nothing_item, 0, 5, NULL,
                             FM_MAP_OPTS(.journal = "journal")) == -EINVAL
               ? 0
               : 1;
}

static void test_journal_maps_that_cannot_have_one_are_refused(void **state)
{
    (void)state;
    struct t_journal j = begin();
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *heap = t_counted(100), *mapped;
    fm_result *result;
    t_expect(t_open_out(j.out, &mapped), 0);
    const fm_map_opts *plain = FM_MAP_OPTS(.journal = j.journal);
    t_expect(fm_pool_map_range(pool, t_count_item, 0, 100, heap, plain), -EINVAL);
    t_expect(fm_pool_map(pool, t_triple, mapped, mapped,
                         FM_MAP_OPTS(.journal = j.journal, .flags = FM_IN_PLACE)),
             -EINVAL);
    t_expect(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, mapped,
                               FM_MAP_OPTS(.journal = j.journal, .journal_flags = 4)),
             -EINVAL);
    t_expect(fm_pool_map_range(pool, t_nothing_item, 0, 5, NULL, FM_MAP_OPTS(.journal_flags = 1)),
             -EINVAL);
    t_expect(fm_pool_map_async(pool, t_triple, heap, NULL, plain, &result), -EINVAL);
    t_expect(fm_pool_map_range(pool, map_inside, 0, 4, NULL,
                               FM_MAP_OPTS(.arg = &pool, .arg_bytes = sizeof pool)),
             0);
    assert_int_equal(access(j.journal, F_OK), -1); /* nothing was made */
    fm_array_destroy(heap);
    fm_array_destroy(mapped);
    t_destroy(pool);
}

/* In the map's progress callback, which runs while the map has its journal. */
struct second {
    fm_pool *pool;
    const char *journal;
    int rc;
};

static int map_beside(const fm_progress *p, void *arg)
{
    struct second *s = arg;
    if (p->n_done < p->n_items && s->rc == 0)
        s->rc = fm_pool_map_range(s->pool, t_nothing_item, 0, T_ITEMS, NULL,
                                  FM_MAP_OPTS(.journal = s->journal));
    return 0;
}

static void test_journal_in_use_is_refused(void **state)
{
    (void)state;
    struct t_journal j = begin();
    struct second s = {.pool = t_open(2, FM_CALLER_SLEEPS), .journal = j.journal};
    fm_pool *pool = t_open(2, FM_CALLER_WORKS);
    fm_array *out;
    t_expect(t_open_out(j.out, &out), 0);
    t_expect(fm_pool_map_range(pool, t_count_item, 0, T_ITEMS, out,
                               FM_MAP_OPTS(.journal = j.journal, .progress = map_beside,
                                           .progress_arg = &s, .progress_interval = 1)),
             0);
    assert_int_equal(s.rc, -EBUSY);
    fm_array_destroy(out);
    t_destroy(pool);
    t_destroy(s.pool);
}

T_MAIN(T_TEST(test_journal_second_run_runs_nothing),
       T_TEST(test_journal_cancelled_map_goes_on_by_other_workers),
       T_TEST(test_journal_failed_items_are_retried_alone_and_on_request),
       T_TEST(test_journal_failed_items_of_chunk_functions_are_retried_alone),
       T_TEST(test_journal_items_that_fail_again_stay_failed),
       T_TEST(test_journal_map_that_stops_at_a_failure_tries_it_again),
       T_TEST(test_journal_without_output_is_bits_alone),
       T_EACH_METHOD(test_journal_serves_workers),
       T_TEST(test_journal_of_another_map_is_refused_and_says_in_what_it_differs),
       T_TEST(test_journal_maps_that_cannot_have_one_are_refused),
       T_TEST(test_journal_in_use_is_refused))
