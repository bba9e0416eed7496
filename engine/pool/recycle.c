/* SPDX-License-Identifier: MIT */
/* Counting what a worker has run, and what it takes; see recycle.h. */
#include "recycle.h"

#include "clock.h"
#include "process.h"

enum {
    LOOK_NS = 1000000
}; /* a look costs some microseconds: three calls, and the kernel makes a text */

struct fmi_recycle *fmi_recycle_init(struct fmi_recycle *recycle, const struct fmi_pool_view *view)
{
    *recycle = (struct fmi_recycle){.max_tasks = view->max_tasks, .max_bytes = view->max_bytes};
    return view->max_tasks > 0 || view->max_bytes > 0 ? recycle : NULL;
}

static void look(struct fmi_recycle *recycle, uint64_t now)
{
    recycle->look_ticks = now;
    recycle->is_unseen = 0;
    if (fmi_sys_private_bytes() > recycle->max_bytes)
        recycle->is_due = 1;
}

void fmi_recycle_count_one(struct fmi_recycle *recycle)
{
    if (++recycle->n_tasks == recycle->max_tasks)
        recycle->is_due = 1;
    if (recycle->max_bytes == 0)
        return;
    uint64_t now = fmi_ticks();
    recycle->is_unseen = 1;
    if (now - recycle->look_ticks >= fmi_ticks_of_ns(LOOK_NS))
        look(recycle, now);
}

void fmi_recycle_look(struct fmi_recycle *recycle)
{
    if (recycle->is_unseen)
        look(recycle, fmi_ticks());
}
