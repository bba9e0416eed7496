#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# A chunk function gets runs of rows with their strides; raw binary in Fortran order gives the same rows.
. "$(dirname "$0")/common.bash"
library f <<'C'
#include <forkmap/forkmap.h>
int sum(const fm_chunk *c, void *arg)
{
    const int64_t step = fm_array_strides(c->in_array[0])[1];
    (void)arg;
    for (int64_t r = 0; r < c->count; r++) {
        const char *row = (const char *)c->in[0] + r * c->in_stride[0];
        const float x = *(const float *)row, y = *(const float *)(row + step);
        *(float *)((char *)c->out + r * c->out_stride) = x + 2 * y;
    }
    return 0;
}
C
program make <<'C'
#include "npy.h"
int main(void)
{
    FILE *c = fopen("c:1.bin", "wb"), *f = fopen("f.bin", "wb");
    for (int column = 0; column < 2; column++)
        for (int i = 0; i < 500; i++) {
            const float x = (float)(column == 0 ? i : i * i);
            fwrite(&x, 4, 1, f);
        }
    for (int i = 0; i < 500; i++) {
        const float row[2] = {(float)i, (float)(i * i)};
        fwrite(row, 4, 2, c);
    }
    return fclose(c) != 0 || fclose(f) != 0;
}
C
program check <<'C'
#include "npy.h"
int main(int argc, char **argv)
{
    const float *y = npy_load(argv[argc - 1], "<f4", "(500,)", 500, 4);
    for (int i = 0; i < 500; i++)
        if (y[i] != (float)i + 2 * (float)(i * i))
            return 1;
    return 0;
}
C
./make || fail "no inputs"
expect 0 map ./f.so:sum raw:f4:500x2:c:1.bin --chunk-fn --out f4: -o c.npy
expect 0 map ./f.so:sum raw:f4:?x2:F:f.bin --chunk-fn --out f4: -o f.npy --workers 2
./check c.npy || fail "wrong in C order"
./check f.npy || fail "wrong in F order"
expect 3 map ./f.so:sum raw:f4:501x2:F:f.bin --chunk-fn --out f4: -o x.npy
expect 2 map ./f.so:sum raw:f4:500y2:F:f.bin --chunk-fn --out f4: -o x.npy
expect 2 map ./f.so:sum raw:f4 --chunk-fn --out f4: -o x.npy
absent x.npy
