/* SPDX-License-Identifier: MIT */
/* LABELS: fork unit */
/* TIMEOUT: 60 */
/*
 * A fork beside other threads: what is said of it, and when. Each host is a child of the test, since a process is warned once. Those
 * with OpenMP and OpenBLAS are in tests/hosts, those with threads that work in test_forksafe_busy.c.
 */
#include "forksafe.h"

#include "process.h"
#include "t_pool.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { N_THREADS = 3 };

static struct {
    int n_messages, n_remedies, n_unknown;
    char last[1024];
} heard;

static void hear(int level, const char *message, void *arg)
{
    (void)arg;
    heard.n_messages += level <= FM_LOG_WARNING;
    heard.n_remedies += strstr(message, "Open the pool before threads start") != NULL &&
                        strstr(message, "fm_forkserver_start()") != NULL &&
                        strstr(message, "FM_SPAWN") != NULL &&
                        strstr(message, "FORKMAP_FORK=quiet") != NULL;
    heard.n_unknown += strstr(message, "none of warn, strict, quiet") != NULL;
    snprintf(heard.last, sizeof heard.last, "%s", message);
}

static pthread_mutex_t may_end = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_the_end(void *arg)
{
    pthread_mutex_lock(&may_end);
    pthread_mutex_unlock(&may_end);
    return arg;
}

struct host {
    const char *variable; /* FORKMAP_FORK; NULL: not set */
    int n_threads, n_opens;
    int n_remedies, n_unknown, n_messages, rc; /* what is expected */
};

static int double_it(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

/* 0, or the code of the open; 1 if a result is wrong, 2 if something is left after a refusal. */
static int open_and_map(void)
{
    const int64_t n = 20;
    fm_pool *pool;
    fm_array *out = NULL;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc != 0)
        return pool == NULL && t_n_children() == 0 ? rc : 2;
    if (fm_array_zeros(&out, FM_I64, 1, &n) != 0 ||
        fm_pool_map_range(pool, double_it, 0, n, out, NULL) != 0)
        rc = 1;
    for (int64_t i = 0; rc == 0 && i < n; i++)
        rc = ((int64_t *)fm_array_data(out))[i] != 2 * i;
    fm_array_destroy(out);
    return fm_pool_destroy(pool) == 0 ? rc : 1;
}

static void be_host(void *arg)
{
    const struct host *host = arg;
    pthread_t threads[N_THREADS];
    int rc = 0;
    fm_log_set(FM_LOG_WARNING, hear, NULL);
    if (host->variable != NULL)
        setenv("FORKMAP_FORK", host->variable, 1);
    else
        unsetenv("FORKMAP_FORK");
    pthread_mutex_lock(&may_end);
    for (int i = 0; i < host->n_threads; i++)
        pthread_create(&threads[i], NULL, wait_for_the_end, NULL);
    for (int i = 0; i < host->n_opens && rc == 0; i++)
        rc = open_and_map();
    pthread_mutex_unlock(&may_end);
    for (int i = 0; i < host->n_threads; i++)
        pthread_join(threads[i], NULL);
    if (rc == FM_EUNSAFE && (strstr(fm_error_detail(), "3 other threads") == NULL ||
                             strstr(fm_error_detail(), "FM_FORKSERVER") == NULL))
        _exit(3);
    if (rc == FM_EUNSAFE && open_and_map() != 0) /* the threads are gone */
        _exit(4);
    if (rc != host->rc)
        _exit(5);
    if (heard.n_messages != host->n_messages || heard.n_remedies != host->n_remedies ||
        heard.n_unknown != host->n_unknown)
        fprintf(stderr, "%d messages, the last: %s\n", heard.n_messages, heard.last), _exit(6);
    _exit(0);
}

static void expect_host(struct host host)
{
    assert_int_equal(t_exit_code(t_in_child(be_host, &host)), 0);
}

static void test_forksafe_program_of_one_thread_is_not_warned(void **state)
{
    (void)state;
    expect_host((struct host){.n_opens = 3});
}

