/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* Element types: names, sizes, byte order. */
#include "t.h"

#include "dtype.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    fm_dtype dtype;
    const char *brief, *full;
    size_t bytes, swap_unit;
} known[] = {
    {FM_BOOL, "b1", "bool", 1, 1},
    {FM_I8, "i1", "int8", 1, 1},
    {FM_I16, "i2", "int16", 2, 2},
    {FM_I32, "i4", "int32", 4, 4},
    {FM_I64, "i8", "int64", 8, 8},
    {FM_U8, "u1", "uint8", 1, 1},
    {FM_U16, "u2", "uint16", 2, 2},
    {FM_U32, "u4", "uint32", 4, 4},
    {FM_U64, "u8", "uint64", 8, 8},
    {FM_F32, "f4", "float32", 4, 4},
    {FM_F64, "f8", "float64", 8, 8},
    {FM_C64, "c8", "complex64", 8, 4},
    {FM_C128, "c16", "complex128", 16, 8},
    {FM_STRUCT(24), "V24", "V24", 24, 1},
    {FM_STRUCT(1), "V1", "V1", 1, 1},
    {FM_STRUCT(16777215), "V16777215", "V16777215", 16777215, 1},
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

static void test_dtype_names_round_trip(void **state)
{
    (void)state;
    for (int i = 0; i < N_KNOWN; i++) {
        char name[16];
        fm_dtype dtype = 0;
        fm_dtype_name(known[i].dtype, name, sizeof name);
        assert_string_equal(name, known[i].brief);
        assert_int_equal(fm_dtype_parse(name, &dtype), 0);
        assert_int_equal(dtype, known[i].dtype);
        assert_int_equal(fm_dtype_bytes(dtype), known[i].bytes);
        assert_int_equal(fmi_dtype_swap_unit(dtype), known[i].swap_unit);
    }
}

static void test_dtype_long_names_and_marks_mean_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < N_KNOWN; i++) {
        char text[32];
        fm_dtype dtype = 0;
        snprintf(text, sizeof text, "<%s", known[i].full);
        assert_int_equal(fm_dtype_parse(text, &dtype), 0);
        assert_int_equal(dtype, known[i].dtype);
        text[0] = '=';
        assert_int_equal(fm_dtype_parse(text, &dtype), 0);
        assert_int_equal(dtype, known[i].dtype);
    }
}

static void test_dtype_unknown_name_is_refused_with_the_list_of_names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",    "<",     "f",      "f2",  "f16",  "i3",  "u0",
        "c4",  "b2",    "O",      ">f8", "<<f8", "F8",  "f8 ",
        " f8", "float", "V0",     "V",   "V-1",  "V+8", "V16777216",
        "Vx",  "V8x",   "int128", "V 8", "f8:",  "S5",  "V99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        fm_dtype dtype = FM_F64;
        assert_int_equal(fm_dtype_parse(bad[i], &dtype), -EINVAL);
        assert_int_equal(dtype, 0);
        assert_non_null(strstr(fm_error_detail(), "f4 f8 i1"));
    }
    fm_dtype dtype;
    assert_int_equal(fm_dtype_parse(NULL, &dtype), -EINVAL);
    assert_int_equal(fm_dtype_parse("f8", NULL), -EINVAL);
}

static void test_dtype_that_is_none_has_no_bytes_and_no_name(void **state)
{
    (void)state;
    static const fm_dtype none[] = {0,
                                    1,
                                    UINT32_MAX,
                                    FM_DTYPE('f', 2),
                                    FM_DTYPE('i', 16),
                                    FM_DTYPE('x', 4),
                                    FM_STRUCT(0),
                                    FM_DTYPE('c', 4),
                                    FM_DTYPE('b', 8)};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        char name[8] = "unset";
        assert_int_equal(fm_dtype_bytes(none[i]), 0);
        fm_dtype_name(none[i], name, sizeof name);
        assert_string_equal(name, "?");
    }
}

static void test_dtype_name_never_passes_its_buffer(void **state)
{
    (void)state;
    char text[8] = "#######";
    fm_dtype_name(FM_C128, text, 3);
    assert_memory_equal(text, "c1\0####", 7);
    fm_dtype_name(FM_C128, text, 0);
    assert_memory_equal(text, "c1\0####", 7);
    fm_dtype_name(FM_C128, NULL, 8);
}

static void test_dtype_swap_reverses_each_unit_also_unaligned(void **state)
{
    (void)state;
    static const char *const expected[] = {"abcdefghijklmnop", "badcfehgjilknmpo",
                                           "dcbahgfelkjiponm", "hgfedcbaponmlkji"};
    for (size_t i = 0; i < 4; i++) {
        char bytes[18] = "#abcdefghijklmnop";
        fmi_dtype_swap(bytes + 1, 16, (size_t)1 << i);
        assert_memory_equal(bytes + 1, expected[i], 16);
        assert_int_equal(bytes[0], '#');
    }
}

T_MAIN(T_TEST(test_dtype_names_round_trip), T_TEST(test_dtype_long_names_and_marks_mean_the_same),
       T_TEST(test_dtype_unknown_name_is_refused_with_the_list_of_names),
       T_TEST(test_dtype_that_is_none_has_no_bytes_and_no_name),
       T_TEST(test_dtype_name_never_passes_its_buffer),
       T_TEST(test_dtype_swap_reverses_each_unit_also_unaligned))
