/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash */
/* TIMEOUT: 60 */
/* Saving .npy files: what is saved comes back as it was, and a save is whole or did not happen. */
#include "t.h"

#include "outfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <forkmap/array.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHAPE(...)  ((const int64_t[]){__VA_ARGS__})
#define SLICES(...) ((const fm_slice[]){__VA_ARGS__})

static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", t_temp_dir(), name);
    return path;
}

static fm_array *load(const char *path)
{
    fm_array *a;
    assert_int_equal(fm_npy_load(path, FM_NPY_READ, &a), 0);
    assert_non_null(a);
    return a;
}

static size_t read_back(const char *path, void *bytes, size_t cap)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t n = fread(bytes, 1, cap, file);
    fclose(file);
    return n;
}

/* Entries of the test's folder, hidden ones included. */
static int n_files(void)
{
    int n = 0;
    DIR *folder = opendir(t_temp_dir());
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return n;
}

static void assert_same_elements(const fm_array *a, const fm_array *b)
{
    int ndim = fm_array_ndim(a);
    int64_t index[FM_MAX_DIMS] = {0};
    assert_int_equal(fm_array_dtype(a), fm_array_dtype(b));
    assert_int_equal(ndim, fm_array_ndim(b));
    assert_memory_equal(fm_array_shape(a), fm_array_shape(b), (size_t)ndim * sizeof(int64_t));
    for (int64_t i = 0; i < fm_array_count(a); i++) {
        int64_t rest = i;
        for (int axis = ndim - 1; axis >= 0; axis--) {
            index[axis] = rest % fm_array_shape(a)[axis];
            rest /= fm_array_shape(a)[axis];
        }
        if (memcmp(fm_array_at(a, ndim, index), fm_array_at(b, ndim, index),
                   fm_dtype_bytes(fm_array_dtype(a))) != 0)
            fail_msg("element %lld differs", (long long)i);
    }
}

static fm_array *make_filled(fm_dtype dtype, int ndim, const int64_t *shape, int order)
{
    fm_array *a;
    assert_int_equal(fm_array_create(&a, dtype, ndim, shape, FM_ARRAY_OPTS(.order = order)), 0);
    uint8_t *data = fm_array_data(a);
    for (size_t i = 0; i < fm_array_bytes(a); i++)
        data[i] = (uint8_t)(i * 37 + i / 251);
    return a;
}

static void save_and_compare(const fm_array *a)
{
    const char *path = path_of("out.npy");
    assert_int_equal(fm_npy_save(path, a), 0);
    fm_array *b = load(path);
    assert_same_elements(a, b);
    fm_array_destroy(b);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(n_files(), 0);
}

/* ---- round trips ---- */

static void test_npy_every_dtype_and_order_comes_back_as_it_was(void **state)
{
    (void)state;
    static const fm_dtype dtypes[] = {
        FM_BOOL, FM_I8,  FM_I16, FM_I32, FM_I64,  FM_U8,        FM_U16,        FM_U32,
        FM_U64,  FM_F32, FM_F64, FM_C64, FM_C128, FM_STRUCT(1), FM_STRUCT(24), FM_STRUCT(99999)};
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++)
        for (int order = FM_ORDER_C; order <= FM_ORDER_F; order++) {
            fm_array *a = make_filled(dtypes[i], 3, SHAPE(3, 2, 5), order);
            save_and_compare(a);
            assert_int_equal(fm_npy_save(path_of("o.npy"), a), 0);
            fm_array *b = load(path_of("o.npy"));
            assert_true(fm_array_is_contiguous(b, order));
            assert_int_equal(unlink(path_of("o.npy")), 0);
            fm_array_destroy(b);
            fm_array_destroy(a);
        }
}

