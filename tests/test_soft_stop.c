/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* FM_SIGNALS_SOFT: a first SIGINT or SIGTERM ends maps softly, a second one the process; and what pools do to signals that nobody asked them to handle. */
#include "t_pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct scene { /* between the test and the processes of its child */
    _Atomic int n_begun;
};
static struct scene *scene;

/* Stays until the program ends. */
static void set_scene(void)
{
    if (scene == NULL)
        scene =
            mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene != MAP_FAILED);
    atomic_store(&scene->n_begun, 0);
}

/* ---- items ----------------------------------------------------------------------------------- */

static int take_a_moment(const void *item, void *result, void *arg)
{
    (void)arg;
    atomic_fetch_add(&scene->n_begun, 1);
    t_sleep_ms(5);
    *(int64_t *)result = *(const int64_t *)item + 1;
    return 0;
}

static int take_a_minute(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    atomic_fetch_add(&scene->n_begun, 1);
    t_sleep_ms(60000);
    return 0;
}

static void await_items(int n)
{
    for (int ms = 0; atomic_load(&scene->n_begun) < n && ms < 10000; ms++)
        t_sleep_ms(1);
}

/* ---- hosts: children of the test, with default handlers; they say by their exit code what was wrong ------------------- */

enum {
    N = 2000,
    BAD_OPEN = 2,
    BAD_CODE,
    BAD_STATUS,
    BAD_SIGNAL,
    BAD_HANDLER,
    BAD_NEXT,
    BAD_DEATHS
};

static void expect_in_child(int is_right, int code)
{
    if (!is_right)
        _exit(code);
}

static fm_pool *open_soft(int workers, int caller)
{
    fm_pool *pool;
    expect_in_child(fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers, .caller = caller,
                                                     .signals = FM_SIGNALS_SOFT)) == 0,
                    BAD_OPEN);
    return pool;
}

static int is_default(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL;
}

/* Every item is done, and right, or was not begun; some of both. */
static int is_in_order(const fm_array *out, const fm_array *status)
{
    const int64_t *rows = fm_array_data(out);
    const uint8_t *states = fm_array_data(status);
    int n_done = 0;
    for (int64_t i = 0; i < N; i++) {
        if (states[i] == FM_ITEM_DONE && rows[i] != i + 1)
            return 0;
        if (states[i] != FM_ITEM_DONE && (states[i] != FM_ITEM_CANCELLED || rows[i] != 0))
            return 0;
        n_done += states[i] == FM_ITEM_DONE;
    }
    return n_done > 0 && n_done < N && n_done == atomic_load(&scene->n_begun);
}

struct host {
    int caller, number; /* of the signal that is to come */
};

static void be_stopped_softly(void *arg)
{
    const struct host *host = arg;
    fm_array *out = NULL, *status = NULL, *next = NULL;
    fm_pool_counters counters;
    setpgid(0, 0);
    fm_pool *pool = open_soft(2, host->caller);
    expect_in_child(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N)) == 0 &&
                        fm_array_zeros(&status, FM_U8, 1, T_SHAPE(N)) == 0 &&
                        fm_array_zeros(&next, FM_I64, 1, T_SHAPE(4)) == 0,
                    BAD_OPEN);
    int rc = fm_pool_map_range(pool, take_a_moment, 0, N, out, FM_MAP_OPTS(.status = status));
    expect_in_child(rc == FM_ECANCELLED, BAD_CODE);
    expect_in_child(is_in_order(out, status), BAD_STATUS);
    expect_in_child(fm_pool_signal(pool) == host->number, BAD_SIGNAL);
    expect_in_child(is_default(SIGINT) && is_default(SIGTERM), BAD_HANDLER);
    expect_in_child(fm_pool_stats(pool, &counters) == 0 && counters.deaths == 0, BAD_DEATHS);
    rc = fm_pool_map_range(pool, take_a_moment, 0, 4, next, NULL);
    expect_in_child(rc == 0 && fm_pool_signal(pool) == 0, BAD_NEXT);
    fm_pool_destroy(pool);
}

