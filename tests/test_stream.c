/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* TIMEOUT: 60 */
/* fm_pool_imap and fm_pool_imap_unordered: what they give, where items come from, and in how much memory. How streams end is in test_stream_ends.c. */
#include "t_stream.h"

#include "heap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { N = 1000 };

/* ---- results ------------------------------------------------------------------------------------ */

static void test_stream_imap_gives_every_result_once_in_order(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (int64_t chunk = 0; chunk < 20; chunk += 7) {
        fm_stream *stream =
            t_stream(fm_pool_imap, pool, t_square, fm_source_range(0, N),
                     FM_STREAM_OPTS(.result_bytes = sizeof(int64_t), .chunk = chunk));
        t_expect_squares(stream, 1, 0, N);
        t_expect(fm_stream_close(stream), 0);
    }
    t_destroy(pool);
}

static void test_stream_imap_unordered_gives_every_result_once(void **state)
{
    (void)state;
    fm_pool *pool = t_open(3, 0);
    for (int64_t chunk = 0; chunk < 20; chunk += 7) {
        fm_stream *stream =
            t_stream(fm_pool_imap_unordered, pool, t_square, fm_source_range(0, N),
                     FM_STREAM_OPTS(.result_bytes = sizeof(int64_t), .chunk = chunk));
        t_expect_squares(stream, 0, 0, N);
        t_expect(fm_stream_close(stream), 0);
    }
    t_destroy(pool);
}

static int wait_for_gate(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item;
    while (*(const int64_t *)item == 0 && __atomic_load_n((int *)arg, __ATOMIC_ACQUIRE) == 0)
        t_sleep_ms(1);
    return 0;
}

static void test_stream_unordered_is_not_held_up_by_a_slow_item(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_array *gate = t_vector(FM_I32, 1);
    fm_stream_item item;
    fm_stream *stream = t_stream(
        fm_pool_imap_unordered, pool, wait_for_gate, fm_source_range(0, 50),
        FM_STREAM_OPTS(.result_bytes = sizeof(int64_t), .chunk = 1, .arg = fm_array_data(gate)));
    for (int k = 1; k < 50; k++) {
        t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
        assert_int_not_equal(item.index, 0);
    }
    __atomic_store_n((int *)fm_array_data(gate), 1, __ATOMIC_RELEASE);
    assert_int_equal(t_take_i64(stream, 0), 0);
    t_expect_end(stream);
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
    fm_array_destroy(gate);
}

/* All bytes of the result say which item it is of; how many there are is in the argument. */
static int fill_bytes(const void *item, void *result, void *arg)
{
    size_t n = *(const size_t *)arg;
    if (n > 0)
        memset(result, (int)(*(const int64_t *)item % 251), n);
    return n == 0 && result != NULL;
}

static int is_filled(const unsigned char *bytes, size_t n, int64_t item)
{
    for (size_t i = 0; i < n; i++)
        if (bytes[i] != item % 251)
            return 0;
    return 1;
}

static void test_stream_result_of_any_size_is_aligned_and_whole(void **state)
{
    static const size_t sizes[] = {0, 1, 8, 100, 1 << 20};
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (size_t s = 0; s < T_N_OF(sizes); s++) {
        int64_t n = sizes[s] > 1000 ? 60 : N;
        fm_stream *stream =
            t_stream(fm_pool_imap, pool, fill_bytes, fm_source_range(0, n),
                     FM_STREAM_OPTS(.result_bytes = sizes[s], .arg = &(size_t){sizes[s]},
                                    .arg_bytes = sizeof(size_t)));
        for (int64_t i = 0; i < n; i++) {
            const void *result = t_take(stream, i);
            assert_int_equal((uintptr_t)result % 8, 0);
            assert_true((result == NULL) == (sizes[s] == 0));
            assert_true(is_filled(result, sizes[s], i));
        }
        t_expect_end(stream);
        t_expect(fm_stream_close(stream), 0);
    }
    t_destroy(pool);
}

static void test_stream_result_stays_until_the_next_call(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_stream *stream = t_stream(fm_pool_imap, pool, fill_bytes, fm_source_range(0, 200),
                                 FM_STREAM_OPTS(.result_bytes = 100, .arg = &(size_t){100},
                                                .arg_bytes = sizeof(size_t), .window_bytes = 1000));
    for (int64_t i = 0; i < 200; i++) {
        const void *result = t_take(stream, i);
        if (i % 20 == 0)
            t_sleep_ms(2); /* the workers go on */
        assert_true(is_filled(result, 100, i));
    }
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
}

static int tell_address(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(uintptr_t *)result = (uintptr_t)result;
    return 0;
}

static void test_stream_result_lies_in_the_heap_where_the_worker_wrote_it(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_stream *stream =
        t_stream(fm_pool_imap, pool, tell_address, fm_source_range(0, N), T_RESULT_I64);
    for (int64_t i = 0; i < N; i++) {
        const void *result = t_take(stream, i);
        assert_true(*(const uintptr_t *)result == (uintptr_t)result);
        assert_true(fmi_heap_contains(result, sizeof(uintptr_t)));
    }
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
}

