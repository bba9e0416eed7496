#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# An expression that divides whole numbers by zero costs the items that do; their record names them.
. "$(dirname "$0")/common.bash"
program check <<'C'
#include "npy.h"
int main(int argc, char **argv)
{
    const long *r = npy_load(argv[argc - 1], "<i8", "(1000,)", 1000, 8);
    for (long i = 0; i < 1000; i++)
        if (r[i] != (i == 777 ? 0 : 100000 / (i - 777)))
            return 1;
    return 0;
}
C
expect 1 map -e '100000 / ((int64_t)x0 - 777)' range:0:1000 --out i8 -o r.npy --on-error continue --retries 1
says "item 777: crashed by SIGFPE" "1 of 1000 items failed"
./check r.npy || fail "other items are wrong"
expect 1 map -e '100000 / ((int64_t)x0 - 777)' range:0:1000 --out i8 -o x.npy --json
shows '"item":777'
absent x.npy
