#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli
# TIMEOUT: 60
# Matrices, an image, a sparse matrix and points from .npy files go through the kernels, and are checked.
. "$(dirname "$0")/common.bash"
library make <<'C'
#include <stdint.h>
/* Row i of a matrix of doubles, of an image, of a CSR matrix with 2 i entries per row, and of points. */
int a(const void *item, void *row, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    for (int k = 0; k < 3; k++)
        ((double *)row)[k] = (double)(i * 3 + k);
    return 0;
}
int pixels(const void *item, void *row, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    for (int k = 0; k < 5; k++)
        ((float *)row)[k] = (float)(i * k);
    return 0;
}
int start(const void *item, void *row, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)row = i * (i - 1);
    return 0;
}
int column(const void *item, void *row, void *arg)
{
    (void)arg;
    *(int32_t *)row = (int32_t)(*(const int64_t *)item % 7);
    return 0;
}
int one(const void *item, void *row, void *arg)
{
    (void)item, (void)arg;
    *(double *)row = 1.0;
    return 0;
}
int point(const void *item, void *row, void *arg)
{
    const int64_t i = *(const int64_t *)item;
    (void)arg;
    ((double *)row)[0] = (double)(i % 2 * 1000 + i % 10);
    ((double *)row)[1] = (double)(i % 3);
    return 0;
}
C
program check <<'C'
#include "npy.h"
int main(void)
{
    const double *c = npy_load("c.npy", "<f8", "(50, 3)", 150, 8), *y = npy_load("y.npy", "<f8", "(4,)", 4, 8);
    const double *sums = npy_load("sums.npy", "<f8", "(3, 2, 3)", 18, 8);
    for (int i = 0; i < 50; i++)
        for (int j = 0; j < 3; j++)
            if (c[3 * i + j] != 27 * i + 15 + 3 * j * (3 * i + 1)) /* by hand: rows 3 i + k, 3 k + j */
                return 1;
    for (int i = 0; i < 4; i++)
        if (y[i] != 2 * i)
            return 2;
    double n = 0;
    for (int k = 0; k < 6; k++)
        n += sums[3 * k + 2];
    return n == 300 ? 0 : 3;
}
C
expect 0 map ./make.so:a range:0:50 --out f8:3 -o a.npy
expect 0 map ./make.so:a range:0:3 --out f8:3 -o b.npy
expect 0 map matmul a.npy --arg b=b.npy --verify -o c.npy
says "verified: C x = A (B x) in all 50 rows"

expect 0 map ./make.so:pixels range:0:40 --out f4:5 -o image.npy
for border in edge reflect wrap zero; do
    expect 0 map conv2d image.npy --arg "border=$border" --arg radius=3 --verify -o filtered.npy
    says "verified: 40 of 40 rows"
done

expect 0 map ./make.so:start range:0:5 --out i8: -o indptr.npy
expect 0 map ./make.so:column range:0:12 --out i4: -o indices.npy
expect 0 map ./make.so:one range:0:12 --out f8: -o data.npy
expect 0 map ./make.so:one range:0:7 --out f8: -o x.npy
csr="--arg indptr=indptr.npy --arg indices=indices.npy --arg data=data.npy --arg x=x.npy"
# shellcheck disable=SC2086  # the words are to be split
expect 0 run spmv $csr --verify -o y.npy
says "verified: 4 elements, 12 entries"

expect 0 map ./make.so:point range:0:300 --out f8:2 -o points.npy
kmeans="--arg points=points.npy --arg k=2 --arg block=128"
# shellcheck disable=SC2086
expect 0 run kmeans $kmeans --verify --workers 1 -o sums.npy
says "verified: 300 points assigned again"
for how in "--workers 3 --schedule static" "--workers 2 --schedule dynamic" "--workers 2 --caller works"; do
    # shellcheck disable=SC2086
    expect 0 run kmeans $kmeans $how -o other.npy
    cmp sums.npy other.npy || fail "kmeans $how: other bits"
done
./check || fail "a wrong result, number $?"

# What does not fit is refused before any work, and leaves no file.
expect 2 map matmul image.npy --arg b=b.npy -o no.npy
says "column a is f4 of shape 40 x 5; f8 of shape n x any is needed"
expect 2 map matmul a.npy --arg b=a.npy -o no.npy
says "has 50 rows, but A 3 columns"
expect 3 map matmul a.npy --arg b=gone.npy -o no.npy
says gone.npy
expect 2 map conv2d image.npy --arg filter=b.npy --arg radius=1 -o no.npy
expect 2 run spmv --arg indptr=indptr.npy -o no.npy
says "indices is missing"
expect 2 run kmeans --arg points=x.npy -o no.npy
says "has 1 axes of f8; 2 of f8 are needed"
absent no.npy
