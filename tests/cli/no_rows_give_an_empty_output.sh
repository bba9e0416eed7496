#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# 0 rows are a map that is done: an empty output of the right type and row shape.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 1;
}
C
program check <<'C'
#include "npy.h"
int main(int argc, char **argv)
{
    (void)argc;
    npy_load(argv[1], argv[2], argv[3], 0, 1);
    return 0;
}
C
: >empty.bin
expect 0 map ./f.so:f range:5:5 --out f8: -o a.npy
./check a.npy "<f8" "(0,)" || fail "a.npy"
expect 0 map ./f.so:f raw:f4:0x6:empty.bin --out i4:2x3 -o b.npy
./check b.npy "<i4" "(0, 2, 3)" || fail "b.npy"
expect 0 map ./f.so:f b.npy --out f8: -o c.npy --on-error continue
./check c.npy "<f8" "(0,)" || fail "c.npy"
expect 0 map ./f.so:f b.npy --out f8: -o c.npy --chunk-fn --caller works
expect 0 map docking raw:f4:0x6:empty.bin -o d.npy
./check d.npy "<f4" "(0,)" || fail "d.npy"
