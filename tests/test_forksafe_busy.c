/* SPDX-License-Identifier: MIT */
/* LABELS: fork stress */
/* TIMEOUT: 300 */
/*
 * Hosts that do something all the while as pools are opened, mapped on and destroyed many times: no hang, every result right,
 * and every line that they print is there once.
 */
#include "t_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    N_POOLS = 15,
    POOLS_AT_LENGTH = 500
}; /* the latter take 50 s for each host, on some machines 300 */
enum { N_ITEMS = 40, N_THREADS = 8, N_BLOCKS = 64 };

static _Atomic int is_over;
static int64_t n_printed[N_THREADS];

/* Uses what glibc protects over a fork: malloc, and stdio in memory. */
static int triple(const void *item, void *result, void *arg)
{
    char *text = malloc(64);
    (void)arg;
    if (text == NULL)
        return 1;
    snprintf(text, 64, "%lld", 3 * (long long)*(const int64_t *)item);
    *(int64_t *)result = atoll(text);
    free(text);
    return 0;
}

static int map_once(fm_array *out)
{
    fm_pool *pool;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        return fprintf(stderr, "open: %s\n", fm_error_detail()), 1;
    memset(fm_array_data(out), 0, N_ITEMS * sizeof(int64_t));
    int rc = fm_pool_map_range(pool, triple, 0, N_ITEMS, out,
                               FM_MAP_OPTS(.item_timeout = FM_SECONDS(30)));
    for (int64_t i = 0; rc == 0 && i < N_ITEMS; i++)
        rc = ((int64_t *)fm_array_data(out))[i] != 3 * i;
    if (rc != 0)
        fprintf(stderr, "map: %d %s\n", rc, fm_error_detail());
    return rc | fm_pool_destroy(pool);
}

static int map_many_times(void)
{
    const int64_t n = N_ITEMS;
    const int n_pools = t_times(N_POOLS, POOLS_AT_LENGTH);
    fm_array *out;
    int rc = fm_array_zeros(&out, FM_I64, 1, &n);
    for (int i = 0; rc == 0 && i < n_pools; i++)
        rc = map_once(out);
    return rc;
}

/* The limit of t_in_child is too short for so many pools; the time limit of the test is there. */
static void no_alarm(void)
{
    alarm(0);
    setenv("FORKMAP_FORK", "quiet", 1);
}

static void *allocate_and_print(void *number)
{
    int64_t self = (int64_t *)number - n_printed;
    void *blocks[N_BLOCKS] = {NULL};
    for (unsigned i = 1; !atomic_load(&is_over); i++) {
        void **block = &blocks[i % N_BLOCKS];
        free(*block);
        *block = malloc(16 + i * 2654435761u % 5000);
        if (i % 100 == 0)
            printf("%lld %lld\n", (long long)self, (long long)n_printed[self]++);
    }
    for (int i = 0; i < N_BLOCKS; i++)
        free(blocks[i]);
    return NULL;
}

static void be_busy(void *path)
{
    pthread_t threads[N_THREADS];
    no_alarm();
    if (freopen(path, "w", stdout) == NULL)
        _exit(1);
    for (int i = 0; i < N_THREADS; i++)
        pthread_create(&threads[i], NULL, allocate_and_print, &n_printed[i]);
    int rc = map_many_times();
    atomic_store(&is_over, 1);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < N_THREADS; i++)
        printf("%d end %lld\n", i, (long long)n_printed[i]);
    fflush(stdout);
    _exit(rc == 0 ? 0 : 2);
}

/* The lines of each thread are numbered; each number must follow the one before. */
static void check_lines(const char *path)
{
    int64_t next[N_THREADS] = {0};
    char line[64];
    int n_ends = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        long long number, thread = -1;
        int is_end = sscanf(line, "%lld end %lld", &thread, &number) == 2;
        n_ends += is_end;
        if (!is_end && sscanf(line, "%lld %lld", &thread, &number) != 2)
            fail_msg("no line of ours: %s", line);
        if (thread < 0 || thread >= N_THREADS || number != next[thread])
            fail_msg("thread %lld: a line is there twice, or is missing: %s", thread, line);
        next[thread]++;
    }
    fclose(file);
    assert_int_equal(n_ends, N_THREADS);
    for (int i = 0; i < N_THREADS; i++)
        assert_true(next[i] > 1); /* each did something */
}

static void test_forksafe_busy_eight_threads_that_allocate_and_print_do_no_harm(void **state)
{
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s/lines", t_temp_dir());
    assert_int_equal(t_exit_code(t_in_child(be_busy, path)), 0);
    check_lines(path);
}

static void *set_variables(void *arg)
{
    for (int i = 0; !atomic_load(&is_over); i++)
        setenv("T_FORKSAFE", i % 2 == 0 ? "even" : "odd and longer than before", 1);
    return arg;
}

/* Its lock is held most of the time, and glibc does not open it in a child. */
static void set_variables_all_the_time(void *arg)
{
    pthread_t thread;
    (void)arg;
    no_alarm();
    pthread_create(&thread, NULL, set_variables, NULL);
    int rc = map_many_times();
    atomic_store(&is_over, 1);
    pthread_join(thread, NULL);
    _exit(rc == 0 ? 0 : 2);
}

static void test_forksafe_busy_thread_that_sets_variables_does_no_harm(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(set_variables_all_the_time, NULL)), 0);
}

static void ignore_sigchld(void *arg)
{
    (void)arg;
    no_alarm();
    signal(SIGCHLD, SIG_IGN);
    _exit(map_many_times() == 0 ? 0 : 2);
}

static void test_forksafe_busy_host_that_ignores_sigchld_gets_every_map_right(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(ignore_sigchld, NULL)), 0);
}

static void *reap_everything(void *arg)
{
    while (!atomic_load(&is_over))
        if (waitpid(-1, NULL, 0) < 0)
            sched_yield(); /* there is no child now */
    return arg;
}

static void reap_all_the_time(void *arg)
{
    pthread_t thread;
    (void)arg;
    no_alarm();
    pthread_create(&thread, NULL, reap_everything, NULL);
    int rc = map_many_times();
    atomic_store(&is_over, 1);
    pthread_join(thread, NULL);
    _exit(rc == 0 ? 0 : 2);
}

static void test_forksafe_busy_host_that_reaps_every_child_gets_every_map_right(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(reap_all_the_time, NULL)), 0);
}

T_MAIN(T_TEST(test_forksafe_busy_eight_threads_that_allocate_and_print_do_no_harm),
       T_TEST(test_forksafe_busy_thread_that_sets_variables_does_no_harm),
       T_TEST(test_forksafe_busy_host_that_ignores_sigchld_gets_every_map_right),
       T_TEST(test_forksafe_busy_host_that_reaps_every_child_gets_every_map_right))
