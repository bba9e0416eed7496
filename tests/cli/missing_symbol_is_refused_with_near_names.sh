#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A function that the library lacks is a wrong word: the near ones are named, and so are C++ names and variables.
. "$(dirname "$0")/common.bash"
library f <<'C'
int energy(const void *item, void *result, void *arg)
{
    (void)item;
    (void)arg;
    *(double *)result = 1;
    return 0;
}
int _Z5scorePKvPvS1_(void)
{
    return 0;
}
int table[4] = {1, 2, 3, 4};
C
expect 2 map ./f.so:enregy range:0:10 --out f8: -o out.npy
says "no symbol 'enregy' in ./f.so" "did you mean energy?"
expect 2 map ./f.so:xyz range:0:10 --out f8: -o out.npy
says "the library exports" "energy"
expect 2 map ./f.so:score range:0:10 --out f8: -o out.npy
says 'extern "C"'
expect 2 map ./f.so:table range:0:10 --out f8: -o out.npy
says "'table' is a variable, not a function"
expect 2 map ./f.so: range:0:10 --out f8: -o out.npy
absent out.npy
