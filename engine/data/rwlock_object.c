/* SPDX-License-Identifier: MIT */
/* The reader-writer lock that programs see: one of rwlock.h behind the head of an object. */
#include "clock.h"
#include "object.h"
#include "rwlock.h"

#include <forkmap/sync.h>

struct fm_rwlock {
    struct fmi_object_shm object;
    struct fmi_rwlock_shm rwlock;
};
static_assert(sizeof(struct fm_rwlock) <= FM_RWLOCK_BYTES, "rwlock: layout");

static const char rwlock_kind[] = "reader-writer lock";

static int make_rwlock(fm_rwlock **out, struct fmi_room room)
{
    void *bytes;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = fmi_object_room(&bytes, room, FM_RWLOCK_BYTES);
    if (rc != 0)
        return rc;
    fm_rwlock *rwlock = bytes;
    rc = fmi_rwlock_init(&rwlock->rwlock);
    if (rc != 0) {
        fmi_object_give_back(&rwlock->object);
        return rc;
    }
    fmi_object_publish(&rwlock->object, FMI_MARK_RWLOCK);
    *out = rwlock;
    return 0;
}

int fm_rwlock_create(fm_rwlock **out)
{
    return make_rwlock(out, (struct fmi_room){0});
}

int fm_rwlock_init(fm_rwlock **out, void *bytes, size_t n_bytes)
{
    return make_rwlock(out, (struct fmi_room){bytes, n_bytes, 1});
}

void fm_rwlock_destroy(fm_rwlock *rwlock)
{
    if (fmi_object_end(rwlock, FMI_MARK_RWLOCK, FMI_OBJECT_IN_HEAP, rwlock_kind))
        fmi_object_free(&rwlock->object);
}

void fm_rwlock_fini(fm_rwlock *rwlock)
{
    (void)fmi_object_end(rwlock, FMI_MARK_RWLOCK, FMI_OBJECT_PLACED, rwlock_kind);
}

static_assert((int)FM_RWLOCK_MAX_READS == (int)FMI_MORTAL_READS, "rwlock: limit");

int fm_rwlock_acquire_read(fm_rwlock *rwlock, int64_t timeout)
{
    int rc = fmi_object_check(rwlock, FMI_MARK_RWLOCK, rwlock_kind);
    return rc != 0 ? rc : fmi_rwlock_acquire_read(&rwlock->rwlock, fmi_deadline_of(timeout));
}

int fm_rwlock_acquire_write(fm_rwlock *rwlock, int64_t timeout)
{
    int rc = fmi_object_check(rwlock, FMI_MARK_RWLOCK, rwlock_kind);
    return rc != 0 ? rc : fmi_rwlock_acquire_write(&rwlock->rwlock, fmi_deadline_of(timeout));
}

int fm_rwlock_release(fm_rwlock *rwlock)
{
    int rc = fmi_object_check(rwlock, FMI_MARK_RWLOCK, rwlock_kind);
    return rc != 0 ? rc : fmi_rwlock_release(&rwlock->rwlock);
}
