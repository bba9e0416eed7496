#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# What functions print goes to stderr where stdout has data: results, records, JSON lines.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <stdio.h>
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = (double)*(const long *)item;
    printf("a word\n");
    return 0;
}
C
expect 0 map ./f.so:f range:0:100 --out f8: -o want.npy
shows "a word"
expect 0 map ./f.so:f range:0:100 --out f8: -o /dev/stdout
cmp stdout want.npy || fail "text among the results"
says "a word"
expect 0 map ./f.so:f range:0:100 --out f8: -o out.npy --json
! grep -q "a word" stdout || fail "text among the JSON lines"
says "a word"
