/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* TIMEOUT: 60 */
/* Loading .npy files: what NumPy and others write is read, and nonsense is refused with offset and reason. */
#include "t.h"

#include "heap.h"

#include <errno.h>
#include <forkmap/array.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

static const char *path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", t_temp_dir(), name);
    return path;
}

/* A .npy file of that version, header text and elements. */
static const char *put_npy(int major, const char *header, const void *data, size_t n_bytes)
{
    const char *path = path_of("in.npy");
    size_t length = strlen(header), prefix = major == 1 ? 10 : 12;
    uint8_t *bytes = test_malloc(prefix + length + n_bytes);
    memcpy(bytes, "\x93NUMPY", 6);
    bytes[6] = (uint8_t)major;
    bytes[7] = 0;
    for (size_t i = 8; i < prefix; i++)
        bytes[i] = (uint8_t)(length >> (8 * (i - 8)));
    memcpy(bytes + prefix, header, length);
    if (n_bytes > 0)
        memcpy(bytes + prefix + length, data, n_bytes);
    t_write_file(path, bytes, prefix + length + n_bytes);
    test_free(bytes);
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

static size_t used_bytes(void)
{
    struct fmi_heap_usage usage;
    fmi_heap_usage(&usage);
    return usage.used_bytes;
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

/* ---- what others write ---- */

static void test_npy_versions_1_2_and_3_are_read(void **state)
{
    (void)state;
    static const uint16_t values[3] = {1, 2, 40000};
    for (int major = 1; major <= 3; major++) {
        fm_array *a =
            load(put_npy(major, "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }\n",
                         values, sizeof values));
        assert_int_equal(fm_array_dtype(a), FM_U16);
        assert_memory_equal(fm_array_data(a), values, sizeof values);
        fm_array_destroy(a);
    }
}

static void test_npy_headers_in_any_legal_spelling_are_read(void **state)
{
    (void)state;
    static const char *const headers[] = {
        "{'descr':'<u2','fortran_order':False,'shape':(3,)}",
        "{\"shape\": (3,), \"descr\": \"<u2\", \"fortran_order\": False}   \n",
        " { 'fortran_order' : True , 'shape' : ( 3 , ) , 'descr' : '=u2' , } ",
        "{'descr': 'u2', 'fortran_order': False, 'shape': (3L,), }\n",
        "{u'descr': u'<u2', u'fortran_order': False, u'shape': (3,)}",
        "{\n'descr': '|u2',\n'fortran_order': False,\t'shape': (3,),\n}\n",
    };
    static const uint16_t values[3] = {7, 8, 9};
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        fm_array *a = load(put_npy(1, headers[i], values, sizeof values));
        assert_int_equal(fm_array_ndim(a), 1);
        assert_memory_equal(fm_array_data(a), values, sizeof values);
        fm_array_destroy(a);
    }
}

static void test_npy_big_endian_elements_become_native(void **state)
{
    (void)state;
    static const uint8_t bytes[16] = {0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xc0, 0x04, 0, 0, 0, 0, 0, 0};
    fm_array *a =
        load(put_npy(1, "{'descr': '>f8', 'fortran_order': False, 'shape': (2,)}", bytes, 16));
    assert_int_equal(fm_array_dtype(a), FM_F64);
    assert_true(((double *)fm_array_data(a))[0] == 1.5 && ((double *)fm_array_data(a))[1] == -2.5);
    fm_array_destroy(a);
    a = load(put_npy(1, "{'descr': '>c16', 'fortran_order': False, 'shape': (1,)}", bytes, 16));
    assert_int_equal(fm_array_dtype(a),
                     FM_C128); /* real and imaginary part each, not swapped with each other */
    assert_true(((double *)fm_array_data(a))[0] == 1.5 && ((double *)fm_array_data(a))[1] == -2.5);
    fm_array_destroy(a);
    a = load(put_npy(1, "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 4)}", bytes, 16));
    assert_int_equal(*(int16_t *)fm_array_at(a, 2, SHAPE(0, 2)), (int16_t)0xc004);
    fm_array_destroy(a);
    a = load(put_npy(1, "{'descr': '>i8', 'fortran_order': False, 'shape': (2,)}", bytes, 16));
    assert_int_equal(((int64_t *)fm_array_data(a))[0], 0x3ff8000000000000);
    fm_array_destroy(a);
    a = load(put_npy(1, "{'descr': '>u1', 'fortran_order': False, 'shape': (16,)}", bytes, 16));
    assert_memory_equal(fm_array_data(a), bytes, 16);
    fm_array_destroy(a);
}

static void test_npy_fortran_order_is_kept(void **state)
{
    (void)state;
    static const int32_t values[6] = {0, 1, 2, 3, 4, 5};
    fm_array *a =
        load(put_npy(1, "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3)}", values, 24));
    assert_true(fm_array_is_contiguous(a, FM_ORDER_F));
    assert_int_equal(*(int32_t *)fm_array_at(a, 2, SHAPE(1, 2)), 5);
    assert_int_equal(*(int32_t *)fm_array_at(a, 2, SHAPE(0, 1)), 2);
    fm_array_destroy(a);
}

static void test_npy_single_number_becomes_one_row(void **state)
{
    (void)state;
    const double pi = 3.14159;
    fm_array *a =
        load(put_npy(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", &pi, 8));
    assert_int_equal(fm_array_ndim(a), 1);
    assert_int_equal(fm_array_len(a), 1);
    assert_true(*(double *)fm_array_data(a) == pi);
    fm_array_destroy(a);
}

static void test_npy_strings_and_records_become_opaque_rows(void **state)
{
    (void)state;
    static const struct {
        const char *descr;
        fm_dtype dtype;
    } cases[] = {
        {"'|S5'", FM_STRUCT(5)},
        {"'|a3'", FM_STRUCT(3)},
        {"'<U3'", FM_STRUCT(12)},
        {"'|V7'", FM_STRUCT(7)},
        {"'?'", FM_BOOL},
        {"[('x', '<f8'), ('y', '<f4')]", FM_STRUCT(12)},
        {"[('x', '>f8'), ('n', '>i2'),]", FM_STRUCT(10)},
        {"[('x', '<f4', (3,)), ('m', '<f8', (2, 2)), ('k', '|u1', 5)]", FM_STRUCT(49)},
        {"[('a', '|i1'), ('', '|V7'), ('b', '<f8')]", FM_STRUCT(16)},
        {"[('p', [('x', '<f4'), ('y', '<f4')]), ('q', [('z', '<i8')], (2,))]", FM_STRUCT(24)},
        {"[(('title, with (', 'name'), '<i4'), ('it\\'s', '<i4')]", FM_STRUCT(8)},
        {"[('h', '<f2'), ('t', '<M8[ns]'), ('e', '|S0')]", FM_STRUCT(10)},
        {"[('s', ('<f8', (2,)))]", FM_STRUCT(16)},
        {"[('s', ('<f8', 4))]", FM_STRUCT(32)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char header[200], data[200];
        for (size_t k = 0; k < sizeof data; k++)
            data[k] = (char)k;
        snprintf(header, sizeof header, "{'descr': %s, 'fortran_order': False, 'shape': (2,), }",
                 cases[i].descr);
        size_t bytes = 2 * fm_dtype_bytes(cases[i].dtype);
        fm_array *a = load(put_npy(1, header, data, bytes));
        assert_int_equal(fm_array_dtype(a), cases[i].dtype);
        assert_memory_equal(fm_array_data(a), data, bytes);
        fm_array_destroy(a);
    }
}

static void test_npy_bytes_after_the_elements_are_left_alone(void **state)
{
    (void)state;
    fm_array *a =
        load(put_npy(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (4,)}", "abcdefgh", 8));
    assert_int_equal(fm_array_len(a), 4);
    assert_memory_equal(fm_array_data(a), "abcd", 4);
    fm_array_destroy(a);
}

/* ---- nonsense ---- */

#define HEADER(descr, shape) "{'descr': " descr ", 'fortran_order': False, 'shape': " shape ", }"

static const struct {
    const char *header;
    int code;
    const char *reason;
} bad_headers[] = {
    {"", FM_EFORMAT, "'{'"},
    {"    ", FM_EFORMAT, "'{'"},
    {"{", FM_EFORMAT, "string"},
    {"{}", FM_EFORMAT, "'descr' is missing"},
    {"[]", FM_EFORMAT, "'{'"},
    {"{'descr': '<f8', 'fortran_order': False}", FM_EFORMAT, "'shape' is missing"},
    {"{'descr': '<f8', 'shape': (1,)}", FM_EFORMAT, "'fortran_order' is missing"},
    {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1,)}", FM_EFORMAT,
     "second"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,), 'x': 1}", FM_EFORMAT, "'x'"},
    {"{'descr' '<f8', 'fortran_order': False, 'shape': (1,)}", FM_EFORMAT, "':'"},
    {"{'descr': '<f8' 'fortran_order': False, 'shape': (1,)}", FM_EFORMAT, "','"},
    {"{'descr': '<f8', 'fortran_order': 0, 'shape': (1,)}", FM_EFORMAT, "True or False"},
    {"{'descr': '<f8', 'fortran_order': Falsey, 'shape': (1,)}", FM_EFORMAT, "True or False"},
    {"{'descr': '<f8', 'fortran_order': Fal", FM_EFORMAT, "True or False"},
    {"{'descr: '<f8', 'fortran_order': False, 'shape': (1,)}", FM_EFORMAT, "offset 11"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)} x", FM_EFORMAT, "follows"},
    {"{'descr': '<f8', 'fortran_order': False, 'shape': (1,)", FM_EFORMAT, "offset 64"},
    {"{,}", FM_EFORMAT, "string"},
    {"{'desc': '<f8'}", FM_EFORMAT, "'desc'"},
    {"{'descr_with_a_long_name': 1}", FM_EFORMAT, "not of this format"},
    {HEADER("'<f8'", "(-1,)"), FM_EFORMAT, "negative"},
    {HEADER("'<f8'", "(1, -2)"), FM_EFORMAT, "negative"},
    {HEADER("'<f8'", "(1)"), FM_EFORMAT, "tuple"},
    {HEADER("'<f8'", "1"), FM_EFORMAT, "'('"},
    {HEADER("'<f8'", "[1]"), FM_EFORMAT, "'('"},
    {HEADER("'<f8'", "(1 2)"), FM_EFORMAT, "','"},
    {HEADER("'<f8'", "(,)"), FM_EFORMAT, "length"},
    {HEADER("'<f8'", "(1.5,)"), FM_EFORMAT, "','"},
    {HEADER("'<f8'", "(007,)"), FM_EFORMAT, "length"},
    {HEADER("'<f8'", "(0x10,)"), FM_EFORMAT, "','"},
    {HEADER("'<f8'", "(None,)"), FM_EFORMAT, "length"},
    {HEADER("'<f8'", "(1,1,1,1,1,1,1,1,1)"), FM_EFORMAT, "9 axes"},
    {HEADER("'<f8'", "(9223372036854775808,)"), -EOVERFLOW, "2^63"},
    {HEADER("'<f8'", "(99999999999999999999999999,)"), -EOVERFLOW, "2^63"},
    {HEADER("'<f8'", "(4294967296, 4294967296)"), -EOVERFLOW, "2^63"},
    {HEADER("'<f8'", "(9223372036854775807,)"), -EOVERFLOW, "2^63"},
    {HEADER("'<f8'", "(4611686018427387904, 0, 4)"), -EOVERFLOW, "2^63"},
    {HEADER("'<f8'", "(1000000000000,)"), FM_EFORMAT, "promises"},
    {HEADER("'|O'", "(1,)"), FM_EFORMAT, "Python objects cannot be loaded"},
    {HEADER("'O'", "(1,)"), FM_EFORMAT, "Python objects cannot be loaded"},
    {HEADER("'|O8'", "(0,)"), FM_EFORMAT, "Python objects cannot be loaded"},
    {HEADER("[('a', '<f8'), ('b', '|O')]", "(1,)"), FM_EFORMAT, "Python objects cannot be loaded"},
    {HEADER("[('a', [('b', 'O')])]", "(1,)"), FM_EFORMAT, "Python objects cannot be loaded"},
    {HEADER("'<f2'", "(1,)"), FM_EFORMAT, "astype"},
    {HEADER("'<f16'", "(1,)"), FM_EFORMAT, "astype"},
    {HEADER("'<M8[ns]'", "(1,)"), FM_EFORMAT, "view"},
    {HEADER("'<i3'", "(1,)"), FM_EFORMAT, "kind 'i' and 3"},
    {HEADER("'|S0'", "(1,)"), FM_EFORMAT, "0 bytes"},
    {HEADER("'|V16777216'", "(1,)"), FM_EFORMAT, "16777216"},
    {HEADER("'|V99999999999999999999'", "(1,)"), FM_EFORMAT, "no element type"},
    {HEADER("'<U4294967295'", "(1,)"), FM_EFORMAT, "17179869180"},
    {HEADER("'<x8'", "(1,)"), FM_EFORMAT, "'<x8'"},
    {HEADER("'f'", "(1,)"), FM_EFORMAT, "'f'"},
    {HEADER("''", "(1,)"), FM_EFORMAT, "no element type"},
    {HEADER("'<'", "(1,)"), FM_EFORMAT, "no element type"},
    {HEADER("'<f8 '", "(1,)"), FM_EFORMAT, "no element type"},
    {HEADER("'<<f8'", "(1,)"), FM_EFORMAT, "no element type"},
    {HEADER("None", "(1,)"), FM_EFORMAT, "string"},
    {HEADER("8", "(1,)"), FM_EFORMAT, "string"},
    {HEADER("[]", "(1,)"), FM_EFORMAT, "0 bytes"},
    {HEADER("[('a',)]", "(1,)"), FM_EFORMAT, "string"},
    {HEADER("['<f8']", "(1,)"), FM_EFORMAT, "'('"},
    {HEADER("[('a', '<f8') ('b', '<f8')]", "(1,)"), FM_EFORMAT, "','"},
    {HEADER("[('a', '<f8', (-1,))]", "(1,)"), FM_EFORMAT, "negative"},
    {HEADER("[('a', '|V9', (4294967295, 4294967295))]", "(1,)"), -EOVERFLOW, "2^64"},
    {HEADER("[('a', '|V9', (9223372036854775807, 2))]", "(1,)"), -EOVERFLOW, "2^64"},
    {HEADER("[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "(1,)"), FM_EFORMAT, "'('"},
    {HEADER("((((((((((((((((((((((((((((", "(1,)"), FM_EFORMAT, "nested"},
    {HEADER("[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('a',[('"
            "a',[('a',"
            "[('a',[('a',[('a','<f8')])])])])])])])])])])])])])])])])]",
            "(1,)"),
     FM_EFORMAT, "nested"},
};

static void test_npy_malformed_headers_are_refused_with_offset_and_reason(void **state)
{
    (void)state;
    size_t before = used_bytes();
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        fm_array *a = (fm_array *)&a;
        int code = fm_npy_load(put_npy(1, bad_headers[i].header, "12345678", 8), FM_NPY_READ, &a);
        if (code != bad_headers[i].code || a != NULL)
            fail_msg("%s: %s (%s)", bad_headers[i].header, fm_errname(code), fm_error_detail());
        if (strstr(fm_error_detail(), bad_headers[i].reason) == NULL ||
            strstr(fm_error_detail(), ": offset ") == NULL)
            fail_msg("%s: '%s' lacks '%s'", bad_headers[i].header, fm_error_detail(),
                     bad_headers[i].reason);
    }
    assert_int_equal(used_bytes(), before);
}

static void test_npy_malformed_prefixes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *reason;
    } cases[] = {
        {"", 0, "too few"},
        {"\x93NUMPY", 6, "too few"},
        {"\x93NUMPY\x01\x00\x00", 9, "too few"},
        {"\x93NUMPX\x01\x00\x02\x00{}", 12, "no .npy file"},
        {"PK\x03\x04 a zip archive", 18, "no .npy file"},
        {"\x93NUMPY\x00\x00\x02\x00{}", 12, "version 0.0"},
        {"\x93NUMPY\x04\x00\x02\x00{}", 12, "version 4.0"},
        {"\x93NUMPY\x01\x01\x02\x00{}", 12, "version 1.1"},
        {"\x93NUMPY\x01\x00\xff\xff{}", 12, "65535 bytes"},
        {"\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14, "4294967295 bytes"},
        {"\x93NUMPY\x03\x00\xff\xff\xff\x7f{}", 14, "2147483647 bytes"},
        {"\x93NUMPY\x02\x00\x02\x00", 10, "missing"},
        {"\x93NUMPY\x02\x00\x02\x00\x00", 11, "missing"},
        {"\x93NUMPY\x01\x00\x02\x00{", 11, "truncated"},
        {"\x93NUMPY\x01\x00\x00\x00", 10, "'{'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fm_array *a;
        t_write_file(path_of("bad.npy"), cases[i].bytes, cases[i].n);
        int code = fm_npy_load(path_of("bad.npy"), FM_NPY_READ, &a);
        if (code != FM_EFORMAT || a != NULL || strstr(fm_error_detail(), cases[i].reason) == NULL)
            fail_msg("case %zu: %s '%s' lacks '%s'", i, fm_errname(code), fm_error_detail(),
                     cases[i].reason);
    }
}

static void test_npy_header_length_of_4_gib_allocates_nothing(void **state)
{
    (void)state;
    const char *path = path_of("sparse.npy");
    t_write_file(path, "\x93NUMPY\x02\x00\xff\xff\xff\xff", 12);
    assert_int_equal(truncate(path, INT64_C(1) << 33),
                     0); /* a hole, so the file is long enough for it */
    fm_array *a;
    assert_int_equal(fm_npy_load(path, FM_NPY_READ, &a), FM_EFORMAT);
    assert_non_null(strstr(fm_error_detail(), "at most 1048576"));
}

static void test_npy_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    uint8_t whole[512];
    fm_array *a = make_filled(FM_I32, 2, SHAPE(5, 3), 0), *b;
    assert_int_equal(fm_npy_save(path_of("whole.npy"), a), 0);
    fm_array_destroy(a);
    size_t n = read_back(path_of("whole.npy"), whole, sizeof whole);
    assert_int_equal(n, 128 + 60);
    for (size_t i = 0; i < n; i++) {
        t_write_file(path_of("cut.npy"), whole, i);
        assert_int_equal(fm_npy_load(path_of("cut.npy"), FM_NPY_READ, &b), FM_EFORMAT);
        assert_null(b);
    }
    assert_non_null(strstr(fm_error_detail(), "promises 60 bytes"));
    assert_non_null(strstr(fm_error_detail(), "has 59"));
}

static void test_npy_header_with_any_byte_changed_never_harms(void **state)
{
    (void)state;
    uint8_t whole[512];
    static const uint8_t others[] = {0, ' ', '\'', '(', ')', ',', '9', 'V', 0xff};
    fm_array *a = make_filled(FM_I32, 2, SHAPE(5, 3), 0), *b;
    assert_int_equal(fm_npy_save(path_of("whole.npy"), a), 0);
    fm_array_destroy(a);
    size_t n = read_back(path_of("whole.npy"), whole, sizeof whole), before = used_bytes();
    for (size_t i = 0; i < 72; i++)
        for (size_t k = 0; k < sizeof others; k++) {
            uint8_t good = whole[i];
            whole[i] = others[k];
            t_write_file(path_of("odd.npy"), whole, n);
            int code = fm_npy_load(path_of("odd.npy"), FM_NPY_READ, &b);
            if (code == 0)
                assert_true(fm_array_bytes(b) <= n);
            else
                assert_true((code == FM_EFORMAT || code == -EOVERFLOW) && b == NULL);
            fm_array_destroy(b);
            whole[i] = good;
        }
    assert_int_equal(used_bytes(), before);
}

static void test_npy_load_of_what_is_no_file_says_so_at_once(void **state)
{
    (void)state;
    fm_array *a;
    assert_int_equal(fm_npy_load(path_of("nowhere.npy"), FM_NPY_READ, &a), -ENOENT);
    assert_non_null(strstr(fm_error_detail(), "nowhere.npy"));
    assert_int_equal(fm_npy_load(t_temp_dir(), FM_NPY_READ, &a), -EISDIR);
    assert_int_equal(fm_npy_load("/dev/null", FM_NPY_READ, &a), FM_EFORMAT);
    assert_non_null(strstr(fm_error_detail(), "device"));
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(fm_npy_load(path_of("fifo"), FM_NPY_READ, &a), FM_EFORMAT);
    assert_non_null(strstr(fm_error_detail(), "FIFO"));
    assert_int_equal(fm_npy_load("", FM_NPY_READ, &a), -ENOENT);
    assert_int_equal(fm_npy_load(NULL, FM_NPY_READ, &a), -EINVAL);
    assert_int_equal(fm_npy_load("x", 0, &a), -EINVAL);
    assert_int_equal(fm_npy_load("x", FM_NPY_READ, NULL), -EINVAL);
    assert_null(a);
}

T_MAIN(T_TEST(test_npy_versions_1_2_and_3_are_read),
       T_TEST(test_npy_headers_in_any_legal_spelling_are_read),
       T_TEST(test_npy_big_endian_elements_become_native), T_TEST(test_npy_fortran_order_is_kept),
       T_TEST(test_npy_single_number_becomes_one_row),
       T_TEST(test_npy_strings_and_records_become_opaque_rows),
       T_TEST(test_npy_bytes_after_the_elements_are_left_alone),
       T_TEST(test_npy_malformed_headers_are_refused_with_offset_and_reason),
       T_TEST(test_npy_malformed_prefixes_are_refused),
       T_TEST(test_npy_header_length_of_4_gib_allocates_nothing),
       T_TEST(test_npy_file_cut_anywhere_is_refused),
       T_TEST(test_npy_header_with_any_byte_changed_never_harms),
       T_TEST(test_npy_load_of_what_is_no_file_says_so_at_once))
