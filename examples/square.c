/* SPDX-License-Identifier: MIT */
/* The shortest program: squares of a million numbers, one worker process per usable core. */
#include <forkmap/forkmap.h>
#include <stdio.h>

/* Called once per row. 0 is success; anything else fails this item and no other. */
static int square(const void *item, void *result, void *arg)
{
    const double x = *(const double *)item;
    (void)arg;
    *(double *)result = x * x;
    return 0;
}

int main(void)
{
    FM_AUTO(fm_pool) pool = NULL; /* destroyed at the end of main */
    FM_AUTO(fm_array) in = NULL;
    FM_AUTO(fm_array) out = NULL;
    const int64_t n = 1000000;
    int rc = fm_pool_open(&pool, NULL);
    if (rc == 0)
        rc = fm_array_arange(&in, FM_F64, 0, (double)n, 1);
    if (rc == 0)
        rc = fm_array_create(&out, FM_F64, 1, &n, NULL);
    if (rc == 0)
        rc = fm_pool_map(pool, square, in, out, NULL);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    printf("999 * 999 = %.0f\n", ((const double *)fm_array_data(out))[999]);
    return 0;
}
