/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 60 */
/* Named segments, as those see them who use them: names, sizes, sharing, rights, full machines. */
#include "t_segment.h"

#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;

enum { KIB = 1024, MIB = 1 << 20 };

static int is_all(const unsigned char *p, size_t bytes, unsigned char value)
{
    return p[0] == value && memcmp(p, p + 1, bytes - 1) == 0;
}

/* Another program altogether: executed, not forked from this one's memory. */
static int run_stranger(const char *verb, const char *name, const char *bytes)
{
    char *argv[] = {(char *)"stranger", (char *)(uintptr_t)verb, (char *)(uintptr_t)name,
                    (char *)(uintptr_t)bytes, NULL};
    pid_t pid;
    assert_int_equal(posix_spawn(&pid, T_STRANGER, NULL, NULL, argv, environ), 0);
    return t_exit_code(t_wait_child(pid));
}

/* ---- creating ---- */

static void test_segment_has_the_bytes_asked_for_all_zero_at_a_page(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 64, 4095, 4096, 4097, 12345, 5 * MIB + 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        fm_shm *s = t_create(t_name("sizes"), sizes[i]);
        assert_int_equal(fm_shm_bytes(s), sizes[i]);
        assert_int_equal((uintptr_t)fm_shm_data(s) % 4096, 0);
        assert_true(is_all(fm_shm_data(s), sizes[i], 0));
        memset(fm_shm_data(s), 0x55, sizes[i]);
        t_end(s);
    }
}

static void test_segment_name_may_have_a_slash_in_front_and_is_told_without(void **state)
{
    (void)state;
    char slashed[80];
    snprintf(slashed, sizeof slashed, "/%s", t_name("psm_4f"));
    fm_shm *s = t_create(slashed, 10);
    assert_string_equal(fm_shm_name(s), slashed + 1);
    assert_int_equal(t_attach(slashed, 0), 0);
    assert_int_equal(t_attach(slashed + 1, 0), 0);
    t_end(s);
    assert_int_equal(t_attach(slashed, 0), -ENOENT);
}

static void test_segment_name_that_is_none_is_refused(void **state)
{
    (void)state;
    char too_long[300];
    memset(too_long, 'x', 256);
    too_long[256] = '\0';
    const char *const names[] = {"",  "/",  "//x", "a/b",  "/a/b",    "x/",
                                 ".", "..", "/..", "a\nb", "\033[1m", too_long};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        fm_shm *s = (fm_shm *)&s;
        assert_int_equal(fm_shm_create(&s, names[i], 10, NULL), -EINVAL);
        assert_null(s);
        assert_int_equal(t_attach(names[i], 0), -EINVAL);
        assert_int_equal(fm_shm_remove(names[i], 0), -EINVAL);
        assert_true(fm_error_detail()[0] != '\0');
    }
    assert_int_equal(t_attach(NULL, 0), -EINVAL);
}

static void test_segment_name_of_255_bytes_or_of_a_hidden_file_is_taken(void **state)
{
    (void)state;
    char name[256];
    int n = snprintf(name, sizeof name, ".%s_\xc3\xa4 ", t_name("long"));
    memset(name + n, 'x', sizeof name - (size_t)n);
    name[255] = '\0';
    fm_shm *s = t_create(name, 10);
    fm_shm_info info;
    assert_string_equal(fm_shm_name(s), name);
    assert_int_equal(t_find(name, &info), 1);
    t_end(s);
}

static void test_segment_without_a_name_gets_one_of_its_own(void **state)
{
    (void)state;
    fm_shm *a = t_create(NULL, 10), *b = t_create(NULL, 10);
    assert_int_equal(strlen(fm_shm_name(a)), 19);
    assert_memory_equal(fm_shm_name(a), "fm_", 3);
    assert_string_not_equal(fm_shm_name(a), fm_shm_name(b));
    assert_int_equal(t_attach(fm_shm_name(a), 0), 0);
    t_end(a);
    t_end(b);
}

