/* SPDX-License-Identifier: MIT */
/* LABELS: unit fork crash */
/* Arrays: layout, contents, lifetime and lock. */
#include "t.h"

#include "array.h"
#include "fault.h"
#include "heap.h"

#include <errno.h>
#include <forkmap/log.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define SHAPE(...)  ((const int64_t[]){__VA_ARGS__})
#define SLICES(...) ((const fm_slice[]){__VA_ARGS__})

static fm_array *make(fm_dtype dtype, int ndim, const int64_t *shape, int order)
{
    fm_array *a;
    assert_int_equal(
        fm_array_create(&a, dtype, ndim, shape, FM_ARRAY_OPTS(.order = order, .zero = 1)), 0);
    assert_non_null(a);
    return a;
}

/* 0, 1, 2, ... as int32, in the order in which they lie. */
static fm_array *make_counted(int ndim, const int64_t *shape, int order)
{
    fm_array *a = make(FM_I32, ndim, shape, order);
    int32_t *data = fm_array_data(a);
    for (int32_t i = 0; i < fm_array_count(a); i++)
        data[i] = i;
    return a;
}

static int32_t value_at(const fm_array *a, const int64_t *index)
{
    int32_t *p = fm_array_at(a, fm_array_ndim(a), index);
    assert_non_null(p);
    return *p;
}

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
}

static void ignore_message(int level, const char *message, void *arg)
{
    (void)level, (void)message;
    *(int *)arg += 1;
}

/* ---- layout ---- */

static void test_array_create_gives_shape_strides_and_sizes_in_c_order(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 3, SHAPE(4, 3, 2), 0);
    assert_memory_equal(fm_array_shape(a), SHAPE(4, 3, 2), 24);
    assert_memory_equal(fm_array_strides(a), SHAPE(48, 16, 8), 24);
    assert_int_equal(fm_array_dtype(a), FM_F64);
    assert_int_equal(fm_array_ndim(a), 3);
    assert_int_equal(fm_array_len(a), 4);
    assert_int_equal(fm_array_count(a), 24);
    assert_int_equal(fm_array_bytes(a), 192);
    assert_int_equal(fm_array_row_bytes(a), 48);
    assert_true(fm_array_is_contiguous(a, FM_ORDER_C));
    assert_false(fm_array_is_contiguous(a, FM_ORDER_F));
    assert_int_equal((uintptr_t)fm_array_data(a) % 64, 0);
    fm_array_destroy(a);
}

static void test_array_in_fortran_order_has_its_first_axis_packed(void **state)
{
    (void)state;
    fm_array *a = make(FM_F32, 2, SHAPE(5, 6), FM_ORDER_F);
    assert_memory_equal(fm_array_strides(a), SHAPE(4, 20), 16);
    assert_true(fm_array_is_contiguous(a, FM_ORDER_F));
    assert_false(fm_array_is_contiguous(a, FM_ORDER_C));
    struct fmi_array_view v;
    assert_int_equal(fmi_array_inspect(a, &v), 0);
    assert_false(v.row_is_packed);
    assert_int_equal(v.row_bytes, 24);
    fm_array_destroy(a);
}

static void test_array_of_one_column_is_contiguous_in_both_orders(void **state)
{
    (void)state;
    fm_array *a = make(FM_I16, 3, SHAPE(7, 1, 1), FM_ORDER_F);
    assert_true(fm_array_is_contiguous(a, FM_ORDER_C));
    assert_true(fm_array_is_contiguous(a, FM_ORDER_F));
    assert_false(fm_array_is_contiguous(a, 0));
    fm_array_destroy(a);
}

static void test_array_zeros_are_zero_in_memory_that_was_used_before(void **state)
{
    (void)state;
    for (int64_t n = 10; n <= 100000; n *= 100) {
        fm_array *a = make(FM_U8, 1, &n, 0);
        memset(fm_array_data(a), 0xff, (size_t)n);
        fm_array_destroy(a);
        assert_int_equal(fm_array_zeros(&a, FM_U8, 1, &n), 0);
        const uint8_t *data = fm_array_data(a);
        for (int64_t i = 0; i < n; i++)
            assert_int_equal(data[i], 0);
        fm_array_destroy(a);
    }
}

