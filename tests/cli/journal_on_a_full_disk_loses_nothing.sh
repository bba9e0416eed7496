#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 60
# A disk without room for the journal is noticed before any item runs. One without room for the state of an item that failed ends the map
# with a clear error, and no bus error; with room, the same command goes on.
. "$(dirname "$0")/common.bash"
mkdir disk
unshare -m mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null ||
    skip "mounting a small disk needs root and unshare(1)"
library f <<'C'
#include <fcntl.h>
#include <stdint.h>
#include <unistd.h>
int f(const void *item, void *result, void *arg)
{
    (void)arg;
    *(double *)result = 1;
    close(open("ran", O_CREAT | O_WRONLY, 0600));
    return *(const int64_t *)item == 700 ? 5 : 0;
}
C
cat >inside.sh <<'S'
page=$(getconf PAGESIZE)
map() {
    "$FORKMAP" map ./f.so:f range:0:1000 --out f8: -o out.npy --journal disk/journal --on-error continue
}
mount -t tmpfs -o size=$((4 * page)) tmpfs disk || exit 77
map && exit 91
[ "$(ls -A disk)" = "" ] && [ ! -e ran ] && [ ! -e out.npy.part ] || exit 92
grep -q 'bytes needed' stderr || exit 93
mount -o remount,size=36864 disk || exit 77
map
[ $? = 3 ] || exit 94
grep -q 'no room for the journal' stderr || exit 95
grep -q 'SIGBUS' stderr && exit 96
mount -o remount,size=1m disk || exit 77
map
[ $? = 1 ] || exit 97
grep -q 'items were done before' stderr || exit 98
grep -q '1 of 1000 items failed' stderr || exit 99
S
code=0
unshare -m bash inside.sh >stdout 2>stderr || code=$?
[ $code != 77 ] || skip "mounting a small disk needs root"
[ $code = 0 ] || fail "step $code"
