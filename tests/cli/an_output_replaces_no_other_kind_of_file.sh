#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# -o replaces a .npy file, also the input, and what is called .npy; the library, a source or a table are not lost to a slip.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 2.0 * *(const double *)item;
    return 0;
}
C
expect 0 map -e i range:0:10 -o in.npy
cp f.so f.copy
echo 'x,y' >table.txt
for file in f.so table.txt; do
    expect 2 map ./f.so:f in.npy --out f8: -o $file
    says "-o $file: it is there, and is no .npy file" "remove it first"
done
cmp f.so f.copy || fail "the library is lost"
[ "$(cat table.txt)" = x,y ] || fail "the table is lost"
cp in.npy results # a .npy file by its content
expect 0 map ./f.so:f in.npy --out f8: -o results
echo old >out.npy # by its name
expect 0 map ./f.so:f in.npy --out f8: -o out.npy
cmp results out.npy || fail "other results"
expect 0 map ./f.so:f in.npy --out f8: -o in.npy
cmp results in.npy || fail "the input was not read before it was replaced"
expect 2 map ./f.so:f in.npy --out f8: -o a.npy -o b.npy
says "given twice"
expect 2 map ./f.so:f in.npy --out f8: --out f4: -o a.npy
says "given twice"
expect 2 run pi --repeats 3
says "--repeats is for --compare" "--repeat"
expect 2 map matmul in.npy -o c.npy
absent a.npy b.npy c.npy
