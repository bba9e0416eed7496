/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* Views and reshaped arrays, and what an array's descriptor is believed. */
#include "t.h"

#include "array.h"

#include <errno.h>
#include <string.h>

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

/* ---- views ---- */

static void test_array_view_with_steps_sees_the_same_memory(void **state)
{
    (void)state;
    fm_array *a = make_counted(2, SHAPE(6, 5), FM_ORDER_C), *v;
    assert_int_equal(fm_array_view(&v, a, SLICES({1, 6, 2}, {0, 4, 3})), 0);
    assert_memory_equal(fm_array_shape(v), SHAPE(3, 2), 16);
    assert_memory_equal(fm_array_strides(v), SHAPE(40, 12), 16);
    assert_int_equal(value_at(v, SHAPE(0, 0)), 5);
    assert_int_equal(value_at(v, SHAPE(2, 1)), 28);
    *(int32_t *)fm_array_at(v, 2, SHAPE(1, 1)) = -7;
    assert_int_equal(value_at(a, SHAPE(3, 3)), -7);
    assert_false(fm_array_is_contiguous(v, FM_ORDER_C));
    fm_array_destroy(v);
    fm_array_destroy(a);
}

static void test_array_view_with_a_negative_step_runs_backwards(void **state)
{
    (void)state;
    fm_array *a = make_counted(1, SHAPE(10), FM_ORDER_C), *v;
    assert_int_equal(fm_array_view(&v, a, SLICES({9, -1, -3})), 0);
    assert_int_equal(fm_array_len(v), 4);
    for (int64_t i = 0; i < 4; i++)
        assert_int_equal(value_at(v, &i), 9 - 3 * i);
    struct fmi_array_view seen;
    assert_int_equal(fmi_array_inspect(v, &seen), 0);
    assert_ptr_equal(seen.lo, fm_array_data(a));
    assert_ptr_equal(seen.hi, (char *)fm_array_data(a) + 40);
    fm_array_destroy(v);
    assert_int_equal(fm_array_view(&v, a, SLICES({7, 2, -2})), 0); /* 7 5 3 */
    assert_int_equal(fm_array_len(v), 3);
    assert_int_equal(value_at(v, SHAPE(2)), 3);
    fm_array_destroy(v);
    fm_array_destroy(a);
}

static void test_array_view_of_a_view_composes(void **state)
{
    (void)state;
    fm_array *a = make_counted(2, SHAPE(8, 8), FM_ORDER_F), *v, *w;
    assert_int_equal(fm_array_view(&v, a, SLICES({7, -1, -2}, {1, 7, 1})), 0); /* rows 7 5 3 1 */
    assert_int_equal(fm_array_view(&w, v, SLICES({1, 4, 2}, {5, 0, -4})),
                     0); /* rows 5 1, columns 6 2 */
    assert_memory_equal(fm_array_shape(w), SHAPE(2, 2), 16);
    assert_int_equal(value_at(w, SHAPE(0, 0)), value_at(a, SHAPE(5, 6)));
    assert_int_equal(value_at(w, SHAPE(1, 1)), value_at(a, SHAPE(1, 2)));
    fm_array_destroy(v);
    fm_array_destroy(a);
    assert_int_equal(value_at(w, SHAPE(1, 0)), 1 + 6 * 8);
    fm_array_destroy(w);
}

