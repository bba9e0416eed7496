/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* Time limits and intervals at the ends of their ranges, stops and hangups that the whole family gets, in-place maps that cannot be right. */
#include "t_pool.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- Ctrl-Z --------------------------------------------------------------------------------- */

struct scene { /* between the test and the processes of its child */
    _Atomic int item_has_begun, may_end;
};
static struct scene *scene;

static int wait_until_told(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    atomic_store(&scene->item_has_begun, 1);
    while (atomic_load(&scene->may_end) == 0)
        t_sleep_ms(1);
    return 0;
}

static void map_with_a_limit(void *arg)
{
    fm_pool *pool;
    (void)arg;
    setpgid(0, 0);
    signal(SIGTSTP, SIG_DFL);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1)) != 0)
        _exit(2);
    int rc = fm_pool_map_range(pool, wait_until_told, 0, 1, NULL,
                               FM_MAP_OPTS(.item_timeout = FM_MS(1000)));
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_errname(rc), fm_error_detail());
    fm_pool_destroy(pool);
    _exit(rc == 0 ? 0 : 1);
}

static void await_stop(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, WUNTRACED) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFSTOPPED(status));
}

static void
test_timeout_does_not_count_while_the_process_group_is_stopped_by_the_terminal(void **state)
{
    (void)state;
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene != MAP_FAILED);
    pid_t host = t_start_child(map_with_a_limit, NULL);
    for (int ms = 0; atomic_load(&scene->item_has_begun) == 0 && ms < 10000; ms++)
        t_sleep_ms(1);
    assert_int_equal(atomic_load(&scene->item_has_begun), 1);
    assert_int_equal(kill(-host, SIGTSTP), 0);
    await_stop(host);
    t_sleep_ms(2500); /* the limit and more */
    assert_int_equal(kill(-host, SIGCONT), 0);
    t_sleep_ms(50); /* the warden looks at its clock before the item ends */
    atomic_store(&scene->may_end, 1);
    int status = t_wait_child(host);
    munmap(scene, sizeof *scene);
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* ---- Ctrl-C ----------------------------------------------------------------------------------- */

static void note_nothing(int number)
{
    (void)number;
}

static int take_a_moment(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    atomic_store(&scene->item_has_begun, 1);
    t_sleep_ms(2);
    return 0;
}

/* The group gets SIGINT, as from a terminal: workers do not answer it. */
static void map_in_an_interrupted_group(void *on_signal)
{
    fm_pool *pool;
    fm_pool_counters counters;
    setpgid(0, 0);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = note_nothing}, NULL);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(2);
    int rc = fm_pool_map_range(pool, take_a_moment, 0, 200, NULL,
                               FM_MAP_OPTS(.on_signal = *(int *)on_signal, .chunk = 1));
    if (fm_pool_stats(pool, &counters) != 0 || counters.deaths != 0 ||
        fm_pool_map_range(pool, take_a_moment, 0, 2, NULL, NULL) != 0)
        _exit(3);
    fm_pool_destroy(pool);
    fm_forkserver_stop();
    _exit(rc == 0 ? 0 : rc == FM_ECANCELLED ? 10 : 4);
}

static int interrupt_a_map(int on_signal)
{
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene != MAP_FAILED);
    pid_t host = t_start_child(map_in_an_interrupted_group, &on_signal);
    for (int ms = 0; atomic_load(&scene->item_has_begun) == 0 && ms < 10000; ms++)
        t_sleep_ms(1);
    for (int i = 0; i < 10; i++) { /* the host may be on its way to sleep when the first comes */
        assert_int_equal(kill(-host, SIGINT), 0);
        t_sleep_ms(5);
    }
    int status = t_wait_child(host);
    munmap(scene, sizeof *scene);
    assert_int_equal(t_signal(status), 0);
    return t_exit_code(status);
}

static void test_interrupt_of_the_group_ends_a_map_that_is_to_be_cancelled_by_signals(void **state)
{
    (void)state;
    assert_int_equal(interrupt_a_map(FM_SIGNAL_CANCEL), 10);
}

static void test_interrupt_of_the_group_does_nothing_to_other_maps(void **state)
{
    (void)state;
    assert_int_equal(interrupt_a_map(0), 0);
    assert_int_equal(interrupt_a_map(FM_SIGNAL_WAIT), 0);
}

/* ---- what the host ignores ------------------------------------------------------------------ */

static int raise_hangup(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    kill(getpid(), SIGHUP);
    *(int64_t *)result = getpid();
    return 0;
}

