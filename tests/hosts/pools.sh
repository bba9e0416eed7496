#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: fork stress
# TIMEOUT: 300
# One promise about a host with OpenMP and OpenBLAS: pools.sh PROMISE. CMake sets HOST (the program), OPENMP
# (gomp, omp), RUNS of the longest test, and MISSING (what this machine lacks to build it). Exit code 77 is a skip.
set -euo pipefail
if [ -n "$MISSING" ]; then
    echo "SKIPPED: $MISSING is missing; ./dev setup test installs it"
    exit 77
fi
export FORKMAP_LOG=warning
unset FORKMAP_FORK OMP_NUM_THREADS OPENBLAS_NUM_THREADS

fail() {
    echo "$*" >&2
    [ ! -s said ] || cat said >&2
    exit 1
}

# The files that LLVM's OpenMP has made for processes that are gone.
files_of_the_dead() {
    local file pid
    for file in /dev/shm/__KMP_REGISTERED_LIB_*; do
        pid=${file#*LIB_}
        [ ! -e "$file" ] || [ -e "/proc/${pid%_*}" ] || echo "$file"
    done
}

# Other tests run at the same time, and may be about to remove theirs.
expect_no_new_files() {
    local i new
    for ((i = 0; i < 20; i++)); do
        new=$(comm -13 before <(files_of_the_dead | sort))
        [ -n "$new" ] || return 0
        sleep 0.1
    done
    fail "left behind: $new"
}

# expect CODE METHOD INNER WHAT WHEN: runs the host; what it says goes to the file said. A hang is exit code 124.
expect() {
    local expected=$1 code=0
    shift
    files_of_the_dead | sort >before
    timeout -s KILL 60 "$HOST" "$@" >said 2>&1 || code=$?
    [ "$code" -eq "$expected" ] || fail "$* gives exit code $code, not $expected"
    expect_no_new_files
}

# LLVM's threads cannot be told from the host's own. Without a fork of the host nothing is to be said.
expect_warning_for_a_fork_of_llvm_only() {
    local n
    n=$(grep -c 'other thread.*fm_forkserver_start' said || true)
    case $OPENMP-$1 in
    *-spawn | *-forkserver | gomp-*) [ ! -s said ] || fail "it says something" ;;
    omp-fork) [ "$n $(wc -l <said)" = "1 1" ] || fail "$n warnings instead of one" ;;
    esac
}

region_and_product_after_use_never_hang_by() {
    local i
    for ((i = 0; i < RUNS; i++)); do
        expect 0 "$1" 2 both warm
        expect_warning_for_a_fork_of_llvm_only "$1"
    done
}

region_and_product_before_use_are_right_by() {
    expect 0 "$1" 2 both cold
    [ ! -s said ] || fail "it says something"
}

product_has_the_threads_asked_for_by() {
    local inner when
    for inner in 1 2 3; do
        for when in warm cold; do
            expect 0 "$1" "$inner" product "$when"
        done
    done
}

strict_lets_pass_what_is_ended_by() {
    export FORKMAP_FORK=strict
    expect 0 "$1" 2 both cold
    case $OPENMP-$1 in
    *-spawn | *-forkserver | gomp-*) expect 0 "$1" 2 both warm ;;
    omp-fork) expect 3 "$1" 2 both warm && grep -q '^FM_EUNSAFE: .*FORKMAP_FORK=quiet' said ;;
    esac
}

# Nothing can end the threads of a region that runs: it is told, and workers of one thread work.
in_a_region_is_warned_of_by() {
    expect 0 "$1" 1 product inside
    grep -q 'other thread' said || fail "no warning"
    FORKMAP_FORK=strict expect 3 "$1" 1 product inside
}

"$1" "$2"
