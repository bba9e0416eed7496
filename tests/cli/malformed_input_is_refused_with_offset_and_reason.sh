#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Truncated, foreign, lying and Python-object .npy files are refused before anything is computed.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = (double)*(const long *)item;
    return 0;
}
C
# npy HEADER: version 1.0 with that header, padded, on stdout.
npy() {
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$1"
}
expect 0 map ./f.so:f range:0:1000 --out f8: -o good.npy
head -c 4000 good.npy >truncated.npy
head -c 7 good.npy >magic_only.npy
: >empty.npy
echo "this is text, not an array" >text.npy
{ npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4,), }"; head -c 32 /dev/zero; } >small.npy
{ npy "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }"; head -c 32 /dev/zero; } >objects.npy
{ npy "{'descr': '<f8', 'fortran_order': False, 'shape': (-4,), }"; head -c 32 /dev/zero; } >negative.npy
{ npy "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }"; } >huge.npy
{ npy "{'descr': '<f8', 'fortran_order': Fal"; head -c 32 /dev/zero; } >cut_header.npy
expect 0 map ./f.so:f small.npy --out f8: -o out.npy # the header that the others are made from is good
rm out.npy
for file in truncated magic_only empty text objects negative huge cut_header; do
    expect 3 map ./f.so:f $file.npy --out f8: -o out.npy
    says "forkmap: $file.npy: "
    absent out.npy
done
expect 3 map ./f.so:f objects.npy --out f8: -o out.npy
grep -qi object stderr || fail "the record does not name Python objects"
