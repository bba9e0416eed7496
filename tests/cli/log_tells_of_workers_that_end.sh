#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# FORKMAP_LOG=info tells of pools, and of workers that end and are replaced; debug of each start; the default of neither.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <stdlib.h>
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 1;
    if (*(const long *)item == 3)
        abort();
    return 0;
}
C
crash() {
    expect 1 map ./f.so:f range:0:10 --out f8: -o out.npy --on-error continue --workers 1
}
FORKMAP_LOG=info crash
says "[INFO/main] pool 1 is open: 1 workers" "[INFO/warden] worker 0, process" "ended: signal 6" "(start 2)"
! grep -q "(start 1)" stderr || fail "the first start is no news"
FORKMAP_LOG=debug crash
says "[DEBUG/warden] worker 0 is process" "(start 1)"
crash
! grep -q "\[INFO\|\[DEBUG" stderr || fail "it says more than warnings by default"
FORKMAP_LOG=loud crash
says "FORKMAP_LOG=loud is none of off, error, warning, info, debug"
