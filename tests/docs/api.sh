#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The pages of the C interface: api.sh RULE, in an empty directory. CMake sets FORKMAP_SOURCE, DOXYGEN and DOXYFILE.
set -euo pipefail

fail() {
    echo "$*" >&2
    exit 1
}

# make_pages INCLUDE: the pages of the headers in folder INCLUDE, into ./html; what Doxygen says into ./said.
make_pages() {
    sed "s#= .*/include/forkmap #= $1 #; s#^OUTPUT_DIRECTORY.*#OUTPUT_DIRECTORY = $PWD#" "$DOXYFILE" >Doxyfile
    "$DOXYGEN" Doxyfile >said 2>&1
}

builds_without_warnings() {
    make_pages "$FORKMAP_SOURCE/include/forkmap" || fail "$(cat said)"
    [ ! -s said ] || fail "$(cat said)"
}

# A function that stands in no group has no page that a reader comes to.
shows_every_public_function() {
    local functions shown missing=() name
    make_pages "$FORKMAP_SOURCE/include/forkmap" || fail "$(cat said)"
    functions=$(cat "$FORKMAP_SOURCE"/include/forkmap/*.h | tr '\n' ' ' | grep -oE 'FM_API [^;(]*\(' |
        grep -oE 'fm_[a-z0-9_]+\($' | tr -d '(' | sort -u)
    [ "$(echo "$functions" | wc -l)" -gt 20 ] || fail "only these functions found: $functions"
    shown=" $(grep -ohE '</span>fm_[a-z0-9_]+\(\)</h2>' html/group__*.html | sed -E 's#</span>(.*)\(\)</h2>#\1#' | tr '\n' ' ')"
    for name in $functions; do
        [[ $shown == *" $name "* ]] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] || fail "on no page of a part: ${missing[*]}"
}

refuses_an_undocumented_parameter() {
    cp -r "$FORKMAP_SOURCE/include/forkmap" include
    sed -i '/@param slices/d' include/array.h
    if make_pages "$PWD/include"; then
        fail "a parameter without a description has passed"
    fi
    grep -q "parameter 'slices'" said || fail "$(cat said)"
}

[ -x "$DOXYGEN" ] || { echo "SKIPPED: doxygen is missing; ./dev setup test installs it"; exit 77; }
"$1"
