#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The loop that FM_CHUNK_FN makes for rows without gaps is vector code at -O3: chunk_function_becomes_vector_code.sh COMPILER
set -euo pipefail
command -v "$1" >/dev/null || {
    echo "SKIPPED: no $1 here" >&2
    exit 77
}
case $("$1" --version) in
*clang*) tell=-Rpass=loop-vectorize ;;
*) tell=-fopt-info-vec-optimized ;;
esac
cat >vector.c <<'C'
#include <forkmap/forkmap.h>
FM_CHUNK_FN(square, double, double, x * x)
C
"$1" -std=c11 -O3 "$tell" "-I$PREFIX/include" -c vector.c 2>said
grep -q "vectorized" said || {
    echo "FAILED: no loop became vector code: $(cat said)" >&2
    exit 1
}
