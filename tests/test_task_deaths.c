/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork kills */
/* TIMEOUT: 60 */
/*
 * A worker is killed at each step of the protocol in task.h. All calls end right, those that must run once do, and who waits wakes.
 *
 *   a process dies                      | test
 *   before p2, p2 .. t2                 | pick, picked, take: nothing ran, so nothing runs twice
 *   t2 .. t3                            | taken, called, item, record: the call in flight may run again; end: it does not
 *   after t3, before the wake           | ended: it does not, and who waits is woken by the warden
 */
#include "t_task.h"

#include "fault.h"

#include <signal.h>

#ifdef FORKMAP_FAULTS

enum { N_TASKS = 400, N_WORKERS = 3 };

struct run { /* argument of a task; the counters are in the heap */
    _Atomic int *n_runs;
    int64_t i;
    int code;
};

static int run_once(const void *arg, void *result)
{
    const struct run *run = arg;
    atomic_fetch_add(&run->n_runs[run->i], 1);
    if (run->code != 0)
        fm_note("call %d", (int)run->i);
    *(int64_t *)result = 3 * run->i;
    return run->code;
}

struct wave {
    fm_array *memory;
    _Atomic int *n_runs;
    fm_pool *pool;
    fm_result *results[N_TASKS];
};

static int64_t result_bytes_of(int i)
{
    return i % 5 == 0 ? 1000 : 8; /* with a block of its own, and without */
}

static int fails(int i, int with_failures)
{
    return with_failures && i % 7 == 3;
}

static void submit(struct wave *w, int with_failures)
{
    for (int i = 0; i < N_TASKS; i++) {
        struct run run = {w->n_runs, i, fails(i, with_failures) ? i : 0};
        w->results[i] =
            t_apply_bytes(w->pool, run_once, &run, sizeof run, (size_t)result_bytes_of(i), NULL);
    }
}

/* Returns how many runs there were too many. */
static int collect(struct wave *w, int with_failures)
{
    int n_more = 0;
    for (int k = 0; k < N_TASKS; k++) {
        int i = (k * 7 + 5) % N_TASKS;
        fm_failure f[2];
        if (fails(i, with_failures)) {
            t_expect(fm_result_get(w->results[i], FM_FOREVER), FM_ETASK);
            assert_int_equal(fm_result_failures(w->results[i], f, 2), 1);
            assert_int_equal(f[0].code, i);
        } else {
            assert_int_equal(t_value(w->results[i]), 3 * i);
        }
        t_free(w->results[i]);
        assert_true(w->n_runs[i] >= 1);
        n_more += w->n_runs[i] - 1;
        w->n_runs[i] = 0;
    }
    return n_more;
}

struct point {
    const char *name;
    int may_run_again; /* the call in flight */
    int with_failures;
    int must_pass;
};

static void kill_at(const struct point *point)
{
    static const int passages[] = {1, 2, 9, 100};
    for (size_t k = 0; k < T_N_OF(passages); k++) {
        struct wave w;
        fm_pool_counters counters;
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0); /* the page must be there before the fork */
        w.memory = t_vector(FM_I32, N_TASKS);
        w.n_runs = fm_array_data(w.memory);
        w.pool = t_open(N_WORKERS, 0);
        fmi_fault_spare_this_process();
        assert_int_equal(fmi_fault_arm(point->name, passages[k], 1), 0);
        int n_more = 0;
        for (int round = 0; round < 3; round++) {
            submit(&w, point->with_failures);
            n_more += collect(&w, point->with_failures);
        }
        int n_passed = fmi_fault_passages();
        t_expect(fm_pool_close(w.pool), 0);
        t_expect(fm_pool_join(w.pool, FM_FOREVER), 0);
        assert_int_equal(fm_pool_stats(w.pool, &counters), 0); /* all deaths have been counted */
        t_destroy(w.pool);
        fm_array_destroy(w.memory);
        fmi_fault_arm(NULL, 0, 0);
        assert_true(n_more <= (point->may_run_again ? 1 : 0));
        if (point->must_pass) {
            assert_true(n_passed >= passages[k]);
            assert_true(counters.deaths >= 1);
        }
    }
}

/* ---- one worker, which dies alone: nobody else comes to what it had ---- */

