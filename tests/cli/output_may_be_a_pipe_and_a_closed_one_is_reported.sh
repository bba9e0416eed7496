#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# -o /dev/stdout writes the same bytes as a file; a reader that has gone is exit code 3, not a hang or a kill.
. "$(dirname "$0")/common.bash"
expect 0 run pi --arg n=64 --arg steps=100 -o out.npy
"$FORKMAP" run pi --arg n=64 --arg steps=100 -o /dev/stdout 2>stderr | cat >piped.npy
cmp out.npy piped.npy || fail "other bytes through a pipe"
code=0
"$FORKMAP" run pi --arg n=64 --json >/dev/full 2>stderr || code=$?
[ $code = 3 ] || fail "exit code $code on a full stdout"
says "standard output: No space left on device"