static int add_to_arg(const void *item, void *result, void *arg)
{
    *(int64_t *)result = *(const int64_t *)item + *(const int64_t *)arg;
    return 0;
}

static void test_stream_argument_is_copied_or_lies_in_the_heap(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_array *shared = t_vector(FM_I64, 1);
    int64_t own = 1000, *number = fm_array_data(shared);
    *number = 2000;
    fm_stream *copied = t_stream(fm_pool_imap, pool, add_to_arg, fm_source_range(0, N),
                                 FM_STREAM_OPTS(.result_bytes = 8, .arg = &own, .arg_bytes = 8));
    own = 0; /* of no effect any more */
    fm_stream *same = t_stream(fm_pool_imap, pool, add_to_arg, fm_source_range(0, N),
                               FM_STREAM_OPTS(.result_bytes = 8, .arg = number));
    for (int64_t i = 0; i < N; i++) {
        assert_int_equal(t_take_i64(copied, i), i + 1000);
        assert_int_equal(t_take_i64(same, i), i + 2000);
    }
    t_expect(fm_stream_close(copied), 0);
    t_expect(fm_stream_close(same), 0);
    t_destroy(pool);
    fm_array_destroy(shared);
}

static int draw_number(const void *item, void *result, void *arg)
{
    fm_random r = fm_rng(*(const int64_t *)item);
    (void)arg;
    *(uint64_t *)result = fm_random_u64(&r);
    return 0;
}

static void test_stream_random_numbers_are_the_same_for_any_chunk_and_workers(void **state)
{
    (void)state;
    for (int workers = 1; workers <= 3; workers++)
        for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
            fm_pool *pool = t_open(workers, caller);
            for (int64_t chunk = 0; chunk < 12; chunk += 5) {
                fm_stream *stream =
                    t_stream(fm_pool_imap, pool, draw_number, fm_source_range(0, 100),
                             FM_STREAM_OPTS(.result_bytes = 8, .chunk = chunk, .seed = 77));
                for (int64_t i = 0; i < 100; i++) {
                    fm_random r = fm_random_at(77, (uint64_t)i);
                    assert_true(*(const uint64_t *)t_take(stream, i) == fm_random_u64(&r));
                }
                t_expect(fm_stream_close(stream), 0);
            }
            t_destroy(pool);
        }
}

/* ---- sources ------------------------------------------------------------------------------------ */

/* A row of doubles, whose length is the argument. */
static int weigh(const void *item, void *result, void *arg)
{
    const double *row = item;
    double sum = 0;
    for (int64_t k = 0; k < *(const int64_t *)arg; k++)
        sum += (double)(k + 1) * row[k];
    *(double *)result = sum;
    return 0;
}

static fm_array *matrix(int order)
{
    fm_array *a;
    t_expect(fm_array_create(&a, FM_F64, 2, T_SHAPE(60, 7), FM_ARRAY_OPTS(.order = order)), 0);
    for (int64_t i = 0; i < 60; i++)
        for (int64_t k = 0; k < 7; k++)
            *(double *)fm_array_at(a, 2, T_SHAPE(i, k)) = 0.1 * (double)i + 1.7 * (double)k;
    return a;
}

/* Streams the rows and compares with a serial loop, bit for bit. */
static void check_rows(fm_array *a)
{
    int64_t n = fm_array_shape(a)[1];
    fm_pool *pool = t_open(2, 0);
    fm_stream *stream =
        t_stream(fm_pool_imap, pool, weigh, fm_source_array(a),
                 FM_STREAM_OPTS(.result_bytes = sizeof(double), .arg = &n, .arg_bytes = sizeof n));
    for (int64_t i = 0; i < fm_array_len(a); i++) {
        double row[7], expected;
        for (int64_t k = 0; k < n; k++)
            row[k] = *(double *)fm_array_at(a, 2, T_SHAPE(i, k));
        weigh(row, &expected, &n);
        assert_true(*(const double *)t_take(stream, i) == expected);
    }
    t_expect_end(stream);
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
}

static void check_view(int order, fm_slice rows, fm_slice columns)
{
    fm_array *a = matrix(order), *view;
    t_expect(fm_array_view(&view, a, (const fm_slice[]){rows, columns}), 0);
    check_rows(view);
    fm_array_destroy(view);
    fm_array_destroy(a);
}

static void test_stream_of_a_packed_array_equals_a_loop(void **state)
{
    (void)state;
    fm_array *a = matrix(FM_ORDER_C);
    check_rows(a);
    fm_array_destroy(a);
}

