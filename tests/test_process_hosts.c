/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 60 */
/*
 * Processes of hosts that make it hard: several threads that use handles and locks at once, a closed stdin, no descriptors left, forks
 * of their own, keepers that somebody stops.
 */
#include "t_process.h"

#include "clock.h"
#include "fault.h"
#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int return_number(void *arg)
{
    return *(int *)arg;
}

static int wait_for_ever(void *arg)
{
    (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

/* ---- threads and handles ------------------------------------------------------------------------ */

static _Atomic int is_to_end;

static void *list_children(void *arg)
{
    fm_process *list[4];
    (void)arg;
    while (!is_to_end)
        (void)fm_active_children(list, 4);
    return NULL;
}

static void test_process_may_be_closed_while_another_thread_lists_the_children(void **state)
{
    pthread_t thread;
    int number = 3;
    t_expect(fm_forkserver_start(NULL), 0);
    is_to_end = 0;
    assert_int_equal(pthread_create(&thread, NULL, list_children, NULL), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(t_end(t_run(t_method(state), return_number, &number, sizeof number)), 3);
    is_to_end = 1;
    pthread_join(thread, NULL);
}

static _Atomic int n_waiting;

static void *close_it(void *p)
{
    n_waiting++;
    while (n_waiting < 2)
        ;
    return (void *)(intptr_t)fm_process_close(p);
}

static void test_process_is_closed_by_one_of_two_threads(void **state)
{
    int number = 0;
    (void)state;
    for (int i = 0; i < 300; i++) {
        pthread_t threads[2];
        void *codes[2];
        fm_process *p = i % 2 == 0 ? t_create(FM_FORK, return_number, &number, sizeof number)
                                   : t_run(FM_FORK, return_number, &number, sizeof number);
        if (i % 2 == 1)
            t_expect(fm_process_join(p, FM_SECONDS(10)), 0);
        n_waiting = 0;
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, close_it, p), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], &codes[k]);
        assert_int_equal((intptr_t)codes[0] + (intptr_t)codes[1], -EINVAL); /* the other one: 0 */
    }
}

/* ---- locks that other threads hold at the fork ---------------------------------------------------- */

static _Atomic int is_at_the_list, is_list_wanted;
static _Atomic pid_t forking_host;

static int stay_at_the_list(struct dl_phdr_info *info, size_t bytes, void *arg)
{
    (void)info;
    (void)bytes;
    (void)arg;
    is_at_the_list = 1;
    t_sleep_ms(300);
    return 1;
}

static void *look_at_the_list(void *arg)
{
    (void)arg;
    while (!is_list_wanted)
        usleep(100);
    (void)fmi_modules_iterate(stay_at_the_list, NULL);
    return NULL;
}

/* By then whoever forks has had its own last look. */
static void let_the_other_look(const char *name)
{
    if (getpid() != forking_host || strcmp(name, "launch.fork") != 0)
        return;
    is_list_wanted = 1;
    while (!is_at_the_list)
        usleep(100);
}

static void *open_and_destroy(void *arg)
{
    (void)arg;
    while (!is_to_end) {
        fm_pool *pool;
        t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .caller = FM_CALLER_WORKS)));
        t_must(fm_pool_destroy(pool));
    }
    return NULL;
}

static int open_a_pool(void *arg)
{
    fm_pool *pool;
    (void)arg;
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1));
    return rc == 0 ? fm_pool_destroy(pool) : rc;
}

static void open_a_pool_in_a_process(void)
{
    fm_process *p;
    int code = -1;
    t_must(fm_process_create(&p, open_a_pool, NULL, 0, NULL));
    t_must(fm_process_start(p));
    t_must(fm_process_join(p, FM_SECONDS(10)));
    t_must(fm_process_exitcode(p, &code));
    t_must(code);
    t_must(fm_process_close(p));
}

static void fork_beside_a_thread_at_the_list(void *arg)
{
    pthread_t thread;
    (void)arg;
    setenv("FORKMAP_FORK", "quiet", 1);
    is_at_the_list = is_list_wanted = 0;
    forking_host = getpid();
    fmi_fault_hook(let_the_other_look);
    pthread_create(&thread, NULL, look_at_the_list, NULL);
    open_a_pool_in_a_process();
    pthread_join(thread, NULL);
}

/* glibc makes the lock of that list not new in a child, so a child that looks at it would wait for ever. */
static void test_process_by_fork_finds_the_list_of_loaded_objects_unlocked(void **state)
{
    (void)state;
    t_run_host(fork_beside_a_thread_at_the_list, NULL);
}

