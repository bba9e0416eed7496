/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 30 */
/* Limits that a pool runs into: an error with the number and the remedy, nothing half made; and cores that are taken away while it runs. */
#include "t_expect.h"
#include "t_pool.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20, N = 40, NOT_ALLOWED = 77 };

static void run(void (*act)(void *), void *arg, const char *missing)
{
    int status = t_in_child(act, arg);
    if (t_exit_code(status) == NOT_ALLOWED)
        t_skip(missing);
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

static void set_limit(__rlimit_resource_t which, rlim_t value)
{
    struct rlimit limit;
    EXPECT(getrlimit(which, &limit) == 0);
    limit.rlim_cur = value;
    EXPECT(setrlimit(which, &limit) == 0);
}

static int copy_number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static void map_numbers(fm_pool *pool)
{
    fm_array *out;
    int64_t n = N;
    EXPECT(fm_array_zeros(&out, FM_I64, 1, &n) == 0);
    EXPECT(fm_pool_map_range(pool, copy_number, 0, N, out, NULL) == 0);
    for (int64_t i = 0; i < N; i++)
        EXPECT(((int64_t *)fm_array_data(out))[i] == i);
    fm_array_destroy(out);
}

static void open_map_and_destroy(void)
{
    fm_pool *pool;
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    map_numbers(pool);
    EXPECT(fm_pool_destroy(pool) == 0);
}

static void expect_detail(const char *number, const char *remedy)
{
    char text[80];
    snprintf(text, sizeof text, "%s", number);
    if (strstr(fm_error_detail(), text) != NULL && strstr(fm_error_detail(), remedy) != NULL)
        return;
    fprintf(stderr, "%s or %s is not in: %s\n", number, remedy, fm_error_detail());
    _exit(1);
}

/* ---- descriptors ---------------------------------------------------------------------------------- */

static int n_free_before(int limit)
{
    int n = 0;
    for (int fd = 0; fd < limit; fd++)
        n += fcntl(fd, F_GETFD) < 0;
    return n;
}

static void open_with_few_descriptors(void *method)
{
    int lowest = dup(STDERR_FILENO), n_refused = 0;
    close(lowest);
    EXPECT(fm_set_start_method((int)(intptr_t)method, 1) == 0);
    for (int k = 0, is_open = 0; !is_open && k < 20; k++) {
        char number[64];
        fm_pool *pool;
        set_limit(RLIMIT_NOFILE, (rlim_t)lowest + (rlim_t)k);
        int n_free = n_free_before(lowest + k);
        int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2));
        is_open = rc == 0;
        if (is_open) {
            map_numbers(pool);
            EXPECT(fm_pool_destroy(pool) == 0);
            continue;
        }
        n_refused++;
        EXPECT(rc == -EMFILE && pool == NULL);
        snprintf(number, sizeof number, "RLIMIT_NOFILE is %d ", lowest + k);
        expect_detail(number, "ulimit -n");
        (void)fm_forkserver_stop(); /* it has the limit that it was started with */
        EXPECT(n_free_before(lowest + k) >= n_free - 1); /* the heap's stays */
    }
    EXPECT(n_refused > 0 && n_refused < 20);
    (void)fm_forkserver_stop();
}

static void test_limits_of_descriptors_are_named_before_a_pool_is_half_made(void **state)
{
    run(open_with_few_descriptors, (void *)(intptr_t)t_method(state), "");
}

/* ---- processes -------------------------------------------------------------------------------------- */

static void open_with_few_processes(void *arg)
{
    fm_pool *pool;
    int n_refused = 0, rc = -EAGAIN;
    (void)arg;
    /* a user of its own, who has no other processes: root is not limited */
    if (setgid(60123) != 0 || setuid(60123) != 0)
        _exit(NOT_ALLOWED);
    for (int k = 1; rc != 0 && k < 10; k++) {
        char number[64];
        set_limit(RLIMIT_NPROC, (rlim_t)k);
        rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .start_timeout = FM_SECONDS(20)));
        if (rc == 0)
            break;
        n_refused++;
        EXPECT(rc == -EAGAIN && pool == NULL);
        snprintf(number, sizeof number, "RLIMIT_NPROC is %d ", k);
        expect_detail(number, "ulimit -u");
    }
    EXPECT(rc == 0 && n_refused > 0);
    map_numbers(pool);
    EXPECT(fm_pool_destroy(pool) == 0);
}

