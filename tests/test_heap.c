/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork */
/* TIMEOUT: 60 */
/* The shared heap, as those see it who allocate: one address, real memory, clear refusals. */
#include "t.h"

#include "heap.h"
#include "memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    KIB = 1024,
    MIB = 1 << 20,
    SPAN = 64 * KIB,
    NOT_ALLOWED = 77,
    NO_HUGE_PAGES = 78,
    N_LIVE = 64
};

static const size_t sizes[] = {1,       2,     63,           64,      65,       1000,
                               4096,    32767, 32 * KIB,     32769,   SPAN,     SPAN + 1,
                               MIB - 1, MIB,   5 * SPAN + 1, 3 * MIB, 77777777, (size_t)300 * MIB};
enum { N_SIZES = sizeof sizes / sizeof sizes[0] };

/* For children, which may not use cmocka's assertions. */
#define EXPECT(condition) ((condition) ? (void)0 : say_and_exit(__LINE__, #condition))

static _Noreturn void say_and_exit(int line, const char *what)
{
    fprintf(stderr, "line %d: not so: %s (%s)\n", line, what, fm_error_detail());
    _exit(1);
}

static void *get(size_t bytes, unsigned flags)
{
    void *p = NULL;
    int rc = fmi_heap_alloc(&p, bytes, flags);
    if (rc != 0)
        fail_msg("%zu bytes: %s: %s", bytes, fm_strerror(rc), fm_error_detail());
    return p;
}

static int is_all(const unsigned char *p, size_t bytes, unsigned char value)
{
    return bytes == 0 || (p[0] == value && memcmp(p, p + 1, bytes - 1) == 0);
}

static int refused(size_t bytes)
{
    void *p = &p;
    int rc = fmi_heap_alloc(&p, bytes, 0);
    return p == NULL ? rc : 1;
}

static void run_in_child(void (*fn)(void *))
{
    int status = t_in_child(fn, NULL);
    if (t_exit_code(status) == NOT_ALLOWED)
        t_skip("the right to mount a small /dev/shm (root)");
    if (t_exit_code(status) == NO_HUGE_PAGES)
        t_skip("a kernel that makes huge pages of shared memory (MADV_COLLAPSE)");
    assert_int_equal(t_signal(status), 0);
    assert_int_equal(t_exit_code(status), 0);
}

/* ---- a heap that is made under difficulties: before any test that opens one in this process ---- */

static void set_limit(int what, size_t bytes)
{
    struct rlimit limit;
    EXPECT(getrlimit((__rlimit_resource_t)what, &limit) == 0);
    limit.rlim_cur = bytes;
    EXPECT(setrlimit((__rlimit_resource_t)what, &limit) == 0);
}

/* Works, and says how large the heap is. */
static size_t expect_working_heap(void)
{
    struct fmi_heap_usage usage;
    char *p = NULL, *q = NULL;
    EXPECT(fmi_heap_alloc((void **)&p, 100, FMI_HEAP_ZERO) == 0);
    EXPECT(fmi_heap_alloc((void **)&q, MIB, FMI_HEAP_ZERO) == 0);
    memset(p, 1, 100);
    memset(q, 2, MIB);
    EXPECT(fmi_heap_free(p) == 0 && fmi_heap_free(q) == 0);
    fmi_heap_usage(&usage);
    return usage.limit_bytes;
}

static void allocate_under_file_limit(void *arg)
{
    (void)arg;
    set_limit(RLIMIT_FSIZE, (size_t)300 * MIB);
    size_t bytes = expect_working_heap();
    EXPECT(bytes <= (size_t)300 * MIB && bytes >= (size_t)64 * MIB);
}

static void test_heap_file_size_limit_makes_it_smaller(void **state)
{
    (void)state;
    run_in_child(allocate_under_file_limit);
}

static void allocate_under_tiny_file_limit(void *arg)
{
    (void)arg;
    set_limit(RLIMIT_FSIZE, 10 * MIB);
    EXPECT(refused(100) == -EFBIG && refused(MIB) == -EFBIG);
    EXPECT(strstr(fm_error_detail(), "10240 KiB") != NULL);
    EXPECT(strstr(fm_error_detail(), "ulimit -f") != NULL);
}