static void open_pools_beside_a_thread(void *arg)
{
    pthread_t thread;
    int64_t end_ns = fmi_now_ns() + FM_SECONDS(4);
    (void)arg;
    is_to_end = 0;
    setenv("FORKMAP_FORK", "quiet", 1);
    pthread_create(&thread, NULL, open_and_destroy, NULL);
    for (int i = 0; i < 100 && fmi_now_ns() < end_ns; i++) /* others may have the cores */
        open_a_pool_in_a_process();
    is_to_end = 1;
    pthread_join(thread, NULL);
}

static void test_process_by_fork_waits_for_no_lock_of_the_hosts_threads(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    t_skip(
        "a malloc that survives the fork of a process with threads: AddressSanitizer's does not");
#endif
    t_run_host(open_pools_beside_a_thread, NULL);
}

static void *wait_for_the_server(void *arg)
{
    fm_process *p;
    fm_context context;
    (void)arg;
    t_must(fm_get_context(FM_FORKSERVER, &context));
    t_must(fm_process_create(&p, wait_for_ever, NULL, 0,
                             FM_PROCESS_OPTS(.context = &context, .start_timeout = FM_SECONDS(3))));
    n_waiting = 1;
    (void)!fm_process_start(p); /* the server is stopped */
    return NULL;
}

/* The child inherits the handlers of atexit, and a lock that the other thread holds. */
static void fork_beside_a_waiting_thread(void *arg)
{
    pthread_t thread;
    int status = 0;
    (void)arg;
    t_must(fm_forkserver_start(NULL));
    kill(fm_forkserver_pid(), SIGSTOP);
    n_waiting = 0;
    pthread_create(&thread, NULL, wait_for_the_server, NULL);
    while (n_waiting == 0)
        usleep(100);
    t_sleep_ms(50);
    pid_t child = fork();
    if (child == 0)
        exit(0);
    alarm(2);
    waitpid(child, &status, 0);
    alarm(0);
    kill(fm_forkserver_pid(), SIGCONT);
    pthread_join(thread, NULL);
    _exit(t_exit_code(status) == 0 ? 0 : 1);
}

static void
test_process_fork_of_the_hosts_own_can_exit_while_a_thread_waits_for_the_server(void **state)
{
    (void)state;
    t_run_host(fork_beside_a_waiting_thread, NULL);
}

/* ---- descriptors ------------------------------------------------------------------------------------ */

static void use_without_stdio(void *method)
{
    fm_context context;
    fm_process *p;
    fm_pool *pool;
    int number = 5, code = -1;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    t_must(fm_get_context(*(int *)method, &context));
    t_must(fm_process_create(&p, return_number, &number, sizeof number,
                             FM_PROCESS_OPTS(.context = &context)));
    t_must(fm_process_start(p));
    t_must(fm_process_join(p, FM_SECONDS(10)));
    t_must(fm_process_exitcode(p, &code));
    t_must(code - number);
    t_must(fm_process_close(p));
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .context = &context)));
    t_must(fm_pool_close(pool));
    t_must(fm_pool_join(pool, FM_SECONDS(10)));
    t_must(fm_pool_destroy(pool));
    for (int fd = 0; fd < 3; fd++)
        t_must(fcntl(fd, F_GETFD) >= 0);
    fm_forkserver_stop();
}

static void test_process_host_without_stdin_stdout_and_stderr_can_start_them(void **state)
{
    int method = t_method(state);
    t_run_host(use_without_stdio, &method);
}

struct counted {
    _Atomic int *n_runs;
};

static int count_run(void *arg)
{
    ++*((struct counted *)arg)->n_runs;
    return wait_for_ever(NULL);
}

/* With every number of free descriptors: either it starts, or it does not, and then nobody runs. */
static void test_process_start_without_descriptors_fails_and_leaves_nobody(void **state)
{
    struct rlimit before, limit;
    fm_array *array = t_vector(FM_I32, 1);
    struct counted arg = {fm_array_data(array)};
    int n_expected = 0, n_failed = 0;
    t_expect(fm_forkserver_start(NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int lowest = dup(STDIN_FILENO);
    close(lowest);
    for (int n_free = 0; n_free < 12; n_free++) {
        fm_process *p = t_create(t_method(state), count_run, &arg, sizeof arg);
        limit = before;
        limit.rlim_cur = (rlim_t)(lowest + n_free);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        int rc = fm_process_start(p);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (rc != 0) {
            n_failed++;
            t_expect(rc, -EMFILE);
            t_expect(fm_process_start(p), 0); /* it may be tried again */
        }
        n_expected++;
        while (*arg.n_runs < n_expected)
            usleep(100);
        t_expect(fm_process_kill(p), 0);
        assert_int_equal(t_end(p), -SIGKILL);
        t_sleep_ms(2);
        assert_int_equal(*arg.n_runs, n_expected);
    }
    assert_true(n_failed > 0 && n_failed < 12);
    fm_array_destroy(array);
}

/* ---- what is not believed ----------------------------------------------------------------------------- */

static void pretend_to_be_spawned(void *path)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0 || dup2(file, 3) != 3)
        _exit(1);
    execl("/proc/self/exe", "test", "--forkmap-spawned=200000000000,100000,200000000010,1,0",
          (char *)NULL);
    _exit(1);
}

