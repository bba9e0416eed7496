#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The manual pages: man.sh RULE. CMake sets FORKMAP_SOURCE and FORKMAP (the command).
set -euo pipefail
broken_page=$PWD/broken.1 # an empty directory
cd "$FORKMAP_SOURCE"
pages=(docs/*.[1-8])

fail() {
    echo "$*" >&2
    exit 1
}

# What `man` has to say about page $1, without the page.
# shellcheck disable=SC2069
warnings_of() {
    man --warnings -E UTF-8 -l -Tutf8 -Z "$1" 2>&1 >/dev/null
}

have_no_warnings() {
    local page said
    command -v man >/dev/null || { echo "SKIPPED: man is missing; ./dev setup test installs it"; exit 77; }
    printf '.Dd today\n.Dt X 1\n.Os\n.nosuchrequest\n' >"$broken_page"
    [ -n "$(warnings_of "$broken_page")" ] || fail "man finds no fault in a broken page, so what it says means nothing"
    for page in "${pages[@]}"; do
        said=$(warnings_of "$page")
        [ -z "$said" ] || fail "$page: $said"
    done
}

commands() {
    "$FORKMAP" --help | sed -n '/^$/,/^$/s/^  \([a-z]\+\) .*/\1/p' | grep -v '^forkmap$' | sort -u
}

# Long options of all commands, without the dashes.
options_of_commands() {
    local command
    for command in $(commands); do
        "$FORKMAP" "$command" --help | sed -nE 's/^ {1,6}(-[A-Za-z?], )? *--([a-z][a-z-]*).*/\2/p'
    done | sort -u
}

# Those of the page: `.It Fl -output`, `Fl w , Fl -workers`; an escaped dash is one too.
options_of_page() {
    sed 's/\\-/-/g' docs/forkmap.1 | grep -E '^\.(It|Op|Fl)' | grep -oE 'Fl -[a-z][a-z-]*' | sed 's/Fl -//' | sort -u
}

name_every_command() {
    local command found
    found=$(commands)
    [ "$(echo "$found" | wc -l)" -ge 4 ] || fail "only these commands found: $found"
    for command in $found; do
        grep -qE "^\.Cm $command( |$)" docs/forkmap.1 || fail "forkmap.1 lacks the command $command"
    done
}

name_the_options_that_there_are() {
    local of_commands of_page
    of_commands=$(options_of_commands)
    of_page=$(options_of_page)
    [ "$(echo "$of_commands" | wc -l)" -ge 20 ] || fail "only these options found: $of_commands"
    [ "$of_commands" = "$of_page" ] ||
        fail "< the commands' --help    > forkmap.1"$'\n'"$(diff <(echo "$of_commands") <(echo "$of_page"))"
}

# Variables that are read by name anywhere.
name_every_variable() {
    local variable found page twice missing=()
    found=$(grep -rhoE '"(FORKMAP|SLURM|PBS|LSB)_[A-Z_]+"' engine kernels cli --include='*.c' | tr -d '"' | sort -u)
    [ "$(echo "$found" | wc -l)" -ge 8 ] || fail "only these variables found: $found"
    for variable in $found; do
        grep -qE "^\.It Ev (.* )?$variable( |$)" docs/forkmap.7 || missing+=("forkmap.7: $variable")
        [[ $variable != FORKMAP_* ]] || grep -qF "\`$variable\`" README.md || missing+=("README.md: $variable")
    done
    for variable in $(grep -rhoE 'getenv\("[A-Z_]+"\)' engine kernels cli --include='*.c' | grep -oE '[A-Z_]{2,}' | sort -u); do
        [ "$variable" = PATH ] || grep -qE "^\.(It )?Ev (.* )?$variable( |$)" docs/forkmap.[17] || missing+=("any page: $variable")
    done
    [ "${#missing[@]}" -eq 0 ] || fail "not described:" "${missing[@]}"
    for page in docs/forkmap.[17]; do
        twice=$(grep -E '^\.It Ev ' "$page" | sort | uniq -d)
        [ -z "$twice" ] || fail "$page: described twice: $twice"
    done
}

name_every_function() {
    local name described missing=()
    described=" $(sed -nE 's/^\.Fn ([^ ]+).*/\1/p' docs/forkmap.7 | tr '\n' ' ')"
    for name in $(cat include/forkmap/*.h | tr '\n' ' ' | grep -oE 'FM_API [^;(]*\(' | grep -oE 'fm_[a-z0-9_]+\($' |
        tr -d '(' | sort -u); do
        case $name in
        *_chunks | *_chunks_async | fm_array_*) continue ;; # told of together
        esac
        [[ $described == *" $name "* ]] || missing+=("$name")
    done
    [ "${#missing[@]}" -eq 0 ] || fail "forkmap.7 lacks:" "${missing[@]}"
}

"$1"
