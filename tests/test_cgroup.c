/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* Control groups, on fabricated trees: version 1, version 2, both at once, containers, and damage. */
#include "t.h"

#include "cgroup.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { TREE_PATH_BYTES = 4096, MIB = 1 << 20 };

/* As a plain Debian writes them; names that begin alike are there on purpose. */
#define V1_MOUNTS                                                                                  \
    "27 1 254:0 / / rw - ext4 /dev/vda rw\n"                                                       \
    "32 31 0:29 / /sys/fs/cgroup/cpuset rw,relatime shared:9 - cgroup cgroup rw,cpuset\n"          \
    "33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime shared:10 - cgroup cgroup rw,cpu,cpuacct\n"       \
    "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:11 - cgroup cgroup rw,memory\n"
#define V2_MOUNT                                                                                   \
    "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

#define CPU     "sys/fs/cgroup/cpu"
#define MEMORY  "sys/fs/cgroup/memory"
#define UNIFIED "sys/fs/cgroup"

/* Writes DIR/NAME of the fabricated tree; makes the directories on the way. */
static void put(const char *dir, const char *name, const char *text)
{
    char path[TREE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s/%s", t_temp_dir(), dir, name);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0700);
        *slash = '/';
    }
    t_write_file(path, text, strlen(text));
}

static void put_process(const char *membership, const char *mounts)
{
    put("proc/self", "cgroup", membership);
    put("proc/self", "mountinfo", mounts);
}

static void put_quota_v1(const char *dir, const char *quota_us, const char *period_us)
{
    put(dir, "cpu.cfs_quota_us", quota_us);
    put(dir, "cpu.cfs_period_us", period_us);
}

static void put_memory_v1(const char *dir, const char *limit, const char *usage, const char *cache)
{
    char stat[256];
    snprintf(stat, sizeof stat, "cache 7\ninactive_file 1\ntotal_cache 9\ntotal_inactive_file %s\n",
             cache);
    put(dir, "memory.limit_in_bytes", limit);
    put(dir, "memory.usage_in_bytes", usage);
    put(dir, "memory.stat", stat);
}

static void put_memory_v2(const char *dir, const char *limit, const char *usage, const char *cache)
{
    char stat[256];
    snprintf(stat, sizeof stat, "anon 5\nfile 6\nactive_file 3\ninactive_file %s\nslab 2\n", cache);
    put(dir, "memory.max", limit);
    put(dir, "memory.current", usage);
    put(dir, "memory.stat", stat);
}

static int quota(void)
{
    struct fmi_cgroup c;
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    return fmi_sys_cgroup_cpu_quota_of(&c);
}

static int64_t memory_left(void)
{
    struct fmi_cgroup c;
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    return fmi_sys_cgroup_memory_left_of(&c);
}

static uint64_t oom_kills_of(const struct fmi_cgroup *c)
{
    struct fmi_oom_counter counter;
    fmi_sys_oom_counter_open_of(&counter, c);
    uint64_t kills = fmi_sys_oom_counter_read(&counter);
    fmi_sys_oom_counter_close(&counter);
    return kills;
}

static uint64_t oom_kills(void)
{
    struct fmi_cgroup c;
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    return oom_kills_of(&c);
}

/* The directory that was found, relative to the tree; "" for none. */
static const char *relative(const struct fmi_cgroup_dir *dir)
{
    return dir->path[0] == '\0' ? "" : dir->path + strlen(t_temp_dir());
}

/* ---- CPU quota ------------------------------------------------------------------------------- */

static void test_cgroup_v1_quota_is_rounded_up_to_whole_cores(void **state)
{
    (void)state;
    put_process("4:cpu,cpuacct:/job\n", V1_MOUNTS);
    put_quota_v1(CPU "/job", "150000\n", "100000\n");
    assert_int_equal(quota(), 2);
    put_quota_v1(CPU "/job", "200000\n", "100000\n");
    assert_int_equal(quota(), 2);
    put_quota_v1(CPU "/job", "200001\n", "100000\n");
    assert_int_equal(quota(), 3);
}

static void test_cgroup_quota_below_one_core_is_one(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put(UNIFIED "/job", "cpu.max", "1000 100000\n");
    assert_int_equal(quota(), 1);
}

static void test_cgroup_v1_quota_of_a_group_above_binds(void **state)
{
    (void)state;
    put_process("4:cpu,cpuacct:/a/b/c\n", V1_MOUNTS);
    put_quota_v1(CPU "/a/b/c", "-1\n", "100000\n");
    put_quota_v1(CPU "/a/b", "800000\n", "100000\n");
    put_quota_v1(CPU "/a", "300000\n", "100000\n");
    put_quota_v1(CPU, "-1\n", "100000\n");
    assert_int_equal(quota(), 3);
}

