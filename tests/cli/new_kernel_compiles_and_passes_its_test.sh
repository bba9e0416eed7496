#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 120
# What `forkmap new kernel` writes compiles without a warning, is right and the same for any number of workers, and its
# own CMakeLists.txt builds and tests it. It refuses bad names and overwrites nothing.
. "$(dirname "$0")/common.bash"
expect 0 new kernel vector_lengths
shows "wrote vector_lengths/vector_lengths.c" "--load ./vector_lengths.so --verify --compare"
[ "$(find vector_lengths -type f | sort | tr '\n' ' ')" = \
    "vector_lengths/CMakeLists.txt vector_lengths/test.sh vector_lengths/vector_lengths.c " ] || fail "other files"
if grep -rn my_kernel vector_lengths; then fail "the starter's name is left"; fi
(
    cd vector_lengths || exit
    "$CC" -std=c11 -O3 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -shared -fPIC -I"$FORKMAP_INCLUDE" \
        -o vector_lengths.so vector_lengths.c -lm || fail "does not compile"
    expect 0 kernels --load ./vector_lengths.so
    shows vector_lengths "rows of f8:3" "scale=1" "library ./vector_lengths.so"
    expect 0 run vector_lengths --load ./vector_lengths.so --arg n=5000 --verify --compare --repeats 2 -o out.npy
    says "verified: 5000 lengths as by hypot()"
    shows serial OpenMP forkmap "same bits"
    sh test.sh ./vector_lengths.so || fail "its test fails"
    expect 2 run vector_lengths --load ./vector_lengths.so --arg scale=-1
    says "a length is not negative"
    if FORKMAP=false sh test.sh ./vector_lengths.so; then fail "its test passes without results"; fi
) || exit 1

# The command that it prints works as it stands.
sed -n 's/^  \(cd\|cc\|forkmap\) /\1 /p' stdout >next
[ "$(wc -l <next)" = 3 ] || fail "not three steps"
PATH=$(dirname "$FORKMAP"):$PATH sh -e next || fail "the printed steps fail"

if command -v cmake >/dev/null; then
    cmake -S vector_lengths -B built -DFORKMAP="$FORKMAP" -DCMAKE_C_COMPILER="$CC" >log 2>&1 &&
        cmake --build built >>log 2>&1 && ctest --test-dir built --output-on-failure >>log 2>&1 ||
        { cat log; fail "its CMakeLists.txt does not work"; }
    grep -q "100% tests passed, 0 tests failed out of 1" log || fail "ctest ran no test"
fi

echo mine >vector_lengths/CMakeLists.txt
expect 3 new kernel vector_lengths
says "it is there already" "nothing is overwritten"
[ "$(cat vector_lengths/CMakeLists.txt)" = mine ] || fail "overwritten"
mkdir src
expect 0 new kernel another --dir src
[ -f src/another/another.c ] || fail "not in src"
expect 3 new kernel another --dir nowhere
says "--dir must be a folder"
expect 2 new kernel another --dir ""
says "the folder's name is empty"
for name in 2d a-b a/b "" "a b" ../up été "$(printf 'x%.0s' {1..64})"; do
    expect 2 new kernel "$name"
    says "not a C identifier"
done
expect 2 new kernel docking
says "has this name"
expect 2 new
says "kernel NAME"
expect 2 new kernel
says "NAME is missing"
expect 2 new pool x
says "only a kernel"
expect 2 new kernel a b
[ "$(find . -maxdepth 1 -type d ! -name built | sort | tr '\n' ' ')" = ". ./src ./vector_lengths " ] ||
    fail "something was left: $(ls)"
