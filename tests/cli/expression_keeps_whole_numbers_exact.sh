#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 40
# n0 is the whole number that the file holds, also beyond 2^53, where x0 is rounded.
. "$(dirname "$0")/common.bash"
program make <<'C'
#include "npy.h"
#include <stdint.h>
int main(void)
{
    FILE *i = fopen("i.bin", "wb"), *u = fopen("u.bin", "wb");
    for (int k = 0; k < 100; k++) {
        fwrite(&(int64_t){INT64_MIN + k}, 8, 1, i);
        fwrite(&(uint64_t){UINT64_MAX - k}, 8, 1, u);
    }
    return fclose(i) != 0 || fclose(u) != 0;
}
C
program check <<'C'
#include "npy.h"
#include <stdint.h>
int main(int argc, char **argv)
{
    const int64_t *i = npy_load(argv[1], "<i8", "(100,)", 100, 8);
    const uint64_t *u = npy_load(argv[2], "<u8", "(100,)", 100, 8);
    const uint8_t *m = npy_load(argv[argc - 1], "|u1", "(100, 2)", 200, 1);
    for (int k = 0; k < 100; k++)
        if (i[k] != INT64_MIN + k + 1 || u[k] != (UINT64_MAX - k) / 3 ||
            m[2 * k] != (UINT64_MAX - k) % 251 || m[2 * k + 1] != (k + 1000) % 7)
            return 1;
    return 0;
}
C
./make || fail "no inputs"
expect 0 map -e 'n0 + 1' raw:i8:100:i.bin --out i8 -o i.npy
expect 0 map -e 'n0 / 3' raw:u8:100:u.bin --out u8 -o u.npy
expect 0 map -e 'n0 % 251; n1 % 7' raw:u8:100:u.bin range:1000:1100 --out u1 -o m.npy
./check i.npy u.npy m.npy || fail "wrong"
expect 0 map -e 'n0 == 0 && n0 != 0.5 && n0 / 2 == 0' range:0:1 --out b1 -o b.npy
expect 0 map -e 'n0 + 1' b.npy --out i8 -o two.npy
expect 0 map -e 'x0' range:0:10 -o f.npy
expect 2 map -e '1 + n0' f.npy -o x.npy
says "f.npy has no whole numbers but f8" "      ^" "(int64_t)x0"
absent x.npy