static void test_cgroup_v1_without_a_limit_gives_no_quota(void **state)
{
    (void)state;
    put_process("4:cpu,cpuacct:/\n", V1_MOUNTS);
    put_quota_v1(CPU, "-1\n", "100000\n");
    assert_int_equal(quota(), 0);
}

static void test_cgroup_v2_quota_is_the_smallest_on_the_way_up(void **state)
{
    (void)state;
    put_process("0::/a/b/c\n", V2_MOUNT);
    put(UNIFIED "/a/b/c", "cpu.max", "600000 100000\n");
    put(UNIFIED "/a/b", "cpu.max", "max 100000\n");
    put(UNIFIED "/a", "cpu.max", "250000 50000\n");
    assert_int_equal(quota(), 5);
}

static void test_cgroup_v2_max_gives_no_quota(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put(UNIFIED "/job", "cpu.max", "max 100000\n");
    assert_int_equal(quota(), 0);
}

static void test_cgroup_quota_beyond_all_machines_does_not_overflow(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put(UNIFIED "/job", "cpu.max", "9223372036854775807 1\n");
    assert_int_equal(quota(), INT32_MAX);
}

static void test_cgroup_quotas_of_both_versions_give_the_smaller(void **state)
{
    (void)state;
    put_process("4:cpu,cpuacct:/job\n0::/job\n",
                V1_MOUNTS "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put_quota_v1(CPU "/job", "400000\n", "100000\n");
    put("sys/fs/cgroup/unified/job", "cpu.max", "300000 100000\n");
    assert_int_equal(quota(), 3);
    put_quota_v1(CPU "/job", "200000\n", "100000\n");
    assert_int_equal(quota(), 2);
}

static void test_cgroup_cpuset_is_not_taken_for_cpu(void **state)
{
    (void)state;
    put_process("3:cpuset:/pinned\n4:cpu,cpuacct:/job\n", V1_MOUNTS);
    put_quota_v1("sys/fs/cgroup/cpuset/pinned", "100000\n", "100000\n");
    put_quota_v1(CPU "/job", "700000\n", "100000\n");
    assert_int_equal(quota(), 7);
}

/* ---- finding the group ------------------------------------------------------------------------ */

/* Version 1 controllers in different groups beside a version 2 hierarchy, as systemd's hybrid mode has it. */
static void test_cgroup_on_a_hybrid_host_is_found_in_each_hierarchy(void **state)
{
    (void)state;
    struct fmi_cgroup c;
    put_process(
        "9:name=systemd:/\n4:memory:/api/3a14\n3:cpuset:/\n2:cpuacct:/\n1:cpu:/\n0::/user\n",
        "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
        "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
        "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    assert_string_equal(relative(&c.cpu), "/sys/fs/cgroup/cpu");
    assert_string_equal(relative(&c.memory), "/sys/fs/cgroup/memory/api/3a14");
    assert_string_equal(relative(&c.unified), "/sys/fs/cgroup/unified/user");
}

static void test_cgroup_in_a_container_is_found_at_the_top_of_its_mount(void **state)
{
    (void)state;
    put_process(
        "4:cpu,cpuacct:/docker/4f1c\n",
        "33 31 0:30 /docker/4f1c /sys/fs/cgroup/cpu ro master:10 - cgroup cgroup rw,cpu,cpuacct\n");
    put_quota_v1(CPU, "200000\n", "100000\n");
    put_quota_v1(CPU "/docker/4f1c", "100000\n", "100000\n"); /* another container's, not ours */
    assert_int_equal(quota(), 2);
}

static void test_cgroup_below_the_top_of_a_containers_mount_is_found(void **state)
{
    (void)state;
    struct fmi_cgroup c;
    put_process("4:cpu,cpuacct:/docker/4f1c/inner\n",
                "33 31 0:30 /docker/4f1c /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n");
    put_quota_v1(CPU "/inner", "300000\n", "100000\n");
    put_quota_v1(CPU, "800000\n", "100000\n");
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    assert_string_equal(relative(&c.cpu), "/sys/fs/cgroup/cpu/inner");
    assert_int_equal(quota(), 3);
}

static void test_cgroup_with_a_name_that_begins_like_the_mounts_is_not_below_it(void **state)
{
    (void)state;
    struct fmi_cgroup c;
    put_process("4:cpu:/docker/abc\n",
                "33 31 0:30 /docker/ab /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n");
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    assert_string_equal(relative(&c.cpu), "/sys/fs/cgroup/cpu");
}

/* After entering a cgroup name space from outside, the kernel shows the group by "..". */
static void test_cgroup_outside_its_name_space_does_not_lead_out_of_the_mount(void **state)
{
    (void)state;
    struct fmi_cgroup c;
    put_process("0::/../other\n", V2_MOUNT);
    put("sys/fs/other", "cpu.max", "100000 100000\n");
    put(UNIFIED, "cpu.max", "400000 100000\n");
    fmi_sys_cgroup_find(t_temp_dir(), &c);
    assert_string_equal(relative(&c.unified), "/sys/fs/cgroup");
    assert_int_equal(quota(), 4);
}

static void test_cgroup_walk_ends_at_the_mount_point(void **state)
{
    (void)state;
    put_process("0::/a\n", V2_MOUNT);
    put(UNIFIED, "cpu.max", "500000 100000\n");
    put("sys/fs", "cpu.max", "100000 100000\n");
    put("sys", "cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 5);
}

static void test_cgroup_whose_directory_is_gone_is_bound_by_the_groups_above(void **state)
{
    (void)state;
    put_process("0::/a/b (deleted)\n", V2_MOUNT);
    put(UNIFIED "/a", "cpu.max", "200000 100000\n");
    assert_int_equal(quota(), 2);
}

static void test_cgroup_mounted_twice_is_seen_where_more_of_the_way_up_shows(void **state)
{
    (void)state;
    static const char *const mounts[] = {
        "31 23 0:28 /a/b /mnt/part rw - cgroup2 cgroup2 rw\n" V2_MOUNT,
        V2_MOUNT "31 23 0:28 /a/b /mnt/part rw - cgroup2 cgroup2 rw\n",
        "31 23 0:28 /elsewhere /mnt/part rw - cgroup2 cgroup2 rw\n" V2_MOUNT,
    };
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
        struct fmi_cgroup c;
        put_process("0::/a/b\n", mounts[i]);
        fmi_sys_cgroup_find(t_temp_dir(), &c);
        assert_string_equal(relative(&c.unified), "/sys/fs/cgroup/a/b");
    }
}

static void test_cgroup_mounted_on_a_path_with_blanks_is_found(void **state)
{
    (void)state;
    put_process("0::/my job\n", "31 23 0:28 / /mnt/c\\040group\\134x rw - cgroup2 cgroup2 rw\n");
    put("mnt/c group\\x/my job", "cpu.max", "300000 100000\n");
    assert_int_equal(quota(), 3);
}

static void test_cgroup_mount_with_many_optional_fields_is_found(void **state)
{
    (void)state;
    put_process("0::/job\n",
                "31 23 0:28 / /sys/fs/cgroup rw shared:1 master:2 propagate_from:3 unbindable "
                "- cgroup2 cgroup2 rw\n");
    put(UNIFIED "/job", "cpu.max", "300000 100000\n");
    assert_int_equal(quota(), 3);
}

static void test_cgroup_that_is_mounted_nowhere_limits_nothing(void **state)
{
    (void)state;
    put_process("4:cpu:/job\n3:memory:/job\n0::/job\n", "27 1 254:0 / / rw - ext4 /dev/vda rw\n");
    assert_int_equal(quota(), 0);
    assert_true(memory_left() == INT64_MAX);
    assert_true(oom_kills() == 0);
}

static void test_cgroup_without_proc_limits_nothing(void **state)
{
    (void)state;
    assert_int_equal(quota(), 0);
    assert_true(memory_left() == INT64_MAX);
    assert_true(oom_kills() == 0);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void test_cgroup_v1_memory_left_counts_cache_as_free(void **state)
{
    (void)state;
    put_process("4:memory:/job\n", V1_MOUNTS);
    put_memory_v1(MEMORY "/job", "67108864\n", "50331648\n", "16777216");
    assert_int_equal(memory_left(), 32 * MIB);
}

static void test_cgroup_v2_memory_left_counts_cache_as_free(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put_memory_v2(UNIFIED "/job", "67108864\n", "50331648\n", "8388608");
    assert_int_equal(memory_left(), 24 * MIB);
}

static void test_cgroup_memory_left_is_the_least_on_the_way_up(void **state)
{
    (void)state;
    put_process("0::/a/b\n", V2_MOUNT);
    put_memory_v2(UNIFIED "/a/b", "67108864\n", "0\n", "0");
    put_memory_v2(UNIFIED "/a", "134217728\n", "125829120\n", "0");
    assert_int_equal(memory_left(), 8 * MIB);
}

static void test_cgroup_v1_memory_of_its_largest_number_is_no_limit(void **state)
{
    (void)state;
    put_process("4:memory:/job\n", V1_MOUNTS);
    put_memory_v1(MEMORY "/job", "9223372036854771712\n", "50331648\n", "0");
    put_memory_v1(MEMORY, "9223372036854771712\n", "50331648\n", "0");
    assert_true(memory_left() == INT64_MAX);
}

static void test_cgroup_v2_memory_max_is_no_limit(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put_memory_v2(UNIFIED "/job", "max\n", "50331648\n", "0");
    assert_true(memory_left() == INT64_MAX);
}

static void test_cgroup_memory_used_beyond_its_limit_leaves_nothing(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put_memory_v2(UNIFIED "/job", "1048576\n", "9000000\n", "4096");
    assert_int_equal(memory_left(), 0);
}

static void test_cgroup_memory_left_never_exceeds_the_limit(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put_memory_v2(UNIFIED "/job", "1048576\n", "4096\n", "8192");
    assert_int_equal(memory_left(), MIB);
}

static void test_cgroup_memory_without_statistics_counts_cache_as_used(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put(UNIFIED "/job", "memory.max", "67108864\n");
    put(UNIFIED "/job", "memory.current", "50331648\n");
    assert_int_equal(memory_left(), 16 * MIB);
}

/* ---- killed for want of memory ---------------------------------------------------------------- */

static void test_cgroup_v1_oom_kills_are_counted(void **state)
{
    (void)state;
    put_process("4:memory:/job\n", V1_MOUNTS);
    put(MEMORY "/job", "memory.oom_control", "oom_kill_disable 9\nunder_oom 8\noom_kill 3\n");
    assert_true(oom_kills() == 3);
}

static void test_cgroup_v2_oom_kills_are_counted(void **state)
{
    (void)state;
    put_process("0::/job\n", V2_MOUNT);
    put(UNIFIED "/job", "memory.events",
        "low 1\nhigh 2\nmax 3\noom 4\noom_kill 5\noom_group_kill 6\n");
    assert_true(oom_kills() == 5);
}

static void test_cgroup_v2_oom_kills_are_counted_above_a_group_without_a_controller(void **state)
{
    (void)state;
    put_process("0::/a/b\n", V2_MOUNT);
    put(UNIFIED "/a", "memory.events", "oom 1\noom_kill 2\n");
    put(UNIFIED "/a/b", "cpu.max", "max 100000\n");
    assert_true(oom_kills() == 2);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void test_cgroup_files_of_garbage_limit_nothing(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "",       "\n",         "x",          "12x\n",      "- 5\n", "99999999999999999999999\n",
        "100000", "100000 0\n", "0 100000\n", "-5 100000\n"};
    put_process("4:cpu,cpuacct:/job\n3:memory:/job\n0::/job\n",
                V1_MOUNTS "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        put_quota_v1(CPU "/job", garbage[i], "0\n");
        put("sys/fs/cgroup/unified/job", "cpu.max", garbage[i]);
        put("sys/fs/cgroup/unified/job", "memory.max", "-1\n");
        put("sys/fs/cgroup/unified/job", "memory.events", garbage[i]);
        put_memory_v1(MEMORY "/job", "67108864\n", "what\n", garbage[i]);
        assert_int_equal(quota(), 0);
        assert_true(memory_left() == INT64_MAX);
        assert_true(oom_kills() == 0);
    }
}

/* Half a number is none: "1G" is not a limit of one byte. */
static void test_cgroup_numbers_with_a_tail_or_too_many_digits_limit_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"1x\n", "1G\n", "1,000\n", "100000x\n",
                                      "99999999999999999999999\n"};
    put_process("4:cpu,cpuacct:/job\n3:memory:/job\n", V1_MOUNTS);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        put_quota_v1(CPU "/job", bad[i], "100000\n");
        put_memory_v1(MEMORY "/job", bad[i], "1\n", "0");
        assert_int_equal(quota(), 0);
        assert_true(memory_left() == INT64_MAX);
    }
}