static void test_heap_tiny_file_size_limit_gives_efbig_and_no_signal(void **state)
{
    (void)state;
    run_in_child(allocate_under_tiny_file_limit);
}

static void need_address_limits(void)
{
#if defined(__SANITIZE_ADDRESS__)
    t_skip("RLIMIT_AS under AddressSanitizer");
#endif
}

static void allocate_under_address_limit(void *arg)
{
    (void)arg;
    set_limit(RLIMIT_AS, (size_t)64 << 30);
    size_t bytes = expect_working_heap();
    EXPECT(bytes <= (size_t)64 << 30 && bytes >= (size_t)16 << 30);
}

static void test_heap_address_limit_halves_it_until_it_fits(void **state)
{
    (void)state;
    need_address_limits();
    run_in_child(allocate_under_address_limit);
}

static void allocate_under_tiny_address_limit(void *arg)
{
    (void)arg;
    set_limit(RLIMIT_AS, 48 * MIB);
    EXPECT(refused(100) == -ENOMEM);
    EXPECT(strstr(fm_error_detail(), "MiB") != NULL);
    EXPECT(strstr(fm_error_detail(), "ulimit -v") != NULL);
    set_limit(RLIMIT_AS, (size_t)8 << 30);
    expect_working_heap();
}

static void test_heap_tiny_address_limit_gives_enomem_with_the_remedy(void **state)
{
    (void)state;
    need_address_limits();
    run_in_child(allocate_under_tiny_address_limit);
}

static void allocate_without_descriptors(void *arg)
{
    (void)arg;
    int lowest = dup(STDERR_FILENO);
    close(lowest);
    set_limit(RLIMIT_NOFILE, (size_t)lowest);
    EXPECT(refused(100) == -EMFILE);
    set_limit(RLIMIT_NOFILE, (size_t)lowest + 8);
    expect_working_heap();
}

static void test_heap_without_free_descriptors_gives_emfile_and_works_later(void **state)
{
    (void)state;
    run_in_child(allocate_without_descriptors);
}

static void allocate_with_a_heap_of_64_mib(void *arg)
{
    (void)arg;
    setenv("FORKMAP_HEAP", "100M", 1); /* halved until it fits */
    EXPECT(expect_working_heap() == (size_t)64 * MIB);
    EXPECT(refused((size_t)65 * MIB) == -ENOMEM);
}

static void test_heap_is_no_larger_than_the_environment_allows(void **state)
{
    (void)state;
    run_in_child(allocate_with_a_heap_of_64_mib);
}

static void allocate_with_a_heap_of_no_size(void *text)
{
    setenv("FORKMAP_HEAP", text, 1);
    setenv("FORKMAP_LOG", "off", 1);
    EXPECT(expect_working_heap() > (size_t)1 << 30);
}

static void test_heap_size_that_is_none_is_not_used(void **state)
{
    (void)state;
    static char *const texts[] = {
        "", "0", "63M", "many", "1X", "4Gi", "-1G", "2T", "9999999999999999999999"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(t_exit_code(t_in_child(allocate_with_a_heap_of_no_size, texts[i])), 0);
}

/* The descriptor of the heap whose target begins so; -1 if there is none. */
static int fd_of(const char *target_begin)
{
    char path[64], target[128];
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof target - 1);
        if (n > 0 && strncmp(target, target_begin, strlen(target_begin)) == 0)
            return fd;
    }
    return -1;
}

static int n_names_in_dev_shm(void)
{
    int n = 0;
    DIR *shm = opendir("/dev/shm");
    for (struct dirent *entry; shm != NULL && (entry = readdir(shm)) != NULL;)
        n += strncmp(entry->d_name, "forkmap", 7) == 0;
    if (shm != NULL)
        closedir(shm);
    return n;
}

