/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* How many cores this process may use, and who decides. */
#include "t.h"

#include <errno.h>
#include <forkmap/machine.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

static const char *const variables[] = {
    "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE", "PBS_NCPUS", "PBS_NUM_PPN", "NCPUS", "NSLOTS",
    "LSB_DJOB_NUMPROC",    "FORKMAP_WORKERS"};
enum { N_VARIABLES = sizeof variables / sizeof variables[0] };

/* Whatever batch system runs the tests must have no say in them. */
static void clear_environment(void)
{
    for (int i = 0; i < N_VARIABLES; i++)
        unsetenv(variables[i]);
}

/* The budget with one variable set. Only this process sees it, and the next test clears it. */
static int budget_with(fm_budget *b, const char *name, const char *value)
{
    clear_environment();
    setenv(name, value, 1);
    return fm_cpu_budget(b);
}

static int first_usable_cpu(void)
{
    cpu_set_t mask;
    int cpu = 0;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return 0;
    while (!CPU_ISSET((size_t)cpu, &mask))
        cpu++;
    return cpu;
}

static void restrict_to_one_cpu(void)
{
    cpu_set_t mask;
    int cpu = first_usable_cpu();
    CPU_ZERO(&mask);
    CPU_SET((size_t)cpu, &mask);
    if (sched_setaffinity(0, sizeof mask, &mask) != 0)
        _exit(9);
}

/* Leaves by 0 if mask and count give `cores` on the machine that hwloc is told of. */
static void expect_cores_of(const char *machine, int cores)
{
    fm_budget b;
    clear_environment();
    setenv("HWLOC_SYNTHETIC", machine, 1);
    if (fm_cpu_budget(&b) < 1 || b.by_source[FM_BUDGET_AFFINITY] != cores)
        _exit(1);
    _exit(0);
}

static void count_when_all_are_siblings(void *arg)
{
    (void)arg;
    expect_cores_of("pack:1 core:1 pu:1024", 1);
}

static void count_when_all_are_cores(void *arg)
{
    (void)arg;
    cpu_set_t mask;
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
        expect_cores_of("pack:1 core:1024 pu:1", CPU_COUNT(&mask));
    _exit(2);
}

/* The first test of the program: once this process has read the topology, its children keep it. */
static void test_budget_counts_cores_and_not_their_siblings(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(count_when_all_are_siblings, NULL)), 0);
    assert_int_equal(t_exit_code(t_in_child(count_when_all_are_cores, NULL)), 0);
}

static void test_cpu_count_is_at_least_one(void **state)
{
    (void)state;
    assert_true(fm_cpu_count() >= 1);
    assert_true(fm_cpu_count() <= sysconf(_SC_NPROCESSORS_CONF));
}

static void count_inside_one_cpu(void *arg)
{
    int before = *(int *)arg;
    restrict_to_one_cpu();
    _exit(fm_cpu_count() == before ? 0 : 1);
}

static void test_cpu_count_does_not_depend_on_the_affinity_mask(void **state)
{
    (void)state;
    int before = fm_cpu_count();
    assert_int_equal(t_exit_code(t_in_child(count_inside_one_cpu, &before)), 0);
}

static void test_budget_without_variables_is_what_mask_and_quota_leave(void **state)
{
    (void)state;
    fm_budget b;
    clear_environment();
    int cores = fm_cpu_budget(&b);
    int affinity = b.by_source[FM_BUDGET_AFFINITY], quota = b.by_source[FM_BUDGET_CGROUP];
    assert_in_range(affinity, 1, fm_cpu_count());
    assert_int_equal(cores, quota > 0 && quota < affinity ? quota : affinity);
    assert_int_equal(b.cores, cores);
    assert_int_equal(b.winner,
                     quota > 0 && quota < affinity ? FM_BUDGET_CGROUP : FM_BUDGET_AFFINITY);
}

static void test_budget_without_variables_hears_nothing_from_batch_systems(void **state)
{
    (void)state;
    fm_budget b;
    memset(&b, 0x55, sizeof b);
    clear_environment();
    assert_true(fm_cpu_budget(&b) >= 1);
    for (int source = FM_BUDGET_SLURM; source <= FM_BUDGET_FORKMAP; source++)
        assert_int_equal(b.by_source[source], 0);
}

static void budget_inside_one_cpu(void *arg)
{
    (void)arg;
    fm_budget b;
    clear_environment();
    restrict_to_one_cpu();
    _exit(fm_cpu_budget(&b) == 1 && b.cores == 1 && b.winner == FM_BUDGET_AFFINITY ? 0 : 1);
}

static void test_budget_inside_a_mask_of_one_unit_is_one(void **state)
{
    (void)state;
    assert_int_equal(t_exit_code(t_in_child(budget_inside_one_cpu, NULL)), 0);
}

