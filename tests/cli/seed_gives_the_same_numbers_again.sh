#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# --seed: the random numbers of a function depend on it and on the item, not on workers or schedules.
. "$(dirname "$0")/common.bash"
cat >f.c <<'C'
#include <forkmap/random.h>
int draw(const void *item, void *result, void *arg)
{
    fm_random r = fm_rng(*(const int64_t *)item);
    (void)arg;
    *(double *)result = fm_random_normal(&r);
    return 0;
}
C
"$CC" -O1 -shared -fPIC -I"$FORKMAP_INCLUDE" f.c -o f.so
expect 0 map ./f.so:draw range:0:1000 --out f8: -o a.npy --seed 7 --workers 1 --quiet
expect 0 map ./f.so:draw range:0:1000 --out f8: -o b.npy --seed 7 --workers 3 --schedule dynamic --quiet
expect 0 map ./f.so:draw range:0:1000 --out f8: -o c.npy --seed 8 --quiet
expect 0 map ./f.so:draw range:0:1000 --out f8: -o d.npy --quiet
expect 0 map ./f.so:draw range:0:1000 --out f8: -o e.npy --seed 0 --caller only --quiet
cmp a.npy b.npy || fail "the same seed gives other numbers"
cmp -s a.npy c.npy && fail "another seed gives the same numbers"
cmp d.npy e.npy || fail "the default seed is not 0"
expect 2 map ./f.so:draw range:0:1000 --out f8: -o f.npy --seed -1
says "--seed -1"
expect 2 map ./f.so:draw range:0:1000 --out f8: -o f.npy --seed many
