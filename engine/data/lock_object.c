/* SPDX-License-Identifier: MIT */
/* The locks that programs see; see lock_object.h. */
#include "lock_object.h"

#include "clock.h"

static const char lock_kind[] = "lock";

static int make_lock(fm_lock **out, struct fmi_room room)
{
    void *bytes;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = fmi_object_room(&bytes, room, FM_LOCK_BYTES);
    if (rc != 0)
        return rc;
    fm_lock *lock = bytes;
    fmi_lock_init(&lock->lock);
    fmi_object_publish(&lock->object, FMI_MARK_LOCK);
    *out = lock;
    return 0;
}

int fm_lock_create(fm_lock **out)
{
    return make_lock(out, (struct fmi_room){0});
}

int fm_lock_init(fm_lock **out, void *bytes, size_t n_bytes)
{
    return make_lock(out, (struct fmi_room){bytes, n_bytes, 1});
}

void fm_lock_destroy(fm_lock *lock)
{
    if (fmi_object_end(lock, FMI_MARK_LOCK, FMI_OBJECT_IN_HEAP, lock_kind))
        fmi_object_free(&lock->object);
}

void fm_lock_fini(fm_lock *lock)
{
    (void)fmi_object_end(lock, FMI_MARK_LOCK, FMI_OBJECT_PLACED, lock_kind);
}

int fm_lock_acquire(fm_lock *lock, int64_t timeout)
{
    int rc = fmi_object_check(lock, FMI_MARK_LOCK, lock_kind);
    return rc != 0 ? rc : fmi_lock_acquire(&lock->lock, fmi_deadline_of(timeout));
}

int fm_lock_release(fm_lock *lock)
{
    int rc = fmi_object_check(lock, FMI_MARK_LOCK, lock_kind);
    return rc != 0 ? rc : fmi_lock_release(&lock->lock);
}

int fm_lock_locked(const fm_lock *lock)
{
    int rc = fmi_object_check(lock, FMI_MARK_LOCK, lock_kind);
    return rc != 0 ? rc : fmi_lock_holder(&lock->lock) != 0;
}

/* ---- recursive ----------------------------------------------------------------------------------- */

static const char rlock_kind[] = "recursive lock";

static int make_rlock(fm_rlock **out, struct fmi_room room)
{
    void *bytes;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = fmi_object_room(&bytes, room, FM_RLOCK_BYTES);
    if (rc != 0)
        return rc;
    fm_rlock *rlock = bytes;
    fmi_rlock_init(&rlock->rlock);
    fmi_object_publish(&rlock->object, FMI_MARK_RLOCK);
    *out = rlock;
    return 0;
}

int fm_rlock_create(fm_rlock **out)
{
    return make_rlock(out, (struct fmi_room){0});
}

int fm_rlock_init(fm_rlock **out, void *bytes, size_t n_bytes)
{
    return make_rlock(out, (struct fmi_room){bytes, n_bytes, 1});
}

void fm_rlock_destroy(fm_rlock *rlock)
{
    if (fmi_object_end(rlock, FMI_MARK_RLOCK, FMI_OBJECT_IN_HEAP, rlock_kind))
        fmi_object_free(&rlock->object);
}

void fm_rlock_fini(fm_rlock *rlock)
{
    (void)fmi_object_end(rlock, FMI_MARK_RLOCK, FMI_OBJECT_PLACED, rlock_kind);
}

int fm_rlock_acquire(fm_rlock *rlock, int64_t timeout)
{
    int rc = fmi_object_check(rlock, FMI_MARK_RLOCK, rlock_kind);
    return rc != 0 ? rc : fmi_rlock_acquire(&rlock->rlock, fmi_deadline_of(timeout));
}

int fm_rlock_release(fm_rlock *rlock)
{
    int rc = fmi_object_check(rlock, FMI_MARK_RLOCK, rlock_kind);
    return rc != 0 ? rc : fmi_rlock_release(&rlock->rlock);
}

int fm_rlock_locked(const fm_rlock *rlock)
{
    int rc = fmi_object_check(rlock, FMI_MARK_RLOCK, rlock_kind);
    return rc != 0 ? rc : fmi_lock_holder(&rlock->rlock.lock) != 0;
}