static void test_segment_name_that_is_taken_gives_eexist_and_leaves_it_as_it_is(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("taken"), 100), *second = (fm_shm *)&second;
    memset(fm_shm_data(s), 7, 100);
    assert_int_equal(fm_shm_create(&second, t_name("taken"), 500, NULL), -EEXIST);
    assert_null(second);
    assert_non_null(strstr(fm_error_detail(), t_name("taken")));
    assert_int_equal(fm_shm_attach(&second, t_name("taken"), NULL), 0);
    assert_int_equal(fm_shm_bytes(second), 100);
    assert_true(is_all(fm_shm_data(second), 100, 7));
    fm_shm_close(second);
    t_end(s);
}

static void test_segment_name_of_a_foreign_file_gives_eexist_and_leaves_it_alone(void **state)
{
    (void)state;
    char text[6] = "";
    fm_shm *s;
    t_write_file(t_path(t_name("foreign")), "hello", 5);
    assert_int_equal(fm_shm_create(&s, t_name("foreign"), 500, NULL), -EEXIST);
    FILE *file = fopen(t_path(t_name("foreign")), "r");
    assert_true(fread(text, 1, 5, file) == 5);
    fclose(file);
    assert_string_equal(text, "hello");
    assert_int_equal(unlink(t_path(t_name("foreign"))), 0);
}

static void test_segment_of_no_bytes_or_of_more_than_a_file_has_is_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {INT64_MAX - 4096, INT64_MAX, SIZE_MAX - 5000, SIZE_MAX};
    fm_shm *s = (fm_shm *)&s;
    assert_int_equal(fm_shm_create(&s, t_name("size"), 0, NULL), -EINVAL);
    assert_null(s);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(fm_shm_create(&s, t_name("size"), sizes[i], NULL), -EFBIG);
    assert_int_equal(t_attach(t_name("size"), 0), -ENOENT);
}

static void test_segment_options_that_are_not_known_are_refused(void **state)
{
    (void)state;
    fm_shm *s = (fm_shm *)&s;
    assert_int_equal(fm_shm_create(&s, t_name("opts"), 10, FM_SHM_OPTS(.flags = FM_SHM_READ_ONLY)),
                     -EINVAL);
    assert_null(s);
    assert_int_equal(fm_shm_create(&s, t_name("opts"), 10, FM_SHM_OPTS(.flags = 8)), -EINVAL);
    const fm_shm_opts bad = {.struct_size = 4096};
    assert_int_equal(fm_shm_create(&s, t_name("opts"), 10, &bad), -EINVAL);
    assert_int_equal(fm_shm_create(NULL, t_name("opts"), 10, NULL), -EINVAL);
    s = t_create(t_name("opts"), 10);
    assert_int_equal(t_attach(t_name("opts"), FM_SHM_IF_DEAD), -EINVAL);
    assert_int_equal(t_attach(t_name("opts"), 8), -EINVAL);
    assert_int_equal(fm_shm_attach(NULL, t_name("opts"), NULL), -EINVAL);
    assert_int_equal(fm_shm_remove(t_name("opts"), FM_SHM_READ_ONLY), -EINVAL);
    t_end(s);
}

static void test_segment_null_is_answered(void **state)
{
    (void)state;
    assert_null(fm_shm_data(NULL));
    assert_int_equal(fm_shm_bytes(NULL), 0);
    assert_string_equal(fm_shm_name(NULL), "");
    assert_int_equal(fm_shm_unlink(NULL), -EINVAL);
    fm_shm_close(NULL);
}

static void check_mode_under_umask(void *arg)
{
    struct stat st;
    fm_shm *s;
    umask(*(mode_t *)arg);
    EXPECT(fm_shm_create(&s, t_name("mode"), 10, NULL) == 0);
    EXPECT(stat(t_path(t_name("mode")), &st) == 0);
    EXPECT((st.st_mode & 07777) == 0600 && st.st_uid == geteuid());
    EXPECT(t_attach(t_name("mode"), 0) == 0);
    EXPECT(fm_shm_unlink(s) == 0);
    fm_shm_close(s);
}

static void test_segment_mode_is_0600_whatever_the_umask(void **state)
{
    (void)state;
    static mode_t masks[] = {0777, 0, 022, 0277};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++)
        t_run_in_child(check_mode_under_umask, &masks[i]);
}

/* ---- sharing ---- */

