/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 40 */
/* Arrays that are files: one address in all processes, before and after the pool, and what happens when the file or its opener goes. */
#include "t_filemap.h"

#include "array.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_filemap_array_is_what_the_file_holds(void **state)
{
    (void)state;
    const char *path = t_numbers("in.npy", N);
    fm_array *mapped = t_load(path, FM_NPY_MAP), *copy = t_load(path, FM_NPY_READ);
    assert_int_equal(fm_array_len(mapped), N);
    assert_int_equal(fm_array_dtype(mapped), FM_I64);
    assert_memory_equal(fm_array_data(mapped), fm_array_data(copy), N * sizeof(int64_t));
    assert_true(fm_array_is_contiguous(mapped, FM_ORDER_C));
    fm_array_destroy(mapped);
    fm_array_destroy(copy);
}

static void test_filemap_raw_file_in_fortran_order_is_mapped_as_it_lies(void **state)
{
    (void)state;
    const float columns[6] = {1, 2, 3, 10, 20, 30}; /* 3 rows of 2 */
    const char *path = t_path_of("in.bin");
    fm_array *a;
    t_write_file(path, columns, sizeof columns);
    t_expect(fm_raw_open(path, "raw:f4:3x2:F", FM_NPY_MAP, &a), 0);
    for (int64_t i = 0; i < 3; i++)
        assert_true(*(float *)fm_array_at(a, 2, T_SHAPE(i, 1)) == 10.0F * (float)(i + 1));
    fm_array_destroy(a);
}

static void map_files(fm_pool *pool)
{
    fm_array *in = t_load(t_path_of("in.npy"), FM_NPY_MAP), *out;
    t_expect(fm_npy_create(t_path_of("out.npy"), FM_I64, 1, T_SHAPE(N), &out), 0);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0);
    t_expect_tripled(out);
    fm_array_destroy(in);
    fm_array_destroy(out);
    out = t_load(t_path_of("out.npy"), FM_NPY_READ);
    t_expect_tripled(out);
    fm_array_destroy(out);
}

static void test_filemap_files_mapped_after_the_pool_are_there_in_workers(void **state)
{
    (void)state;
    t_numbers("in.npy", N);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++)
        for (int workers = 1; workers <= 3; workers++) {
            fm_pool *pool = t_open(workers, caller);
            map_files(pool);
            map_files(pool); /* other mappings than before */
            t_destroy(pool);
        }
}

static void test_filemap_files_mapped_before_the_pool_are_inherited(void **state)
{
    (void)state;
    fm_array *in = t_load(t_numbers("in.npy", N), FM_NPY_MAP), *out;
    t_expect(fm_npy_create(t_path_of("out.npy"), FM_I64, 1, T_SHAPE(N), &out), 0);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0);
    t_expect_tripled(out);
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
}

static void test_filemap_views_map_as_their_base_does(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *base = t_load(t_numbers("in.npy", N), FM_NPY_MAP), *view,
             *out = t_vector(FM_I64, N / 2);
    t_expect(fm_array_view(&view, base, &(fm_slice){N - 1, -1, -2}), 0);
    fm_array_destroy(base); /* the view keeps the file */
    t_expect(fm_pool_map(pool, t_triple, view, out, NULL), 0);
    const int64_t *data = fm_array_data(out);
    for (int64_t i = 0; i < N / 2; i++)
        assert_int_equal(data[i], 3 * (N - 1 - 2 * i) + 1);
    fm_array_destroy(view);
    fm_array_destroy(out);
    t_destroy(pool);
}

static int increment(const void *item, void *result, void *arg)
{
    int64_t value = *(const int64_t *)item, *deaths = arg;
    *(int64_t *)result = value + 1; /* in place, so an attempt that is not undone adds twice */
    if (value % 5000 == 7 && __atomic_fetch_sub(deaths, 1, __ATOMIC_RELAXED) > 0)
        raise(SIGKILL);
    return 0;
}

