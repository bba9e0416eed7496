#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A program may have functions and variables with the names of ours: libforkmap.a has no global name but those of the
# public headers, and no bytecode of one compiler's.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

lib=$(dirname "$(find "$PREFIX" -name libforkmap.so)")
names() {
    nm -g "$@" 2>/dev/null | awk 'NF == 3 { print $3 }' | sort -u
}
names --defined-only "$lib/libforkmap.a" >archive
names -D --defined-only "$lib/libforkmap.so" | sed 's/@.*//' | grep '^fm_' >shared
diff archive shared >differ || fail "libforkmap.a (<) and libforkmap.so (>) differ:" "$(cat differ)"
! readelf -SW "$lib/libforkmap.a" 2>/dev/null | grep -q 'gnu\.lto' || fail "libforkmap.a has bytecode"

# Every internal name of the archive that can be a C function, defined once more.
nm --defined-only "$lib/libforkmap.a" 2>/dev/null | awk '$2 == "t" && $3 ~ /^[a-z_][a-z0-9_]*$/ { print $3 }' |
    grep -vE '^(_|main$|asan|tsan|ubsan)' | sort -u >internal
[ "$(wc -l <internal)" -ge 20 ] || fail "only $(wc -l <internal) internal names found"
while read -r name; do
    echo "int $name(void); int $name(void) { __builtin_trap(); }"
done <internal >clash.c
read -ra flags <<<"${FLAGS:-}"
"$CC" -std=gnu11 -O1 "${flags[@]}" -fno-builtin -w -c clash.c
"$CC" -std=c11 "${flags[@]}" "-I$PREFIX/include" "$here/program.c" clash.o -o program "-L$lib" -l:libforkmap.a \
    -lhwloc -lnettle -pthread -ldl -lm
./program
