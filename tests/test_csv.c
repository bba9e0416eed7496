/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* CSV files: numbers as strtod reads them, RFC 4180 quoting, and errors with line and column. */
#include "t.h"

#include "csv.h"
#include "number.h"
#include "say.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes the text to a file and reads that. */
static int read_bytes(const char *text, size_t n, const struct fmc_csv_options *options,
                      fm_array **out, struct fmc_trouble *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/x.csv", t_temp_dir());
    t_write_file(path, text, n);
    const int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    const int rc = fmc_csv_read(fd, "x.csv", options, out, error);
    close(fd);
    return rc;
}

/* The text is right and has these n numbers, row by row, in rows of k. */
static void expect_values(const char *text, const struct fmc_csv_options *options, int64_t n,
                          int64_t k, const double *values)
{
    fm_array *a;
    struct fmc_trouble error;
    const int rc = read_bytes(text, strlen(text), options, &a, &error);
    if (rc != 0)
        print_message("%s\n", error.text);
    assert_int_equal(rc, 0);
    assert_int_equal(fm_array_dtype(a), FM_F64);
    assert_int_equal(fm_array_ndim(a), k == 1 ? 1 : 2);
    assert_int_equal(fm_array_len(a), n);
    if (k > 1)
        assert_int_equal(fm_array_shape(a)[1], k);
    if (n > 0)
        assert_memory_equal(fm_array_data(a), values, (size_t)(n * k) * sizeof *values);
    fm_array_destroy(a);
}

/* The text is wrong, and the error says so. */
static void expect_error(const char *text, size_t n, const struct fmc_csv_options *options,
                         int exit_code, const char *says)
{
    fm_array *a;
    struct fmc_trouble error;
    assert_int_equal(read_bytes(text, n, options, &a, &error), exit_code);
    assert_null(a);
    if (strstr(error.text, says) == NULL)
        print_message("'%s' lacks '%s'\n", error.text, says);
    assert_non_null(strstr(error.text, says));
    assert_memory_equal(error.text, "x.csv: ", 7);
}

#define VALUES(...)     ((const double[]){__VA_ARGS__})
#define OPTIONS(...)    (&(const struct fmc_csv_options){__VA_ARGS__})
#define BAD(text, says) expect_error(text, sizeof(text) - 1, OPTIONS(0), FMC_ENVIRONMENT, says)

static void test_csv_numbers_are_those_of_strtod_bit_for_bit(void **state)
{
    (void)state;
    static const char *const fixed[] = {"0",
                                        "-0",
                                        "+1",
                                        "1.",
                                        ".5",
                                        "00012",
                                        "1e5",
                                        "1E+05",
                                        "1e-400",
                                        "4.9e-324",
                                        "2.2250738585072011e-308",
                                        "9007199254740993",
                                        "18446744073709551616",
                                        "123456789012345678901234567890e-10",
                                        "0.1",
                                        "1e22",
                                        "1e23",
                                        "8.5e22",
                                        "1.7976931348623157e308",
                                        "0.000000000000000000000000000001",
                                        "179769313486231580793728971405301e276",
                                        "000000000000000000000000000000000000000000000001.5"};
    double value;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        const double want = strtod(fixed[i], NULL);
        assert_int_equal(fmc_number_read(fixed[i], strlen(fixed[i]), &value), FMC_NUMBER);
        assert_memory_equal(&value, &want, sizeof want);
    }
    uint64_t seed = 1;
    for (int i = 0; i < 100000; i++) {
        char text[40];
        double number;
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        memcpy(&number, &seed, sizeof number);
        if (!isfinite(number))
            continue;
        snprintf(text, sizeof text, i % 2 == 0 ? "%.17g" : "%.6f",
                 i % 2 == 0 ? number : ldexp((double)(seed >> 12), -(int)(seed & 63)));
        const double want = strtod(text, NULL);
        assert_int_equal(fmc_number_read(text, strlen(text), &value), FMC_NUMBER);
        assert_memory_equal(&value, &want, sizeof want);
    }
}

