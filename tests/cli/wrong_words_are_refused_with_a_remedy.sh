#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Unknown commands, options, kernels and words that do not go together: exit code 2 and what to do.
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
expect 2
says "Usage: forkmap"
expect 2 mapp
says "did you mean map?"
expect 2 --colour
expect 2 run pi --no-such-option
says "no-such-option"
expect 2 run pi --schedule fair
says "auto, static, dynamic, guided"
expect 2 run dokcing
says "did you mean docking?"
expect 2 map mandelbrto -o out.npy
says "did you mean mandelbrot?"
expect 2 run pi --arg speed=9
says speed
expect 2 run pi --arg n
expect 2 run pi --arg n=1 --arg n=2
expect 2 run pi mandelbrot
expect 2 run
expect 2 map
expect 2 map docking -o out.npy
says "forkmap run docking"
expect 2 map pi range:0:10 -o out.npy
expect 2 map pi --out f8: -o out.npy
expect 2 map ./f.so:f --out f8: -o out.npy
expect 2 map ./f.so:f range:0:10 -o out.npy
says "--out f8: -o out.npy"
expect 2 map ./f.so:f range:0:10 --out f8:
expect 2 map ./f.so:f range:0:10 --out none -o out.npy
expect 2 map ./f.so:f range:0:10 --out f8: -o out.npy --verify
expect 2 map ./f.so:f range:0 --out f8: -o out.npy
expect 2 map ./f.so:f range:a:b --out f8: -o out.npy
expect 2 run pi --out f8: -o out.npy
says "--out f8:" "-o OUT"
expect 2 run pi -o -
says "/dev/stdout"
for name in out.h5 out.h5:/x out.csv out.npy.gz; do
    expect 2 run pi -o $name
    says "-o $name: the output is a .npy file"
    absent $name
done
expect 2 run pi --json -o /dev/stdout
says "--json"
expect 2 run pi --chunk 0
says "auto, python, or a whole number of 1 or more"
expect 3 map ./f.so:f raw:f4:10x6:G:x.bin --out f8: -o out.npy
says "ORDER is C or F"
expect 2 kernels docking
expect 2 topo here
absent out.npy
