/* SPDX-License-Identifier: MIT */
/* The reader-writer lock; see rwlock.h. */
#include "rwlock.h"

#include "clock.h"
#include "fault.h"

#include <errno.h>
#include <forkmap/status.h>

int fmi_rwlock_init(struct fmi_rwlock_shm *rw)
{
    fmi_lock_init(&rw->lock);
    atomic_init(&rw->writing, 0);
    rw->number = fmi_mortal_self() == 0 ? 0 : fmi_mortal_number();
    fmi_bell_init(&rw->drained);
    fmi_bell_init(&rw->opened);
    return rw->number == 0 ? -EAGAIN : 0;
}

/* ---- what `writing` says ------------------------------------------------------------------------- */

/* A living writer, who keeps readers out. 0: none. */
static uint64_t writer_of(uint64_t writing)
{
    uint64_t id = writing & FMI_MORTAL_ID;
    return id != 0 && fmi_mortal_is_alive(id) ? id : 0;
}

/* A writer died as it wrote, and no other has been there since. Its id, if there is one, is dead. */
static int is_orphaned(uint64_t writing)
{
    return (writing & (FMI_RWLOCK_HAS | FMI_RWLOCK_ORPHAN)) != 0;
}

static int is_writer(const struct fmi_rwlock_shm *rw, uint64_t id)
{
    uint64_t writing = atomic_load_explicit(&rw->writing, memory_order_relaxed); /* own, or not */
    return (writing & FMI_MORTAL_ID) == id && (writing & FMI_RWLOCK_HAS) != 0;
}

/* ---- readers ------------------------------------------------------------------------------------- */

/* Where this thread has `number`; NULL: nowhere. Of 0: a free place. */
static _Atomic uint64_t *find_read(struct fmi_mortal_shm *m, uint64_t number)
{
    for (int k = 0; k < FMI_MORTAL_READS; k++)
        if (atomic_load_explicit(&m->reads[k], memory_order_relaxed) == number)
            return &m->reads[k];
    return NULL;
}

static void stop_reading(struct fmi_rwlock_shm *rw, _Atomic uint64_t *place)
{
    atomic_store(place, 0); /* seq_cst: r5 before r6 */
    FMI_FAULT("rwlock.read_end");
    if ((atomic_load(&rw->writing) & FMI_RWLOCK_WANTS) != 0)
        fmi_bell_ring(&rw->drained);
}

/* r1 .. r3. 0, FM_EOWNERDEAD: it reads; -EAGAIN: *writer is in the way. */
static int try_read(struct fmi_rwlock_shm *rw, _Atomic uint64_t *place, uint64_t *writer)
{
    *writer = writer_of(atomic_load(&rw->writing));
    if (*writer != 0)
        return -EAGAIN;
    atomic_store(place, rw->number); /* seq_cst: r2 before r3 */
    FMI_FAULT("rwlock.read");
    uint64_t writing = atomic_load(&rw->writing);
    *writer = writer_of(writing);
    if (*writer == 0)
        return is_orphaned(writing) ? FM_EOWNERDEAD : 0;
    stop_reading(rw, place);
    return -EAGAIN;
}

int fmi_rwlock_acquire_read(struct fmi_rwlock_shm *rw, int64_t deadline_ns)
{
    const uint64_t id = fmi_mortal_self();
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    _Atomic uint64_t *place = m == NULL ? NULL : find_read(m, 0);
    if (place == NULL)
        return -EAGAIN;
    if (is_writer(rw, id))
        return -EDEADLK;
    if (find_read(m, rw->number) !=
        NULL) { /* no writer can be there, and one may wait for this thread */
        atomic_store(place, rw->number);
        return is_orphaned(atomic_load(&rw->writing)) ? FM_EOWNERDEAD : 0;
    }
    for (int is_over = 0;;) {
        uint64_t writer;
        const uint32_t seen = fmi_bell_seen(&rw->opened);
        int rc = try_read(rw, place, &writer);
        if (rc != -EAGAIN)
            return rc;
        if (is_over)
            return -ETIMEDOUT;
        is_over = fmi_bell_wait(&rw->opened, seen, writer, deadline_ns) == -ETIMEDOUT;
    }
}

/* ---- writers ------------------------------------------------------------------------------------- */

/* A living thread that reads; 0: none. */
static uint64_t find_reader(uint64_t number)
{
    for (int i = 0, n = fmi_mortal_count(); i < n; i++) {
        struct fmi_mortal_shm *m = fmi_mortal_at(i);
        for (int k = 0; m != NULL && k < FMI_MORTAL_READS; k++)
            /* seq_cst: w2 before w3. It acquires, too: pairs with stop_reading */
            if (atomic_load(&m->reads[k]) == number && fmi_mortal_is_alive(fmi_mortal_id_at(i)))
                return fmi_mortal_id_at(i);
    }
    return 0;
}

/* w3. 0; -ETIMEDOUT. */
static int wait_for_readers(struct fmi_rwlock_shm *rw, int64_t deadline_ns)
{
    for (int is_over = 0;;) {
        const uint32_t seen = fmi_bell_seen(&rw->drained);
        uint64_t reader = find_reader(rw->number);
        if (reader == 0)
            return 0;
        if (is_over)
            return -ETIMEDOUT;
        FMI_FAULT("rwlock.drain");
        is_over = fmi_bell_wait(&rw->drained, seen, reader, deadline_ns) == -ETIMEDOUT;
    }
}

/* Out of the way, with what there is to tell the next. */
static void stop_writing(struct fmi_rwlock_shm *rw, uint64_t writing)
{
    FMI_FAULT("rwlock.write_end");
    atomic_store(&rw->writing, writing); /* release: pairs with the look in try_read */
    FMI_FAULT("rwlock.open");
    (void)fmi_lock_release(&rw->lock);
    fmi_bell_ring(&rw->opened);
}

int fmi_rwlock_acquire_write(struct fmi_rwlock_shm *rw, int64_t deadline_ns)
{
    const uint64_t id = fmi_mortal_self();
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    if (m == NULL)
        return -EAGAIN;
    if (is_writer(rw, id) || find_read(m, rw->number) != NULL)
        return -EDEADLK;
    int rc = fmi_lock_acquire(&rw->lock, deadline_ns);
    if (rc != 0 && rc != FM_EOWNERDEAD)
        return rc;
    FMI_FAULT("rwlock.locked");
    /* What a dead writer has left; how its lock was left says nothing, as it may not have written */
    const uint64_t orphan = is_orphaned(atomic_load_explicit(&rw->writing, memory_order_relaxed))
                                ? FMI_RWLOCK_ORPHAN
                                : 0;
    atomic_store(&rw->writing, id | FMI_RWLOCK_WANTS | orphan); /* seq_cst: w2 before w3 */
    FMI_FAULT("rwlock.wants");
    if (wait_for_readers(rw, deadline_ns) != 0) {
        stop_writing(rw, orphan);
        return -ETIMEDOUT;
    }
    atomic_store(&rw->writing, id | FMI_RWLOCK_HAS);
    FMI_FAULT("rwlock.has");
    return orphan != 0 ? FM_EOWNERDEAD : 0;
}

int fmi_rwlock_release(struct fmi_rwlock_shm *rw)
{
    const uint64_t id = fmi_mortal_self();
    struct fmi_mortal_shm *m = fmi_mortal_of(id);
    _Atomic uint64_t *place = m == NULL ? NULL : find_read(m, rw->number);
    if (place != NULL) {
        stop_reading(rw, place);
        return 0;
    }
    if (m == NULL || !is_writer(rw, id))
        return -EPERM;
    stop_writing(rw, 0);
    return 0;
}