static void test_stream_of_a_view_with_gaps_equals_a_loop(void **state)
{
    (void)state;
    check_view(FM_ORDER_C, (fm_slice){1, 60, 3}, (fm_slice){0, 7, 2});
    check_view(FM_ORDER_C, (fm_slice){59, -1, -1}, FM_ALL);
    check_view(FM_ORDER_C, (fm_slice){50, 3, -4}, (fm_slice){6, -1, -1});
}

static void test_stream_of_fortran_ordered_rows_equals_a_loop(void **state)
{
    (void)state;
    check_view(FM_ORDER_F, FM_ALL, FM_ALL);
}

static void test_stream_of_one_column_of_a_matrix_equals_a_loop(void **state)
{
    (void)state;
    check_view(FM_ORDER_C, FM_ALL, (fm_slice){3, 4, 1});
    check_view(FM_ORDER_F, FM_ALL, (fm_slice){6, 7, 1});
}

static void test_stream_of_nothing_ends_at_once(void **state)
{
    (void)state;
    struct t_numbers none = {.code = FM_ECLOSED};
    fm_array *empty = t_vector(FM_I64, 0);
    const fm_source sources[] = {fm_source_array(empty), fm_source_range(0, 0),
                                 fm_source_range(-5, -5), t_generated(&none)};
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        for (size_t k = 0; k < T_N_OF(sources) * 2; k++) {
            fm_stream *stream =
                t_stream(t_imaps[k % 2], pool, t_square, sources[k / 2], T_RESULT_I64);
            t_expect_end(stream);
            t_expect(fm_stream_close(stream), 0);
        }
        t_destroy(pool);
    }
    fm_array_destroy(empty);
}

static void test_stream_of_a_range_that_begins_anywhere_counts_items_from_0(void **state)
{
    static const int64_t begins[] = {-500, 7, -1000000};
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (size_t k = 0; k < T_N_OF(begins); k++) {
        fm_stream *stream = t_stream(t_imaps[k % 2], pool, t_square,
                                     fm_source_range(begins[k], begins[k] + N), T_RESULT_I64);
        t_expect_squares(stream, k % 2 == 0, begins[k], N);
        t_expect(fm_stream_close(stream), 0);
    }
    t_destroy(pool);
}

static int tell_number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item;
    return 0;
}

static void test_stream_of_a_range_at_either_end_of_the_numbers_is_right(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_stream *low = t_stream(fm_pool_imap, pool, tell_number, fm_source_range(INT64_MIN, -1),
                              T_RESULT_I64),
              *high = t_stream(fm_pool_imap, pool, tell_number,
                               fm_source_range(INT64_MAX - 3, INT64_MAX), T_RESULT_I64);
    for (int64_t i = 0; i < 100; i++)
        assert_true(t_take_i64(low, i) == INT64_MIN + i);
    for (int64_t i = 0; i < 3; i++)
        assert_true(t_take_i64(high, i) == INT64_MAX - 3 + i);
    t_expect_end(high);
    t_expect(fm_stream_close(low), 0);
    t_expect(fm_stream_close(high), 0);
    t_destroy(pool);
}

static void test_stream_of_a_file_mapped_after_the_pool_is_right(void **state)
{
    (void)state;
    char path[4096];
    fm_array *numbers = t_counted(N), *mapped, *view;
    snprintf(path, sizeof path, "%s/in.npy", t_temp_dir());
    t_expect(fm_npy_save(path, numbers), 0);
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        t_expect(fm_npy_load(path, FM_NPY_MAP, &mapped), 0);
        t_expect(fm_array_view(&view, mapped, &(fm_slice){N - 1, -1, -1}), 0);
        fm_stream *stream =
                      t_stream(fm_pool_imap, pool, t_square, fm_source_array(mapped), T_RESULT_I64),
                  *back =
                      t_stream(fm_pool_imap, pool, t_square, fm_source_array(view), T_RESULT_I64);
        for (int64_t i = 0; i < N; i++)
            assert_int_equal(t_take_i64(back, i), (N - 1 - i) * (N - 1 - i));
        t_expect_squares(stream, 1, 0, N);
        t_expect(fm_stream_close(stream), 0);
        t_expect(fm_stream_close(back), 0);
        fm_array_destroy(view);
        fm_array_destroy(mapped);
        t_destroy(pool);
    }
    fm_array_destroy(numbers);
}

static void test_stream_of_a_generator_gives_what_it_makes(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (int ordered = 0; ordered < 2; ordered++)
        for (int64_t chunk = 0; chunk < 20; chunk += 7) {
            struct t_numbers g = {.end = N, .code = FM_ECLOSED};
            fm_stream *stream = t_stream(t_imaps[1 - ordered], pool, t_square, t_generated(&g),
                                         FM_STREAM_OPTS(.result_bytes = 8, .chunk = chunk));
            t_expect_squares(stream, ordered, 0, N);
            t_expect(fm_stream_close(stream), 0);
            assert_int_equal(g.n_dirty, 0);
        }
    t_destroy(pool);
}

