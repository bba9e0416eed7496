#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 120
# Datasets of numbers as h5py writes them are inputs; what is no dataset of numbers is refused with what there is instead.
. "$(dirname "$0")/common.bash"
python=/usr/bin/python3
printf '\x89HDF\r\n\x1a\n' >none.h5
library f <<'C'
#include <stdlib.h>
#include <string.h>
int copy(const void *item, void *result, void *arg)
{
    memcpy(result, item, (size_t)atoi(strchr(arg, '=') + 1));
    return 0;
}
C
expect 3 map ./f.so:copy none.h5:/x --out f8: -o bad.npy
! grep -q "this build cannot read HDF5 files" stderr || skip "this build has no HDF5"
says "forkmap: none.h5: HDF5 cannot open it: "
$python -c 'import h5py, numpy' 2>/dev/null || skip "python3-h5py is missing"
cat >make.py <<'PY'
import h5py
import numpy as np

rng = np.random.default_rng(5)
lines = []
f = h5py.File("x.h5", "w")


def put(name, a, out=None, like=None, **how):
    f.create_dataset(name, data=a, **how)
    want = (a if like is None else a.astype(like)).astype(np.dtype(like or a.dtype).newbyteorder("="))
    np.save(name.replace("/", "_") + ".npy", want.reshape(1) if want.ndim == 0 else want)
    row = want.shape[1:]
    out = "%s%d:%s" % (want.dtype.kind, want.dtype.itemsize, "x".join(map(str, row)))
    lines.append("%s %d %s" % (name, want.dtype.itemsize * int(np.prod(row, dtype=int)), out))


for t in ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16"]:
    for order in "<>":
        put("types/%s_%s" % (t, "le" if order == "<" else "be"), (100 * rng.random((4, 3))).astype(order + t))
put("bool", rng.integers(0, 2, 9).astype(bool))
put("half", rng.normal(size=5).astype("f2"), like="f4")
put("chunked", rng.normal(size=(1000, 7)), chunks=(64, 2), compression="gzip", shuffle=True, fletcher32=True)
put("growing", rng.integers(0, 99, (50, 2)), chunks=True, maxshape=(None, 2))
f.create_dataset("huge", (1 << 45,), "f8", chunks=(1 << 16,), fillvalue=7)
put("deep/er/vector", np.arange(10.0))
put("table", np.arange(60.0).reshape(30, 2))
put("number", np.array(2.5))
put("no_rows", np.zeros((0, 2)))
put("axes8", rng.normal(size=(2, 1, 1, 2, 1, 1, 1, 3)))
f["text"] = "abc"
f["records"] = np.zeros(3, [("a", "f8"), ("b", "i4")])
f["nothing"] = h5py.Empty("f8")
f["axes9"] = np.zeros((1,) * 9)
f["ragged"] = np.array([np.arange(2), np.arange(3)], dtype=h5py.vlen_dtype("i4"))
f["enum"] = np.zeros(3, h5py.enum_dtype({"RED": 0, "BLUE": 1}, basetype="i1"))
f["long"] = np.zeros(3, np.longdouble)
f["dangling"] = h5py.SoftLink("/nowhere")
f.close()
with h5py.File("one.h5", "w", userblock_size=512) as g:
    g["values"] = np.arange(6.0)
with h5py.File("empty.h5", "w"):
    pass
open("list", "w").write("\n".join(lines) + "\n")
PY
$python make.py || fail "cannot write the file"
while read -r name bytes out; do
    expect 0 map ./f.so:copy "x.h5:/$name" --arg bytes="$bytes" --out "$out" -o "${name//\//_}.out.npy" -w 1 -q
done <list
[ "$(wc -l <list)" -ge 30 ] || fail "too few datasets"
$python - <<'PY' || fail "other elements"
import sys
import numpy as np

for line in open("list"):
    name = line.split()[0].replace("/", "_")
    a, b = np.load(name + ".npy"), np.load(name + ".out.npy")
    if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
        sys.exit("%s: %s %s became %s %s" % (name, a.dtype, a.shape, b.dtype, b.shape))
