/* SPDX-License-Identifier: MIT */
#ifndef FMI_DOORBELL_H
#define FMI_DOORBELL_H

/*
 * A descriptor that other processes make readable, for those who wait in poll(2). It is made on demand, in the process that waits: a pipe, whose writing end the others
 * open through /proc/PID/fd for each ring, and an epoll descriptor around it, which also watches the process from which news is expected. No
 * system call as long as nobody waits in this way: `armed` says whether anybody does.
 *
 *   owner (has the lock of its side)             ringer (anyone, after a change)
 *   o1  empty the pipe                           r1  change the condition                  (seq_cst)
 *   o2  armed = a new number     (seq_cst)       r2  armed? else done                      (seq_cst)
 *   o3  look at the condition: holds?            r3  armed -> RINGING, by CAS
 *       then armed = 0, a byte                   r4  a byte into the pipe
 *   o4  watch the process                        r5  RINGING -> 0, by CAS
 *   o5  sleep in poll(2)
 * A ringer may have opened the pipe before r1; then he looks after r2 whether it is that of the record yet. (tests/model/doorbell.pml)
 *
 *   armed      | meaning                     | who moves it on                        | the process dies here
 *   0          | a byte is in the pipe, or   | owner: o2                              | -
 *              | nobody waits                |                                        |
 *   2n         | the pipe is empty           | ringer: r3; owner: o2, o3              | the owner: rings go nowhere
 *   2n + 1     | somebody is at r4           | he: r5; others: r5; owner: o2, o3      | the ringer: whoever is watched is dead, which the owner sees; or he had
 *              |                             |                                        |   changed nothing yet, and who does rings, too
 *
 * INVARIANTS
 *   (1) A change that the owner missed at o3 wakes it: o2 comes before r2, so the ringer sees it armed.
 *   (2) Only the owner named in the record makes it armed, so a ringer who finds it armed finds a record that is whole, or one that is being
 *       replaced: then the new owner looks at o3 after him.
 * An owner that meets 2n + 1 lets the ringer finish, for a while: or his byte would be there without a cause.
 *
 * Layout, in bytes
 *      0:  | armed |                              owner, ringers
 *      8:  | serial |                             creator; 0: destroyed
 *     16:  | number |                             owner
 *     24:  | pid | fd | inode | device |          owner: where the pipe is
 *     64:  end
 */

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct fmi_doorbell_shm {
    alignas(64) _Atomic uint64_t armed;
    _Atomic uint64_t serial;
    uint64_t number;
    _Atomic int32_t pid, fd;
    _Atomic uint64_t inode, device;
};
static_assert(sizeof(struct fmi_doorbell_shm) == 64, "doorbell: layout");
static_assert(offsetof(struct fmi_doorbell_shm, serial) == 8, "doorbell: layout");
static_assert(offsetof(struct fmi_doorbell_shm, pid) == 24, "doorbell: layout");

void fmi_doorbell_init(struct fmi_doorbell_shm *bell);
/* Its memory is freed next. */
void fmi_doorbell_fini(struct fmi_doorbell_shm *bell);

/* ---- who rings ---- */

/* r2: 0: nobody waits. A number that is another as soon as the owner has looked again. */
static inline uint64_t fmi_doorbell_armed(const struct fmi_doorbell_shm *bell)
{
    return atomic_load(&bell->armed); /* seq_cst: after r1; pairs with o2 in fmi_doorbell_arm */
}

/* The owner's pipe, before anything is changed: a descriptor to be handed to fmi_doorbell_ring_by(), or -1: nothing to ring. -EMFILE, -EACCES ... in *error. */
int fmi_doorbell_reach(struct fmi_doorbell_shm *bell, int *error);
/* r3 .. r5, if it is armed with that number; takes `fd` over, which may be -1. 0: of no use any more: only closes. */
int fmi_doorbell_ring_by(struct fmi_doorbell_shm *bell, uint64_t armed, int fd);
/* Both; 0, also if nobody waits, or is dead; -EMFILE, -EACCES ... */
int fmi_doorbell_ring(struct fmi_doorbell_shm *bell);

/* ---- the owner: each with the lock of its side ---- */

/* This process's descriptor for it, made at the first call. -EMFILE, -ENOMEM, -ENOSYS: there is no /proc. */
int fmi_doorbell_open(struct fmi_doorbell_shm *bell);
/* 1 if this process has opened it, and nobody after it. */
int fmi_doorbell_is_here(const struct fmi_doorbell_shm *bell);
/* o1, o2: not readable. The caller looks at the condition next. */
void fmi_doorbell_arm(struct fmi_doorbell_shm *bell);
/* o4: readable at the end of that process, too; { birth:42, pid:22 } (party.h), 0: of none. */
void fmi_doorbell_watch(struct fmi_doorbell_shm *bell, uint64_t process);
/* Readable. */
void fmi_doorbell_show(struct fmi_doorbell_shm *bell);
/* Closes what this process has open for it. */
void fmi_doorbell_close(struct fmi_doorbell_shm *bell);

#endif
