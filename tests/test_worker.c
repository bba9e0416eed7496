/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* What surrounds a function in a worker: rank, output, input, signals, exit handlers, environment, stack, core. */
#include "t_pool.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Maps fn over 0 .. n-1 into `out` (i64) with w workers. */
static void map_into(fm_array *out, fm_item_fn *fn, const fm_pool_opts *opts)
{
    fm_pool *pool;
    t_expect(fm_pool_open(&pool, opts), 0);
    t_expect(fm_pool_map_range(pool, fn, 0, fm_array_len(out), out, NULL), 0);
    t_destroy(pool);
}

static int64_t value(fm_array *a, int64_t i)
{
    return ((int64_t *)fm_array_data(a))[i];
}

/* ---- rank ---- */

static int tell_rank(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    t_sleep_ms(1);
    *(int64_t *)result = fm_worker_rank();
    return 0;
}

static void check_ranks(int caller)
{
    fm_array *out = t_vector(FM_I64, 60);
    int seen[3] = {0};
    assert_int_equal(fm_worker_rank(), -1);
    map_into(out, tell_rank, FM_POOL_OPTS(.workers = 3, .caller = caller));
    assert_int_equal(fm_worker_rank(), -1);
    for (int i = 0; i < 60; i++) {
        assert_in_range(value(out, i), 0, 2);
        seen[value(out, i)]++;
    }
    assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
    fm_array_destroy(out);
}

static void test_worker_rank_is_that_of_the_worker_and_minus_1_outside(void **state)
{
    (void)state;
    check_ranks(FM_CALLER_SLEEPS);
}

static void test_worker_rank_of_a_caller_that_works_is_0(void **state)
{
    (void)state;
    check_ranks(FM_CALLER_WORKS);
}

static int tell_pid(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(int64_t *)result = getpid();
    return 0;
}

static void test_worker_is_another_process_than_the_host(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 20);
    map_into(out, tell_pid, FM_POOL_OPTS(.workers = 2));
    for (int i = 0; i < 20; i++)
        assert_int_not_equal(value(out, i), getpid());
    fm_array_destroy(out);
}

/* ---- output and input ---- */

static int print_item(const void *item, void *result, void *arg)
{
    (void)result;
    (void)arg;
    printf("<%d>", (int)*(const int64_t *)item);
    return 0;
}

/* With stdout into a file: text before the open, in the functions, and after. Exits 0 if each is there once. */
static void print_everywhere(void *arg)
{
    fm_pool *pool;
    const char *path = arg;
    if (freopen(path, "w", stdout) == NULL)
        _exit(10);
    printf("before "); /* still in the buffer when the warden is forked */
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(11);
    if (fm_pool_map_range(pool, print_item, 0, 10, NULL, NULL) != 0)
        _exit(12);
    if (fm_pool_close(pool) != 0 || fm_pool_join(pool, FM_SECONDS(10)) != 0 ||
        fm_pool_destroy(pool) != 0)
        _exit(13);
    printf(" after");
    fflush(stdout);
}

static void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return;
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

static int count_text(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        n++;
    return n;
}

static int count_number(const char *text, int number)
{
    char part[16];
    snprintf(part, sizeof part, "<%d>", number);
    return count_text(text, part);
}

static void test_worker_output_appears_once(void **state)
{
    (void)state;
    char path[600], text[4096] = "";
    snprintf(path, sizeof path, "%s/stdout", t_temp_dir());
    assert_int_equal(t_exit_code(t_in_child(print_everywhere, path)), 0);
    read_text(path, text, sizeof text);
    assert_int_equal(count_text(text, "before"), 1);
    assert_int_equal(count_text(text, "after"), 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(count_number(text, i), 1);
}

static int print_rank(int rank, void *arg)
{
    (void)arg;
    printf("(%d)", rank);
    return 0;
}

static int print_call(const void *arg, void *result)
{
    return print_item(arg, result, NULL);
}

/* Exits 0 if all is in the file before the workers are ended in the hard way. */
static void print_and_terminate(void *arg)
{
    fm_pool *pool;
    char text[600] = "";
    const char *path = arg;
    if (freopen(path, "w", stdout) == NULL)
        _exit(10);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .initializer = print_rank)) != 0)
        _exit(11);
    if (fm_pool_map_range(pool, print_item, 0, 10, NULL, NULL) != 0)
        _exit(12);
    if (fm_pool_apply(pool, print_call, &(int64_t){10}, sizeof(int64_t), NULL, 0) != 0)
        _exit(13);
    read_text(path, text, sizeof text);
    if (fm_pool_terminate(pool) != 0 || fm_pool_destroy(pool) != 0)
        _exit(14);
    if (count_text(text, "(0)") != 1 || count_text(text, "(1)") != 1)
        _exit(15);
    for (int i = 0; i <= 10; i++)
        if (count_number(text, i) != 1)
            _exit(16);
}

