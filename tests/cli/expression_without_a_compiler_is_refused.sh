#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# Without a C compiler -e says which package has one; CC names another, also one of several words.
. "$(dirname "$0")/common.bash"
real=$(command -v "$CC")
mkdir empty
got=0
env -u CC PATH="$PWD/empty" "$FORKMAP" map -e x0 range:0:10 -o x.npy >stdout 2>stderr </dev/null || got=$?
[ "$got" = 3 ] || fail "exit code $got without a compiler"
says "there is no C compiler" "apt install gcc"
CC=no-such-compiler expect 3 map -e x0 range:0:10 -o x.npy
says "CC=no-such-compiler" "there is no program no-such-compiler"
CC=$(command -v false) expect 3 map -e x0 range:0:10 -o x.npy
says "the compiler failed"
printf '#!/no/such/shell\n' >broken && chmod +x broken
CC=./broken expect 3 map -e x0 range:0:10 -o x.npy
says "./broken cannot be run"
printf '#!/bin/sh\necho the licence has run out >&2\nexit 1\n' >strict && chmod +x strict
CC=./strict expect 3 map -e x0 range:0:10 -o x.npy
says "the compiler failed, it says" "the licence has run out"
absent x.npy
[ -z "$(ls cache/forkmap)" ] || fail "the cache has entries of compilers that failed"
# A name in CC is never taken apart by a shell.
CC="$real"' -DA=1;touch${IFS}pwned -DB=`touch${IFS}pwned`' expect 0 map -e x0 range:0:10 -o r.npy
[ ! -e pwned ] || fail "a shell has read CC"
CC="  $real   -DWORD=1 " expect 0 map -e x0 range:0:10 -o r.npy
CC="" expect 0 map -e x0 range:0:10 -o r.npy