/* 0.0...01e1000000: the exponent is not cut where a fraction that long would hide it. */
static void test_csv_numbers_with_long_exponents_and_fractions_are_right(void **state)
{
    (void)state;
    static char text[100020];
    const size_t n_zeros = 99999;
    double value;
    memset(text, '0', sizeof text);
    text[1] = '.';
    snprintf(text + 2 + n_zeros, 12, "1e100001");
    assert_int_equal(fmc_number_read(text, strlen(text), &value), FMC_NUMBER);
    assert_true(value == 10);
    snprintf(text + 2 + n_zeros, 12, "1e1000000");
    assert_int_equal(fmc_number_read(text, strlen(text), &value), FMC_NUMBER_LARGE);
}

static void test_csv_numbers_know_nan_and_inf_and_no_other_words(void **state)
{
    (void)state;
    static const char *const none[] = {"",      "-",   ".",    "e5",  "1e",    "1e+",   "0x10",
                                       "1_000", "1,5", "nanx", "in",  "--1",   "1 2",   "1f",
                                       "infin", "+-1", "1e5.", "0b1", "1.2.3", "nan(1)"};
    double value;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_int_equal(fmc_number_read(none[i], strlen(none[i]), &value), FMC_NUMBER_NONE);
    assert_int_equal(fmc_number_read("NaN", 3, &value), FMC_NUMBER);
    assert_true(isnan(value));
    assert_int_equal(fmc_number_read("-Inf", 4, &value), FMC_NUMBER);
    assert_true(isinf(value) && value < 0);
    assert_int_equal(fmc_number_read("+infinity", 9, &value), FMC_NUMBER);
    assert_true(isinf(value) && value > 0);
    assert_int_equal(fmc_number_read("1e309", 5, &value), FMC_NUMBER_LARGE);
    assert_int_equal(fmc_number_read("-1e99999999999", 14, &value), FMC_NUMBER_LARGE);
}

static void test_csv_quoting_of_rfc_4180_is_understood(void **state)
{
    (void)state;
    expect_values("a,b\n1,2\n3,4\n", OPTIONS(0), 2, 2, VALUES(1, 2, 3, 4));
    expect_values("a,b\r\n1,2\r\n3,4", OPTIONS(0), 2, 2, VALUES(1, 2, 3, 4));
    expect_values("\xef\xbb\xbf\"a\"\n\"1\"\n\"2\"\n", OPTIONS(0), 2, 1, VALUES(1, 2));
    expect_values("t,x\n\"a,\"\"b\"\"\r\nc\",1\n\"\",2\n", OPTIONS(0), 2, 1, VALUES(1, 2));
    expect_values("\"x\"\"y\nz\",b\n1,2\n", OPTIONS(.choice = "x\"y\nz"), 1, 1, VALUES(1));
    expect_values("a\n\n1\n\r\n\n2\n\n", OPTIONS(0), 2, 1, VALUES(1, 2)); /* empty lines */
    expect_values("a , b\n 1,\t2 \n", OPTIONS(.choice = "b,a"), 1, 2, VALUES(2, 1));
    expect_values("a,b\n", OPTIONS(0), 0, 2, NULL);
    expect_values("a", OPTIONS(0), 0, 1, NULL);
}

static void test_csv_columns_are_chosen_by_name_or_are_all_of_numbers(void **state)
{
    (void)state;
    static const char text[] = "name,x,y,note\nA,1,2,n1\nB,3,4,n2\n";
    expect_values(text, OPTIONS(0), 2, 2, VALUES(1, 2, 3, 4));
    expect_values(text, OPTIONS(.choice = "y,x"), 2, 2, VALUES(2, 1, 4, 3));
    expect_values(text, OPTIONS(.choice = "y"), 2, 1, VALUES(2, 4));
    expect_values("1,2\n3,4\n", OPTIONS(.no_header = 1), 2, 2, VALUES(1, 2, 3, 4));
    expect_values("1,t\n3,u\n", OPTIONS(.no_header = 1, .choice = "0"), 2, 1, VALUES(1, 3));
    expect_error(text, sizeof text - 1, OPTIONS(.choice = "z"), FMC_USAGE, "no column 'z'");
    expect_error(text, sizeof text - 1, OPTIONS(.choice = "nome"), FMC_USAGE, "did you mean name?");
    expect_error(text, sizeof text - 1, OPTIONS(.choice = "x,x"), FMC_USAGE, "'x' twice");
    expect_error(text, sizeof text - 1, OPTIONS(.choice = "x,"), FMC_USAGE, "no column ''");
    expect_error("1,2\n", 4, OPTIONS(.no_header = 1, .choice = "2"), FMC_USAGE, "no column '2'");
    expect_error("a,a,b\n1,2,3\n", 12, OPTIONS(.choice = "a"), FMC_ENVIRONMENT,
                 "columns 1 and 2 are both called 'a'");
    expect_values("a,a,b\n1,2,3\n", OPTIONS(.choice = "b"), 1, 1, VALUES(3));
}

