#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# An input that is not there, or may not be read, is named; nothing is written.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = *(const double *)item;
    return 0;
}
C
expect 3 map ./f.so:f nowhere.npy --out f8: -o out.npy
says "forkmap: nowhere.npy: No such file or directory"
expect 3 map ./f.so:f . --out f8: -o out.npy
expect 3 map ./f.so:f raw:f8:10:nowhere.bin --out f8: -o out.npy
expect 3 map docking nowhere.npy -o out.npy
absent out.npy