static void test_array_from_copies_the_elements(void **state)
{
    (void)state;
    int16_t values[6] = {1, -2, 3, -4, 5, -6};
    fm_array *a;
    assert_int_equal(fm_array_from(&a, values, FM_I16, 2, SHAPE(2, 3)), 0);
    assert_memory_equal(fm_array_data(a), values, sizeof values);
    values[0] = 9;
    assert_int_equal(*(int16_t *)fm_array_data(a), 1);
    fm_array_destroy(a);
    assert_int_equal(fm_array_from(&a, NULL, FM_I16, 1, SHAPE(1)), -EINVAL);
    assert_null(a);
    assert_int_equal(fm_array_from(&a, NULL, FM_I16, 1, SHAPE(0)), 0);
    fm_array_destroy(a);
}

static void test_array_with_a_length_of_zero_is_valid(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 2, SHAPE(0, 3), 0), *view, *flat;
    assert_non_null(fm_array_data(a));
    assert_int_equal(fm_array_count(a), 0);
    assert_int_equal(fm_array_row_bytes(a), 24);
    assert_true(fm_array_is_contiguous(a, FM_ORDER_C));
    assert_true(fm_array_is_contiguous(a, FM_ORDER_F));
    assert_null(fm_array_at(a, 2, SHAPE(0, 0)));
    assert_int_equal(fm_array_view(&view, a, SLICES(FM_ALL, {2, -1, -1})), 0);
    assert_int_equal(fm_array_count(view), 0);
    assert_int_equal(fm_array_reshape(&flat, a, 1, SHAPE(0)), 0);
    struct fmi_array_view v;
    assert_int_equal(fmi_array_inspect(view, &v), 0);
    assert_ptr_equal(v.lo, v.hi);
    fm_array_destroy(flat);
    fm_array_destroy(view);
    fm_array_destroy(a);
}

static void test_array_create_refuses_bad_arguments(void **state)
{
    (void)state;
    const struct {
        fm_dtype dtype;
        int ndim;
        const int64_t *shape;
        int expected;
    } cases[] = {
        {0, 1, SHAPE(1), -EINVAL},
        {FM_DTYPE('f', 2), 1, SHAPE(1), -EINVAL},
        {FM_F64, 0, SHAPE(1), -EINVAL},
        {FM_F64, -1, SHAPE(1), -EINVAL},
        {FM_F64, 9, SHAPE(1, 1, 1, 1, 1, 1, 1, 1, 1), -EINVAL},
        {FM_F64, 1, NULL, -EINVAL},
        {FM_F64, 2, SHAPE(3, -1), -EINVAL},
        {FM_F64, 1, SHAPE(INT64_MAX), -EOVERFLOW},
        {FM_F64, 1, SHAPE(INT64_C(1) << 60), -EOVERFLOW},
        {FM_F64, 3, SHAPE(1 << 21, 1 << 21, 1 << 21), -EOVERFLOW},
        {FM_F64, 3, SHAPE(INT64_C(1) << 40, 0, INT64_C(1) << 40), -EOVERFLOW},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fm_array *a = (fm_array *)&a;
        assert_int_equal(fm_array_create(&a, cases[i].dtype, cases[i].ndim, cases[i].shape, NULL),
                         cases[i].expected);
        assert_null(a);
        assert_string_not_equal(fm_error_detail(), "");
    }
    assert_int_equal(fm_array_create(NULL, FM_F64, 1, SHAPE(1), NULL), -EINVAL);
}

