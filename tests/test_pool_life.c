/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/*
 * How pools begin and end: what one leaves behind must not trouble the next, and ends that crash, meet or come from inside a map are
 * ends nevertheless. What could hang, or orphans workers, runs in a child, whose own limit ends it.
 */
#include "t_pool.h"

#include "heap.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* In a child, where no assertion of cmocka may be used. */
static void must_at(int holds, const char *what, int line)
{
    if (holds)
        return;
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, what, fm_error_detail());
    _exit(1);
}
#define MUST(condition) must_at((condition), #condition, __LINE__)

static void check_child(void (*fn)(void *), void *arg)
{
    int status = t_in_child(fn, arg);
    if (t_signal(status) == SIGALRM)
        fail_msg("it did not end");
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

static int twice(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 2 * *(const int64_t *)item;
    return 0;
}

static int fail_item(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 7;
}

/* Until it is killed. */
static int work_for_ever(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    for (volatile int64_t *sum = result;;)
        ++*sum;
    return 0;
}

/* ---- what a destroyed pool leaves ----------------------------------------------------------- */

static void test_pool_maps_arrays_made_where_another_was_destroyed(void **state)
{
    static const int64_t lengths[] = {8, 512, 8192, 16384, 24576, 65536};
    enum { N_OF_EACH = 6, N_PAIRS = 6 * N_OF_EACH };
    fm_array *in[N_PAIRS], *out[N_PAIRS];
    (void)state;
    fm_pool *first = t_open(1, FM_CALLER_SLEEPS), *second = t_open(1, FM_CALLER_SLEEPS);
    t_destroy(first);
    for (int k = 0; k < N_PAIRS; k++) {
        in[k] = t_counted(lengths[k / N_OF_EACH]);
        out[k] = t_vector(FM_I64, lengths[k / N_OF_EACH]);
        t_expect(fm_pool_map(second, twice, in[k], out[k], NULL), 0);
    }
    for (int k = 0; k < N_PAIRS; k++) {
        const int64_t *data = fm_array_data(out[k]);
        for (int64_t i = 0; i < fm_array_len(out[k]); i++)
            assert_int_equal(data[i], 2 * i);
        fm_array_destroy(in[k]);
        fm_array_destroy(out[k]);
    }
    fm_pool_counters counters;
    assert_int_equal(fm_pool_stats(second, &counters), 0);
    assert_int_equal(counters.deaths, 0);
    t_destroy(second);
}

static void test_pool_that_is_new_has_no_failure_records_of_a_destroyed_one(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map_range(pool, fail_item, 0, 4, NULL, NULL), FM_ETASK);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 1);
    t_destroy(pool);
    pool = t_open(1, FM_CALLER_SLEEPS);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    t_destroy(pool);
}

/* ---- a pool whose warden is killed in a map ------------------------------------------------- */

static int kill_the_warden(const fm_progress *p, void *pool)
{
    (void)p;
    kill(fm_pool_warden_pid(pool), SIGKILL);
    return 0;
}

static fm_pool *open_in_child(int workers)
{
    fm_pool *pool = NULL;
    MUST(fm_pool_open(&pool, FM_POOL_OPTS(.workers = workers)) == 0);
    return pool;
}

enum { LENGTH = 1 << 16, N_FAILING = 1000 }; /* the latter in each of the two shares */

static int fail_or_work_for_ever(const void *item, void *result, void *arg)
{
    if (*(const int64_t *)item % (LENGTH / 2) < N_FAILING)
        return 7;
    return work_for_ever(item, result, arg);
}

/* By then there are undo copies and records that nobody will ask for: all of them, or their memory would differ from time to time. */
static int kill_the_warden_after_failures(const fm_progress *p, void *pool)
{
    return p->n_failed < 2 * N_FAILING ? 0 : kill_the_warden(p, pool);
}