static void test_limits_of_processes_are_named_and_leave_nothing(void **state)
{
    (void)state;
    run(open_with_few_processes, NULL, "the right to become another user (root)");
}

/* ---- addresses and file sizes -------------------------------------------------------------------------- */

static void open_with_few_addresses(void *arg)
{
    fm_pool *pool;
    (void)arg;
    set_limit(RLIMIT_AS, 48 * MIB);
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == -ENOMEM && pool == NULL);
    expect_detail("RLIMIT_AS is 49152 KiB", "ulimit -v");
    set_limit(RLIMIT_AS, (rlim_t)2 << 30);
    open_map_and_destroy();
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .stack_bytes = (size_t)4 << 30)) ==
           -ENOMEM);
    expect_detail("RLIMIT_AS is 2097152 KiB", "ulimit -v");
}

static void test_limits_of_addresses_are_named_and_a_pool_fits_into_2_gib(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    t_skip("RLIMIT_AS under AddressSanitizer");
#endif
    run(open_with_few_addresses, NULL, "");
}

static void make_arrays_with_small_files(void *arg)
{
    fm_array *a = NULL;
    int64_t n = 80 * MIB;
    (void)arg;
    set_limit(RLIMIT_FSIZE, 10 * MIB);
    EXPECT(fm_array_create(&a, FM_U8, 1, &n, NULL) == -EFBIG && a == NULL);
    expect_detail("RLIMIT_FSIZE is 10240 KiB", "ulimit -f");
    set_limit(RLIMIT_FSIZE, 100 * MIB);
    EXPECT(fm_array_create(&a, FM_U8, 1, &n, NULL) == -ENOMEM && a == NULL); /* a smaller heap */
    open_map_and_destroy();
}

static void test_limits_of_file_sizes_are_an_error_and_no_signal(void **state)
{
    (void)state;
    run(make_arrays_with_small_files, NULL, "");
}

/* ---- /dev/shm -------------------------------------------------------------------------------------------- */

static void map_in_small_dev_shm(void *backing)
{
    fm_array *a;
    fm_pool *pool;
    int64_t large = 16 * MIB;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0)
        _exit(NOT_ALLOWED);
    setenv("FORKMAP_BACKING", backing, 1);
    int rc = fm_array_create(&a, FM_U8, 1, &large, NULL);
    if (strcmp(backing, "memfd") == 0) { /* which is not in /dev/shm */
        EXPECT(rc == 0);
        memset(fm_array_data(a), 1, (size_t)large);
        fm_array_destroy(a);
        open_map_and_destroy();
        _exit(0);
    }
    EXPECT(rc == -ENOSPC && a == NULL);
    expect_detail("16384 KiB asked for", "/dev/shm may be full");
    rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)); /* small ones may fit */
    EXPECT(rc == 0 || rc == -ENOSPC);
    if (rc == 0) {
        map_numbers(pool);
        EXPECT(fm_pool_destroy(pool) == 0);
    }
    while ((rc = fm_array_create(&a, FM_U8, 1, &(int64_t){50000}, NULL)) == 0)
        memset(fm_array_data(a), 1, 50000); /* a page that is not there would be a bus error */
    EXPECT(rc == -ENOSPC);
}

static void test_limits_of_a_small_dev_shm_do_not_bind_memfd(void **state)
{
    (void)state;
    run(map_in_small_dev_shm, "memfd", "the right to mount (root)");
}

static void test_limits_of_a_small_dev_shm_are_enospc_and_never_a_bus_error(void **state)
{
    (void)state;
    run(map_in_small_dev_shm, "shm_open", "the right to mount (root)");
}