static void test_cgroup_process_files_of_garbage_limit_nothing(void **state)
{
    (void)state;
    static const char *const garbage[] = {"",
                                          "\n\n\n",
                                          ":",
                                          "::",
                                          "0:",
                                          "0::",
                                          "- - - -",
                                          "0::relative\n",
                                          "a b c d e f g - cgroup2\n",
                                          "1 2 3 / /x rw - cgroup2 cgroup2",
                                          "- cgroup2 cgroup2 rw\n"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        for (size_t k = 0; k < sizeof garbage / sizeof garbage[0]; k++) {
            put_process(garbage[i], garbage[k]);
            assert_int_equal(quota(), 0);
            assert_true(memory_left() == INT64_MAX);
        }
}

static void test_cgroup_with_a_path_too_long_for_the_system_limits_nothing(void **state)
{
    (void)state;
    static char membership[3 * FMI_CGROUP_PATH_BYTES];
    memset(membership, 'x', sizeof membership - 1);
    memcpy(membership, "0::/", 4);
    put_process(membership, V2_MOUNT);
    put(UNIFIED, "cpu.max", "100000 100000\n");
    assert_int_equal(quota(), 0);
    membership[FMI_CGROUP_PATH_BYTES] = '\0'; /* fits alone, but not behind the mount point */
    put_process(membership, V2_MOUNT);
    assert_int_equal(quota(), 0);
}

/* ---- this machine ---------------------------------------------------------------------------- */

static void test_cgroup_of_this_process_is_answered_again_from_memory(void **state)
{
    (void)state;
    struct fmi_cgroup c;
    fmi_sys_cgroup_find("", &c);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fmi_sys_cgroup_cpu_quota(), fmi_sys_cgroup_cpu_quota_of(&c));
        struct fmi_oom_counter mine;
        fmi_sys_oom_counter_open(&mine);
        assert_true(fmi_sys_oom_counter_read(&mine) >= oom_kills_of(&c));
        fmi_sys_oom_counter_close(&mine);
        assert_true(fmi_sys_cgroup_memory_left() > 0);
    }
}

