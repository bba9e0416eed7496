/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* Which function a pointer means in a worker: of the program, of libraries opened before and after the pool, changed ones. */
#include "t_pool.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* T_MODULE_DIR: where CMake put scale2.so, scale3.so, scale5.so (without a build-id), shift.so. */

union symbol { /* ISO C has no cast between the two */
    void *object;
    fm_item_fn *item;
    fm_chunk_fn *chunk;
    fm_combine_fn *combine;
    fm_task_fn *task;
    fm_item_fn *(*get)(void);
};

static char *path_of(const char *name, char path[600])
{
    snprintf(path, 600, "%s/%s", t_temp_dir(), name);
    return path;
}

/* As a linker does it: another file under that name, not other bytes in the file that is mapped. */
static void install(const char *module, const char *name)
{
    char from[600], to[600], fresh[600], bytes[4096];
    snprintf(from, sizeof from, "%s/%s", T_MODULE_DIR, module);
    FILE *in = fopen(from, "rb"), *out = fopen(path_of("fresh", fresh), "wb");
    if (in == NULL || out == NULL)
        fail_msg("cannot copy %s", from);
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, in)) > 0;)
        assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(fresh, path_of(name, to)), 0);
}

static void *open_module(const char *name)
{
    char path[600];
    void *handle = dlopen(path_of(name, path), RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fail_msg("%s", dlerror());
    return handle;
}

static union symbol find(void *handle, const char *name)
{
    union symbol symbol = {.object = dlsym(handle, name)};
    assert_non_null(symbol.object);
    return symbol;
}

enum { N = 50 };

static void check_scaled(fm_pool *pool, fm_item_fn *fn, int64_t factor, int64_t offset)
{
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, fn, 0, N, out, NULL), 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], i * factor + offset);
    fm_array_destroy(out);
}

static void expect_refused(fm_pool *pool, fm_item_fn *fn, int code)
{
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range(pool, fn, 0, N, out, NULL), code);
    assert_true(strlen(fm_error_detail()) > 0);
    for (int64_t i = 0; i < N; i++)
        assert_int_equal(((int64_t *)fm_array_data(out))[i], 0);
    fm_array_destroy(out);
}

/* ---- where functions come from ---- */

static int negate(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = -*(const int64_t *)item;
    return 0;
}

static void test_module_function_of_the_program_is_found(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    check_scaled(pool, negate, -1, 0);
    t_destroy(pool);
}

