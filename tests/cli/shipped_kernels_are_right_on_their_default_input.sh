#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 300
# `forkmap run KERNEL --verify --compare` finds every kernel's results right, and the same bits serial, under OpenMP and in
# a pool.
. "$(dirname "$0")/common.bash"
expect 0 kernels
names=$(grep -v '^ ' stdout)
[ "$(echo "$names" | wc -l)" -ge 8 ] || fail "kernels are missing: $names"
for name in $names; do
    expect 0 run "$name" --verify --compare --repeats 1 -o "$name.npy"
    says "verified: "
    shows serial "OpenMP, static" "forkmap, auto" "same bits in all three"
    [ -s "$name.npy" ] || fail "$name: no results"
    rm "$name.npy"
done
