/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* TIMEOUT: 30 */
/* Start methods of pools: what a worker has by each, what is refused, and how many processes, threads and descriptors it takes. */
#include "t_process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- in workers --------------------------------------------------------------------------------- */

static int private_value = 1;

static int get_private_value(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(int64_t *)result = private_value;
    return 0;
}

static int add_arg(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)arg;
    return 0;
}

static int set_private_value(int rank, void *arg)
{
    (void)rank;
    private_value = *(const int *)arg;
    return 0;
}

static int count_fds(void)
{
    int n = -1; /* opendir's own */
    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry = fds == NULL ? NULL : readdir(fds); entry != NULL;
         entry = readdir(fds))
        n += entry->d_name[0] != '.';
    if (fds != NULL)
        closedir(fds);
    return n;
}

static int count_threads(void)
{
    struct stat status;
    return stat("/proc/self/task", &status) == 0 ? (int)status.st_nlink - 2 : -1;
}

static int tell_fd(const void *item, void *result, void *arg)
{
    (void)item;
    *(int64_t *)result = fcntl(*(int *)arg, F_GETFD) >= 0;
    return 0;
}

static int tell_signals(const void *item, void *result, void *arg)
{
    sigset_t mask;
    struct sigaction usr1, interrupt;
    (void)item;
    (void)arg;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigaction(SIGUSR1, NULL, &usr1);
    sigaction(SIGINT, NULL, &interrupt);
    *(int64_t *)result = !sigismember(&mask, SIGTERM) && !sigismember(&mask, SIGUSR1) &&
                         usr1.sa_handler == SIG_DFL && interrupt.sa_handler == SIG_IGN;
    return 0;
}

static int tell_directory(const void *item, void *result, void *arg)
{
    char path[600];
    (void)item;
    *(int64_t *)result = getcwd(path, sizeof path) != NULL && strcmp(path, arg) == 0;
    return 0;
}

static int tell_omp(const void *item, void *result, void *arg)
{
    const char *text = getenv("OMP_NUM_THREADS");
    (void)item;
    (void)arg;
    *(int64_t *)result = text == NULL ? -1 : atoi(text);
    return 0;
}

static int print_item(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = printf("item %d\n", (int)*(const int64_t *)item);
    return 0;
}

/* ---- short hands -------------------------------------------------------------------------------- */

/* Maps over two numbers in one worker and returns what the second row is. */
static int64_t ask_pool(fm_pool *pool, fm_item_fn *fn, void *arg, size_t arg_bytes)
{
    fm_array *out = t_vector(FM_I64, 2);
    t_expect(
        fm_pool_map_range(pool, fn, 0, 2, out, FM_MAP_OPTS(.arg = arg, .arg_bytes = arg_bytes)), 0);
    int64_t value = ((int64_t *)fm_array_data(out))[1];
    fm_array_destroy(out);
    return value;
}

static int64_t ask(fm_item_fn *fn, void *arg, size_t arg_bytes)
{
    fm_pool *pool = t_open(1, 0);
    int64_t value = ask_pool(pool, fn, arg, arg_bytes);
    t_destroy(pool);
    return value;
}

/* ---- what a worker has -------------------------------------------------------------------------- */

static void test_start_workers_have_private_memory_by_fork_only(void **state)
{
    private_value = 2;
    assert_int_equal(ask(get_private_value, NULL, 0), t_method(state) == FM_SPAWN ? 1 : 2);
    private_value = 3; /* after the start of the server, if there is one */
    int64_t expected[] = {[FM_FORK] = 3, [FM_SPAWN] = 1, [FM_FORKSERVER] = 2};
    assert_int_equal(ask(get_private_value, NULL, 0), expected[t_method(state)]);
    private_value = 1;
}