static size_t used_after_a_killed_warden(void)
{
    struct fmi_heap_usage usage;
    fm_array *a = NULL;
    fm_pool *pool = open_in_child(2);
    MUST(fm_array_arange(&a, FM_I64, 0, LENGTH, 1) == 0);
    int rc = fm_pool_map(pool, fail_or_work_for_ever, a, a,
                         FM_MAP_OPTS(.flags = FM_IN_PLACE, .on_error = FM_ON_ERROR_CONTINUE,
                                     .progress = kill_the_warden_after_failures,
                                     .progress_arg = pool, .progress_interval = FM_MS(10)));
    MUST(rc == FM_EBROKEN);
    fm_array_destroy(a);
    MUST(fm_pool_destroy(pool) == 0);
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void kill_wardens_one_after_the_other(void *arg)
{
    enum { N_CYCLES = 5 };
    (void)arg;
    size_t used = used_after_a_killed_warden();
    for (int cycle = 1; cycle < N_CYCLES; cycle++)
        MUST(used_after_a_killed_warden() <= used);
}

static void test_heap_does_not_grow_with_pools_whose_wardens_are_killed(void **state)
{
    (void)state;
    check_child(kill_wardens_one_after_the_other, NULL);
}

/* ---- no worker writes after the map --------------------------------------------------------- */

/* A process that nobody has reaped yet runs no more. */
static int is_running(int pid)
{
    char state = t_process_state(pid);
    return state != 'Z' && state != 'X';
}

struct ending {
    int (*progress)(const fm_progress *, void *);
    int code;
};

static void end_in_a_map(void *arg)
{
    enum { N_WORKERS = 3 };
    const struct ending *ending = arg;
    int64_t n = N_WORKERS;
    fm_array *out = NULL;
    int pids[N_WORKERS];
    fm_pool *pool = open_in_child(N_WORKERS);
    MUST(fm_array_zeros(&out, FM_I64, 1, &n) == 0);
    for (int rank = 0; rank < N_WORKERS; rank++) {
        fm_worker_info info;
        MUST(fm_pool_worker(pool, rank, &info) == 0);
        MUST(is_running(info.pid));
        pids[rank] = info.pid;
    }
    int rc = fm_pool_map_range(pool, work_for_ever, 0, N_WORKERS, out,
                               FM_MAP_OPTS(.progress = ending->progress, .progress_arg = pool,
                                           .progress_interval = FM_MS(20)));
    for (int rank = 0; rank < N_WORKERS; rank++)
        MUST(!is_running(pids[rank]));
    MUST(rc == ending->code);
    fm_array_destroy(out);
    MUST(fm_pool_destroy(pool) == 0);
}

static int terminate_the_pool(const fm_progress *p, void *pool)
{
    (void)p;
    MUST(fm_pool_terminate(pool) == 0);
    return 0;
}

static void test_map_of_a_terminated_pool_returns_when_no_worker_runs_any_more(void **state)
{
    (void)state;
    check_child(end_in_a_map, &(struct ending){terminate_the_pool, FM_ECANCELLED});
}

static void test_map_of_a_broken_pool_returns_when_no_worker_runs_any_more(void **state)
{
    (void)state;
    check_child(end_in_a_map, &(struct ending){kill_the_warden, FM_EBROKEN});
}

/* ---- crashes outside functions -------------------------------------------------------------- */

static int crash_as_finalizer(int rank, void *arg)
{
    (void)rank;
    (void)arg;
    abort();
}

static void test_pool_whose_finalizer_aborts_ends_when_closed(void **state)
{
    fm_pool *pool;
    (void)state;
    t_expect(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2, .finalizer = crash_as_finalizer)), 0);
    assert_int_equal(fm_pool_close(pool), 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(10)), 0);
    t_destroy(pool);
}

struct module {
    char source[600], library[600];
};

/* Only the process that T_HOST names survives the constructor. */
static const char module_text[] = "#include <stdlib.h>\n#include <unistd.h>\n"
                                  "__attribute__((constructor)) static void crash_elsewhere(void)\n"
                                  "{ if (atoi(getenv(\"T_HOST\")) != getpid()) abort(); }\n"
                                  "int nothing(const void *item, void *result, void *arg)\n"
                                  "{ return item == result && item == arg; }\n";

static void compile(void *arg)
{
    struct module *module = arg;
    execlp("cc", "cc", "-shared", "-fPIC", "-o", module->library, module->source, (char *)NULL);
    _exit(127);
}

static void map_the_function_of_the_module(void *arg)
{
    const struct module *module = arg;
    char host[16];
    snprintf(host, sizeof host, "%d", (int)getpid());
    setenv("T_HOST", host, 1);
    fm_pool *pool = open_in_child(2);
    void *handle = dlopen(module->library, RTLD_NOW | RTLD_LOCAL);
    MUST(handle != NULL);
    union { /* ISO C has no cast between the two */
        void *object;
        fm_item_fn *item;
    } symbol = {.object = dlsym(handle, "nothing")};
    MUST(symbol.object != NULL);
    MUST(fm_pool_map_range(pool, symbol.item, 0, 4, NULL, NULL) == FM_EBROKEN);
    MUST(fm_pool_destroy(pool) == 0);
}