static void test_csv_separators_are_found_or_told(void **state)
{
    (void)state;
    expect_values("a;b\n1;2\n", OPTIONS(0), 1, 2, VALUES(1, 2));
    expect_values("a\tb\n1\t 2\n", OPTIONS(0), 1, 2, VALUES(1, 2));
    expect_values("\"a,x\";b\n1;2\n", OPTIONS(0), 1, 2, VALUES(1, 2));
    expect_values("a,x;b\n1;2\n", OPTIONS(.separator = ';'), 1, 2, VALUES(1, 2));
    BAD("a,x;b\n1;2\n", "line 1: the columns may be separated by commas or semicolons");
    BAD("a,x\tb\n1;2\n", "commas or tabs");
}

static void test_csv_missing_values_follow_the_policy(void **state)
{
    (void)state;
    static const char text[] = "a,b\n1,\n,4\n5,6\n";
    BAD("a,b\n1,\n,4\n", "x.csv: line 2, column 2 (b): the value is missing");
    expect_values(text, OPTIONS(.missing = FMC_MISSING_SKIP), 1, 2, VALUES(5, 6));
    expect_values(text, OPTIONS(.missing = FMC_MISSING_VALUE, .value = -1), 3, 2,
                  VALUES(1, -1, -1, 4, 5, 6));
    expect_values(text, OPTIONS(.missing = FMC_MISSING_VALUE, .value = -1, .choice = "a"), 3, 1,
                  VALUES(1, -1, 5));
    expect_values("a\n\"\"\n7\n", OPTIONS(.missing = FMC_MISSING_SKIP), 1, 1, VALUES(7));
}

static void test_csv_errors_name_line_column_and_reason(void **state)
{
    (void)state;
    BAD("", "the file is empty");
    BAD("\n\r\n", "only empty lines");
    BAD("\xff\xfe"
        "a\0",
        "UTF-16");
    BAD("1,2\n3,4\n", "line 1: numbers where the names");
    BAD("a,b\n1,2\n3,x4\n", "line 3, column 2 (b): 'x4' is not a number");
    BAD("t,b\n\"1\n2\",2\nu,0x10\n", "line 4, column 2 (b): '0x10' is not a number");
    BAD("a,b\n1,2\n3\n", "line 3: 1 fields, but there are 2 columns");
    BAD("a,b\n1,2,3\n", "line 2: more than 2 fields, but there are 2 columns");
    BAD("a,b\n1,\"2\n3,4\n",
        "line 2, column 2 (b): the quote that opens the field is never closed");
    BAD("a,b\n1,\"2\"x\n", "line 2, column 2 (b): something follows the closing quote");
    BAD("a,b\n1,\"2\"\rx\n", "line 2, column 2 (b): something follows the closing quote");
    BAD("a,b\n1,2\0\n", "line 2, column 2 (b): a NUL byte at byte 7");
    BAD("a,b\n1,2\n3,\x1b[31m\n", "column 2 (b): '?[31m' is not a number");
    BAD("a,b\n1,1e999\n", "line 2, column 2 (b): 1e999 is larger than any double");
    BAD("a,b\r1,2\r", "line 1, column 2: a carriage return inside the field");
    BAD("a,b\nx,y\n", "line 2: no column has a number");
    BAD("a;b\n1;2\n1,5;2\n", "line 3, column 1 (a): '1,5' is not a number");
}

