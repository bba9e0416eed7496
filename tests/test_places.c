/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* Where workers are pinned: described machines of every shape, and this one inside its affinity mask. */
#include "t.h"

#include "places.h"
#include "topo.h"

#include <errno.h>
#include <forkmap/machine.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MANY = 1023, N_THREADS = 4 };

static const char *const dual_smt = "pack:2 core:4 pu:2";

/* Asks for `n` places and checks their OS numbers one by one. */
static void check_cpus(const char *synthetic, int pin, int n, const int *cpus)
{
    fm_place places[64];
    assert_in_range(n, 1, 64);
    assert_true(fm_places(places, n, pin, synthetic) >= 1);
    for (int rank = 0; rank < n; rank++)
        assert_int_equal(places[rank].cpu, cpus[rank]);
}

/* The first two processing units that this process may use; returns how many there are. */
static int usable_cpus(int cpus[2])
{
    cpu_set_t mask;
    int n = 0;
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET((size_t)cpu, &mask)) {
            if (n < 2)
                cpus[n] = cpu;
            n++;
        }
    return n;
}

static int restrict_to(int cpu)
{
    cpu_set_t mask;
    CPU_ZERO(&mask);
    CPU_SET((size_t)cpu, &mask);
    return sched_setaffinity(0, sizeof mask, &mask);
}

/* ---- orders on described machines ------------------------------------------------------------ */

static void test_places_core_pin_uses_every_physical_core_before_any_sibling(void **state)
{
    (void)state;
    fm_place places[16];
    assert_int_equal(fm_places(places, 16, FM_PIN_CORE, dual_smt), 16);
    for (int rank = 0; rank < 16; rank++) {
        assert_int_equal(places[rank].core, rank % 8);
        assert_int_equal(places[rank].sibling, rank / 8);
        assert_int_equal(places[rank].package, rank % 8 / 4);
        assert_int_equal(places[rank].cpu, rank % 8 * 2 + rank / 8);
        assert_int_equal(places[rank].numa, 0);
    }
}

static void test_places_without_a_pin_are_those_of_the_core_pin(void **state)
{
    (void)state;
    fm_place by_default[16], by_core[16];
    assert_int_equal(fm_places(by_default, 16, 0, dual_smt), 16);
    assert_int_equal(fm_places(by_core, 16, FM_PIN_CORE, dual_smt), 16);
    assert_memory_equal(by_default, by_core, sizeof by_core);
}

static void test_places_compact_pin_fills_a_core_before_the_next(void **state)
{
    (void)state;
    fm_place places[16];
    assert_int_equal(fm_places(places, 16, FM_PIN_COMPACT, dual_smt), 16);
    for (int rank = 0; rank < 16; rank++) {
        assert_int_equal(places[rank].cpu, rank);
        assert_int_equal(places[rank].core, rank / 2);
        assert_int_equal(places[rank].sibling, rank % 2);
    }
}

static void test_places_spread_pin_takes_packages_in_turn_and_siblings_last(void **state)
{
    (void)state;
    check_cpus(dual_smt, FM_PIN_SPREAD, 16,
               (const int[]){0, 8, 2, 10, 4, 12, 6, 14, 1, 9, 3, 11, 5, 13, 7, 15});
}

static void test_places_spread_pin_takes_numa_nodes_in_turn(void **state)
{
    (void)state;
    fm_place places[6];
    assert_int_equal(fm_places(places, 6, FM_PIN_SPREAD, "numa:2 core:3 pu:1"), 6);
    for (int rank = 0; rank < 6; rank++) {
        assert_int_equal(places[rank].numa, rank % 2);
        assert_int_equal(places[rank].cpu, rank % 2 * 3 + rank / 2);
    }
}

static void test_places_spread_pin_takes_packages_then_the_numa_nodes_inside_them(void **state)
{
    (void)state;
    check_cpus("pack:2 numa:2 core:2 pu:1", FM_PIN_SPREAD, 8,
               (const int[]){0, 4, 2, 6, 1, 5, 3, 7});
}

static void test_places_spread_pin_takes_numa_nodes_in_turn_when_packages_share_one(void **state)
{
    (void)state;
    check_cpus("numa:2 pack:2 core:1 pu:1", FM_PIN_SPREAD, 4, (const int[]){0, 2, 1, 3});
}