static void test_filemap_in_place_is_exact_over_deaths_of_workers(void **state)
{
    (void)state;
    const char *path = t_numbers("in.npy", N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *a = t_load(path, FM_NPY_MAP_WRITE), *deaths = t_vector(FM_I64, 1);
    *(int64_t *)fm_array_data(deaths) = 3;
    t_expect(
        fm_pool_map(pool, increment, a, a,
                    FM_MAP_OPTS(.flags = FM_IN_PLACE, .arg = fm_array_data(deaths), .retries = 3)),
        0);
    assert_int_equal(fm_array_sync(a), 0);
    fm_array_destroy(a);
    fm_array_destroy(deaths);
    t_destroy(pool);
    a = t_load(path, FM_NPY_READ);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(((int64_t *)fm_array_data(a))[i], i + 1);
    fm_array_destroy(a);
}

T_UNCHECKED static int write_into_input(const void *item, void *result, void *arg)
{
    (void)arg;
    if (*(const int64_t *)item == 77)
        *(volatile int64_t *)(uintptr_t)item = 0;
    *(int64_t *)result = 1;
    return 0;
}

static void test_filemap_write_into_a_file_mapped_to_read_is_a_crash_of_the_item(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_load(t_numbers("in.npy", N), FM_NPY_MAP), *out = t_vector(FM_I64, N);
    fm_failure failure;
    t_expect(fm_pool_map(pool, write_into_input, in, out, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, 77);
    assert_int_equal(failure.signal, SIGSEGV);
    assert_int_equal(((const int64_t *)fm_array_data(in))[77], 77);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_filemap_file_mapped_to_read_is_refused_as_output(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = t_load(t_numbers("out.npy", N), FM_NPY_MAP);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "FM_NPY_MAP_WRITE"));
    t_expect(fm_pool_map(pool, t_triple, out, out, FM_MAP_OPTS(.flags = FM_IN_PLACE)), -EINVAL);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_filemap_mapped_status_is_refused(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(10), *out = t_vector(FM_I64, 10), *status;
    t_expect(fm_npy_create(t_path_of("status.npy"), FM_U8, 1, T_SHAPE(10), &status), 0);
    t_expect(fm_pool_map(pool, t_triple, in, out, FM_MAP_OPTS(.status = status)), -EINVAL);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(status);
    t_destroy(pool);
}

/* Whether the worker has mapped it before it is cut, after, or inherited it. */
static void expect_items_lost(fm_pool *pool, fm_array *in)
{
    fm_array *out = t_vector(FM_I64, N);
    fm_failure failure;
    assert_int_equal(truncate(t_path_of("in.npy"), 4096), 0);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), FM_ECRASHED);
    assert_int_equal(fm_pool_failures(pool, &failure, 1), 1);
    assert_int_equal(failure.item, (4096 - 128) / 8); /* the first past the page that is left */
    assert_int_equal(failure.signal, SIGBUS);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_filemap_file_cut_while_mapped_is_a_crash_of_the_items_that_are_gone(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *in = t_load(t_numbers("in.npy", N), FM_NPY_MAP), *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0);
    fm_array_destroy(out);
    expect_items_lost(pool, in);
}

static void test_filemap_file_cut_before_a_worker_maps_it_is_the_same_crash(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    expect_items_lost(pool, t_load(t_numbers("in.npy", N), FM_NPY_MAP));
    fm_array *in = t_load(t_numbers("in.npy", N), FM_NPY_MAP);
    expect_items_lost(t_open(1, FM_CALLER_SLEEPS), in);
}

static void test_filemap_what_cannot_be_mapped_says_why(void **state)
{
    (void)state;
    fm_array *a;
    const char *path = t_path_of("big.npy");
    char file[128 + 16] = "\x93NUMPY\x01\x00\x76\x00{'descr': '>i8', 'fortran_order': False, "
                          "'shape': (2,), }";
    for (size_t i = 10 + strlen(file + 10); i < 127; i++)
        file[i] = ' ';
    file[127] = '\n';
    t_write_file(path, file, sizeof file);
    t_expect(fm_npy_load(path, FM_NPY_READ, &a), 0);
    fm_array_destroy(a);
    t_expect(fm_npy_load(path, FM_NPY_MAP, &a), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "byte order"));
    assert_null(a);
    file[8] = 0x77; /* a header of one byte more */
    file[127] = ' ';
    file[128] = '\n';
    t_write_file(path, file, sizeof file);
    memcpy(file + 21, "|u1", 3);
    t_write_file(path, file, sizeof file);
    t_expect(fm_npy_load(path, FM_NPY_MAP, &a), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "multiple of 16"));
    t_expect(fm_npy_load(path, 4, &a), -EINVAL);
    t_expect(fm_npy_load(path, 0, &a), -EINVAL);
    t_expect(fm_npy_load(t_path_of("none.npy"), FM_NPY_MAP, &a), -ENOENT);
    t_expect(fm_npy_create("/dev/null", FM_F64, 1, T_SHAPE(4), &a), -ENOTSUP);
    assert_null(a);
}

