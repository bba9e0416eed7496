#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the documents point at: readme.sh RULE. CMake sets FORKMAP_SOURCE, FORKMAP_BUILD and CTEST.
set -euo pipefail
cd "$FORKMAP_SOURCE"

fail() {
    echo "$*" >&2
    exit 1
}

# The last column of the table of guarantees: each name is that of one test or more.
names_tests_that_there_are() {
    local names name tests missing=()
    tests=$("$CTEST" --test-dir "$FORKMAP_BUILD" -N 2>/dev/null | sed -n 's/^ *Test *#[0-9]*: //p')
    names=$(sed -n '/^| what holds/,/^$/p' README.md | awk -F'|' 'NR > 2 {print $4}' | grep -oE '`[^`]+`' | tr -d '`')
    [ "$(echo "$names" | wc -l)" -ge 8 ] || fail "only these names found: $names"
    for name in $names; do
        [[ $tests == *"$name"* ]] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] || fail "README.md names tests that are not there:" "${missing[@]}"
}

links_lead_to_files() {
    local file link n=0 missing=()
    for file in README.md */README.md docs/*.md; do
        while read -r link; do
            n=$((n + 1))
            [[ $link == http* ]] || [ -e "$(dirname "$file")/${link%%#*}" ] || missing+=("$file: $link")
        done < <(grep -oE '\]\([^) ]+\)' "$file" | sed 's/^](//; s/)$//')
    done
    [ "$n" -ge 10 ] || fail "only $n links found"
    [ "${#missing[@]}" -eq 0 ] || fail "links that lead nowhere:" "${missing[@]}"
}

"$1"
