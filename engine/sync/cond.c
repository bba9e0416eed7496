/* SPDX-License-Identifier: MIT */
/* The condition; see cond.h. */
#include "cond.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#include <errno.h>
#include <forkmap/status.h>

/* ---- its lock ------------------------------------------------------------------------------------ */

int fmi_cond_has_lock(struct fmi_cond_lock lock)
{
    if (lock.rlock != NULL)
        return fmi_rlock_is_own(lock.rlock);
    uint64_t holder = fmi_lock_holder(lock.lock);
    return holder != 0 && holder == fmi_mortal_self();
}

static void release_lock(struct fmi_cond_lock lock, uint64_t *depth)
{
    if (lock.rlock != NULL)
        (void)fmi_rlock_release_all(lock.rlock, depth);
    else
        (void)fmi_lock_release(lock.lock);
}

/* However long it takes: a wait ends with the lock. */
static int acquire_lock(struct fmi_cond_lock lock, uint64_t depth)
{
    return lock.rlock != NULL ? fmi_rlock_acquire_all(lock.rlock, depth, FMI_NEVER)
                              : fmi_lock_acquire(lock.lock, FMI_NEVER);
}

/* ---- its life ------------------------------------------------------------------------------------ */

int fmi_cond_init(struct fmi_cond_shm *cond)
{
    /* An id, too: a thread that cannot have one would not know of it before it waits. */
    uint64_t number = fmi_mortal_self() == 0 ? 0 : fmi_mortal_number();
    atomic_init(&cond->tickets, 1);
    for (int k = 0; k < FMI_COND_CALLED; k++)
        atomic_init(&cond->called[k], 0);
    atomic_init(&cond->number, number);
    return number == 0 ? -EAGAIN : 0;
}

void fmi_cond_fini(struct fmi_cond_shm *cond)
{
    atomic_store(&cond->number, 0);
}

/* ---- calls --------------------------------------------------------------------------------------- */