static void test_array_options_that_nobody_knows_are_refused(void **state)
{
    (void)state;
    fm_array *a;
    struct {
        fm_array_opts known;
        int64_t future;
    } newer = {.known = {.struct_size = sizeof newer}};
    assert_int_equal(fm_array_create(&a, FM_U8, 1, SHAPE(1), &newer.known), 0);
    fm_array_destroy(a);
    newer.future = 1;
    assert_int_equal(fm_array_create(&a, FM_U8, 1, SHAPE(1), &newer.known), -EINVAL);
    assert_int_equal(fm_array_create(&a, FM_U8, 1, SHAPE(1), FM_ARRAY_OPTS(.order = 3)), -EINVAL);
    assert_int_equal(fm_array_create(&a, FM_U8, 1, SHAPE(1), &(fm_array_opts){.order = FM_ORDER_F}),
                     -EINVAL);
    assert_null(a);
    /* An older program's struct may end early. */
    const fm_array_opts older = {.struct_size = offsetof(fm_array_opts, order), .order = 99};
    assert_int_equal(fm_array_create(&a, FM_U8, 1, SHAPE(1), &older), 0);
    fm_array_destroy(a);
}

static void test_array_too_large_for_the_machine_is_an_error(void **state)
{
    (void)state;
    fm_array *a;
    int code = fm_array_create(&a, FM_U8, 1, SHAPE(INT64_C(1) << 60), NULL);
    assert_true(code == -ENOMEM || code == -ENOSPC || code == -EFBIG);
    assert_null(a);
    a = make(FM_U8, 1, SHAPE(100), 0);
    fm_array_destroy(a);
}

static void test_array_arange_counts_up_and_down_and_stops_before_its_end(void **state)
{
    (void)state;
    const struct {
        fm_dtype dtype;
        double begin, end, step;
        int64_t n;
        double last;
    } cases[] = {
        {FM_F64, 0, 5, 1, 5, 4},
        {FM_I32, 5, 0, -2, 3, 1},
        {FM_U8, 250, 256, 1, 6, 255},
        {FM_F64, 0, 1, 0.25, 4, 0.75},
        {FM_F32, 1, 1, 1, 0, 0},
        {FM_I64, 3, 0, 1, 0, 0},
        {FM_I8, -128, 128, 85, 4, 127},
        {FM_F64, 1, 1.3, 0.1, 3, 1.2},
        {FM_U16, 0, 65536, 65535, 2, 65535},
        {FM_F64, 0, 1e308, 1e308, 1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fm_array *a, *wide;
        assert_int_equal(
            fm_array_arange(&a, cases[i].dtype, cases[i].begin, cases[i].end, cases[i].step), 0);
        assert_int_equal(fm_array_len(a), cases[i].n);
        assert_int_equal(fm_array_dtype(a), cases[i].dtype);
        assert_int_equal(
            fm_array_arange(&wide, FM_F64, cases[i].begin, cases[i].end, cases[i].step), 0);
        if (cases[i].n > 0) {
            double last = ((double *)fm_array_data(wide))[cases[i].n - 1];
            assert_true(fabs(last - cases[i].last) < 1e-12);
        }
        fm_array_destroy(a);
        fm_array_destroy(wide);
    }
    fm_array *a;
    assert_int_equal(fm_array_arange(&a, FM_I16, -3, 4, 3), 0);
    assert_memory_equal(fm_array_data(a), ((int16_t[]){-3, 0, 3}), 6);
    fm_array_destroy(a);
}

static void test_array_arange_refuses_what_it_cannot_hold(void **state)
{
    (void)state;
    fm_array *a;
    assert_int_equal(fm_array_arange(&a, FM_F64, 0, 1, 0), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_F64, 0, (double)INFINITY, 1), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_F64, (double)NAN, 1, 1), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_BOOL, 0, 2, 1), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_C64, 0, 2, 1), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_U8, 0, 257, 1), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_U8, 3, -3, -1), -EINVAL);
    assert_int_equal(fm_array_arange(&a, FM_F64, 0, 1e300, 1), -EOVERFLOW);
    assert_null(a);
}