static void test_forksafe_other_threads_are_warned_of_once_with_the_remedies(void **state)
{
    (void)state;
    expect_host(
        (struct host){.n_threads = N_THREADS, .n_opens = 3, .n_messages = 1, .n_remedies = 1});
    expect_host((struct host){
        .variable = "warn", .n_threads = 1, .n_opens = 3, .n_messages = 1, .n_remedies = 1});
}

static void be_host_with_a_child(void *arg)
{
    struct host host = {.n_threads = 1, .n_opens = 1, .n_messages = 1, .n_remedies = 1};
    pthread_t thread;
    (void)arg;
    fm_log_set(FM_LOG_WARNING, hear, NULL);
    pthread_mutex_lock(&may_end);
    pthread_create(&thread, NULL, wait_for_the_end, NULL);
    int rc = open_and_map();
    pthread_mutex_unlock(&may_end);
    pthread_join(thread, NULL);
    if (rc != 0 || heard.n_remedies != 1)
        _exit(1);
    memset(&heard, 0, sizeof heard);
    _exit(t_exit_code(t_in_child(be_host, &host)));
}

static void test_forksafe_child_of_a_warned_host_is_warned_itself(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(be_host_with_a_child, NULL)), 0);
}

static void test_forksafe_quiet_says_nothing(void **state)
{
    (void)state;
    expect_host((struct host){.variable = "quiet", .n_threads = N_THREADS, .n_opens = 2});
}

static void test_forksafe_unknown_value_is_named_once_and_warn_is_used(void **state)
{
    (void)state;
    expect_host((struct host){.variable = "maybe",
                              .n_threads = 1,
                              .n_opens = 3,
                              .n_messages = 2,
                              .n_remedies = 1,
                              .n_unknown = 1});
    expect_host((struct host){.variable = "maybe", .n_opens = 3, .n_messages = 1, .n_unknown = 1});
    expect_host((struct host){.variable = "", .n_opens = 3});
}

static void test_forksafe_strict_refuses_while_threads_run_and_leaves_nothing(void **state)
{
    (void)state;
    expect_host((struct host){
        .variable = "strict", .n_threads = N_THREADS, .n_opens = 1, .rc = FM_EUNSAFE});
}

static void test_forksafe_strict_lets_one_thread_pass(void **state)
{
    (void)state;
    expect_host((struct host){.variable = "strict", .n_opens = 3});
}

/* ---- how threads are counted ---- */

static void *end_at_once(void *arg)
{
    return arg;
}

/* A joined thread stays in /proc for some microseconds: without a look at its flags up to 18 of 5000 were counted. */
static void count_after_joins(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5000; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, end_at_once, NULL) != 0 ||
            pthread_join(thread, NULL) != 0)
            _exit(1);
        if (fmi_sys_count_threads() != 1)
            _exit(2);
    }
    _exit(fmi_forksafe_is_clean() == 1 ? 0 : 3);
}

static void test_forksafe_joined_threads_are_never_counted(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(count_after_joins, NULL)), 0);
}

static void count_threads_that_wait(void *arg)
{
    pthread_t threads[N_THREADS];
    (void)arg;
    pthread_mutex_lock(&may_end);
    for (int i = 0; i < N_THREADS; i++) {
        pthread_create(&threads[i], NULL, wait_for_the_end, NULL);
        if (fmi_sys_count_threads() != i + 2 || fmi_forksafe_is_clean() != 0)
            _exit(1);
    }
    pthread_mutex_unlock(&may_end);
    for (int i = 0; i < N_THREADS; i++)
        pthread_join(threads[i], NULL);
    _exit(fmi_sys_count_threads() == 1 && fmi_forksafe_is_clean() == 1 ? 0 : 2);
}

static void test_forksafe_threads_that_wait_are_counted(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(count_threads_that_wait, NULL)), 0);
}

/* ---- what a child gets ---- */

static int count_variables(const char *text)
{
    int n = 0;
    for (char **variable = environ; *variable != NULL; variable++)
        n += strcmp(*variable, text) == 0;
    return n;
}

