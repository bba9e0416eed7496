/* SPDX-License-Identifier: MIT */
/* Calibration of the tick. `pause` costs 10-140 cycles by CPU, so spins are counted in ticks instead. */
#include "clock.h"

#include <stdatomic.h>

enum { CALIBRATION_NS = 200000, READING_NS = 1000, MOST_TRIES = 100 };

/* Both clocks at one moment: a reading during which the process was put aside is taken again. */
static void read_both(int64_t *ns, uint64_t *ticks)
{
    int64_t before, after;
    int tries = 0;
    do {
        before = fmi_now_ns();
        *ticks = fmi_ticks();
        after = fmi_now_ns();
    } while (after - before > READING_NS && ++tries < MOST_TRIES);
    *ns = before + (after - before) / 2;
}

static double measure_ticks_per_ns(void)
{
    int64_t begin_ns, end_ns;
    uint64_t begin, end;
    read_both(&begin_ns, &begin);
    do
        read_both(&end_ns, &end);
    while (end_ns - begin_ns < CALIBRATION_NS);
    return (double)(end - begin) / (double)(end_ns - begin_ns);
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
