/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* The process that a pool keeps ready once a worker of it has died: when it is there, who it becomes, and what its own death costs. */
#include "t_pool.h"

#include "fault.h"

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N_WORKERS = 3, N = 300, LOST_MS = 10000, SOON_MS = 50 };

/* ---- who is there ------------------------------------------------------------------------------------ */

static int is_spare_of(int pid, int warden)
{
    char path[64], name[64] = "";
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    int n = file == NULL ? 0 : fscanf(file, "%*d (%63[^)]) %*c %d", name, &parent);
    if (file != NULL)
        fclose(file);
    return n == 2 && parent == warden && strcmp(name, "fm-spare") == 0;
}

static int find_spare(int warden)
{
    int found = 0;
    DIR *proc = opendir("/proc");
    if (proc == NULL)
        return -1;
    for (struct dirent *entry = readdir(proc); entry != NULL && found == 0; entry = readdir(proc)) {
        int pid = (int)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && is_spare_of(pid, warden))
            found = pid;
    }
    closedir(proc);
    return found;
}

/* Asleep: it waits for its order. */
static int await_spare_other_than(int warden, int pid)
{
    for (int ms = 0; ms < LOST_MS; ms++) {
        int found = find_spare(warden);
        if (found > 0 && found != pid && t_process_state(found) == 'S')
            return found;
        t_sleep_ms(1);
    }
    return 0;
}

static int await_spare(fm_pool *pool)
{
    int found = await_spare_other_than(fm_pool_warden_pid(pool), 0);
    assert_true(found > 0);
    return found;
}

static fm_worker_info worker(fm_pool *pool, int rank)
{
    fm_worker_info info;
    t_expect(fm_pool_worker(pool, rank, &info), 0);
    return info;
}

/* Until the rank has a process, another one than that. */
static int await_other_than(fm_pool *pool, int rank, int pid)
{
    for (int ms = 0; ms < LOST_MS; ms++) {
        int now = worker(pool, rank).pid;
        if (now != 0 && now != pid)
            return now;
        t_sleep_ms(1);
    }
    return 0;
}

static int kill_worker(fm_pool *pool, int rank)
{
    int pid = worker(pool, rank).pid;
    assert_true(pid > 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    return await_other_than(pool, rank, pid);
}

/* ---- maps -------------------------------------------------------------------------------------------- */

static int add_seven(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item + 7;
    return 0;
}

static void check_map(fm_pool *pool)
{
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, add_seven, 0, N, out, FM_MAP_OPTS(.chunk = 1)), 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(t_i64(out)[i], i + 7);
    fm_array_destroy(out);
}

/* ---- what it is -------------------------------------------------------------------------------------- */

static void test_spare_is_there_after_the_first_death_and_not_before(void **state)
{
    (void)state;
    fm_pool *pool = t_open(N_WORKERS, FM_CALLER_SLEEPS);
    check_map(pool);
    t_sleep_ms(SOON_MS);
    assert_int_equal(find_spare(fm_pool_warden_pid(pool)), 0);
    kill_worker(pool, 1);
    await_spare(pool);
    check_map(pool);
    t_close_and_destroy(pool);
}

struct begun { /* by rank: what the initializer of its last process saw */
    _Atomic int pid[N_WORKERS], only_cpu[N_WORKERS], n[N_WORKERS];
};

static int note_begin(int rank, void *arg)
{
    struct begun *begun = arg;
    cpu_set_t mine;
    int is_pinned = sched_getaffinity(0, sizeof mine, &mine) == 0 && CPU_COUNT(&mine) == 1;
    atomic_store(&begun->pid[rank], getpid());
    atomic_store(&begun->only_cpu[rank], is_pinned ? sched_getcpu() : -1);
    atomic_fetch_add(&begun->n[rank], 1);
    return 0;
}

static void test_spare_becomes_the_worker_that_dies_whichever_it_is(void **state)
{
    (void)state;
    fm_array *memory = t_vector(FM_U8, sizeof(struct begun));
    struct begun *begun = fm_array_data(memory);
    fm_pool *pool = t_open_with(
        FM_POOL_OPTS(.workers = N_WORKERS, .initializer = note_begin, .init_arg = begun));
    kill_worker(pool, 0);
    for (int rank = 0; rank < N_WORKERS; rank++) {
        int spare = await_spare(pool), before = atomic_load(&begun->n[rank]);
        assert_int_equal(kill_worker(pool, rank), spare);
        for (int ms = 0; atomic_load(&begun->n[rank]) == before && ms < LOST_MS; ms++)
            t_sleep_ms(1);
        assert_int_equal(atomic_load(&begun->n[rank]), before + 1);
        assert_int_equal(atomic_load(&begun->pid[rank]), spare);
        if (worker(pool, rank).cpu >= 0)
            assert_int_equal(atomic_load(&begun->only_cpu[rank]), worker(pool, rank).cpu);
        check_map(pool);
    }
    assert_int_equal(t_counters(pool).deaths, 1 + N_WORKERS);
    t_close_and_destroy(pool);
    fm_array_destroy(memory);
}