static void test_places_core_pin_keeps_topology_order_over_numa_nodes(void **state)
{
    (void)state;
    fm_place places[6];
    assert_int_equal(fm_places(places, 6, FM_PIN_CORE, "numa:2 core:3 pu:1"), 6);
    for (int rank = 0; rank < 6; rank++) {
        assert_int_equal(places[rank].cpu, rank);
        assert_int_equal(places[rank].numa, rank / 3);
    }
}

static void test_places_none_pin_leaves_workers_unpinned(void **state)
{
    (void)state;
    fm_place places[20];
    assert_int_equal(fm_places(places, 20, FM_PIN_NONE, dual_smt), 16);
    for (int rank = 0; rank < 20; rank++) {
        assert_int_equal(places[rank].cpu, -1);
        assert_int_equal(places[rank].core, -1);
        assert_int_equal(places[rank].package, -1);
        assert_int_equal(places[rank].numa, -1);
    }
}

static void test_places_on_one_unit_put_all_workers_there(void **state)
{
    (void)state;
    for (int pin = FM_PIN_CORE; pin <= FM_PIN_COMPACT; pin++) {
        fm_place places[5];
        assert_int_equal(fm_places(places, 5, pin, "core:1 pu:1"), 1);
        for (int rank = 0; rank < 5; rank++) {
            assert_int_equal(places[rank].cpu, 0);
            assert_int_equal(places[rank].package, 0);
        }
    }
}

static void test_places_for_more_workers_than_units_go_round_again(void **state)
{
    (void)state;
    for (int pin = FM_PIN_CORE; pin <= FM_PIN_COMPACT; pin++) {
        fm_place places[MANY];
        assert_int_equal(fm_places(places, MANY, pin, dual_smt), 16);
        for (int rank = 16; rank < MANY; rank++)
            assert_memory_equal(&places[rank], &places[rank - 16], sizeof places[rank]);
    }
}

static void test_places_for_fewer_workers_are_the_first_of_the_full_order(void **state)
{
    (void)state;
    for (int pin = FM_PIN_CORE; pin <= FM_PIN_COMPACT; pin++) {
        fm_place all[16], few[3];
        assert_int_equal(fm_places(all, 16, pin, dual_smt), 16);
        assert_int_equal(fm_places(few, 3, pin, dual_smt), 16);
        assert_memory_equal(few, all, sizeof few);
    }
}

static void test_places_of_every_pin_hold_each_unit_once(void **state)
{
    (void)state;
    for (int pin = FM_PIN_CORE; pin <= FM_PIN_COMPACT; pin++) {
        fm_place places[36];
        int seen[36] = {0};
        assert_int_equal(fm_places(places, 36, pin, "pack:3 numa:2 core:2 pu:3"), 36);
        for (int rank = 0; rank < 36; rank++) {
            assert_in_range(places[rank].cpu, 0, 35);
            assert_int_equal(seen[places[rank].cpu]++, 0);
        }
    }
}

static void test_places_on_cores_of_three_units_take_them_in_three_rounds(void **state)
{
    (void)state;
    for (int pin = FM_PIN_CORE; pin <= FM_PIN_SPREAD; pin++) {
        fm_place places[12];
        assert_int_equal(fm_places(places, 12, pin, "pack:2 core:2 pu:3"), 12);
        for (int rank = 0; rank < 12; rank++)
            assert_int_equal(places[rank].sibling, rank / 4);
    }
}

/* Most x86 machines number the first units of all cores, then the second ones. */
static void test_places_follow_cores_and_not_the_kernels_numbers(void **state)
{
    (void)state;
    const char *machine = "pack:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)";
    check_cpus(machine, FM_PIN_CORE, 8, (const int[]){0, 1, 2, 3, 4, 5, 6, 7});
    check_cpus(machine, FM_PIN_COMPACT, 8, (const int[]){0, 4, 1, 5, 2, 6, 3, 7});
}

