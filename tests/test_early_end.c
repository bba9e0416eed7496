/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/*
 * When a map of a caller that works ends: not before the last item is finished, and not never. The tests hold and kill workers at fault
 * points, so each runs in a child, whose own limit ends a hang.
 */
#include "t.h"
#include "victim.h"

#include "fault.h"

#include <forkmap/forkmap.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef FORKMAP_FAULTS

enum { N_ITEMS = 12, N_RANKS = 3, HOLD_STEPS = 500, STEP_US = 1000 };
/* Exit codes of the child. */
enum { RIGHT = 0, NOT_SET_UP = 2, MAP_FAILED_WITH = 3, ENDED_EARLY = 4, WRONG_RESULT = 5 };

/* What the child's processes tell each other; each word is set once. */
struct scene {
    _Atomic int host, first_of_rank_1; /* pids */
    _Atomic int item_0_begun, item_4_begun;
    _Atomic int may_end_item_0, may_end_item_2;
    _Atomic int item_2_begun;
    _Atomic int steal_is_committed, may_complete_steal;
    _Atomic int has_left[N_RANKS], is_idle[N_RANKS]; /* by rank, of its first process */
    _Atomic int successor_is_in_item_1, successor_is_idle;
    _Atomic int n_finished, map_has_returned;
    _Atomic int n_refused; /* calls of calloc */
};
static struct scene *scene;

static void wait_for(_Atomic int *word)
{
    while (atomic_load(word) == 0)
        t_sleep_us(STEP_US);
}

static void new_scene(void)
{
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene != MAP_FAILED);
}

static void end_scene(void)
{
    munmap(scene, sizeof *scene);
    scene = NULL;
}

static void check_child(void (*fn)(void *), void *arg)
{
    new_scene();
    int status = t_in_child(fn, arg);
    if (t_signal(status) == SIGALRM)
        fail_msg("the map did not end; item 2 begun %d, rank 1 idle %d, its successor in item 1 "
                 "%d, idle %d, %d items finished",
                 atomic_load(&scene->item_2_begun), atomic_load(&scene->is_idle[1]),
                 atomic_load(&scene->successor_is_in_item_1),
                 atomic_load(&scene->successor_is_idle), atomic_load(&scene->n_finished));
    assert_int_equal(t_signal(status), 0);
    if (t_exit_code(status) == ENDED_EARLY)
        fail_msg("the map returned 0 while %d of %d items were finished",
                 atomic_load(&scene->n_finished), N_ITEMS);
    assert_int_equal(t_exit_code(status), RIGHT);
    end_scene();
}

static int is_successor(void)
{
    int first = atomic_load(&scene->first_of_rank_1); /* 0: it has not begun yet */
    return fm_worker_rank() == 1 && first != 0 && first != getpid();
}

/* ---- a successor that steals ---------------------------------------------------------------- */

/*
 * Ranks 0, 1, 2 own items 0-3, 4-7, 8-11. Rank 2 steals 2-3 from the caller, and stands between s3 and s4 (range.h) while rank 1
 * finishes its share: so rank 1 finds nothing to steal, and leaves. Then rank 2 goes on, and leaves item 1 to be stolen.
 */
static void hold_the_thief(const char *point)
{
    int rank = fm_worker_rank();
    if (getpid() == atomic_load(&scene->host) || rank < 1)
        return;
    if (strcmp(point, "steal.committed") == 0 && rank == 2 &&
        atomic_exchange(&scene->steal_is_committed, 1) == 0)
        wait_for(&scene->may_complete_steal);
    if (strcmp(point, "serve.left") == 0 && !is_successor())
        atomic_store(&scene->has_left[rank], 1);
    if (strcmp(point, "park.sleep") != 0)
        return;
    if (is_successor())
        atomic_store(&scene->successor_is_idle, 1);
    else if (atomic_load(&scene->has_left[rank]) != 0)
        atomic_store(&scene->is_idle[rank], 1); /* so its tally is stored too */
}

/* Long enough for a map that does not wait to return, and then no more: one that waits must end. */
static void hold_item_1(void)
{
    atomic_store(&scene->successor_is_in_item_1, 1);
    for (int i = 0; i < HOLD_STEPS && atomic_load(&scene->map_has_returned) == 0; i++)
        t_sleep_us(STEP_US);
}