static void allocate_in_dev_shm(void *arg)
{
    (void)arg;
    struct stat status;
    setenv("FORKMAP_BACKING", "shm_open", 1);
    umask(0777);
    expect_working_heap();
    EXPECT(n_names_in_dev_shm() == 0);
    int fd = fd_of("/dev/shm/forkmap-");
    EXPECT(fd >= 0 && fd_of("/memfd:forkmap") < 0);
    EXPECT(fstat(fd, &status) == 0 && (status.st_mode & 0777) == 0600);
    EXPECT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void test_heap_in_dev_shm_works_and_leaves_no_name(void **state)
{
    (void)state;
    run_in_child(allocate_in_dev_shm);
}

static void truncate_memfd(void *arg)
{
    (void)arg;
    expect_working_heap();
    int fd = fd_of("/memfd:forkmap");
    EXPECT(fd >= 0 && ftruncate(fd, 0) != 0 && errno == EPERM);
    EXPECT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
}

static void test_heap_cannot_be_truncated_by_its_descriptor(void **state)
{
    (void)state;
    run_in_child(truncate_memfd);
}

static void allocate_with_unknown_backing(void *arg)
{
    (void)arg;
    setenv("FORKMAP_BACKING", "punched cards", 1);
    expect_working_heap();
    EXPECT(fd_of("/memfd:forkmap") >= 0);
}

static void test_heap_unknown_backing_falls_back_to_memfd(void **state)
{
    (void)state;
    run_in_child(allocate_with_unknown_backing);
}

/* ---- huge pages ---- */

/* [KiB] of the heap that this process sees through huge pages. */
static long n_huge_kib(void)
{
    char line[512];
    int is_heap = 0;
    long sum = 0, kib;
    FILE *file = fopen("/proc/self/smaps", "r");
    EXPECT(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strchr("0123456789abcdef", line[0]) != NULL)
            is_heap = strstr(line, "/memfd:forkmap") != NULL;
        else if (is_heap && sscanf(line, "ShmemPmdMapped: %ld", &kib) == 1)
            sum += kib;
    }
    fclose(file);
    return sum;
}

/* Of the system, for memory that is not the heap's. */
static int has_huge_pages(void)
{
    const size_t bytes = 4 * MIB;
    int fd = memfd_create("probe", MFD_CLOEXEC), has = 0;
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0 || fallocate(fd, 0, 0, (off_t)bytes) != 0)
        return 0;
    void *p = mmap((void *)0x300000000000, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    has = p != MAP_FAILED && madvise(p, bytes, 25 /* MADV_COLLAPSE */) == 0;
    if (p != MAP_FAILED)
        munmap(p, bytes);
    close(fd);
    return has;
}

/* Of 32 MiB at any 64 KiB, 15 times 2 MiB are whole huge pages. */
static void allocate_on_huge_pages(void *arg)
{
    (void)arg;
    unsigned char *p, *small;
    if (!has_huge_pages())
        _exit(NO_HUGE_PAGES);
    EXPECT(fmi_heap_alloc((void **)&small, 7 * MIB, 0) == 0);
    memset(small, 1, 7 * MIB);
    EXPECT(n_huge_kib() == 0);
    EXPECT(fmi_heap_alloc((void **)&p, 32 * MIB, FMI_HEAP_ZERO) == 0);
    EXPECT(is_all(p, 32 * MIB, 0));
    memset(p, 2, 32 * MIB);
    EXPECT(n_huge_kib() >= 30 * KIB);
    EXPECT(is_all(small, 7 * MIB, 1));
    /* smaller ones in its place cut the pages up */
    EXPECT(fmi_heap_free(p) == 0);
    for (int i = 0; i < 30; i++) {
        EXPECT(fmi_heap_alloc((void **)&p, MIB + SPAN, FMI_HEAP_ZERO) == 0);
        EXPECT(is_all(p, MIB + SPAN, 0));
        memset(p, 3 + i, MIB + SPAN);
    }
    EXPECT(is_all(small, 7 * MIB, 1) && is_all(p, MIB + SPAN, 3 + 29));
}

static void test_heap_large_memory_lies_on_huge_pages(void **state)
{
    (void)state;
    unsetenv("FORKMAP_HUGE_PAGES");
    unsetenv("FORKMAP_BACKING");
    run_in_child(allocate_on_huge_pages);
}

