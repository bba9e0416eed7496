#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds a program outside the tree against the installed prefix, and runs it: build_and_run.sh WAY LANGUAGE COMPILER.
# WAY is pkg_config, cmake or plain, with _shared or _static; LANGUAGE c11, cxx17 or f2008. From the environment: PREFIX,
# FLAGS (what the libraries were built with: sanitizers), VERSION.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
way=$1 language=$2 compiler=$3
lib=$(dirname "$(find "$PREFIX" -name libforkmap.so)")
export PKG_CONFIG_PATH=$lib/pkgconfig
read -ra flags <<<"${FLAGS:-}"
package=forkmap

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

command -v "$compiler" >/dev/null || {
    echo "SKIPPED: no $compiler here" >&2
    exit 77
}
case $language in
c11) source=$here/program.c cmake_language=C strict=(-std=c11) ;;
cxx17) source=$here/program.cpp cmake_language=CXX strict=(-std=c++17) ;;
f2008) source=$here/program.f90 cmake_language=Fortran strict=(-std=f2008) package=forkmap-fortran ;;
*) fail "no language $language" ;;
esac
strict+=(-O2 -Wall -Wextra -Wpedantic -Werror)

# With both libraries in a folder the linker takes the shared one; -l: names the archive.
archives() {
    local word
    for word in "$@"; do
        case $word in
        -lforkmap | -lforkmap_fortran) echo "-l:lib${word#-l}.a" ;;
        *) echo "$word" ;;
        esac
    done
}

with_pkg_config() {
    local cflags libs
    read -ra cflags <<<"$(pkg-config --cflags "$package")"
    if [ "$1" = static ]; then
        read -ra libs <<<"$(pkg-config --static --libs "$package")"
        mapfile -t libs < <(archives "${libs[@]}")
    else
        read -ra libs <<<"$(pkg-config --libs "$package")"
    fi
    "$compiler" "${strict[@]}" "${flags[@]}" "${cflags[@]}" "$source" -o program "${libs[@]}" -lm
}

# Without any tool: what README and docs/embedding.md tell to type.
plainly() {
    local before=() libs=(-lforkmap)
    if [ "$language" = f2008 ]; then
        before=("-I$lib/fortran/forkmap")
        libs=(-lforkmap_fortran -lforkmap)
    fi
    if [ "$1" = static ]; then
        mapfile -t libs < <(archives "${libs[@]}")
        libs+=(-lhwloc -lnettle -pthread -ldl)
    fi
    "$compiler" "${strict[@]}" "${flags[@]}" "-I$PREFIX/include" "${before[@]}" "$source" -o program "-L$lib" \
        "${libs[@]}" -lm
}

with_cmake() {
    local target=forkmap::forkmap
    [ "$language" != f2008 ] || target=forkmap::fortran
    [ "$1" = shared ] || target+=_static
    local components=$1
    [ "$language" != f2008 ] || components+=";fortran"
    cmake -S "$here/project" -B build -DCMAKE_PREFIX_PATH="$PREFIX" -DLANGUAGE="$cmake_language" \
        -DPROGRAM="$source" -DTARGET="$target" -DCOMPONENTS="$components" \
        "-DCMAKE_${cmake_language}_COMPILER=$compiler" "-DCMAKE_${cmake_language}_FLAGS=${strict[*]} ${flags[*]}" \
        >cmake.log 2>&1 || fail "cmake:" "$(cat cmake.log)"
    cmake --build build >build.log 2>&1 || fail "building:" "$(cat build.log)"
    mv build/program .
}

kind=${way##*_}
case $way in
pkg_config_*) with_pkg_config "$kind" ;;
plain_*) plainly "$kind" ;;
cmake_*) with_cmake "$kind" ;;
*) fail "no way $way" ;;
esac

# A static program must not need the library, and a shared one must.
needs=no
! readelf -d program | grep -q 'NEEDED.*libforkmap' || needs=yes
[ "$kind/$needs" = static/no ] || [ "$kind/$needs" = shared/yes ] || fail "a $kind program: needs ours: $needs"
LD_LIBRARY_PATH=$lib ./program || fail "the program ended with $?"
