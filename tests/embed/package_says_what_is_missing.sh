#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# find_package(forkmap): another minor version is refused, and so is a component that is not there, with the reason. What
# is not asked for does not stand in the way.
set -euo pipefail

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

cp -a "$PREFIX" copy
package=$(dirname "$(find "$PWD/copy" -name forkmapConfig.cmake)")
mkdir project
tries=0

# configure ARGUMENTS [CMAKE-OPTION...]: a project with find_package(forkmap ARGUMENTS).
configure() {
    local arguments=$1
    shift
    cat >project/CMakeLists.txt <<END
cmake_minimum_required(VERSION 3.25)
project(outside LANGUAGES C)
find_package(forkmap $arguments)
END
    tries=$((tries + 1))
    cmake -S project -B "build$tries" -DCMAKE_C_COMPILER="$CC" -Dforkmap_DIR="$package" "$@" >said 2>&1
}

refused() {
    local reason=$1
    shift
    ! configure "$@" || fail "find_package(forkmap $1) was accepted"
    # CMake breaks its messages into lines.
    tr -s ' \n' ' ' <said | grep -qF "$reason" || fail "find_package(forkmap $1): no word of '$reason': $(cat said)"
}

configure "0.2 REQUIRED" || fail "$(cat said)"
refused "version: ${VERSION}" "0.1 REQUIRED"
refused "version: ${VERSION}" "0.3 REQUIRED"
refused "version: ${VERSION}" "1.0 REQUIRED"

export PKG_CONFIG_LIBDIR=/nonexistent # no hwloc there
unset PKG_CONFIG_PATH
configure "0.2 REQUIRED COMPONENTS shared" || fail "the shared library needs no hwloc: $(cat said)"
refused "needs hwloc >= 2.5 and nettle" "0.2 REQUIRED COMPONENTS static"
unset PKG_CONFIG_LIBDIR

rm -f "$package"/forkmapFortran*.cmake
configure "0.2 REQUIRED COMPONENTS shared static" || fail "$(cat said)"
refused "without its Fortran module" "0.2 REQUIRED COMPONENTS fortran"
refused "no component nonsense" "0.2 REQUIRED COMPONENTS nonsense"