static void test_filemap_array_without_elements_needs_no_mapping(void **state)
{
    (void)state;
    fm_array *a;
    t_expect(fm_npy_create(t_path_of("none.npy"), FM_F64, 2, T_SHAPE(0, 3), &a), 0);
    fm_array_destroy(a);
    a = t_load(t_path_of("none.npy"), FM_NPY_MAP);
    assert_int_equal(fm_array_len(a), 0);
    assert_int_equal(fm_array_shape(a)[1], 3);
    fm_array_destroy(a);
}

static void test_filemap_created_file_is_there_at_full_size_and_reads_zero(void **state)
{
    (void)state;
    fm_array *a, *seen;
    struct stat st;
    const char *path = t_path_of("out.npy");
    t_expect(fm_npy_create(path, FM_F32, 2, T_SHAPE(1000, 3), &a), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 128 + 12000);
    seen = t_load(path, FM_NPY_READ);
    for (int i = 0; i < 3000; i++)
        assert_true(((float *)fm_array_data(seen))[i] == 0);
    fm_array_destroy(seen);
    ((float *)fm_array_data(a))[2999] = 5;
    seen = t_load(path, FM_NPY_READ);
    assert_true(((float *)fm_array_data(seen))[2999] == 5);
    fm_array_destroy(seen);
    fm_array_destroy(a);
}

static void test_filemap_reserved_file_shows_nothing_until_commit(void **state)
{
    (void)state;
    const char *path = t_path_of("out.npy");
    fm_npy_writer *w;
    fm_array *out, *again, *in = t_counted(N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    t_expect(fm_npy_reserve(path, FM_I64, 1, T_SHAPE(N), &w), 0);
    t_expect(fm_npy_map_reserved(w, &out), 0);
    t_expect(fm_npy_map_reserved(w, &again), -EINVAL);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0);
    assert_int_equal(access(path, F_OK), -1);
    t_expect(fm_npy_commit(w, out), 0);
    fm_array_destroy(out);
    out = t_load(path, FM_NPY_READ);
    t_expect_tripled(out);
    fm_array_destroy(out);
    fm_array_destroy(in);
    t_destroy(pool);
}

static void test_filemap_reserved_file_takes_its_own_array_only_and_abandon_leaves_nothing(void **s)
{
    (void)s;
    const char *path = t_path_of("out.npy");
    fm_npy_writer *w;
    fm_array *out, *other = t_counted(10);
    t_expect(fm_npy_reserve(path, FM_I64, 1, T_SHAPE(10), &w), 0);
    t_expect(fm_npy_map_reserved(w, &out), 0);
    t_expect(fm_npy_commit(w, other), -EINVAL);
    fm_array_destroy(out);
    t_expect(fm_npy_reserve(path, FM_I64, 1, T_SHAPE(10), &w), 0);
    t_expect(fm_npy_map_reserved(w, &out), 0);
    fm_npy_abandon(w);
    ((int64_t *)fm_array_data(out))[9] = 1; /* it is memory still */
    fm_array_destroy(out);
    fm_array_destroy(other);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_filemap_removed_file_is_still_there_for_workers(void **state)
{
    (void)state;
    const char *path = t_numbers("in.npy", N);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_load(path, FM_NPY_MAP), *out = t_vector(FM_I64, N);
    assert_int_equal(unlink(path), 0);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0);
    t_expect_tripled(out);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

/* The descriptor that the record tells of is another file's: workers must not take that for the array's. */
static void test_filemap_descriptor_that_became_another_file_is_refused(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *in = t_load(t_numbers("in.npy", N), FM_NPY_MAP), *out = t_vector(FM_I64, N);
    int fd = in->buffer->file.fd, kept = dup(fd), other = open(t_numbers("b.npy", N), O_RDONLY);
    assert_int_equal(dup2(other, fd), fd);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), -ESTALE);
    assert_int_equal(dup2(kept, fd), fd);
    close(kept);
    close(other);
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0); /* and the pool goes on */
    t_expect_tripled(out);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_filemap_overwritten_record_is_no_memory_of_ours(void **state)
{
    (void)state;
    fm_array *in = t_load(t_numbers("in.npy", N), FM_NPY_MAP);
    struct fmi_array_view view;
    struct fmi_file_shm good = in->buffer->file;
    char *data = in->buffer->data;
    in->buffer->data = data + (1 << 30);
    assert_int_equal(fmi_array_inspect(in, &view), FM_ECORRUPT);
    in->buffer->data = data;
    in->buffer->file.serial = UINT64_MAX;
    assert_int_equal(fmi_array_inspect(in, &view), FM_ECORRUPT);
    in->buffer->file.serial = 0; /* "heap memory", and does not lie there */
    assert_int_equal(fmi_array_inspect(in, &view), FM_ECORRUPT);
    in->buffer->file = good;
    assert_int_equal(fmi_array_inspect(in, &view), 0);
    fm_array_destroy(in);
}