static void map_like_nohup(void *arg)
{
    fm_pool *pool;
    fm_array *out;
    fm_worker_info info;
    fm_pool_counters counters;
    int64_t n = 3;
    (void)arg;
    signal(SIGHUP, SIG_IGN);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1)) != 0 ||
        fm_array_zeros(&out, FM_I64, 1, &n) != 0 || fm_pool_worker(pool, 0, &info) != 0)
        _exit(2);
    kill(info.pid, SIGHUP);
    kill(fm_pool_warden_pid(pool), SIGHUP);
    if (fm_pool_map_range(pool, raise_hangup, 0, n, out, NULL) != 0)
        _exit(3);
    for (int64_t i = 0; i < n; i++)
        if (((int64_t *)fm_array_data(out))[i] != info.pid)
            _exit(4); /* a successor */
    if (fm_pool_stats(pool, &counters) != 0 || counters.deaths != 0)
        _exit(5);
    fm_array_destroy(out);
    fm_pool_destroy(pool);
}

static void test_worker_ignores_the_hangup_that_the_host_ignores(void **state)
{
    (void)state;
    int status = t_in_child(map_like_nohup, NULL);
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* ---- a timer of the host's ------------------------------------------------------------------- */

static volatile sig_atomic_t n_alarms;

static void count_alarm(int number)
{
    (void)number;
    n_alarms++;
}

static int halve(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 0.5 * (double)*(const int64_t *)item;
    return 0;
}

static int negate(const void *arg, void *result)
{
    t_sleep_ms(1);
    *(int64_t *)result = -*(const int64_t *)arg;
    return 0;
}

static int map_under_alarms(fm_pool *pool, fm_array *out)
{
    for (int round = 0; round < 30; round++) {
        memset(fm_array_data(out), 0, fm_array_bytes(out));
        if (fm_pool_map_range(pool, halve, 0, 20000, out, NULL) != 0)
            return 3;
        for (int64_t i = 0; i < 20000; i++)
            if (((const double *)fm_array_data(out))[i] != 0.5 * (double)i)
                return 4;
    }
    return 0;
}

static int call_under_alarms(fm_pool *pool)
{
    fm_result *results[200];
    int64_t values[200];
    for (int64_t i = 0; i < 200; i++)
        if (fm_pool_apply_async(pool, negate, &i, sizeof i, &values[i], sizeof values[i], NULL,
                                &results[i]) != 0)
            return 5;
    for (int64_t i = 0; i < 200; i++) {
        if (fm_result_get(results[i], FM_SECONDS(10)) != 0 || values[i] != -i)
            return 6;
        fm_result_free(results[i]);
    }
    return 0;
}

/* A thousand signals a second, none of which restarts what it interrupts. */
static void be_a_host_with_a_timer(void *arg)
{
    const struct itimerval every_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    fm_pool *pool;
    fm_array *out;
    const int64_t n = 20000;
    (void)arg;
    sigaction(SIGALRM, &(struct sigaction){.sa_handler = count_alarm}, NULL);
    setitimer(ITIMER_REAL, &every_ms, NULL);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0 ||
        fm_array_zeros(&out, FM_F64, 1, &n) != 0)
        _exit(2);
    int code = map_under_alarms(pool, out);
    if (code == 0)
        code = call_under_alarms(pool);
    fm_array_destroy(out);
    if (fm_pool_destroy(pool) != 0)
        code = 7;
    setitimer(ITIMER_REAL, &never, NULL);
    _exit(code != 0 ? code : n_alarms < 10 ? 8 : 0);
}

static void test_signals_of_a_fast_timer_in_the_host_change_no_result(void **state)
{
    (void)state;
    int status = t_in_child(be_a_host_with_a_timer, NULL);
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* ---- workers that cannot be asked to end ------------------------------------------------------ */

static int ignore_all_and_stop(const void *item, void *result, void *arg)
{
    sigset_t all;
    (void)item;
    (void)result;
    sigfillset(&all);
    signal(SIGTERM, SIG_IGN);
    sigprocmask(SIG_BLOCK, &all, NULL);
    atomic_fetch_add((_Atomic int *)arg, 1);
    raise(SIGSTOP);
    for (;;)
        pause();
    return 0;
}

static void test_terminate_ends_workers_that_are_stopped_and_ignore_signals(void **state)
{
    fm_result *result;
    (void)state;
    fm_array *n_begun = t_vector(FM_I32, 1);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range_async(pool, ignore_all_and_stop, 0, 2, NULL,
                                     FM_MAP_OPTS(.arg = fm_array_data(n_begun), .chunk = 1),
                                     &result),
             0);
    for (int ms = 0; atomic_load((_Atomic int *)fm_array_data(n_begun)) < 2 && ms < 10000; ms++)
        t_sleep_ms(1);
    t_sleep_ms(20); /* until they are stopped */
    t_expect(fm_pool_terminate(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(5)), 0);
    t_expect(fm_result_get(result, FM_SECONDS(5)), FM_ECANCELLED);
    fm_result_free(result);
    t_destroy(pool);
    fm_array_destroy(n_begun);
}

