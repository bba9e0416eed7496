/* SPDX-License-Identifier: MIT */
/* The condition that programs see: one of cond.h behind the head of an object, with its lock, or where that is. */
#include "clock.h"
#include "cond.h"
#include "lock_object.h"

/*
 *      0:  | object |
 *     16:  | lock | lock_again |      creator: an fm_lock or an fm_rlock, and the same with all bits turned round: an address that is overwritten is not followed
 *     32:  | own |                    the lock, if none was given
 *     64:  | cond |
 */
struct fm_cond {
    struct fmi_object_shm object;
    uint64_t lock, lock_again;
    struct fm_rlock own;
    struct fmi_cond_shm cond;
};
static_assert(sizeof(struct fm_cond) <= FM_COND_BYTES, "cond: layout");

static const char cond_kind[] = "condition";

/* Which of the two it is. */
static int find_lock(void *lock, struct fmi_cond_lock *out)
{
    *out = (struct fmi_cond_lock){NULL, NULL};
    if (fmi_object_check(lock, FMI_MARK_LOCK, "lock") == 0)
        out->lock = &((fm_lock *)lock)->lock;
    else if (fmi_object_check(lock, FMI_MARK_RLOCK, "lock") == 0)
        out->rlock = &((fm_rlock *)lock)->rlock;
    else
        return fmi_error(FM_ECORRUPT, "%p is neither a lock nor a recursive lock", lock);
    return 0;
}

static int check(const fm_cond *cond, struct fmi_cond_lock *lock)
{
    int rc = fmi_object_check(cond, FMI_MARK_COND, cond_kind);
    if (rc != 0)
        return rc;
    if (cond->lock != ~cond->lock_again)
        return fmi_error(FM_ECORRUPT, "condition %p was overwritten", (const void *)cond);
    return find_lock((void *)(uintptr_t)cond->lock, lock);
}

/* ---- its life ------------------------------------------------------------------------------------ */

static void use_lock(fm_cond *cond, void *lock)
{
    if (lock == NULL) {
        fmi_rlock_init(&cond->own.rlock);
        cond->own.object.origin = FMI_OBJECT_PLACED;
        fmi_object_publish(&cond->own.object, FMI_MARK_RLOCK);
        lock = &cond->own;
    }
    cond->lock = (uintptr_t)lock;
    cond->lock_again = ~cond->lock;
}

static int make_cond(fm_cond **out, struct fmi_room room, void *lock)
{
    void *bytes;
    struct fmi_cond_lock found;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    if (lock != NULL && find_lock(lock, &found) != 0)
        return -EINVAL;
    int rc = fmi_object_room(&bytes, room, FM_COND_BYTES);
    if (rc != 0)
        return rc;
    fm_cond *cond = bytes;
    rc = fmi_cond_init(&cond->cond);
    if (rc != 0) {
        fmi_object_give_back(&cond->object);
        return rc;
    }
    use_lock(cond, lock);
    fmi_object_publish(&cond->object, FMI_MARK_COND);
    *out = cond;
    return 0;
}

int fm_cond_create(fm_cond **out, void *lock)
{
    return make_cond(out, (struct fmi_room){0}, lock);
}

int fm_cond_init(fm_cond **out, void *bytes, size_t n_bytes, void *lock)
{
    return make_cond(out, (struct fmi_room){bytes, n_bytes, 1}, lock);
}

static int end_cond(fm_cond *cond, enum fmi_object_origin origin)
{
    if (!fmi_object_end(cond, FMI_MARK_COND, origin, cond_kind))
        return 0;
    fmi_cond_fini(&cond->cond);
    if (cond->lock == (uintptr_t)&cond->own)
        fm_rlock_fini(&cond->own);
    return 1;
}

void fm_cond_destroy(fm_cond *cond)
{
    if (end_cond(cond, FMI_OBJECT_IN_HEAP))
        fmi_object_free(&cond->object);
}

void fm_cond_fini(fm_cond *cond)
{
    (void)end_cond(cond, FMI_OBJECT_PLACED);
}

/* ---- its lock ------------------------------------------------------------------------------------ */

int fm_cond_acquire(fm_cond *cond, int64_t timeout)
{
    struct fmi_cond_lock lock;
    int rc = check(cond, &lock);
    if (rc != 0)
        return rc;
    const int64_t deadline_ns = fmi_deadline_of(timeout);
    return lock.rlock != NULL ? fmi_rlock_acquire(lock.rlock, deadline_ns)
                              : fmi_lock_acquire(lock.lock, deadline_ns);
}

int fm_cond_release(fm_cond *cond)
{
    struct fmi_cond_lock lock;
    int rc = check(cond, &lock);
    if (rc != 0)
        return rc;
    return lock.rlock != NULL ? fmi_rlock_release(lock.rlock) : fmi_lock_release(lock.lock);
}

/* ---- waits and calls ----------------------------------------------------------------------------- */

static int explain(int rc)
{
    if (rc == -EPERM)
        return fmi_error(rc, "this thread does not hold the condition's lock");
    if (rc == FM_ECORRUPT)
        return fmi_error(rc, "the condition was destroyed while this thread waited");
    return rc;
}

int fm_cond_wait(fm_cond *cond, int64_t timeout)
{
    struct fmi_cond_lock lock;
    int rc = check(cond, &lock);
    return rc != 0 ? rc : explain(fmi_cond_wait(&cond->cond, lock, fmi_deadline_of(timeout)));
}

int fm_cond_wait_for(fm_cond *cond, fm_predicate_fn *predicate, void *arg, int64_t timeout)
{
    struct fmi_cond_lock lock;
    const int64_t deadline_ns = fmi_deadline_of(timeout);
    int rc = check(cond, &lock);
    if (rc == 0 && predicate == NULL)
        rc = fmi_error(-EINVAL, "predicate is NULL");
    if (rc == 0 && !fmi_cond_has_lock(lock))
        rc = explain(-EPERM);
    while (rc == 0 && predicate(arg) == 0)
        rc = explain(fmi_cond_wait(&cond->cond, lock, deadline_ns));
    return rc == -ETIMEDOUT && predicate(arg) != 0 ? 0 : rc;
}

int fm_cond_notify(fm_cond *cond, int n)
{
    struct fmi_cond_lock lock;
    int rc = check(cond, &lock);
    if (rc == 0 && n < 1)
        return fmi_error(-EINVAL, "n is %d: it is 1 at least", n);
    return rc != 0 ? rc : explain(fmi_cond_notify(&cond->cond, lock, (uint32_t)n));
}

int fm_cond_notify_all(fm_cond *cond)
{
    struct fmi_cond_lock lock;
    int rc = check(cond, &lock);
    return rc != 0 ? rc : explain(fmi_cond_notify_all(&cond->cond, lock));
}