static void test_places_on_a_machine_without_known_cores_take_each_unit_as_one(void **state)
{
    (void)state;
    fm_place places[3];
    assert_int_equal(fm_places(places, 3, FM_PIN_CORE, "pu:3"), 3);
    for (int rank = 0; rank < 3; rank++) {
        assert_int_equal(places[rank].core, rank);
        assert_int_equal(places[rank].sibling, 0);
        assert_int_equal(places[rank].package, 0);
        assert_int_equal(places[rank].numa, 0);
    }
}

/* ---- orders inside a mask -------------------------------------------------------------------- */

static void test_places_when_only_second_siblings_are_free_use_all_cores_first(void **state)
{
    (void)state;
    /* Core 0 has only its second unit in the mask, core 1 both, core 2 only its second. */
    const fm_place units[] = {{.cpu = 1, .core = 0, .sibling = 1},
                              {.cpu = 2, .core = 1, .sibling = 0},
                              {.cpu = 3, .core = 1, .sibling = 1},
                              {.cpu = 5, .core = 2, .sibling = 1}};
    const int cpus[] = {1, 2, 5, 3};
    for (int pin = FM_PIN_CORE; pin <= FM_PIN_SPREAD; pin++) {
        fm_place places[4];
        assert_int_equal(fmi_places_arrange(places, 4, pin, units, 4), 0);
        for (int rank = 0; rank < 4; rank++)
            assert_int_equal(places[rank].cpu, cpus[rank]);
    }
}

static void test_places_spread_over_packages_of_unequal_size_fill_the_smaller_first(void **state)
{
    (void)state;
    const fm_place units[] = {{.cpu = 0, .core = 0, .package = 0},
                              {.cpu = 1, .core = 1, .package = 0},
                              {.cpu = 2, .core = 2, .package = 0},
                              {.cpu = 7, .core = 7, .package = 1}};
    const int cpus[] = {0, 7, 1, 2};
    fm_place places[4];
    assert_int_equal(fmi_places_arrange(places, 4, FM_PIN_SPREAD, units, 4), 0);
    for (int rank = 0; rank < 4; rank++)
        assert_int_equal(places[rank].cpu, cpus[rank]);
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void test_places_of_a_bad_description_are_refused_with_an_example(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "bogus",
                                      "pack:2",
                                      "core:0 pu:1",
                                      "core:-1 pu:1",
                                      "core:2 pu:x",
                                      "pu:2 core:2 pu",
                                      "pack:2 [numa"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fm_place place;
        assert_int_equal(fm_places(&place, 1, FM_PIN_CORE, bad[i]), -EINVAL);
        assert_non_null(strstr(fm_error_detail(), "pack:2 core:4 pu:2"));
    }
}

static void test_places_of_an_unpinned_pool_still_refuse_a_bad_description(void **state)
{
    (void)state;
    fm_place place;
    assert_int_equal(fm_places(&place, 1, FM_PIN_NONE, "bogus"), -EINVAL);
}

static void test_places_of_a_description_beyond_reason_are_refused_at_once(void **state)
{
    (void)state;
    static const char *const huge[] = {"pack:1000 core:1000 pu:2", "core:8193 pu:1",
                                       "pack:4294967295 core:4294967295 pu:4294967295",
                                       "core:99999999999999999999999999 pu:1", "100 100 100"};
    for (size_t i = 0; i < sizeof huge / sizeof huge[0]; i++) {
        fm_place place;
        assert_int_equal(fm_places(&place, 1, FM_PIN_CORE, huge[i]), -EINVAL);
        assert_non_null(strstr(fm_error_detail(), "8192"));
    }
}

/* Numbers in type names and attributes are no counts. */
static void test_places_of_a_description_with_attributes_count_only_its_units(void **state)
{
    (void)state;
    fm_place places[4];
    assert_int_equal(
        fm_places(places, 4, FM_PIN_CORE, "numa:2(memory=137438953472) l2:1 core:2 pu:1"), 4);
    assert_int_equal(places[2].numa, 1);
    assert_int_equal(fm_places(places, 4, FM_PIN_CORE, "pack:8 l3:1 l2:1 core:256 pu:1"), 2048);
}