static void test_npy_save_writes_the_bytes_that_numpy_writes(void **state)
{
    (void)state;
    static const int32_t values[6] = {0, 1, 2, 3, 4, 5};
    static const char header[] = "\x93NUMPY\x01\x00v\x00{'descr': '<i4', 'fortran_order': False, "
                                 "'shape': (2, 3), }";
    char expected[128 + sizeof values], bytes[256];
    memset(expected, ' ', 127);
    memcpy(expected, header, sizeof header - 1);
    expected[127] = '\n';
    memcpy(expected + 128, values, sizeof values);
    fm_array *a;
    assert_int_equal(fm_array_from(&a, values, FM_I32, 2, SHAPE(2, 3)), 0);
    assert_int_equal(fm_npy_save(path_of("a.npy"), a), 0);
    assert_int_equal(read_back(path_of("a.npy"), bytes, sizeof bytes), sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
    fm_array_destroy(a);
}

static void test_npy_views_with_gaps_and_negative_steps_are_saved_in_c_order(void **state)
{
    (void)state;
    fm_array *a = make_filled(FM_I16, 3, SHAPE(9, 8, 7), FM_ORDER_C), *v;
    const fm_slice cuts[][3] = {
        {{8, -1, -1}, FM_ALL, FM_ALL},        {FM_ALL, {1, 8, 3}, FM_ALL},
        {{0, 9, 4}, {7, -1, -2}, {6, 0, -5}}, {FM_ALL, FM_ALL, {2, 3, 1}},
        {{4, 5, 1}, FM_ALL, FM_ALL},          {FM_ALL, {8, 8, 1}, FM_ALL},
    };
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        assert_int_equal(fm_array_view(&v, a, cuts[i]), 0);
        save_and_compare(v);
        fm_array_destroy(v);
    }
    fm_array_destroy(a);
}

static void test_npy_large_views_pass_through_a_small_buffer(void **state)
{
    (void)state;
    fm_array *a = make_filled(FM_F64, 2, SHAPE(400, 300), FM_ORDER_F), *v;
    assert_int_equal(fm_array_view(&v, a, SLICES({399, -1, -1}, {0, 300, 2})),
                     0); /* single elements */
    save_and_compare(v);
    fm_array_destroy(v);
    fm_array_destroy(a);
    a = make_filled(FM_U8, 2, SHAPE(5, 400000), FM_ORDER_C);
    assert_int_equal(fm_array_view(&v, a, SLICES({4, -1, -2}, {1, 400000, 1})),
                     0); /* pieces above it */
    save_and_compare(v);
    fm_array_destroy(v);
    fm_array_destroy(a);
}

static void test_npy_arrays_without_rows_keep_their_shape(void **state)
{
    (void)state;
    const int64_t shapes[][2] = {{0, 3}, {3, 0}, {0, 0}};
    for (size_t i = 0; i < 3; i++) {
        fm_array *a = make_filled(FM_F32, 2, shapes[i], 0);
        save_and_compare(a);
        fm_array_destroy(a);
    }
}

static void test_npy_eight_axes_fit_the_header(void **state)
{
    (void)state;
    fm_array *a = make_filled(FM_STRUCT(16777215), 8, SHAPE(0, 1, 1000000, 1000, 100, 1, 1, 1), 0);
    save_and_compare(a);
    fm_array_destroy(a);
}

/* ---- whole or not at all ---- */

static void expect_old(const char *path)
{
    char bytes[16];
    if (read_back(path, bytes, sizeof bytes) != 3 || memcmp(bytes, "old", 3) != 0)
        fail_msg("the old file was touched");
}

/* Exit code: how a child names a step that went another way. */
struct save_case {
    const char *path;
    fm_array *array;
};

static void save_over_a_limit(void *arg)
{
    const struct save_case *c = arg;
    if (setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000}) != 0) /* SIGXFSZ would kill */
        _exit(2);
    _exit(fm_npy_save(c->path, c->array) == -EFBIG ? 0 : 1);
}

static void save_without_rights(void *arg)
{
    const struct save_case *c = arg;
    if (geteuid() == 0 && setuid(65534) != 0)
        _exit(2);
    _exit(fm_npy_save(c->path, c->array) == -EACCES ? 0 : 1);
}

static void test_npy_save_over_the_file_size_limit_leaves_the_old_file(void **state)
{
    (void)state;
    struct save_case c = {path_of("out.npy"), make_filled(FM_F64, 1, SHAPE(1000), 0)};
    t_write_file(c.path, "old", 3);
    assert_int_equal(t_exit_code(t_in_child(save_over_a_limit, &c)), 0);
    expect_old(c.path);
    assert_int_equal(n_files(), 1);
    fm_array_destroy(c.array);
}

static void test_npy_save_where_nothing_may_be_written_leaves_the_old_file(void **state)
{
    (void)state;
    struct save_case c = {path_of("out.npy"), make_filled(FM_F64, 1, SHAPE(10), 0)};
    t_write_file(c.path, "old", 3);
    assert_int_equal(chmod(c.path, 0444), 0);
    assert_int_equal(chmod(t_temp_dir(), 0777), 0);
    assert_int_equal(t_exit_code(t_in_child(save_without_rights, &c)), 0); /* the file */
    assert_int_equal(chmod(c.path, 0666), 0);
    assert_int_equal(chmod(t_temp_dir(), 0555), 0);
    assert_int_equal(t_exit_code(t_in_child(save_without_rights, &c)), 0); /* the folder */
    assert_int_equal(chmod(t_temp_dir(), 0700), 0);
    expect_old(c.path);
    assert_int_equal(n_files(), 1);
    fm_array_destroy(c.array);
}