struct wide { /* an item that is no multiple of a word */
    char bytes[37];
};

static int make_wide(void *slot, void *arg)
{
    int *n = arg;
    memset(slot, ++*n % 100, sizeof(struct wide));
    return 0;
}

static int sum_wide(const void *item, void *result, void *arg)
{
    const struct wide *w = item;
    (void)arg;
    for (size_t i = 0; i < sizeof w->bytes; i++)
        *(int64_t *)result += w->bytes[i]; /* from zero: results are zeroed before */
    return 0;
}

static void test_stream_of_odd_items_from_a_generator_that_never_ends_goes_on(void **state)
{
    (void)state;
    int n = 0;
    fm_pool *pool = t_open(2, 0);
    fm_stream *stream = t_stream(fm_pool_imap, pool, sum_wide,
                                 fm_source_generator(make_wide, &n, sizeof(struct wide)),
                                 FM_STREAM_OPTS(.result_bytes = 8, .window_bytes = 5000));
    for (int64_t i = 0; i < 5000; i++)
        assert_int_equal(t_take_i64(stream, i), 37 * ((i + 1) % 100));
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
}

/* `code` at item `at`: what comes before is delivered, then it once, then the end. */
static void check_failing_generator(fm_pool *pool, int64_t at, int code, int expected)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct t_numbers g = {.end = at, .code = code};
        fm_stream_item item;
        fm_stream *stream =
            t_stream(t_imaps[1 - ordered], pool, t_square, t_generated(&g), T_RESULT_I64);
        for (int64_t k = 0; k < at; k++) {
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
            assert_int_equal(*(const int64_t *)item.result, item.index * item.index);
        }
        t_expect(fm_stream_next(stream, &item, FM_FOREVER), expected);
        assert_int_equal(item.index, at);
        assert_null(item.result);
        t_expect_end(stream);
        t_expect(fm_stream_close(stream), 0);
    }
}

static void test_stream_of_a_generator_that_fails_gives_what_was_before_and_its_code(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        check_failing_generator(pool, 0, -EIO, -EIO);
        check_failing_generator(pool, 333, -EIO, -EIO);
        check_failing_generator(pool, 333, FM_EFORMAT, FM_EFORMAT);
        check_failing_generator(pool, 0, 5, FM_ETASK);
        check_failing_generator(pool, 100, 5, FM_ETASK);
        t_destroy(pool);
    }
}

/* ---- the window --------------------------------------------------------------------------------- */

/* The generator may be ahead by what the window holds: items and results of 8 bytes. */
static void check_ahead(fm_pool *pool, size_t window_bytes, int64_t chunk)
{
    for (int ordered = 0; ordered < 2; ordered++) {
        struct t_numbers g = {.end = INT64_MAX};
        int64_t room = (int64_t)window_bytes / 16;
        fm_stream_item item;
        fm_stream *stream = t_stream(
            t_imaps[1 - ordered], pool, t_square, t_generated(&g),
            FM_STREAM_OPTS(.result_bytes = 8, .chunk = chunk, .window_bytes = window_bytes));
        for (g.n_taken = 0; g.n_taken < 3000; g.n_taken++) {
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
            assert_int_equal(*(const int64_t *)item.result, item.index * item.index);
            if (g.n_taken % 1000 == 999)
                t_sleep_ms(5);
        }
        t_expect(fm_stream_close(stream), 0);
        assert_in_range(g.ahead, 1, room < 1 ? 1 : room);
    }
}

static void test_stream_generator_is_never_ahead_by_more_than_the_window(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (int64_t chunk = 0; chunk < 30; chunk += 10) {
        check_ahead(pool, 16 * 64, chunk);
        check_ahead(pool, 16 * 1000, chunk);
        check_ahead(pool, 16 * 3, chunk);
    }
    t_destroy(pool);
}

static void test_stream_window_smaller_than_an_item_holds_one(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        check_ahead(pool, 1, 0);
        check_ahead(pool, 1, 100);
        t_destroy(pool);
    }
}

static void test_stream_of_any_chunk_and_window_gives_the_same(void **state)
{
    static const int64_t chunks[] = {0, 1, 3, 5000, INT64_MAX};
    static const size_t windows[] = {0, 1, 100, 4096, 1 << 20};
    (void)state;
    fm_pool *pool = t_open(2, 0);
    for (size_t c = 0; c < T_N_OF(chunks); c++)
        for (size_t w = 0; w < T_N_OF(windows); w++) {
            fm_stream *stream = t_stream(
                t_imaps[w % 2], pool, t_square, fm_source_range(0, 300),
                FM_STREAM_OPTS(.result_bytes = 8, .chunk = chunks[c], .window_bytes = windows[w]));
            t_expect_squares(stream, w % 2 == 0, 0, 300);
            t_expect(fm_stream_close(stream), 0);
        }
    t_destroy(pool);
}

