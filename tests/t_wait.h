/* SPDX-License-Identifier: MIT */
/* What fm_wait() is to say. */
#ifndef T_WAIT_H
#define T_WAIT_H

#include "t_pool.h"

/* Which of n objects are ready; the same count when nobody asks which. */
static inline void t_expect_wait(const fm_waitable *objects, int n, int64_t timeout,
                                 const int *expected)
{
    int ready[8], n_expected = 0;
    for (int i = 0; i < n; i++)
        n_expected += expected[i];
    t_expect(fm_wait(objects, n, ready, timeout), n_expected);
    for (int i = 0; i < n; i++)
        assert_int_equal(ready[i], expected[i]);
    t_expect(fm_wait(objects, n, NULL, timeout) > 0, 1);
}

#endif