PY
# Its magic may stand behind a user block; it may be packed, and come through a pipe.
expect 0 map ./f.so:copy one.h5:/values --arg bytes=8 --out f8: -o want.npy
gzip -k one.h5
expect 0 map ./f.so:copy one.h5.gz:/values --arg bytes=8 --out f8: -o out.npy
cmp -s out.npy want.npy || fail "packed"
expect 0 map ./f.so:copy one.h5:/values --rows 2:4 --arg bytes=8 --out f8: -o out.npy
expect 0 map ./f.so:copy x.h5:/chunked --columns 6,0 --rows :3 --arg bytes=16 --out f8:2 -o out.npy
$python -c 'import numpy as np; exit(bool((np.load("out.npy") != np.load("chunked.npy")[:3, [6, 0]]).any()))' || fail "columns"
# Rows are taken from the file: of a huge dataset that was never written, a few.
expect 0 map ./f.so:copy x.h5:/huge --rows -3: --arg bytes=8 --out f8: -o out.npy
$python -c 'import numpy as np; exit(np.load("out.npy").tolist() != [7.0] * 3)' || fail "rows of a huge dataset"
expect 0 map ./f.so:copy x.h5:/chunked --rows 100:-850 --arg bytes=56 --out f8:7 -o out.npy
$python -c 'import numpy as np; exit(np.load("out.npy").tolist() != np.load("chunked.npy")[100:-850].tolist())' || fail "rows"
# They are taken once: also of a table for a kernel of several columns, and beside a row that is for every item.
expect 0 map triad x.h5:/table --rows 10:20 -o out.npy
$python -c 'import numpy as np; exit(np.load("out.npy").tolist() != [b + 3 * c for b, c in np.load("table.npy")[10:20].tolist()])' || fail "rows of a table"
$python -c 'import numpy as np; np.save("one.npy", [0.5])'
expect 0 map -e 'x0 + x1' x.h5:/deep/er/vector one.npy --rows 5:6 -o out.npy
$python -c 'import numpy as np; exit(np.load("out.npy").tolist() != [5.5])' || fail "one row beside a row for every item"
expect 0 map ./f.so:copy x.h5:/chunked --rows 9:9 --arg bytes=56 --out f8:7 -o out.npy
expect 2 map ./f.so:copy x.h5:/chunked --rows 9:1001 --arg bytes=56 --out f8:7 -o bad.npy
says "forkmap: x.h5:/chunked: --rows 9:1001: it has 1000 rows"
expect 3 map ./f.so:copy x.h5:/huge --arg bytes=8 --out f8: -o bad.npy
says "forkmap: x.h5:/huge: "

refused() { # refused CODE INPUT TEXT...
    local code=$1 input=$2
    shift 2
    expect "$code" map ./f.so:copy "$input" --arg bytes=8 --out f8: -o bad.npy
    says "forkmap: $input" "$@"
}
refused 2 x.h5 "which dataset?" "its datasets are /axes8, /axes9, /bool, "
refused 2 x.h5:/valves "no such dataset" "its datasets are "
refused 2 x.h5:/types "this is a group"
refused 2 x.h5:/dangling "no such dataset"
refused 2 empty.h5 "there is no dataset in it"
refused 3 x.h5:/text "strings are no numbers"
refused 3 x.h5:/records "records (a compound type) are not read"
refused 3 x.h5:/nothing "no elements and no shape"
refused 3 x.h5:/axes9 "more than 8 axes"
refused 3 x.h5:/ragged "varying length"
refused 3 x.h5:/enum "an enumeration is no number"
refused 3 x.h5:/long "floats of more than 8 bytes"
expect 3 map ./f.so:copy missing.h5:/x --arg bytes=8 --out f8: -o bad.npy
says "forkmap: missing.h5: No such file"
head -c -8 one.h5 >cut.h5
expect 3 map ./f.so:copy cut.h5:/values --arg bytes=8 --out f8: -o bad.npy
says "forkmap: cut.h5: HDF5 cannot open it: truncated file"
echo "a,b" >text.csv
expect 3 map ./f.so:copy text.csv:/a --arg bytes=8 --out f8: -o bad.npy
says "forkmap: text.csv: no HDF5 file, so it has no dataset /a"
absent bad.npy
