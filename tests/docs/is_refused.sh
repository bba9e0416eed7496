#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A document with a fault must not pass: is_refused.sh DOCUMENT, whose first line is <!-- says: TEXT -->.
set -u
want=$(sed -n '1s/^<!-- says: \(.*\) -->$/\1/p' "$1")
[ -n "$want" ] || { echo "$1: its first line does not tell what is said of it"; exit 1; }
code=0
"$PYTHON3" "$(dirname "$0")/run_document.py" "$1" >said || code=$?
if [ "$code" -ne 1 ]; then
    cat said
    echo "$1: exit code $code, not 1"
    exit $((code == 77 ? 77 : 1))
fi
grep -qF -- "$want" said || { cat said; echo "and not: $want"; exit 1; }