static int add_hundred_in_turn(const void *in, void *out, void *arg)
{
    int64_t item = *(const int64_t *)in;
    (void)arg;
    switch (item) {
    case 0:
        atomic_store(&scene->item_0_begun, 1);
        wait_for(&scene->may_end_item_0);
        break;
    case 1:
        if (fm_worker_rank() == 1)
            hold_item_1();
        break;
    case 2:
        atomic_store(&scene->item_2_begun, 1);
        wait_for(&scene->may_end_item_2);
        break;
    case 4:
        atomic_store(&scene->first_of_rank_1, getpid());
        atomic_store(&scene->item_4_begun, 1);
        wait_for(&scene->steal_is_committed);
        break;
    case 8:
        wait_for(&scene->item_0_begun);
        wait_for(&scene->item_4_begun);
        break;
    default:
        break;
    }
    *(int64_t *)out = item + 100;
    atomic_fetch_add(&scene->n_finished, 1);
    return 0;
}

/* Rank 1 is killed idle. Its successor takes item 1, or stays out; rank 2 leaves; only then the caller ends item 0. */
static void *direct(void *arg)
{
    (void)arg;
    wait_for(&scene->is_idle[1]);
    atomic_store(&scene->may_complete_steal, 1);
    wait_for(&scene->item_2_begun);
    kill(atomic_load(&scene->first_of_rank_1), SIGKILL);
    while (atomic_load(&scene->successor_is_in_item_1) == 0 &&
           atomic_load(&scene->successor_is_idle) == 0)
        t_sleep_us(STEP_US);
    atomic_store(&scene->may_end_item_2, 1);
    wait_for(&scene->is_idle[2]);
    atomic_store(&scene->may_end_item_0, 1);
    return NULL;
}

/* ---- the child ------------------------------------------------------------------------------ */

static void open_or_exit(fm_pool **pool, fm_array **in, fm_array **out)
{
    int64_t n = N_ITEMS;
    atomic_store(&scene->host, getpid());
    if (fm_pool_open(pool, FM_POOL_OPTS(.workers = N_RANKS, .caller = FM_CALLER_WORKS)) != 0 ||
        fm_array_arange(in, FM_I64, 0, N_ITEMS, 1) != 0 || fm_array_zeros(out, FM_I64, 1, &n) != 0)
        _exit(NOT_SET_UP);
}

static void map_one_by_one(fm_pool *pool, fm_item_fn *fn, fm_array *in, fm_array *out)
{
    int rc =
        fm_pool_map(pool, fn, in, out, FM_MAP_OPTS(.schedule = FM_SCHEDULE_DYNAMIC, .chunk = 1));
    int n_finished = atomic_load(&scene->n_finished);
    const int64_t *results = fm_array_data(out);
    if (rc != 0)
        _exit(MAP_FAILED_WITH);
    if (n_finished < N_ITEMS)
        _exit(ENDED_EARLY);
    for (int64_t i = 0; i < N_ITEMS; i++)
        if (results[i] != i + 100)
            _exit(WRONG_RESULT);
    atomic_store(&scene->map_has_returned, 1);
}

static void close_or_exit(fm_pool *pool, fm_array *in, fm_array *out)
{
    fm_array_destroy(in);
    fm_array_destroy(out);
    if (fm_pool_destroy(pool) != 0)
        _exit(NOT_SET_UP);
}

static void map_with_a_director(void *arg)
{
    fm_pool *pool;
    fm_array *in, *out;
    pthread_t director;
    (void)arg;
    fmi_fault_hook(hold_the_thief);
    open_or_exit(&pool, &in, &out);
    if (pthread_create(&director, NULL, direct, NULL) != 0)
        _exit(NOT_SET_UP);
    map_one_by_one(pool, add_hundred_in_turn, in, out);
    pthread_join(director, NULL);
    close_or_exit(pool, in, out);
}

/* ---- a death between the two words that say that a rank has left ---------------------------- */

static void kill_rank_1_before_its_tally(const char *point)
{
    if (fm_worker_rank() == 1 && getpid() != atomic_load(&scene->host) &&
        strcmp(point, "serve.left") == 0 && atomic_exchange(&scene->has_left[1], 1) == 0)
        kill(getpid(), SIGKILL);
}

/*
 * The caller's first item outlasts the death, so that it has to find out how it ended. The workers' first ones wait for it: on a busy
 * machine rank 1 would otherwise take it from the caller, and wait for its own death.
 */
static int add_hundred_after_the_death(const void *in, void *out, void *arg)
{
    int64_t item = *(const int64_t *)in;
    (void)arg;
    if (item == 0) {
        atomic_store(&scene->item_0_begun, 1);
        wait_for(&scene->has_left[1]);
    } else if (item == 4 || item == 8) {
        wait_for(&scene->item_0_begun);
    }
    *(int64_t *)out = item + 100;
    atomic_fetch_add(&scene->n_finished, 1);
    return 0;
}