static void test_segment_is_read_and_written_by_a_program_of_no_family(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("stranger"), T_BYTES);
    unsigned char *data = fm_shm_data(s);
    for (size_t i = 0; i < T_BYTES; i++)
        data[i] = (unsigned char)(i % 251);
    assert_int_equal(run_stranger("read", t_name("stranger"), NULL), 0);
    assert_int_equal(run_stranger("double", t_name("stranger"), NULL), 0);
    for (size_t i = 0; i < T_BYTES; i++)
        assert_int_equal(data[i], 2 * (i % 251) % 251);
    assert_int_equal(run_stranger("read", t_name("stranger"), NULL), 1);
    t_end(s);
    assert_int_equal(run_stranger("read", t_name("stranger"), NULL), 3);
}

static void test_segment_outlives_the_program_that_made_it(void **state)
{
    (void)state;
    fm_shm *s;
    fm_shm_info info;
    assert_int_equal(run_stranger("create", t_name("left"), "10000"), 0);
    assert_int_equal(t_find(t_name("left"), &info), 1);
    assert_int_equal(info.creator, FM_SHM_DEAD);
    assert_int_equal(info.is_ready, 1);
    assert_int_equal(fm_shm_attach(&s, t_name("left"), NULL), 0);
    assert_int_equal(fm_shm_bytes(s), T_BYTES);
    const unsigned char *data = fm_shm_data(s);
    for (size_t i = 0; i < T_BYTES; i++)
        assert_int_equal(data[i], i % 251);
    t_end(s);
}

static void use_and_close(void *arg)
{
    fm_shm *s = arg;
    memset(fm_shm_data(s), 9, fm_shm_bytes(s));
    EXPECT(strcmp(fm_shm_name(s), t_name("fork")) == 0);
    fm_shm_close(s);
}

static void test_segment_handle_is_good_in_a_child_and_closed_by_each(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("fork"), T_BYTES);
    t_run_in_child(use_and_close, s);
    assert_true(is_all(fm_shm_data(s), T_BYTES, 9));
    t_end(s);
}

static int add_rank(const void *item, void *result, void *arg)
{
    unsigned char *data = arg;
    int64_t i = *(const int64_t *)item;
    data[i] = (unsigned char)(i % 251);
    *(int8_t *)result = 1;
    return 0;
}

static void test_segment_is_written_by_the_workers_of_a_pool(void **state)
{
    (void)state;
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) done = NULL;
    const int64_t n = T_BYTES;
    fm_shm *s = t_create(t_name("pool"), T_BYTES);
    assert_int_equal(fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)), 0);
    assert_int_equal(fm_array_zeros(&done, FM_I8, 1, &n), 0);
    assert_int_equal(
        fm_pool_map_range(pool, add_rank, 0, n, done, FM_MAP_OPTS(.arg = fm_shm_data(s))), 0);
    assert_int_equal(run_stranger("read", t_name("pool"), NULL), 0);
    t_end(s);
}

static void try_to_make_writable(void *arg)
{
    EXPECT(mprotect(arg, 4096, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
}

static void write_into(void *arg)
{
    *(volatile char *)arg = 1;
}

static void test_segment_attached_to_read_cannot_be_written(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("read"), T_BYTES), *reader;
    memset(fm_shm_data(s), 3, T_BYTES);
    assert_int_equal(fm_shm_attach(&reader, t_name("read"), FM_SHM_OPTS(.flags = FM_SHM_READ_ONLY)),
                     0);
    assert_true(is_all(fm_shm_data(reader), T_BYTES, 3));
    t_run_in_child(try_to_make_writable, fm_shm_data(reader));
#if !defined(__SANITIZE_ADDRESS__) /* its handler makes an exit of it */
    assert_int_equal(t_signal(t_in_child(write_into, fm_shm_data(reader))), SIGSEGV);
#else
    assert_int_not_equal(t_in_child(write_into, fm_shm_data(reader)), 0);
#endif
    assert_true(is_all(fm_shm_data(s), T_BYTES, 3));
    memset(fm_shm_data(s), 4, T_BYTES); /* and sees what others write */
    assert_true(is_all(fm_shm_data(reader), T_BYTES, 4));
    fm_shm_close(reader);
    t_end(s);
}

static void write_below(void *arg)
{
    memset((char *)arg - 64, 1, 64);
}

static void test_segment_header_is_not_reached_by_a_write_below_the_data(void **state)
{
    (void)state;
    struct fmi_segment_shm before, after;
    fm_shm *s = t_create(t_name("below"), T_BYTES);
    t_read_header(t_name("below"), &before);
    (void)t_in_child(write_below, fm_shm_data(s)); /* a crash, or memory of something else */
    t_read_header(t_name("below"), &after);
    assert_memory_equal(&before, &after, sizeof before);
    t_end(s);
}

/* ---- removing ---- */

static void test_segment_unlinked_stays_for_those_who_have_it(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("gone"), T_BYTES), *other;
    assert_int_equal(fm_shm_attach(&other, t_name("gone"), NULL), 0);
    assert_int_equal(fm_shm_unlink(s), 0);
    assert_int_equal(t_attach(t_name("gone"), 0), -ENOENT);
    memset(fm_shm_data(s), 5, T_BYTES);
    fm_shm_close(s);
    assert_true(is_all(fm_shm_data(other), T_BYTES, 5));
    assert_int_equal(fm_shm_unlink(other), -ENOENT);
    fm_shm_close(other);
}