/* The whole group gets it, as from a terminal. */
static int interrupt(void (*fn)(void *), struct host *host)
{
    pid_t pid = t_start_child(fn, host);
    await_items(2);
    assert_int_equal(kill(-pid, host->number), 0);
    int status = t_wait_child(pid);
    assert_int_equal(t_signal(status), 0);
    return t_exit_code(status);
}

static void test_soft_stop_by_interrupt_finishes_what_runs_and_tells_what_is_done(void **state)
{
    (void)state;
    set_scene();
    assert_int_equal(interrupt(be_stopped_softly, &(struct host){FM_CALLER_SLEEPS, SIGINT}), 0);
}

/* The group gets it, too: timeout(1), systemd and Slurm do so. */
static void test_soft_stop_by_a_request_to_end_is_the_same(void **state)
{
    (void)state;
    set_scene();
    assert_int_equal(interrupt(be_stopped_softly, &(struct host){FM_CALLER_SLEEPS, SIGTERM}), 0);
}

static void test_soft_stop_reaches_a_caller_that_works(void **state)
{
    (void)state;
    set_scene();
    assert_int_equal(interrupt(be_stopped_softly, &(struct host){FM_CALLER_WORKS, SIGINT}), 0);
    atomic_store(&scene->n_begun, 0);
    assert_int_equal(interrupt(be_stopped_softly, &(struct host){FM_CALLER_ONLY, SIGINT}), 0);
}

/* ---- the second ------------------------------------------------------------------------------- */

static void map_minutes(void *arg)
{
    (void)arg;
    setpgid(0, 0);
    fm_pool *pool = open_soft(2, FM_CALLER_SLEEPS);
    int rc = fm_pool_map_range(pool, take_a_minute, 0, 4, NULL, FM_MAP_OPTS(.chunk = 1));
    _exit(rc == 0 ? 0 : BAD_CODE);
}

static void test_soft_stop_is_followed_by_an_end_at_once_when_a_second_signal_comes(void **state)
{
    static const int pairs[][2] = {{SIGINT, SIGINT}, {SIGTERM, SIGTERM}, {SIGINT, SIGTERM}};
    (void)state;
    set_scene();
    for (size_t i = 0; i < T_N_OF(pairs); i++) {
        atomic_store(&scene->n_begun, 0);
        pid_t pid = t_start_child(map_minutes, NULL);
        await_items(2);
        assert_int_equal(kill(pid, pairs[i][0]), 0);
        t_sleep_ms(250);
        assert_int_not_equal(t_process_state(pid), 'Z'); /* its items run */
        assert_int_equal(kill(pid, pairs[i][1]), 0);
        assert_int_equal(t_signal(t_wait_child(pid)), pairs[i][1]);
        t_assert_all_gone();
    }
}