T_MAIN(T_TEST(test_cgroup_v1_quota_is_rounded_up_to_whole_cores),
       T_TEST(test_cgroup_quota_below_one_core_is_one),
       T_TEST(test_cgroup_v1_quota_of_a_group_above_binds),
       T_TEST(test_cgroup_v1_without_a_limit_gives_no_quota),
       T_TEST(test_cgroup_v2_quota_is_the_smallest_on_the_way_up),
       T_TEST(test_cgroup_v2_max_gives_no_quota),
       T_TEST(test_cgroup_quota_beyond_all_machines_does_not_overflow),
       T_TEST(test_cgroup_quotas_of_both_versions_give_the_smaller),
       T_TEST(test_cgroup_cpuset_is_not_taken_for_cpu),
       T_TEST(test_cgroup_on_a_hybrid_host_is_found_in_each_hierarchy),
       T_TEST(test_cgroup_in_a_container_is_found_at_the_top_of_its_mount),
       T_TEST(test_cgroup_below_the_top_of_a_containers_mount_is_found),
       T_TEST(test_cgroup_with_a_name_that_begins_like_the_mounts_is_not_below_it),
       T_TEST(test_cgroup_outside_its_name_space_does_not_lead_out_of_the_mount),
       T_TEST(test_cgroup_walk_ends_at_the_mount_point),
       T_TEST(test_cgroup_whose_directory_is_gone_is_bound_by_the_groups_above),
       T_TEST(test_cgroup_mounted_twice_is_seen_where_more_of_the_way_up_shows),
       T_TEST(test_cgroup_mounted_on_a_path_with_blanks_is_found),
       T_TEST(test_cgroup_mount_with_many_optional_fields_is_found),
       T_TEST(test_cgroup_that_is_mounted_nowhere_limits_nothing),
       T_TEST(test_cgroup_without_proc_limits_nothing),
       T_TEST(test_cgroup_v1_memory_left_counts_cache_as_free),
       T_TEST(test_cgroup_v2_memory_left_counts_cache_as_free),
       T_TEST(test_cgroup_memory_left_is_the_least_on_the_way_up),
       T_TEST(test_cgroup_v1_memory_of_its_largest_number_is_no_limit),
       T_TEST(test_cgroup_v2_memory_max_is_no_limit),
       T_TEST(test_cgroup_memory_used_beyond_its_limit_leaves_nothing),
       T_TEST(test_cgroup_memory_left_never_exceeds_the_limit),
       T_TEST(test_cgroup_memory_without_statistics_counts_cache_as_used),
       T_TEST(test_cgroup_v1_oom_kills_are_counted), T_TEST(test_cgroup_v2_oom_kills_are_counted),
       T_TEST(test_cgroup_v2_oom_kills_are_counted_above_a_group_without_a_controller),
       T_TEST(test_cgroup_files_of_garbage_limit_nothing),
       T_TEST(test_cgroup_numbers_with_a_tail_or_too_many_digits_limit_nothing),
       T_TEST(test_cgroup_process_files_of_garbage_limit_nothing),
       T_TEST(test_cgroup_with_a_path_too_long_for_the_system_limits_nothing),
       T_TEST(test_cgroup_of_this_process_is_answered_again_from_memory))
