#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# An output that cannot be written is noticed before the first item runs.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <fcntl.h>
#include <unistd.h>
int f(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(double *)result = 1;
    close(open("ran", O_CREAT | O_WRONLY, 0600));
    return 0;
}
C
mkdir folder
touch file
for out in nowhere/out.npy folder file/out.npy /proc/nothing/out.npy; do
    expect 3 map ./f.so:f range:0:10 --out f8: -o $out
    says "forkmap: $out: " "nothing was computed"
done
expect 3 map ./f.so:f range:0:10 --out f8: -o out.npy --failures nowhere/failures
says "nowhere/failures"
absent out.npy ran
[ -z "$(ls -A folder)" ] || fail "something is left in folder"
expect 0 map ./f.so:f range:0:10 --out f8: -o out.npy
[ -e ran ] || fail "the function leaves no trace: this test shows nothing"