static void test_array_view_cuts_its_ends_and_refuses_other_slices(void **state)
{
    (void)state;
    fm_array *a = make_counted(1, SHAPE(10), FM_ORDER_C), *v;
    const struct {
        fm_slice slice;
        int code;
        int64_t n;
    } cases[] = {
        {{0, 99, 1}, 0, 10},        {{0, INT64_MAX, INT64_MAX}, 0, 1},
        {{9, -1, INT64_MIN}, 0, 1}, {{9, INT64_MIN, -9}, 0, 2},
        {{10, 10, 1}, 0, 0},        {{5, 5, 1}, 0, 0},
        {{5, 2, 1}, 0, 0},          {{2, 5, -1}, 0, 0},
        {{0, 10, 9}, 0, 2},         {{0, 10, 0}, -EINVAL, 0},
        {{-1, 10, 1}, -EINVAL, 0},  {{11, 12, 1}, -EINVAL, 0},
        {{10, -1, -1}, -EINVAL, 0}, {{INT64_MIN, 0, 1}, -EINVAL, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(fm_array_view(&v, a, &cases[i].slice), cases[i].code);
        assert_int_equal(fm_array_len(v), cases[i].n);
        fm_array_destroy(v);
    }
    assert_int_equal(fm_array_view(&v, a, NULL), -EINVAL);
    assert_int_equal(fm_array_view(&v, NULL, SLICES(FM_ALL)), -EINVAL);
    assert_int_equal(fm_array_view(NULL, a, SLICES(FM_ALL)), -EINVAL);
    fm_array_destroy(a);
}

static void test_array_reshape_computes_the_open_length(void **state)
{
    (void)state;
    fm_array *a = make_counted(2, SHAPE(6, 4), FM_ORDER_C), *r;
    assert_int_equal(fm_array_reshape(&r, a, 3, SHAPE(2, -1, 3)), 0);
    assert_memory_equal(fm_array_shape(r), SHAPE(2, 4, 3), 24);
    assert_int_equal(value_at(r, SHAPE(1, 2, 1)), 19);
    fm_array_destroy(r);
    assert_int_equal(fm_array_reshape(&r, a, 1, SHAPE(-1)), 0);
    assert_int_equal(fm_array_len(r), 24);
    fm_array_destroy(a);
    assert_int_equal(value_at(r, SHAPE(23)), 23);
    fm_array_destroy(r);
}

static void test_array_reshape_keeps_fortran_order(void **state)
{
    (void)state;
    fm_array *a = make_counted(2, SHAPE(6, 4), FM_ORDER_F), *r;
    assert_int_equal(fm_array_reshape(&r, a, 2, SHAPE(3, 8)), 0);
    assert_true(fm_array_is_contiguous(r, FM_ORDER_F));
    assert_int_equal(value_at(r, SHAPE(1, 2)), 7);
    fm_array_destroy(r);
    fm_array_destroy(a);
}

static void test_array_reshape_refuses_other_counts_and_arrays_with_gaps(void **state)
{
    (void)state;
    fm_array *a = make_counted(2, SHAPE(6, 4), FM_ORDER_C), *r, *gaps, *empty;
    const struct {
        int ndim;
        const int64_t *shape;
    } bad[] = {
        {2, SHAPE(5, 5)},
        {2, SHAPE(-1, -1)},
        {2, SHAPE(-1, 7)},
        {2, SHAPE(-2, 12)},
        {2, SHAPE(-1, 0)},
        {0, SHAPE(24)},
        {9, SHAPE(24, 1, 1, 1, 1, 1, 1, 1, 1)},
        {1, NULL},
        {2, SHAPE(INT64_MAX, INT64_MAX)},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(fm_array_reshape(&r, a, bad[i].ndim, bad[i].shape), -EINVAL);
        assert_null(r);
    }
    assert_int_equal(fm_array_view(&gaps, a, SLICES(FM_ALL, {0, 4, 2})), 0);
    assert_int_equal(fm_array_reshape(&r, gaps, 1, SHAPE(-1)), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "gaps"));
    empty = make(FM_F64, 2, SHAPE(0, 5), 0);
    assert_int_equal(fm_array_reshape(&r, empty, 2, SHAPE(0, -1)), -EINVAL);
    assert_int_equal(fm_array_reshape(&r, NULL, 1, SHAPE(1)), -EINVAL);
    fm_array_destroy(empty);
    fm_array_destroy(gaps);
    fm_array_destroy(a);
}

/* ---- distrust ---- */

static void test_array_inspect_tells_rows_and_extent(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 3, SHAPE(5, 4, 3), 0), *v;
    struct fmi_array_view seen;
    assert_int_equal(fmi_array_inspect(a, &seen), 0);
    assert_int_equal(seen.n_items, 5);
    assert_int_equal(seen.n_elements, 60);
    assert_int_equal(seen.row_bytes, 96);
    assert_int_equal(seen.item_bytes, 8);
    assert_true(seen.row_is_packed);
    assert_ptr_equal(seen.hi, seen.lo + 480);
    assert_int_equal(fm_array_view(&v, a, SLICES({3, 0, -2}, FM_ALL, FM_ALL)), 0); /* rows 3 1 */
    assert_int_equal(fmi_array_inspect(v, &seen), 0);
    assert_true(seen.row_is_packed);
    assert_int_equal(seen.strides[0], -192);
    assert_ptr_equal(seen.data, (char *)fm_array_data(a) + 3 * 96);
    assert_ptr_equal(seen.lo, (char *)fm_array_data(a) + 96);
    assert_ptr_equal(seen.hi, (char *)fm_array_data(a) + 4 * 96);
    fm_array_destroy(v);
    assert_int_equal(fm_array_view(&v, a, SLICES(FM_ALL, {0, 4, 2}, FM_ALL)), 0);
    assert_int_equal(fmi_array_inspect(v, &seen), 0);
    assert_false(seen.row_is_packed);
    fm_array_destroy(v);
    fm_array_destroy(a);
}

