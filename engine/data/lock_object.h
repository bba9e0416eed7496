/* SPDX-License-Identifier: MIT */
#ifndef FMI_LOCK_OBJECT_H
#define FMI_LOCK_OBJECT_H

/* fm_lock and fm_rlock: a lock of lock.h or rlock.h behind the head of an object. */

#include "object.h"
#include "rlock.h"

#include <forkmap/sync.h>

struct fm_lock {
    struct fmi_object_shm object;
    struct fmi_lock_shm lock;
};
static_assert(sizeof(struct fm_lock) <= FM_LOCK_BYTES, "lock: layout");

struct fm_rlock {
    struct fmi_object_shm object;
    struct fmi_rlock_shm rlock;
};
static_assert(sizeof(struct fm_rlock) <= FM_RLOCK_BYTES, "rlock: layout");

#endif
