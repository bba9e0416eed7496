#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# -e over CSV, the standard input, mapped files and parts of inputs; i counts the rows that were picked.
. "$(dirname "$0")/common.bash"
program check <<'C'
#include "npy.h"
/* check FILE NUMBER...: these and no others. */
int main(int argc, char **argv)
{
    char shape[32];
    snprintf(shape, sizeof shape, "(%d,)", argc - 2);
    const double *r = npy_load(argv[1], "<f8", shape, (size_t)argc - 2, 8);
    for (int i = 2; i < argc; i++)
        if (r[i - 2] != atof(argv[i]))
            return 1;
    return 0;
}
C
printf 'a,b,c\n1,2,3\n4,5,6\n7,8,9.5\n' >t.csv
expect 0 map -e 'x[0] + 10*x[2]' t.csv -o r.npy
./check r.npy 31 64 102 || fail "CSV"
expect 0 map -e 'x[2] + 100*i' t.csv --rows 1: -o r.npy
./check r.npy 6 109.5 || fail "rows of CSV"
expect 0 map -e 'x' t.csv --columns b -o r.npy
./check r.npy 2 5 8 || fail "a column"
expect 0 map -e 'x[0] - x[1]' t.csv --columns c,a -o r.npy
./check r.npy 2 2 2.5 || fail "two columns"
expect 0 map -e 'x + 100*i' range:5:20 --rows 2:5 -o r.npy
./check r.npy 7 108 209 || fail "rows of a range"
expect 0 map -e 'x + 100*i' range:5:7 --repeat 2 -o r.npy
./check r.npy 5 106 205 306 || fail "a range that repeats"
expect 0 map -e '10*x0 + x1[1]' range:0:3 t.csv -o r.npy
./check r.npy 2 15 28 || fail "a range and CSV"
expect 0 map -e '2*x' r.npy -o s.npy --map always
./check s.npy 4 30 56 || fail "mapped files"
"$FORKMAP" map -e 'x[1]' - -o s.npy -q <t.csv || fail "the standard input is refused"
./check s.npy 2 5 8 || fail "the standard input"
