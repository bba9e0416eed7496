#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# The same expression over inputs of the same kind is compiled once; other types and another compiler are other code.
. "$(dirname "$0")/common.bash"
cat >wrapper <<END
#!/bin/sh
echo run >>"$PWD/runs"
exec "$(command -v "$CC")" "\$@"
END
chmod +x wrapper
export CC=$PWD/wrapper
# runs N: so often the compiler has run.
runs() {
    [ "$(wc -l <runs)" = "$1" ] || fail "the compiler has run $(wc -l <runs) times, not $1"
}
expect 0 map -e 'sqrt(x0)' range:0:10 -o r.npy
runs 1
expect 0 map -e 'sqrt(x0)' range:5:1000 -o r.npy --workers 1
expect 0 map -e 'sqrt(x0)' range:0:10 -o s.npy
runs 1
[ "$(stat -c %a cache/forkmap)" = 700 ] || fail "the cache's mode is $(stat -c %a cache/forkmap)"
[ "$(ls cache/forkmap | wc -l)" = 1 ] || fail "more than an entry: $(ls cache/forkmap)"
expect 0 map -e 'sqrt(x0)' range:0:10 -o r.npy --out f4
runs 2
expect 0 map -e 'sqrt(x0)' r.npy -o s.npy
runs 3
cp wrapper other && CC=$PWD/other expect 0 map -e 'sqrt(x0)' r.npy -o s.npy
runs 4
expect 2 map -e 'sqrt(x0' r.npy -o s.npy
expect 0 map -e 'sqrt(x0)' r.npy --print-source
shows "sqrt(x0)" "for (int64_t"
runs 4
expect 2 map -e 'x0 x0' r.npy -o s.npy
runs 5
[ "$(ls cache/forkmap | wc -l)" = 4 ] || fail "not 4 entries: $(ls cache/forkmap)"

# Other headers make other code.
mkdir headers
printf '#include_next <math.h>\n#undef sqrt\n#define sqrt(x) 7.0\n' >headers/math.h
CPATH=$PWD/headers expect 0 map -e 'sqrt(x0)' r.npy -o s.npy
runs 6
