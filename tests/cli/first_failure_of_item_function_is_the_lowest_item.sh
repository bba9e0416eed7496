#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 120
# With the default policy the lowest failed item is reported, whatever the timing, and the output is not written.
# With an item function.
. "$(dirname "$0")/common.bash"
library bad <"$here/five_bad_items.c"
echo old >out.npy
for workers in 1 2 3; do
    expect 1 map ./bad.so:item range:0:1000000  --out f8: -o out.npy --timeout 0.2 --workers $workers
    says "item 777: crashed by SIGSEGV at address 0x0" "stopped at the first failure" "not written: out.npy"
    [ "$(grep -c '^item ' stderr)" = 1 ] || fail "more than the lowest item"
    [ "$(cat out.npy)" = old ] || fail "the old output was touched"
done
rm out.npy
absent out.npy
