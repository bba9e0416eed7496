/* SPDX-License-Identifier: MIT */
/* Random numbers inside functions: the seed is the map's, and nothing of the worker goes into them. */
#include "run.h"

#include <forkmap/random.h>

fm_random fm_rng(int64_t item)
{
    const struct fmi_runner *r = fmi_runner_current();
    uint64_t seed = r == NULL ? 0 : r->task != NULL ? r->seed : r->plan->seed;
    return fm_random_at(seed, (uint64_t)item);
}
