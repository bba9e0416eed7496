/* SPDX-License-Identifier: MIT */
/* LABELS: fork */
/* Wrong arguments: each gets its code and a detail, no function runs, and nothing changes. */
#include "t_pool.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>

enum { N = 12 };

/* Good arguments, of which each row of the table spoils one. */
struct call {
    fm_pool *pool;
    fm_item_fn *fn;
    fm_star_fn *star;
    fm_chunk_fn *chunk_fn;
    fm_array *in, *out;
    fm_array *columns[FM_MAX_COLUMNS + 1];
    int n_columns;
    int64_t begin, end;
    fm_map_opts opts;
};

static fm_pool *pool;
static fm_array *in, *out, *status, *ran;

static int note_run(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    *(int64_t *)arg = 1;
    return 0;
}

static int note_star(const void *const items[], void *result, void *arg)
{
    return note_run(items[0], result, arg);
}

static int note_chunk(const fm_chunk *chunk, void *arg)
{
    return note_run(chunk, NULL, arg);
}

static void begin(void)
{
    pool = t_open(2, FM_CALLER_SLEEPS);
    in = t_counted(N);
    out = t_vector(FM_I64, N);
    status = t_vector(FM_U8, N);
    ran = t_vector(FM_I64, 1);
    memset(fm_array_data(out), 0x5a, fm_array_bytes(out));
    memset(fm_array_data(status), 0x5a, N);
}

static void end(void)
{
    t_destroy(pool);
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(status);
    fm_array_destroy(ran);
}

static struct call good_call(void)
{
    struct call c = {.pool = pool,
                     .fn = note_run,
                     .star = note_star,
                     .chunk_fn = note_chunk,
                     .in = in,
                     .out = out,
                     .n_columns = 2,
                     .begin = 100,
                     .end = 100 + N};
    c.opts = *FM_MAP_OPTS(.arg = fm_array_data(ran), .status = status);
    for (int k = 0; k <= FM_MAX_COLUMNS; k++)
        c.columns[k] = in;
    return c;
}

enum kind { MAP, MAP_CHUNKS, RANGE, RANGE_CHUNKS, STAR, STAR_CHUNKS, N_KINDS };
static const char *const kind_names[] = {"map",          "map_chunks", "map_range",
                                         "range_chunks", "starmap",    "starmap_chunks"};

static int call_kind(enum kind kind, const struct call *c)
{
    fm_array *const *columns = c->n_columns == INT_MAX ? NULL : c->columns;
    int n = c->n_columns == INT_MAX ? 2 : c->n_columns;
    switch (kind) {
    case MAP:
        return fm_pool_map(c->pool, c->fn, c->in, c->out, &c->opts);
    case MAP_CHUNKS:
        return fm_pool_map_chunks(c->pool, c->chunk_fn, c->in, c->out, &c->opts);
    case RANGE:
        return fm_pool_map_range(c->pool, c->fn, c->begin, c->end, c->out, &c->opts);
    case RANGE_CHUNKS:
        return fm_pool_map_range_chunks(c->pool, c->chunk_fn, c->begin, c->end, c->out, &c->opts);
    case STAR:
        return fm_pool_starmap(c->pool, c->star, columns, n, c->out, &c->opts);
    default:
        return fm_pool_starmap_chunks(c->pool, c->chunk_fn, columns, n, c->out, &c->opts);
    }
}

static int is_untouched(const fm_array *a)
{
    const uint8_t *bytes = fm_array_data(a);
    for (size_t i = 0; i < fm_array_bytes(a); i++)
        if (bytes[i] != 0x5a)
            return 0;
    return 1;
}

/* The text of an earlier failure must not pass for that of this one. */
static void leave_stale_detail(char stale[512])
{
    fm_dtype dtype;
    assert_int_equal(fm_dtype_parse("nonsense", &dtype), -EINVAL);
    snprintf(stale, 512, "%s", fm_error_detail());
}

static void refuse(enum kind kind, const struct call *c, int expected, const char *what)
{
    char stale[512];
    leave_stale_detail(stale);
    int rc = call_kind(kind, c);
    if (rc != expected)
        fail_msg("%s, %s: %s instead of %s (%s)", kind_names[kind], what, fm_errname(rc),
                 fm_errname(expected), fm_error_detail());
    if (fm_error_detail()[0] == '\0' || strcmp(stale, fm_error_detail()) == 0)
        fail_msg("%s, %s: no detail", kind_names[kind], what);
    if (!is_untouched(out) || !is_untouched(status) || *(int64_t *)fm_array_data(ran) != 0)
        fail_msg("%s, %s: something was written", kind_names[kind], what);
}

