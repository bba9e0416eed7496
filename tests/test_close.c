/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/*
 * Closing a pool while a worker is between its last look for work and its sleep: what was handed out in that moment is done. The worker is
 * held there by a hook.
 */
#include "t_pool.h"

#include "fault.h"

#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#ifdef FORKMAP_FAULTS

struct scene {
    _Atomic int hold;    /* the rank that is to be held, + 1; 0: none */
    _Atomic int is_held; /* it is */
};
static struct scene *scene;

static void hold_a_worker(const char *point)
{
    if (strcmp(point, "serve.found_nothing") != 0 ||
        fm_worker_rank() + 1 != atomic_load(&scene->hold))
        return;
    atomic_store(&scene->is_held, 1);
    while (atomic_load(&scene->hold) != 0)
        sched_yield();
}

static fm_pool *open_with_a_hook(int workers)
{
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene != MAP_FAILED);
    fmi_fault_hook(hold_a_worker);
    fm_pool *pool = t_open(workers, 0);
    fmi_fault_hook(NULL); /* here; the workers have it */
    return pool;
}

static void end_scene(void)
{
    munmap(scene, sizeof *scene);
}

static int add_one(const void *arg, void *result)
{
    *(int64_t *)result = *(const int64_t *)arg + 1;
    return 0;
}

static int add_one_to_item(const void *item, void *result, void *arg)
{
    (void)arg;
    return add_one(item, result);
}

/* Wakes the workers with a call, and waits until that rank has looked, and found nothing more; or before it finds that call. */
static void hold_rank(fm_pool *pool, int rank)
{
    const int64_t x = 1;
    atomic_store(&scene->hold, rank + 1);
    t_expect(fm_pool_apply_async(pool, add_one, &x, sizeof x, NULL, sizeof x, NULL, NULL), 0);
    while (atomic_load(&scene->is_held) == 0)
        sched_yield();
}

static void release_and_join(fm_pool *pool)
{
    t_expect(fm_pool_close(pool), 0);
    atomic_store(&scene->hold, 0);
    t_expect(fm_pool_join(pool, FM_SECONDS(30)), 0);
}

static void close_with_a_call(void)
{
    fm_pool *pool = open_with_a_hook(1);
    fm_result *result;
    int64_t x = 41, y = 0;
    hold_rank(pool, 0);
    t_expect(fm_pool_apply_async(pool, add_one, &x, sizeof x, &y, sizeof y, NULL, &result), 0);
    release_and_join(pool);
    t_expect(fm_result_get(result, FM_SECONDS(30)), 0);
    assert_int_equal(y, 42);
    fm_result_free(result);
    t_destroy(pool);
    end_scene();
}

static void close_with_a_static_map(void)
{
    enum { N = 10 };
    fm_pool *pool = open_with_a_hook(2);
    fm_array *out = t_vector(FM_I64, N);
    fm_result *result;
    hold_rank(pool, 1);
    t_expect(fm_pool_map_range_async(pool, add_one_to_item, 0, N, out,
                                     FM_MAP_OPTS(.schedule = FM_SCHEDULE_STATIC), &result),
             0);
    release_and_join(pool);
    t_expect(fm_result_get(result, FM_SECONDS(30)), 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(t_i64(out)[i], i + 1);
    fm_result_free(result);
    fm_array_destroy(out);
    t_destroy(pool);
    end_scene();
}

#define IN_FAULT_BUILDS(call) call
#else
#define IN_FAULT_BUILDS(call) t_skip("a build with FORKMAP_FAULTS")
#endif

static void test_close_finishes_a_call_that_came_after_the_last_look(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(close_with_a_call());
}

static void test_close_finishes_a_static_map_that_came_after_the_last_look(void **state)
{
    (void)state;
    IN_FAULT_BUILDS(close_with_a_static_map());
}

T_MAIN(T_TEST(test_close_finishes_a_call_that_came_after_the_last_look),
       T_TEST(test_close_finishes_a_static_map_that_came_after_the_last_look))