static void test_array_at_checks_every_index(void **state)
{
    (void)state;
    fm_array *a = make_counted(2, SHAPE(3, 4), FM_ORDER_C);
    assert_int_equal(value_at(a, SHAPE(2, 3)), 11);
    assert_null(fm_array_at(a, 1, SHAPE(0)));
    assert_null(fm_array_at(a, 3, SHAPE(0, 0, 0)));
    assert_null(fm_array_at(a, 2, SHAPE(3, 0)));
    assert_null(fm_array_at(a, 2, SHAPE(0, 4)));
    assert_null(fm_array_at(a, 2, SHAPE(-1, 0)));
    assert_null(fm_array_at(a, 2, NULL));
    fm_array_destroy(a);
}

static void test_array_questions_about_null_have_an_answer(void **state)
{
    (void)state;
    assert_null(fm_array_data(NULL));
    assert_null(fm_array_shape(NULL));
    assert_null(fm_array_strides(NULL));
    assert_int_equal(fm_array_dtype(NULL), 0);
    assert_int_equal(fm_array_ndim(NULL), 0);
    assert_int_equal(fm_array_len(NULL), 0);
    assert_int_equal(fm_array_count(NULL), 0);
    assert_int_equal(fm_array_bytes(NULL), 0);
    assert_int_equal(fm_array_row_bytes(NULL), 0);
    assert_false(fm_array_is_contiguous(NULL, FM_ORDER_C));
    assert_null(fm_array_at(NULL, 1, SHAPE(0)));
    assert_int_equal(fm_array_lock(NULL, FM_NOWAIT), -EINVAL);
    assert_int_equal(fm_array_unlock(NULL), -EINVAL);
    fm_array_destroy(NULL);
}

/* ---- lifetime ---- */

static void test_array_memory_lives_as_long_as_its_last_view(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    fm_array *warm = make(FM_U8, 1, SHAPE(1), 0); /* keeps the records' span */
    size_t before = used_bytes();
    fm_array *a = make_counted(1, SHAPE(N), FM_ORDER_C), *v, *w;
    assert_int_equal(fm_array_view(&v, a, SLICES({N - 1, -1, -1})), 0);
    assert_int_equal(fm_array_reshape(&w, a, 2, SHAPE(2, -1)), 0);
    fm_array_destroy(a);
    assert_int_equal(value_at(v, SHAPE(0)), N - 1);
    fm_array_destroy(v);
    assert_int_equal(value_at(w, SHAPE(1, 0)), N / 2);
    assert_true(used_bytes() >= before + N * sizeof(int32_t));
    fm_array_destroy(w);
    assert_int_equal(used_bytes(), before);
    fm_array_destroy(warm);
}

static void test_array_destroyed_twice_is_reported_and_harms_nobody(void **state)
{
    (void)state;
    int n_messages = 0;
    fm_array *a = make_counted(1, SHAPE(100), FM_ORDER_C), *v;
    assert_int_equal(fm_array_view(&v, a, SLICES(FM_ALL)), 0);
    assert_int_equal(fm_log_set(0, ignore_message, &n_messages), 0);
    fm_array_destroy(a);
    assert_int_equal(n_messages, 0);
    fm_array_destroy(a);
    assert_int_equal(n_messages, 1);
    int outside = 0;
    fm_array_destroy((fm_array *)&outside);
    assert_int_equal(n_messages, 2);
    assert_int_equal(fm_log_set(0, NULL, NULL), 0);
    assert_null(fm_array_data(a));
    assert_int_equal(value_at(v, SHAPE(99)), 99);
    fm_array_destroy(v);
}

static void swap_halves(void *arg)
{
    fm_array **mailbox = fm_array_data(arg), *made;
    int32_t *data = fm_array_data(mailbox[0]);
    data[0] = 4242;
    if (fm_array_view(&made, mailbox[0], SLICES({5, 10, 1})) != 0)
        _exit(1);
    fm_array_destroy(mailbox[0]);
    if (fm_array_arange(&mailbox[2], FM_F64, 0, 5, 1) != 0)
        _exit(2);
    mailbox[1] = made;
}