static void test_filemap_workers_drop_what_is_gone_when_they_map_the_next(void **state)
{
    (void)state;
    const char *path = t_numbers("in.npy", N);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *out = t_vector(FM_I64, N);
    fm_worker_info info;
    t_expect(fm_pool_worker(pool, 0, &info), 0);
    for (int i = 0; i < 50; i++) {
        fm_array *in = t_load(path, FM_NPY_MAP);
        t_expect(fm_pool_map(pool, t_triple, in, out, NULL), 0);
        assert_int_equal(t_n_mappings(info.pid, "in.npy"), 1);
        fm_array_destroy(in);
    }
    assert_int_equal(t_n_mappings(getpid(), "in.npy"), 0);
    fm_array_destroy(out);
    t_destroy(pool);
}

static int read_elsewhere(const void *item, void *result, void *arg)
{
    fm_array *a = *(fm_array *const *)arg;
    *(int64_t *)result = ((const int64_t *)fm_array_data(a))[*(const int64_t *)item];
    return 0;
}

static void test_filemap_function_reaches_a_file_that_is_no_column(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(N), *out = t_vector(FM_I64, N);
    fm_array *a = t_load(t_numbers("table.npy", N), FM_NPY_MAP);
    t_expect(fm_pool_map(pool, read_elsewhere, in, out,
                         FM_MAP_OPTS(.arg = (void *)&a, .arg_bytes = sizeof a)),
             0);
    assert_memory_equal(fm_array_data(out), fm_array_data(in), N * sizeof(int64_t));
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(a);
    t_destroy(pool);
}

static void test_filemap_table_of_a_process_takes_1024_files_and_says_so(void **state)
{
    (void)state;
    enum { MOST = 1024 };
    static fm_array *a[MOST + 1];
    struct rlimit files = {MOST + 64, MOST + 64};
    const char *path = t_numbers("in.npy", 4);
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        t_skip("the right to open 1088 files");
    int n = 0;
    while (n <= MOST && fm_npy_load(path, FM_NPY_MAP, &a[n]) == 0)
        n++;
    assert_int_equal(n, MOST);
    assert_non_null(strstr(fm_error_detail(), "1024 files"));
    for (int i = 0; i < n; i++) {
        assert_int_equal(((const int64_t *)fm_array_data(a[i]))[3], 3);
        fm_array_destroy(a[i]);
    }
    fm_array *again = t_load(path, FM_NPY_MAP); /* there is room again */
    fm_array_destroy(again);
}

/* ---- ends ---- */