static void test_stream_window_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    fm_stream *stream;
    fm_pool *pool = t_open(2, 0);
    const fm_stream_opts *const all[] = {
        FM_STREAM_OPTS(.result_bytes = (size_t)1 << 60),
        FM_STREAM_OPTS(.chunk = INT64_MAX, .window_bytes = PTRDIFF_MAX),
        FM_STREAM_OPTS(.chunk = (int64_t)1 << 40, .window_bytes = PTRDIFF_MAX),
        FM_STREAM_OPTS(.result_bytes = 8, .chunk = INT64_MAX, .window_bytes = PTRDIFF_MAX),
        FM_STREAM_OPTS(.result_bytes = PTRDIFF_MAX / 4)};
    for (size_t k = 0; k < T_N_OF(all); k++) {
        int rc = fm_pool_imap(pool, t_square, fm_source_range(0, 10), all[k], &stream);
        assert_true(rc == -ENOSPC || rc == -ENOMEM || rc == -EINVAL);
        assert_null(stream);
    }
    t_destroy(pool);
}

/* [KiB] resident, what is shared with others included */
static int64_t resident_kib(int pid)
{
    char path[64], line[256];
    long long kib = -1;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmRSS: %lld", &kib) == 1)
            break;
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

static void measure(fm_pool *pool, int64_t kib[3])
{
    kib[0] = resident_kib(getpid());
    for (int rank = 0; rank < 2; rank++) {
        fm_worker_info info;
        t_expect(fm_pool_worker(pool, rank, &info), 0);
        kib[1 + rank] = resident_kib(info.pid);
    }
}

static void test_stream_of_a_million_items_needs_no_more_memory_than_of_a_tenth(void **state)
{
    enum { N_ITEMS = 1000000, BOUND_KIB = 2048 };
    (void)state;
    for (int ordered = 0; ordered < 2; ordered++) {
        struct t_numbers g = {.end = INT64_MAX};
        int64_t before[3], after[3];
        fm_stream_item item;
        fm_pool *pool = t_open(2, 0);
        fm_stream *stream = t_stream(t_imaps[1 - ordered], pool, t_square, t_generated(&g),
                                     FM_STREAM_OPTS(.result_bytes = 8, .window_bytes = 1 << 20));
        for (int64_t i = 0; i < N_ITEMS; i++) {
            int rc = fm_stream_next(stream, &item, FM_FOREVER);
            if (rc != 0 || *(const int64_t *)item.result != item.index * item.index)
                fail_msg("item %lld: %s", (long long)item.index, fm_errname(rc));
            if (i % 50000 == 0)
                t_sleep_ms(3);
            if (i == N_ITEMS / 10)
                measure(pool, before);
        }
        measure(pool, after);
        for (int k = 0; k < 3; k++)
            assert_true(after[k] - before[k] < BOUND_KIB);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
    }
}

static void test_stream_opened_and_closed_often_leaves_no_memory(void **state)
{
    (void)state;
    int64_t before[3], after[3];
    fm_pool *pool = t_open(2, 0);
    for (int k = 0; k < 300; k++) {
        if (k == 50)
            measure(pool, before);
        fm_stream *stream = t_stream(t_imaps[k % 2], pool, t_square, fm_source_range(0, INT64_MAX),
                                     FM_STREAM_OPTS(.result_bytes = 8, .window_bytes = 1 << 18,
                                                    .arg = &k, .arg_bytes = sizeof k));
        for (int i = 0; i < k % 7; i++) {
            fm_stream_item item;
            t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
        }
        t_expect(fm_stream_close(stream), 0);
    }
    measure(pool, after);
    for (int k = 0; k < 3; k++)
        assert_true(after[k] - before[k] < 2048);
    t_destroy(pool);
}

/* ---- side by side ------------------------------------------------------------------------------- */

static int multiply(const void *arg, void *result)
{
    *(int64_t *)result = 3 * *(const int64_t *)arg;
    return 0;
}

static void test_stream_several_at_once_beside_maps_and_calls_are_right(void **state)
{
    enum { N_STREAMS = 4 };
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        fm_pool *pool = t_open(2, caller);
        fm_stream *streams[N_STREAMS];
        fm_array *out = t_vector(FM_I64, 64);
        for (int s = 0; s < N_STREAMS; s++)
            streams[s] =
                t_stream(fm_pool_imap, pool, t_square, fm_source_range(1000 * s, 1000 * s + 400),
                         FM_STREAM_OPTS(.result_bytes = 8, .chunk = s));
        for (int64_t i = 0; i < 400; i++) {
            fm_result *call;
            int64_t product = 0;
            t_expect(fm_pool_apply_async(pool, multiply, &i, sizeof i, &product, sizeof product,
                                         NULL, &call),
                     0);
            for (int64_t s = 0; s < N_STREAMS; s++)
                assert_int_equal(t_take_i64(streams[s], i), (1000 * s + i) * (1000 * s + i));
            if (i % 20 == 0)
                t_expect(fm_pool_map_range(pool, t_square, 0, 64, out, NULL), 0);
            t_expect(fm_result_get(call, FM_FOREVER), 0);
            assert_int_equal(product, 3 * i);
            t_expect(fm_result_free(call), 0);
        }
        for (int s = 0; s < N_STREAMS; s++) {
            t_expect_end(streams[s]);
            t_expect(fm_stream_close(streams[s]), 0);
        }
        fm_array_destroy(out);
        t_destroy(pool);
    }
}

