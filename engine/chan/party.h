/* SPDX-License-Identifier: MIT */
#ifndef FMI_PARTY_H
#define FMI_PARTY_H

/*
 * Who uses one end of a pipe, and whether he is gone. An end is a pointer that every process of the family has, so nothing is counted: the end
 * belongs to the process that used it last, at first to the one that made it. When that has died, the end is gone, until another uses it.
 *
 *   state     | user       | process      | who moves it on                            | the process dies here
 *   BOUND     | a thread   | its process  | whoever uses it next                       | gone
 *   BOUND     | dead       | its process  | the same                                   | gone; a thread of it may use it yet, so it is not before
 *   GIVEN     | 0          | a process    | the same; mostly that process              | gone
 *   CLOSED    | -          | -            | nobody                                     | -
 *
 *   u0  lock `moving`               whoever changes BOUND, or closes
 *   u1  coming  = own process
 *   u2  ring the other side's doorbell, if it is armed (doorbell.h)
 *   u3  process = own process
 *   u4  user    = own thread
 *   u5  to close: state, and the other side's doorbell once more
 *   u6  unlock `moving`
 *   DIES HERE  after u0   the next gets the lock, and begins with u1
 *              after u1   as before: the end still belongs to the process before
 *              after u2   the same; the other side has woken for nothing
 *              after u3   the thread is that of the process before: gone once both are dead
 *              after u5   closed; the one who sleeps in poll(2) watches this process
 * So whoever sleeps in poll(2) watches `coming` while that lives: he has heard of it at u2, or had not armed his doorbell yet. One at a time moves an end: of two at once,
 * one could be the last in `coming`, which is watched, and the other in `process` and `user`, whose death counts. Who closes moves the end to itself, or he
 * could die after he has closed and before he has rung, and nobody would tell. (tests/model/doorbell.pml)
 *
 * LIMIT  Two processes that use one end at the same time, one of them sending: if that is killed after the message is there (w5 of line.h) and before it has rung, the one
 * who sleeps in poll(2) hears of the message with the next ring.
 *
 * Layout, in bytes
 *      0:  | user | process | coming |    whoever uses the end, u1 .. u4
 *     24:  | state |                      FMI_PARTY_OPEN -> FMI_PARTY_CLOSED, by one CAS
 *     32:  | moving |                     its holder
 *     64:  end
 */

#include "lock.h"

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct fmi_doorbell_shm;

enum { FMI_PARTY_OPEN = 1, FMI_PARTY_CLOSED = 2 };

struct fmi_party_shm {
    alignas(64) _Atomic uint64_t user; /* a thread's id (mortal.h); 0: none yet */
    _Atomic uint64_t process;          /* { birth:42, pid:22 } */
    _Atomic uint64_t coming;           /* the same: who is about to use it */
    _Atomic uint32_t state;
    struct fmi_lock_shm moving;
};
static_assert(sizeof(struct fmi_party_shm) == 64, "party: layout");
static_assert(offsetof(struct fmi_party_shm, process) == 8, "party: layout");
static_assert(offsetof(struct fmi_party_shm, state) == 24, "party: layout");
static_assert(offsetof(struct fmi_party_shm, moving) == 32, "party: layout");

/* Bound to this thread. 0; -EAGAIN: too many threads have an id. */
int fmi_party_init(struct fmi_party_shm *party);

/* Before each use; `bell` is the other side's, or NULL. Nothing but a look where the same thread used it last. 0; -EAGAIN. */
int fmi_party_use(struct fmi_party_shm *party, struct fmi_doorbell_shm *bell);

/* From now on it is that process's, also if that is dead. 0; -EINVAL: no pid; -EAGAIN. */
int fmi_party_give(struct fmi_party_shm *party, int pid, struct fmi_doorbell_shm *bell);

/* 1: by this call. 0: it was closed. `bell` is the other side's, or NULL. */
int fmi_party_close(struct fmi_party_shm *party, struct fmi_doorbell_shm *bell);

static inline int fmi_party_is_closed(const struct fmi_party_shm *party)
{
    /* acquire: what the other side sent before it closed is seen; pairs with fmi_party_close */
    return atomic_load_explicit(&party->state, memory_order_acquire) != FMI_PARTY_OPEN;
}

/* 1: the process that used it last is dead, and nobody has used it since. */
int fmi_party_is_gone(const struct fmi_party_shm *party);

/* The thread whose death would be news, for fmi_mortal_wait(); 0: none is known. */
uint64_t fmi_party_awaited(const struct fmi_party_shm *party);

/* The process whose end would be news, or is; 0: it is this one. */
uint64_t fmi_party_watched(const struct fmi_party_shm *party);

static inline int fmi_party_pid(uint64_t process)
{
    return (int)(process & 0x3fffff);
}

#endif
