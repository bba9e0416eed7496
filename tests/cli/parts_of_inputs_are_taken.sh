#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# --columns, --rows, --repeat and --as take from an input what they say, in any order of its memory, and refuse the rest.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* "bytes=N": copies so many bytes. */
int copy(const void *item, void *result, void *arg)
{
    memcpy(result, item, (size_t)atoi(strchr(arg, '=') + 1));
    return 0;
}
int number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = (double)*(const long *)item;
    return 0;
}
int row(const void *item, void *result, void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++)
        ((int *)result)[i] = 10 * (int)*(const long *)item + i;
    return 0;
}
C
program check <<'C'
#include "npy.h"
#include <stdint.h>
/* check DESCR SHAPE NUMBER... */
int main(int argc, char **argv)
{
    const size_t n = (size_t)argc - 3, bytes = (size_t)(argv[1][2] - '0');
    const char *data = npy_load("out.npy", argv[1], argv[2], n, bytes);
    for (size_t i = 0; i < n; i++) {
        const char *p = data + i * bytes;
        const double have = argv[1][1] == 'f' && bytes == 8   ? *(const double *)p
                            : argv[1][1] == 'f'               ? (double)*(const float *)p
                            : bytes == 1                      ? (double)*(const int8_t *)p
                                                              : (double)*(const int32_t *)p;
        if (have != atof(argv[i + 3])) {
            fprintf(stderr, "number %zu: %g, not %s\n", i, have, argv[i + 3]);
            return 1;
        }
    }
    return 0;
}
C
map() { # map BYTES OUT WORD...
    local bytes=$1 out=$2
    shift 2
    expect 0 map ./f.so:copy "$@" --arg bytes="$bytes" --out "$out" -o out.npy
}
refused() { # refused TEXT WORD...
    local text=$1
    shift
    expect 2 map ./f.so:copy "$@" --arg bytes=4 --out i4: -o bad.npy
    says "$text"
}
expect 0 map ./f.so:row range:0:3 --out i4:4 -o m.npy # 0..3, 10..13, 20..23
expect 0 map ./f.so:number range:0:10 --out f8: -o v.npy
map 8 i4:2 m.npy --columns 3,0
./check '<i4' '(3, 2)' 3 0 13 10 23 20 || fail "a list of columns"
map 8 i4:2 m.npy --columns 1:3
./check '<i4' '(3, 2)' 1 2 11 12 21 22 || fail "a run of columns"
map 4 i4: m.npy --columns -1
./check '<i4' '(3,)' 3 13 23 || fail "the last column"
map 8 i4:2 m.npy --columns :2 --rows 1:
./check '<i4' '(2, 2)' 10 11 20 21 || fail "columns and rows"
map 8 i4:2 m.npy --columns 2: --rows -1: --repeat 3
./check '<i4' '(3, 2)' 22 23 22 23 22 23 || fail "and repeated"
# The same of a file in Fortran order: its bytes are those of the transposed one.
tail -c 48 m.npy >m.bin
map 8 i4:2 raw:i4:4x3:F:m.bin --columns 1,2 --rows 1:3
./check '<i4' '(2, 2)' 11 21 12 22 || fail "Fortran order"
map 12 i4:3 raw:i4:4x3:F:m.bin --rows 2: --repeat 2
./check '<i4' '(4, 3)' 2 12 22 3 13 23 2 12 22 3 13 23 || fail "Fortran order, repeated"
map 8 f8: v.npy --rows 2:-6
./check '<f8' '(2,)' 2 3 || fail "rows"
map 8 f8: v.npy --rows 3:3
./check '<f8' '(0,)' || fail "no rows"
map 8 f8: range:5:100 --rows 90: --as f8 --repeat 2
./check '<f8' '(10,)' 95 96 97 98 99 95 96 97 98 99 || fail "a range as doubles, twice"
expect 0 map ./f.so:number range:5:100 --rows 1:3 --out f8: -o out.npy
./check '<f8' '(2,)' 6 7 || fail "a range"
map 1 i1: v.npy --as i1
./check '|i1' '(10,)' 0 1 2 3 4 5 6 7 8 9 || fail "as int8"
map 4 f4: v.npy --as f4 --rows 8:
./check '<f4' '(2,)' 8 9 || fail "as float"
# A row that is for every item stays as it is.
library star <<'C'
int add(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(double *)result = *(const double *)items[0] + *(const double *)items[1];
    return 0;
}
C
expect 0 map ./f.so:number range:100:101 --out f8: -o one.npy
expect 0 map ./star.so:add v.npy one.npy --star --rows 8: --repeat 2 --out f8: -o out.npy
./check '<f8' '(4,)' 108 109 108 109 || fail "one row beside many"
# What is not there, or does not fit.
refused "--columns 4: m.npy has 4 columns" m.npy --columns 4
refused "--columns 1,x: " m.npy --columns 1,x
refused "--columns 3:1: " m.npy --columns 3:1
refused "v.npy has 1 axis" v.npy --columns 0
refused "range:0:9 has no columns" range:0:9 --columns 0
refused "--rows 0:11: v.npy has 10 rows" v.npy --rows 0:11
refused "--rows -11:: v.npy has 10 rows" v.npy --rows -11:
refused "--rows 5:4: " v.npy --rows 5:4
refused "BEGIN:END" v.npy --rows 5
refused "BEGIN:END" v.npy --rows a:b
refused "--repeat 0" v.npy --repeat 0
refused "too many rows" v.npy --repeat 9223372036854775807
refused "cannot become records" v.npy --as V8
refused "is no dtype" v.npy --as f3
head -c 48 /dev/zero >r.bin
refused "records of 24 bytes" raw:V24:2:r.bin --columns 0
refused "V24 cannot become f8" raw:V24:2:r.bin --as f8
refused "c8 cannot become f8" raw:c8:6:r.bin --as f8
expect 3 map ./f.so:copy range:126:130 --as i1 --arg bytes=1 --out i1: -o bad.npy
says "range:126:130: row 2: 128 does not fit i1"
expect 3 map ./f.so:copy range:-1:3 --as u8 --arg bytes=8 --out u8: -o bad.npy
says "row 0: -1 does not fit u8"
printf 'x\n1\n0.5\n' >h.csv
expect 3 map ./f.so:copy h.csv --as i4 --arg bytes=4 --out i4: -o bad.npy
says "h.csv: row 1: 0.5 does not fit i4"
printf 'x\n1\n9007199254740993\n' >id.csv
expect 3 map ./f.so:copy id.csv --as i8 --arg bytes=8 --out i8: -o bad.npy
says "id.csv: row 1: " "exact below 2^53"
printf 'x\n-9007199254740991\n' >id.csv
expect 0 map ./f.so:copy id.csv --as i8 --arg bytes=8 --out i8: -o out.npy
expect 2 run pi --rows 0:1
says "--columns, --rows, --repeat, --as and --missing"
absent bad.npy