static void allocate_without_huge_pages(void *arg)
{
    unsigned char *p;
    (void)arg;
    if (!has_huge_pages())
        _exit(NO_HUGE_PAGES);
    setenv("FORKMAP_HUGE_PAGES", "no", 1);
    EXPECT(fmi_heap_alloc((void **)&p, 32 * MIB, 0) == 0);
    memset(p, 2, 32 * MIB);
    EXPECT(n_huge_kib() == 0);
}

static void test_heap_without_huge_pages_if_so_asked(void **state)
{
    (void)state;
    unsetenv("FORKMAP_BACKING");
    run_in_child(allocate_without_huge_pages);
}

static void mount_small_dev_shm(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=1m") != 0)
        _exit(NOT_ALLOWED);
}

static void fill_small_dev_shm(void *arg)
{
    (void)arg;
    unsigned char *p = NULL, *q = NULL;
    int rc;
    size_t n = 0;
    mount_small_dev_shm();
    setenv("FORKMAP_BACKING", "shm_open", 1);
    EXPECT(refused(4 * MIB) == -ENOSPC);
    EXPECT(strstr(fm_error_detail(), "4096 KiB") != NULL);
    EXPECT(strstr(fm_error_detail(), "/dev/shm") != NULL);
    while ((rc = fmi_heap_alloc((void **)&p, SPAN, 0)) == 0) {
        memset(p, 0x55, SPAN); /* a page that is not there would be a bus error */
        q = p;
        n++;
    }
    EXPECT(rc == -ENOSPC && n >= 4 && n < 16);
    EXPECT(fmi_heap_free(q) == 0 && fmi_heap_alloc((void **)&p, SPAN, FMI_HEAP_ZERO) == 0);
    EXPECT(is_all(p, SPAN, 0));
}

static void test_heap_in_full_dev_shm_gives_enospc_and_no_bus_error(void **state)
{
    (void)state;
    run_in_child(fill_small_dev_shm);
}

static void fill_small_dev_shm_with_blocks(void *arg)
{
    (void)arg;
    void *p = NULL;
    int rc;
    size_t n = 0;
    mount_small_dev_shm();
    setenv("FORKMAP_BACKING", "shm_open", 1);
    while ((rc = fmi_heap_alloc(&p, 1000, FMI_HEAP_ZERO)) == 0)
        n++;
    EXPECT(rc == -ENOSPC && n >= 4 * 64 && n < 16 * 64);
}

static void test_heap_small_blocks_in_full_dev_shm_give_enospc(void **state)
{
    (void)state;
    run_in_child(fill_small_dev_shm_with_blocks);
}

static void ignore_small_dev_shm(void *arg)
{
    (void)arg;
    unsigned char *p = NULL;
    mount_small_dev_shm();
    unsetenv("FORKMAP_BACKING");
    EXPECT(fmi_heap_alloc((void **)&p, 16 * MIB, FMI_HEAP_ZERO) == 0);
    EXPECT(is_all(p, 16 * MIB, 0));
}

static void test_heap_by_default_is_not_limited_by_a_small_dev_shm(void **state)
{
    (void)state;
    run_in_child(ignore_small_dev_shm);
}

static void fork_before_the_heap_is_there(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    expect_working_heap(); /* in each of the two: heaps of their own */
    if (pid == 0)
        _exit(0);
    int status = 1;
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
}

static void test_heap_first_used_after_a_fork_is_the_childs_own(void **state)
{
    (void)state;
    run_in_child(fork_before_the_heap_is_there);
}

/* ---- one address ---- */

struct note {
    char *data;
    pid_t writer;
};

static void write_note(void *arg)
{
    struct note *note = arg;
    EXPECT(fmi_heap_alloc((void **)&note->data, 3 * MIB, 0) == 0);
    memset(note->data, 'x', 3 * MIB);
    note->writer = getpid();
}

static void test_heap_memory_of_a_child_is_read_by_its_parent_at_the_same_address(void **state)
{
    (void)state;
    struct note *note = get(sizeof *note, FMI_HEAP_ZERO);
    pid_t pid = t_start_child(write_note, note);
    assert_int_equal(t_exit_code(t_wait_child(pid)), 0);
    assert_int_equal(note->writer, pid);
    assert_true(is_all((unsigned char *)note->data, 3 * MIB, 'x'));
    assert_int_equal(fmi_heap_free(note->data), 0);
    assert_int_equal(fmi_heap_free(note), 0);
}

