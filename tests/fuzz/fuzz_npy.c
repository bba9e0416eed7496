/* SPDX-License-Identifier: MIT */
/* Fuzz target: fm_npy_load(). An input is a file. What is read must be what the file has, also when it is mapped. */
#include "fuzz.h"

#include <forkmap/array.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int make_file(char path[32], const uint8_t *data, size_t n)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    FUZZ_EXPECT(fd >= 0 && write(fd, data, n) == (ssize_t)n);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static void check_array(const fm_array *a, size_t file_bytes)
{
    int64_t count = 1;
    FUZZ_EXPECT(fm_array_ndim(a) >= 1 && fm_array_ndim(a) <= FM_MAX_DIMS);
    for (int i = 0; i < fm_array_ndim(a); i++)
        count *= fm_array_shape(a)[i];
    FUZZ_EXPECT(count == fm_array_count(a));
    FUZZ_EXPECT(fm_array_bytes(a) == (size_t)count * fm_dtype_bytes(fm_array_dtype(a)));
    FUZZ_EXPECT(fm_array_bytes(a) < file_bytes);
    FUZZ_EXPECT(fm_array_is_contiguous(a, FM_ORDER_C) || fm_array_is_contiguous(a, FM_ORDER_F));
}

/* A file that cannot be mapped, as one of the other byte order, says so; any other has the elements that were read. */
static void check_mapped(const char *path, const fm_array *a)
{
    fm_array *mapped;
    if (fm_npy_load(path, FM_NPY_MAP, &mapped) != 0) {
        FUZZ_EXPECT(mapped == NULL);
        return;
    }
    FUZZ_EXPECT(fm_array_bytes(mapped) == fm_array_bytes(a));
    FUZZ_EXPECT(memcmp(fm_array_data(mapped), fm_array_data(a), fm_array_bytes(a)) == 0);
    fm_array_destroy(mapped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char path[32];
    fm_array *a;
    int fd = make_file(path, data, n);
    if (fm_npy_load(path, FM_NPY_READ, &a) == 0) {
        check_array(a, n);
        check_mapped(path, a);
        fm_array_destroy(a);
    } else {
        FUZZ_EXPECT(a == NULL && strstr(fm_error_detail(), path) != NULL);
    }
    close(fd);
    return 0;
}
