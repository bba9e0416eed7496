# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What the tests of the command share. A test runs in an empty directory of its own, with the environment's FORKMAP (the
# command), CC, FORKMAP_INCLUDE and XDG_CACHE_HOME ($PWD/cache, not there yet).
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CC=${CC:-cc}

fail() {
    echo "FAILED: $*" >&2
    [ ! -s stderr ] || sed 's/^/  stderr: /' stderr >&2
    [ ! -s stdout ] || head -20 stdout | sed 's/^/  stdout: /' >&2
    exit 1
}

skip() {
    echo "SKIPPED: $*" >&2
    exit 77
}

# expect CODE WORD...: runs `forkmap WORD...`, keeps its stdout and stderr in files of these names.
expect() {
    local want=$1 got=0
    shift
    "$FORKMAP" "$@" >stdout 2>stderr </dev/null || got=$?
    [ "$got" = "$want" ] || fail "forkmap $*: exit code $got, not $want"
}

# says TEXT...: each must stand on stderr.
says() {
    local text
    for text in "$@"; do
        grep -qF -- "$text" stderr || fail "stderr lacks: $text"
    done
}

shows() {
    local text
    for text in "$@"; do
        grep -qF -- "$text" stdout || fail "stdout lacks: $text"
    done
}

# library NAME: compiles NAME.so from the C text on stdin.
library() {
    "$CC" -O1 -shared -fPIC -I"$FORKMAP_INCLUDE" -o "$1.so" -x c - || fail "cannot compile $1.so"
}

# program NAME [LIBRARY...]: compiles ./NAME from the C text on stdin; it may include "npy.h".
program() {
    local name=$1
    shift
    "$CC" -O1 -I"$here" -o "$name" -x c - "$@" || fail "cannot compile $name"
}

# absent FILE...: no such file, and no file under a temporary name like it.
absent() {
    local file left
    for file in "$@"; do
        [ ! -e "$file" ] || fail "$file is there"
        left=$(find "$(dirname "$file")" -maxdepth 1 -name "*$(basename "$file")?*" | head -3)
        [ -z "$left" ] || fail "left beside $file: $left"
    done
}
