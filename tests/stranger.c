/* SPDX-License-Identifier: MIT */
/*
 * A program of no family, for the tests of named segments. It knows the public headers only.
 *
 *   stranger create NAME BYTES   makes a segment, fills it with i % 251, and leaves it behind
 *   stranger keep NAME BYTES     the same, but prints a line and waits until its stdin ends
 *   stranger read NAME           leaves with 0 if all its bytes are that
 *   stranger double NAME         doubles each byte, modulo 251
 *   stranger hold NAME           attaches, prints a line, and waits until its stdin ends
 *
 * Exit codes: 0; 1 the bytes are others; 2 wrong words; 3 what stderr says.
 */
#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(int code)
{
    fprintf(stderr, "%s: %s\n", fm_errname(code), fm_error_detail());
    return 3;
}

static int hold(void)
{
    printf("here\n");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

static int create(const char *name, size_t bytes, int is_kept)
{
    FM_AUTO(fm_shm) s = NULL;
    int rc = fm_shm_create(&s, name, bytes, NULL);
    if (rc != 0)
        return fail(rc);
    unsigned char *data = fm_shm_data(s);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (unsigned char)(i % 251);
    return is_kept ? hold() : 0;
}

static int read_all(const fm_shm *s)
{
    const unsigned char *data = fm_shm_data(s);
    for (size_t i = 0; i < fm_shm_bytes(s); i++)
        if (data[i] != i % 251)
            return 1;
    return 0;
}

static int double_all(const fm_shm *s)
{
    unsigned char *data = fm_shm_data(s);
    for (size_t i = 0; i < fm_shm_bytes(s); i++)
        data[i] = (unsigned char)(data[i] * 2 % 251);
    return 0;
}

int main(int argc, char **argv)
{
    FM_AUTO(fm_shm) s = NULL;
    if (argc == 4)
        return create(argv[2], (size_t)strtoull(argv[3], NULL, 10), strcmp(argv[1], "keep") == 0);
    if (argc != 3)
        return 2;
    int is_reader = strcmp(argv[1], "read") == 0;
    int rc = fm_shm_attach(&s, argv[2], FM_SHM_OPTS(.flags = is_reader ? FM_SHM_READ_ONLY : 0));
    if (rc != 0)
        return fail(rc);
    return is_reader                        ? read_all(s)
           : strcmp(argv[1], "double") == 0 ? double_all(s)
           : strcmp(argv[1], "hold") == 0   ? hold()
                                            : 2;
}
