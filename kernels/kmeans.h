/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_KMEANS_H
#define FORKMAP_KMEANS_H

/* The points that kmeans' range function assigns to centres, block by block. */

#include <stdint.h>

#define FMK_KMEANS_LANES 32 /* points that go through the loops together */

/*
 * A block is groups of so many points, the last one filled up with zeros; a group is its points'
 * first coordinates, then their second ones, and so on.
 */
struct fmk_kmeans_ctx {
    int64_t n_points, block; /* points in all, and per block; the last block may be shorter */
    int64_t n_groups;        /* per block */
    int64_t n_dims, n_centres;
    const double *points;
    const double *centres; /* n_centres x n_dims, packed; those of the pass */
    double *sums; /* per block n_centres x (n_dims + 1): sums of coordinates, and a count */
};

/* The place of coordinate 0 of a point; each next one is FMK_KMEANS_LANES further. */
static inline int64_t fmk_kmeans_place(const struct fmk_kmeans_ctx *c, int64_t point)
{
    const int64_t in_block = point % c->block;
    const int64_t group = point / c->block * c->n_groups + in_block / FMK_KMEANS_LANES;
    return group * c->n_dims * FMK_KMEANS_LANES + in_block % FMK_KMEANS_LANES;
}

/* Items [begin, end), blocks, of the fmk_kmeans_ctx at ctx. */
void fmk_kmeans_range(int64_t begin, int64_t end, const void *ctx);

#endif
