/* SPDX-License-Identifier: MIT */
/* Calibration of the tick. `pause` costs 10-140 cycles by CPU, so spins are counted in ticks instead. */
#include "clock.h"

#include <stdatomic.h>

enum { CALIBRATION_NS = 200000 };

static double measure_ticks_per_ns(void)
{
    int64_t begin_ns = fmi_now_ns();
    uint64_t begin = fmi_ticks();
    int64_t end_ns;
    do
        end_ns = fmi_now_ns();
    while (end_ns - begin_ns < CALIBRATION_NS);
    return (double)(fmi_ticks() - begin) / (double)(end_ns - begin_ns);
}

double fmi_ticks_per_ns(void)
{
    static _Atomic double ratio; /* private to the process; a child inherits the parent's */
    double known =
        atomic_load_explicit(&ratio, memory_order_relaxed); /* one value, no order needed */
    if (known > 0)
        return known;
    known = measure_ticks_per_ns();
    atomic_store_explicit(&ratio, known, memory_order_relaxed);
    return known;
}
