#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A function of the user's own, compiled with cc -shared -fPIC, maps over the rows of a .npy file.
. "$(dirname "$0")/common.bash"
library f <<'C'
int number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = (double)*(const long *)item;
    return 0;
}
int square(const void *item, void *result, void *arg)
{
    const double x = *(const double *)item;
    (void)arg;
    *(double *)result = x * x;
    return 0;
}
C
program check <<'C'
#include "npy.h"
int main(void)
{
    const double *x = npy_load("in.npy", "<f8", "(1000,)", 1000, 8);
    const double *y = npy_load("out.npy", "<f8", "(1000,)", 1000, 8);
    for (int i = 0; i < 1000; i++)
        if (x[i] != i - 500 || y[i] != x[i] * x[i])
            return 1;
    return 0;
}
C
expect 0 map ./f.so:number range:-500:500 --out f8: -o in.npy
expect 0 map ./f.so:square in.npy --out f8: -o out.npy
says "1000 items" "-> out.npy"
./check || fail "wrong results"
# A path without a folder means this one.
expect 0 map f.so:square in.npy --out float64: -o out.npy --quiet
[ ! -s stderr ] || fail "--quiet says something"