static void test_segment_may_be_unlinked_by_who_attached_it_to_read(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("reader"), 10), *other;
    assert_int_equal(
        fm_shm_attach(&other, t_name("reader"), FM_SHM_OPTS(.flags = FM_SHM_READ_ONLY)), 0);
    assert_int_equal(fm_shm_unlink(other), 0);
    assert_int_equal(fm_shm_unlink(s), -ENOENT);
    fm_shm_close(other);
    fm_shm_close(s);
}

static void test_segment_unlink_leaves_another_one_of_that_name_alone(void **state)
{
    (void)state;
    fm_shm *old = t_create(t_name("reused"), 10);
    assert_int_equal(unlink(t_path(t_name("reused"))), 0);
    fm_shm *s = t_create(t_name("reused"), 20);
    assert_int_equal(fm_shm_unlink(old), -ENOENT);
    assert_non_null(strstr(fm_error_detail(), "another"));
    assert_int_equal(t_attach(t_name("reused"), 0), 0);
    fm_shm_close(old);
    t_end(s);
}

static void test_segment_is_removed_by_its_name_alone(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("remove"), 10);
    assert_int_equal(fm_shm_remove(t_name("remove"), FM_SHM_IF_DEAD), -EBUSY);
    assert_int_equal(t_attach(t_name("remove"), 0), 0);
    assert_int_equal(fm_shm_remove(t_name("remove"), 0), 0);
    assert_int_equal(fm_shm_remove(t_name("remove"), 0), -ENOENT);
    fm_shm_close(s);
}

/* ---- the list ---- */

static void test_segment_list_tells_name_size_creator_and_age(void **state)
{
    (void)state;
    fm_shm_info info;
    fm_shm *s = t_create(t_name("list"), 12345);
    assert_int_equal(t_find(t_name("list"), &info), 1);
    assert_int_equal(info.bytes, 12345);
    assert_int_equal(info.pid, getpid());
    assert_int_equal(info.creator, FM_SHM_ALIVE);
    assert_int_equal(info.is_ready, 1);
    assert_true(info.age_ns >= 0 && info.age_ns < FM_SECONDS(60));
    t_end(s);
    assert_int_equal(t_find(t_name("list"), &info), 0);
}

static void test_segment_list_is_sorted_and_says_how_many_there_are(void **state)
{
    (void)state;
    fm_shm_info list[2], a, b;
    fm_shm *second = t_create(t_name("b"), 1), *first = t_create(t_name("a"), 1);
    memset(list, 0x55, sizeof list);
    assert_true(fm_shm_list(list, 1) >= 2);
    assert_int_equal(((const unsigned char *)&list[1])[0], 0x55); /* room for one was obeyed */
    assert_true(fm_shm_list(list, 2) >= 2);
    assert_true(strcmp(list[0].name, list[1].name) < 0);
    assert_int_equal(t_find(t_name("a"), &a) + t_find(t_name("b"), &b), 2);
    assert_int_equal(fm_shm_list(NULL, -1), -EINVAL);
    assert_int_equal(fm_shm_list(NULL, 1), -EINVAL);
    t_end(first);
    t_end(second);
}

