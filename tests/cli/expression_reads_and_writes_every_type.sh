#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 120
# -e reads every real type as the same number, and writes every type: rounded towards 0, cut to its limits, 0 for a nan.
. "$(dirname "$0")/common.bash"
program make <<'C'
#include "npy.h"
#include <stdint.h>
#define WRITE(name, type)                                                                          \
    do {                                                                                           \
        FILE *f = fopen(name ".bin", "wb");                                                        \
        for (int i = 0; i < 100; i++)                                                              \
            fwrite(&(type){(type)(i % 2)}, sizeof(type), 1, f);                                    \
        bad |= fclose(f);                                                                          \
    } while (0)
int main(void)
{
    int bad = 0;
    WRITE("i1", int8_t);
    WRITE("i2", int16_t);
    WRITE("i4", int32_t);
    WRITE("i8", int64_t);
    WRITE("u1", uint8_t);
    WRITE("u2", uint16_t);
    WRITE("u4", uint32_t);
    WRITE("u8", uint64_t);
    WRITE("f4", float);
    WRITE("f8", double);
    WRITE("b1", uint8_t);
    return bad;
}
C
program check <<'C'
#include "npy.h"
#include <math.h>
#include <stdint.h>
/* Items: 0 is -2.7, 1 is 2.7, 2 is 1e30, 3 is -1e30, 4 is nan. */
#define CHECK(name, type, minus, two, most, least)                                                 \
    if (strcmp(argv[1], name) == 0) {                                                              \
        const type *r = npy_load("r.npy", argv[2], "(5,)", 5, sizeof(type));                       \
        return r[0] != (type)(minus) || r[1] != 2 || r[2] != (most) || r[3] != (least) || r[4] != 0; \
    }
int main(int argc, char **argv)
{
    if (argc == 2) { /* i % 2 of a hundred items, halved */
        const double *r = npy_load(argv[1], "<f8", "(100,)", 100, 8);
        for (int i = 0; i < 100; i++)
            if (r[i] != (i % 2) / 2.0)
                return 1;
        return 0;
    }
    CHECK("i1", int8_t, -2, 2, INT8_MAX, INT8_MIN)
    CHECK("i2", int16_t, -2, 2, INT16_MAX, INT16_MIN)
    CHECK("i4", int32_t, -2, 2, INT32_MAX, INT32_MIN)
    CHECK("i8", int64_t, -2, 2, INT64_MAX, INT64_MIN)
    CHECK("u1", uint8_t, 0, 2, UINT8_MAX, 0)
    CHECK("u2", uint16_t, 0, 2, UINT16_MAX, 0)
    CHECK("u4", uint32_t, 0, 2, UINT32_MAX, 0)
    CHECK("u8", uint64_t, 0, 2, UINT64_MAX, 0)
    if (strcmp(argv[1], "f4") == 0) {
        const float *r = npy_load("r.npy", argv[2], "(5,)", 5, 4);
        return r[0] != -2.7f || r[1] != 2.7f || r[2] != 1e30f || r[3] != -1e30f || r[4] == r[4];
    }
    if (strcmp(argv[1], "f8") == 0) {
        const double *r = npy_load("r.npy", argv[2], "(5,)", 5, 8);
        return r[0] != -2.7 || r[1] != 2.7 || r[2] != 1e30 || r[3] != -1e30 || r[4] == r[4];
    }
    if (strcmp(argv[1], "b1") == 0) {
        const uint8_t *r = npy_load("r.npy", argv[2], "(5,)", 5, 1);
        return r[0] != 1 || r[1] != 1 || r[2] != 1 || r[3] != 1 || r[4] != 1;
    }
    return 1;
}
C
./make || fail "no inputs"
for type in i1 i2 i4 i8 u1 u2 u4 u8 f4 f8 b1; do
    expect 0 map -e 'x0 / 2' "raw:$type:100:$type.bin" -o half.npy
    ./check half.npy || fail "reads $type wrong"
    case $type in
    i1 | u1) descr="|$type" ;;
    b1) descr="|b1" ;;
    *) descr="<$type" ;;
    esac
    expect 0 map -e 'x == 0 ? -2.7 : x == 1 ? 2.7 : x == 2 ? 1e30 : x == 3 ? -1e30 : nan' range:0:5 --out $type -o r.npy
    ./check $type "$descr" || fail "writes $type wrong"
done
expect 2 map -e 'x0' range:0:5 --out V8 -o x.npy
says "the results of -e are numbers"
printf '%80s' '' >records.bin
expect 2 map -e 'x0' raw:V8:10:records.bin -o x.npy
says "records.bin has records (V8), not numbers"
absent x.npy
