#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The build lines in examples/legacy_fortran/main.f90, run as they stand there against the installed prefix.
set -euo pipefail
lib=$(dirname "$(find "$PREFIX" -name libforkmap.so)")
export PKG_CONFIG_PATH=$lib/pkgconfig LD_LIBRARY_PATH=$lib
cp "$SOURCE"/examples/legacy_fortran/{main.f90,pendulum.f} .
sed -n 's/^!   \(gfortran .*\)/\1/p' main.f90 >lines
[ "$(wc -l <lines)" = 2 ] || {
    echo "FAILED: two build lines were expected, found: $(cat lines)" >&2
    exit 1
}
while read -r line; do
    bash -c "$line ${FLAGS:-}"
done <lines
./legacy_fortran forkmap