static void test_start_workers_get_arguments_by_value_and_by_heap_pointer(void **state)
{
    (void)state;
    int64_t seven = 7;
    fm_array *array = t_vector(FM_I64, 1);
    *(int64_t *)fm_array_data(array) = 8;
    assert_int_equal(ask(add_arg, &seven, sizeof seven), 8);
    assert_int_equal(ask(add_arg, fm_array_data(array), 0), 9);
    fm_array_destroy(array);
}

static void test_start_workers_get_large_arguments(void **state)
{
    (void)state;
    int64_t many[10000] = {30};
    assert_int_equal(ask(add_arg, many, sizeof many), 31);
}

static void test_start_private_pointer_is_refused_unless_forked(void **state)
{
    int64_t seven = 7;
    int value = 4;
    fm_pool *pool = t_open(1, 0);
    fm_array *out = t_vector(FM_I64, 2);
    int rc = fm_pool_map_range(pool, add_arg, 0, 2, out, FM_MAP_OPTS(.arg = &seven));
    t_destroy(pool);
    fm_array_destroy(out);
    int expected = t_method(state) == FM_FORK ? 0 : -EINVAL;
    if (t_method(state) == FM_FORK)
        assert_true(rc == 0 || rc == FM_ETASK); /* its stack is copied, too */
    else
        t_expect(rc, expected);
    rc = fm_pool_open(
        &pool, FM_POOL_OPTS(.workers = 1, .initializer = set_private_value, .init_arg = &value));
    t_expect(rc, expected);
    if (rc == 0)
        t_destroy(pool);
    else
        assert_null(pool);
}

static void test_start_initializer_runs_with_a_copy_of_its_argument(void **state)
{
    (void)state;
    int value = 5;
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .initializer = set_private_value,
                                              .init_arg = &value, .init_arg_bytes = sizeof value)),
             0);
    value = 6;
    assert_int_equal(ask_pool(pool, get_private_value, NULL, 0), 5);
    t_destroy(pool);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .init_arg_bytes = 4)), -EINVAL);
}

static int fail_to_start(int rank, void *arg)
{
    (void)arg;
    return rank == 1 ? 9 : 0;
}

static void test_start_initializer_that_fails_fails_the_open(void **state)
{
    (void)state;
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = fail_to_start)),
             FM_EINIT);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "9"));
}

static void test_start_spawned_workers_have_no_descriptors_of_the_host(void **state)
{
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd =
        fcntl(null, F_DUPFD, 100); /* not close-on-exec, and no number that a worker uses itself */
    assert_true(fd >= 100);
    close(null);
    int64_t is_there = ask(tell_fd, &fd, sizeof fd);
    assert_int_equal(is_there, t_method(state) != FM_SPAWN); /* the server was forked after it */
    close(fd);
}

static void note_nothing(int number)
{
    (void)number;
}

static void test_start_workers_have_default_signals(void **state)
{
    (void)state;
    sigset_t some, before;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    signal(SIGUSR1, note_nothing);
    pthread_sigmask(SIG_BLOCK, &some, &before);
    assert_int_equal(ask(tell_signals, NULL, 0), 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGUSR1, SIG_DFL);
}

static void test_start_workers_are_in_the_hosts_directory(void **state)
{
    (void)state;
    char before[600], here[600];
    assert_non_null(getcwd(before, sizeof before));
    t_expect(fm_forkserver_start(NULL), 0); /* in another one */
    assert_int_equal(chdir(t_temp_dir()), 0);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(ask(tell_directory, here, sizeof here), 1);
    assert_int_equal(chdir(before), 0);
}