static void write_note_in_grandchild(void *arg)
{
    struct note *note = arg;
    int status = 1;
    pid_t pid = fork();
    if (pid == 0) {
        write_note(note);
        _exit(0);
    }
    EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
    EXPECT(note->data[3 * MIB - 1] == 'x');
    note->data[0] = 'y';
}

static void test_heap_has_one_address_in_three_generations(void **state)
{
    (void)state;
    struct note *note = get(sizeof *note, FMI_HEAP_ZERO);
    assert_int_equal(t_exit_code(t_in_child(write_note_in_grandchild, note)), 0);
    assert_int_equal(note->data[0], 'y');
    assert_int_equal(note->data[1], 'x');
    assert_int_equal(fmi_heap_free(note->data), 0);
    assert_int_equal(fmi_heap_free(note), 0);
}

static void free_it(void *arg)
{
    EXPECT(fmi_heap_free(arg) == 0);
}

static void test_heap_memory_is_freed_by_another_process_and_used_again(void **state)
{
    (void)state;
    for (int i = 0; i < N_SIZES - 2; i++) {
        void *p = get(sizes[i], 0);
        assert_int_equal(t_exit_code(t_in_child(free_it, p)), 0);
        assert_int_equal(fmi_heap_free(p), FM_ECORRUPT);
        void *again = get(sizes[i], 0);
        assert_ptr_equal(again, p);
        assert_int_equal(fmi_heap_free(again), 0);
    }
}

/* ---- what comes back ---- */

/* All bytes, or one of each page of what is large. */
static size_t stride_of(size_t bytes)
{
    return bytes > 4 * MIB ? 4096 : 1;
}

static void test_heap_sizes_from_one_byte_to_300_mib_hold_what_is_written(void **state)
{
    (void)state;
    unsigned char *p[N_SIZES];
    for (int i = 0; i < N_SIZES; i++) {
        p[i] = get(sizes[i], 0);
        for (size_t at = 0; at < sizes[i]; at += stride_of(sizes[i]))
            p[i][at] = (unsigned char)(i + 1);
        p[i][sizes[i] - 1] = (unsigned char)(i + 1);
    }
    for (int i = 0; i < N_SIZES; i++) {
        for (size_t at = 0; at < sizes[i]; at += stride_of(sizes[i]))
            if (p[i][at] != i + 1)
                fail_msg("byte %zu of %zu holds %d instead of %d", at, sizes[i], p[i][at], i + 1);
        assert_int_equal(p[i][sizes[i] - 1], i + 1);
        assert_int_equal(fmi_heap_free(p[i]), 0);
    }
}

static void test_heap_allocations_are_aligned_to_64_bytes_and_large_ones_to_64_kib(void **state)
{
    (void)state;
    for (int i = 0; i < N_SIZES; i++) {
        void *p = get(sizes[i], 0);
        assert_int_equal((uintptr_t)p % (sizes[i] > 32 * KIB ? SPAN : 64), 0);
        assert_int_equal(fmi_heap_free(p), 0);
    }
}

static void test_heap_zeroed_memory_reads_zero_when_fresh_and_when_used_before(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < N_SIZES - 2; i++) {
            unsigned char *p = get(sizes[i], FMI_HEAP_ZERO);
            assert_true(is_all(p, sizes[i], 0));
            memset(p, 0xff, sizes[i]);
            assert_int_equal(fmi_heap_free(p), 0);
        }
}

static void test_heap_live_allocations_keep_their_contents_while_others_come_and_go(void **state)
{
    (void)state;
    unsigned char *live[N_LIVE];
    for (int i = 0; i < N_LIVE; i++) {
        live[i] = get(sizes[i % 12], 0);
        memset(live[i], i, sizes[i % 12]);
        unsigned char *other = get(sizes[i * 7 % 12], FMI_HEAP_ZERO);
        memset(other, 0xee, sizes[i * 7 % 12]);
        assert_int_equal(fmi_heap_free(other), 0);
    }
    for (int i = 0; i < N_LIVE; i++) {
        assert_true(is_all(live[i], sizes[i % 12], (unsigned char)i));
        assert_int_equal(fmi_heap_free(live[i]), 0);
    }
}