/* ---- machines without room ---- */

static void mount_dev_shm(const char *size)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, size) != 0)
        _exit(T_NOT_ALLOWED);
}

static void create_in_small_dev_shm(void *arg)
{
    (void)arg;
    char name[32];
    fm_shm *s, *list[64];
    int n = 0, rc;
    mount_dev_shm("size=1m");
    EXPECT(fm_shm_create(&s, "large", 4 * MIB, NULL) == -ENOSPC && s == NULL);
    EXPECT(strstr(fm_error_detail(), "4194304") != NULL);
    EXPECT(strstr(fm_error_detail(), "/dev/shm has 10") != NULL); /* one page less than 1048576 */
    EXPECT(access("/dev/shm/large", F_OK) != 0);
    for (rc = 0; rc == 0 && n < 64; n++) {
        snprintf(name, sizeof name, "small%d", n);
        rc = fm_shm_create(&list[n], name, 64 * KIB, NULL);
        if (rc == 0)
            memset(fm_shm_data(list[n]), 0x55, 64 * KIB); /* a missing page would be a bus error */
    }
    EXPECT(rc == -ENOSPC && n > 8 && n <= 17 && list[n - 1] == NULL);
    EXPECT(access(t_path(name), F_OK) != 0);
    EXPECT(fm_shm_unlink(list[0]) == 0);
    fm_shm_close(list[0]);
    EXPECT(fm_shm_create(&s, "again", 64 * KIB, NULL) == 0);
    EXPECT(is_all(fm_shm_data(s), 64 * KIB, 0));
}

static void test_segment_in_full_dev_shm_gives_enospc_with_numbers_and_no_bus_error(void **state)
{
    (void)state;
    t_run_in_child(create_in_small_dev_shm, NULL);
}