/* ---- its own death ----------------------------------------------------------------------------------- */

static void test_spare_killed_as_it_waits_has_a_successor_and_is_no_death_of_a_worker(void **state)
{
    (void)state;
    fm_pool *pool = t_open(N_WORKERS, FM_CALLER_SLEEPS);
    int warden = fm_pool_warden_pid(pool);
    kill_worker(pool, 2);
    int spare = await_spare(pool);
    assert_int_equal(kill(spare, SIGKILL), 0);
    spare = await_spare_other_than(warden, spare);
    assert_true(spare > 0);
    assert_int_equal(t_counters(pool).deaths, 1);
    assert_int_equal(kill_worker(pool, 0), spare);
    check_map(pool);
    t_close_and_destroy(pool);
}

static void
test_spare_that_is_always_killed_is_given_up_and_workers_are_replaced_without(void **state)
{
    (void)state;
    fm_pool *pool = t_open(N_WORKERS, FM_CALLER_SLEEPS);
    int warden = fm_pool_warden_pid(pool), n_killed = 0;
    kill_worker(pool, 2);
    for (int spare = await_spare(pool); spare > 0; n_killed++) {
        assert_int_equal(kill(spare, SIGKILL), 0);
        for (int ms = 0;
             ms < SOON_MS * 2 && (find_spare(warden) == spare || find_spare(warden) == 0); ms++)
            t_sleep_ms(1);
        spare = find_spare(warden) > 0 ? await_spare_other_than(warden, spare) : 0;
    }
    assert_int_equal(n_killed, 8);
    kill_worker(pool, 1);
    check_map(pool);
    t_close_and_destroy(pool);
}

static void lose_a_worker_and_die(void *arg)
{
    fm_pool *pool;
    fm_worker_info info;
    (void)arg;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0 ||
        fm_pool_worker(pool, 0, &info) != 0 || kill(info.pid, SIGKILL) != 0 ||
        await_spare_other_than(fm_pool_warden_pid(pool), 0) == 0)
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void test_spare_ends_with_the_host(void **state)
{
    (void)state;
    assert_int_equal(t_signal(t_in_child(lose_a_worker_and_die, NULL)), SIGKILL);
    t_assert_all_gone();
}

#ifdef FORKMAP_FAULTS
static void kill_at(const char *point)
{
    assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0); /* the page must be there before the fork */
    fm_pool *pool = t_open(N_WORKERS, FM_CALLER_SLEEPS);
    fmi_fault_spare_this_process();
    assert_int_equal(fmi_fault_arm(point, 1, 1), 0);
    for (int i = 0; i < 10 && fmi_fault_passages() == 0; i++) {
        kill_worker(pool, i % N_WORKERS);
        await_spare(pool);
        check_map(pool);
    }
    assert_true(fmi_fault_passages() >= 1);
    check_map(pool);
    t_close_and_destroy(pool);
    fmi_fault_arm(NULL, 0, 0);
}
#else
static void kill_at(const char *point)
{
    (void)point;
    t_skip("a build with FORKMAP_FAULTS");
}
#endif

static void test_spare_killed_before_it_waits_changes_no_result(void **state)
{
    (void)state;
    kill_at("spare.waiting");
}

static void test_spare_killed_with_its_order_changes_no_result(void **state)
{
    (void)state;
    kill_at("spare.turn");
}

T_MAIN(T_EACH_METHOD(test_spare_is_there_after_the_first_death_and_not_before),
       T_TEST(test_spare_becomes_the_worker_that_dies_whichever_it_is),
       T_TEST(test_spare_killed_as_it_waits_has_a_successor_and_is_no_death_of_a_worker),
       T_TEST(test_spare_that_is_always_killed_is_given_up_and_workers_are_replaced_without),
       T_EACH_METHOD(test_spare_ends_with_the_host),
       T_TEST(test_spare_killed_before_it_waits_changes_no_result),
       T_TEST(test_spare_killed_with_its_order_changes_no_result))
