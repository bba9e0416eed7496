/* SPDX-License-Identifier: MIT */
#ifndef T_EXPECT_H
#define T_EXPECT_H

/* Conditions in a child process, where no assertion of cmocka may stand. */

#include <forkmap/forkmap.h>
#include <stdio.h>
#include <unistd.h>

/* The child ends with exit code 1, and says which line it was. */
#define EXPECT(condition)                                                                          \
    do                                                                                             \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, fm_error_detail());         \
            _exit(1);                                                                              \
        }                                                                                          \
    while (0)

#endif
