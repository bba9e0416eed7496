#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# -e gives the bits of the same loop in C, for any number of workers and any chunk.
. "$(dirname "$0")/common.bash"
program make <<'C'
#include "npy.h"
int main(void)
{
    FILE *a = fopen("a.bin", "wb"), *b = fopen("b.bin", "wb");
    for (int i = 0; i < 10007; i++) {
        const double x = 1e-3 * i * i, y = 1.0 / (i + 1);
        fwrite(&x, 8, 1, a);
        fwrite(&y, 8, 1, b);
    }
    return fclose(a) != 0 || fclose(b) != 0;
}
C
program check -ffp-contract=off -lm <<'C'
#include "npy.h"
#include <math.h>
int main(int argc, char **argv)
{
    const double *r = npy_load(argv[argc - 1], "<f8", "(10007,)", 10007, 8);
    for (int i = 0; i < 10007; i++) {
        const double x = 1e-3 * i * i, y = 1.0 / (i + 1), want = sqrt(x * x + y * y);
        if (memcmp(&r[i], &want, 8) != 0)
            return 1;
    }
    return 0;
}
C
./make || fail "no inputs"
a=raw:f8:10007:a.bin b=raw:f8:10007:b.bin
expect 0 map -e 'sqrt(x0*x0 + x1*x1)' $a $b -o r.npy
./check r.npy || fail "not the bits of a loop"
expect 0 map $a $b -o s.npy -w 1 --chunk 7 --expression 'sqrt(x0*x0 + x1*x1)'
cmp r.npy s.npy || fail "chunks of 7 give other bits"
expect 0 map -e 'sqrt(x*x + x1*x1)' $a $b -o s.npy -w 3 --chunk 1 --schedule dynamic --caller works
cmp r.npy s.npy || fail "x is not x0, or chunks of 1 give other bits"
expect 0 map -e '
    sqrt(x0*x0
       + x1*x1)
' $a $b -o s.npy
cmp r.npy s.npy || fail "an expression of several lines gives other bits"
