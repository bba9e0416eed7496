#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# --max-failures ends a map that only fails: the output is not written, and at most 20 records are printed.
. "$(dirname "$0")/common.bash"
library f <<'C'
int f(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(double *)result = 1;
    return 5;
}
C
expect 1 map ./f.so:f range:0:100000 --out f8: -o out.npy --on-error continue --max-failures 50 --workers 2
says "gave up after" "not written: out.npy"
absent out.npy
expect 1 map ./f.so:f range:0:1000 --out f8: -o out.npy --on-error continue --failures all.jsonl
says "1000 of 1000 items failed" "... and 980 more; all are in all.jsonl"
[ "$(grep -c '^item ' stderr)" = 20 ] || fail "not 20 records"
[ "$(wc -l <all.jsonl)" = 1000 ] || fail "not all records in the file"
