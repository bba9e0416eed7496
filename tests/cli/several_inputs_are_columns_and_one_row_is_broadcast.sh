#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# --star maps over several inputs at once; ranges are columns, too; lengths that differ are refused.
. "$(dirname "$0")/common.bash"
library f <<'C'
int add(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(long *)result = *(const long *)items[0] + 10 * *(const long *)items[1];
    return 0;
}
C
program check <<'C'
#include "npy.h"
int main(int argc, char **argv)
{
    const long *y = npy_load(argv[1], "<i8", "(100,)", 100, 8);
    const long factor = atol(argv[argc - 1]);
    for (long i = 0; i < 100; i++)
        if (y[i] != i + 10 * (factor != 0 ? factor : i + 7))
            return 1;
    return 0;
}
C
expect 0 map ./f.so:add range:0:100 range:7:107 --star --out i8: -o a.npy
./check a.npy 0 || fail "wrong with two columns"
expect 0 map ./f.so:add range:0:100 range:7:8 --star --out i8: -o b.npy
./check b.npy 7 || fail "wrong with a broadcast column"
expect 2 map ./f.so:add range:0:100 range:0:99 --star --out i8: -o c.npy
says "99 rows"
expect 2 map ./f.so:add range:0:100 range:0:100 --out i8: -o c.npy
says "--star"
absent c.npy
