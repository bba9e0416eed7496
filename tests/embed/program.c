/* SPDX-License-Identifier: MIT */
/* A program outside the tree, in C11: what the macros of the headers make, a map, a failure's record, a crash. */
#include <forkmap/forkmap.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 10007 };

struct point {
    double x, y;
};

static inline double norm(const struct point *p, double scale)
{
    return scale * sqrt(p->x * p->x + p->y * p->y);
}
static FM_CHUNK_FN(scaled_norm, struct point, double, norm(&x, *(const double *)arg))

    static int crash_at_7(const void *item, void *result, void *arg)
{
    const struct point *p = (const struct point *)item;
    (void)arg;
    fm_note("point %g", p->x);
    if (p->x == 7)
        abort();
    *(double *)result = p->y;
    return 0;
}

static int complain(const char *what, int rc)
{
    fprintf(stderr, "%s: %s: %s\n", what, fm_errname(rc), fm_error_detail());
    return 1;
}

static int check_norms(fm_pool *pool, fm_array *points, fm_array *out)
{
    double scale = 3;
    const struct point *p = (const struct point *)fm_array_data(points);
    const double *y = (const double *)fm_array_data(out);
    const int rc = fm_pool_map_chunks(pool, scaled_norm, points, out,
                                      FM_MAP_OPTS(.arg = &scale, .arg_bytes = sizeof scale));
    if (rc != 0)
        return complain("map_chunks", rc);
    for (int i = 0; i < N; i++)
        if (y[i] != norm(&p[i], scale))
            return complain("a wrong norm", 0);
    return 0;
}

static int check_crash(fm_pool *pool, fm_array *points, fm_array *out)
{
    fm_failure f;
    const int rc = fm_pool_map(pool, crash_at_7, points, out, NULL);
    if (rc != FM_ECRASHED)
        return complain("a crash was expected", rc);
    if (fm_pool_failures(pool, &f, 1) != 1 || f.item != 7)
        return complain("one record was expected, of item 7", rc);
    printf("item %lld: %s, note: %s\n", (long long)f.item, fm_item_state_name(f.state), f.note);
    return 0;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL;
    FM_AUTO(fm_array) points = NULL;
    FM_AUTO(fm_array) out = NULL;
    const int64_t shape[] = {N, 2};
    int rc = fm_pool_open(&pool, FM_POOL_OPTS(.workers = 3));
    if (rc == 0)
        rc = fm_array_create(&points, FM_F64, 2, shape,
                             FM_ARRAY_OPTS(.order = FM_ORDER_C, .zero = 1));
    if (rc == 0)
        rc = fm_array_zeros(&out, FM_F64, 1, shape);
    if (rc != 0)
        return complain("setting up", rc);
    struct point *p = (struct point *)fm_array_data(points);
    for (int i = 0; i < N; i++) {
        p[i].x = i;
        p[i].y = -0.5 * i;
    }
    return check_norms(pool, points, out) != 0 || check_crash(pool, points, out) != 0;
}
