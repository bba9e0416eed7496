/* SPDX-License-Identifier: MIT */
#ifndef T_FILEMAP_H
#define T_FILEMAP_H

/* What the tests of mapped files share: files of numbers, a function over them, and who has what mapped. */
#include "t_pool.h"

#include <limits.h>
#include <stdio.h>
#include <sys/types.h>

enum { N = 20000 };

static inline const char *t_path_of(const char *name)
{
    static char paths[4][PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", t_temp_dir(), name);
    return path;
}

/* A file of the numbers 0 .. n-1. */
static inline const char *t_numbers(const char *name, int64_t n)
{
    const char *path = t_path_of(name);
    fm_array *a = t_counted(n);
    t_expect(fm_npy_save(path, a), 0);
    fm_array_destroy(a);
    return path;
}

static inline fm_array *t_load(const char *path, int mode)
{
    fm_array *a;
    t_expect(fm_npy_load(path, mode, &a), 0);
    return a;
}

static inline int t_triple(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = 3 * *(const int64_t *)item + 1;
    return 0;
}

static inline void t_expect_tripled(const fm_array *out)
{
    const int64_t *data = fm_array_data(out);
    for (int64_t i = 0; i < fm_array_len(out); i++)
        if (data[i] != 3 * i + 1)
            fail_msg("row %lld is %lld", (long long)i, (long long)data[i]);
}

static inline int t_n_mappings(pid_t pid, const char *part)
{
    char path[64], line[PATH_MAX + 128];
    int n = 0;
    snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        n += strstr(line, part) != NULL;
    fclose(maps);
    return n;
}

#endif