/* Notes that it is called. 0: there is no place. */
static int note_called(struct fmi_cond_shm *cond, uint64_t id)
{
    for (int k = 0; k < FMI_COND_CALLED; k++) {
        uint64_t none = 0;
        if (atomic_load_explicit(&cond->called[k], memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong(&cond->called[k], &none, id))
            return 1;
    }
    return 0;
}

/* It is back, or was not called after all. A notifier that died may have noted it twice. */
static void forget_called(struct fmi_cond_shm *cond, uint64_t id)
{
    for (int k = 0; k < FMI_COND_CALLED; k++) {
        uint64_t noted = id;
        if (atomic_load_explicit(&cond->called[k], memory_order_relaxed) == id)
            atomic_compare_exchange_strong(&cond->called[k], &noted, 0);
    }
}

/* The call of somebody who died before he was back, for `heir` (0: nobody). Returns the dead id, and where; 0: there is none. */
static uint64_t take_orphan(struct fmi_cond_shm *cond, uint64_t heir, int *where)
{
    for (int k = 0; k < FMI_COND_CALLED; k++) {
        uint64_t id = atomic_load(&cond->called[k]);
        if (id != 0 && !fmi_mortal_is_alive(id) &&
            atomic_compare_exchange_strong(&cond->called[k], &id, heir)) {
            *where = k;
            return id;
        }
    }
    return 0;
}

/* Wakes a waiter for good. 0: it does not wait on this condition any more. */
static int call(struct fmi_mortal_shm *m, uint64_t number)
{
    FMI_FAULT("cond.call");
    if (!atomic_compare_exchange_strong(&m->waits_on, &number, 0))
        return 0;
    FMI_FAULT("cond.called");
    atomic_fetch_add(&m->called, 1);
    FMI_FAULT("cond.wake");
    fmi_sys_futex_wake_all(&m->called);
    return 1;
}

/* The living waiter with the lowest ticket; -1: nobody waits. */
static int find_waiter(uint64_t number)
{
    int found = -1;
    uint64_t lowest = UINT64_MAX;
    for (int i = 0, n = fmi_mortal_count(); i < n; i++) {
        struct fmi_mortal_shm *m = fmi_mortal_at(i);
        if (m == NULL || atomic_load(&m->waits_on) != number)
            continue;
        uint64_t ticket = atomic_load_explicit(&m->ticket, memory_order_relaxed); /* the lock */
        if (ticket < lowest && fmi_mortal_is_alive(fmi_mortal_id_at(i))) {
            lowest = ticket;
            found = i;
        }
    }
    return found;
}

static void call_all(uint64_t number)
{
    for (int i = 0, n = fmi_mortal_count(); i < n; i++) {
        struct fmi_mortal_shm *m = fmi_mortal_at(i);
        if (m != NULL && atomic_load(&m->waits_on) == number)
            call(m, number);
    }
}

int fmi_cond_notify_all(struct fmi_cond_shm *cond, struct fmi_cond_lock lock)
{
    if (!fmi_cond_has_lock(lock))
        return -EPERM;
    call_all(atomic_load_explicit(&cond->number, memory_order_relaxed));
    return 0;
}

int fmi_cond_notify(struct fmi_cond_shm *cond, struct fmi_cond_lock lock, uint32_t n)
{
    int where;
    const uint64_t number = atomic_load_explicit(&cond->number, memory_order_relaxed);
    if (!fmi_cond_has_lock(lock))
        return -EPERM;
    FMI_FAULT("cond.notify");
    while (n < UINT32_MAX && take_orphan(cond, 0, &where) != 0)
        n++;
    while (n > 0) {
        int i = find_waiter(number);
        if (i < 0)
            break;
        uint64_t id = fmi_mortal_id_at(i);
        if (!note_called(cond, id)) {
            call_all(number);
            break;
        }
        if (call(fmi_mortal_at(i), number))
            n--;
        else
            forget_called(cond, id); /* it died, or has inherited a call */
    }
    return 0;
}

/* ---- waits --------------------------------------------------------------------------------------- */

/* A waiter takes over the call of one that died. */
static void inherit(struct fmi_cond_shm *cond, struct fmi_mortal_shm *m, uint64_t number)
{
    int where;
    uint64_t self = fmi_mortal_self(), mine = self, dead = take_orphan(cond, self, &where);
    if (dead == 0)
        return;
    FMI_FAULT("cond.inherit");
    if (!atomic_compare_exchange_strong(&m->waits_on, &number, 0))
        atomic_compare_exchange_strong(&cond->called[where], &mine, dead); /* has one of its own */
}

/* Until it is called. 0; -ETIMEDOUT; FM_ECORRUPT: there is no such condition any more. */
static int sleep_until_called(struct fmi_cond_shm *cond, struct fmi_mortal_shm *m, uint64_t number,
                              int64_t deadline_ns)
{
    int is_over = deadline_ns == FMI_AT_ONCE;
    for (;;) {
        uint32_t called =
            atomic_load(&m->called); /* pairs with call, which changes waits_on first */
        if (atomic_load(&m->waits_on) != number)
            return 0;
        if (atomic_load(&cond->number) != number)
            return FM_ECORRUPT;
        if (is_over)
            return -ETIMEDOUT;
        FMI_FAULT("cond.sleep");
        int rc = fmi_mortal_wait(&m->called, called, 0, deadline_ns);
        FMI_FAULT("cond.woken");
        is_over = rc == -ETIMEDOUT || (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns);
        if (atomic_load(&m->waits_on) == number)
            inherit(cond, m, number);
    }
}

int fmi_cond_wait(struct fmi_cond_shm *cond, struct fmi_cond_lock lock, int64_t deadline_ns)
{
    const uint64_t number = atomic_load_explicit(&cond->number, memory_order_relaxed);
    const uint64_t id = fmi_mortal_self();
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    uint64_t depth = 1;
    if (m == NULL || !fmi_cond_has_lock(lock))
        return -EPERM;
    atomic_store_explicit(&m->ticket, atomic_fetch_add(&cond->tickets, 1), memory_order_relaxed);
    atomic_store(&m->waits_on, number);
    FMI_FAULT("cond.wait");
    release_lock(lock, &depth);
    int rc = sleep_until_called(cond, m, number, deadline_ns);
    if (rc == FM_ECORRUPT) {
        atomic_store(&m->waits_on, 0);
        return rc;
    }
    FMI_FAULT("cond.return");
    int code = acquire_lock(lock, depth);
    FMI_FAULT("cond.back");
    rc = atomic_exchange(&m->waits_on, 0) == number ? -ETIMEDOUT
                                                    : 0; /* it may have been called since */
    forget_called(cond, id);
    return code != 0 ? code : rc;
}