static void refuse_by_all(const struct call *c, int expected, const char *what)
{
    for (enum kind kind = MAP; kind < N_KINDS; kind++)
        refuse(kind, c, expected, what);
}

static void test_map_good_call_of_the_error_tests_is_good(void **state)
{
    (void)state;
    begin();
    struct call c = good_call();
    for (enum kind kind = MAP; kind < N_KINDS; kind++) {
        *(int64_t *)fm_array_data(ran) = 0;
        t_expect(call_kind(kind, &c), 0);
        assert_int_equal(*(int64_t *)fm_array_data(ran), 1);
    }
    end();
}

static void test_map_without_a_function_or_pool_is_refused(void **state)
{
    (void)state;
    begin();
    struct call c = good_call();
    c.fn = NULL;
    c.star = NULL;
    c.chunk_fn = NULL;
    refuse_by_all(&c, -EINVAL, "NULL function");
    c = good_call();
    c.pool = NULL;
    refuse_by_all(&c, -EINVAL, "NULL pool");
    end();
}

static void test_map_unknown_options_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        fm_map_opts opts;
    } rows[] = {
        {"schedule 5", {.schedule = 5}},
        {"schedule -1", {.schedule = -1}},
        {"on_error 3", {.on_error = 3}},
        {"on_error -1", {.on_error = -1}},
        {"unknown flag", {.flags = FM_IN_PLACE << 1}},
        {"unknown flag beside a known one", {.flags = FM_IN_PLACE | 1u << 31}},
        {"chunk -2", {.chunk = -2}},
        {"chunk INT64_MIN", {.chunk = INT64_MIN}},
        {"retries -1", {.retries = -1}},
        {"retries 1001", {.retries = 1001}},
        {"item_timeout -1", {.item_timeout = -1}},
        {"timeout_factor -1", {.timeout_factor = -1}},
        {"max_failures -1", {.max_failures = -1}},
        {"progress_interval -1", {.progress_interval = -1}},
        {"argument of 8 bytes at NULL", {.arg_bytes = 8}},
    };
    begin();
    for (size_t i = 0; i < T_N_OF(rows); i++) {
        struct call c = good_call();
        void *arg = c.opts.arg;
        c.opts = rows[i].opts;
        c.opts.struct_size = sizeof c.opts;
        c.opts.arg = rows[i].opts.arg_bytes > 0 ? NULL : arg;
        refuse_by_all(&c, -EINVAL, rows[i].what);
    }
    struct call c = good_call();
    c.opts.timeout_factor = (double)NAN;
    refuse_by_all(&c, -EINVAL, "timeout_factor NaN");
    end();
}

static void test_map_options_of_unknown_size_are_refused(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, sizeof(size_t) - 1, sizeof(fm_map_opts) + 1, SIZE_MAX};
    begin();
    for (size_t i = 0; i < T_N_OF(sizes); i++) {
        struct call c = good_call();
        c.opts.struct_size = sizes[i];
        refuse_by_all(&c, -EINVAL, "struct_size");
    }
    end();
}

/* A program that was compiled with an older header passes fewer options. */
static void test_map_options_of_an_older_header_are_accepted(void **state)
{
    (void)state;
    begin();
    struct call c = good_call();
    c.fn = NULL; /* it must get as far as this */
    c.opts.struct_size = offsetof(fm_map_opts, status);
    refuse(MAP, &c, -EINVAL, "older options");
    assert_non_null(strstr(fm_error_detail(), "function"));
    end();
}

static void test_map_output_of_another_length_is_refused(void **state)
{
    (void)state;
    begin();
    fm_array *longer = t_vector(FM_I64, N + 1), *empty = t_vector(FM_I64, 0),
             *one = t_vector(FM_I64, 1);
    fm_array *const wrong[] = {longer, empty, one};
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        struct call c = good_call();
        c.out = wrong[i];
        refuse_by_all(&c, -EINVAL, "output of another length");
        fm_array_destroy(wrong[i]);
    }
    end();
}

