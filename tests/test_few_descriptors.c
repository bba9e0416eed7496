/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Descriptors: what becomes of a host, and of a server, that can have no more; and who has those that there are. Programs that are executed get none of the library's, and
 * no process waits for the end of a descriptor of which another may have a copy.
 */
#include "t_inject.h"
#include "t_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum { N_ITEMS = 50 };

#define MUST(condition) must_at((condition), #condition, __LINE__)
static void must_at(int holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, what, fm_error_detail());
    _exit(1);
}

static int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static void map_and_check(fm_pool *pool, fm_array *out)
{
    memset(fm_array_data(out), 0, N_ITEMS * sizeof(int64_t));
    t_must(fm_pool_map_range(pool, twice, 0, N_ITEMS, out, NULL));
    for (int64_t i = 0; i < N_ITEMS; i++)
        MUST(t_i64(out)[i] == 2 * i);
}

static void limit_files_of(pid_t pid, int n)
{
    struct rlimit limit;
    MUST(prlimit(pid, RLIMIT_NOFILE, NULL, &limit) == 0);
    limit.rlim_cur = n < 0 ? limit.rlim_max : (rlim_t)n;
    MUST(prlimit(pid, RLIMIT_NOFILE, &limit, NULL) == 0);
}

/* ---- none is left -------------------------------------------------------------------------------- */

/* What opens is to work; what does not says why, and leaves everything as it was. */
static int open_with(pid_t limited, int limit)
{
    fm_array *out;
    fm_pool *pool;
    int n_fds = t_inject_n_fds();
    limit_files_of(limited, limit);
    int rc = fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N_ITEMS)), has_heap = rc == 0;
    if (rc == 0)
        rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
    if (rc == 0) {
        map_and_check(pool, out);
        t_must(fm_pool_destroy(pool));
    }
    MUST(rc == 0 || rc == -EMFILE);
    MUST(rc == 0 || strstr(fm_error_detail(), fm_strerror(-EMFILE)) != NULL ||
         strstr(fm_error_detail(), "RLIMIT_NOFILE") != NULL);
    limit_files_of(limited, -1);
    if (has_heap)
        fm_array_destroy(out);
    if (fm_forkserver_pid() != limited)
        t_must(fm_forkserver_stop());
    int n = t_inject_n_fds();
    MUST(n == n_fds || n == n_fds + has_heap);
    return rc;
}

static void open_afterwards(void)
{
    fm_array *out;
    fm_pool *pool;
    t_must(fm_array_zeros(&out, FM_I64, 1, T_SHAPE(N_ITEMS)));
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)));
    map_and_check(pool, out);
    t_must(fm_pool_destroy(pool));
    fm_array_destroy(out);
}

/* In a host without a heap, which it must make, too. */
static void open_in_a_host_with(void *limit)
{
    int rc = open_with(0, *(int *)limit);
    open_afterwards();
    t_must(fm_forkserver_stop());
    _exit(rc == 0 ? 0 : 3);
}

static void test_few_descriptors_host_that_can_have_no_more_gets_emfile(void **state)
{
    static const int limits[] = {64, 14, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3};
    int n_failed = 0;
    (void)state;
    (void)
        fm_cpu_count(); /* what cannot be read of the machine is left out, and is another library's business */
    for (size_t i = 0; i < T_N_OF(limits); i++) {
        int limit = limits[i], status = t_in_child(open_in_a_host_with, &limit);
        t_assert_all_gone();
        assert_int_equal(t_signal(status), 0);
        if (t_exit_code(status) != 0 && t_exit_code(status) != 3)
            fail_msg("with %d: exit code %d", limit, t_exit_code(status));
        n_failed += t_exit_code(status) == 3;
        assert_true(i > 0 || n_failed == 0);
    }
    assert_true(n_failed >= 2);
}

/* Requests bring descriptors for which there is no room; those that come through are handed on. */
static void open_by_a_server(void *unused)
{
    int n_failed = 0;
    (void)unused;
    t_must(fm_set_start_method(FM_FORKSERVER, 1));
    t_must(fm_forkserver_start(NULL));
    pid_t server = fm_forkserver_pid();
    for (int limit = 3; limit < 20; limit++) {
        n_failed += open_with(server, limit) != 0;
        open_afterwards();
        MUST(fm_forkserver_pid() == server); /* it has outlived that */
    }
    MUST(n_failed >= 2 && n_failed < 17);
    t_must(fm_forkserver_stop());
}

static void test_few_descriptors_server_that_can_have_no_more_says_so_and_goes_on(void **state)
{
    (void)state;
    t_run_host(open_by_a_server, NULL);
}