static void test_process_argument_of_spawned_programs_is_not_believed_with_any_file(void **state)
{
    (void)state;
    static char text[0x100000], after[sizeof text];
    char path[600];
    memset(text, 'x', sizeof text);
    snprintf(path, sizeof path, "%s/file", t_temp_dir());
    t_write_file(path, text, sizeof text);
    int status = t_in_child(pretend_to_be_spawned, path);
    assert_int_equal(t_exit_code(status), 2);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(after, 1, sizeof after, file), sizeof after);
    fclose(file);
    assert_memory_equal(after, text, sizeof text);
}

/* ---- memory -------------------------------------------------------------------------------------------- */

static void test_process_with_too_large_a_stack_does_not_start(void **state)
{
    fm_context context = t_context(t_method(state));
    fm_process *p;
    fm_pool *pool;
    int number = 0;
    t_expect(fm_process_create(&p, return_number, &number, sizeof number,
                               FM_PROCESS_OPTS(.context = &context, .stack_bytes = 1ull << 60)),
             0);
    t_expect(fm_process_start(p), -ENOMEM);
    t_expect(fm_process_close(p), 0);
    t_expect(fm_pool_open(
                 &pool, FM_POOL_OPTS(.workers = 2, .context = &context, .stack_bytes = 1ull << 60)),
             -ENOMEM);
    assert_null(pool);
}

/* ---- a keeper that somebody stops ---------------------------------------------------------------------- */

static int tell_keeper(void *arg)
{
    *((struct counted *)arg)->n_runs = getppid();
    t_sleep_ms(20);
    return 6;
}

static void test_process_keeper_that_was_stopped_is_continued(void **state)
{
    fm_array *array = t_vector(FM_I32, 1);
    struct counted arg = {fm_array_data(array)};
    fm_process *p = t_run(t_method(state), tell_keeper, &arg, sizeof arg);
    while (*arg.n_runs == 0)
        usleep(100);
    kill(*arg.n_runs, SIGSTOP);
    t_expect(fm_process_join(p, FM_FOREVER), 0);
    assert_int_equal(t_end(p), 6);
    fm_array_destroy(array);
}

/* ---- who a worker is ------------------------------------------------------------------------------------ */

static int tell_who(const void *item, void *result, void *arg)
{
    fm_process *mother = fm_parent_process();
    int32_t *row = result;
    (void)item;
    row[0] = fm_process_pid(fm_current_process()) == getpid();
    row[1] = fm_process_daemon(fm_current_process());
    row[2] = mother == NULL ? 0 : fm_process_pid(mother);
    row[3] = mother == NULL ? 0 : fm_process_is_alive(mother);
    row[4] = strcmp(fm_process_name(fm_current_process()), arg) == 0;
    return 0;
}

static void test_process_worker_of_a_pool_is_a_daemon_of_its_host(void **state)
{
    (void)state;
    fm_array *out = t_array(FM_I32, 2, T_SHAPE(1, 5));
    fm_pool *pool = t_open(1, 0);
    char name[] = "fm-w00";
    t_expect(fm_pool_map_range(pool, tell_who, 0, 1, out,
                               FM_MAP_OPTS(.arg = name, .arg_bytes = sizeof name)),
             0);
    const int32_t *row = fm_array_data(out);
    assert_int_equal(row[0], 1);
    assert_int_equal(row[1], 1);
    assert_int_equal(row[2], getpid());
    assert_int_equal(row[3], 1);
    assert_int_equal(row[4], 1);
    t_destroy(pool);
    fm_array_destroy(out);
}

T_MAIN(T_EACH_METHOD(test_process_may_be_closed_while_another_thread_lists_the_children),
       T_TEST(test_process_is_closed_by_one_of_two_threads),
       T_TEST(test_process_by_fork_finds_the_list_of_loaded_objects_unlocked),
       T_TEST(test_process_by_fork_waits_for_no_lock_of_the_hosts_threads),
       T_TEST(test_process_fork_of_the_hosts_own_can_exit_while_a_thread_waits_for_the_server),
       T_EACH_METHOD(test_process_host_without_stdin_stdout_and_stderr_can_start_them),
       T_EACH_METHOD(test_process_start_without_descriptors_fails_and_leaves_nobody),
       T_TEST(test_process_argument_of_spawned_programs_is_not_believed_with_any_file),
       T_EACH_METHOD(test_process_with_too_large_a_stack_does_not_start),
       T_EACH_METHOD(test_process_keeper_that_was_stopped_is_continued),
       T_EACH_METHOD(test_process_worker_of_a_pool_is_a_daemon_of_its_host))
