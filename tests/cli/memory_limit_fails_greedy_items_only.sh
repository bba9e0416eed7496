#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# --memory-limit: an item that allocates more is a record that says "out of memory"; the others are done.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <stdlib.h>
int f(const void *item, void *result, void *arg)
{
    const long i = *(const long *)item;
    volatile char *p = malloc(i == 5 ? 100000000 : 1000);
    (void)arg;
    if (p == NULL)
        abort();
    p[0] = 1;
    *(double *)result = (double)i;
    return 0;
}
C
expect 0 map ./f.so:f range:0:10 --out f8: -o out.npy --memory-limit 500M --workers 2
expect 1 map ./f.so:f range:0:10 --out f8: -o out.npy --memory-limit 20M --workers 2 --on-error continue --failures records
says "item 5: out of memory: no more at the memory limit, then SIGABRT" "attempt 2)"
grep -c event records | grep -qx 1 || fail "not one record"
grep -q '"state": *"out of memory"' records || fail "the record says something else"
for size in 0 1 1023K -1M 5X 12MM 99999999999T ''; do
    expect 2 map ./f.so:f range:0:10 --out f8: -o out.npy --memory-limit "$size"
    says "--memory-limit" "as 500M or 2G"
done
