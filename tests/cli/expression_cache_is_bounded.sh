#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# The cache keeps 256 files: those that were used last.
. "$(dirname "$0")/common.bash"
expect 0 map -e x0 range:0:10 -o r.npy
first=$(echo cache/forkmap/*.so)
touch -d '2001-01-01' "$first"
expect 0 map -e x0 range:0:10 -o r.npy # used again: now it is young
for i in {1..300}; do
    : >"cache/forkmap/fm_expression_$i.so"
done
touch -d '2002-02-02' cache/forkmap/fm_expression_{1..300}.so
touch -d '2001-01-01' cache/forkmap/fm_expression_7.so
expect 0 map -e 'x0 + 1' range:0:10 -o r.npy
[ "$(ls cache/forkmap | wc -l)" = 256 ] || fail "$(ls cache/forkmap | wc -l) files are in the cache"
[ -e "$first" ] || fail "the entry used last is gone"
[ ! -e cache/forkmap/fm_expression_7.so ] || fail "the oldest entry is there"
