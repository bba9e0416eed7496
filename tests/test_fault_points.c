/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork kills */
/* TIMEOUT: 60 */
/*
 * A worker is killed just before each transition of the state tables (range.h, job.h, crew.h, record.h, park.h), the 2nd and 7th time
 * that it comes there; test_fault_sweep.c has the first. The map ends with the right result; an in-place one too, so nothing ran twice on its own result.
 */
#include "t.h"
#include "victim.h"

#include "fault.h"

#include <forkmap/forkmap.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifdef FORKMAP_FAULTS

enum { N_ITEMS = 500, N_WORKERS = 3 };

static int add_seven(const void *item, void *result, void *arg)
{
    volatile uint64_t x = *(const uint64_t *)item;
    (void)arg;
    for (int i = 0; i < 300; i++)
        x = x + 1;
    *(uint64_t *)result = x - 293;
    return 0;
}

static int add_seven_to_all(const fm_chunk *chunk, void *arg)
{
    for (int64_t i = 0; i < chunk->count; i++) {
        char *row = (char *)chunk->out + i * chunk->out_stride;
        add_seven(row, row, arg);
    }
    return 0;
}

/* The first rows of each share take long: others finish early, and steal. */
static int add_seven_slowly_at_first(const void *item, void *result, void *arg)
{
    if (*(const uint64_t *)item < 100)
        t_sleep_us(200);
    return add_seven(item, result, arg);
}

static void map_and_check(fm_pool *pool, fm_array *a, int round)
{
    const fm_map_opts *opts =
        FM_MAP_OPTS(.flags = FM_IN_PLACE, .chunk = round % 2 == 0 ? 0 : 5, .retries = 3);
    uint64_t *x = fm_array_data(a);
    for (uint64_t i = 0; i < N_ITEMS; i++)
        x[i] = i;
    int rc = round % 3 == 0   ? fm_pool_map(pool, add_seven, a, a, opts)
             : round % 3 == 1 ? fm_pool_map_chunks(pool, add_seven_to_all, a, a, opts)
                              : fm_pool_map(pool, add_seven_slowly_at_first, a, a, opts);
    assert_int_equal(rc, 0);
    for (uint64_t i = 0; i < N_ITEMS; i++)
        assert_int_equal(x[i], i + 7);
}

enum { EXITING_ITEM = 111, FIRST_FAILING_ITEM = 3, FAILING_STEP = 50 };

static int fail_or_exit(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    if (i == EXITING_ITEM)
        _exit(EXITING_ITEM);
    add_seven(item, result, arg);
    return i % FAILING_STEP == FIRST_FAILING_ITEM ? (int)i : 0;
}

static void check_failure(const fm_failure *f, int64_t item, int state)
{
    assert_int_equal(f->item, item);
    assert_int_equal(f->state, state);
    assert_int_equal(f->code, item);
}

/* Every 50th item fails, and one ends its worker: each is told, once, and the others are done. */
static void map_and_check_failures(fm_pool *pool, fm_array *a, int round)
{
    fm_failure list[N_ITEMS / FAILING_STEP + 2];
    int64_t n_failing = N_ITEMS / FAILING_STEP, n = n_failing + 1, k = 0;
    uint64_t *x = fm_array_data(a);
    memset(x, 0, N_ITEMS * sizeof *x);
    assert_int_equal(fm_pool_map_range(pool, fail_or_exit, 0, N_ITEMS, a,
                                       FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE,
                                                   .chunk = round % 2 == 0 ? 0 : 5)),
                     FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, list, n + 1), n);
    for (int64_t item = FIRST_FAILING_ITEM; item < N_ITEMS; item += FAILING_STEP) {
        if (item - FAILING_STEP < EXITING_ITEM && EXITING_ITEM < item)
            check_failure(&list[k++], EXITING_ITEM, FM_ITEM_CRASHED);
        check_failure(&list[k++], item, FM_ITEM_FAILED);
    }
    for (uint64_t i = 0; i < N_ITEMS; i++)
        if (i != EXITING_ITEM)
            assert_int_equal(x[i], i + 7);
}

typedef void check_fn(fm_pool *pool, fm_array *a, int round);

/* `must_pass`, 1: every run comes to the point; 0: some do, as it needs a collision, and no sweep may have seen it. */
static void kill_at(const char *point, size_t must_pass, check_fn *map)
{
    static const int passages[] = {1, 2, 7};
    for (size_t i = must_pass; i < sizeof passages / sizeof passages[0]; i++) {
        fm_pool *pool;
        fm_array *a;
        int64_t n = N_ITEMS;
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0); /* the page must be there before the fork */
        assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = N_WORKERS)), 0);
        assert_int_equal(fm_array_create(&a, FM_U64, 1, &n, NULL), 0);
        fmi_fault_spare_this_process();
        assert_int_equal(fmi_fault_arm(point, passages[i], 1), 0);
        for (int round = 0; round < 12; round++)
            map(pool, a, round);
        fm_array_destroy(a);
        assert_int_equal(fm_pool_close(pool), 0); /* workers leave in order, or die in it */
        assert_int_equal(fm_pool_join(pool, FM_FOREVER), 0);
        assert_int_equal(fm_pool_destroy(pool), 0);
        int n_passed = fmi_fault_passages();
        fmi_fault_arm(NULL, 0, 0);
        if (must_pass != 0)
            assert_true(n_passed >= 1);
    }
}