static void test_map_with_a_library_whose_constructor_aborts_in_workers_ends(void **state)
{
    struct module module;
    (void)state;
    snprintf(module.source, sizeof module.source, "%s/crash.c", t_temp_dir());
    snprintf(module.library, sizeof module.library, "%s/crash.so", t_temp_dir());
    t_write_file(module.source, module_text, sizeof module_text - 1);
    int status = t_in_child(compile, &module);
    if (t_exit_code(status) == 127)
        t_skip("a compiler named cc");
    assert_int_equal(t_exit_code(status), 0);
    check_child(map_the_function_of_the_module, &module);
}

/* ---- who may destroy a pool ----------------------------------------------------------------- */

struct destroyer {
    pthread_barrier_t *start;
    fm_pool *pool;
    int rc;
};

static void *destroy_at_once(void *arg)
{
    struct destroyer *d = arg;
    pthread_barrier_wait(d->start);
    d->rc = fm_pool_destroy(d->pool);
    return NULL;
}

static void destroy_in_two_threads(void *arg)
{
    pthread_barrier_t start;
    (void)arg;
    pthread_barrier_init(&start, NULL, 2);
    for (int round = 0; round < 50; round++) {
        fm_pool *pool = open_in_child(1);
        struct destroyer one = {&start, pool, 1}, other = {&start, pool, 1};
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, destroy_at_once, &other) == 0);
        destroy_at_once(&one);
        pthread_join(thread, NULL);
        MUST((one.rc == 0 && other.rc == -EINVAL) || (one.rc == -EINVAL && other.rc == 0));
    }
    pthread_barrier_destroy(&start);
}

static void
test_destroy_in_two_threads_at_once_is_done_by_one_and_refused_to_the_other(void **state)
{
    (void)state;
    check_child(destroy_in_two_threads, NULL);
}

struct attempts { /* in the heap: the function waits for the callback */
    fm_pool *pool;
    _Atomic int n, destroyed, joined;
};

static int end_own_pool(const fm_progress *p, void *arg)
{
    struct attempts *attempts = arg;
    (void)p;
    attempts->destroyed = fm_pool_destroy(attempts->pool);
    attempts->joined = fm_pool_join(attempts->pool, FM_NOWAIT);
    attempts->n++;
    return 0;
}

static int wait_for_an_attempt(const void *item, void *result, void *arg)
{
    struct attempts *attempts = arg;
    while (attempts->n == 0)
        t_sleep_ms(1);
    *(int64_t *)result = *(const int64_t *)item + 1;
    return 0;
}

static void end_a_pool_from_its_map(void *arg)
{
    int64_t n = 4, bytes = sizeof(struct attempts);
    fm_array *out = NULL, *shared = NULL;
    (void)arg;
    fm_pool *pool = open_in_child(2);
    MUST(fm_array_zeros(&out, FM_I64, 1, &n) == 0);
    MUST(fm_array_zeros(&shared, FM_U8, 1, &bytes) == 0);
    struct attempts *attempts = fm_array_data(shared);
    attempts->pool = pool;
    MUST(fm_pool_map_range(pool, wait_for_an_attempt, 0, n, out,
                           FM_MAP_OPTS(.arg = attempts, .progress = end_own_pool,
                                       .progress_arg = attempts, .progress_interval = FM_MS(1))) ==
         0);
    MUST(attempts->destroyed == -EDEADLK);
    MUST(attempts->joined == -EDEADLK);
    for (int64_t i = 0; i < n; i++)
        MUST(((int64_t *)fm_array_data(out))[i] == i + 1);
    fm_array_destroy(out);
    fm_array_destroy(shared);
    MUST(fm_pool_destroy(pool) == 0);
}

static void test_destroy_and_join_from_a_callback_of_the_pools_map_are_refused(void **state)
{
    (void)state;
    check_child(end_a_pool_from_its_map, NULL);
}

T_MAIN(T_TEST(test_pool_maps_arrays_made_where_another_was_destroyed),
       T_TEST(test_pool_that_is_new_has_no_failure_records_of_a_destroyed_one),
       T_TEST(test_heap_does_not_grow_with_pools_whose_wardens_are_killed),
       T_TEST(test_map_of_a_terminated_pool_returns_when_no_worker_runs_any_more),
       T_TEST(test_map_of_a_broken_pool_returns_when_no_worker_runs_any_more),
       T_TEST(test_pool_whose_finalizer_aborts_ends_when_closed),
       T_TEST(test_map_with_a_library_whose_constructor_aborts_in_workers_ends),
       T_TEST(test_destroy_in_two_threads_at_once_is_done_by_one_and_refused_to_the_other),
       T_TEST(test_destroy_and_join_from_a_callback_of_the_pools_map_are_refused))
