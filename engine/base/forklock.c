/* SPDX-License-Identifier: MIT */
/* A lock that is made new in a child; see forklock.h. */
#include "forklock.h"

#include "clock.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

/* One thread of the process does it. A parent's that was doing it at the fork is not waited for. */
static void renew(struct fmi_forklock *lock)
{
    int here = getpid(), seen = atomic_load(&lock->pid);
    while (seen != here) {
        if (seen == -here) {
            sched_yield();
            seen = atomic_load(&lock->pid);
            continue;
        }
        if (!atomic_compare_exchange_weak(&lock->pid, &seen, -here))
            continue;
        if (seen != 0)
            pthread_mutex_init(&lock->mutex, NULL);
        atomic_store(&lock->pid, here);
        return;
    }
}

void fmi_forklock_acquire(struct fmi_forklock *lock)
{
    renew(lock);
    pthread_mutex_lock(&lock->mutex);
}

int fmi_forklock_acquire_until(struct fmi_forklock *lock, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
    renew(lock);
    if (deadline_ns == FMI_NEVER)
        return -pthread_mutex_lock(&lock->mutex);
    return -pthread_mutex_clocklock(&lock->mutex, CLOCK_MONOTONIC, &until);
}

void fmi_forklock_release(struct fmi_forklock *lock)
{
    pthread_mutex_unlock(&lock->mutex);
}
