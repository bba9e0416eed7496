#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check.sh PROGRAM EXPECTED: the program ends well, writes what the file has, and nothing to stderr.
set -u
stderr=$(mktemp)
trap 'rm -f "$stderr"' EXIT
said=$("$1" 2>"$stderr") || { echo "exit code $?" && cat "$stderr" && exit 1; }
[ ! -s "$stderr" ] || { cat "$stderr" && exit 1; }
diff <(echo "$said") "$2"
