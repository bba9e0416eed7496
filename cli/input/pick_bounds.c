/* SPDX-License-Identifier: MIT */
/* Bounds as Python counts them. Apart from the rest, since the module that reads HDF5 needs them, too. */
#include "pick.h"

int fmc_pick_settle(int64_t *bound, int64_t n)
{
    if (*bound < 0 && __builtin_add_overflow(*bound, n, bound))
        return 0;
    return *bound >= 0 && *bound <= n;
}

int fmc_pick_bounds(const struct fmc_pick *pick, int64_t n, int64_t *begin, int64_t *end)
{
    *begin = pick->rows != NULL ? pick->begin : 0;
    *end = pick->rows != NULL && pick->has_end ? pick->end : n;
    return fmc_pick_settle(begin, n) && fmc_pick_settle(end, n) && *begin <= *end;
}