static void test_filemap_writer_that_could_not_be_mapped_is_as_it_was(void **state)
{
    (void)state;
    fm_npy_writer *w;
    fm_array *heap = t_counted(1000), *out;
    struct rlimit files, none = {0};
    t_expect(fm_npy_reserve(t_path_of("out.npy"), FM_I64, 1, T_SHAPE(1000), &w), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    none.rlim_max = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int code = fm_npy_map_reserved(w, &out);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    assert_true(code == -EMFILE || code == -EINVAL);
    assert_null(out);
    t_expect(fm_npy_commit(w, heap), 0);
    out = t_load(t_path_of("out.npy"), FM_NPY_READ);
    assert_memory_equal(fm_array_data(out), fm_array_data(heap), 1000 * sizeof(int64_t));
    fm_array_destroy(out);
    fm_array_destroy(heap);
}

static int load_here(const void *item, void *result, void *arg)
{
    (void)item;
    return fm_npy_load(arg, FM_NPY_MAP, result);
}

static void test_filemap_array_of_a_worker_that_ended_can_be_destroyed(void **state)
{
    (void)state;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", t_numbers("a.npy", N));
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *in = t_counted(1), *out = t_vector(FM_I64, 1);
    t_expect(fm_pool_map(pool, load_here, in, out,
                         FM_MAP_OPTS(.arg = path, .arg_bytes = strlen(path) + 1)),
             0);
    fm_array *made = *(fm_array **)fm_array_data(out), *tripled = t_vector(FM_I64, N);
    t_destroy(pool);
    assert_null(fm_array_data(made)); /* who opened the file is gone */
    pool = t_open(1, FM_CALLER_SLEEPS);
    t_expect(fm_pool_map(pool, t_triple, made, tripled, NULL), -ESTALE);
    assert_int_equal(fm_array_lock(made, FM_NOWAIT), 0);
    assert_int_equal(fm_array_unlock(made), 0);
    fm_array_destroy(made);
    assert_int_equal(fm_array_ndim(made), 0);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(tripled);
    t_destroy(pool);
}

static void test_filemap_processes_of_a_pool_let_go_of_a_file_that_is_gone(void **state)
{
    (void)state;
    fm_array *in = t_load(t_numbers("a.npy", N), FM_NPY_MAP), *out = t_vector(FM_I64, N);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_worker_info info;
    t_expect(fm_pool_worker(pool, 0, &info), 0);
    assert_int_equal(t_n_mappings(info.pid, "a.npy"), 1);
    fm_array_destroy(in);
    in = t_counted(N);
    /* A time limit wakes the warden, too. */
    t_expect(fm_pool_map(pool, t_triple, in, out, FM_MAP_OPTS(.item_timeout = FM_SECONDS(5))), 0);
    const int pids[] = {info.pid, fm_pool_warden_pid(pool)};
    for (int k = 0; k < 2; k++) { /* soon after the map */
        for (int i = 0; i < 5000 && t_n_mappings(pids[k], "a.npy") > 0; i++)
            t_sleep_ms(1);
        assert_int_equal(t_n_mappings(pids[k], "a.npy"), 0);
    }
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

T_MAIN(T_TEST(test_filemap_array_is_what_the_file_holds),
       T_TEST(test_filemap_raw_file_in_fortran_order_is_mapped_as_it_lies),
       T_TEST(test_filemap_files_mapped_after_the_pool_are_there_in_workers),
       T_TEST(test_filemap_files_mapped_before_the_pool_are_inherited),
       T_TEST(test_filemap_views_map_as_their_base_does),
       T_TEST(test_filemap_in_place_is_exact_over_deaths_of_workers),
       T_TEST(test_filemap_write_into_a_file_mapped_to_read_is_a_crash_of_the_item),
       T_TEST(test_filemap_file_mapped_to_read_is_refused_as_output),
       T_TEST(test_filemap_mapped_status_is_refused),
       T_TEST(test_filemap_file_cut_while_mapped_is_a_crash_of_the_items_that_are_gone),
       T_TEST(test_filemap_file_cut_before_a_worker_maps_it_is_the_same_crash),
       T_TEST(test_filemap_what_cannot_be_mapped_says_why),
       T_TEST(test_filemap_array_without_elements_needs_no_mapping),
       T_TEST(test_filemap_created_file_is_there_at_full_size_and_reads_zero),
       T_TEST(test_filemap_reserved_file_shows_nothing_until_commit),
       T_TEST(test_filemap_reserved_file_takes_its_own_array_only_and_abandon_leaves_nothing),
       T_TEST(test_filemap_removed_file_is_still_there_for_workers),
       T_TEST(test_filemap_descriptor_that_became_another_file_is_refused),
       T_TEST(test_filemap_overwritten_record_is_no_memory_of_ours),
       T_TEST(test_filemap_workers_drop_what_is_gone_when_they_map_the_next),
       T_TEST(test_filemap_function_reaches_a_file_that_is_no_column),
       T_TEST(test_filemap_table_of_a_process_takes_1024_files_and_says_so),
       T_TEST(test_filemap_writer_that_could_not_be_mapped_is_as_it_was),
       T_TEST(test_filemap_array_of_a_worker_that_ended_can_be_destroyed),
       T_TEST(test_filemap_processes_of_a_pool_let_go_of_a_file_that_is_gone))
