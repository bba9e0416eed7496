#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A kernel of several columns of numbers takes them from the columns of one file as from files of one column each.
. "$(dirname "$0")/common.bash"
python=/usr/bin/python3
[ -x $python ] || skip "python3 is missing"
"$FORKMAP" kernels --json >kernels.jsonl || fail "no list of kernels"
read -r kernel n < <($python - <<'PY'
import json
for line in open("kernels.jsonl"):
    k = json.loads(line)
    columns = k.get("columns", [])
    if len(columns) > 1 and all(c["rows"].endswith(":") for c in columns):
        print(k["name"], len(columns))
        break
PY
)
[ -n "${kernel:-}" ] || skip "there is no kernel of several columns of numbers"
header=x0 columns=()
for ((i = 0; i < n; i++)); do
    [ "$i" = 0 ] || header+=,x$i
    { echo "x$i"; seq $((i + 1)) 1 $((i + 50)); } >c$i.csv
    columns+=(c$i.csv)
done
{ echo "$header"; paste -d , "${columns[@]}" | tail -n +2; } >table.csv
expect 0 map "$kernel" "${columns[@]}" -o want.npy
expect 0 map "$kernel" table.csv -o out.npy
cmp -s out.npy want.npy || fail "other results from one table"
expect 0 map "$kernel" table.csv --rows 10:20 -o out.npy
expect 0 map "$kernel" "${columns[@]}" --rows 10:20 -o want.npy
cmp -s out.npy want.npy || fail "other results from rows of one table"
expect 2 map "$kernel" table.csv --columns x0 -o bad.npy
says "$kernel takes $n columns, not 1"
absent bad.npy