static void kill_the_only_worker_at(const char *name, int nth, int expected_runs)
{
    struct wave w;
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    w.memory = t_vector(FM_I32, N_TASKS);
    w.n_runs = fm_array_data(w.memory);
    w.pool = t_open(1, 0);
    fmi_fault_spare_this_process();
    assert_int_equal(fmi_fault_arm(name, nth, 1), 0);
    for (int i = 0; i < nth; i++) {
        struct run run = {w.n_runs, i, 0};
        fm_result *r = t_apply_bytes(w.pool, run_once, &run, sizeof run, 8, NULL);
        assert_int_equal(t_value(r), 3 * i); /* who waits wakes */
        t_free(r);
        assert_int_equal(w.n_runs[i], i == nth - 1 ? expected_runs : 1);
    }
    assert_true(fmi_fault_passages() >= nth);
    t_destroy(w.pool);
    fm_array_destroy(w.memory);
    fmi_fault_arm(NULL, 0, 0);
}

/* A function that is killed for ever is given up after three attempts, though its worker dies at a point and not in it. */
static void kill_every_time_at(const char *name)
{
    struct wave w;
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
    w.memory = t_vector(FM_I32, N_TASKS);
    w.n_runs = fm_array_data(w.memory);
    w.pool = t_open(1, 0);
    fmi_fault_spare_this_process();
    assert_int_equal(fmi_fault_arm(name, 1, 3), 0);
    struct run run = {w.n_runs, 1, 0};
    fm_failure f;
    fm_result *r = t_apply_bytes(w.pool, run_once, &run, sizeof run, 8, NULL);
    t_expect(fm_result_get(r, FM_FOREVER), FM_ECRASHED);
    assert_int_equal(fm_result_failures(r, &f, 1), 1);
    assert_int_equal(f.signal, SIGKILL);
    assert_int_equal(f.attempt, 3);
    assert_int_equal(w.n_runs[1], 3);
    t_free(r);
    t_destroy(w.pool);
    fm_array_destroy(w.memory);
    fmi_fault_arm(NULL, 0, 0);
}
#define IN_FAULT_BUILDS(...) __VA_ARGS__
#else
#define IN_FAULT_BUILDS(...) t_skip("a build with FORKMAP_FAULTS")
#endif

#define POINT(name, at, may_run_again, with_failures, must_pass)                                   \
    static void test_task_worker_killed_at_##name##_loses_and_repeats_nothing(void **state)        \
    {                                                                                              \
        (void)state;                                                                               \
        IN_FAULT_BUILDS(                                                                           \
            kill_at(&(const struct point){at, may_run_again, with_failures, must_pass}));          \
    }

POINT(pick, "task.pick", 0, 0, 1)
POINT(picked, "task.picked", 0, 0, 1)
POINT(take, "task.take", 0, 0, 1)
POINT(taken, "task.taken", 0, 0, 1)
POINT(called, "task.called", 1, 0, 1)
POINT(record, "task.record", 1, 1, 1)
POINT(end, "task.end", 0, 1, 1)
POINT(ended, "task.ended", 0, 1, 1)

static void
test_task_of_the_only_worker_killed_before_it_is_taken_is_run_by_its_successor(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(for (int nth = 1; nth < 4; nth++) {
        kill_the_only_worker_at("task.pick", nth, 1);
        kill_the_only_worker_at("task.picked", nth, 1);
        kill_the_only_worker_at("task.take", nth, 1);
    });
}

static void test_task_of_the_only_worker_killed_in_it_is_run_again_by_its_successor(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(for (int nth = 1; nth < 4; nth++) {
        kill_the_only_worker_at("task.taken", nth, 1);
        kill_the_only_worker_at("task.called", nth, 2);
    });
}

static void test_task_of_the_only_worker_killed_after_it_is_not_run_again_and_wakes(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(for (int nth = 1; nth < 4; nth++) {
        kill_the_only_worker_at("task.end", nth, 1);
        kill_the_only_worker_at("task.ended", nth, 1);
    });
}

static void test_task_whose_workers_are_killed_in_it_three_times_is_given_up(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(kill_every_time_at("task.called"));
}

T_MAIN(T_TEST(test_task_worker_killed_at_pick_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_picked_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_take_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_taken_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_called_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_record_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_end_loses_and_repeats_nothing),
       T_TEST(test_task_worker_killed_at_ended_loses_and_repeats_nothing),
       T_TEST(test_task_of_the_only_worker_killed_before_it_is_taken_is_run_by_its_successor),
       T_TEST(test_task_of_the_only_worker_killed_in_it_is_run_again_by_its_successor),
       T_TEST(test_task_of_the_only_worker_killed_after_it_is_not_run_again_and_wakes),
       T_TEST(test_task_whose_workers_are_killed_in_it_three_times_is_given_up))