/* The answer brings one for which there is no room. */
static void be_answered_without_room(void *unused)
{
    int n_failed = 0;
    (void)unused;
    t_must(fm_set_start_method(FM_FORKSERVER, 1));
    t_must(fm_forkserver_start(NULL));
    int lowest = dup(STDIN_FILENO);
    close(lowest);
    for (int n_free = 0; n_free < 8; n_free++) {
        fm_pool *pool;
        int n_fds = t_inject_n_fds();
        limit_files_of(0, lowest + n_free);
        int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
        limit_files_of(0, -1);
        MUST(rc == 0 || rc == -EMFILE);
        n_failed += rc != 0;
        t_must(fm_pool_destroy(pool));
        MUST(t_inject_n_fds() == n_fds);
        open_afterwards();
    }
    MUST(n_failed >= 3 && n_failed < 8);
    t_must(fm_forkserver_stop());
}

static void test_few_descriptors_host_without_room_for_the_servers_answer_gets_emfile(void **state)
{
    (void)state;
    t_run_host(be_answered_without_room, NULL);
}

/* ---- who has them -------------------------------------------------------------------------------- */

/* Of a program that is executed now: 0, 1, 2, those that the test was given, and the one by which ls reads. */
static int count_fds_of_a_program(void)
{
    int n = -1;
    FILE *pipe = popen("ls /proc/self/fd | wc -l", "re");
    MUST(pipe != NULL);
    MUST(fscanf(pipe, "%d", &n) == 1);
    MUST(pclose(pipe) == 0);
    return n;
}

static int count_for_a_program(const void *arg, void *result)
{
    (void)arg;
    *(int *)result = count_fds_of_a_program();
    return 0;
}

static int hang(void *arg)
{
    (void)arg;
    while (pause() != 0)
        ;
    return 0;
}

static void execute_programs(void *unused)
{
    int before = count_fds_of_a_program(), in_worker = 0;
    fm_pool *pool;
    fm_process *p;
    fm_queue *queue;
    fm_conn *a, *b;
    (void)unused;
    t_must(fm_forkserver_start(NULL));
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1)));
    t_must(fm_process_create(&p, hang, NULL, 0, FM_PROCESS_OPTS(.daemon = 1)));
    t_must(fm_process_start(p));
    t_must(fm_queue_create(&queue, NULL));
    t_must(fm_pipe(&a, &b, 0));
    MUST(fm_conn_fileno(a) >= 0);
    MUST(count_fds_of_a_program() == before);
    t_must(fm_pool_apply(pool, count_for_a_program, NULL, 0, &in_worker, sizeof in_worker));
    MUST(in_worker == before || (in_worker < before && fm_get_start_method() == FM_SPAWN));
    t_must(fm_process_kill(p));
    t_must(fm_process_join(p, FM_SECONDS(5)));
    t_must(fm_process_close(p));
    t_must(fm_pool_destroy(pool));
    t_must(fm_forkserver_stop());
}

static void test_few_descriptors_executed_programs_have_none_of_them(void **state)
{
    (void)state;
    t_run_host(execute_programs, NULL);
}

/* A child that the host forked by itself has copies of all descriptors, and keeps them. */
static void die_beside_a_sibling(void *sibling)
{
    fm_pool *pool;
    fm_process *p;
    t_must(fm_forkserver_start(NULL));
    t_must(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)));
    t_must(fm_process_create(&p, hang, NULL, 0, NULL));
    t_must(fm_process_start(p));
    pid_t pid = fork();
    if (pid == 0)
        hang(NULL);
    *(_Atomic pid_t *)sibling = pid;
    raise(SIGKILL);
}

static void test_few_descriptors_that_a_sibling_has_keep_nobody_waiting(void **state)
{
    fm_array *a = t_vector(FM_I32, 1);
    _Atomic pid_t *sibling = fm_array_data(a);
    (void)state;
    int status = t_in_child(die_beside_a_sibling, sibling);
    assert_int_equal(t_signal(status), SIGKILL);
    int n_left = 0;
    for (int ms = 0; ms < 3000 && (n_left = t_n_children()) != 1; ms += 5) {
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
        t_sleep_ms(5);
    }
    int is_alive = kill(*sibling, 0) == 0 && t_process_state(*sibling) != 'Z';
    kill(*sibling, SIGKILL);
    assert_true(is_alive);
    assert_int_equal(n_left, 1); /* the sibling */
    t_assert_all_gone();
    fm_array_destroy(a);
}

T_MAIN(T_EACH_METHOD(test_few_descriptors_host_that_can_have_no_more_gets_emfile),
       T_TEST(test_few_descriptors_server_that_can_have_no_more_says_so_and_goes_on),
       T_TEST(test_few_descriptors_host_without_room_for_the_servers_answer_gets_emfile),
       T_EACH_METHOD(test_few_descriptors_executed_programs_have_none_of_them),
       T_EACH_METHOD(test_few_descriptors_that_a_sibling_has_keep_nobody_waiting))
