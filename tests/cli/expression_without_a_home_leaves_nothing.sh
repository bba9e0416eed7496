#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Where no cache can be made the compiled expression lives under TMPDIR as long as the command; HOME/.cache is the default.
. "$(dirname "$0")/common.bash"
unset XDG_CACHE_HOME
export TMPDIR=$PWD/tmp
mkdir tmp home
HOME=/proc/no/home expect 0 map -e 'x0 + 1' range:0:10 -o r.npy
HOME=/proc/no/home expect 1 map -e '100 / (int64_t)x0' range:0:10 -o x.npy
HOME=/proc/no/home expect 2 map -e 'x0 x0' range:0:10 -o x.npy
[ -z "$(ls -A tmp)" ] || fail "left under TMPDIR: $(ls -A tmp)"
# Not either when it is stopped while the compiler works, which is stopped, too.
printf '#!/bin/sh\necho $$ >compiler\nexec sleep 30\n' >slow
chmod +x slow
HOME=/proc/no/home CC=./slow "$FORKMAP" map -e 'x0 + 2' range:0:10 -o x.npy 2>stderr &
until [ -s compiler ]; do sleep 0.05; done
kill -TERM $!
got=0
wait $! || got=$?
[ "$got" = 143 ] || fail "stopped while compiling: exit code $got, not 143"
says "stopped by SIGTERM: nothing was written"
! kill -0 "$(cat compiler)" 2>/dev/null || fail "the compiler is left"
[ -z "$(ls -A tmp)" ] || fail "left under TMPDIR: $(ls -A tmp)"
XDG_CACHE_HOME=relative HOME=$PWD/home expect 0 map -e 'x0 + 1' range:0:10 -o s.npy
[ "$(stat -c %a home/.cache home/.cache/forkmap | tr '\n' ' ')" = "700 700 " ] || fail "no cache in HOME, or its mode is wrong"
[ ! -e relative ] || fail "a relative XDG_CACHE_HOME was used"
cmp r.npy s.npy || fail "other results without a cache"
HOME=/proc/no/home TMPDIR=/proc/no/tmp expect 3 map -e 'x0 + 1' range:0:10 -o x.npy
says "no place for the compiled expression" "TMPDIR"
absent x.npy
