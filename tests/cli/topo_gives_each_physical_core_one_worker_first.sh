#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# On a machine of 2 packages with 4 cores of 2 units each, the first 8 workers get a core each.
. "$(dirname "$0")/common.bash"
expect 0 topo --synthetic "pack:2 core:4 pu:2"
shows "8 physical cores, 16 units"
# rank, cpu, core, package, numa, smt
awk '$1 ~ /^[0-9]+$/ && NF == 6 {
         n++
         if ($1 < 8 && (seen[$3]++ || $6 != 0)) exit 1
         if ($1 >= 8 && $6 != 1) exit 1
         if (cpu[$2]++) exit 1
     }
     END { if (n != 16) exit 1 }' stdout || fail "not one worker per physical core first"
expect 0 topo --synthetic "pack:2 core:4 pu:2" --pin compact --workers 2
awk '$1 ~ /^[0-9]+$/ && NF == 6 { core[$1] = $3 } END { exit core[0] != core[1] }' stdout ||
    fail "compact: workers 0 and 1 are not siblings"
expect 0 topo --synthetic "pack:2 core:4 pu:2" --pin spread --workers 2
awk '$1 ~ /^[0-9]+$/ && NF == 6 { package[$1] = $4 } END { exit package[0] == package[1] }' stdout ||
    fail "spread: workers 0 and 1 share a package"
expect 0 topo --pin none --workers 2
shows "not pinned"
expect 2 topo --synthetic "no such machine"
expect 0 topo
shows "affinity mask" "decides"
export FORKMAP_WORKERS=3
expect 0 topo
shows "workers by default: 3"
FORKMAP_WORKERS=many
expect 3 topo
says FORKMAP_WORKERS
