#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# x0[2] and x0[1][2] are elements of a row, whatever the order of the file; semicolons make a row of results.
. "$(dirname "$0")/common.bash"
program make <<'C'
#include "npy.h"
/* Element (i, j, k) of 500 x 2 x 3 is 100 i + 10 j + k. */
int main(void)
{
    FILE *c = fopen("c.bin", "wb"), *f = fopen("f.bin", "wb");
    for (int i = 0; i < 500; i++)
        for (int jk = 0; jk < 6; jk++)
            fwrite(&(float){(float)(100 * i + 10 * (jk / 3) + jk % 3)}, 4, 1, c);
    for (int kj = 0; kj < 6; kj++)
        for (int i = 0; i < 500; i++)
            fwrite(&(float){(float)(100 * i + 10 * (kj % 2) + kj / 2)}, 4, 1, f);
    return fclose(c) != 0 || fclose(f) != 0;
}
C
program check <<'C'
#include "npy.h"
int main(int argc, char **argv)
{
    const double *r = npy_load(argv[argc - 1], "<f8", "(500, 2)", 1000, 8);
    for (int i = 0; i < 500; i++)
        if (r[2 * i] != 100.0 * i + 12 || r[2 * i + 1] != 2 * (100.0 * i + 1) + i)
            return 1;
    return 0;
}
C
./make || fail "no inputs"
for order in C F; do
    file=$(echo $order | tr CF cf).bin
    expect 0 map -e 'x0[1][2]; 2 * x[ 0 ][1] + i' raw:f4:?x2x3:$order:$file -o r.npy --chunk 33
    ./check r.npy || fail "wrong in order $order"
done
expect 0 map -e 'x0[5]; 2 * x[1] + i' raw:f4:?x6:C:c.bin --out f8:2 -o r.npy
./check r.npy || fail "wrong with rows of one axis"
expect 0 map -e 'x0' raw:f4:3000x1:c.bin -o r.npy
expect 2 map -e 'x0 + 1' raw:f4:?x6:c.bin -o x.npy
says "the rows of raw:f4:?x6:c.bin have 6 elements: this needs 1 index"
expect 2 map -e '1 + x0[6]' raw:f4:?x6:c.bin -o x.npy
says "there is no 6" "    ^"
expect 2 map -e 'x0[1]' raw:f4:?x2x3:c.bin -o x.npy
says "have 2x3 elements: this needs 2 indexes"
expect 2 map -e 'x0[i]' raw:f4:?x6:c.bin -o x.npy
says "an index is a whole number"
expect 2 map -e 'x0[99999999999999999999]' raw:f4:?x6:c.bin -o x.npy
says "this index is too large"
expect 2 map -e 'x0[0]; x0[1]' raw:f4:?x6:c.bin --out f8:3 -o x.npy
says "a row of 3 numbers for 2 results"
absent x.npy