/* ---- cores that are taken away ----------------------------------------------------------------------------- */

static char cpuset[200];

static int write_file(const char *name, const char *text)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", cpuset, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
    if (fd >= 0)
        close(fd);
    return n == (ssize_t)strlen(text);
}

/* A control group of version 1 or 2 with CPUs 0 and 1. 0: there can be none. */
static int make_cpuset(void)
{
    static const char *const tops[] = {"/sys/fs/cgroup/cpuset", "/sys/fs/cgroup"};
    for (size_t i = 0; i < T_N_OF(tops); i++) {
        snprintf(cpuset, sizeof cpuset, "%s/forkmap-test-%d", tops[i], (int)getpid());
        if (mkdir(cpuset, 0755) != 0)
            continue;
        if (write_file("cpuset.cpus", "0-1") && (write_file("cpuset.mems", "0") || i == 1))
            return 1;
        rmdir(cpuset);
    }
    return 0;
}

static void lose_a_core(void *warnings)
{
    char pid[32], text[4096];
    fm_pool *pool;
    fm_worker_info info[2];
    int log = open(warnings, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (!write_file("cgroup.procs", pid))
        _exit(NOT_ALLOWED);
    dup2(log, STDERR_FILENO);
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    map_numbers(pool);
    EXPECT(fm_pool_worker(pool, 0, &info[0]) == 0 && fm_pool_worker(pool, 1, &info[1]) == 0);
    EXPECT(info[0].cpu + info[1].cpu == 1);
    int lost = info[1].cpu == 1 ? 1 : 0;
    EXPECT(write_file("cpuset.cpus", "0"));
    for (int round = 0; round < 2; round++) { /* two successors, one warning */
        fm_worker_info now;
        EXPECT(fm_pool_worker(pool, lost, &now) == 0 && now.pid > 0);
        kill(now.pid, SIGKILL);
        for (int ms = 0, starts = now.starts; (now.starts == starts || now.pid == 0) && ms < 5000;
             ms++) {
            t_sleep_ms(1);
            EXPECT(fm_pool_worker(pool, lost, &now) == 0);
        }
        map_numbers(pool);
    }
    t_sleep_ms(50);
    map_numbers(pool);
    EXPECT(fm_pool_destroy(pool) == 0);
    ssize_t length = pread(log, text, sizeof text - 1, 0);
    text[length < 0 ? 0 : length] = '\0';
    const char *first = strstr(text, "runs unpinned: cpu 1");
    EXPECT(first != NULL && strstr(first + 1, "runs unpinned") == NULL);
}

static void test_limits_of_cores_that_shrink_while_it_runs_are_a_warning(void **state)
{
    char path[600];
    (void)state;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
        t_skip("a second core");
    if (!make_cpuset())
        t_skip("a cpuset control group that this user can make");
    snprintf(path, sizeof path, "%s/log", t_temp_dir());
    int status = t_in_child(lose_a_core, path);
    for (int i = 0; i < 500 && rmdir(cpuset) != 0 && errno == EBUSY; i++)
        t_sleep_ms(10);
    assert_int_equal(access(cpuset, F_OK), -1);
    if (t_exit_code(status) == NOT_ALLOWED)
        t_skip("the right to move a process into a cpuset");
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

T_MAIN(T_EACH_METHOD(test_limits_of_descriptors_are_named_before_a_pool_is_half_made),
       T_TEST(test_limits_of_processes_are_named_and_leave_nothing),
       T_TEST(test_limits_of_addresses_are_named_and_a_pool_fits_into_2_gib),
       T_TEST(test_limits_of_file_sizes_are_an_error_and_no_signal),
       T_TEST(test_limits_of_a_small_dev_shm_do_not_bind_memfd),
       T_TEST(test_limits_of_a_small_dev_shm_are_enospc_and_never_a_bus_error),
       T_TEST(test_limits_of_cores_that_shrink_while_it_runs_are_a_warning))
