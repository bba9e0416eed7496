#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Each fault point of the engine is in a test: points.sh. A test that arms a point names it whole, so a point that is nowhere in
# tests/ is one that nobody is killed at. The sweep (test_fault_sweep.c) finds its points by itself; those that only it has stand in its list.
set -euo pipefail
cd "$ROOT"

named=$(grep -hoE '"[a-z_]+\.[a-z_0-9]+"' tests/*.[ch] | sort -u)
points=$(grep -hoE 'FMI_FAULT(_ERRNO)?\("[^"]*"\)' engine/*/*.c | grep -oE '"[^"]*"' | sort -u)
missing=$(comm -23 <(echo "$points") <(echo "$named"))
odd=$(grep -nE 'FMI_FAULT(_ERRNO)?\([^"]' engine/*/*.c || true)
[ "$(echo "$points" | wc -l)" -ge 250 ] || { echo "only these points found: $points" >&2; exit 1; }
[ -z "$odd" ] || { echo "points without a name of their own:" "$odd" >&2; exit 1; }
[ -z "$missing" ] || { echo "points that no test names:" "$missing" >&2; exit 1; }
echo "$(echo "$points" | wc -l) points"