/* Where blocks meet nothing is lost: every length of a first field moves the rest across the border. */
static void test_csv_fields_across_blocks_are_whole(void **state)
{
    (void)state;
    static const char tail[] = "\",1.25\r\n\"q\"\"\n\",-3e2\r\n\r\nz,\"7\"";
    const size_t cap = FMC_CSV_BLOCK_BYTES + 64;
    char *text = test_malloc(cap);
    for (size_t shift = 0; shift < sizeof tail + 8; shift++) {
        size_t n = (size_t)snprintf(text, cap, "t,x\nw,0\n\"");
        const size_t fill = FMC_CSV_BLOCK_BYTES - n - shift;
        memset(text + n, 'a', fill / 2);
        memset(text + n + fill / 2, '\n', fill - fill / 2);
        memcpy(text + n + fill, tail, sizeof tail);
        expect_values(text, OPTIONS(0), 4, 1, VALUES(0, 1.25, -300, 7));
    }
    test_free(text);
}

static void test_csv_field_longer_than_a_block_is_refused(void **state)
{
    (void)state;
    const size_t n = FMC_CSV_BLOCK_BYTES + 10;
    char *text = test_malloc(n);
    memset(text, '1', n);
    memcpy(text, "a\n", 2);
    expect_error(text, n, OPTIONS(0), FMC_ENVIRONMENT,
                 "line 2, column 1 (a): a field of more than");
    text[2] = '"';
    expect_error(text, n, OPTIONS(0), FMC_ENVIRONMENT,
                 "line 2, column 1 (a): a field of more than");
    test_free(text);
}

static void test_csv_of_a_hundred_thousand_columns_is_read(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *text = test_malloc(16 * N), *p = text;
    double *values = test_malloc(N * sizeof *values);
    for (int i = 0; i < N; i++)
        p += sprintf(p, "c%d%c", i, i + 1 < N ? ',' : '\n');
    for (int i = 0; i < N; i++) {
        p += sprintf(p, "%d%c", i, i + 1 < N ? ',' : '\n');
        values[i] = i;
    }
    expect_values(text, OPTIONS(0), 1, N, values);
    expect_values(text, OPTIONS(.choice = "c99999,c0"), 1, 2, VALUES(N - 1, 0));
    test_free(values);
    test_free(text);
}

/* No byte may lead the reader astray; what it makes of the text does not matter. */
static void test_csv_with_any_byte_changed_never_harms(void **state)
{
    (void)state;
    static const char text[] = "a,\"b\"\"\",c\r\n1,\"2\",3e4\n\"x\r\n\",nan,-.5\n";
    static const char bytes[] = {'\0', '"', ',', '\n', '\r', 'e', '1', ' ', ';', (char)0xff};
    char changed[sizeof text];
    for (size_t at = 0; at < sizeof text - 1; at++)
        for (size_t i = 0; i < sizeof bytes; i++) {
            fm_array *a;
            struct fmc_trouble error;
            memcpy(changed, text, sizeof text);
            changed[at] = bytes[i];
            const int rc = read_bytes(changed, sizeof text - 1, OPTIONS(0), &a, &error);
            assert_true(rc == 0 || error.text[0] != '\0');
            fm_array_destroy(a);
        }
}

T_MAIN(T_TEST(test_csv_numbers_are_those_of_strtod_bit_for_bit),
       T_TEST(test_csv_numbers_with_long_exponents_and_fractions_are_right),
       T_TEST(test_csv_numbers_know_nan_and_inf_and_no_other_words),
       T_TEST(test_csv_quoting_of_rfc_4180_is_understood),
       T_TEST(test_csv_columns_are_chosen_by_name_or_are_all_of_numbers),
       T_TEST(test_csv_separators_are_found_or_told),
       T_TEST(test_csv_missing_values_follow_the_policy),
       T_TEST(test_csv_errors_name_line_column_and_reason),
       T_TEST(test_csv_fields_across_blocks_are_whole),
       T_TEST(test_csv_field_longer_than_a_block_is_refused),
       T_TEST(test_csv_of_a_hundred_thousand_columns_is_read),
       T_TEST(test_csv_with_any_byte_changed_never_harms))