static void test_start_workers_print_where_the_host_prints_now(void **state)
{
    (void)state;
    char path[600], text[100] = "";
    t_expect(fm_forkserver_start(NULL), 0); /* with another stdout */
    snprintf(path, sizeof path, "%s/out", t_temp_dir());
    int before = dup(STDOUT_FILENO);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    fflush(stdout);
    dup2(file, STDOUT_FILENO);
    fm_pool *pool = t_open(1, 0);
    (void)ask_pool(pool, print_item, NULL, 0);
    t_expect(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
    t_destroy(pool);
    dup2(before, STDOUT_FILENO);
    assert_int_equal(pread(file, text, sizeof text - 1, 0), 14);
    assert_string_equal(text, "item 0\nitem 1\n");
    close(before);
    close(file);
}

static void test_start_workers_have_the_inner_threads_asked_for(void **state)
{
    (void)state;
    fm_pool *pool;
    assert_int_equal(ask(tell_omp, NULL, 0), 1);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .inner_threads = 3)), 0);
    assert_int_equal(ask_pool(pool, tell_omp, NULL, 0), 3);
    t_destroy(pool);
}

/* ---- how much it takes -------------------------------------------------------------------------- */

static void test_start_pool_takes_one_child_two_descriptors_and_no_thread(void **state)
{
    int is_served = t_method(state) == FM_FORKSERVER;
    fm_array *first = t_vector(FM_I64, 1); /* the heap has a descriptor of its own */
    int fds = count_fds();
    assert_int_equal(t_n_children(), 0);
    fm_pool *pool = t_open(2, 0);
    (void)ask_pool(pool, tell_omp, NULL, 0);
    assert_int_equal(t_n_children(), 1); /* the warden, or the server */
    assert_int_equal(count_fds(), fds + 2 + 2 * is_served);
    fm_pool *second = t_open(2, 0);
    assert_int_equal(t_n_children(), is_served ? 1 : 2);
    assert_int_equal(count_fds(), fds + 4 + 2 * is_served);
    assert_int_equal(count_threads(), 1);
    t_destroy(second);
    t_destroy(pool);
    assert_int_equal(count_fds(), fds + 2 * is_served);
    fm_array_destroy(first);
}

static int wait_for_ever(void *arg)
{
    (void)arg;
    while (pause() < 0)
        ;
    return 0;
}

static void test_start_process_takes_one_child_two_descriptors_and_no_thread(void **state)
{
    int is_served = t_method(state) == FM_FORKSERVER;
    fm_array *first = t_vector(FM_I64, 1);
    int fds = count_fds();
    fm_process *p = t_run(t_method(state), wait_for_ever, NULL, 0);
    assert_int_equal(t_n_children(), 1);
    assert_int_equal(count_fds(), fds + 2 + 2 * is_served);
    assert_int_equal(count_threads(), 1);
    t_expect(fm_process_kill(p), 0);
    assert_int_equal(t_end(p), -SIGKILL);
    assert_int_equal(count_fds(), fds + 2 * is_served);
    fm_array_destroy(first);
}

/* ---- contexts ----------------------------------------------------------------------------------- */

static void test_start_method_is_set_once_unless_forced(void **state)
{
    (void)state;
    fm_context context;
    assert_int_equal(fm_get_start_method(), FM_FORK);
    t_expect(fm_set_start_method(FM_SPAWN, 0), 0);
    t_expect(fm_set_start_method(FM_FORK, 0), -EALREADY);
    assert_int_equal(fm_get_start_method(), FM_SPAWN);
    t_expect(fm_get_context(0, &context), 0);
    assert_int_equal(context.method, FM_SPAWN);
    t_expect(fm_set_start_method(FM_FORK, 1), 0);
    assert_int_equal(fm_get_start_method(), FM_FORK);
    t_expect(fm_set_start_method(0, 1), -EINVAL);
    t_expect(fm_set_start_method(4, 1), -EINVAL);
    t_expect(fm_get_context(4, &context), -EINVAL);
    t_expect(fm_get_context(-1, &context), -EINVAL);
    t_expect(fm_get_context(FM_FORK, NULL), -EINVAL);
}