static void test_worker_output_is_out_when_the_map_returns(void **state)
{
    (void)state;
    char path[600];
    snprintf(path, sizeof path, "%s/stdout", t_temp_dir());
    for (int round = 0; round < 20; round++)
        assert_int_equal(t_exit_code(t_in_child(print_and_terminate, path)), 0);
}

static int read_stdin(const void *item, void *result, void *arg)
{
    char byte;
    struct stat null, mine;
    (void)item;
    (void)arg;
    if (stat("/dev/null", &null) != 0 || fstat(0, &mine) != 0)
        return 1;
    *(int64_t *)result = read(0, &byte, 1) == 0 && null.st_rdev == mine.st_rdev;
    return 0;
}

static void test_worker_stdin_is_dev_null(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 4);
    map_into(out, read_stdin, FM_POOL_OPTS(.workers = 2));
    for (int i = 0; i < 4; i++)
        assert_int_equal(value(out, i), 1);
    fm_array_destroy(out);
}

/* ---- what belongs to the host ---- */

static _Atomic int *n_host_calls; /* shared with every child */

static void count_host_call(void)
{
    atomic_fetch_add(n_host_calls, 1);
}

static void count_signal(int number)
{
    (void)number;
    count_host_call();
}

static void map_counter(void)
{
    n_host_calls =
        mmap(NULL, sizeof *n_host_calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(n_host_calls, MAP_FAILED);
}

static int raise_signal(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    return raise(*(const int *)arg);
}

static void use_handlers(void *arg)
{
    static int numbers[] = {SIGTERM, SIGUSR1, SIGHUP, SIGALRM, SIGSEGV};
    fm_pool *pool;
    fm_failure failure;
    (void)arg;
    for (size_t i = 0; i < T_N_OF(numbers); i++)
        signal(numbers[i], count_signal);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1)) != 0)
        _exit(1);
    for (size_t i = 0; i < T_N_OF(numbers); i++) {
        if (fm_pool_map_range(pool, raise_signal, 0, 1, NULL, FM_MAP_OPTS(.arg = &numbers[i])) !=
            FM_ECRASHED)
            _exit(2);
        if (fm_pool_failures(pool, &failure, 1) != 1 || failure.signal != numbers[i])
            _exit(3);
    }
    if (fm_pool_destroy(pool) != 0)
        _exit(4);
}

static void test_worker_runs_no_signal_handler_of_the_host(void **state)
{
    (void)state;
    map_counter();
    assert_int_equal(t_exit_code(t_in_child(use_handlers, NULL)), 0);
    assert_int_equal(*n_host_calls, 0);
    munmap(n_host_calls, sizeof *n_host_calls);
}

static int raise_interrupt(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return raise(SIGINT) != 0 || raise(SIGQUIT) != 0;
}

static void test_worker_ignores_the_terminals_interrupt(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, raise_interrupt, 0, 4, NULL, NULL), 0);
    t_destroy(pool);
}

static int leave_by_exit(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    exit(3);
}

static void use_atexit(void *arg)
{
    fm_pool *pool;
    (void)arg;
    atexit(count_host_call);
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0)
        _exit(1);
    if (fm_pool_map_range(pool, leave_by_exit, 0, 3, NULL,
                          FM_MAP_OPTS(.on_error = FM_ON_ERROR_CONTINUE)) != FM_ECRASHED)
        _exit(2);
    if (fm_pool_close(pool) != 0 || fm_pool_join(pool, FM_SECONDS(10)) != 0 ||
        fm_pool_destroy(pool) != 0)
        _exit(3);
} /* and _exit: no handler runs here either */

static void test_worker_runs_no_exit_handler_of_the_host(void **state)
{
    (void)state;
    map_counter();
    assert_int_equal(t_exit_code(t_in_child(use_atexit, NULL)), 0);
    assert_int_equal(*n_host_calls, 0);
    munmap(n_host_calls, sizeof *n_host_calls);
}

/* ---- environment, stack, core ---- */

