#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 180
# Every dtype, order, byte order and version that NumPy writes is read, and NumPy reads every dtype that forkmap writes.
. "$(dirname "$0")/common.bash"
python=/usr/bin/python3
$python -c 'import numpy' 2>/dev/null || skip "python3-numpy is missing"
library f <<'C'
#include <stdlib.h>
#include <string.h>
int copy(const void *item, void *result, void *arg)
{
    memcpy(result, item, (size_t)atoi(strchr(arg, '=') + 1));
    return 0;
}
C
# Writes NAME.npy, and one line "NAME BYTES OUT" per file: bytes of a row, and the --out that says the same.
cat >make.py <<'PY'
import numpy as np

rng = np.random.default_rng(7)
lines = []


def put(name, a, out=None, version=None):
    with open(name + ".npy", "wb") as f:
        np.lib.format.write_array(f, a, version=version)
    row = a.shape[1:]
    if out is None:
        out = "%s%d:%s" % (a.dtype.kind, a.dtype.itemsize, "x".join(map(str, row)))
    lines.append("%s %d %s" % (name, a.dtype.itemsize * int(np.prod(row, dtype=int)), out))


def some(dtype, shape):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    if dtype.kind in "iu":
        top = np.iinfo(dtype)
        return rng.integers(top.min, top.max, shape, dtype=dtype.newbyteorder("="), endpoint=True).astype(dtype)
    if dtype.kind == "c":
        return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)
    return rng.normal(size=shape).astype(dtype)


names = ["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8", "c8", "c16"]
for i, t in enumerate(names):
    for order in "<>":
        a = some(order + t, (5, 2, 3))
        put("%s_%s" % (t, "le" if order == "<" else "be"), a if i % 2 else np.asfortranarray(a), version=(1 + i % 3, 0))
    put(t + "_vector", some(t, (7,)))
put("deep_c", some("f8", (2, 1, 2, 1, 2, 1, 2, 3)))
put("deep_f", np.asfortranarray(some(">f4", (2, 1, 2, 1, 2, 1, 2, 3))))
put("zero_d", np.array(2.5), "f8:")
put("no_rows", np.zeros((0, 3)))
put("text", np.array(["abc", "de"]), "V12:")
put("bytes", np.array([b"abc", b"de"]), "V3:")
record = np.dtype([("x", ">f8"), ("y", "<i4", (2,)), ("z", [("a", "u1"), ("b", "S7")])])
a = np.zeros(4, record)
a["x"], a["z"]["b"] = np.arange(4), b"text"
put("record", a, "V24:")
put("aligned", np.zeros(3, np.dtype([("a", "u1"), ("b", "f8")], align=True)), "V16:")
put("titles", np.ones(3, np.dtype([(("a title", "a"), "f4"), ("b", "f4")])), "V8:")
put("unicode", np.ones(3, np.dtype([("größe", "f8")])), "V8:", (3, 0))
put("many_names", np.ones(3, np.dtype([("name_%d" % i, "u1") for i in range(5000)])), "V5000:", (2, 0))
open("list", "w").write("\n".join(lines) + "\n")
PY
cat >compare.py <<'PY'
import sys
import numpy as np

for line in open("list"):
    name, n, out = line.split()
    a, b = np.load(name + ".npy", max_header_size=1 << 20), np.load(name + ".out.npy")
    if name == "zero_d":
        a = a.reshape(1)
    if out[0] == "V":
        same = b.dtype.kind == "V" and a.shape == b.shape and a.tobytes() == b.tobytes()
    else:
        same = a.dtype.newbyteorder("=") == b.dtype and a.shape == b.shape and np.array_equal(a, b)
    if not same:
        sys.exit("%s: %s %s became %s %s" % (name, a.dtype, a.shape, b.dtype, b.shape))
PY
$python make.py || fail "cannot write the files"
while read -r name bytes out; do
    expect 0 map ./f.so:copy "$name.npy" --arg bytes="$bytes" --out "$out" -o "$name.out.npy" -w 1 -q
done <list
[ "$(wc -l <list)" -ge 50 ] || fail "too few files"
$python compare.py || fail "other elements"
# From CSV as NumPy writes it, and back.
$python - <<'PY' || fail "cannot write the CSV"
import numpy as np
a = np.random.default_rng(3).normal(size=(1000, 3)) * 10.0 ** np.random.default_rng(4).integers(-300, 300, (1000, 3))
a[5, 1], a[6, 2], a[7, 0] = np.nan, np.inf, -np.inf
np.save("a.npy", a)
np.savetxt("a.csv", a, fmt="%.17g", delimiter=";", header="x;y;z", comments="")
PY
expect 0 map ./f.so:copy a.csv --arg bytes=24 --out f8:3 -o b.npy
$python -c 'import numpy as np; exit(np.load("a.npy").tobytes() != np.load("b.npy").tobytes())' || fail "other numbers from CSV"
# Half and long floats, times and objects are refused with what to do.
$python - <<'PY' || fail "cannot write the others"
import numpy as np
np.save("half.npy", np.ones(3, "f2"))
np.save("long.npy", np.ones(3, np.longdouble))
np.save("time.npy", np.zeros(3, "M8[ns]"))
np.save("object.npy", np.array([1, "a"], object))
PY
for name in half long time object; do
    expect 3 map ./f.so:copy $name.npy --arg bytes=8 --out f8: -o bad.npy
    says "forkmap: $name.npy: "
done
absent bad.npy