/* ---- in place ------------------------------------------------------------------------------- */

static int add(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)items[0] + *(const int64_t *)items[1];
    return 0;
}

static void check_counted_plus(const fm_array *a, int64_t offset)
{
    const int64_t *data = fm_array_data(a);
    for (int64_t i = 0; i < fm_array_len(a); i++)
        assert_int_equal(data[i], i + offset);
}

static void test_in_place_map_refuses_a_broadcast_column_inside_its_output(void **state)
{
    enum { N = 1000 };
    (void)state;
    for (int64_t row = 0; row < N; row += N - 1) { /* the first and the last */
        fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
        fm_array *a = t_counted(N), *one_row;
        fm_slice slice = {row, row + 1, 1};
        t_expect(fm_array_view(&one_row, a, &slice), 0);
        fm_array *columns[] = {a, one_row};
        t_expect(fm_pool_starmap(pool, add, columns, 2, a, FM_MAP_OPTS(.flags = FM_IN_PLACE)),
                 -EINVAL);
        assert_true(strlen(fm_error_detail()) > 0);
        check_counted_plus(a, 0);
        fm_array_destroy(one_row);
        fm_array_destroy(a);
        t_destroy(pool);
    }
}

static void test_in_place_map_takes_a_broadcast_column_from_elsewhere(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *a = t_counted(1000), *offset = t_vector(FM_I64, 1);
    *(int64_t *)fm_array_data(offset) = 5;
    fm_array *columns[] = {a, offset};
    t_expect(fm_pool_starmap(pool, add, columns, 2, a, FM_MAP_OPTS(.flags = FM_IN_PLACE)), 0);
    check_counted_plus(a, 5);
    fm_array_destroy(a);
    fm_array_destroy(offset);
    t_destroy(pool);
}

/* ---- the ends of ranges --------------------------------------------------------------------- */

static int count_calls(const fm_progress *p, void *arg)
{
    (void)p;
    ++*(int *)arg;
    return 0;
}

static int take_100_ms(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    t_sleep_ms(100);
    return 0;
}

static void test_progress_with_the_longest_interval_is_not_reported_all_the_time(void **state)
{
    int n_calls = 0;
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, take_100_ms, 0, 4, NULL,
                               FM_MAP_OPTS(.progress = count_calls, .progress_arg = &n_calls,
                                           .progress_interval = INT64_MAX)),
             0);
    assert_in_range(n_calls, 0, 5);
    t_destroy(pool);
}

/* Not for ever, so that a limit that is lost is a result and no hang. */
static int loop_in_item_3(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    for (int i = 0; *(const int64_t *)item == 3 && i < 600; i++)
        t_sleep_ms(10);
    return 0;
}

static void test_timeout_holds_beside_a_factor_that_no_number_holds(void **state)
{
    fm_failure failure;
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, loop_in_item_3, 0, 4, NULL,
                               FM_MAP_OPTS(.item_timeout = FM_MS(200), .timeout_factor = 1e30)),
             FM_ETIMEOUT);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, 3);
    assert_int_equal(failure.state, FM_ITEM_TIMEOUT);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_interrupt_of_the_group_ends_a_map_that_is_to_be_cancelled_by_signals),
       T_TEST(test_interrupt_of_the_group_does_nothing_to_other_maps),
       T_TEST(test_timeout_does_not_count_while_the_process_group_is_stopped_by_the_terminal),
       T_TEST(test_worker_ignores_the_hangup_that_the_host_ignores),
       T_TEST(test_signals_of_a_fast_timer_in_the_host_change_no_result),
       T_TEST(test_terminate_ends_workers_that_are_stopped_and_ignore_signals),
       T_TEST(test_in_place_map_refuses_a_broadcast_column_inside_its_output),
       T_TEST(test_in_place_map_takes_a_broadcast_column_from_elsewhere),
       T_TEST(test_progress_with_the_longest_interval_is_not_reported_all_the_time),
       T_TEST(test_timeout_holds_beside_a_factor_that_no_number_holds))