static void test_soft_stop_takes_a_signal_that_comes_twice_at_once_for_one(void **state)
{
    (void)state;
    set_scene();
    struct host host = {FM_CALLER_SLEEPS, SIGTERM};
    pid_t pid = t_start_child(be_stopped_softly, &host);
    await_items(2);
    assert_int_equal(kill(pid, SIGTERM), 0); /* as timeout(1) does */
    assert_int_equal(kill(-pid, SIGTERM), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
}

/* ---- several maps ------------------------------------------------------------------------------ */

struct mapper {
    fm_pool *pool;
    fm_array *out;
    int n, rc;
};

static void *run_mapper(void *arg)
{
    struct mapper *m = arg;
    sigset_t set;
    sigfillset(&set); /* so the signal lands in another thread */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    m->rc = fm_pool_map_range(m->pool, take_a_moment, 0, m->n, m->out, FM_MAP_OPTS(.chunk = 1));
    return NULL;
}

static void map_on_three_pools(void *arg)
{
    pthread_t threads[3];
    struct mapper mappers[3] = {
        {.pool = open_soft(1, 0), .n = N}, {.pool = open_soft(1, 0), .n = N}, {.n = 100}};
    (void)arg;
    setpgid(0, 0);
    expect_in_child(fm_pool_open(&mappers[2].pool, FM_POOL_OPTS(.workers = 1)) == 0, BAD_OPEN);
    for (int i = 0; i < 3; i++)
        expect_in_child(fm_array_zeros(&mappers[i].out, FM_I64, 1, T_SHAPE(mappers[i].n)) == 0 &&
                            pthread_create(&threads[i], NULL, run_mapper, &mappers[i]) == 0,
                        BAD_OPEN);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    expect_in_child(mappers[0].rc == FM_ECANCELLED && mappers[1].rc == FM_ECANCELLED, BAD_CODE);
    expect_in_child(mappers[2].rc == 0, BAD_STATUS); /* it did not ask */
    expect_in_child(fm_pool_signal(mappers[0].pool) == SIGINT &&
                        fm_pool_signal(mappers[1].pool) == SIGINT &&
                        fm_pool_signal(mappers[2].pool) == 0,
                    BAD_SIGNAL);
    expect_in_child(is_default(SIGINT) && is_default(SIGTERM), BAD_HANDLER);
    for (int i = 0; i < 3; i++)
        fm_pool_destroy(mappers[i].pool);
}

static void test_soft_stop_ends_the_maps_of_all_pools_that_asked_and_of_no_other(void **state)
{
    (void)state;
    set_scene();
    pid_t pid = t_start_child(map_on_three_pools, NULL);
    await_items(20);
    assert_int_equal(kill(-pid, SIGINT), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
}

static void hand_out_a_map(void *arg)
{
    fm_array *out = NULL;
    fm_result *result = NULL;
    (void)arg;
    fm_pool *pool = open_soft(2, FM_CALLER_SLEEPS);
    expect_in_child(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N)) == 0 &&
                        fm_pool_map_range_async(pool, take_a_moment, 0, N, out, NULL, &result) == 0,
                    BAD_OPEN);
    while (fm_pool_signal(pool) == 0) /* elsewhere meanwhile */
        t_sleep_ms(1);
    expect_in_child(fm_result_get(result, FM_SECONDS(10)) == FM_ECANCELLED, BAD_CODE);
    expect_in_child(fm_pool_signal(pool) == SIGINT, BAD_SIGNAL);
    expect_in_child(is_default(SIGINT) && is_default(SIGTERM), BAD_HANDLER);
    fm_result_free(result);
    fm_pool_destroy(pool);
}

static void test_soft_stop_ends_a_map_that_was_handed_out(void **state)
{
    (void)state;
    set_scene();
    pid_t pid = t_start_child(hand_out_a_map, NULL);
    await_items(2);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
}

/* ---- what stays as it was ------------------------------------------------------------------------ */

static void note_nothing(int number)
{
    (void)number;
}

static int look_at_handlers(const fm_progress *p, void *arg)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGQUIT};
    (void)p;
    for (size_t i = 0; i < T_N_OF(numbers); i++) {
        struct sigaction now;
        if (sigaction(numbers[i], NULL, &now) != 0 || now.sa_handler != note_nothing)
            *(int *)arg = numbers[i];
    }
    return 0;
}

static void have_handlers_of_its_own(void *arg)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGQUIT};
    fm_pool *pool;
    fm_array *out = NULL;
    int changed = 0;
    (void)arg;
    for (size_t i = 0; i < T_N_OF(numbers); i++)
        signal(numbers[i], note_nothing);
    expect_in_child(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0 &&
                        fm_array_zeros(&out, FM_I64, 1, T_SHAPE(20)) == 0,
                    BAD_OPEN);
    kill(getpid(), SIGHUP);
    kill(getpid(), SIGPIPE);
    expect_in_child(
        fm_pool_map_range(pool, take_a_moment, 0, 20, out,
                          FM_MAP_OPTS(.progress = look_at_handlers, .progress_arg = &changed,
                                      .progress_interval = FM_MS(1))) == 0,
        BAD_CODE);
    fm_pool_destroy(pool);
    look_at_handlers(NULL, &changed);
    expect_in_child(changed == 0, BAD_HANDLER);
}

