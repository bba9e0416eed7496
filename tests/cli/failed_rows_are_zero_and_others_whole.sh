#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A function that fails after it has written half its row leaves zeroes there, not the half.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <stdlib.h>
int f(const void *item, void *result, void *arg)
{
    const long i = *(const long *)item;
    float *row = result;
    (void)arg;
    row[0] = 1;
    if (i % 10 == 1)
        return 1;
    if (i == 42)
        abort();
    row[1] = 2;
    row[2] = 3;
    return 0;
}
C
program check <<'C'
#include "npy.h"
int main(void)
{
    const float *y = npy_load("out.npy", "<f4", "(100, 3)", 300, 4);
    for (int i = 0; i < 300; i++)
        if (y[i] != (i / 3 % 10 == 1 || i / 3 == 42 ? 0 : (float)(i % 3 + 1)))
            return 1;
    return 0;
}
C
expect 1 map ./f.so:f range:0:100 --out f4:3 -o out.npy --on-error continue
./check || fail "wrong rows"
says "item 42: crashed by SIGABRT"
