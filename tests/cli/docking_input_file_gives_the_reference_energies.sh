#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 120
# Poses from raw binary are the same items as the kernel's own.
. "$(dirname "$0")/common.bash"
poses=$here/../../kernels/data/docking/poses.in
[ -r "$poses" ] || skip "kernels/data/docking/poses.in is missing"
expect 0 run docking --arg n=2048 --verify -o own.npy
says "verified: 2048 energies"
library take <<'C'
#include <forkmap/forkmap.h>
#include <string.h>
int take(const void *item, void *result, void *arg)
{
    (void)arg;
    memcpy(result, item, 6 * sizeof(float));
    return 0;
}
C
expect 0 map ./take.so:take "raw:f4:65536x6:F:$poses" --out f4:6 -o poses.npy
expect 0 map docking poses.npy -o energies.npy
program check <<'C'
#include "npy.h"
int main(void)
{
    const float *own = npy_load("own.npy", "<f4", "(2048,)", 2048, 4);
    const float *all = npy_load("energies.npy", "<f4", "(65536,)", 65536, 4);
    return memcmp(own, all, 2048 * sizeof *own) != 0;
}
C
./check || fail "other energies"