static void test_soft_stop_is_not_for_a_host_that_did_not_ask(void **state)
{
    (void)state;
    set_scene();
    assert_int_equal(t_exit_code(t_in_child(have_handlers_of_its_own, NULL)), 0);
}

static void ignore_them(void *arg)
{
    struct sigaction now;
    fm_array *out = NULL;
    (void)arg;
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, note_nothing);
    fm_pool *pool = open_soft(2, FM_CALLER_SLEEPS);
    expect_in_child(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(100)) == 0, BAD_OPEN);
    expect_in_child(fm_pool_map_range(pool, take_a_moment, 0, 100, out, NULL) == 0, BAD_CODE);
    expect_in_child(fm_pool_signal(pool) == 0, BAD_SIGNAL);
    expect_in_child(sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_IGN &&
                        sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == note_nothing,
                    BAD_HANDLER);
    fm_pool_destroy(pool);
}

static void test_soft_stop_leaves_a_signal_ignored_that_is(void **state)
{
    (void)state;
    set_scene();
    pid_t pid = t_start_child(ignore_them, NULL);
    await_items(2);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
}

/* ---- a child of the host's own ------------------------------------------------------------------- */

static int fork_and_interrupt(const fm_progress *p, void *arg)
{
    int status = 0;
    (void)p;
    if (*(int *)arg != 0)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        kill(getpid(), SIGINT);
        _exit(0);
    }
    *(int *)arg = waitpid(pid, &status, 0) == pid && t_signal(status) == SIGINT ? 1 : 2;
    return 0;
}

static void fork_in_a_map(void *arg)
{
    fm_array *out = NULL;
    int seen = 0;
    (void)arg;
    fm_pool *pool = open_soft(2, FM_CALLER_SLEEPS);
    expect_in_child(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(40)) == 0, BAD_OPEN);
    expect_in_child(
        fm_pool_map_range(pool, take_a_moment, 0, 40, out,
                          FM_MAP_OPTS(.progress = fork_and_interrupt, .progress_arg = &seen,
                                      .progress_interval = FM_MS(1))) == 0,
        BAD_CODE);
    expect_in_child(seen == 1, BAD_SIGNAL);
    fm_pool_destroy(pool);
}

static void test_soft_stop_does_not_shield_a_child_that_the_host_forks_meanwhile(void **state)
{
    (void)state;
    set_scene();
    assert_int_equal(t_exit_code(t_in_child(fork_in_a_map, NULL)), 0);
}

static void test_soft_stop_refuses_a_word_that_it_does_not_know(void **state)
{
    fm_pool *pool;
    (void)state;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .signals = 3)), -EINVAL);
    assert_null(pool);
    t_expect(fm_pool_signal(NULL), -EINVAL);
}

T_MAIN(T_TEST(test_soft_stop_by_interrupt_finishes_what_runs_and_tells_what_is_done),
       T_TEST(test_soft_stop_by_a_request_to_end_is_the_same),
       T_TEST(test_soft_stop_reaches_a_caller_that_works),
       T_TEST(test_soft_stop_is_followed_by_an_end_at_once_when_a_second_signal_comes),
       T_TEST(test_soft_stop_takes_a_signal_that_comes_twice_at_once_for_one),
       T_TEST(test_soft_stop_ends_the_maps_of_all_pools_that_asked_and_of_no_other),
       T_TEST(test_soft_stop_ends_a_map_that_was_handed_out),
       T_TEST(test_soft_stop_is_not_for_a_host_that_did_not_ask),
       T_TEST(test_soft_stop_leaves_a_signal_ignored_that_is),
       T_TEST(test_soft_stop_does_not_shield_a_child_that_the_host_forks_meanwhile),
       T_TEST(test_soft_stop_refuses_a_word_that_it_does_not_know))
