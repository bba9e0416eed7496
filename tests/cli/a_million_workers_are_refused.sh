#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Numbers out of range are wrong words that name the range.
. "$(dirname "$0")/common.bash"
expect 2 run pi --workers 1000000 -o out.npy
says "1000000" "from 1 to 1023"
for workers in 0 -1 1024 99999999999999999999 2x x ''; do
    expect 2 run pi --workers "$workers" -o out.npy
done
expect 2 topo --workers 1000000
for words in "--timeout 0" "--timeout -1" "--timeout nan" "--timeout inf" "--timeout x" "--retries -1" \
    "--retries 1001" "--chunk 0" "--chunk -5" "--timeout-factor 0" "--repeats 0" \
    "--max-failures 0 --on-error continue" "--max-failures 3"; do
    # shellcheck disable=SC2086  # the words are to be split
    expect 2 run pi $words -o out.npy
done
absent out.npy
