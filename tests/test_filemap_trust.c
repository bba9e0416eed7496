/* SPDX-License-Identifier: MIT */
/* LABELS: fork crash */
/* What a stray write makes of the record of a mapped file, and what it must not do to the host; and one file that is two arrays. */
#include "t_filemap.h"

#include "array.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static void test_filemap_two_mappings_of_one_file_overlap(void **state)
{
    (void)state;
    const char *path = t_numbers("a.npy", N);
    fm_pool *pool = t_open(1, FM_CALLER_SLEEPS);
    fm_array *in = t_load(path, FM_NPY_MAP), *out = t_load(path, FM_NPY_MAP_WRITE), *rest, *begin;
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), -EINVAL);
    assert_non_null(strstr(fm_error_detail(), "overlap"));
    t_expect(fm_array_view(&begin, in, &(fm_slice){0, N / 2, 1}), 0);
    t_expect(fm_array_view(&rest, out, &(fm_slice){N / 2, N, 1}), 0);
    t_expect(fm_pool_map(pool, t_triple, begin, rest, NULL), 0); /* other parts of it */
    fm_array_destroy(in);
    fm_array_destroy(out);
    fm_array_destroy(begin);
    fm_array_destroy(rest);
    t_destroy(pool);
}

static void test_filemap_zeroed_record_leaves_the_openers_memory(void **state)
{
    (void)state;
    fm_array *a = t_load(t_numbers("a.npy", N), FM_NPY_MAP);
    const int64_t *data = fm_array_data(a);
    struct fmi_file_shm good = a->buffer->file;
    a->buffer->file.serial = 0;
    fm_array *b = t_load(t_numbers("b.npy", N), FM_NPY_MAP); /* looks what is dead */
    assert_int_equal(data[N - 1], N - 1);
    a->buffer->file = good;
    fm_array_destroy(a);
    fm_array_destroy(b);
}

static void test_filemap_record_that_names_another_mapping_frees_its_own(void **state)
{
    (void)state;
    fm_array *a = t_load(t_numbers("a.npy", N), FM_NPY_MAP),
             *b = t_load(t_numbers("b.npy", N), FM_NPY_MAP);
    const int64_t *data = fm_array_data(b);
    a->buffer->file = b->buffer->file;
    a->buffer->data = b->buffer->data;
    a->data = b->data;
    fm_array_destroy(a);
    assert_int_equal(data[N - 1], N - 1);
    fm_array_destroy(b);
}

static void test_filemap_record_cannot_make_a_mapping_writable(void **state)
{
    (void)state;
    fm_pool *pool = t_open(1, FM_CALLER_WORKS);
    fm_array *in = t_counted(N), *out = t_load(t_numbers("a.npy", N), FM_NPY_MAP);
    out->buffer->file.is_writable = 1;
    t_expect(fm_pool_map(pool, t_triple, in, out, NULL), -EINVAL);
    fm_array_destroy(in);
    fm_array_destroy(out);
    t_destroy(pool);
}

static void test_filemap_record_cannot_map_at_other_addresses(void **state)
{
    (void)state;
    fm_array *a = t_load(t_numbers("a.npy", N), FM_NPY_MAP);
    struct fmi_array_view view;
    struct fmi_file_shm good = a->buffer->file;
    char *data = a->data;
    a->buffer->file.serial += 1000;
    a->buffer->file.base = (char *)0x10000;
    a->buffer->data = a->data = (char *)0x10000 + 128;
    assert_int_equal(fmi_array_inspect(a, &view), FM_ECORRUPT);
    assert_int_equal(msync((void *)0x10000, 4096, MS_ASYNC), -1); /* nothing lies there */
    a->buffer->file = good;
    a->buffer->data = a->data = data;
    fm_array_destroy(a);
}

static void test_filemap_overwritten_descriptor_is_not_followed(void **state)
{
    (void)state;
    fm_array *a = t_load(t_numbers("a.npy", N), FM_NPY_MAP), *large = t_vector(FM_I64, N);
    struct fmi_array_view view;
    struct fmi_buffer_shm *buffer = a->buffer;
    char *data = a->data;
    a->buffer = (struct fmi_buffer_shm *)64; /* nowhere */
    assert_ptr_equal(fm_array_data(a), data);
    assert_int_equal(fmi_array_inspect(a, &view), FM_ECORRUPT);
    a->buffer = fm_array_data(large); /* in the heap, and no record */
    assert_ptr_equal(fm_array_data(a), data);
    assert_int_equal(fmi_array_inspect(a, &view), FM_ECORRUPT);
    a->buffer = buffer;
    fm_array_destroy(a);
    fm_array_destroy(large);
}

T_MAIN(T_TEST(test_filemap_two_mappings_of_one_file_overlap),
       T_TEST(test_filemap_zeroed_record_leaves_the_openers_memory),
       T_TEST(test_filemap_record_that_names_another_mapping_frees_its_own),
       T_TEST(test_filemap_record_cannot_make_a_mapping_writable),
       T_TEST(test_filemap_record_cannot_map_at_other_addresses),
       T_TEST(test_filemap_overwritten_descriptor_is_not_followed))