static void test_stream_in_a_caller_that_works_and_in_one_that_is_alone(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_WORKS; caller <= FM_CALLER_ONLY; caller++)
        for (int workers = 1; workers <= 3; workers++) {
            fm_pool *pool = t_open(workers, caller);
            for (int k = 0; k < 4; k++) {
                struct t_numbers g = {.end = N, .code = FM_ECLOSED};
                fm_stream *stream =
                    t_stream(t_imaps[k % 2], pool, t_square,
                             k < 2 ? t_generated(&g) : fm_source_range(0, N), T_RESULT_I64);
                t_expect_squares(stream, k % 2 == 0, 0, N);
                t_expect(fm_stream_close(stream), 0);
            }
            t_destroy(pool);
        }
}

static void test_stream_timeout_changes_nothing(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_WORKS; caller++) {
        fm_pool *pool = t_open(3, caller);
        fm_array *gate = t_vector(FM_I32, 1);
        fm_stream_item item;
        int64_t n = 0;
        fm_stream *stream = t_stream(fm_pool_imap, pool, wait_for_gate, fm_source_range(0, 50),
                                     FM_STREAM_OPTS(.result_bytes = 8, .arg = fm_array_data(gate)));
        for (int k = 0; k < 20; k++) {
            t_expect(fm_stream_next(stream, &item, k % 2 == 0 ? FM_NOWAIT : 2000000), -ETIMEDOUT);
            assert_int_equal(item.index, -1);
            assert_null(item.result);
        }
        __atomic_store_n((int *)fm_array_data(gate), 1, __ATOMIC_RELEASE);
        while (n < 50) {
            int rc = fm_stream_next(stream, &item, n % 2 == 0 ? FM_NOWAIT : 1000000);
            if (rc == -ETIMEDOUT)
                continue;
            t_expect(rc, 0);
            assert_int_equal(item.index, n);
            assert_int_equal(*(const int64_t *)item.result, n++);
        }
        t_expect(fm_stream_next(stream, &item, FM_NOWAIT), FM_ECLOSED);
        t_expect(fm_stream_close(stream), 0);
        t_destroy(pool);
        fm_array_destroy(gate);
    }
}

/* ---- inside functions, in children, wrong ------------------------------------------------------- */

struct inside {
    fm_pool *pool;
    int is_unordered;
};

/* The sum of the squares below 100, of a generator that fails at its end; item 50 fails. */
static int fail_50(const void *item, void *result, void *arg)
{
    return *(const int64_t *)item == 50 ? 9 : t_square(item, result, arg);
}

static int sum_inside(const void *outer, void *result, void *arg)
{
    const struct inside *in = arg;
    struct t_numbers g = {.end = 100, .code = -EIO};
    fm_stream *stream;
    fm_stream_item item;
    int64_t sum = *(const int64_t *)outer, n_failed = 0;
    fm_random before = fm_rng(3);
    int rc = t_imaps[in->is_unordered](in->pool, fail_50, t_generated(&g),
                                       FM_STREAM_OPTS(.result_bytes = 8), &stream);
    if (rc != 0)
        return 1;
    for (int64_t n = 0; (rc = fm_stream_next(stream, &item, FM_FOREVER)) != -EIO; n++) {
        if (item.index != n || (rc != 0) != (n == 50))
            return 2;
        if (rc == 0)
            sum += *(const int64_t *)item.result;
        else
            n_failed += rc == FM_ETASK && item.failure != NULL && item.failure->code == 9 &&
                        item.failure->worker == fm_worker_rank() && item.failure->pid == getpid();
    }
    *(int64_t *)result = sum;
    if (n_failed != 1 || item.index != 100 || g.ahead > 1 << 20)
        return 3;
    if (fm_stream_next(stream, &item, FM_FOREVER) != FM_ECLOSED)
        return 4;
    fm_random after = fm_rng(3); /* the outer function's seed again */
    if (fm_random_u64(&after) != fm_random_u64(&before))
        return 6;
    return fm_stream_close(stream) == 0 ? 0 : 5;
}

