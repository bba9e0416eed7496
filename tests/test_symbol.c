/* SPDX-License-Identifier: MIT */
/* LABELS: unit */
/* Names of functions from the symbol tables of files, which may be anything. */
#include "t.h"

#include "symbol.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char name[128];
static uint64_t offset;

static __attribute__((noinline)) int function_of_this_file(int x)
{
    return x * 3;
}

/* As the file has it. */
static uint64_t address_of(uintptr_t pointer)
{
    struct dl_find_object found;
    assert_int_equal(_dl_find_object((void *)pointer, &found), 0);
    return pointer - found.dlfo_link_map->l_addr;
}

static void test_symbol_of_a_static_function_is_found_with_the_offset_in_it(void **state)
{
    (void)state;
    uint64_t address = address_of((uintptr_t)function_of_this_file);
    assert_int_equal(fmi_symbol_find("/proc/self/exe", address + 1, name, sizeof name, &offset), 0);
    assert_string_equal(name, "function_of_this_file");
    assert_int_equal(offset, 1);
}

static void test_symbol_of_a_stripped_library_is_what_it_exports(void **state)
{
    struct dl_find_object found;
    (void)state;
    assert_int_equal(_dl_find_object((void *)(uintptr_t)a64l, &found), 0);
    assert_int_equal(fmi_symbol_find(found.dlfo_link_map->l_name, address_of((uintptr_t)a64l), name,
                                     sizeof name, &offset),
                     0);
    assert_string_equal(name, "a64l");
    assert_int_equal(offset, 0);
}

static void test_symbol_name_is_cut_to_the_room_there_is(void **state)
{
    (void)state;
    uint64_t address = address_of((uintptr_t)function_of_this_file);
    assert_int_equal(fmi_symbol_find("/proc/self/exe", address, name, 9, &offset), 0);
    assert_string_equal(name, "function");
}

static void test_symbol_of_no_function_and_no_file_is_not_found(void **state)
{
    (void)state;
    assert_int_equal(fmi_symbol_find("/proc/self/exe", 1, name, sizeof name, &offset), -ENOENT);
    assert_string_equal(name, "");
    assert_int_equal(fmi_symbol_find("/nowhere", 1, name, sizeof name, &offset), -ENOENT);
    assert_int_equal(fmi_symbol_find("/proc/self/maps", 1, name, sizeof name, &offset), -ENOENT);
    assert_int_equal(fmi_symbol_find("/dev/null", 1, name, sizeof name, &offset), -ENOENT);
    assert_int_equal(fmi_symbol_find("/tmp", 1, name, sizeof name, &offset), -ENOENT);
}

static char *read_library(size_t *bytes)
{
    struct stat s = {0};
    int fd = open(T_MODULE_DIR "/scale2.so", O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &s) == 0);
    *bytes = (size_t)s.st_size;
    char *text = malloc(*bytes + 1);
    assert_int_equal(read(fd, text, *bytes), s.st_size);
    close(fd);
    return text;
}

/* Whatever it says, it says it with a text that ends. */
static void expect_no_harm(const char *path, const void *bytes, size_t n)
{
    t_write_file(path, bytes, n);
    memset(name, 'x', sizeof name);
    for (uint64_t address = 0; address < 0x2000; address += 0x155) {
        (void)fmi_symbol_find(path, address, name, sizeof name, &offset);
        assert_true(strlen(name) < sizeof name);
    }
}

static void test_symbol_of_a_file_that_was_cut_short_or_changed_does_no_harm(void **state)
{
    char path[600];
    size_t bytes = 0;
    (void)state;
    char *text = read_library(&bytes);
    snprintf(path, sizeof path, "%s/f.so", t_temp_dir());
    for (size_t n = 0; n < bytes; n += bytes / 61)
        expect_no_harm(path, text, n);
    srand(7);
    for (int round = 0; round < 400; round++) {
        Elf64_Ehdr head;
        memcpy(&head, text, sizeof head);
        size_t tables = (size_t)head.e_shoff, where = (size_t)rand();
        size_t at = round % 3 == 0 ? where % sizeof head : tables + where % (bytes - tables);
        char was = text[at];
        text[at] = (char)rand();
        expect_no_harm(path, text, bytes);
        text[at] = was;
    }
    free(text);
}

int main_is_not_optimised(void);
int main_is_not_optimised(void)
{
    return function_of_this_file(1);
}

T_MAIN(T_TEST(test_symbol_of_a_static_function_is_found_with_the_offset_in_it),
       T_TEST(test_symbol_of_a_stripped_library_is_what_it_exports),
       T_TEST(test_symbol_name_is_cut_to_the_room_there_is),
       T_TEST(test_symbol_of_no_function_and_no_file_is_not_found),
       T_TEST(test_symbol_of_a_file_that_was_cut_short_or_changed_does_no_harm))