static void test_places_with_bad_arguments_are_refused(void **state)
{
    (void)state;
    fm_place place;
    assert_int_equal(fm_places(NULL, 1, FM_PIN_CORE, dual_smt), -EINVAL);
    assert_int_equal(fm_places(&place, 0, FM_PIN_CORE, dual_smt), -EINVAL);
    assert_int_equal(fm_places(&place, -1, FM_PIN_CORE, dual_smt), -EINVAL);
    assert_int_equal(fm_places(&place, 1, FM_PIN_NONE + 1, dual_smt), -EINVAL);
    assert_int_equal(fm_places(&place, 1, -1, dual_smt), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "fm_pin"));
}

/* ---- this machine ---------------------------------------------------------------------------- */

static void test_places_on_this_machine_lie_inside_the_affinity_mask(void **state)
{
    (void)state;
    fm_place places[64];
    cpu_set_t mask;
    assert_int_equal(sched_getaffinity(0, sizeof mask, &mask), 0);
    assert_int_equal(fm_places(places, 64, FM_PIN_CORE, NULL), CPU_COUNT(&mask));
    for (int rank = 0; rank < 64; rank++)
        assert_true(CPU_ISSET((size_t)places[rank].cpu, &mask));
}

static void ask_inside_one_cpu(void *arg)
{
    int cpu = *(int *)arg;
    fm_place places[3];
    if (restrict_to(cpu) != 0)
        _exit(2);
    if (fm_places(places, 3, FM_PIN_CORE, NULL) != 1)
        _exit(3);
    for (int rank = 0; rank < 3; rank++)
        if (places[rank].cpu != cpu)
            _exit(4);
}

static void test_places_inside_a_mask_of_one_unit_are_all_that_unit(void **state)
{
    (void)state;
    int cpus[2], n = usable_cpus(cpus);
    for (int i = 0; i < 2 && i < n; i++)
        assert_int_equal(t_exit_code(t_in_child(ask_inside_one_cpu, &cpus[i])), 0);
}

/* The parent has read the topology; the mask must be read anew all the same. */
static void test_places_follow_a_mask_that_changes_after_the_first_call(void **state)
{
    (void)state;
    fm_place place;
    int cpus[2], n = usable_cpus(cpus);
    assert_int_equal(fm_places(&place, 1, FM_PIN_CORE, NULL), n);
    int last = cpus[n > 1];
    assert_int_equal(t_exit_code(t_in_child(ask_inside_one_cpu, &last)), 0);
}

static void *ask_in_a_restricted_thread(void *arg)
{
    ask_inside_one_cpu(arg);
    return NULL;
}

static void restrict_a_thread_only(void *arg)
{
    pthread_t thread;
    fm_place place;
    if (pthread_create(&thread, NULL, ask_in_a_restricted_thread, arg) != 0 ||
        pthread_join(thread, NULL) != 0)
        _exit(5);
    if (fm_places(&place, 1, FM_PIN_CORE, NULL) < 2)
        _exit(6);
}

static void test_places_are_those_of_the_calling_thread(void **state)
{
    (void)state;
    int cpus[2];
    if (usable_cpus(cpus) < 2)
        t_skip("a second processor");
    assert_int_equal(t_exit_code(t_in_child(restrict_a_thread_only, &cpus[1])), 0);
}

static void *count_units(void *arg)
{
    fm_place place;
    *(int *)arg = fm_places(&place, 1, FM_PIN_CORE, NULL);
    return NULL;
}

static void test_places_asked_by_threads_at_once_agree(void **state)
{
    (void)state;
    pthread_t threads[N_THREADS];
    int n_units[N_THREADS];
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_units, &n_units[i]), 0);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    int cpus[2], n = usable_cpus(cpus);
    for (int i = 0; i < N_THREADS; i++)
        assert_int_equal(n_units[i], n);
}

/* ---- binding --------------------------------------------------------------------------------- */

static void bind_to_each_place(void *arg)
{
    (void)arg;
    fm_place places[8];
    if (fm_places(places, 8, FM_PIN_CORE, NULL) < 1)
        _exit(2);
    for (int rank = 0; rank < 8; rank++)
        if (fmi_sys_topo_bind(places[rank].cpu) != 0 || fmi_sys_current_cpu() != places[rank].cpu)
            _exit(3);
}

static void test_topo_bind_runs_the_caller_where_it_was_bound(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(bind_to_each_place, NULL)), 0);
}