static void test_stream_inside_a_function_runs_there(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++)
        for (int unordered = 0; unordered < 2; unordered++) {
            fm_pool *pool = t_open(2, caller);
            struct inside in = {pool, unordered};
            fm_array *out = t_vector(FM_I64, 10);
            t_expect(fm_pool_map_range(pool, sum_inside, 0, 10, out,
                                       FM_MAP_OPTS(.arg = &in, .arg_bytes = sizeof in, .seed = 5)),
                     0);
            fm_stream *stream =
                t_stream(fm_pool_imap, pool, sum_inside, fm_source_range(0, 10),
                         FM_STREAM_OPTS(.result_bytes = 8, .arg = &in, .arg_bytes = sizeof in));
            for (int64_t i = 0; i < 10; i++) {
                assert_int_equal(((int64_t *)fm_array_data(out))[i], 328350 - 2500 + i);
                assert_int_equal(t_take_i64(stream, i), 328350 - 2500 + i);
            }
            t_expect_end(stream);
            t_expect(fm_stream_close(stream), 0);
            t_destroy(pool);
            fm_array_destroy(out);
        }
}

/* A pool of the worker's own: no inline one. */
static int stream_on_own_pool(const void *item, void *result, void *arg)
{
    fm_pool *pool;
    fm_stream *stream;
    fm_stream_item next;
    (void)arg;
    if (fm_pool_open(&pool, FM_POOL_OPTS(.workers = 2)) != 0 ||
        fm_pool_imap(pool, t_square, fm_source_range(0, 50), T_RESULT_I64, &stream) != 0)
        return 1;
    *(int64_t *)result = *(const int64_t *)item;
    while (fm_stream_next(stream, &next, FM_FOREVER) == 0)
        *(int64_t *)result += *(const int64_t *)next.result;
    return fm_stream_close(stream) != 0 || fm_pool_destroy(pool) != 0;
}

static void test_stream_on_a_pool_that_a_function_opened_has_its_workers(void **state)
{
    (void)state;
    fm_pool *pool = t_open(2, 0);
    fm_stream *stream =
        t_stream(fm_pool_imap, pool, stream_on_own_pool, fm_source_range(0, 4), T_RESULT_I64);
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(t_take_i64(stream, i), 40425 + i);
    t_expect(fm_stream_close(stream), 0);
    t_destroy(pool);
}

struct inherited {
    fm_pool *pool;
    fm_stream *stream;
};

static void use_in_child(void *arg)
{
    struct inherited *in = arg;
    fm_stream *fresh;
    fm_stream_item item;
    if (fm_stream_next(in->stream, &item, FM_FOREVER) != FM_EFORKED)
        _exit(1);
    if (fm_stream_close(in->stream) != FM_EFORKED)
        _exit(2);
    if (fm_pool_imap(in->pool, t_square, fm_source_range(0, 9), T_RESULT_I64, &fresh) != FM_EFORKED)
        _exit(3);
    _exit(fresh == NULL ? 0 : 4);
}

static void test_stream_in_a_forked_child_is_refused_and_goes_on_here(void **state)
{
    (void)state;
    for (int caller = FM_CALLER_SLEEPS; caller <= FM_CALLER_ONLY; caller++) {
        struct inherited in = {.pool = t_open(2, caller)};
        in.stream = t_stream(fm_pool_imap, in.pool, t_square, fm_source_range(0, N), T_RESULT_I64);
        assert_int_equal(t_take_i64(in.stream, 0), 0);
        int status = t_in_child(use_in_child, &in);
        assert_int_equal(t_signal(status), 0);
        assert_int_equal(t_exit_code(status), 0);
        for (int64_t i = 1; i < N; i++)
            assert_int_equal(t_take_i64(in.stream, i), i * i);
        t_expect_end(in.stream);
        t_expect(fm_stream_close(in.stream), 0);
        t_destroy(in.pool);
    }
}

static void refuse(fm_pool *pool, fm_item_fn *fn, fm_source source, const fm_stream_opts *opts,
                   int code)
{
    for (int k = 0; k < 2; k++) {
        fm_stream *stream = (fm_stream *)&stream;
        t_expect(t_imaps[k](pool, fn, source, opts, &stream), code);
        assert_null(stream);
    }
}

