/* SPDX-License-Identifier: MIT */

/*
 * kmeans: Lloyd's iteration. A pass assigns each point to its nearest centre, and sums the points
 * of each centre; one block of points is one item, all blocks cost the same. Between two passes
 * the caller moves each centre to the mean of its points.
 *
 * Source     Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28
 *            (1982); the reduction over blocks: Dhillon and Modha, "A Data-Clustering Algorithm on
 *            Distributed Memory Multiprocessors", LNAI 1759 (2000).
 * Work       3 x dims x centres [flop] per point and pass for the distances, and dims + 1 for the
 *            sums.
 * Traffic    8 x dims [bytes] read per point, and 8 x centres x (dims + 1) written per block.
 *
 * Points are lanes of the loops over centres and coordinates, four coordinates at a time. A
 * distance is summed in the order of the coordinates, and a point as near to two centres belongs
 * to the first. The points of a block are added in their order, and blocks in theirs, whoever
 * computed them: centres have the same bits for any number of workers.
 */

#include "clones.h"
#include "kmeans.h"

#include <math.h>
#include <string.h>

#define LANES FMK_KMEANS_LANES

/* Adds the squares of the differences in four coordinates. */
FMK_INLINE void add_four_dims(double *restrict distance, const double *restrict points,
                              const double *restrict centre)
{
    const double a = centre[0], b = centre[1], c = centre[2], d = centre[3];
    for (int l = 0; l < LANES; l++) {
        const double p = points[l] - a, q = points[LANES + l] - b;
        const double r = points[2 * LANES + l] - c, s = points[3 * LANES + l] - d;
        distance[l] = distance[l] + p * p + q * q + r * r + s * s;
    }
}

FMK_INLINE void find_distances(double *restrict distance, const double *restrict points,
                               const double *restrict centre, int64_t n_dims)
{
    int64_t k = 0;
    for (int l = 0; l < LANES; l++)
        distance[l] = 0.0;
    for (; k + 4 <= n_dims; k += 4)
        add_four_dims(distance, points + k * LANES, centre + k);
    for (; k < n_dims; k++)
        for (int l = 0; l < LANES; l++) {
            const double p = points[k * LANES + l] - centre[k];
            distance[l] += p * p;
        }
}

/* The nearest centre of each lane's point; as wide as the doubles, so that one mask serves both. */
FMK_INLINE void find_nearest(const struct fmk_kmeans_ctx *c, const double *restrict points,
                             int64_t *restrict nearest)
{
    double least[LANES], distance[LANES];
    for (int l = 0; l < LANES; l++) {
        least[l] = INFINITY;
        nearest[l] = 0;
    }
    for (int64_t k = 0; k < c->n_centres; k++) {
        find_distances(distance, points, c->centres + k * c->n_dims, c->n_dims);
        for (int l = 0; l < LANES; l++) {
            /* A choice would become a store under a mask, with a branch around it. */
            const int64_t closer = -(int64_t)(distance[l] < least[l]);
            nearest[l] = (k & closer) | (nearest[l] & ~closer);
            least[l] = distance[l] < least[l] ? distance[l] : least[l];
        }
    }
}

FMK_INLINE void add_points(const struct fmk_kmeans_ctx *c, const double *restrict points,
                           const int64_t *restrict nearest, int64_t n, double *restrict sums)
{
    const int64_t n_dims = c->n_dims;
    for (int64_t l = 0; l < n; l++) {
        double *restrict sum = sums + nearest[l] * (n_dims + 1);
        for (int64_t k = 0; k < n_dims; k++)
            sum[k] += points[k * LANES + l];
        sum[n_dims] += 1.0;
    }
}

FMK_CLONES void fmk_kmeans_range(int64_t begin, int64_t end, const void *ctx)
{
    const struct fmk_kmeans_ctx *c = ctx;
    const int64_t row = c->n_centres * (c->n_dims + 1);
    for (int64_t block = begin; block < end; block++) {
        const int64_t left = c->n_points - block * c->block, n = left < c->block ? left : c->block;
        double *sums = c->sums + block * row;
        memset(sums, 0, (size_t)row * sizeof *sums);
        for (int64_t first = 0; first < n; first += LANES) {
            const double *points = c->points + fmk_kmeans_place(c, block * c->block + first);
            int64_t nearest[LANES];
            find_nearest(c, points, nearest);
            add_points(c, points, nearest, n - first < LANES ? n - first : LANES, sums);
        }
    }
}
