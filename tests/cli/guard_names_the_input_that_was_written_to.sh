#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 60
# --guard: a function that writes into its input is a crash of that item, and the failure says into which input; without it nobody notices.
. "$(dirname "$0")/common.bash"
library f <<'C'
int both(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(double *)result = *(const double *)items[0] + *(const double *)items[1];
    if (*(const double *)items[0] == 7777)
        *(volatile double *)items[1] = -1;
    return 0;
}
int scale(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(double *)result = 2 * *(const double *)items[0];
    return 0;
}
C
expect 0 map -e 'i' range:0:20000 -o x.npy
cp x.npy y.npy
for map in never always; do
    expect 0 map ./f.so:both x.npy y.npy --star --out f8: -o out.npy --map never
    expect 1 map ./f.so:both x.npy y.npy --star --out f8: -o out.npy --on-error continue --guard --map $map \
        --failures failures.jsonl
    says "item 7777" "wrote into input 1"
    [ "$(wc -l <failures.jsonl)" = 1 ] || fail "not one record"
    grep -q '"wrote_input": *1' failures.jsonl || fail "the record does not name the input"
    cmp -s x.npy y.npy || fail "the input's file was written to"
    expect 0 map ./f.so:scale x.npy y.npy --star --out f8: -o out.npy --guard --map $map
done
