#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 60
# A function that overwrites the memory below its item destroys the arrays' descriptors: the command says so, and neither
# crashes nor writes an output.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <string.h>
int number(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = (double)*(const long *)item;
    return 0;
}
/* The descriptors lie below the data. */
int below(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 1;
    memset((char *)item - 70000, 0xff, 70000);
    return 0;
}
C
expect 0 map ./f.so:number range:0:1000 --out f8: -o in.npy
echo old >failures.jsonl
for workers in 1 2; do
    expect 3 map ./f.so:below in.npy --out f8: -o out.npy --on-error continue --workers $workers \
        --failures failures.jsonl
    says "shared data does not have the right layout" "wrote outside its result row; check --out"
    absent out.npy
    [ "$(cat failures.jsonl)" = old ] || fail "records of a map that cannot be trusted"
done