/* The parent asked before: neither the mask nor its answer may be remembered. */
static void test_budget_follows_a_mask_that_shrinks_later(void **state)
{
    (void)state;
    fm_budget b;
    clear_environment();
    assert_true(fm_cpu_budget(&b) >= 1);
    assert_int_equal(t_exit_code(t_in_child(budget_inside_one_cpu, NULL)), 0);
}

static void test_budget_takes_the_variable_of_each_batch_system(void **state)
{
    (void)state;
    static const int sources[N_VARIABLES] = {FM_BUDGET_SLURM, FM_BUDGET_SLURM,  FM_BUDGET_PBS,
                                             FM_BUDGET_PBS,   FM_BUDGET_PBS,    FM_BUDGET_SGE,
                                             FM_BUDGET_LSF,   FM_BUDGET_FORKMAP};
    for (int i = 0; i < N_VARIABLES; i++) {
        fm_budget b;
        assert_int_equal(budget_with(&b, variables[i], "1"), 1);
        for (int source = FM_BUDGET_SLURM; source <= FM_BUDGET_FORKMAP; source++)
            assert_int_equal(b.by_source[source], source == sources[i]);
    }
    clear_environment();
}

static void test_budget_goes_to_the_batch_system_that_gives_least(void **state)
{
    (void)state;
    fm_budget b;
    clear_environment();
    if (fm_cpu_budget(&b) < 2)
        t_skip("a second core");
    assert_int_equal(budget_with(&b, "NSLOTS", "1"), 1);
    assert_int_equal(b.winner, FM_BUDGET_SGE);
    setenv("LSB_DJOB_NUMPROC", "2", 1);
    assert_int_equal(fm_cpu_budget(&b), 1);
    assert_int_equal(b.winner, FM_BUDGET_SGE);
    assert_int_equal(b.by_source[FM_BUDGET_LSF], 2);
    clear_environment();
}

static void test_budget_is_not_raised_by_a_batch_system(void **state)
{
    (void)state;
    fm_budget without, with;
    clear_environment();
    int cores = fm_cpu_budget(&without);
    assert_int_equal(budget_with(&with, "SLURM_CPUS_ON_NODE", "1023"), cores);
    assert_int_equal(with.winner, without.winner);
    assert_int_equal(with.by_source[FM_BUDGET_SLURM], 1023);
    clear_environment();
}

static void test_budget_prefers_slurms_count_per_task_to_that_of_the_node(void **state)
{
    (void)state;
    fm_budget b;
    assert_true(budget_with(&b, "SLURM_CPUS_ON_NODE", "4") >= 1);
    assert_int_equal(b.by_source[FM_BUDGET_SLURM], 4);
    setenv("SLURM_CPUS_PER_TASK", "64", 1);
    assert_true(fm_cpu_budget(&b) >= 1);
    assert_int_equal(b.by_source[FM_BUDGET_SLURM], 64);
    clear_environment();
}

static void test_budget_prefers_pbs_variables_in_their_order(void **state)
{
    (void)state;
    fm_budget b;
    assert_true(budget_with(&b, "NCPUS", "3") >= 1);
    assert_int_equal(b.by_source[FM_BUDGET_PBS], 3);
    setenv("PBS_NUM_PPN", "5", 1);
    assert_true(fm_cpu_budget(&b) >= 1);
    assert_int_equal(b.by_source[FM_BUDGET_PBS], 5);
    setenv("PBS_NCPUS", "7", 1);
    assert_true(fm_cpu_budget(&b) >= 1);
    assert_int_equal(b.by_source[FM_BUDGET_PBS], 7);
    clear_environment();
}

static void test_budget_of_forkmap_workers_wins_upwards_and_downwards(void **state)
{
    (void)state;
    fm_budget b;
    assert_int_equal(budget_with(&b, "FORKMAP_WORKERS", "1000"), 1000);
    assert_int_equal(b.winner, FM_BUDGET_FORKMAP);
    assert_int_equal(b.cores, 1000);
    assert_true(b.by_source[FM_BUDGET_AFFINITY] >= 1);
    setenv("NSLOTS", "1", 1);
    assert_int_equal(fm_cpu_budget(&b), 1000);
    setenv("FORKMAP_WORKERS", "1", 1);
    setenv("NSLOTS", "2", 1);
    assert_int_equal(fm_cpu_budget(&b), 1);
    assert_int_equal(b.winner, FM_BUDGET_FORKMAP);
    clear_environment();
}

static void test_budget_of_forkmap_workers_may_be_1_to_1023(void **state)
{
    (void)state;
    fm_budget b;
    assert_int_equal(budget_with(&b, "FORKMAP_WORKERS", "1"), 1);
    assert_int_equal(budget_with(&b, "FORKMAP_WORKERS", "1023"), 1023);
    assert_int_equal(budget_with(&b, "FORKMAP_WORKERS", "1024"), -EINVAL);
    assert_int_equal(budget_with(&b, "FORKMAP_WORKERS", "0"), -EINVAL);
    clear_environment();
}