static void test_start_methods_have_names(void **state)
{
    (void)state;
    const int *all = fm_all_start_methods();
    assert_int_equal(all[0], FM_FORK);
    assert_int_equal(all[3], 0);
    assert_string_equal(fm_start_method_name(FM_FORK), "fork");
    assert_string_equal(fm_start_method_name(FM_SPAWN), "spawn");
    assert_string_equal(fm_start_method_name(FM_FORKSERVER), "forkserver");
    assert_string_equal(fm_start_method_name(0), "?");
    t_expect(fm_init(0, NULL), -EINVAL);
}

static void test_start_context_that_nobody_made_is_refused(void **state)
{
    (void)state;
    fm_pool *pool;
    fm_context none = {0};
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .context = &none)), -EINVAL);
    assert_null(pool);
}

/* ---- programs that are executed for the test ------------------------------------------------------ */

/* Executes `program` for one test of this file, in a changed environment; it must pass there. */
static void run_inner(const char *program, const char *test, const char *variable)
{
    pid_t pid = fork();
    if (pid == 0) {
        putenv((char *)variable);
        execl(program, program, test, (char *)NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(t_exit_code(status), 0);
}

static void *idle(void *stop)
{
    while (!atomic_load((_Atomic int *)stop))
        usleep(1000);
    return NULL;
}

static void test_start_without_fm_init_spawn_is_refused(void **state)
{
    fm_context context;
    fm_pool *pool;
    fm_process *p;
    _Atomic int stop = 0;
    pthread_t thread;
    (void)state;
    if (getenv("T_NO_INIT") == NULL) {
        run_inner("/proc/self/exe", "test_start_without_fm_init_spawn_is_refused", "T_NO_INIT=1");
        return;
    }
    context = t_context(FM_SPAWN);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .context = &context)), FM_ENOINIT);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "fm_init(argc, argv)"));
    p = t_create(FM_SPAWN, wait_for_ever, NULL, 0);
    t_expect(fm_process_start(p), FM_ENOINIT);
    t_expect(fm_process_close(p), 0);
    assert_int_equal(pthread_create(&thread, NULL, idle, &stop), 0);
    t_expect(fm_forkserver_start(NULL), FM_ENOINIT); /* it cannot be forked any more */
    assert_non_null(strstr(fm_error_detail(), "fm_forkserver_start"));
    stop = 1;
    pthread_join(thread, NULL);
    t_expect(fm_forkserver_start(NULL), 0);
}

static void test_start_server_of_a_program_with_threads_is_executed_anew(void **state)
{
    _Atomic int stop = 0;
    pthread_t thread;
    fm_context context = t_context(FM_FORKSERVER);
    fm_pool *pool;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, idle, &stop), 0);
    private_value = 2;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .context = &context)), 0);
    assert_int_equal(ask_pool(pool, get_private_value, NULL, 0), 1);
    t_destroy(pool);
    private_value = 1;
    stop = 1;
    pthread_join(thread, NULL);
}

/* In a program that is executed with T_TAKE=n, something lies at the heap's place in its first n spawned executions. */
__attribute__((constructor)) static void take_address(void)
{
    const char *text = getenv("T_TAKE");
    char line[600] = "", *at = line;
    FILE *file = text == NULL ? NULL : fopen("/proc/self/cmdline", "re");
    if (file == NULL)
        return;
    size_t length = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    while (at < line + length && strncmp(at, "--forkmap-spawned=", 18) != 0)
        at += strlen(at) + 1;
    if (at >= line + length || atoi(strrchr(at, ',') + 1) >= atoi(text))
        return;
    void *base = (void *)(uintptr_t)strtoull(at + 18, NULL, 16);
    mmap(base, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
}

static void test_start_spawn_tries_again_when_the_heaps_place_is_taken(void **state)
{
    (void)state;
    if (getenv("T_TAKE") == NULL) {
        run_inner("/proc/self/exe", "test_start_spawn_tries_again_when_the_heaps_place_is_taken",
                  "T_TAKE=3");
        return;
    }
    t_expect(fm_set_start_method(FM_SPAWN, 1), 0);
    assert_int_equal(ask(tell_omp, NULL, 0), 1);
}

static void test_start_spawn_says_when_the_heaps_place_is_never_free(void **state)
{
    fm_context context = t_context(FM_SPAWN);
    fm_pool *pool;
    (void)state;
    if (getenv("T_TAKE") == NULL) {
        run_inner("/proc/self/exe", "test_start_spawn_says_when_the_heaps_place_is_never_free",
                  "T_TAKE=1000");
        return;
    }
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .context = &context)), -EEXIST);
    assert_null(pool);
    assert_non_null(strstr(fm_error_detail(), "taken"));
}

