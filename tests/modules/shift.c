/* SPDX-License-Identifier: MIT */
/* Another library for test_module.c: the same layout as scale.c, other results. */
#include <forkmap/function.h>

fm_item_fn shift;

__attribute__((visibility("default"))) int shift(const void *item, void *result, void *arg)
{
    (void)arg;
    *(int64_t *)result = *(const int64_t *)item + 1000;
    return 0;
}
