#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# What somebody else could have written is not run: a cache that others can write, a link, a file. The remedy is said.
. "$(dirname "$0")/common.bash"
mkdir -p cache/forkmap
for mode in 770 707 777; do
    chmod $mode cache/forkmap
    expect 3 map -e x0 range:0:10 -o x.npy
    says "$PWD/cache/forkmap" "can be written by others" "chmod 700" "XDG_CACHE_HOME"
done
rmdir cache/forkmap
mkdir -m 700 elsewhere
ln -s ../elsewhere cache/forkmap
expect 3 map -e x0 range:0:10 -o x.npy
says "is a link or a file" "XDG_CACHE_HOME"
rm cache/forkmap && : >cache/forkmap
expect 3 map -e x0 range:0:10 -o x.npy
says "is a link or a file"
[ -z "$(ls elsewhere)" ] || fail "it was written to"
absent x.npy
rm cache/forkmap && mkdir -m 755 cache/forkmap
expect 0 map -e x0 range:0:10 -o x.npy