static void copy_program(const char *to)
{
    char bytes[65536];
    int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(in >= 0 && out >= 0);
    for (ssize_t n; (n = read(in, bytes, sizeof bytes)) > 0;)
        assert_int_equal(write(out, bytes, (size_t)n), n);
    close(in);
    close(out);
}

static void test_start_program_that_was_removed_can_be_spawned(void **state)
{
    char path[600];
    (void)state;
    if (getenv("T_COPY") == NULL) {
        snprintf(path, sizeof path, "%s/program", t_temp_dir());
        copy_program(path);
        run_inner(path, "test_start_program_that_was_removed_can_be_spawned", "T_COPY=1");
        return;
    }
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    path[length < 0 ? 0 : length] = '\0';
    assert_int_equal(unlink(path), 0);
    t_expect(fm_set_start_method(FM_SPAWN, 1), 0);
    assert_int_equal(ask(tell_omp, NULL, 0), 1);
}

/* ---- the server ----------------------------------------------------------------------------------- */

static void test_start_server_starts_once_and_opens_libraries(void **state)
{
    (void)state;
    const char *const good[] = {"libm.so.6", NULL}, *const bad[] = {"/nowhere/lib.so", NULL};
    assert_int_equal(fm_forkserver_pid(), 0);
    t_expect(fm_forkserver_start(FM_FORKSERVER_OPTS(.preload = bad)), FM_ENOFUNC);
    assert_non_null(strstr(fm_error_detail(), "/nowhere/lib.so"));
    assert_int_equal(fm_forkserver_pid(), 0);
    t_expect(fm_forkserver_start(FM_FORKSERVER_OPTS(.timeout = -1)), -EINVAL);
    t_expect(fm_forkserver_start(FM_FORKSERVER_OPTS(.preload = good)), 0);
    int pid = fm_forkserver_pid();
    assert_true(pid > 0);
    t_expect(fm_forkserver_start(NULL), 0);
    t_expect(fm_forkserver_start(FM_FORKSERVER_OPTS(.preload = good)), -EALREADY);
    assert_int_equal(fm_forkserver_pid(), pid);
    t_expect(fm_forkserver_stop(), 0);
    t_expect(fm_forkserver_stop(), 0);
    assert_int_equal(fm_forkserver_pid(), 0);
}

static void test_start_server_that_was_killed_is_replaced_and_pools_live_on(void **state)
{
    (void)state;
    t_expect(fm_set_start_method(FM_FORKSERVER, 1), 0);
    fm_pool *old = t_open(1, 0);
    int pid = fm_forkserver_pid();
    kill(pid, SIGKILL);
    fm_pool *fresh = t_open(1, 0);
    assert_int_not_equal(fm_forkserver_pid(), pid);
    assert_true(fm_forkserver_pid() > 0);
    assert_int_equal(ask_pool(fresh, tell_omp, NULL, 0), 1);
    assert_int_equal(ask_pool(old, tell_omp, NULL, 0), 1);
    t_destroy(fresh);
    t_destroy(old);
    t_expect(fm_set_start_method(FM_FORK, 1), 0);
}

