/* SPDX-License-Identifier: MIT */
/* LABELS: fork stress */
/* TIMEOUT: 60 */
/*
 * Three levels of maps: a function of a pool opens a pool and maps, and its function opens a third one, or maps inline. The results
 * are those of three loops. A worker is pinned, so its budget is its one core: the pools that it opens have one worker each, and on
 * no level are there more workers than the host has cores.
 */
#include "t_pool.h"

#include <ctype.h>
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N1 = 6, N2 = 3, N3 = 5, N = N1 * N2 * N3, LEVELS = 3 };

/* Copied into each job: what it points to lies in the heap, which all levels share. */
struct task {
    fm_pool *pool; /* of the level above, for maps that run inline; valid on its own level only */
    int64_t first; /* number of the first result of this item */
    int64_t *results;
    struct level *levels; /* LEVELS */
    int is_inline;        /* the third level */
};

struct level {              /* what the pools of a level had */
    _Atomic int max_budget; /* of who opened them */
    _Atomic int max_workers;
    _Atomic int n_running, max_running; /* functions at one time */
};

static void raise_to(_Atomic int *most, int n)
{
    int seen = atomic_load(most);
    while (n > seen && !atomic_compare_exchange_weak(most, &seen, n))
        ;
}

static void enter(struct level *level)
{
    raise_to(&level->max_running, atomic_fetch_add(&level->n_running, 1) + 1);
}

static void leave(struct level *level)
{
    atomic_fetch_sub(&level->n_running, 1);
}

/* ---- the functions, from the third level up ---- */

static int64_t value_of(int64_t i)
{
    return i * i + 7;
}

static int third(const void *item, void *result, void *arg)
{
    const struct task *task = arg;
    const int64_t i = task->first + *(const int64_t *)item;
    (void)result;
    enter(&task->levels[2]);
    task->results[i] = value_of(i);
    leave(&task->levels[2]);
    return 0;
}

/* A pool with the default number of workers. */
static int open_pool(fm_pool **pool, struct level *level)
{
    fm_budget budget;
    const int cores = fm_cpu_budget(&budget);
    int rc = fm_pool_open(pool, NULL);
    if (cores < 0 || rc != 0)
        return rc != 0 ? rc : cores;
    raise_to(&level->max_budget, cores);
    raise_to(&level->max_workers, fm_pool_workers(*pool));
    return 0;
}

static int map_with_own_pool(fm_item_fn *fn, int64_t n, struct task *task, struct level *level)
{
    int rc = open_pool(&task->pool, level);
    if (rc != 0)
        return rc;
    rc = fm_pool_map_range(task->pool, fn, 0, n, NULL,
                           FM_MAP_OPTS(.arg = task, .arg_bytes = sizeof *task, .chunk = 1));
    const int ended = fm_pool_destroy(task->pool);
    return rc != 0 ? rc : ended;
}

static int second(const void *item, void *result, void *arg)
{
    struct task task = *(const struct task *)arg;
    (void)result;
    task.first += *(const int64_t *)item * N3;
    enter(&task.levels[1]);
    int rc = task.is_inline
                 ? fm_pool_map_range(task.pool, third, 0, N3, NULL, FM_MAP_OPTS(.arg = &task))
                 : map_with_own_pool(third, N3, &task, &task.levels[2]);
    leave(&task.levels[1]);
    return rc;
}

static int first(const void *item, void *result, void *arg)
{
    struct task task = *(const struct task *)arg;
    (void)result;
    task.first = *(const int64_t *)item * N2 * N3;
    enter(&task.levels[0]);
    int rc = map_with_own_pool(second, N2, &task, &task.levels[1]);
    leave(&task.levels[0]);
    return rc;
}

/* ---- processes ---- */

enum { MAX_PROCESSES = 4096 };

struct process {
    int pid, parent, is_ours;
    char name[16];
};

/* 0 if there is such a process. A name may hold anything, so its last parenthesis counts. */
static int read_process(struct process *p, int pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *stat = fopen(path, "r");
    if (stat == NULL)
        return -1;
    const size_t n = fread(text, 1, sizeof text - 1, stat);
    fclose(stat);
    const char *name = strchr(text, '('), *after = strrchr(text, ')');
    *p = (struct process){.pid = pid};
    if (n == 0 || name == NULL || after == NULL || sscanf(after, ") %*c %d", &p->parent) != 1)
        return -1;
    snprintf(p->name, sizeof p->name, "%.*s", (int)(after - name - 1), name + 1);
    return 0;
}

static int list_processes(struct process *list)
{
    int n = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && n < MAX_PROCESSES && (entry = readdir(proc));)
        if (isdigit((unsigned char)entry->d_name[0]))
            n += read_process(&list[n], atoi(entry->d_name)) == 0;
    if (proc != NULL)
        closedir(proc);
    return n;
}

static const struct process *find_ours(const struct process *list, int n, int pid)
{
    for (int k = 0; k < n; k++)
        if (list[k].is_ours && list[k].pid == pid)
            return &list[k];
    return NULL;
}

