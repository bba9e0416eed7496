#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A disk without room for the output is noticed before the first item runs, and is left as it was.
. "$(dirname "$0")/common.bash"
mkdir disk
unshare -m mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null ||
    skip "mounting a small disk needs root and unshare(1)"
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
cat >inside.sh <<'S'
mount -t tmpfs -o size=1m tmpfs disk || exit 77
echo old >disk/out.npy
"$FORKMAP" map ./f.so:f range:0:200000 --out f8: -o disk/out.npy
code=$?
[ "$(ls -A disk)" = out.npy ] && [ "$(cat disk/out.npy)" = old ] || exit 99
exit $code
S
code=0
unshare -m bash inside.sh >stdout 2>stderr || code=$?
[ $code != 99 ] || fail "the disk is not as it was"
[ $code = 3 ] || fail "exit code $code, not 3"
says "disk/out.npy: No space left on device" "make room"
absent ran
