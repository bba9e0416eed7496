#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh PROGRAM EXPECTED: the program ends well, writes what the file has, and nothing to stderr. <number> in the file stands for any number but 0,
# where numbers differ from run to run, or from machine to machine.
set -u
stderr=$(mktemp)
trap 'rm -f "$stderr"' EXIT
said=$("$1" 2>"$stderr") || { echo "exit code $?" && echo "$said" && cat "$stderr" && exit 1; }
[ ! -s "$stderr" ] || { cat "$stderr" && exit 1; }
echo "$said"
pattern=$(sed 's/[][\.*^$+?(){}|]/\\&/g; s/<number>/[1-9][0-9]*/g' "$2")
[[ $said =~ ^$pattern$ ]] || { diff <(echo "$said") "$2"; exit 1; }
