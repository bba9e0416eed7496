/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* Raw binary files, described by a text. */
#include "t.h"

#include <errno.h>
#include <forkmap/array.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

static const char *put(const void *bytes, size_t n_bytes)
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/in.bin", t_temp_dir());
    t_write_file(path, bytes, n_bytes);
    return path;
}

static fm_array *load(const char *path, const char *spec)
{
    fm_array *a;
    assert_int_equal(fm_raw_load(path, spec, &a), 0);
    assert_non_null(a);
    return a;
}

static const float numbers[6] = {0, 1, 2, 3, 4, 5};

static void test_raw_numbers_load_in_both_orders(void **state)
{
    (void)state;
    const char *path = put(numbers, sizeof numbers);
    static const struct {
        const char *spec;
        float at_1_0;
    } cases[] = {
        {"raw:f4:2x3", 3}, {"raw:f4:2x3:C", 3}, {"raw:float32:2x3:F", 1}, {"raw:<f4:2x3:F", 1}};
    for (size_t i = 0; i < 4; i++) {
        fm_array *a = load(path, cases[i].spec);
        assert_int_equal(fm_array_dtype(a), FM_F32);
        assert_memory_equal(fm_array_shape(a), SHAPE(2, 3), 16);
        assert_memory_equal(fm_array_data(a), numbers, sizeof numbers);
        assert_true(*(float *)fm_array_at(a, 2, SHAPE(1, 0)) == cases[i].at_1_0);
        fm_array_destroy(a);
    }
}

static void test_raw_open_length_follows_from_the_size(void **state)
{
    (void)state;
    const char *path = put(numbers, sizeof numbers);
    static const struct {
        const char *spec;
        int64_t rows;
    } cases[] = {{"raw:f4:?", 6},
                 {"raw:f4:?x3", 2},
                 {"raw:f4:?x1x2:F", 3},
                 {"raw:u1:?x24", 1},
                 {"raw:V12:?", 2}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fm_array *a = load(path, cases[i].spec);
        assert_int_equal(fm_array_len(a), cases[i].rows);
        assert_int_equal(fm_array_bytes(a), sizeof numbers);
        fm_array_destroy(a);
    }
    fm_array *a = load(path, "raw:f4:2x?");
    assert_int_equal(fm_array_shape(a)[1], 3);
    fm_array_destroy(a);
}

static void test_raw_empty_file_has_no_rows(void **state)
{
    (void)state;
    const char *path = put("", 0);
    fm_array *a = load(path, "raw:f8:?x3");
    assert_int_equal(fm_array_len(a), 0);
    assert_int_equal(fm_array_row_bytes(a), 24);
    fm_array_destroy(a);
    a = load(path, "raw:f8:0x3:F");
    assert_int_equal(fm_array_count(a), 0);
    fm_array_destroy(a);
}

static void test_raw_big_endian_numbers_become_native(void **state)
{
    (void)state;
    static const uint8_t bytes[8] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0};
    const char *path = put(bytes, sizeof bytes);
    fm_array *a = load(path, "raw:>f4:?");
    assert_true(((float *)fm_array_data(a))[0] == 1.0f && ((float *)fm_array_data(a))[1] == -2.0f);
    fm_array_destroy(a);
    a = load(path, "raw:>c8:1");
    assert_true(((float *)fm_array_data(a))[0] == 1.0f && ((float *)fm_array_data(a))[1] == -2.0f);
    fm_array_destroy(a);
    a = load(path, "raw:>uint16:4");
    assert_int_equal(((uint16_t *)fm_array_data(a))[0], 0x3f80);
    fm_array_destroy(a);
}