static void mark_ours(struct process *list, int n)
{
    int n_new;
    do {
        n_new = 0;
        for (int i = 0; i < n; i++)
            if (!list[i].is_ours &&
                (list[i].parent == getpid() || find_ours(list, n, list[i].parent) != NULL)) {
                list[i].is_ours = 1;
                n_new++;
            }
    } while (n_new > 0);
}

/* A warden has the name of the worker that forked it until it has one of its own; but then its parent is no warden. */
static int is_worker(const struct process *list, int n, const struct process *p)
{
    const struct process *parent = find_ours(list, n, p->parent);
    return p->is_ours && strncmp(p->name, "fm-w", 4) == 0 && isdigit((unsigned char)p->name[4]) &&
           parent != NULL && strcmp(parent->name, "fm-warden") == 0;
}

/* Workers below this process at the end of the listing: those that were listed, and are still there. */
static int count_workers(void)
{
    static struct process list[MAX_PROCESSES];
    struct process again;
    int n = list_processes(list), n_workers = 0;
    mark_ours(list, n);
    for (int i = 0; i < n; i++)
        n_workers += is_worker(list, n, &list[i]) && read_process(&again, list[i].pid) == 0;
    return n_workers;
}

static int watch_workers(const fm_progress *p, void *arg)
{
    int *most = arg, n = count_workers();
    (void)p;
    *most = n > *most ? n : *most;
    return 0;
}

/* ---- tests ---- */

struct run {
    struct level levels[LEVELS];
    int budget, max_processes;
};

/* Three levels with the default number of workers; the results are checked. */
static struct run run_levels(int is_inline)
{
    struct run run = {.budget = 0};
    fm_budget budget;
    fm_array *results = t_vector(FM_I64, N);
    fm_array *levels = t_vector(FM_STRUCT(sizeof(struct level)), LEVELS);
    struct task task = {
        .results = fm_array_data(results), .levels = fm_array_data(levels), .is_inline = is_inline};
    run.budget = fm_cpu_budget(&budget);
    t_expect(open_pool(&task.pool, &task.levels[0]), 0);
    t_expect(
        fm_pool_map_range(task.pool, first, 0, N1, NULL,
                          FM_MAP_OPTS(.arg = &task, .arg_bytes = sizeof task, .chunk = 1,
                                      .progress = watch_workers, .progress_arg = &run.max_processes,
                                      .progress_interval = FM_MS(1))),
        0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(task.results[i], value_of(i));
    memcpy(run.levels, task.levels, sizeof run.levels);
    t_destroy(task.pool);
    fm_array_destroy(results);
    fm_array_destroy(levels);
    return run;
}

/* On each level as many functions at a time, and workers for them, as the host has cores. */
static void check_budget(const struct run *run, int n_pools)
{
    assert_int_equal(run->levels[0].max_budget, run->budget);
    assert_int_equal(run->levels[0].max_workers, run->budget);
    for (int level = 1; level < n_pools; level++) {
        assert_int_equal(run->levels[level].max_budget, 1);
        assert_int_equal(run->levels[level].max_workers, 1);
    }
    for (int level = 0; level < LEVELS; level++)
        assert_in_range(run->levels[level].max_running, 1, run->budget);
    printf("%d cores, at most %d workers at a time\n", run->budget, run->max_processes);
    assert_in_range(run->max_processes, 1, n_pools * run->budget);
}

/* It would be every pool's number, and wins over the cores that there are. */
static void forget_workers_variable(void)
{
    unsetenv("FORKMAP_WORKERS");
}

static void test_three_levels_of_pools_give_the_results_of_loops(void **state)
{
    (void)t_method(state);
    forget_workers_variable();
    const struct run run = run_levels(0);
    check_budget(&run, 3);
}

static void test_three_levels_with_inline_maps_give_the_results_of_loops(void **state)
{
    (void)t_method(state);
    forget_workers_variable();
    const struct run run = run_levels(1);
    check_budget(&run, 2);
}

/* The host's budget is the mask's, and so is that of all levels together. */
static void test_three_levels_on_one_core_have_one_worker_each(void **state)
{
    cpu_set_t before, one;
    (void)state;
    forget_workers_variable();
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &before))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    const struct run run = run_levels(0);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(run.budget, 1);
    check_budget(&run, 3);
}

/* It is for the whole: what a worker may use is a part of that. */
static void test_three_levels_with_forkmap_workers_set_have_so_many_in_all(void **state)
{
    (void)state;
    assert_int_equal(setenv("FORKMAP_WORKERS", "2", 1), 0);
    const struct run run = run_levels(0);
    forget_workers_variable();
    assert_int_equal(run.levels[0].max_workers, 2);
    for (int level = 1; level < LEVELS; level++)
        assert_int_equal(run.levels[level].max_workers, 1);
    assert_in_range(run.max_processes, 1, 2 + 2 + 2);
}

T_MAIN(T_EACH_METHOD(test_three_levels_of_pools_give_the_results_of_loops),
       T_EACH_METHOD(test_three_levels_with_inline_maps_give_the_results_of_loops),
       T_TEST(test_three_levels_on_one_core_have_one_worker_each),
       T_TEST(test_three_levels_with_forkmap_workers_set_have_so_many_in_all))
