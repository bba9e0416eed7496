/* SPDX-License-Identifier: MIT */
/* LABELS: crash fork */
/* TIMEOUT: 60 */
/* A control group with little memory: the host gets an error where it makes an array, and what the kernel kills runs again alone. */
#include "t_expect.h"
#include "t_memcg.h"
#include "t_pool.h"

#include "fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIB = 1 << 20, GROUP_MIB = 48, N = 6 };

/* Shared by all processes of the test. */
static struct scene {
    _Atomic int tries[N]; /* of each item */
    _Atomic pid_t at[2];  /* by rank: who runs an item, or ran one when it was killed */
    _Atomic int n_again, n_beside;
} * scene;

static void run_in_group(void (*act)(void *), long mib)
{
#if defined(__SANITIZE_ADDRESS__)
    t_skip("room for AddressSanitizer in a small control group");
#endif
    t_memcg_make(mib * MIB);
    scene = mmap(NULL, sizeof *scene, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(scene != MAP_FAILED);
    int status = t_in_child(act, NULL);
    munmap(scene, sizeof *scene);
    t_memcg_remove();
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* ---- the host ------------------------------------------------------------------------------------- */

static void fill_group_with_arrays(void *step)
{
    int64_t bytes = *(const int64_t *)step;
    fm_array *a;
    int64_t n = 0;
    int rc;
    EXPECT(t_memcg_enter() == 0);
    while ((rc = fm_array_create(&a, FM_U8, 1, &bytes, NULL)) == 0 && n++ < 100000)
        memset(fm_array_data(a), 1, (size_t)bytes);
    EXPECT(rc == -ENOMEM && a == NULL);
    EXPECT(n * bytes >= 8 * MIB && n * bytes < 32 * MIB);
    EXPECT(strstr(fm_error_detail(), "left") != NULL);
}

static int64_t array_bytes;

static void fill_group(void *arg)
{
    (void)arg;
    fill_group_with_arrays(&array_bytes);
}

static void test_out_of_memory_group_gives_the_host_an_error_and_never_a_signal(void **state)
{
    static const int64_t sizes[] = {3000, 100000, 900000, 5 * MIB, 20 * MIB, 64 * MIB};
    (void)state;
    for (size_t k = 0; k < T_N_OF(sizes) - 1; k++) {
        array_bytes = sizes[k];
        run_in_group(fill_group, 32);
    }
}

/* ---- one that never fits ---------------------------------------------------------------------------- */

/* All at once: page faults one by one are slow. */
static int take_and_hold(int mib)
{
    void *p = mmap(NULL, (size_t)mib * MIB, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (p == MAP_FAILED)
        return errno;
    t_sleep_ms(50);
    munmap(p, (size_t)mib * MIB);
    return 0;
}

static int take_more_than_there_is_at_3(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return *(const int64_t *)item == 3 ? take_and_hold(2 * GROUP_MIB) : 0;
}

static void map_one_that_never_fits(void *arg)
{
    fm_pool *pool;
    fm_array *out;
    fm_failure f;
    int64_t n = N;
    (void)arg;
    EXPECT(t_memcg_enter() == 0);
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    EXPECT(fm_array_zeros(&out, FM_I64, 1, &n) == 0);
    t_sleep_ms(20); /* the warden has read the counter by then */
    EXPECT(fm_pool_map_range(pool, take_more_than_there_is_at_3, 0, N, out,
                             FM_MAP_OPTS(.chunk = 1, .on_error = FM_ON_ERROR_CONTINUE)) == FM_EOOM);
    EXPECT(fm_pool_failures(pool, &f, 1) == 1);
    EXPECT(f.item == 3 && f.state == FM_ITEM_OUT_OF_MEMORY && f.signal == SIGKILL);
    EXPECT(f.attempt == 2); /* the second alone */
    for (int64_t i = 0; i < N; i++)
        EXPECT(i == 3 || ((int64_t *)fm_array_data(out))[i] == i);
    EXPECT(fm_pool_destroy(pool) == 0);
    fm_array_destroy(out);
}

static void test_out_of_memory_item_that_is_killed_alone_too_is_a_record(void **state)
{
    (void)state;
    run_in_group(map_one_that_never_fits, GROUP_MIB);
}

/* ---- those that fit, but not together ----------------------------------------------------------------- */

/* Nobody else runs while what was killed runs again. The dead are reaped before. */
static void look_around(int rank)
{
    pid_t other = atomic_load(&scene->at[1 - rank]);
    if (other != 0 && kill(other, 0) == 0)
        atomic_fetch_add(&scene->n_beside, 1);
}

static int take_two_thirds(const void *item, void *result, void *arg)
{
    int64_t i = *(const int64_t *)item;
    int rank = fm_worker_rank(), is_again = atomic_fetch_add(&scene->tries[i], 1) > 0;
    (void)arg;
    atomic_store(&scene->at[rank], getpid());
    atomic_fetch_add(&scene->n_again, is_again);
    if (is_again)
        look_around(rank);
    int rc = take_and_hold(GROUP_MIB * 2 / 3);
    if (is_again)
        look_around(rank);
    atomic_store(&scene->at[rank], 0);
    *(int64_t *)result = i;
    return rc;
}

static int take_two_thirds_in_chunks(const fm_chunk *chunk, void *arg)
{
    int rc = 0;
    for (int64_t r = 0; r < chunk->count && rc == 0; r++) {
        int64_t i = chunk->begin + r;
        rc = take_two_thirds(&i, (char *)chunk->out + r * chunk->out_stride, arg);
    }
    return rc;
}

static int take_two_thirds_once(const void *arg, void *result)
{
    return take_two_thirds(arg, result, NULL);
}

static void map_those_that_fit_alone(void *arg)
{
    fm_pool *pool;
    fm_array *out;
    fm_pool_counters counters;
    int64_t n = N;
    (void)arg;
    EXPECT(t_memcg_enter() == 0);
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    EXPECT(fm_array_zeros(&out, FM_I64, 1, &n) == 0);
    t_sleep_ms(50);
    EXPECT(fm_pool_map_range(pool, take_two_thirds, 0, N, out, FM_MAP_OPTS(.chunk = 1)) == 0);
    for (int64_t i = 0; i < N; i++)
        EXPECT(((int64_t *)fm_array_data(out))[i] == i);
    EXPECT(atomic_load(&scene->n_again) > 0 && atomic_load(&scene->n_beside) == 0);
    memset(fm_array_data(out), 0xff, sizeof(int64_t) * N);
    EXPECT(fm_pool_map_range_chunks(pool, take_two_thirds_in_chunks, 0, N, out, NULL) == 0);
    for (int64_t i = 0; i < N; i++)
        EXPECT(((int64_t *)fm_array_data(out))[i] == i);
    EXPECT(fm_pool_stats(pool, &counters) == 0 && counters.deaths > 0);
    EXPECT(fm_pool_destroy(pool) == 0);
    fm_array_destroy(out);
}

static void test_out_of_memory_items_that_fit_alone_are_all_done(void **state)
{
    (void)state;
    run_in_group(map_those_that_fit_alone, GROUP_MIB);
}

static void call_those_that_fit_alone(void *arg)
{
    fm_pool *pool;
    fm_result *results[N];
    fm_pool_counters counters;
    int64_t got[N];
    (void)arg;
    EXPECT(t_memcg_enter() == 0);
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    t_sleep_ms(20);
    for (int64_t i = 0; i < N; i++)
        EXPECT(fm_pool_apply_async(pool, take_two_thirds_once, &i, sizeof i, &got[i], sizeof got[i],
                                   NULL, &results[i]) == 0);
    for (int64_t i = 0; i < N; i++) {
        EXPECT(fm_result_get(results[i], FM_SECONDS(40)) == 0 && got[i] == i);
        fm_result_free(results[i]);
    }
    EXPECT(fm_pool_stats(pool, &counters) == 0 && counters.deaths > 0);
    EXPECT(atomic_load(&scene->n_again) > 0 && atomic_load(&scene->n_beside) == 0);
    EXPECT(fm_pool_destroy(pool) == 0);
}

static void test_out_of_memory_calls_that_fit_alone_are_all_done(void **state)
{
    (void)state;
    run_in_group(call_those_that_fit_alone, GROUP_MIB);
}

/* ---- killed with the turn to be alone ------------------------------------------------------------------- */

#ifdef FORKMAP_FAULTS
static const char *point;

static void map_and_be_killed_at_the_point(void *arg)
{
    fm_pool *pool;
    fm_array *out;
    int64_t n = N;
    (void)arg;
    EXPECT(t_memcg_enter() == 0);
    EXPECT(fmi_fault_arm(NULL, 0, 0) == 0); /* the page must be there before the fork */
    fmi_fault_spare_this_process();
    EXPECT(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) == 0);
    EXPECT(fm_array_zeros(&out, FM_I64, 1, &n) == 0);
    t_sleep_ms(50);
    EXPECT(fmi_fault_arm(point, 1, 1) == 0);
    EXPECT(fm_pool_map_range(pool, take_two_thirds, 0, N, out, FM_MAP_OPTS(.chunk = 1)) == 0);
    for (int64_t i = 0; i < N; i++)
        EXPECT(((int64_t *)fm_array_data(out))[i] == i);
    EXPECT(fmi_fault_passages() >= 1);
    EXPECT(fm_pool_destroy(pool) == 0);
    fm_array_destroy(out);
}
#endif

static void test_out_of_memory_worker_killed_at_its_turn_alone_costs_no_item(void **state)
{
    (void)state;
#ifndef FORKMAP_FAULTS
    t_skip("fault points (FORKMAP_FAULTS)");
#else
    static const char *const points[] = {"alone.rest", "alone.waiting", "alone.begin", "alone.end"};
    for (size_t i = 0; i < T_N_OF(points); i++) {
        point = points[i];
        run_in_group(map_and_be_killed_at_the_point, GROUP_MIB);
    }
#endif
}

T_MAIN(T_TEST(test_out_of_memory_group_gives_the_host_an_error_and_never_a_signal),
       T_TEST(test_out_of_memory_item_that_is_killed_alone_too_is_a_record),
       T_TEST(test_out_of_memory_items_that_fit_alone_are_all_done),
       T_TEST(test_out_of_memory_calls_that_fit_alone_are_all_done),
       T_TEST(test_out_of_memory_worker_killed_at_its_turn_alone_costs_no_item))
