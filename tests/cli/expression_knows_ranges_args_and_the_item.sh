#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# i counts from 0 whatever the range begins with; --arg are numbers by name; an input of one row is given to every item.
. "$(dirname "$0")/common.bash"
program check <<'C'
#include "npy.h"
int main(int argc, char **argv)
{
    const double *r = npy_load(argv[1], "<f8", "(1000,)", 1000, 8), *p = r;
    const double a = atof(argv[2]), b = atof(argv[argc - 1]);
    for (int i = 0; i < 1000; i++)
        if (*p++ != a * i + b)
            return 1;
    return 0;
}
C
expect 0 map -e i range:-5:995 -o r.npy
./check r.npy 1 0 || fail "i does not count from 0"
expect 0 map -e x range:-5:995 -o r.npy
./check r.npy 1 -5 || fail "x0 is not the number of the range"
expect 0 map -e 'a*x0 + b_2' range:0:1000 --arg a=2.5 --arg b_2=-1e3 -o r.npy
./check r.npy 2.5 -1000 || fail "wrong with --arg"
ls cache/forkmap >before
expect 0 map -e 'a*x0 + b_2' range:0:1000 --arg a=7 --arg b_2=0x10 -o r.npy
./check r.npy 7 16 || fail "wrong with other --arg"
ls cache/forkmap | cmp - before || fail "other --arg were compiled again"
expect 0 map -e 'pi * x0 + nan' range:0:1000 --arg pi=3 --arg nan=4 -o r.npy
./check r.npy 3 4 || fail "an --arg cannot have the name of a constant"
expect 0 map -e 'x0 + 10*x1 - 9*x0' range:0:1000 range:7:8 -o r.npy
./check r.npy -8 70 || fail "one row was not given to every item"
expect 0 map -e 'x1 + 10*x0' range:7:8 range:0:1000 -o r.npy
./check r.npy 1 70 || fail "one row in front was not given to every item"
expect 0 map -e 'n*x + 1' range:0:1000 --arg n=2 -o r.npy
./check r.npy 2 1 || fail "n cannot be an --arg"
expect 0 map -e 'x + i' range:3:3 -o empty.npy
expect 0 map -e 'x0 + x1 + i' range:3:4 range:5:6 -o one.npy
expect 2 map -e 'x0 + x1' range:0:10 range:0:11 -o x.npy
says "11 rows"
expect 2 map -e 'a*x0' range:0:10 --arg a=2 --arg c=3 -o x.npy
says "--arg c" "the expression has no c"
expect 2 map -e 'a*x0' range:0:10 --arg a=two -o x.npy
says "the value is not a number"
for name in linux INT32_MAX INT64_C size_t complex offset index; do # names of macros and types
    expect 0 map -e "(x0 + creal(I)) * $name - x0" range:0:1000 --arg $name=4 --out i4 -o i.npy
    expect 0 map -e 'x0' i.npy -o r.npy
    ./check r.npy 3 0 || fail "wrong with --arg $name"
done
for name in defined x0 n0 i sqrt double for fm_k x _a I 2a a-b; do
    expect 2 map -e 'x0' range:0:10 --arg "$name=2" -o x.npy
done
absent x.npy
