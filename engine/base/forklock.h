/* SPDX-License-Identifier: MIT */
#ifndef FMI_FORKLOCK_H
#define FMI_FORKLOCK_H

/*
 * A lock between the threads of one process that a fork cannot leave locked: in a child, whoever takes it first makes it new, so it does not
 * matter that another thread of the parent held it. What it protects may then be half changed: each holder changes that so that
 * a child can live with any state in between.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

struct fmi_forklock {
    pthread_mutex_t mutex;
    _Atomic int
        pid; /* of the process that it is good for; negative: which makes it new now; 0: nobody has taken it */
};

#define FMI_FORKLOCK                                                                               \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER                                                         \
    }

void fmi_forklock_acquire(struct fmi_forklock *lock);
/* 0, or -ETIMEDOUT; deadline [ns]. */
int fmi_forklock_acquire_until(struct fmi_forklock *lock, int64_t deadline_ns);
void fmi_forklock_release(struct fmi_forklock *lock);

#endif