static void test_map_columns_of_different_lengths_are_refused(void **state)
{
    (void)state;
    begin();
    fm_array *shorter = t_counted(N - 1), *empty = t_counted(0);
    fm_array *const wrong[] = {shorter, empty};
    for (size_t i = 0; i < T_N_OF(wrong); i++)
        for (int k = 0; k < 2; k++) {
            struct call c = good_call();
            c.columns[k] = wrong[i];
            refuse(STAR, &c, -EINVAL, "columns of different lengths");
            refuse(STAR_CHUNKS, &c, -EINVAL, "columns of different lengths");
        }
    fm_array_destroy(shorter);
    fm_array_destroy(empty);
    end();
}

static void test_map_of_no_or_too_many_columns_is_refused(void **state)
{
    (void)state;
    static const int numbers[] = {0, -1, FM_MAX_COLUMNS + 1, INT_MIN,
                                  INT_MAX /* NULL for the list */};
    begin();
    for (size_t i = 0; i < T_N_OF(numbers); i++) {
        struct call c = good_call();
        c.n_columns = numbers[i];
        refuse(STAR, &c, -EINVAL, "number of columns");
        refuse(STAR_CHUNKS, &c, -EINVAL, "number of columns");
    }
    end();
}

static void test_map_range_that_ends_before_it_begins_is_refused(void **state)
{
    (void)state;
    static const int64_t ranges[][2] = {{1, 0}, {0, -1}, {INT64_MAX, INT64_MIN}};
    begin();
    for (size_t i = 0; i < T_N_OF(ranges); i++) {
        struct call c = good_call();
        c.begin = ranges[i][0];
        c.end = ranges[i][1];
        refuse(RANGE, &c, -EINVAL, "range backwards");
        refuse(RANGE_CHUNKS, &c, -EINVAL, "range backwards");
    }
    end();
}

static void test_map_range_of_more_than_63_bits_overflows(void **state)
{
    (void)state;
    static const int64_t ranges[][2] = {{INT64_MIN, INT64_MAX}, {-1, INT64_MAX}, {INT64_MIN, 0}};
    begin();
    for (size_t i = 0; i < T_N_OF(ranges); i++) {
        struct call c = good_call();
        c.begin = ranges[i][0];
        c.end = ranges[i][1];
        refuse(RANGE, &c, -EOVERFLOW, "range too long");
        refuse(RANGE_CHUNKS, &c, -EOVERFLOW, "range too long");
    }
    end();
}

static void test_map_arrays_outside_the_heap_are_refused(void **state)
{
    (void)state;
    static uint64_t in_program[64];
    uint64_t on_stack[64] = {0};
    fm_array *const wrong[] = {NULL, (fm_array *)in_program, (fm_array *)on_stack,
                               (fm_array *)(uintptr_t)8, (fm_array *)(UINTPTR_MAX - 63)};
    begin();
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        struct call c = good_call();
        c.in = c.columns[1] = wrong[i];
        refuse(MAP, &c, -EINVAL, "input");
        refuse(MAP_CHUNKS, &c, -EINVAL, "input");
        refuse(STAR, &c, -EINVAL, "column 1");
        c = good_call();
        c.out = wrong[i];
        if (wrong[i] != NULL) /* then there is no output */
            refuse_by_all(&c, -EINVAL, "output");
        c = good_call();
        c.opts.status = wrong[i];
        if (wrong[i] != NULL)
            refuse_by_all(&c, -EINVAL, "status");
    }
    end();
}

static void test_map_destroyed_arrays_are_corrupt(void **state)
{
    (void)state;
    begin();
    fm_array *gone = t_counted(N);
    fm_array_destroy(gone);
    struct call c = good_call();
    c.in = c.columns[0] = gone;
    refuse(MAP, &c, FM_ECORRUPT, "input");
    refuse(MAP_CHUNKS, &c, FM_ECORRUPT, "input");
    refuse(STAR, &c, FM_ECORRUPT, "column 0");
    refuse(STAR_CHUNKS, &c, FM_ECORRUPT, "column 0");
    c = good_call();
    c.out = gone;
    refuse_by_all(&c, FM_ECORRUPT, "output");
    c = good_call();
    c.opts.status = gone;
    refuse_by_all(&c, FM_ECORRUPT, "status");
    end();
}

