#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Every command explains itself with examples, and the manual page knows every option.
. "$(dirname "$0")/common.bash"
expect 0 --help
shows "Examples:" map run kernels new manager call shm topo
for command in map run kernels new manager call shm topo; do
    expect 0 $command --help
    shows "Usage: forkmap $command" "Examples:" "  forkmap $command"
    cp stdout $command.txt
    expect 0 help $command
    cmp -s stdout $command.txt || fail "help $command differs from $command --help"
    expect 0 $command --version
done
expect 0 --version
shows "forkmap 0."
page=$here/../../docs/forkmap.1
for option in $(grep -ohE -- '--[a-z]+(-[a-z]+)*' ./*.txt | sort -u); do
    grep -qE -- "$(printf '%s' "${option#--}" | sed 's/-/(\\\\-|-)/g')" "$page" || fail "$option is not in forkmap.1"
done
command -v man >/dev/null || exit 0
[ -z "$(man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)" ] || fail "forkmap.1 has warnings"