static void bind_where_nothing_is(void *arg)
{
    (void)arg;
    cpu_set_t before, after;
    CPU_ZERO(&before);
    CPU_ZERO(&after);
    sched_getaffinity(0, sizeof before, &before);
    if (fmi_sys_topo_bind(-1) != -EINVAL || fmi_sys_topo_bind(1000000) >= 0)
        _exit(2);
    if (strstr(fm_error_detail(), "1000000") == NULL)
        _exit(3);
    sched_getaffinity(0, sizeof after, &after);
    if (!CPU_EQUAL(&before, &after))
        _exit(4);
}

static void test_topo_bind_to_a_missing_unit_fails_and_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(bind_where_nothing_is, NULL)), 0);
}

/* Not yet loaded in the child only if this test runs alone, as ctest runs it; harmless otherwise. */
static void ask_under_another_topology(void *arg)
{
    (void)arg;
    cpu_set_t mask;
    fm_place places[8];
    setenv("HWLOC_SYNTHETIC", "pack:4 core:4 pu:2", 1);
    sched_getaffinity(0, sizeof mask, &mask);
    if (fm_places(places, 8, FM_PIN_CORE, NULL) < 1)
        _exit(2);
    for (int rank = 0; rank < 8; rank++)
        if (!CPU_ISSET((size_t)places[rank].cpu, &mask) ||
            fmi_sys_topo_bind(places[rank].cpu) != 0 || fmi_sys_current_cpu() != places[rank].cpu)
            _exit(3);
}

static void test_places_under_a_foreign_hwloc_topology_stay_usable(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(ask_under_another_topology, NULL)), 0);
}

T_MAIN(T_TEST(test_places_core_pin_uses_every_physical_core_before_any_sibling),
       T_TEST(test_places_without_a_pin_are_those_of_the_core_pin),
       T_TEST(test_places_compact_pin_fills_a_core_before_the_next),
       T_TEST(test_places_spread_pin_takes_packages_in_turn_and_siblings_last),
       T_TEST(test_places_spread_pin_takes_numa_nodes_in_turn),
       T_TEST(test_places_spread_pin_takes_packages_then_the_numa_nodes_inside_them),
       T_TEST(test_places_spread_pin_takes_numa_nodes_in_turn_when_packages_share_one),
       T_TEST(test_places_core_pin_keeps_topology_order_over_numa_nodes),
       T_TEST(test_places_none_pin_leaves_workers_unpinned),
       T_TEST(test_places_on_one_unit_put_all_workers_there),
       T_TEST(test_places_for_more_workers_than_units_go_round_again),
       T_TEST(test_places_for_fewer_workers_are_the_first_of_the_full_order),
       T_TEST(test_places_of_every_pin_hold_each_unit_once),
       T_TEST(test_places_on_cores_of_three_units_take_them_in_three_rounds),
       T_TEST(test_places_follow_cores_and_not_the_kernels_numbers),
       T_TEST(test_places_on_a_machine_without_known_cores_take_each_unit_as_one),
       T_TEST(test_places_when_only_second_siblings_are_free_use_all_cores_first),
       T_TEST(test_places_spread_over_packages_of_unequal_size_fill_the_smaller_first),
       T_TEST(test_places_of_a_bad_description_are_refused_with_an_example),
       T_TEST(test_places_of_an_unpinned_pool_still_refuse_a_bad_description),
       T_TEST(test_places_of_a_description_beyond_reason_are_refused_at_once),
       T_TEST(test_places_of_a_description_with_attributes_count_only_its_units),
       T_TEST(test_places_with_bad_arguments_are_refused),
       T_TEST(test_places_on_this_machine_lie_inside_the_affinity_mask),
       T_TEST(test_places_inside_a_mask_of_one_unit_are_all_that_unit),
       T_TEST(test_places_follow_a_mask_that_changes_after_the_first_call),
       T_TEST(test_places_are_those_of_the_calling_thread),
       T_TEST(test_places_asked_by_threads_at_once_agree),
       T_TEST(test_topo_bind_runs_the_caller_where_it_was_bound),
       T_TEST(test_topo_bind_to_a_missing_unit_fails_and_changes_nothing),
       T_TEST(test_places_under_a_foreign_hwloc_topology_stay_usable))