static void test_array_pointers_mean_the_same_in_a_child(void **state)
{
    (void)state;
    fm_array *box = make(FM_U64, 1, SHAPE(3), 0);
    fm_array **mailbox = fm_array_data(box);
    mailbox[0] = make_counted(1, SHAPE(10), FM_ORDER_C);
    const int32_t *data = fm_array_data(mailbox[0]);
    assert_int_equal(t_exit_code(t_in_child(swap_halves, box)), 0);
    assert_int_equal(data[0], 4242);
    assert_int_equal(value_at(mailbox[1], SHAPE(4)), 9);
    assert_int_equal(((double *)fm_array_data(mailbox[2]))[4], 4);
    fm_array_destroy(mailbox[1]);
    fm_array_destroy(mailbox[2]);
    fm_array_destroy(box);
}

static void test_array_goes_out_of_scope_by_itself(void **state)
{
    (void)state;
    fm_array *keep;
    {
        FM_AUTO(fm_array) a = NULL;
        assert_int_equal(fm_array_zeros(&a, FM_F64, 1, SHAPE(4)), 0);
        keep = a;
        assert_non_null(fm_array_data(keep));
    }
    assert_null(fm_array_data(keep));
}

/* ---- lock ---- */

static void test_array_lock_is_recursive_and_shared_with_views(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 1, SHAPE(4), 0), *v;
    assert_int_equal(fm_array_view(&v, a, SLICES({1, 3, 1})), 0);
    assert_int_equal(fm_array_unlock(a), -EPERM);
    assert_int_equal(fm_array_lock(a, FM_FOREVER), 0);
    assert_int_equal(fm_array_lock(v, FM_NOWAIT), 0);
    assert_int_equal(fm_array_unlock(a), 0);
    assert_int_equal(fm_array_unlock(v), 0);
    assert_int_equal(fm_array_unlock(v), -EPERM);
    fm_array_destroy(v);
    fm_array_destroy(a);
}

static void lock_in_vain(void *a)
{
    if (fm_array_lock(a, FM_NOWAIT) != -ETIMEDOUT)
        _exit(1);
    if (fm_array_lock(a, FM_MS(5)) != -ETIMEDOUT)
        _exit(2);
    if (fm_array_unlock(a) != -EPERM)
        _exit(3);
}

static void test_array_lock_keeps_other_processes_out(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 1, SHAPE(4), 0);
    assert_int_equal(fm_array_lock(a, FM_FOREVER), 0);
    assert_int_equal(t_exit_code(t_in_child(lock_in_vain, a)), 0);
    assert_int_equal(fm_array_unlock(a), 0);
    fm_array_destroy(a);
}

static void test_array_that_is_raw_refuses_lock_and_unlock(void **state)
{
    (void)state;
    fm_array *a, *v;
    assert_int_equal(fm_array_create(&a, FM_F64, 1, SHAPE(4), FM_ARRAY_OPTS(.lock = FM_RAW)), 0);
    assert_int_equal(fm_array_view(&v, a, SLICES({1, 3, 1})), 0);
    assert_int_equal(fm_array_lock(a, FM_NOWAIT), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "FM_RAW"));
    assert_int_equal(fm_array_unlock(a), -EINVAL);
    assert_int_equal(fm_array_lock(v, FM_NOWAIT), -EINVAL);
    ((double *)fm_array_data(v))[0] = 7;
    assert_true(((double *)fm_array_data(a))[1] == 7);
    fm_array_destroy(v);
    fm_array_destroy(a);
    assert_int_equal(fm_array_create(&a, FM_F64, 1, SHAPE(4), FM_ARRAY_OPTS(.lock = FM_LOCKED)), 0);
    assert_int_equal(fm_array_lock(a, FM_NOWAIT), 0);
    assert_int_equal(fm_array_unlock(a), 0);
    fm_array_destroy(a);
    assert_int_equal(fm_array_create(&a, FM_F64, 1, SHAPE(4), FM_ARRAY_OPTS(.lock = 3)), -EINVAL);
    assert_null(a);
}