static void test_budget_from_a_variable_that_is_no_number_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = {"0",    "-1",  "1024", "1000000", "99999999999999999999999",
                                      "four", "4x",  "4 ",   " 4",      "+4",
                                      "",     "4.0", "0x4",  "4(x2)",   "2,2"};
    for (int i = 0; i < N_VARIABLES; i++)
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            fm_budget b;
            char quoted[64];
            snprintf(quoted, sizeof quoted, "\"%s\"", bad[k]);
            assert_int_equal(budget_with(&b, variables[i], bad[k]), -EINVAL);
            assert_non_null(strstr(fm_error_detail(), variables[i]));
            assert_non_null(strstr(fm_error_detail(), quoted));
            assert_non_null(strstr(fm_error_detail(), "1 to 1023"));
        }
    clear_environment();
}

/* Falling through to the next one would hide the mistake. */
static void test_budget_does_not_pass_over_a_bad_variable_to_a_good_one(void **state)
{
    (void)state;
    fm_budget b;
    clear_environment();
    setenv("SLURM_CPUS_ON_NODE", "2", 1);
    setenv("SLURM_CPUS_PER_TASK", "two", 1);
    assert_int_equal(fm_cpu_budget(&b), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "SLURM_CPUS_PER_TASK"));
    clear_environment();
}

static void test_budget_from_a_very_long_value_says_only_its_beginning(void **state)
{
    (void)state;
    fm_budget b;
    char value[4096];
    memset(value, '9', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    assert_int_equal(budget_with(&b, "FORKMAP_WORKERS", value), -EINVAL);
    assert_true(strlen(fm_error_detail()) < 200);
    assert_non_null(strstr(fm_error_detail(), "unset it"));
    clear_environment();
}

static void test_budget_without_room_for_the_answer_is_refused(void **state)
{
    (void)state;
    assert_int_equal(fm_cpu_budget(NULL), -EINVAL);
}

static void test_budget_source_names_are_there_for_all_and_differ(void **state)
{
    (void)state;
    for (int a = 1; a <= FM_BUDGET_SOURCES; a++) {
        assert_true(strlen(fm_budget_source_name(a)) > 1);
        for (int b = 1; b < a; b++)
            assert_string_not_equal(fm_budget_source_name(a), fm_budget_source_name(b));
    }
    assert_string_equal(fm_budget_source_name(FM_BUDGET_AFFINITY), "affinity mask");
    assert_string_equal(fm_budget_source_name(0), "?");
    assert_string_equal(fm_budget_source_name(-1), "?");
    assert_string_equal(fm_budget_source_name(FM_BUDGET_SOURCES + 1), "?");
}

static void test_memory_left_is_part_of_what_the_machine_has(void **state)
{
    (void)state;
    struct sysinfo machine;
    assert_int_equal(sysinfo(&machine), 0);
    const int64_t left = fm_memory_left();
    assert_true(left > 0);
    assert_true((uint64_t)left <= (uint64_t)machine.totalram * machine.mem_unit);
}

T_MAIN(T_TEST(test_memory_left_is_part_of_what_the_machine_has),
       T_TEST(test_budget_counts_cores_and_not_their_siblings),
       T_TEST(test_cpu_count_is_at_least_one),
       T_TEST(test_cpu_count_does_not_depend_on_the_affinity_mask),
       T_TEST(test_budget_without_variables_is_what_mask_and_quota_leave),
       T_TEST(test_budget_without_variables_hears_nothing_from_batch_systems),
       T_TEST(test_budget_inside_a_mask_of_one_unit_is_one),
       T_TEST(test_budget_follows_a_mask_that_shrinks_later),
       T_TEST(test_budget_takes_the_variable_of_each_batch_system),
       T_TEST(test_budget_goes_to_the_batch_system_that_gives_least),
       T_TEST(test_budget_is_not_raised_by_a_batch_system),
       T_TEST(test_budget_prefers_slurms_count_per_task_to_that_of_the_node),
       T_TEST(test_budget_prefers_pbs_variables_in_their_order),
       T_TEST(test_budget_of_forkmap_workers_wins_upwards_and_downwards),
       T_TEST(test_budget_of_forkmap_workers_may_be_1_to_1023),
       T_TEST(test_budget_from_a_variable_that_is_no_number_is_refused_by_name),
       T_TEST(test_budget_does_not_pass_over_a_bad_variable_to_a_good_one),
       T_TEST(test_budget_from_a_very_long_value_says_only_its_beginning),
       T_TEST(test_budget_without_room_for_the_answer_is_refused),
       T_TEST(test_budget_source_names_are_there_for_all_and_differ))