static void map_with_a_death_at_the_tally(void *arg)
{
    fm_pool *pool;
    fm_array *in, *out;
    (void)arg;
    fmi_fault_hook(kill_rank_1_before_its_tally);
    open_or_exit(&pool, &in, &out);
    map_one_by_one(pool, add_hundred_after_the_death, in, out);
    close_or_exit(pool, in, out);
}

/* ---- a caller without memory ---------------------------------------------------------------- */

static _Thread_local int next_calloc_fails;

/* In front of the C library's, or of the sanitizer's. */
void *calloc(size_t n, size_t bytes)
{
    static void *(*_Atomic real)(size_t, size_t);
    void *(*next)(size_t, size_t) = atomic_load(&real);
    if (next == NULL) {
        void *symbol = dlsym(RTLD_NEXT, "calloc");
        memcpy(&next, &symbol, sizeof next); /* ISO C has no cast between the two */
        atomic_store(&real, next);
    }
    if (next_calloc_fails) {
        next_calloc_fails = 0;
        atomic_fetch_add(&scene->n_refused, 1);
        return NULL;
    }
    return next(n, bytes);
}

/* The map is published; the caller wakes the workers and then gets ready for its own share. */
static void refuse_memory_to_the_caller(const char *point)
{
    if (strcmp(point, "park.rouse") == 0 && getpid() == atomic_load(&scene->host) &&
        atomic_load(&scene->n_refused) == 0)
        next_calloc_fails = 1;
}

static int add_hundred(const void *in, void *out, void *arg)
{
    (void)arg;
    *(int64_t *)out = *(const int64_t *)in + 100;
    atomic_fetch_add(&scene->n_finished, 1);
    return 0;
}

static void map_without_memory(void *arg)
{
    fm_pool *pool;
    fm_array *in, *out;
    open_or_exit(&pool, &in, &out);
    fmi_fault_hook(refuse_memory_to_the_caller);
    int rc = fm_pool_map(pool, add_hundred, in, in,
                         FM_MAP_OPTS(.schedule = *(int *)arg, .flags = FM_IN_PLACE));
    fmi_fault_hook(NULL);
    next_calloc_fails = 0;
    if (rc != -ENOMEM)
        _exit(MAP_FAILED_WITH);
    fm_array_destroy(in);
    if (fm_array_arange(&in, FM_I64, 0, N_ITEMS, 1) != 0)
        _exit(NOT_SET_UP);
    atomic_store(&scene->n_finished, 0);
    map_one_by_one(pool, add_hundred, in, out); /* the pool is as good as before */
    close_or_exit(pool, in, out);
}

static void check_without_memory(int schedule)
{
    new_scene();
    int status = t_in_child(map_without_memory, &schedule);
    if (t_signal(status) == SIGALRM)
        fail_msg("the map did not end after calloc had failed in the caller %d times",
                 atomic_load(&scene->n_refused));
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), RIGHT);
    assert_int_equal(atomic_load(&scene->n_refused), 1);
    end_scene();
}

#define CHECK(call) call
#else
#define CHECK(call) t_skip("fault points, which release builds leave out")
#endif

static void test_map_of_a_working_caller_does_not_end_before_a_successor_that_stole(void **state)
{
    (void)state;
    CHECK(check_child(map_with_a_director, NULL));
}

static void test_map_of_a_working_caller_ends_though_a_rank_died_while_it_left(void **state)
{
    (void)state;
    CHECK(check_child(map_with_a_death_at_the_tally, NULL));
}

static void test_static_map_ends_when_the_caller_has_no_memory_for_its_share(void **state)
{
    (void)state;
    CHECK(check_without_memory(FM_SCHEDULE_STATIC));
}

static void test_dynamic_map_ends_when_the_caller_has_no_memory_for_its_share(void **state)
{
    (void)state;
    CHECK(check_without_memory(FM_SCHEDULE_DYNAMIC));
}

T_MAIN(T_TEST(test_map_of_a_working_caller_does_not_end_before_a_successor_that_stole),
       T_TEST(test_map_of_a_working_caller_ends_though_a_rank_died_while_it_left),
       T_TEST(test_static_map_ends_when_the_caller_has_no_memory_for_its_share),
       T_TEST(test_dynamic_map_ends_when_the_caller_has_no_memory_for_its_share))
