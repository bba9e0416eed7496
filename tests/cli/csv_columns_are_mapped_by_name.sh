#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A CSV file is an input as it is: columns by name, missing values by policy, and errors with line and column.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <stdio.h>
#include <string.h>
/* a + 10 b of a row of two, and the row itself. */
int two(const void *item, void *result, void *arg)
{
    const double *x = item;
    (void)arg;
    *(double *)result = x[0] + 10 * x[1];
    return 0;
}
int one(const void *item, void *result, void *arg)
{
    (void)arg;
    memcpy(result, item, sizeof(double));
    return 0;
}
int star(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(double *)result = *(const double *)items[0] + 10 * *(const double *)items[1];
    return 0;
}
C
program check <<'C'
#include "npy.h"
#include <math.h>
int main(int argc, char **argv)
{
    char shape[32];
    snprintf(shape, sizeof shape, "(%d,)", argc - 1);
    const double *y = npy_load("out.npy", "<f8", shape, (size_t)argc - 1, 8);
    for (int i = 0; i + 1 < argc; i++) {
        const double want = atof(argv[i + 1]);
        if (y[i] != want && !(isnan(y[i]) && isnan(want))) {
            fprintf(stderr, "row %d: %g, not %s\n", i, y[i], argv[i + 1]);
            return 1;
        }
    }
    return 0;
}
C
printf 'name,spot,strike\r\n"Smith, ""J""",1,2\r\nB,3,-4e0\r\nC,0.5,inf\r\n' >x.csv
printf 'spot\n2\n' >half.csv
expect 0 map ./f.so:two x.csv --out f8: -o out.npy
says "x.csv: left out, not numbers in the first row: name"
./check 21 -37 inf || fail "columns in the file's order"
expect 0 map ./f.so:two x.csv --columns strike,spot --out f8: -o out.npy -q
[ ! -s stderr ] || fail "columns that were named need no note"
./check 12 26 inf || fail "columns in the given order"
expect 0 map ./f.so:one x.csv --columns spot --out f8: -o out.npy
./check 1 3 0.5 || fail "one column"
expect 0 map ./f.so:star x.csv half.csv --columns spot --star --out f8: -o out.npy
./check 21 23 20.5 || fail "two files, the second of one row"
expect 2 map ./f.so:one x.csv --columns spott --out f8: -o out.npy
says "x.csv: no column 'spott'; did you mean spot?" "name, spot, strike"
# Other separators, other names of the file, no header, the standard input.
tr , ';' <<'CSV' >semi.txt
a,b
1,2
CSV
expect 0 map ./f.so:two csv:semi.txt --out f8: -o out.npy
./check 21 || fail "semicolons"
expect 0 map ./f.so:two csv:semicolon:semi.txt --out f8: -o out.npy
./check 21 || fail "semicolons that were told"
expect 3 map ./f.so:two csv:comma:semi.txt --out f8: -o bad.npy
printf '1\t2\n3\t4\n' >plain.tsv
expect 3 map ./f.so:two plain.tsv --out f8: -o bad.npy
says "plain.tsv: line 1: numbers where the names of the columns belong" "csv:noheader:"
expect 0 map ./f.so:two csv:noheader:plain.tsv --out f8: -o out.npy
./check 21 43 || fail "no header"
expect 0 map ./f.so:one csv:noheader:plain.tsv --columns 1 --out f8: -o out.npy
./check 2 4 || fail "a column by number"
"$FORKMAP" map ./f.so:one - --columns spot --out f8: -o out.npy -q <x.csv || fail "standard input"
./check 1 3 0.5 || fail "standard input"
cat x.csv | "$FORKMAP" map ./f.so:one - --columns spot --out f8: -o out.npy -q || fail "a pipe"
./check 1 3 0.5 || fail "a pipe"
# Missing values.
printf 'a,b\n1,2\n3,\n,6\n' >gaps.csv
expect 3 map ./f.so:two gaps.csv --out f8: -o bad.npy
says "forkmap: gaps.csv: line 3, column 2 (b): the value is missing" "--missing"
expect 0 map ./f.so:two gaps.csv --missing skip --out f8: -o out.npy
./check 21 || fail "skip"
printf 'a\n1\n""\n3\n' >a.csv
printf 'b\n""\n2\n3\n' >b.csv
expect 2 map -e 'x0 - x1' a.csv b.csv --missing skip -o bad.npy
says "several INPUT may lose different rows" "--missing nan"
expect 0 map ./f.so:two gaps.csv --missing nan --out f8: -o out.npy
./check 21 nan nan || fail "nan"
expect 0 map ./f.so:two gaps.csv --missing=-1 --out f8: -o out.npy
./check 21 -7 59 || fail "a value"
expect 2 map ./f.so:two gaps.csv --missing zero --out f8: -o bad.npy
says "error, skip, nan or another number"
expect 2 map ./f.so:one range:0:3 --missing nan --out f8: -o bad.npy
says "--missing is for CSV"
# A locale with decimal commas changes nothing.
printf 'a,b\n1.5,2\n' >half.csv
LC_ALL=de_DE.UTF-8 expect 0 map ./f.so:two half.csv --out f8: -o out.npy
./check 21.5 || fail "locale"
# What a kernel takes is known: poses are rows of six f4.
poses=$here/../../kernels/data/docking/poses.in
[ -r "$poses" ] || skip "kernels/data/docking/poses.in is missing"
expect 0 map docking "raw:f4:65536x6:F:$poses" --rows :64 -o raw.npy
library take <<'C'
#include <string.h>
int take(const void *item, void *result, void *arg)
{
    (void)arg;
    memcpy(result, item, 24);
    return 0;
}
C
expect 0 map ./take.so:take "raw:f4:65536x6:F:$poses" --rows :64 --out f4:6 -o poses.npy
program text <<'C'
#include "npy.h"
int main(void)
{
    const float *x = npy_load("poses.npy", "<f4", "(64, 6)", 384, 4);
    puts("a,b,c,d,e,f");
    for (int i = 0; i < 384; i++)
        printf("%.9g%c", (double)x[i], i % 6 == 5 ? '\n' : ',');
    return 0;
}
C
./text >poses.csv
expect 0 map docking poses.csv -o out.npy
cmp -s out.npy raw.npy || fail "the kernel computes other energies from CSV"
absent bad.npy