static void test_raw_size_that_does_not_fit_names_both_sizes(void **state)
{
    (void)state;
    const char *path = put(numbers, sizeof numbers);
    static const char *const specs[] = {"raw:f4:7", "raw:f4:5", "raw:f8:2x3", "raw:f4:0",
                                        "raw:f4:1000000000x1000000"};
    static const char *const sizes[] = {"28", "20", "48", "0", "4000000000000000"};
    for (size_t i = 0; i < 5; i++) {
        fm_array *a;
        assert_int_equal(fm_raw_load(path, specs[i], &a), FM_EFORMAT);
        assert_null(a);
        assert_non_null(strstr(fm_error_detail(), "24 bytes"));
        assert_non_null(strstr(fm_error_detail(), sizes[i]));
    }
    fm_array *a;
    assert_int_equal(fm_raw_load(path, "raw:f4:?x5", &a), FM_EFORMAT);
    assert_non_null(strstr(fm_error_detail(), "24 bytes are no multiple of the 20 bytes"));
    assert_int_equal(fm_raw_load(put("", 0), "raw:f4:3", &a), FM_EFORMAT);
}

static void test_raw_malformed_specs_are_refused(void **state)
{
    (void)state;
    const char *path = put(numbers, sizeof numbers);
    static const char *const specs[] = {
        "",
        "raw",
        "raw:",
        "raw:f4",
        "raw:f4:",
        "raw::6",
        "f4:6",
        "raw:f5:6",
        "raw:f4:6x",
        "raw:f4:x6",
        "raw:f4:2xx3",
        "raw:f4:2,3",
        "raw:f4:-6",
        "raw:f4: 6",
        "raw:f4:6 ",
        "raw:f4:?x?",
        "raw:f4:6:",
        "raw:f4:6:G",
        "raw:f4:6:CF",
        "raw:f4:6:C:",
        "raw:f4:??",
        "raw:f4:?6",
        "raw:>V12:2",
        "raw:><f4:6",
        "raw:>>f4:6",
        "RAW:f4:6",
        "raw:f4:1x1x1x1x1x1x1x1x6",
        "raw:f4:99999999999999999999",
        "raw:f4:?x0",
        "raw:f4:0x6x?",
        "raw:averylongnamethatisnodtype:6",
        "raw:O:3",
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        fm_array *a = (fm_array *)&a;
        int code = fm_raw_load(path, specs[i], &a);
        if (code != -EINVAL || a != NULL || fm_error_detail()[0] == '\0')
            fail_msg("'%s' gives %s", specs[i], fm_errname(code));
    }
    fm_array *a;
    assert_int_equal(fm_raw_load(path, NULL, &a), -EINVAL);
    assert_int_equal(fm_raw_load(NULL, "raw:f4:6", &a), -EINVAL);
    assert_int_equal(fm_raw_load(path, "raw:f4:6", NULL), -EINVAL);
}

static void test_raw_size_that_overflows_is_refused(void **state)
{
    (void)state;
    const char *path = put(numbers, sizeof numbers);
    fm_array *a;
    assert_int_equal(fm_raw_load(path, "raw:f4:4611686018427387904", &a), -EOVERFLOW);
    assert_int_equal(fm_raw_load(path, "raw:f4:4294967296x4294967296", &a), -EOVERFLOW);
    assert_int_equal(fm_raw_load(path, "raw:f4:?x4294967296x4294967296", &a), -EOVERFLOW);
    assert_null(a);
}

static void test_raw_load_of_what_is_no_file_says_so(void **state)
{
    (void)state;
    fm_array *a;
    assert_int_equal(fm_raw_load("/nonexistent/x.bin", "raw:f4:?", &a), -ENOENT);
    assert_int_equal(fm_raw_load(t_temp_dir(), "raw:f4:?", &a), -EISDIR);
    assert_int_equal(fm_raw_load("/dev/zero", "raw:f4:6", &a), FM_EFORMAT);
    assert_null(a);
}

T_MAIN(T_TEST(test_raw_numbers_load_in_both_orders),
       T_TEST(test_raw_open_length_follows_from_the_size), T_TEST(test_raw_empty_file_has_no_rows),
       T_TEST(test_raw_big_endian_numbers_become_native),
       T_TEST(test_raw_size_that_does_not_fit_names_both_sizes),
       T_TEST(test_raw_malformed_specs_are_refused),
       T_TEST(test_raw_size_that_overflows_is_refused),
       T_TEST(test_raw_load_of_what_is_no_file_says_so))