static int tell_threads(const void *item, void *result, void *arg)
{
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS"};
    int64_t all = -1;
    (void)item;
    (void)arg;
    for (size_t i = 0; i < T_N_OF(names); i++) {
        const char *text = getenv(names[i]);
        int64_t n = text == NULL ? 0 : atoi(text);
        if (i > 0 && n != all)
            return 1;
        all = n;
    }
    *(int64_t *)result = all;
    return 0;
}

static void test_worker_inner_threads_are_one_as_asked_or_left_alone(void **state)
{
    (void)state;
    static const char *const names[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS"};
    fm_array *out = t_vector(FM_I64, 2);
    for (size_t i = 0; i < T_N_OF(names); i++)
        setenv(names[i], "5", 1);
    map_into(out, tell_threads, FM_POOL_OPTS(.workers = 2));
    assert_int_equal(value(out, 0), 1);
    map_into(out, tell_threads, FM_POOL_OPTS(.workers = 2, .inner_threads = 3));
    assert_int_equal(value(out, 0), 3);
    map_into(out, tell_threads, FM_POOL_OPTS(.workers = 2, .inner_threads = -1));
    assert_int_equal(value(out, 0), 5);
    for (size_t i = 0; i < T_N_OF(names); i++) {
        assert_string_equal(getenv(names[i]), "5"); /* the host's own */
        unsetenv(names[i]);
    }
    fm_array_destroy(out);
}

/* Depth of `bytes` in all, in frames of 64 KiB. */
static __attribute__((noinline)) int64_t use_stack(int64_t bytes)
{
    volatile char frame[65536];
    for (size_t i = 0; i < sizeof frame; i += 1024)
        frame[i] = (char)i;
    return bytes <= (int64_t)sizeof frame ? frame[1024]
                                          : use_stack(bytes - (int64_t)sizeof frame) + frame[0];
}

static int go_deep(const void *item, void *result, void *arg)
{
    (void)item;
    *(int64_t *)result = use_stack(*(const int64_t *)arg);
    return 0;
}

static void test_worker_stack_is_as_large_as_asked_for(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 2);
    fm_pool *pool;
    int64_t bytes = 20 << 20;
    const fm_map_opts *opts = FM_MAP_OPTS(.arg = &bytes, .arg_bytes = sizeof bytes);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .stack_bytes = 64 << 20)), 0);
    t_expect(fm_pool_map_range(pool, go_deep, 0, 2, out, opts), 0);
    t_destroy(pool);
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 1, .stack_bytes = 4 << 20)), 0);
    t_expect(fm_pool_map_range(pool, go_deep, 0, 2, out, opts), FM_ECRASHED);
    t_destroy(pool);
    fm_array_destroy(out);
}

static int tell_core(const void *item, void *result, void *arg)
{
    cpu_set_t mask;
    (void)item;
    (void)arg;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 1;
    *(int64_t *)result = CPU_COUNT(&mask) == 1 ? sched_getcpu() : -1;
    return 0;
}

static void test_worker_runs_on_the_core_that_the_pool_tells(void **state)
{
    (void)state;
    fm_array *out = t_vector(FM_I64, 4);
    cpu_set_t mask;
    fm_worker_info info;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_worker(pool, 0, &info), 0);
    if (info.cpu < 0) {
        t_destroy(pool);
        fm_array_destroy(out);
        t_skip("permission to pin");
    }
    t_expect(fm_pool_map_range(pool, tell_core, 0, 4, out, NULL), 0);
    assert_int_equal(value(out, 0), info.cpu);
    t_destroy(pool);
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    map_into(out, tell_core, FM_POOL_OPTS(.workers = 1, .pin = FM_PIN_NONE));
    assert_true(value(out, 0) == -1 || CPU_COUNT(&mask) == 1);
    fm_array_destroy(out);
}

T_MAIN(T_TEST(test_worker_rank_is_that_of_the_worker_and_minus_1_outside),
       T_TEST(test_worker_rank_of_a_caller_that_works_is_0),
       T_TEST(test_worker_is_another_process_than_the_host),
       T_TEST(test_worker_output_appears_once),
       T_TEST(test_worker_output_is_out_when_the_map_returns),
       T_TEST(test_worker_stdin_is_dev_null),
       T_TEST(test_worker_runs_no_signal_handler_of_the_host),
       T_TEST(test_worker_ignores_the_terminals_interrupt),
       T_TEST(test_worker_runs_no_exit_handler_of_the_host),
       T_TEST(test_worker_inner_threads_are_one_as_asked_or_left_alone),
       T_TEST(test_worker_stack_is_as_large_as_asked_for),
       T_TEST(test_worker_runs_on_the_core_that_the_pool_tells))
