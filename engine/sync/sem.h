/* SPDX-License-Identifier: MIT */
#ifndef FMI_SEM_H
#define FMI_SEM_H

/*
 * A bounded semaphore between processes, in two kinds. Placed.
 *
 * COUNTED   One word, { version:32, W:1, value:31 }. A unit is a number: anyone may give it back, and that of a dead thread is lost. W: somebody may be
 *           asleep; the version changes with each acquire and release. Sleepers sleep on the lower half.
 *
 *   value  | acquire                       | release of n                              | the process dies here
 *   0      | CAS: W on; sleeps             | CAS: n, W stays; wakes n                  | sleeper: W stays, one needless wake
 *   > 0    | CAS: value - 1, W stays;   0  | CAS: value + n, W stays; wakes n          | releaser before its wake, or who was woken by it:
 *   > max  | -                             | -EOVERFLOW                                |   sleepers look by themselves (FMI_MORTAL_LOOK_NS)
 *
 *           W is taken off by a releaser whose wake found fewer than n asleep, from exactly the word that it left: nobody can have fallen asleep on that.
 *
 * OWNED     A word per unit: the id of the thread that has it, or 0. Only that thread gives it back. The unit of a dead thread is taken over as if it were free.
 *
 *   unit   | acquire                                | release                        | the holder dies here
 *   free   | CAS: own id;                        0  | -                              | -
 *   held   | waits on the bell, and on the holder   | free; rings the bell           | orphaned, a free unit
 *   orphan | CAS: own id;                        0  | -                              | -
 *
 *   Nobody but its holder changes a word with a living id, so a thread may count its own units and then free them.
 */

#include "bell.h"

enum { FMI_SEM_MAX_OWNED = 4096 };

/*
 *      0:  | word |                  anyone
 *      8:  | max | max_owned |       creator; max_owned 0: it is counted
 *     16:  | bell | - |              anyone
 *     24:  | units [max_owned] |     anyone; then its holder
 */
struct fmi_sem_shm {
    _Atomic uint64_t word;
    uint32_t max, max_owned;
    struct fmi_bell_shm bell;
    uint32_t pad;
    _Atomic uint64_t units[];
};
static_assert(sizeof(struct fmi_sem_shm) == 24, "sem: layout");
static_assert(offsetof(struct fmi_sem_shm, max) == 8, "sem: layout");
static_assert(offsetof(struct fmi_sem_shm, units) == 24, "sem: layout");

/* With 0 <= value <= max < 2^31, 0 < max. The owned one is full, and has max <= FMI_SEM_MAX_OWNED. */
void fmi_sem_init(struct fmi_sem_shm *sem, uint32_t value, uint32_t max);
void fmi_sem_init_owned(struct fmi_sem_shm *sem, uint32_t max);

/* 0; -ETIMEDOUT; -EAGAIN: too many threads have an id (an owned one). Not ended by signals. */
int fmi_sem_acquire(struct fmi_sem_shm *sem, int64_t deadline_ns);

/* Of n > 0. 0; -EOVERFLOW: there would be more than max; -EPERM: this thread has not so many (an owned one). Nothing has changed then. */
int fmi_sem_release(struct fmi_sem_shm *sem, uint32_t n);

/* Units that could be acquired now: a snapshot. */
uint32_t fmi_sem_value(const struct fmi_sem_shm *sem);

#endif