static void test_stream_wrong_arguments_are_refused(void **state)
{
    (void)state;
    struct t_numbers g = {.end = 10};
    const fm_source range = fm_source_range(0, 10);
    fm_stream_item item;
    fm_pool *pool = t_open(1, 0);
    fm_array *array = t_counted(3);
    fm_source both = t_generated(&g);
    both.array = array;
    refuse(NULL, t_square, range, NULL, -EINVAL);
    refuse(pool, NULL, range, NULL, -EINVAL);
    refuse(pool, t_square, both, NULL, -EINVAL);
    refuse(pool, t_square, fm_source_range(3, 2), NULL, -EINVAL);
    refuse(pool, t_square, fm_source_range(INT64_MIN, INT64_MAX), NULL, -EOVERFLOW);
    refuse(pool, t_square, fm_source_generator(t_next_number, &g, 0), NULL, -EINVAL);
    refuse(pool, t_square, fm_source_generator(t_next_number, &g, SIZE_MAX), NULL, -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.chunk = -1), -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.result_bytes = SIZE_MAX), -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.window_bytes = SIZE_MAX), -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.retries = -1), -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.retries = 1001), -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.item_timeout = -1), -EINVAL);
    refuse(pool, t_square, range, FM_STREAM_OPTS(.arg_bytes = 8), -EINVAL);
    refuse(pool, t_square, range, &(fm_stream_opts){.chunk = 1}, -EINVAL);
    t_expect(fm_pool_imap(pool, t_square, range, NULL, NULL), -EINVAL);
    t_expect(fm_stream_next(NULL, &item, FM_NOWAIT), -EINVAL);
    fm_stream *stream = t_stream(fm_pool_imap, pool, t_square, range, T_RESULT_I64);
    t_expect(fm_stream_next(stream, NULL, FM_NOWAIT), -EINVAL);
    t_expect_squares(stream, 1, 0, 10); /* as if nothing had been asked */
    t_expect(fm_stream_close(stream), 0);
    t_expect(fm_stream_close(NULL), 0);
    assert_int_equal(g.n_drawn, 0);
    t_expect(fm_pool_close(pool), 0);
    refuse(pool, t_square, range, NULL, FM_ECLOSED);
    refuse(pool, t_square, t_generated(&g), NULL, FM_ECLOSED);
    assert_int_equal(g.n_drawn, 0);
    t_destroy(pool);
    fm_array_destroy(array);
}

static void test_stream_of_an_array_that_is_none_is_refused(void **state)
{
    (void)state;
    char junk[512] = {0};
    fm_pool *pool = t_open(1, 0);
    fm_array *array = t_counted(3);
    fm_array_destroy(array);
    fm_stream *stream;
    int rc = fm_pool_imap(pool, t_square, fm_source_array((fm_array *)(void *)junk), NULL, &stream);
    assert_true(rc == -EINVAL || rc == FM_ECORRUPT);
    assert_null(stream);
    rc = fm_pool_imap(pool, t_square, fm_source_array(array), NULL, &stream);
    assert_true(rc == -EINVAL || rc == FM_ECORRUPT);
    assert_null(stream);
    t_destroy(pool);
}

T_MAIN(T_EACH_METHOD(test_stream_imap_gives_every_result_once_in_order),
       T_EACH_METHOD(test_stream_imap_unordered_gives_every_result_once),
       T_TEST(test_stream_unordered_is_not_held_up_by_a_slow_item),
       T_TEST(test_stream_result_of_any_size_is_aligned_and_whole),
       T_TEST(test_stream_result_stays_until_the_next_call),
       T_TEST(test_stream_result_lies_in_the_heap_where_the_worker_wrote_it),
       T_TEST(test_stream_argument_is_copied_or_lies_in_the_heap),
       T_TEST(test_stream_random_numbers_are_the_same_for_any_chunk_and_workers),
       T_TEST(test_stream_of_a_packed_array_equals_a_loop),
       T_TEST(test_stream_of_a_view_with_gaps_equals_a_loop),
       T_TEST(test_stream_of_fortran_ordered_rows_equals_a_loop),
       T_TEST(test_stream_of_one_column_of_a_matrix_equals_a_loop),
       T_TEST(test_stream_of_nothing_ends_at_once),
       T_TEST(test_stream_of_a_range_that_begins_anywhere_counts_items_from_0),
       T_TEST(test_stream_of_a_range_at_either_end_of_the_numbers_is_right),
       T_EACH_METHOD(test_stream_of_a_file_mapped_after_the_pool_is_right),
       T_EACH_METHOD(test_stream_of_a_generator_gives_what_it_makes),
       T_TEST(test_stream_of_odd_items_from_a_generator_that_never_ends_goes_on),
       T_TEST(test_stream_of_a_generator_that_fails_gives_what_was_before_and_its_code),
       T_TEST(test_stream_generator_is_never_ahead_by_more_than_the_window),
       T_TEST(test_stream_window_smaller_than_an_item_holds_one),
       T_TEST(test_stream_of_any_chunk_and_window_gives_the_same),
       T_TEST(test_stream_window_that_does_not_fit_is_refused),
       T_TEST(test_stream_of_a_million_items_needs_no_more_memory_than_of_a_tenth),
       T_TEST(test_stream_opened_and_closed_often_leaves_no_memory),
       T_EACH_METHOD(test_stream_several_at_once_beside_maps_and_calls_are_right),
       T_TEST(test_stream_in_a_caller_that_works_and_in_one_that_is_alone),
       T_TEST(test_stream_timeout_changes_nothing),
       T_EACH_METHOD(test_stream_inside_a_function_runs_there),
       T_EACH_METHOD(test_stream_on_a_pool_that_a_function_opened_has_its_workers),
       T_TEST(test_stream_in_a_forked_child_is_refused_and_goes_on_here),
       T_TEST(test_stream_wrong_arguments_are_refused),
       T_TEST(test_stream_of_an_array_that_is_none_is_refused))
