#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The C program of README.md and the Fortran program of docs/embedding.md, copied from there, build with pkg-config and
# run against the installed prefix.
set -euo pipefail
lib=$(dirname "$(find "$PREFIX" -name libforkmap.so)")
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
read -ra flags <<<"${FLAGS:-}"

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# program FILE FENCE PATTERN: the first fenced block of that language in which PATTERN stands.
program() {
    awk -v fence="\`\`\`$2" -v pattern="$3" '
        $0 == fence { inside = 1; text = ""; next }
        /^```/ { if (inside && text ~ pattern) { printf "%s", text; exit } inside = 0; next }
        inside { text = text $0 "\n" }' "$1"
}

# build COMPILER PACKAGE SOURCE
build() {
    local words
    read -ra words <<<"$(pkg-config --cflags --libs "$2")"
    "$1" -Wall -Wextra "${flags[@]}" "$3" "${words[@]}" -o program
}

program "$SOURCE/README.md" c 'int main' >program.c
[ -s program.c ] || fail "README.md has no C program"
build gcc forkmap program.c
./program | grep -qx '999 \* 999 = 998001' || fail "README.md's program says something else"

command -v gfortran >/dev/null || exit 0
program "$SOURCE/docs/embedding.md" fortran 'end program' >program.f90
[ -s program.f90 ] || fail "docs/embedding.md has no Fortran program"
build gfortran forkmap-fortran program.f90
./program | grep -qE '^ +1\.[67]' || fail "the largest norm of 10^6 points in a unit cube lies near the root of 3"
