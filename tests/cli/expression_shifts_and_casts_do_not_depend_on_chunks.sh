#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# Shifts too far and doubles that do not fit the type of a cast: C leaves open what becomes of them, but it is the same for
# any number of workers and any chunk.
. "$(dirname "$0")/common.bash"
program make <<'C'
#include <stdint.h>
#include <stdio.h>
int main(void)
{
    const double wild[] = {-1, 5e9, 1e300, -5e9, 3e10, 0.0 / 0.0, 300, -1e19};
    FILE *a = fopen("wild.bin", "wb"), *b = fopen("far.bin", "wb");
    for (int i = 0; i < 1003; i++) {
        const int64_t far = i % 130 - 2;
        fwrite(&wild[i % 8], 8, 1, a);
        fwrite(&far, 8, 1, b);
    }
    return fclose(a) != 0 || fclose(b) != 0;
}
C
./make || fail "no inputs"
wild=raw:f8:1003:wild.bin far=raw:i8:1003:far.bin
while read -r expression; do
    expect 0 map -e "$expression" $wild $far -o want.npy -w 1
    expect 0 map -e "$expression" $wild $far -o out.npy -w 2 --chunk 1
    cmp -s out.npy want.npy || fail "chunks of 1 give other bits: $expression"
    expect 0 map -e "$expression" $wild $far -o out.npy -w 3 --chunk 37
    cmp -s out.npy want.npy || fail "chunks of 37 give other bits: $expression"
done <<'EXPRESSIONS'
1 << n1
n1 << n1
1u >> n1
(uint32_t)x0
(unsigned)x0 >> 3
(int8_t)x0; (uint16_t)x0; (int16_t)x0; (uint64_t)x0
EXPRESSIONS
