#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# More items than can be counted or addressed are refused at once, never allocated.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)item;
    (void)result;
    (void)arg;
    return 0;
}
C
expect 2 map ./f.so:f range:0:9223372036854775807 --out f8: -o out.npy
says "9223372036854775807"
expect 2 map ./f.so:f range:-5:9223372036854775807 --out f8: -o out.npy
expect 2 map ./f.so:f range:0:9223372036854775808 --out f8: -o out.npy
expect 2 map ./f.so:f range:0:1000 --out f8:4294967296x4294967296 -o out.npy
expect 2 map ./f.so:f range:10:0 --out f8: -o out.npy
expect 3 map ./f.so:f range:0:100000000000000000 --out f8: -o out.npy # it can be counted, and nobody has the room
head -c 8 /dev/zero >x.bin
expect 2 map ./f.so:f raw:f8:4294967296x4294967296x4:x.bin --out f8: -o out.npy
absent out.npy
