/* SPDX-License-Identifier: MIT */
/*
 * The first program of the chapter "multiprocessing" of Python's manual:
 *
 *     def f(x):
 *         return x*x
 *     with Pool(5) as p:
 *         print(p.map(f, [1, 2, 3]))
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

static int f(const void *item, void *result, void *arg)
{
    const int64_t x = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = x * x;
    return 0;
}

static void print_list(const fm_array *list)
{
    const int64_t *x = fm_array_data(list);
    for (int64_t i = 0; i < fm_array_len(list); i++)
        printf("%s%lld", i == 0 ? "[" : ", ", (long long)x[i]);
    printf("]\n");
}

int main(void)
{
    FM_AUTO(fm_pool) p = NULL; /* is terminated at the end of the scope, as by `with` */
    FM_AUTO(fm_array) in = NULL;
    FM_AUTO(fm_array) out = NULL;
    const int64_t n = 3;
    int rc = fm_pool_open(&p, FM_POOL_OPTS(.workers = 5));
    if (rc == 0)
        rc = fm_array_from(&in, (const int64_t[]){1, 2, 3}, FM_I64, 1, &n);
    if (rc == 0)
        rc = fm_array_create(&out, FM_I64, 1, &n, NULL);
    if (rc == 0)
        rc = fm_pool_map(p, f, in, out, NULL);
    if (rc != 0) {
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
        return 1;
    }
    print_list(out);
    return 0;
}