static void test_heap_usage_rises_with_an_allocation_and_falls_with_its_free(void **state)
{
    (void)state;
    struct fmi_heap_usage before, during, after;
    assert_int_equal(fmi_heap_free(get(SPAN, 0)), 0);
    fmi_heap_usage(&before);
    void *p = get(10 * MIB, 0);
    fmi_heap_usage(&during);
    assert_int_equal(fmi_heap_free(p), 0);
    fmi_heap_usage(&after);
    assert_int_equal(during.used_bytes - before.used_bytes, 10 * MIB);
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_true(after.warm_bytes >= 10 * MIB);
}

static void test_heap_contains_tells_heap_from_other_memory(void **state)
{
    (void)state;
    char *p = get(3 * SPAN, 0);
    static char elsewhere[100];
    assert_true(fmi_heap_contains(p, 3 * SPAN));
    assert_true(fmi_heap_contains(p + 2 * SPAN, 1));
    assert_false(fmi_heap_contains(elsewhere, 1));
    assert_false(fmi_heap_contains(NULL, 0));
    assert_false(fmi_heap_contains(p, SIZE_MAX));
    assert_false(fmi_heap_contains(p, SIZE_MAX - (uintptr_t)p));
    assert_int_equal(fmi_heap_free(p), 0);
}

/* ---- what is refused ---- */

static void test_heap_double_free_is_refused_and_breaks_nothing(void **state)
{
    (void)state;
    static const size_t bytes[] = {1, 1000, 32 * KIB, SPAN, 3 * SPAN};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        unsigned char *p = get(bytes[i], 0);
        assert_int_equal(fmi_heap_free(p), 0);
        assert_int_equal(fmi_heap_free(p), FM_ECORRUPT);
        unsigned char *a = get(bytes[i], 0), *b = get(bytes[i], 0);
        assert_ptr_not_equal(a, b);
        memset(a, 1, bytes[i]);
        memset(b, 2, bytes[i]);
        assert_true(is_all(a, bytes[i], 1));
        assert_int_equal(fmi_heap_free(a), 0);
        assert_int_equal(fmi_heap_free(b), 0);
    }
}