static void open_in_child(void *arg)
{
    fm_pool *pool;
    int servers = *(int *)arg;
    if (fm_forkserver_pid() != 0 || fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1)) != 0 ||
        fm_forkserver_pid() == servers || fm_pool_destroy(pool) != 0)
        _exit(1);
    fm_forkserver_stop();
}

static void test_start_server_is_not_that_of_a_forked_child(void **state)
{
    (void)state;
    t_expect(fm_set_start_method(FM_FORKSERVER, 1), 0);
    t_expect(fm_forkserver_start(NULL), 0);
    int pid = fm_forkserver_pid();
    assert_int_equal(t_exit_code(t_in_child(open_in_child, &pid)), 0);
    assert_int_equal(fm_forkserver_pid(), pid);
    assert_int_equal(ask(tell_omp, NULL, 0), 1);
    t_expect(fm_set_start_method(FM_FORK, 1), 0);
}

/* ---- one in the other ----------------------------------------------------------------------------- */

static int map_by_all_methods(void *arg)
{
    (void)arg;
    for (const int *method = fm_all_start_methods(); *method != 0; method++) {
        fm_context context;
        fm_pool *pool;
        fm_array *out;
        int64_t n = 10;
        if (fm_get_context(*method, &context) != 0 ||
            fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .context = &context)) != 0 ||
            fm_array_zeros(&out, FM_I64, 1, &n) != 0 ||
            fm_pool_map_range(pool, tell_omp, 0, n, out, NULL) != 0 ||
            ((int64_t *)fm_array_data(out))[9] != 1 || fm_pool_destroy(pool) != 0)
            return *method;
        fm_array_destroy(out);
    }
    return fm_forkserver_stop();
}

static void test_start_process_opens_pools_by_every_method(void **state)
{
    assert_int_equal(t_end(t_run(t_method(state), map_by_all_methods, NULL, 0)), 0);
}

T_MAIN(T_EACH_METHOD(test_start_workers_have_private_memory_by_fork_only),
       T_EACH_METHOD(test_start_workers_get_arguments_by_value_and_by_heap_pointer),
       T_EACH_METHOD(test_start_workers_get_large_arguments),
       T_EACH_METHOD(test_start_private_pointer_is_refused_unless_forked),
       T_EACH_METHOD(test_start_initializer_runs_with_a_copy_of_its_argument),
       T_EACH_METHOD(test_start_initializer_that_fails_fails_the_open),
       T_EACH_METHOD(test_start_spawned_workers_have_no_descriptors_of_the_host),
       T_EACH_METHOD(test_start_workers_have_default_signals),
       T_EACH_METHOD(test_start_workers_are_in_the_hosts_directory),
       T_EACH_METHOD(test_start_workers_print_where_the_host_prints_now),
       T_EACH_METHOD(test_start_workers_have_the_inner_threads_asked_for),
       T_EACH_METHOD(test_start_pool_takes_one_child_two_descriptors_and_no_thread),
       T_EACH_METHOD(test_start_process_takes_one_child_two_descriptors_and_no_thread),
       T_TEST(test_start_method_is_set_once_unless_forced), T_TEST(test_start_methods_have_names),
       T_TEST(test_start_context_that_nobody_made_is_refused),
       T_TEST(test_start_without_fm_init_spawn_is_refused),
       T_TEST(test_start_server_of_a_program_with_threads_is_executed_anew),
       T_TEST(test_start_spawn_tries_again_when_the_heaps_place_is_taken),
       T_TEST(test_start_spawn_says_when_the_heaps_place_is_never_free),
       T_TEST(test_start_program_that_was_removed_can_be_spawned),
       T_TEST(test_start_server_starts_once_and_opens_libraries),
       T_TEST(test_start_server_that_was_killed_is_replaced_and_pools_live_on),
       T_TEST(test_start_server_is_not_that_of_a_forked_child),
       T_EACH_METHOD(test_start_process_opens_pools_by_every_method))
