#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A kernel says which rows it needs, and an own function cannot give rows of no shape.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(float *)result = 1;
    return 0;
}
C
head -c 2400 /dev/zero >x.bin
expect 2 map docking raw:f4:120x5:x.bin -o out.npy
says "120 x 5" "n x 6"
expect 2 map docking raw:f8:50x6:x.bin -o out.npy
says "f8"
expect 2 map docking range:0:100 -o out.npy
for rows in f4:0 f4:2x f4:x2 f4:-1 f4:1x1x1x1x1x1x1x1 f4:99999999999999999999 f9: :3 ''; do
    expect 2 map ./f.so:f range:0:10 --out "$rows" -o out.npy
done
absent out.npy
expect 0 map ./f.so:f range:0:10 --out f4:1x1x1x1x1x1x1 -o out.npy
