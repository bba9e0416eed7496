#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# What gzip and zstd have packed is an input as it is: by its first bytes, in members and frames, from files and pipes.
. "$(dirname "$0")/common.bash"
command -v gzip >/dev/null || skip "gzip is missing"
command -v zstd >/dev/null || skip "zstd is missing"
library f <<'C'
#include <string.h>
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    memcpy(result, item, 8);
    return 0;
}
int number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 0.25 * (double)*(const long *)item;
    return 0;
}
C
expect 0 map ./f.so:number range:0:300000 --out f8: -o in.npy
tail -c 2400000 in.npy >in.bin # its elements
{ echo x; seq 0 0.25 74999.75; } >in.csv

# same WORD...: the map over that input gives in.npy again.
same() {
    expect 0 map ./f.so:f "$@" --out f8: -o out.npy
    cmp -s out.npy in.npy || fail "$*: other numbers"
    rm out.npy
}
gzip -k in.npy in.csv in.bin
zstd -q in.npy
zstd -q in.csv
zstd -q in.bin
for ending in gz zst; do
    same in.npy.$ending
    same in.csv.$ending
    same "raw:f8:?:in.bin.$ending"
done
# Any name.
cp in.npy.gz renamed.dat
cp in.npy.zst renamed.npy
same renamed.dat
same renamed.npy
cp in.csv.gz data.txt
same csv:data.txt
# Members and frames one after the other, empty ones among them, and zeros behind the last.
{ head -c 1000000 in.npy | gzip; gzip </dev/null; tail -c +1000001 in.npy | gzip -1; head -c 70000 /dev/zero; } >parts.npy.gz
same parts.npy.gz
{ head -c 1000000 in.npy | zstd -q; zstd -q </dev/null; printf '\x50\x2a\x4d\x18\x04\0\0\0skip'; tail -c +1000001 in.npy | zstd -q -19; } >parts.npy.zst
same parts.npy.zst
# Packed twice, and through pipes.
gzip -k in.npy.zst
same in.npy.zst.gz
"$FORKMAP" map ./f.so:f - --out f8: -o out.npy -q <in.npy.gz || fail "standard input"
cmp -s out.npy in.npy || fail "standard input: other numbers"
"$FORKMAP" map ./f.so:f <(cat in.npy.zst) --out f8: -o out.npy -q || fail "a pipe"
cmp -s out.npy in.npy || fail "a pipe: other numbers"
# Raw binary that happens to begin like gzip is raw binary.
{ printf '\x1f\x8b\x08\0\0\0\0\0'; head -c 8 /dev/zero; } >raw.bin
expect 0 map ./f.so:f raw:f8:2:raw.bin --out f8: -o out.npy
# Damage is told with the path and the offset in the packed file.
head -c 100000 in.npy.gz >cut.npy.gz
expect 3 map ./f.so:f cut.npy.gz --out f8: -o bad.npy
says "forkmap: cut.npy.gz: offset 100000: gzip data: it ends in the middle"
head -c 1000 in.npy.zst >cut.npy.zst
expect 3 map ./f.so:f cut.npy.zst --out f8: -o bad.npy
says "forkmap: cut.npy.zst: offset 1000: zstd data: it ends in the middle"
{ cat in.npy.gz; echo garbage; } >more.npy.gz
expect 3 map ./f.so:f more.npy.gz --out f8: -o bad.npy
says "forkmap: more.npy.gz: offset " "incorrect header check"
# Errors of what is inside name the file, not the memory that it was unpacked to.
head -c 1000 in.npy | gzip >inner.npy.gz
expect 3 map ./f.so:f inner.npy.gz --out f8: -o bad.npy
says "forkmap: inner.npy.gz: " "offset 128: the header promises 2400000 bytes"
! grep -q /proc/ stderr || fail "the error names another path"
expect 3 map ./f.so:f raw:f8:7:in.bin.zst --out f8: -o bad.npy
says "in.bin.zst has 2400000 bytes"
cp in.csv wrong.csv.gz
expect 3 map ./f.so:f wrong.csv.gz --out f8: -o bad.npy
says "no gzip data, in spite of its name"
# A small file that becomes a huge one ends with an error, here at a limit of 8 MiB.
head -c 64M /dev/zero | gzip >bomb.gz
(ulimit -f 8192 && "$FORKMAP" map ./f.so:f csv:bomb.gz --out f8: -o bad.npy 2>stderr)
[ $? = 3 ] || fail "the bomb went off"
says "forkmap: bomb.gz: " "ulimit -f"
absent bad.npy