static void set_inner_threads(void *arg)
{
    (void)arg;
    setenv("OMP_NUM_THREADS", "7", 1);
    setenv("OMP_NUM_THREADS_NOT", "7", 1);
    unsetenv("BLIS_NUM_THREADS");
    fmi_inner_threads(0);
    if (count_variables("OMP_NUM_THREADS=7") != 1)
        _exit(1);
    fmi_inner_threads(3);
    fmi_inner_threads(2);
    for (int i = 0; fmi_inner_threads_names[i] != NULL; i++) {
        const char *text = getenv(fmi_inner_threads_names[i]);
        if (text == NULL || strcmp(text, "2") != 0)
            _exit(2);
    }
    if (count_variables("OMP_NUM_THREADS=7") != 0 || count_variables("OMP_NUM_THREADS=2") != 1 ||
        count_variables("OMP_NUM_THREADS_NOT=7") != 1 || getenv("PATH") == NULL)
        _exit(3);
    setenv("OMP_NUM_THREADS", "4", 1); /* as a function may */
    _exit(count_variables("OMP_NUM_THREADS=4") == 1 && unsetenv("MKL_NUM_THREADS") == 0 &&
                  getenv("MKL_NUM_THREADS") == NULL
              ? 0
              : 4);
}

static void test_forksafe_inner_threads_replace_the_variables_and_keep_others(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(set_inner_threads, NULL)), 0);
}

/* ---- files that LLVM's OpenMP leaves ---- */

static int make_shm(int pid)
{
    char name[64];
    snprintf(name, sizeof name, "/__KMP_REGISTERED_LIB_%d_%u", pid, (unsigned)getuid());
    int fd = shm_open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -1;
}

static int is_shm_there(int pid)
{
    char path[96];
    snprintf(path, sizeof path, "/dev/shm/__KMP_REGISTERED_LIB_%d_%u", pid, (unsigned)getuid());
    return access(path, F_OK) == 0;
}

static void test_forksafe_forget_removes_the_file_of_that_process_only(void **state)
{
    (void)state;
    enum { DEAD = 2000000001, OTHER = 200000000 }; /* no pids: they end at 4194304 */
    assert_int_equal(make_shm(DEAD), 0);
    assert_int_equal(make_shm(OTHER), 0);
    fmi_forksafe_forget(DEAD);
    assert_false(is_shm_there(DEAD));
    assert_true(is_shm_there(OTHER));
    fmi_forksafe_forget(OTHER);
    fmi_forksafe_forget(OTHER);
    assert_false(is_shm_there(OTHER));
}

static int leave_a_file(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = getpid();
    if (make_shm(getpid()) != 0)
        return 1;
    if (*(const int64_t *)item == 3)
        abort();
    return 0;
}

static void test_forksafe_files_of_workers_that_leave_or_crash_are_removed(void **state)
{
    (void)state;
    enum { N = 8 };
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *out = t_vector(FM_I64, N);
    fm_failure failure;
    t_expect(fm_pool_map_range(pool, leave_a_file, 0, N, out,
                               FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)),
             FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_false(is_shm_there(failure.pid));
    t_destroy(pool);
    for (int i = 0; i < N; i++)
        assert_false(is_shm_there((int)((int64_t *)fm_array_data(out))[i]));
    fm_array_destroy(out);
}

T_MAIN(T_TEST(test_forksafe_program_of_one_thread_is_not_warned),
       T_TEST(test_forksafe_other_threads_are_warned_of_once_with_the_remedies),
       T_TEST(test_forksafe_child_of_a_warned_host_is_warned_itself),
       T_TEST(test_forksafe_quiet_says_nothing),
       T_TEST(test_forksafe_unknown_value_is_named_once_and_warn_is_used),
       T_TEST(test_forksafe_strict_refuses_while_threads_run_and_leaves_nothing),
       T_TEST(test_forksafe_strict_lets_one_thread_pass),
       T_TEST(test_forksafe_joined_threads_are_never_counted),
       T_TEST(test_forksafe_threads_that_wait_are_counted),
       T_TEST(test_forksafe_inner_threads_replace_the_variables_and_keep_others),
       T_TEST(test_forksafe_forget_removes_the_file_of_that_process_only),
       T_TEST(test_forksafe_files_of_workers_that_leave_or_crash_are_removed))