static void test_module_opened_before_the_pool_is_found(void **state)
{
    (void)state;
    install("scale2.so", "a.so");
    void *handle = open_module("a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    check_scaled(pool, find(handle, "scale").item, 2, 0);
    check_scaled(pool, find(handle, "scale_hidden").get(), 2, 0);
    t_destroy(pool);
    dlclose(handle);
}

static void call_late_with(int caller)
{
    install("scale2.so", "a.so");
    fm_pool *pool = t_open(2, caller);
    void *handle = open_module("a.so");
    fm_result *calls[N], *map;
    fm_array *out = t_vector(FM_I64, N);
    for (int64_t i = 0; i < N; i++)
        t_expect(fm_pool_apply_async(pool, find(handle, "scale_task").task, &i, sizeof i, NULL,
                                     sizeof i, NULL, &calls[i]),
                 0);
    t_expect(fm_pool_map_range_async(pool, find(handle, "scale").item, 0, N, out, NULL, &map), 0);
    t_expect(fm_result_get(map, FM_FOREVER), 0);
    for (int64_t i = 0; i < N; i++) {
        t_expect(fm_result_get(calls[i], FM_FOREVER), 0);
        assert_int_equal(*(const int64_t *)fm_result_data(calls[i]), 2 * i);
        assert_int_equal(((int64_t *)fm_array_data(out))[i], 2 * i);
        t_expect(fm_result_free(calls[i]), 0);
    }
    t_expect(fm_result_free(map), 0);
    fm_array_destroy(out);
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_opened_after_the_pool_is_found_by_what_is_waited_for_later(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++)
        call_late_with(caller);
}

static void open_late_with(int caller)
{
    install("scale2.so", "a.so");
    fm_pool *pool = t_open(2, caller);
    void *handle = open_module("a.so");
    for (int i = 0; i < 3; i++) {
        check_scaled(pool, find(handle, "scale").item, 2, 0);
        check_scaled(pool, negate, -1, 0);
    }
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_opened_after_the_pool_is_found(void **state)
{
    (void)state;
    open_late_with(FM_CALLER_SLEEPS);
    open_late_with(FM_CALLER_WORKS);
}

static void test_module_static_function_of_a_late_library_is_found(void **state)
{
    (void)state;
    install("scale3.so", "a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    check_scaled(pool, find(handle, "scale_hidden").get(), 3, 0);
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_chunk_function_of_a_late_library_is_found(void **state)
{
    (void)state;
    install("scale3.so", "a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    fm_array *out = t_vector(FM_I64, N);
    t_expect(fm_pool_map_range_chunks(pool, find(handle, "scale_chunk").chunk, 0, N, out, NULL), 0);
    assert_int_equal(((int64_t *)fm_array_data(out))[N - 1], 3 * (N - 1));
    t_destroy(pool);
    dlclose(handle);
    fm_array_destroy(out);
}

static void test_module_without_build_id_is_found(void **state)
{
    (void)state;
    install("scale5.so", "a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    check_scaled(pool, find(handle, "scale").item, 5, 0);
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_is_found_through_a_link_and_a_relative_path(void **state)
{
    (void)state;
    char target[600], link_path[600], here[600];
    install("scale2.so", "a.so");
    assert_int_equal(symlink(path_of("a.so", target), path_of("link.so", link_path)), 0);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("link.so");
    check_scaled(pool, find(handle, "scale").item, 2, 0);
    dlclose(handle);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(t_temp_dir()), 0);
    install("scale3.so", "b.so");
    handle = dlopen("./b.so", RTLD_NOW | RTLD_LOCAL); /* the workers' directory is another one */
    assert_non_null(handle);
    check_scaled(pool, find(handle, "scale").item, 3, 0);
    assert_int_equal(chdir(here), 0);
    dlclose(handle);
    t_destroy(pool);
}

static void test_module_is_found_by_a_replaced_worker(void **state)
{
    (void)state;
    fm_worker_info info;
    install("scale3.so", "a.so");
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    check_scaled(pool, find(handle, "scale").item, 3, 0);
    t_expect(fm_pool_worker(pool, 0, &info), 0);
    assert_int_equal(kill(info.pid, SIGKILL), 0);
    check_scaled(pool, find(handle, "scale").item, 3, 0);
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_function_of_a_late_library_is_found_or_stale_in_streams(void **state)
{
    (void)state;
    fm_stream *stream;
    fm_stream_item item;
    int rc;
    install("scale3.so", "a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS), *other = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    const fm_source numbers = fm_source_range(0, N);
    const fm_stream_opts *opts = FM_STREAM_OPTS(.result_bytes = sizeof(int64_t));
    t_expect(fm_pool_imap(pool, find(handle, "scale").item, numbers, opts, &stream), 0);
    for (int64_t i = 0; i < N; i++) {
        t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
        assert_int_equal(*(const int64_t *)item.result, 3 * i);
    }
    t_expect(fm_stream_close(stream), 0);
    install("scale2.so", "a.so");
    t_expect(fm_pool_imap(other, find(handle, "scale").item, numbers, opts, &stream), 0);
    while ((rc = fm_stream_next(stream, &item, FM_FOREVER)) == 0)
        ;
    t_expect(rc, FM_ESTALE);
    t_expect(fm_stream_next(stream, &item, FM_FOREVER), FM_ESTALE);
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
    t_destroy(other);
    dlclose(handle);
}

/* ---- files that change ---- */

static void test_module_replaced_by_another_build_is_stale(void **state)
{
    (void)state;
    install("scale2.so", "a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    install("scale3.so", "a.so");
    expect_refused(pool, find(handle, "scale").item, FM_ESTALE);
    check_scaled(pool, negate, -1, 0); /* the pool goes on */
    t_destroy(pool);
    dlclose(handle);
}

/* The function is found by the library's own chunk function, not by the map. */
static int sum_with(fm_pool *pool, fm_combine_fn *combine, int64_t *sum)
{
    const int64_t none = 0;
    fm_array *in = t_counted(10000);
    int rc = fm_pool_reduce(pool, in, FM_COMBINE, sum, sizeof *sum,
                            FM_REDUCE_OPTS(.combine = combine, .identity = &none));
    fm_array_destroy(in);
    return rc;
}

static void test_module_combine_function_of_a_late_library_is_found_or_stale(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        int64_t sum = -7;
        install("scale3.so", "a.so");
        fm_pool *pool = t_open(2, caller), *other = t_open(2, FM_CALLER_SLEEPS);
        void *handle = open_module("a.so");
        t_expect(sum_with(pool, find(handle, "add_modulo").combine, &sum), 0);
        assert_int_equal(sum, 9999 * 5000 % 1003);
        install("scale2.so", "a.so");
        t_expect(sum_with(other, find(handle, "add_modulo").combine, &sum), FM_ESTALE);
        t_destroy(pool);
        t_destroy(other);
        dlclose(handle);
    }
}

static void test_module_without_build_id_that_is_replaced_is_stale(void **state)
{
    (void)state;
    install("scale5.so", "a.so");
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    check_scaled(pool, negate, -1, 0);
    fm_item_fn *scale = find(handle, "scale").item;
    install("scale2.so", "a.so");
    expect_refused(pool, scale, FM_ESTALE);
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_whose_file_is_gone_is_no_function(void **state)
{
    (void)state;
    char path[600];
    install("scale2.so", "a.so");
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    assert_int_equal(unlink(path_of("a.so", path)), 0);
    expect_refused(pool, find(handle, "scale").item, FM_ENOFUNC);
    check_scaled(pool, negate, -1, 0);
    t_destroy(pool);
    dlclose(handle);
}

/* It is mapped in the workers already, and so is not asked for again. */
static void test_module_whose_file_goes_after_its_first_map_is_still_found(void **state)
{
    (void)state;
    char path[600];
    install("scale2.so", "a.so");
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    void *handle = open_module("a.so");
    check_scaled(pool, find(handle, "scale").item, 2, 0);
    assert_int_equal(unlink(path_of("a.so", path)), 0);
    check_scaled(pool, find(handle, "scale").item, 2, 0);
    t_destroy(pool);
    dlclose(handle);
}

static void test_module_pointer_into_no_module_is_no_function(void **state)
{
    (void)state;
    union symbol wrong = {.object = malloc(64)};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    expect_refused(pool, wrong.item, FM_ENOFUNC);
    free(wrong.object);
    wrong.object = page;
    expect_refused(pool, wrong.item, FM_ENOFUNC);
    wrong.object = (void *)(uintptr_t)64;
    expect_refused(pool, wrong.item, FM_ENOFUNC);
    munmap(page, 4096);
    check_scaled(pool, negate, -1, 0);
    t_destroy(pool);
}

/* ---- closing and opening ---- */

static void test_module_opened_where_another_was_is_told_apart(void **state)
{
    (void)state;
    static const char *const modules[] = {"scale2.so", "shift.so", "scale3.so", "scale5.so"};
    static const int64_t factors[] = {2, 1, 3, 5}, offsets[] = {0, 1000, 0, 0};
    for (size_t k = 0; k < T_N_OF(modules); k++)
        install(modules[k], modules[k]);
    void *before = open_module(
        modules[0]); /* known to the workers by its address, which the next one may get */
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    check_scaled(pool, find(before, "scale").item, 2, 0);
    dlclose(before);
    for (size_t i = 1; i < 12; i++) {
        size_t k = i % T_N_OF(modules);
        void *handle = open_module(modules[k]);
        check_scaled(pool, find(handle, k == 1 ? "shift" : "scale").item, factors[k], offsets[k]);
        dlclose(handle);
    }
    t_destroy(pool);
}

static void test_module_of_one_name_in_two_folders_are_two(void **state)
{
    (void)state;
    char folder[600];
    assert_true(snprintf(folder, sizeof folder, "%s/x", t_temp_dir()) > 0);
    fm_pool *pool = t_open(2, FM_CALLER_SLEEPS);
    char command[700];
    snprintf(command, sizeof command, "mkdir '%s'", folder);
    assert_int_equal(system(command), 0);
    install("scale2.so", "a.so");
    install("scale3.so", "x/a.so");
    void *one = open_module("a.so"), *other = open_module("x/a.so");
    check_scaled(pool, find(one, "scale").item, 2, 0);
    check_scaled(pool, find(other, "scale").item, 3, 0);
    check_scaled(pool, find(one, "scale").item, 2, 0);
    t_destroy(pool);
    dlclose(one);
    dlclose(other);
}

/* ---- several pools and threads ---- */

struct mapper {
    pthread_t thread;
    fm_pool *pool;
    fm_item_fn *fns[2];
    int64_t factors[2];
    int n_wrong;
};

static void *alternate(void *arg)
{
    struct mapper *m = arg;
    fm_array *out;
    if (fm_array_arange(&out, FM_I64, 0, N, 1) != 0) {
        m->n_wrong = 1;
        return NULL;
    }
    for (int round = 0; round < 300; round++) {
        m->n_wrong += fm_pool_map_range(m->pool, m->fns[round % 2], 0, N, out, NULL) != 0;
        for (int64_t i = 0; i < N; i++)
            m->n_wrong += ((int64_t *)fm_array_data(out))[i] != i * m->factors[round % 2];
    }
    fm_array_destroy(out);
    return NULL;
}

static void test_module_functions_of_two_pools_are_not_mixed_up(void **state)
{
    (void)state;
    struct mapper mappers[3];
    install("scale2.so", "a.so");
    install("scale3.so", "b.so");
    fm_pool *pools[3] = {t_open(1, FM_CALLER_SLEEPS), t_open(1, FM_CALLER_SLEEPS),
                         t_open(1, FM_CALLER_SLEEPS)};
    void *a = open_module("a.so"), *b = open_module("b.so");
    fm_item_fn *fns[] = {find(a, "scale").item, find(b, "scale").item, negate};
    static const int64_t factors[] = {2, 3, -1};
    for (int i = 0; i < 3; i++) {
        mappers[i] = (struct mapper){.pool = pools[i],
                                     .fns = {fns[i], fns[(i + 1) % 3]},
                                     .factors = {factors[i], factors[(i + 1) % 3]}};
        assert_int_equal(pthread_create(&mappers[i].thread, NULL, alternate, &mappers[i]), 0);
    }
    for (int i = 0; i < 3; i++)
        pthread_join(mappers[i].thread, NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mappers[i].n_wrong, 0);
        t_destroy(pools[i]);
    }
    dlclose(a);
    dlclose(b);
}

T_MAIN(T_EACH_METHOD(test_module_function_of_the_program_is_found),
       T_EACH_METHOD(test_module_opened_after_the_pool_is_found_by_what_is_waited_for_later),
       T_EACH_METHOD(test_module_opened_before_the_pool_is_found),
       T_EACH_METHOD(test_module_opened_after_the_pool_is_found),
       T_EACH_METHOD(test_module_static_function_of_a_late_library_is_found),
       T_EACH_METHOD(test_module_chunk_function_of_a_late_library_is_found),
       T_EACH_METHOD(test_module_without_build_id_is_found),
       T_EACH_METHOD(test_module_is_found_through_a_link_and_a_relative_path),
       T_EACH_METHOD(test_module_is_found_by_a_replaced_worker),
       T_EACH_METHOD(test_module_function_of_a_late_library_is_found_or_stale_in_streams),
       T_EACH_METHOD(test_module_replaced_by_another_build_is_stale),
       T_EACH_METHOD(test_module_combine_function_of_a_late_library_is_found_or_stale),
       T_EACH_METHOD(test_module_without_build_id_that_is_replaced_is_stale),
       T_EACH_METHOD(test_module_whose_file_is_gone_is_no_function),
       T_EACH_METHOD(test_module_whose_file_goes_after_its_first_map_is_still_found),
       T_EACH_METHOD(test_module_pointer_into_no_module_is_no_function),
       T_EACH_METHOD(test_module_opened_where_another_was_is_told_apart),
       T_EACH_METHOD(test_module_of_one_name_in_two_folders_are_two),
       T_EACH_METHOD(test_module_functions_of_two_pools_are_not_mixed_up))
