/* SPDX-License-Identifier: MIT */
#ifndef FMI_RWLOCK_H
#define FMI_RWLOCK_H

/*
 * A reader-writer lock between processes: many readers or one writer, and a writer that waits comes before readers that come later. Placed.
 *
 * Writers have a lock (lock.h) among themselves. A reader writes the lock's number into its own entry of the table of threads (mortal.h), so readers share no line
 * that they write, and one that dies is not there any more. A writer goes through the table until it finds no living reader.
 *
 *   reader   r1  no writer in `writing`? else waits   r2  number into its entry   r3  still no writer? else r2 back, and waits
 *            r4  ... reads ...   r5  number out   r6  a writer WANTS: rings `drained`
 *   writer   w1  acquires the lock   w2  writing = {id, WANTS}   w3  looks for readers, waits on `drained`   w4  writing = {id, HAS}
 *            w5  ... writes ...   w6  writing = 0   w7  releases the lock, rings `opened`
 *   r2 and r3, w2 and w3, r5 and r6: sequentially consistent, so of a reader and a writer that come at once one sees the other.
 *
 *   writing          | a reader               | who moves it on                                    | the writer dies here
 *   0                | reads                  | w2                                                 | -
 *   id, WANTS        | waits on `opened`      | w4; a writer whose time is over: 0                 | as 0; the next writer takes over the lock
 *   id, HAS          | waits on `opened`      | w6                                                 | orphaned
 *   orphaned         | reads; FM_EOWNERDEAD   | w2: id, WANTS, ORPHAN                              | -
 *   id, WANTS, ORPHAN| waits on `opened`      | w4: FM_EOWNERDEAD; time is over: ORPHAN            | as ORPHAN
 *   ORPHAN, no id    | reads; FM_EOWNERDEAD   | w2: id, WANTS, ORPHAN                              | -
 * So of a writer's death each reader is told until a writer has been there, and of writers one.
 *
 * DIES HERE
 *   reader, r2 .. r5     nobody sees it any more; a writer that sleeps is woken by the death of the reader that it found first, or looks by itself
 *   reader, r5 .. r6     the writer looks by itself (FMI_MORTAL_LOOK_NS)
 *   writer, w6 .. w7     the same for readers; the next writer takes over the lock, and nothing is told
 */

#include "bell.h"
#include "lock.h"

#define FMI_RWLOCK_WANTS  1u
#define FMI_RWLOCK_HAS    2u
#define FMI_RWLOCK_ORPHAN 4u

/*
 *      0:  | lock |                   writers
 *      8:  | writing |                who has the lock
 *     16:  | number |                 creator
 *     24:  | drained | opened |       bells
 *     32:  end
 */
struct fmi_rwlock_shm {
    struct fmi_lock_shm lock;
    _Atomic uint64_t writing;
    uint64_t number;
    struct fmi_bell_shm drained, opened;
};
static_assert(sizeof(struct fmi_rwlock_shm) == 32, "rwlock: layout");
static_assert(offsetof(struct fmi_rwlock_shm, writing) == 8, "rwlock: layout");

/* 0; -EAGAIN: there is no table of threads. */
int fmi_rwlock_init(struct fmi_rwlock_shm *rw);

/*
 * 0; FM_EOWNERDEAD: acquired, see above; -ETIMEDOUT; -EDEADLK: this thread writes; -EAGAIN: it reads under FMI_MORTAL_READS already, or too many threads have an id.
 * A thread that reads may acquire to read again, and has it at once.
 */
int fmi_rwlock_acquire_read(struct fmi_rwlock_shm *rw, int64_t deadline_ns);
/* The same; -EDEADLK: this thread reads or writes. */
int fmi_rwlock_acquire_write(struct fmi_rwlock_shm *rw, int64_t deadline_ns);

/* What this thread has. 0; -EPERM: nothing. */
int fmi_rwlock_release(struct fmi_rwlock_shm *rw);

#endif
