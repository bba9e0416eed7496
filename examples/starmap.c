/* SPDX-License-Identifier: MIT */
/*
 * Several inputs at once: the distance of each of a million points to one centre. Points are rows of three floats; the centre
 * is a column of one row, which every item gets. Done twice: by an item function, and by a chunk function, which has the loop
 * in its own hands and costs no call per item.
 */
#include <forkmap/forkmap.h>
#include <math.h>
#include <stdio.h>

enum { N = 1000000 };

static float distance(const float *p, const float *q)
{
    const float x = p[0] - q[0], y = p[1] - q[1], z = p[2] - q[2];
    return sqrtf(x * x + y * y + z * z);
}

/* items[k] is the row of column k. */
static int measure(const void *const items[], void *result, void *arg)
{
    (void)arg;
    *(float *)result = distance(items[0], items[1]);
    return 0;
}

/* Consecutive items. Row r of column k is in_stride[k] * r bytes behind in[k]; the stride of the one row is 0. */
static int measure_chunk(const fm_chunk *chunk, void *arg)
{
    const char *points = chunk->in[0], *centres = chunk->in[1];
    char *out = chunk->out;
    (void)arg;
    for (int64_t r = 0; r < chunk->count; r++)
        *(float *)(out + r * chunk->out_stride) =
            distance((const float *)(points + r * chunk->in_stride[0]),
                     (const float *)(centres + r * chunk->in_stride[1]));
    return 0;
}

static void fill(float *points, float *centre)
{
    for (int i = 0; i < 3 * N; i++)
        points[i] = (float)(i % 1000);
    for (int d = 0; d < 3; d++)
        centre[d] = 1;
}

static int count_equal(const float *a, const float *b)
{
    int n = 0;
    for (int i = 0; i < N; i++)
        n += a[i] == b[i];
    return n;
}

/* Points, centre, and the results of both ways. */
static int make_arrays(fm_array *columns[2], fm_array *out[2])
{
    int rc = fm_array_create(&columns[0], FM_F32, 2, (const int64_t[]){N, 3}, NULL);
    if (rc == 0)
        rc = fm_array_create(&columns[1], FM_F32, 2, (const int64_t[]){1, 3}, NULL);
    for (int way = 0; way < 2 && rc == 0; way++)
        rc = fm_array_create(&out[way], FM_F32, 1, (const int64_t[]){N}, NULL);
    if (rc == 0)
        fill(fm_array_data(columns[0]), fm_array_data(columns[1]));
    return rc;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    fm_array *columns[2] = {NULL, NULL}, *out[2] = {NULL, NULL};
    int rc = make_arrays(columns, out);
    if (rc == 0)
        rc = fm_pool_open(&pool, NULL);
    if (rc == 0)
        rc = fm_pool_starmap(pool, measure, columns, 2, out[0], NULL);
    if (rc == 0)
        rc = fm_pool_starmap_chunks(pool, measure_chunk, columns, 2, out[1], NULL);
    if (rc == 0) {
        const float *first = fm_array_data(out[0]), *second = fm_array_data(out[1]);
        printf("point 0 is %.6f away\n", first[0]);
        printf("both ways %s\n", count_equal(first, second) == N ? "agree" : "DIFFER");
    } else {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    }
    for (int i = 0; i < 2; i++) {
        fm_array_destroy(columns[i]);
        fm_array_destroy(out[i]);
    }
    return rc != 0;
}