/* On a file system of 64 KiB of its own. 77: none can be had. */
static void save_on_a_full_disk(void *arg)
{
    const struct save_case *c = arg;
    char path[PATH_MAX];
    fm_npy_writer *w;
    if (unshare(geteuid() == 0 ? CLONE_NEWNS : CLONE_NEWUSER | CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", c->path, "tmpfs", 0, "size=64k") != 0)
        _exit(77);
    snprintf(path, sizeof path, "%s/out.npy", c->path);
    if (fm_npy_reserve(path, FM_F64, 1, SHAPE(100000), &w) != -ENOSPC || w != NULL)
        _exit(1);
    if (strstr(fm_error_detail(), "800128 bytes needed") == NULL)
        _exit(2);
    if (access(path, F_OK) == 0)
        _exit(3);
    if (fm_npy_save(path, c->array) != 0) /* the failed one left no space taken */
        _exit(4);
}

static void test_npy_full_disk_is_noticed_before_the_work(void **state)
{
    (void)state;
    struct save_case c = {t_temp_dir(), make_filled(FM_U8, 1, SHAPE(50000), 0)};
    int code = t_exit_code(t_in_child(save_on_a_full_disk, &c));
    fm_array_destroy(c.array);
    if (code == 77)
        t_skip("the right to mount a small tmpfs");
    assert_int_equal(code, 0);
}

static void test_npy_save_to_a_place_that_is_not_there_is_refused(void **state)
{
    (void)state;
    fm_array *a = make_filled(FM_F64, 1, SHAPE(10), 0);
    assert_int_equal(fm_npy_save(path_of("none/out.npy"), a), -ENOENT);
    assert_non_null(strstr(fm_error_detail(), "none/out.npy"));
    assert_int_equal(fm_npy_save(path_of("out/"), a), -EISDIR);
    assert_int_equal(fm_npy_save(t_temp_dir(), a), -EISDIR);
    assert_int_equal(fm_npy_save("", a), -ENOENT);
    assert_int_equal(fm_npy_save(NULL, a), -EINVAL);
    assert_int_equal(fm_npy_save(path_of("out.npy"), NULL), -EINVAL);
    assert_int_equal(fm_npy_save("/dev/full", a), -ENOSPC);
    assert_int_equal(n_files(), 0);
    fm_array_destroy(a);
}

static void test_npy_reserve_takes_the_space_and_shows_nothing_until_commit(void **state)
{
    (void)state;
    const char *path = path_of("out.npy");
    fm_npy_writer *w;
    fm_array *a = make_filled(FM_F64, 2, SHAPE(100, 3), FM_ORDER_F), *b;
    assert_int_equal(fm_npy_reserve(path, FM_F64, 2, SHAPE(100, 3), &w), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(fm_npy_commit(w, a), 0);
    b = load(path);
    assert_same_elements(a, b);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 128 + 2400);
    fm_array_destroy(b);
    fm_array_destroy(a);
    assert_int_equal(n_files(), 1);
}

static void test_npy_abandoned_writer_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = path_of("out.npy");
    fm_npy_writer *w;
    t_write_file(path, "old", 3);
    assert_int_equal(fm_npy_reserve(path, FM_F64, 1, SHAPE(100), &w), 0);
    fm_npy_abandon(w);
    fm_npy_abandon(NULL);
    expect_old(path);
    assert_int_equal(n_files(), 1);
}

static void test_npy_commit_of_another_array_leaves_the_old_file(void **state)
{
    (void)state;
    const char *path = path_of("out.npy");
    fm_array *arrays[] = {NULL, make_filled(FM_F64, 1, SHAPE(101), 0),
                          make_filled(FM_I64, 1, SHAPE(100), 0),
                          make_filled(FM_F64, 2, SHAPE(100, 1), 0)};
    t_write_file(path, "old", 3);
    for (int i = 0; i < 4; i++) {
        fm_npy_writer *w;
        assert_int_equal(fm_npy_reserve(path, FM_F64, 1, SHAPE(100), &w), 0);
        assert_int_equal(fm_npy_commit(w, arrays[i]), -EINVAL);
        fm_array_destroy(arrays[i]);
    }
    assert_int_equal(fm_npy_commit(NULL, NULL), -EINVAL);
    expect_old(path);
    assert_int_equal(n_files(), 1);
}

static void test_npy_reserve_refuses_bad_arguments(void **state)
{
    (void)state;
    fm_npy_writer *w;
    const char *path = path_of("out.npy");
    assert_int_equal(fm_npy_reserve(path, 0, 1, SHAPE(1), &w), -EINVAL);
    assert_int_equal(fm_npy_reserve(path, FM_F64, 0, SHAPE(1), &w), -EINVAL);
    assert_int_equal(fm_npy_reserve(path, FM_F64, 1, NULL, &w), -EINVAL);
    assert_int_equal(fm_npy_reserve(path, FM_F64, 1, SHAPE(-1), &w), -EINVAL);
    assert_int_equal(fm_npy_reserve(path, FM_F64, 1, SHAPE(INT64_MAX), &w), -EOVERFLOW);
    assert_int_equal(fm_npy_reserve(NULL, FM_F64, 1, SHAPE(1), &w), -EINVAL);
    assert_null(w);
    assert_int_equal(fm_npy_reserve(path, FM_F64, 1, SHAPE(1), NULL), -EINVAL);
    int code = fm_npy_reserve(path, FM_U8, 1, SHAPE(INT64_C(1) << 61), &w);
    assert_true(code == -EFBIG || code == -ENOSPC);
    assert_int_equal(n_files(), 0);
}

static void reserve_and_die(void *path)
{
    fm_npy_writer *w;
    if (fm_npy_reserve(path, FM_F64, 1, SHAPE(100000), &w) == 0)
        raise(SIGKILL);
    _exit(1);
}

static void test_npy_writer_that_is_killed_leaves_nothing(void **state)
{
    (void)state;
    int fd = open(t_temp_dir(), O_RDWR | O_TMPFILE, 0600);
    if (fd < 0)
        t_skip("a file system with nameless files (O_TMPFILE)");
    close(fd);
    assert_int_equal(t_signal(t_in_child(reserve_and_die, (void *)path_of("out.npy"))), SIGKILL);
    assert_int_equal(n_files(), 0);
}

static void use_parents_writers(void *arg)
{
    fm_npy_writer **w = arg;
    fm_array *a;
    if (fm_array_zeros(&a, FM_F64, 1, SHAPE(5)) != 0)
        _exit(1);
    if (fm_npy_commit(w[0], a) != FM_EFORKED)
        _exit(2);
    fm_npy_abandon(w[1]);
}

static void test_npy_writer_of_the_parent_is_safe_from_a_child(void **state)
{
    (void)state;
    fm_npy_writer *w[2];
    fm_array *a = make_filled(FM_F64, 1, SHAPE(5), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(fm_npy_reserve(path_of(i ? "b.npy" : "a.npy"), FM_F64, 1, SHAPE(5), &w[i]),
                         0);
    assert_int_equal(t_exit_code(t_in_child(use_parents_writers, w)), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fm_npy_commit(w[i], a), 0);
        fm_array *b = load(path_of(i ? "b.npy" : "a.npy"));
        assert_same_elements(a, b);
        fm_array_destroy(b);
    }
    fm_array_destroy(a);
}

static void test_npy_save_keeps_permissions_and_follows_links(void **state)
{
    (void)state;
    struct stat st;
    fm_array *a = make_filled(FM_F64, 1, SHAPE(5), 0), *b;
    t_write_file(path_of("real.npy"), "old", 3);
    assert_int_equal(chmod(path_of("real.npy"), 0640), 0);
    assert_int_equal(symlink("real.npy", path_of("link.npy")), 0);
    assert_int_equal(fm_npy_save(path_of("link.npy"), a), 0);
    assert_int_equal(lstat(path_of("link.npy"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path_of("real.npy"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    b = load(path_of("real.npy"));
    assert_same_elements(a, b);
    fm_array_destroy(b);
    mode_t old = umask(027);
    assert_int_equal(fm_npy_save(path_of("new.npy"), a), 0);
    umask(old);
    assert_int_equal(stat(path_of("new.npy"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    fm_array_destroy(a);
}

static void save_after_chdir(void *arg)
{
    struct save_case *c = arg;
    fm_npy_writer *w;
    if (chdir(t_temp_dir()) != 0 || fm_npy_reserve("here.npy", FM_F64, 1, SHAPE(5), &w) != 0)
        _exit(1);
    if (chdir("/") != 0 || fm_npy_commit(w, c->array) != 0)
        _exit(2);
}

static void test_npy_relative_path_means_the_folder_of_the_reserve(void **state)
{
    (void)state;
    struct save_case c = {path_of("here.npy"), make_filled(FM_F64, 1, SHAPE(5), 0)};
    assert_int_equal(t_exit_code(t_in_child(save_after_chdir, &c)), 0);
    fm_array *b = load(c.path);
    assert_same_elements(c.array, b);
    fm_array_destroy(b);
    fm_array_destroy(c.array);
}

static void test_npy_save_to_a_descriptor_goes_on_where_it_stands(void **state)
{
    (void)state;
    char path[32], bytes[300];
    int fds[2];
    fm_array *a = make_filled(FM_U8, 1, SHAPE(10), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", fds[1]);
    assert_int_equal(fm_npy_save(path, a), 0);
    assert_int_equal(read(fds[0], bytes, sizeof bytes), 138);
    assert_memory_equal(bytes + 128, fm_array_data(a), 10);
    close(fds[0]);
    close(fds[1]);
    int fd = open(path_of("log"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "old", 3), 3);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(fm_npy_save(path, a), 0);
    close(fd);
    assert_int_equal(read_back(path_of("log"), bytes, sizeof bytes), 141);
    assert_memory_equal(bytes, "old\x93NUMPY", 9);
    assert_int_equal(fm_npy_save("/dev/fd/999999", a), -EBADF);
    fm_array_destroy(a);
}

static void test_npy_output_with_a_temporary_name_is_as_whole(void **state)
{
    (void)state;
    struct fmi_outfile o;
    const char *path = path_of("out");
    t_write_file(path, "old", 3);
    assert_int_equal(fmi_outfile_open(&o, path, 5, FMI_OUTFILE_NAMED), 0);
    assert_int_equal(n_files(), 2);
    assert_int_equal(fmi_outfile_write(&o, "new", 3), 0);
    expect_old(path);
    fmi_outfile_abandon(&o);
    expect_old(path);
    assert_int_equal(n_files(), 1);
    assert_int_equal(fmi_outfile_open(&o, path, 5, FMI_OUTFILE_NAMED), 0);
    assert_int_equal(fmi_outfile_write(&o, "newer", 5), 0);
    assert_int_equal(fmi_outfile_commit(&o), 0);
    assert_int_equal(n_files(), 1);
    char bytes[8];
    assert_int_equal(read_back(path, bytes, sizeof bytes), 5);
    assert_memory_equal(bytes, "newer", 5);
}

static void test_npy_commit_that_cannot_take_the_name_leaves_no_file(void **state)
{
    (void)state;
    fm_npy_writer *w;
    fm_array *a = make_filled(FM_F64, 1, SHAPE(5), 0);
    assert_int_equal(fm_npy_reserve(path_of("out.npy"), FM_F64, 1, SHAPE(5), &w), 0);
    assert_int_equal(mkdir(path_of("out.npy"), 0700), 0); /* since then somebody took the name */
    assert_int_equal(fm_npy_commit(w, a), -EISDIR);
    assert_non_null(strstr(fm_error_detail(), "out.npy"));
    assert_int_equal(n_files(), 1);
    fm_array_destroy(a);
}

T_MAIN(T_TEST(test_npy_every_dtype_and_order_comes_back_as_it_was),
       T_TEST(test_npy_save_writes_the_bytes_that_numpy_writes),
       T_TEST(test_npy_views_with_gaps_and_negative_steps_are_saved_in_c_order),
       T_TEST(test_npy_large_views_pass_through_a_small_buffer),
       T_TEST(test_npy_arrays_without_rows_keep_their_shape),
       T_TEST(test_npy_eight_axes_fit_the_header),
       T_TEST(test_npy_save_over_the_file_size_limit_leaves_the_old_file),
       T_TEST(test_npy_save_where_nothing_may_be_written_leaves_the_old_file),
       T_TEST(test_npy_full_disk_is_noticed_before_the_work),
       T_TEST(test_npy_save_to_a_place_that_is_not_there_is_refused),
       T_TEST(test_npy_reserve_takes_the_space_and_shows_nothing_until_commit),
       T_TEST(test_npy_abandoned_writer_leaves_the_old_file),
       T_TEST(test_npy_commit_of_another_array_leaves_the_old_file),
       T_TEST(test_npy_reserve_refuses_bad_arguments),
       T_TEST(test_npy_writer_that_is_killed_leaves_nothing),
       T_TEST(test_npy_writer_of_the_parent_is_safe_from_a_child),
       T_TEST(test_npy_save_keeps_permissions_and_follows_links),
       T_TEST(test_npy_relative_path_means_the_folder_of_the_reserve),
       T_TEST(test_npy_save_to_a_descriptor_goes_on_where_it_stands),
       T_TEST(test_npy_output_with_a_temporary_name_is_as_whole),
       T_TEST(test_npy_commit_that_cannot_take_the_name_leaves_no_file))