static void test_map_status_of_another_type_or_length_is_refused(void **state)
{
    (void)state;
    begin();
    fm_array *const wrong[] = {t_vector(FM_I8, N),     t_vector(FM_U16, N),
                               t_vector(FM_BOOL, N),   t_vector(FM_U8, N - 1),
                               t_vector(FM_U8, N + 1), t_array(FM_U8, 2, T_SHAPE(N, 1))};
    for (size_t i = 0; i < T_N_OF(wrong); i++) {
        struct call c = good_call();
        c.opts.status = wrong[i];
        refuse_by_all(&c, -EINVAL, "status");
        fm_array_destroy(wrong[i]);
    }
    end();
}

static void test_map_output_that_overlaps_an_input_is_refused(void **state)
{
    (void)state;
    begin();
    fm_array *wide = t_vector(FM_I64, 2 * N), *low, *high, *middle;
    memset(fm_array_data(wide), 0x5a, fm_array_bytes(wide));
    assert_int_equal(fm_array_view(&low, wide, &(fm_slice){0, N, 1}), 0);
    assert_int_equal(fm_array_view(&middle, wide, &(fm_slice){N / 2, N / 2 + N, 1}), 0);
    assert_int_equal(fm_array_view(&high, wide, &(fm_slice){N, 2 * N, 1}), 0);
    struct call c = good_call();
    c.in = c.columns[1] = low;
    static const enum kind kinds[] = {MAP, MAP_CHUNKS, STAR, STAR_CHUNKS};
    for (size_t i = 0; i < T_N_OF(kinds); i++) {
        c.opts.flags = 0;
        c.out = low;
        refuse(kinds[i], &c, -EINVAL, "the same array without FM_IN_PLACE");
        c.out = middle;
        refuse(kinds[i], &c, -EINVAL, "shifted");
        c.opts.flags = FM_IN_PLACE;
        refuse(kinds[i], &c, -EINVAL, "shifted, with FM_IN_PLACE");
        assert_true(is_untouched(wide));
    }
    c.opts.flags = 0;
    c.out = high;
    t_expect(call_kind(MAP, &c), 0); /* the other half of the same memory is no overlap */
    fm_array_destroy(low);
    fm_array_destroy(middle);
    fm_array_destroy(high);
    fm_array_destroy(wide);
    end();
}

static void test_map_status_that_overlaps_an_array_is_refused(void **state)
{
    (void)state;
    begin();
    fm_array *bytes = t_vector(FM_U8, N);
    memset(fm_array_data(bytes), 0x5a, N);
    struct call c = good_call();
    c.opts.status = c.out = bytes;
    refuse_by_all(&c, -EINVAL, "status is the output");
    c = good_call();
    c.opts.status = c.in = c.columns[1] = bytes;
    refuse(MAP, &c, -EINVAL, "status is the input");
    refuse(STAR_CHUNKS, &c, -EINVAL, "status is column 1");
    assert_true(is_untouched(bytes));
    fm_array_destroy(bytes);
    end();
}

static void test_map_wrong_failure_list_is_refused(void **state)
{
    (void)state;
    begin();
    fm_failure failure;
    assert_int_equal(fm_pool_failures(pool, NULL, 1), -EINVAL);
    assert_int_equal(fm_pool_failures(pool, &failure, -1), -EINVAL);
    assert_true(strlen(fm_error_detail()) > 0);
    assert_int_equal(fm_pool_failures(pool, NULL, 0), 0);
    end();
}

T_MAIN(T_TEST(test_map_good_call_of_the_error_tests_is_good),
       T_TEST(test_map_without_a_function_or_pool_is_refused),
       T_TEST(test_map_unknown_options_are_refused),
       T_TEST(test_map_options_of_unknown_size_are_refused),
       T_TEST(test_map_options_of_an_older_header_are_accepted),
       T_TEST(test_map_output_of_another_length_is_refused),
       T_TEST(test_map_columns_of_different_lengths_are_refused),
       T_TEST(test_map_of_no_or_too_many_columns_is_refused),
       T_TEST(test_map_range_that_ends_before_it_begins_is_refused),
       T_TEST(test_map_range_of_more_than_63_bits_overflows),
       T_TEST(test_map_arrays_outside_the_heap_are_refused),
       T_TEST(test_map_destroyed_arrays_are_corrupt),
       T_TEST(test_map_status_of_another_type_or_length_is_refused),
       T_TEST(test_map_output_that_overlaps_an_input_is_refused),
       T_TEST(test_map_status_that_overlaps_an_array_is_refused),
       T_TEST(test_map_wrong_failure_list_is_refused))
