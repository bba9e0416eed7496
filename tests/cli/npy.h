/* SPDX-License-Identifier: MIT */
#ifndef NPY_H
#define NPY_H

/* A reader of .npy files that shares no code with the library, for the tests of the command. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void npy_fail(const char *path, const char *why)
{
    fprintf(stderr, "%s: %s\n", path, why);
    exit(1);
}

/*
 * Loads all elements of a version 1.0 file. `descr` as "<f8", `shape` as "(10,)" or "(10, 3)"; both must be in the
 * header. The file must end with the last of n elements of `bytes` bytes.
 */
static void *npy_load(const char *path, const char *descr, const char *shape, size_t n,
                      size_t bytes)
{
    unsigned char head[10];
    char text[65536] = "";
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        npy_fail(path, "cannot be opened");
    if (fread(head, 1, sizeof head, f) != sizeof head || memcmp(head, "\x93NUMPY\x01\x00", 8) != 0)
        npy_fail(path, "not a .npy file of version 1.0");
    const size_t length = head[8] + 256u * head[9];
    if ((length + sizeof head) % 16 != 0 || fread(text, 1, length, f) != length)
        npy_fail(path, "bad header");
    if (strstr(text, descr) == NULL || strstr(text, shape) == NULL)
        npy_fail(path, text);
    char *data = malloc(n * bytes + 1);
    if (data == NULL || fread(data, bytes, n, f) != n || fgetc(f) != EOF)
        npy_fail(path, "not as long as its shape says");
    fclose(f);
    return data;
}

#endif
