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

# says TEXT...: each must stand on stderr. No grep, here and below: thousands of them would take longer than what is tested.
says() {
    local text said
    IFS= read -r -d '' said <stderr || true # there is no NUL in it
    for text in "$@"; do
        [[ $said == *"$text"* ]] || fail "stderr lacks: $text"
    done
}

shows() {
    local text said
    IFS= read -r -d '' said <stdout || true
    for text in "$@"; do
        [[ $said == *"$text"* ]] || fail "stdout lacks: $text"
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
    local file folder left
    for file in "$@"; do
        [ ! -e "$file" ] || fail "$file is there"
        folder=.
        [[ $file != */* ]] || folder=${file%/*}
        shopt -s nullglob dotglob
        left=("$folder"/*"${file##*/}"?*)
        shopt -u nullglob dotglob
        [ "${#left[@]}" -eq 0 ] || fail "left beside $file: ${left[*]:0:3}"
    done
}