static void test_array_inspect_refuses_what_is_not_in_the_heap(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 1, SHAPE(100), 0);
    struct fmi_array_view v;
    fm_array copy = *a;
    assert_int_equal(fmi_array_inspect(NULL, &v), -EINVAL);
    assert_int_equal(fmi_array_inspect(&copy, &v), -EINVAL);
    assert_int_equal(fmi_array_inspect((fm_array *)16, &v), -EINVAL);
    assert_int_equal(fmi_array_inspect((fm_array *)((char *)a + 8), &v), -EINVAL);
    assert_int_equal(fmi_array_inspect(fm_array_data(a), &v),
                     FM_ECORRUPT); /* in the heap, and no array */
    assert_int_equal(v.ndim, 0);
    fm_array_destroy(a);
    assert_int_equal(fmi_array_inspect(a, &v), FM_ECORRUPT);
}

static void test_array_inspect_notices_every_overwritten_field(void **state)
{
    (void)state;
    fm_array *a = make(FM_F64, 2, SHAPE(100, 10), 0);
    fm_array good = *a;
    struct fmi_buffer_shm *buffer = a->buffer;
    struct fmi_array_view v;
    for (int i = 0; i < 17; i++) {
        switch (i) {
        case 0:
            atomic_store(&a->mark, 0);
            break;
        case 1:
            a->dtype = 0xffffffff;
            break;
        case 2:
            a->dtype = FM_C128;
            break; /* twice the extent */
        case 3:
            a->ndim = 0;
            break;
        case 4:
            a->ndim = INT32_MAX;
            break;
        case 5:
            a->buffer = NULL;
            break;
        case 6:
            a->buffer = (struct fmi_buffer_shm *)(uintptr_t)0x4141414141414140;
            break;
        case 7:
            a->buffer = (struct fmi_buffer_shm *)(void *)a;
            break;
        case 8:
            a->data = NULL;
            break;
        case 9:
            a->data += 8;
            break; /* the last element lies beyond */
        case 10:
            a->data -= 8;
            break;
        case 11:
            a->shape[0] = -1;
            break;
        case 12:
            a->shape[0] = 101;
            break;
        case 13:
            a->shape[1] = INT64_MAX;
            break;
        case 14:
            a->strides[0] = INT64_MAX;
            break;
        case 15:
            a->strides[0] = INT64_MIN;
            break;
        default:
            a->strides[1] = -8;
            break;
        }
        assert_int_equal(fmi_array_inspect(a, &v), FM_ECORRUPT);
        assert_int_equal(v.ndim, 0);
        memcpy(a, &good, sizeof good);
        assert_int_equal(fmi_array_inspect(a, &v), 0);
    }
    uint64_t bytes = buffer->bytes;
    buffer->bytes = UINT64_MAX;
    assert_int_equal(fmi_array_inspect(a, &v), FM_ECORRUPT);
    buffer->bytes = bytes;
    buffer->lock_kind = 3;
    assert_int_equal(fmi_array_inspect(a, &v), FM_ECORRUPT);
    buffer->lock_kind = FM_LOCKED;
    char *data = buffer->data;
    buffer->data = (char *)&v;
    assert_int_equal(fmi_array_inspect(a, &v), FM_ECORRUPT);
    buffer->data = data;
    fm_array_destroy(a);
}

T_MAIN(T_TEST(test_array_view_with_steps_sees_the_same_memory),
       T_TEST(test_array_view_with_a_negative_step_runs_backwards),
       T_TEST(test_array_view_of_a_view_composes),
       T_TEST(test_array_view_cuts_its_ends_and_refuses_other_slices),
       T_TEST(test_array_reshape_computes_the_open_length),
       T_TEST(test_array_reshape_keeps_fortran_order),
       T_TEST(test_array_reshape_refuses_other_counts_and_arrays_with_gaps),
       T_TEST(test_array_inspect_tells_rows_and_extent),
       T_TEST(test_array_inspect_refuses_what_is_not_in_the_heap),
       T_TEST(test_array_inspect_notices_every_overwritten_field))