static void lock_and_die(void *a)
{
    if (fm_array_lock(a, FM_FOREVER) == 0)
        raise(SIGKILL);
}

static void test_array_lock_of_a_killed_owner_is_told_to_the_next(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 1, SHAPE(4), 0);
    assert_int_equal(t_signal(t_in_child(lock_and_die, a)), SIGKILL);
    assert_int_equal(fm_array_lock(a, FM_SECONDS(5)), FM_EOWNERDEAD);
    assert_int_equal(fm_array_unlock(a), 0);
    assert_int_equal(fm_array_lock(a, FM_SECONDS(5)), 0);
    assert_int_equal(fm_array_unlock(a), 0);
    fm_array_destroy(a);
}

/* ---- deaths: memory may be lost, but never freed under a reader ---- */

#ifdef FORKMAP_FAULTS
static void make_view_and_destroy(void *base)
{
    fm_array *v;
    if (fm_array_view(&v, base, SLICES(FM_ALL)) != 0)
        _exit(1);
    fm_array_destroy(v);
}

static void test_array_survives_a_death_in_view_and_destroy(void **state)
{
    (void)state;
    static const char *const points[] = {"array.share", "array.dead", "array.count"};
    for (int i = 0; i < 3; i++) {
        fm_array *a = make_counted(1, SHAPE(1000), FM_ORDER_C), *v;
        assert_int_equal(fmi_fault_arm(points[i], 1, 1), 0);
        assert_int_equal(t_signal(t_in_child(make_view_and_destroy, a)), SIGKILL);
        assert_int_equal(fmi_fault_arm(NULL, 0, 0), 0);
        assert_int_equal(fm_array_view(&v, a, SLICES({999, -1, -1})), 0);
        fm_array_destroy(a);
        assert_int_equal(value_at(v, SHAPE(0)), 999);
        fm_array_destroy(v);
    }
}
#else
static void test_array_survives_a_death_in_view_and_destroy(void **state)
{
    (void)state;
    t_skip("fault points: build with FORKMAP_FAULTS");
}
#endif

T_MAIN(T_TEST(test_array_create_gives_shape_strides_and_sizes_in_c_order),
       T_TEST(test_array_in_fortran_order_has_its_first_axis_packed),
       T_TEST(test_array_of_one_column_is_contiguous_in_both_orders),
       T_TEST(test_array_zeros_are_zero_in_memory_that_was_used_before),
       T_TEST(test_array_from_copies_the_elements),
       T_TEST(test_array_with_a_length_of_zero_is_valid),
       T_TEST(test_array_create_refuses_bad_arguments),
       T_TEST(test_array_options_that_nobody_knows_are_refused),
       T_TEST(test_array_too_large_for_the_machine_is_an_error),
       T_TEST(test_array_arange_counts_up_and_down_and_stops_before_its_end),
       T_TEST(test_array_arange_refuses_what_it_cannot_hold),
       T_TEST(test_array_at_checks_every_index),
       T_TEST(test_array_questions_about_null_have_an_answer),
       T_TEST(test_array_memory_lives_as_long_as_its_last_view),
       T_TEST(test_array_destroyed_twice_is_reported_and_harms_nobody),
       T_TEST(test_array_pointers_mean_the_same_in_a_child),
       T_TEST(test_array_goes_out_of_scope_by_itself),
       T_TEST(test_array_lock_is_recursive_and_shared_with_views),
       T_TEST(test_array_lock_keeps_other_processes_out),
       T_TEST(test_array_that_is_raw_refuses_lock_and_unlock),
       T_TEST(test_array_lock_of_a_killed_owner_is_told_to_the_next),
       T_TEST(test_array_survives_a_death_in_view_and_destroy))