static void fill_to_the_last_page(void *arg)
{
    (void)arg;
    char bytes[4096] = "x";
    fm_shm *s;
    mount_dev_shm("size=64k");
    int fd = open("/dev/shm/filler", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    EXPECT(fm_shm_create(&s, "none", 1, NULL) == -ENOSPC && s == NULL);
    EXPECT(access("/dev/shm/none", F_OK) != 0);
    close(fd);
}

static void test_segment_without_room_for_its_header_leaves_no_name(void **state)
{
    (void)state;
    t_run_in_child(fill_to_the_last_page, NULL);
}

static void ask_for_all_memory_twice(void *arg)
{
    (void)arg;
    fm_shm *s;
    mount_dev_shm("size=0"); /* without a limit */
    size_t bytes = 2 * (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
    EXPECT(fm_shm_create(&s, "large", bytes, NULL) == -ENOMEM && s == NULL);
    EXPECT(strstr(fm_error_detail(), "bytes of memory left") != NULL);
    EXPECT(access("/dev/shm/large", F_OK) != 0);
}

static void test_segment_larger_than_memory_gives_enomem_with_both_numbers(void **state)
{
    (void)state;
    t_run_in_child(ask_for_all_memory_twice, NULL);
}

static void create_without_proc(void *arg)
{
    (void)arg;
    fm_shm *s;
    fm_shm_info info;
    mount_dev_shm("size=1m");
    if (mount("tmpfs", "/proc", "tmpfs", 0, "") != 0)
        _exit(T_NOT_ALLOWED);
    EXPECT(fm_shm_create(&s, "x", T_BYTES, NULL) == 0);
    EXPECT(is_all(fm_shm_data(s), T_BYTES, 0));
    EXPECT(t_attach("x", 0) == 0 && t_find("x", &info) == 1);
    EXPECT(info.creator == FM_SHM_UNKNOWN && info.is_ready == 1);
    EXPECT(fm_shm_remove("x", FM_SHM_IF_DEAD) == -EBUSY);
    EXPECT(fm_shm_create(&s, "x", T_BYTES, NULL) == -EEXIST);
    EXPECT(fm_shm_remove("x", 0) == 0);
}

static void test_segment_without_proc_is_made_and_kept_by_gc(void **state)
{
    (void)state;
    t_run_in_child(create_without_proc, NULL);
}

static void create_under_file_limit(void *arg)
{
    (void)arg;
    fm_shm *s;
    const struct rlimit limit = {MIB, MIB};
    EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    EXPECT(fm_shm_create(&s, t_name("limit"), MIB, NULL) == -EFBIG);
    EXPECT(strstr(fm_error_detail(), "ulimit -f") != NULL);
    EXPECT(fm_shm_create(&s, t_name("limit"), MIB - 4096, NULL) == 0);
    EXPECT(fm_shm_unlink(s) == 0);
}

static void test_segment_over_the_file_size_limit_gives_efbig_and_no_signal(void **state)
{
    (void)state;
    if (sysconf(_SC_PAGESIZE) != 4096)
        t_skip("pages of 4096 bytes");
    t_run_in_child(create_under_file_limit, NULL);
}

static void attach_as_another_user(void *arg)
{
    (void)arg;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(T_NOT_ALLOWED);
    fm_shm_info info;
    EXPECT(t_attach(t_name("user"), 0) == -EACCES);
    EXPECT(t_attach(t_name("user"), FM_SHM_READ_ONLY) == -EACCES);
    EXPECT(fm_shm_remove(t_name("user"), 0) == -EACCES);
    EXPECT(t_find(t_name("user"), &info) == 0);
}

static void test_segment_is_closed_to_other_users(void **state)
{
    (void)state;
    fm_shm *s = t_create(t_name("user"), 10);
    int status = t_in_child(attach_as_another_user, NULL);
    t_end(s);
    if (t_exit_code(status) == T_NOT_ALLOWED)
        t_skip("the right to be another user (root)");
    assert_int_equal(status, 0);
}

T_MAIN(T_TEST(test_segment_has_the_bytes_asked_for_all_zero_at_a_page),
       T_TEST(test_segment_name_may_have_a_slash_in_front_and_is_told_without),
       T_TEST(test_segment_name_that_is_none_is_refused),
       T_TEST(test_segment_name_of_255_bytes_or_of_a_hidden_file_is_taken),
       T_TEST(test_segment_without_a_name_gets_one_of_its_own),
       T_TEST(test_segment_name_that_is_taken_gives_eexist_and_leaves_it_as_it_is),
       T_TEST(test_segment_name_of_a_foreign_file_gives_eexist_and_leaves_it_alone),
       T_TEST(test_segment_of_no_bytes_or_of_more_than_a_file_has_is_refused),
       T_TEST(test_segment_options_that_are_not_known_are_refused),
       T_TEST(test_segment_null_is_answered), T_TEST(test_segment_mode_is_0600_whatever_the_umask),
       T_TEST(test_segment_is_read_and_written_by_a_program_of_no_family),
       T_TEST(test_segment_outlives_the_program_that_made_it),
       T_TEST(test_segment_handle_is_good_in_a_child_and_closed_by_each),
       T_TEST(test_segment_is_written_by_the_workers_of_a_pool),
       T_TEST(test_segment_attached_to_read_cannot_be_written),
       T_TEST(test_segment_header_is_not_reached_by_a_write_below_the_data),
       T_TEST(test_segment_unlinked_stays_for_those_who_have_it),
       T_TEST(test_segment_may_be_unlinked_by_who_attached_it_to_read),
       T_TEST(test_segment_unlink_leaves_another_one_of_that_name_alone),
       T_TEST(test_segment_is_removed_by_its_name_alone),
       T_TEST(test_segment_list_tells_name_size_creator_and_age),
       T_TEST(test_segment_list_is_sorted_and_says_how_many_there_are),
       T_TEST(test_segment_in_full_dev_shm_gives_enospc_with_numbers_and_no_bus_error),
       T_TEST(test_segment_without_room_for_its_header_leaves_no_name),
       T_TEST(test_segment_larger_than_memory_gives_enomem_with_both_numbers),
       T_TEST(test_segment_without_proc_is_made_and_kept_by_gc),
       T_TEST(test_segment_over_the_file_size_limit_gives_efbig_and_no_signal),
       T_TEST(test_segment_is_closed_to_other_users))
