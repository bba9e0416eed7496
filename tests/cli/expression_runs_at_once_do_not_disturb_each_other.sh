#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# Commands that compile the same expression at the same time, and others, all get it right.
. "$(dirname "$0")/common.bash"
expect 0 map -e 'x0 * 3 + 1' range:0:1000 -o want.npy
rm -r cache
pids=()
for i in 1 2 3 4 5 6; do
    "$FORKMAP" map -e 'x0 * 3 + 1' range:0:1000 -o same$i.npy -w 1 2>stderr$i </dev/null &
    pids+=($!)
    "$FORKMAP" map -e "x0 * 3 + 1 + $i - $i" range:0:1000 -o other$i.npy -w 1 2>stderr$i.o </dev/null &
    pids+=($!)
done
for pid in "${pids[@]}"; do
    wait "$pid" || fail "a command failed: $(cat stderr?*)"
done
for file in same?.npy other?.npy; do
    cmp want.npy "$file" || fail "$file differs"
done
[ "$(ls cache/forkmap | wc -l)" = 7 ] || fail "in the cache: $(ls cache/forkmap)"
