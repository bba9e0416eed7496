#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 40
# Complex inputs and outputs: functions take them as they are, a complex result needs a complex type.
. "$(dirname "$0")/common.bash"
program check -lm <<'C'
#include "npy.h"
#include <complex.h>
#include <math.h>
int main(int argc, char **argv)
{
    const double complex *z = npy_load(argv[1], "<c16", "(100,)", 100, 16);
    const float complex *f = npy_load(argv[2], "<c8", "(100,)", 100, 8);
    const double *r = npy_load(argv[argc - 1], "<f8", "(100, 2)", 200, 8);
    for (int i = 0; i < 100; i++) {
        const double complex want = csqrt(i - 50.0) + 2 * I;
        if (z[i] != want || f[i] != (float complex)conj(want) || r[2 * i] != cabs(want * want) ||
            r[2 * i + 1] != cimag(cexp(want)))
            return 1;
    }
    return 0;
}
C
expect 0 map -e 'csqrt(x0 - 50) + 2*I' range:0:100 --out c16 -o z.npy
expect 0 map -e 'conj(x)' z.npy --out c8 -o f.npy
expect 0 map -e 'fabs(x0*x0); cimag(exp(x0))' z.npy -o r.npy
./check z.npy f.npy r.npy || fail "wrong"
expect 2 map -e 'x0' z.npy -o x.npy
says "the result is complex" "--out c16"
expect 2 map -e 'x0 < 1' z.npy -o x.npy
says "x0 < 1"
absent x.npy
