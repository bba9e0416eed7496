/* SPDX-License-Identifier: MIT */
/* The robust lock; see lock.h. */
#include "lock.h"

#include "clock.h"

#include <errno.h>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>

/* ThreadSanitizer of gcc 12 does not see pthread_mutex_clocklock, and would call what it protects a race. */
__attribute__((weak)) int __interceptor_pthread_mutex_clocklock(void);
static void tell_sanitizer(pthread_mutex_t *mutex)
{
    if (__interceptor_pthread_mutex_clocklock != NULL)
        return;
    __tsan_mutex_pre_lock(mutex, 0);
    __tsan_mutex_post_lock(mutex, 0, 0);
}
#else
static void tell_sanitizer(pthread_mutex_t *mutex)
{
    (void)mutex;
}
#endif

int fmi_lock_init(struct fmi_lock_shm *lock)
{
    pthread_mutexattr_t kind;
    int error = pthread_mutexattr_init(&kind);
    if (error != 0)
        return -error;
    pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_RECURSIVE);
    error = pthread_mutex_init(&lock->mutex, &kind);
    pthread_mutexattr_destroy(&kind);
    return -error;
}

static int lock_until(pthread_mutex_t *mutex, int64_t deadline_ns)
{
    int error = pthread_mutex_trylock(mutex);
    if (error != EBUSY)
        return error;
    if (deadline_ns == FMI_NEVER)
        return pthread_mutex_lock(mutex);
    struct timespec until = {.tv_sec = deadline_ns / 1000000000,
                             .tv_nsec = deadline_ns % 1000000000};
    error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
    if (error == 0 || error == EOWNERDEAD)
        tell_sanitizer(mutex);
    return error;
}

int fmi_lock_acquire(struct fmi_lock_shm *lock, int64_t deadline_ns)
{
    int error = lock_until(&lock->mutex, deadline_ns);
    if (error == EOWNERDEAD) {
        pthread_mutex_consistent(&lock->mutex); /* the caller is told; the lock itself is sound */
        return FM_EOWNERDEAD;
    }
    return -error;
}

int fmi_lock_release(struct fmi_lock_shm *lock)
{
    return -pthread_mutex_unlock(&lock->mutex);
}
