#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The rules of the code base that a compiler does not check: architecture.sh RULE. CMake sets ROOT (the
# sources), LIBRARY (libforkmap.so) and FLOOR_PATHS (a line per floor: name, include directories).
set -euo pipefail
cd "$ROOT"

fail() {
    echo "$*" >&2
    exit 1
}

# Those of the files $2... that have the pattern $1 in their code: outside comments and strings.
files_with_code() {
    PATTERN=$1 perl -0777 -ne \
        's{"(?:[^"\\\n]|\\.)*"|\x27(?:[^\x27\\\n]|\\.)+\x27|/\*.*?\*/|//[^\n]*}{ }gs; print "$ARGV\n" if /$ENV{PATTERN}/' "${@:2}"
}

# called_in_one_file NAME PATTERN: exactly one .c file of the engine has PATTERN in its code.
called_in_one_file() {
    local found
    mapfile -t found < <(files_with_code "(^|[^A-Za-z0-9_])$2" engine/*/*.c)
    [ "${#found[@]}" -eq 1 ] || fail "$1 is used in ${#found[@]} files instead of one: ${found[*]}"
    echo "$1: ${found[*]}"
}

floors_include_by_bare_name() {
    local found
    found=$(grep -rnE '#[[:space:]]*include[[:space:]]*"[^"]*/' engine --include='*.[ch]' || true)
    [ -z "$found" ] || fail "include lines with a path:" "$found"
}

# can_include HEADER DIRECTORY...: it lies in one of the include directories.
can_include() {
    local directory
    for directory in "${@:2}"; do
        [ ! -e "$directory/$1" ] || return 0
    done
    return 1
}

no_floor_sees_a_higher_one() {
    local names=() paths=() floor line i j header
    while read -r floor line; do
        names+=("$floor")
        paths+=("$line")
    done <"$FLOOR_PATHS"
    [ "${#names[@]}" -ge 2 ] || fail "no floors in $FLOOR_PATHS"
    for ((j = 1; j < ${#names[@]}; j++)); do
        header=$(find "engine/${names[j]}" -name '*.h' -printf '%f\n' | sort | sed -n 1p)
        [ -n "$header" ] || fail "floor ${names[j]} has no header"
        # shellcheck disable=SC2086 # a list of directories
        can_include "$header" ${paths[j]} || fail "its own floor ${names[j]} cannot include $header"
        for ((i = 0; i < j; i++)); do
            # shellcheck disable=SC2086
            if can_include "$header" ${paths[i]}; then
                fail "floor ${names[i]} can include $header of the higher floor ${names[j]}"
            fi
        done
    done
}

fork_is_called_in_one_file() {
    called_in_one_file fork 'fork[[:space:]]*\('
}

waitid_is_called_in_one_file() {
    called_in_one_file waitid 'wait(id|pid|4)?[[:space:]]*\('
}

hwloc_is_called_in_one_file() {
    called_in_one_file hwloc 'hwloc_'
}

futex_is_called_in_one_file() {
    called_in_one_file futex 'SYS_futex'
}

# tests/hosts has programs that use OpenMP beside forkmap, as a user's may.
openmp_only_in_kernels_bench_and_hosts_of_tests() {
    local found
    found=$(grep -rlE '#[[:space:]]*(include[[:space:]]*<omp\.h>|pragma[[:space:]]+omp)' engine include cli tests \
        --include='*.[ch]' --exclude-dir=hosts || true)
    [ -z "$found" ] || fail "OpenMP outside kernels/, bench/ and tests/hosts/:" "$found"
}

file_names_are_unique_over_the_floors() {
    local twice
    twice=$(find engine -name '*.[ch]' -printf '%f\n' | sort | uniq -d)
    [ -z "$twice" ] || fail "in more than one floor:" "$twice"
}

# The exported names, without the symbol that stands for the version.
exported_names() {
    nm -D --defined-only --without-symbol-versions "$LIBRARY" | awk '$2 != "A" { print $3 }' | sort -u
}

library_exports_only_public_names() {
    local names other
    names=$(exported_names)
    [ -n "$names" ] || fail "$LIBRARY exports nothing"
    other=$(echo "$names" | grep -vE '^fm_' || true)
    [ -z "$other" ] || fail "exported, but not public:" "$other"
}

every_public_function_is_exported() {
    local declared exported missing
    declared=$(cat include/forkmap/*.h | tr '\n' ' ' | grep -oE 'FM_API [^;(]*\(' | grep -oE 'fm_[a-z0-9_]+\($' |
        tr -d '(' | sort -u)
    exported=$(exported_names)
    missing=$(comm -23 <(echo "$declared") <(echo "$exported"))
    [ -n "$declared" ] || fail "no FM_API function found in the headers"
    [ -z "$missing" ] || fail "declared in include/, but not in $LIBRARY:" "$missing"
}

# One process for all files: to start two for each took half a minute on a busy machine.
every_file_names_its_licence() {
    local missing
    missing=$(find engine include kernels cli bench tests cmake fortran examples docs dev -path '*/data/*' -prune -o -type f \
        \( -name '*.[ch]' -o -name '*.sh' -o -name '*.py' -o -name '*.sed' -o -name '*.[1-8]' -o -name '*.pml' -o -name '*.f' -o -name '*.[fF]90' -o -name '*.inc' -o -name '*.cmake' -o -name '*.cpp' \
        -o -name CMakeLists.txt -o -name dev \) -exec awk '
            FNR == 1 { files[FILENAME] = 1 }
            /SPDX-License-Identifier: MIT/ { delete files[FILENAME] }
            FNR == 3 { nextfile }
            END { for (file in files) print file }' {} +)
    [ -z "$missing" ] || fail "without an SPDX line:" "$missing"
}

if [ "$(type -t "${1:-}")" != function ]; then
    fail "no rule ${1:-}"
fi
"$1"