#define POINT_OF(name, point, must_pass, map)                                                      \
    static void test_worker_killed_at_##name##_changes_no_result(void **state)                     \
    {                                                                                              \
        (void)state;                                                                               \
        kill_at(point, must_pass, map);                                                            \
    }
#else
#define POINT_OF(name, point, must_pass, map)                                                      \
    static void test_worker_killed_at_##name##_changes_no_result(void **state)                     \
    {                                                                                              \
        (void)state;                                                                               \
        t_skip("a build with FORKMAP_FAULTS");                                                     \
    }
#endif
#define POINT(name, point, must_pass) POINT_OF(name, point, must_pass, map_and_check)
#define FAILING_POINT(name, point)    POINT_OF(name, point, 1, map_and_check_failures)

POINT(range_intend, "range.intend", 1)
POINT(range_claim, "range.claim", 1)
POINT(range_claim_lost, "range.claim_lost", 0)
POINT(range_claimed, "range.claimed", 1)
POINT(range_finish, "range.finish", 1)
POINT(range_finished, "range.finished", 1)
POINT(range_drop_intent, "range.drop_intent", 0)
POINT(steal_intend, "steal.intend", 1)
POINT(steal_move, "steal.move", 1)
POINT(steal_commit, "steal.commit", 1)
POINT(steal_committed, "steal.committed", 1)
POINT(steal_install, "steal.install", 1)
POINT(steal_installed, "steal.installed", 1)
POINT(steal_released, "steal.released", 1)
POINT(steal_clear, "steal.clear", 1)
POINT(job_finish, "job.finish", 1)
POINT(job_finished, "job.finished", 1)
POINT(serve_inside, "serve.inside", 1)
POINT(serve_leave, "serve.leave", 1)
POINT(serve_left, "serve.left", 1)
POINT(run_enter, "run.enter", 1)
POINT(run_lost_chunk, "run.lost_chunk", 0)
POINT(call_item, "call.item", 1)
POINT(call_chunk, "call.chunk", 1)
POINT(undo_saved, "undo.saved", 1)
POINT(park_sleep, "park.sleep", 1)
POINT(park_announce, "park.announce", 1)
POINT(park_rouse, "park.rouse", 1)
POINT(park_taken, "park.taken", 1)
POINT(worker_initialize, "worker.initialize", 0)
POINT(worker_ready, "worker.ready", 0)
POINT(worker_leave, "worker.leave", 1)
FAILING_POINT(record_link, "record.link")
FAILING_POINT(record_append, "record.append")
FAILING_POINT(blame_recorded, "blame.recorded")

T_MAIN(T_TEST(test_worker_killed_at_range_intend_changes_no_result),
       T_TEST(test_worker_killed_at_range_claim_changes_no_result),
       T_TEST(test_worker_killed_at_range_claim_lost_changes_no_result),
       T_TEST(test_worker_killed_at_range_claimed_changes_no_result),
       T_TEST(test_worker_killed_at_range_finish_changes_no_result),
       T_TEST(test_worker_killed_at_range_finished_changes_no_result),
       T_TEST(test_worker_killed_at_range_drop_intent_changes_no_result),
       T_TEST(test_worker_killed_at_steal_intend_changes_no_result),
       T_TEST(test_worker_killed_at_steal_move_changes_no_result),
       T_TEST(test_worker_killed_at_steal_commit_changes_no_result),
       T_TEST(test_worker_killed_at_steal_committed_changes_no_result),
       T_TEST(test_worker_killed_at_steal_install_changes_no_result),
       T_TEST(test_worker_killed_at_steal_installed_changes_no_result),
       T_TEST(test_worker_killed_at_steal_released_changes_no_result),
       T_TEST(test_worker_killed_at_steal_clear_changes_no_result),
       T_TEST(test_worker_killed_at_job_finish_changes_no_result),
       T_TEST(test_worker_killed_at_job_finished_changes_no_result),
       T_TEST(test_worker_killed_at_serve_inside_changes_no_result),
       T_TEST(test_worker_killed_at_serve_leave_changes_no_result),
       T_TEST(test_worker_killed_at_serve_left_changes_no_result),
       T_TEST(test_worker_killed_at_run_enter_changes_no_result),
       T_TEST(test_worker_killed_at_run_lost_chunk_changes_no_result),
       T_TEST(test_worker_killed_at_call_item_changes_no_result),
       T_TEST(test_worker_killed_at_call_chunk_changes_no_result),
       T_TEST(test_worker_killed_at_undo_saved_changes_no_result),
       T_TEST(test_worker_killed_at_park_sleep_changes_no_result),
       T_TEST(test_worker_killed_at_park_announce_changes_no_result),
       T_TEST(test_worker_killed_at_park_rouse_changes_no_result),
       T_TEST(test_worker_killed_at_park_taken_changes_no_result),
       T_TEST(test_worker_killed_at_worker_initialize_changes_no_result),
       T_TEST(test_worker_killed_at_worker_ready_changes_no_result),
       T_TEST(test_worker_killed_at_worker_leave_changes_no_result),
       T_TEST(test_worker_killed_at_record_link_changes_no_result),
       T_TEST(test_worker_killed_at_record_append_changes_no_result),
       T_TEST(test_worker_killed_at_blame_recorded_changes_no_result))