static void test_heap_free_of_what_is_no_allocation_is_refused(void **state)
{
    (void)state;
    char on_stack[64], *block = get(1000, 0), *run = get(4 * SPAN, 0);
    void *elsewhere = malloc(64);
    memset(run, 7, 4 * SPAN);
    char *const wrong[] = {on_stack,       elsewhere,       (char *)64,      block + 1,
                           block + 64,     run + 1,         run + 64,        run + SPAN,
                           run + 3 * SPAN, run - (1 << 30), run + (1 << 30), (char *)UINTPTR_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(fmi_heap_free(wrong[i]), FM_ECORRUPT);
    assert_true(is_all((unsigned char *)run, 4 * SPAN, 7));
    assert_int_equal(fmi_heap_free(block), 0);
    assert_int_equal(fmi_heap_free(run), 0);
    free(elsewhere);
}

static void test_heap_refused_free_says_which_pointer(void **state)
{
    (void)state;
    char text[32], elsewhere[8], *block = get(1000, 0);
    assert_int_equal(fmi_heap_free(block), 0);
    assert_int_equal(fmi_heap_free(block), FM_ECORRUPT);
    snprintf(text, sizeof text, "%p", (void *)block);
    assert_non_null(strstr(fm_error_detail(), text));
    snprintf(text, sizeof text, "%p", (void *)elsewhere);
    assert_int_equal(fmi_heap_free(elsewhere), FM_ECORRUPT);
    assert_non_null(strstr(fm_error_detail(), text));
}

static void test_heap_free_of_null_does_nothing(void **state)
{
    (void)state;
    assert_int_equal(fmi_heap_free(NULL), 0);
}

static void test_heap_more_than_the_machine_has_gives_enomem_with_both_numbers(void **state)
{
    (void)state;
    struct fmi_heap_usage before, after;
    size_t asked_mib = 0, left_mib = 0;
    assert_int_equal(fmi_heap_free(get(SPAN, 0)), 0);
    fmi_heap_usage(&before);
    size_t bytes = (size_t)fmi_sys_memory_left() + ((size_t)8 << 30);
    if (bytes > before.limit_bytes / 2)
        t_skip("a machine with less memory than half the heap's addresses");
    assert_int_equal(refused(bytes), -ENOMEM);
    assert_int_equal(sscanf(fm_error_detail(), "%zu MiB asked for, %zu MiB", &asked_mib, &left_mib),
                     2);
    assert_in_range(asked_mib, bytes / MIB, bytes / MIB + 1);
    assert_in_range(left_mib, 1, asked_mib);
    fmi_heap_usage(&after);
    assert_int_equal(after.used_bytes, before.used_bytes);
    assert_int_equal(fmi_heap_free(get(MIB, 0)), 0);
}

static void test_heap_more_than_the_heap_has_gives_enomem_with_both_numbers(void **state)
{
    (void)state;
    struct fmi_heap_usage usage;
    char text[64];
    assert_int_equal(fmi_heap_free(get(SPAN, 0)), 0);
    fmi_heap_usage(&usage);
    assert_int_equal(refused(usage.limit_bytes * 3), -ENOMEM);
    snprintf(text, sizeof text, "%zu MiB asked for", usage.limit_bytes * 3 / MIB);
    assert_non_null(strstr(fm_error_detail(), text));
    snprintf(text, sizeof text, "the heap has %zu MiB", usage.limit_bytes / MIB);
    assert_non_null(strstr(fm_error_detail(), text));
}

static void test_heap_sizes_that_would_overflow_are_refused(void **state)
{
    (void)state;
    static const size_t too_much[] = {SIZE_MAX,        SIZE_MAX - 1,   SIZE_MAX - 63,
                                      SIZE_MAX - SPAN, SIZE_MAX / 2,   (size_t)1 << 63,
                                      (size_t)1 << 48, (size_t)1 << 44};
    for (size_t i = 0; i < sizeof too_much / sizeof too_much[0]; i++)
        assert_int_equal(refused(too_much[i]), -ENOMEM);
    assert_int_equal(fmi_heap_free(get(MIB, 0)), 0);
}

/* ---- what a host may do to it ---- */

static void close_all_and_allocate(void *arg)
{
    struct note *note = arg;
    EXPECT(close_range(3, ~0u, 0) == 0);
    EXPECT(fmi_heap_alloc((void **)&note->data, 32 * MIB, FMI_HEAP_ZERO) == 0);
    EXPECT(is_all((unsigned char *)note->data, 32 * MIB, 0));
    memset(note->data, 'x', 32 * MIB);
    for (int i = 0; i < 2000; i++) {
        void *block;
        EXPECT(fmi_heap_alloc(&block, 100, FMI_HEAP_ZERO) == 0);
    }
}

static void test_heap_allocates_after_the_host_has_closed_its_descriptor(void **state)
{
    (void)state;
    struct note *note = get(sizeof *note, FMI_HEAP_ZERO);
    assert_int_equal(t_exit_code(t_in_child(close_all_and_allocate, note)), 0);
    assert_true(is_all((unsigned char *)note->data, 32 * MIB, 'x'));
    assert_int_equal(fmi_heap_free(note->data), 0);
    assert_int_equal(fmi_heap_free(note), 0);
}

static void reuse_descriptor_and_allocate(void *arg)
{
    const char *path = arg;
    struct stat status;
    int heap_fd = fd_of("/memfd:forkmap");
    int file = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT(heap_fd >= 0 && file >= 0 && dup2(file, heap_fd) == heap_fd);
    void *p;
    EXPECT(fmi_heap_alloc(&p, 40 * MIB, FMI_HEAP_ZERO) == 0);
    EXPECT(fstat(file, &status) == 0 && status.st_size == 0 && status.st_blocks == 0);
}

static void test_heap_leaves_a_file_alone_that_has_taken_its_descriptor(void **state)
{
    (void)state;
    char path[512];
    unsetenv("FORKMAP_BACKING");
    assert_int_equal(fmi_heap_free(get(SPAN, 0)), 0);
    snprintf(path, sizeof path, "%s/file", t_temp_dir());
    assert_int_equal(t_exit_code(t_in_child(reuse_descriptor_and_allocate, path)), 0);
}

/* The lowest allocation there can be: the first of a fresh heap, or what lies below a known one. */
static volatile char *first_span(void)
{
    char *p = get(SPAN, 0);
    assert_int_equal(fmi_heap_free(p), 0);
    while (fmi_heap_contains(p - SPAN, 1))
        p -= SPAN;
    return p;
}

static void write_to(void *arg)
{
    *(volatile char *)arg = 1;
}

static void test_heap_write_below_the_first_allocation_dies_of_it(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    t_skip("SIGSEGV without AddressSanitizer's handler");
#endif
    volatile char *begin = first_span();
    assert_int_equal(t_signal(t_in_child(write_to, (void *)(uintptr_t)(begin - 1))), SIGSEGV);
    assert_int_equal(t_signal(t_in_child(write_to, (void *)(uintptr_t)(begin - 4000))), SIGSEGV);
    void *p = get(MIB, FMI_HEAP_ZERO);
    assert_int_equal(fmi_heap_free(p), 0);
}

T_MAIN(T_TEST(test_heap_is_no_larger_than_the_environment_allows),
       T_TEST(test_heap_size_that_is_none_is_not_used),
       T_TEST(test_heap_file_size_limit_makes_it_smaller),
       T_TEST(test_heap_tiny_file_size_limit_gives_efbig_and_no_signal),
       T_TEST(test_heap_address_limit_halves_it_until_it_fits),
       T_TEST(test_heap_tiny_address_limit_gives_enomem_with_the_remedy),
       T_TEST(test_heap_without_free_descriptors_gives_emfile_and_works_later),
       T_TEST(test_heap_in_dev_shm_works_and_leaves_no_name),
       T_TEST(test_heap_cannot_be_truncated_by_its_descriptor),
       T_TEST(test_heap_unknown_backing_falls_back_to_memfd),
       T_TEST(test_heap_large_memory_lies_on_huge_pages),
       T_TEST(test_heap_without_huge_pages_if_so_asked),
       T_TEST(test_heap_in_full_dev_shm_gives_enospc_and_no_bus_error),
       T_TEST(test_heap_small_blocks_in_full_dev_shm_give_enospc),
       T_TEST(test_heap_by_default_is_not_limited_by_a_small_dev_shm),
       T_TEST(test_heap_first_used_after_a_fork_is_the_childs_own),
       T_TEST(test_heap_memory_of_a_child_is_read_by_its_parent_at_the_same_address),
       T_TEST(test_heap_has_one_address_in_three_generations),
       T_TEST(test_heap_memory_is_freed_by_another_process_and_used_again),
       T_TEST(test_heap_sizes_from_one_byte_to_300_mib_hold_what_is_written),
       T_TEST(test_heap_allocations_are_aligned_to_64_bytes_and_large_ones_to_64_kib),
       T_TEST(test_heap_zeroed_memory_reads_zero_when_fresh_and_when_used_before),
       T_TEST(test_heap_live_allocations_keep_their_contents_while_others_come_and_go),
       T_TEST(test_heap_usage_rises_with_an_allocation_and_falls_with_its_free),
       T_TEST(test_heap_contains_tells_heap_from_other_memory),
       T_TEST(test_heap_double_free_is_refused_and_breaks_nothing),
       T_TEST(test_heap_free_of_what_is_no_allocation_is_refused),
       T_TEST(test_heap_refused_free_says_which_pointer),
       T_TEST(test_heap_free_of_null_does_nothing),
       T_TEST(test_heap_more_than_the_machine_has_gives_enomem_with_both_numbers),
       T_TEST(test_heap_more_than_the_heap_has_gives_enomem_with_both_numbers),
       T_TEST(test_heap_sizes_that_would_overflow_are_refused),
       T_TEST(test_heap_allocates_after_the_host_has_closed_its_descriptor),
       T_TEST(test_heap_leaves_a_file_alone_that_has_taken_its_descriptor),
       T_TEST(test_heap_write_below_the_first_allocation_dies_of_it))
