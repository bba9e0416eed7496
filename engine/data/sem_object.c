/* SPDX-License-Identifier: MIT */
/* The semaphore that programs see: one of sem.h behind the head of an object. */
#include "clock.h"
#include "object.h"
#include "opts.h"
#include "sem.h"

#include <forkmap/sync.h>

struct fm_sem {
    struct fmi_object_shm object; /* n: units, if they are owned; else 0 */
    uint64_t sem[];               /* struct fmi_sem_shm, which has no fixed size either */
};
static_assert(sizeof(struct fm_sem) + sizeof(struct fmi_sem_shm) <= FM_SEM_BYTES, "sem: layout");
static_assert((int)FM_SEM_OWNED_BYTES(1) == FM_SEM_BYTES + 8, "sem: layout");
static_assert((int)FM_SEM_MAX_OWNED == (int)FMI_SEM_MAX_OWNED, "sem: limit");

static const char sem_kind[] = "semaphore";

static struct fmi_sem_shm *sem_of(const fm_sem *sem)
{
    return (struct fmi_sem_shm *)sem->sem;
}

/* What is asked for, checked and complete. */
struct plan {
    int value, max, is_owned;
};

static int read_plan(struct plan *plan, int value, int max, const fm_sem_opts *opts)
{
    fm_sem_opts own;
    int rc = fmi_opts_copy(&own, sizeof own, opts);
    if (rc != 0)
        return rc;
    if ((own.flags & ~FM_SEM_OWNED) != 0)
        return fmi_error(-EINVAL, "flags 0x%x has unknown ones", own.flags);
    const int is_owned = (own.flags & FM_SEM_OWNED) != 0;
    if (max == 0)
        max = is_owned ? value : FM_SEM_MAX;
    *plan = (struct plan){value, max, is_owned};
    if (max < 1 || value < 0 || value > max)
        return fmi_error(-EINVAL, "value %d, maximum %d: it is 0 <= value <= maximum, maximum >= 1",
                         value, max);
    if (is_owned && (value != max || max > FM_SEM_MAX_OWNED))
        return fmi_error(-EINVAL,
                         "value %d, maximum %d: with FM_SEM_OWNED they are the same, up to %d",
                         value, max, FM_SEM_MAX_OWNED);
    return 0;
}

static int make_sem(fm_sem **out, struct fmi_room room, int value, int max, const fm_sem_opts *opts)
{
    struct plan plan;
    void *bytes;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int rc = read_plan(&plan, value, max, opts);
    if (rc == 0)
        rc = fmi_object_room(&bytes, room,
                             plan.is_owned ? FM_SEM_OWNED_BYTES(plan.max) : FM_SEM_BYTES);
    if (rc != 0)
        return rc;
    fm_sem *sem = bytes;
    if (plan.is_owned)
        fmi_sem_init_owned(sem_of(sem), (uint32_t)plan.max);
    else
        fmi_sem_init(sem_of(sem), (uint32_t)plan.value, (uint32_t)plan.max);
    sem->object.n = sem_of(sem)->max_owned;
    fmi_object_publish(&sem->object, FMI_MARK_SEM);
    *out = sem;
    return 0;
}

int fm_sem_create(fm_sem **out, int value, int max, const fm_sem_opts *opts)
{
    return make_sem(out, (struct fmi_room){0}, value, max, opts);
}

int fm_sem_init(fm_sem **out, void *bytes, size_t n_bytes, int value, int max,
                const fm_sem_opts *opts)
{
    return make_sem(out, (struct fmi_room){bytes, n_bytes, 1}, value, max, opts);
}

void fm_sem_destroy(fm_sem *sem)
{
    if (fmi_object_end(sem, FMI_MARK_SEM, FMI_OBJECT_IN_HEAP, sem_kind))
        fmi_object_free(&sem->object);
}

void fm_sem_fini(fm_sem *sem)
{
    (void)fmi_object_end(sem, FMI_MARK_SEM, FMI_OBJECT_PLACED, sem_kind);
}

static int check(const fm_sem *sem)
{
    int rc = fmi_object_check(sem, FMI_MARK_SEM, sem_kind);
    if (rc != 0)
        return rc;
    if (sem->object.n != sem_of(sem)->max_owned || sem->object.n > FM_SEM_MAX_OWNED)
        return fmi_error(FM_ECORRUPT, "semaphore %p was overwritten", (const void *)sem);
    return 0;
}

int fm_sem_acquire(fm_sem *sem, int64_t timeout)
{
    int rc = check(sem);
    return rc != 0 ? rc : fmi_sem_acquire(sem_of(sem), fmi_deadline_of(timeout));
}

int fm_sem_release(fm_sem *sem, int n)
{
    int rc = check(sem);
    if (rc == 0 && n < 1)
        rc = fmi_error(-EINVAL, "n is %d: it is 1 at least", n);
    if (rc == 0)
        rc = fmi_sem_release(sem_of(sem), (uint32_t)n);
    if (rc == -EOVERFLOW)
        return fmi_error(rc, "%d more would be above the maximum, %u", n, sem_of(sem)->max);
    return rc;
}

int fm_sem_value(const fm_sem *sem)
{
    int rc = check(sem);
    return rc != 0 ? rc : (int)fmi_sem_value(sem_of(sem));
}
