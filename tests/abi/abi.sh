#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What programs that were built before rely on: the exported symbols, and the layout of the public structs on x86-64.
# abi.sh check WHAT compares with the committed WHAT.txt (symbols or structs); abi.sh write makes both anew. From the
# environment: LIBRARY (libforkmap.so), CC.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LC_ALL=C

symbols() {
    nm -D --defined-only "$LIBRARY" | awk '$2 != "A" { print $2, $3 }' | sort -k 2
}

structs() {
    local object
    object=$(mktemp --suffix=.o)
    echo '#include <forkmap/forkmap.h>' |
        "$CC" -std=c11 -g -gdwarf-4 -fno-eliminate-unused-debug-types "-I$here/../../include" -x c -c - -o "$object"
    readelf --debug-dump=info "$object" | awk -f "$here/structs.awk" | sort
    rm -f "$object"
}

check() {
    local differ
    if [ "$1" = structs ] && [ "$(uname -m)" != x86_64 ]; then
        echo "SKIPPED: the committed layout is that of x86-64, this is $(uname -m)" >&2
        exit 77
    fi
    if differ=$(diff <(grep -v '^#' "$here/$1.txt") <("$1")); then
        return 0
    fi
    cat >&2 <<END
The public $1 are not the committed ones (< tests/abi/$1.txt, > now):

$differ

Programs that were built before may break. If it is meant:
  added only (a function, an enumerator, a member at the end of a struct that starts with struct_size):
      ./dev abi, and commit tests/abi with the change
  changed or removed: also raise the minor version in CMakeLists.txt (before 1.0; after it the major one), which changes
      the soname and the symbols' version
END
    return 1
}

write() {
    local what
    for what in symbols structs; do
        {
            echo "# SPDX-License-Identifier: MIT"
            echo "# Written by ./dev abi. A difference breaks programs that were built before: see abi.sh."
            "$what"
        } >"$here/$what.new"
        mv "$here/$what.new" "$here/$what.txt"
    done
}

case ${1:-} in
check) check "$2" ;;
write) write ;;
*) echo "usage: abi.sh check symbols|structs, or abi.sh write" >&2; exit 2 ;;
esac
