/* SPDX-License-Identifier: MIT */
/* The recursive robust lock; see rlock.h. */
#include "rlock.h"

#include "clock.h"

#include <errno.h>

void fmi_rlock_init(struct fmi_rlock_shm *rlock)
{
    fmi_lock_init(&rlock->lock);
    rlock->depth = 1;
}

int fmi_rlock_is_own(const struct fmi_rlock_shm *rlock)
{
    uint64_t holder = fmi_lock_holder(&rlock->lock);
    return holder != 0 && holder == fmi_mortal_self();
}

int fmi_rlock_acquire(struct fmi_rlock_shm *rlock, int64_t deadline_ns)
{
    if (fmi_rlock_is_own(rlock)) {
        if (rlock->depth >= UINT32_MAX)
            return -EOVERFLOW;
        rlock->depth++;
        return 0;
    }
    return fmi_rlock_acquire_all(rlock, 1, deadline_ns);
}

int fmi_rlock_release(struct fmi_rlock_shm *rlock)
{
    if (!fmi_rlock_is_own(rlock))
        return -EPERM;
    if (rlock->depth > 1) {
        rlock->depth--;
        return 0;
    }
    return fmi_lock_release(&rlock->lock);
}

int fmi_rlock_release_all(struct fmi_rlock_shm *rlock, uint64_t *depth)
{
    if (!fmi_rlock_is_own(rlock))
        return -EPERM;
    *depth = rlock->depth;
    return fmi_lock_release(&rlock->lock);
}

int fmi_rlock_acquire_all(struct fmi_rlock_shm *rlock, uint64_t depth, int64_t deadline_ns)
{
    int rc = fmi_lock_acquire(&rlock->lock, deadline_ns);
    if (rc == 0 || rc == FM_EOWNERDEAD)
        rlock->depth = depth;
    return rc;
}
