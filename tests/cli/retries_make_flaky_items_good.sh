#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# An item that fails, or kills its worker, at the first attempt is right after a retry.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int f(const void *item, void *result, void *arg)
{
    const long i = *(const long *)item;
    char name[32];
    (void)arg;
    snprintf(name, sizeof name, "tried.%ld", i);
    *(double *)result = (double)i;
    if (i % 25 != 3)
        return 0;
    const int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd < 0)
        return 0;
    close(fd);
    return i == 28 ? raise(SIGABRT) : 1;
}
C
program check <<'C'
#include "npy.h"
int main(void)
{
    const double *y = npy_load("out.npy", "<f8", "(100,)", 100, 8);
    for (int i = 0; i < 100; i++)
        if (y[i] != i)
            return 1;
    return 0;
}
C
expect 0 map ./f.so:f range:0:100 --out f8: -o out.npy --retries 1
./check || fail "wrong results"
rm tried.*
expect 1 map ./f.so:f range:0:100 --out f8: -o out2.npy --on-error continue
says "4 of 100 items failed" "item 3: the function returned 1" "item 28: crashed by SIGABRT"
