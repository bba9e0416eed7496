/* SPDX-License-Identifier: MIT */
/* Who uses one end of a pipe; see party.h. */
#include "party.h"

#include "clock.h"
#include "doorbell.h"
#include "error.h"
#include "fault.h"
#include "mortal.h"
#include "process.h"

#include <errno.h>
#include <unistd.h>

enum { PID_BITS = 22 }; /* the kernel has no larger ones */
#define PID_MASK ((UINT64_C(1) << PID_BITS) - 1)

static uint64_t word_of(int pid)
{
    uint64_t birth = fmi_sys_birth(pid);
    return birth == 0 ? 0 : birth << PID_BITS | (uint64_t)pid;
}

/* Of this process; read once, and again in a forked child. 0: /proc is not there. */
static uint64_t own_word(void)
{
    static _Atomic uint64_t kept;
    uint64_t word =
        atomic_load_explicit(&kept, memory_order_relaxed); /* nothing else goes with it */
    if ((word & PID_MASK) == (uint64_t)getpid())
        return word;
    word = word_of(getpid());
    atomic_store_explicit(&kept, word, memory_order_relaxed);
    return word;
}

/* A pid that is another process's by now has another birth. */
static int is_running(uint64_t word)
{
    return word >> PID_BITS != 0 && word_of(fmi_party_pid(word)) == word;
}

int fmi_party_init(struct fmi_party_shm *party)
{
    uint64_t id = fmi_mortal_self();
    if (id == 0)
        return fmi_error(-EAGAIN, "too many threads of the family have an id");
    atomic_init(&party->process, own_word());
    atomic_init(&party->coming, own_word());
    atomic_init(&party->user, id);
    atomic_init(&party->state, FMI_PARTY_OPEN);
    fmi_lock_init(&party->moving);
    return 0;
}

/* u0. What a dead one left half done is done again by whoever is next. */
static int enter(struct fmi_party_shm *party)
{
    int rc = fmi_lock_acquire(&party->moving, FMI_NEVER);
    FMI_FAULT("party.enter");
    return rc == FM_EOWNERDEAD ? 0 : rc;
}

static void leave(struct fmi_party_shm *party)
{
    (void)fmi_lock_release(&party->moving); /* only nonsense in memory makes it fail */
}

/* u1 .. u3 */
static void move_to(struct fmi_party_shm *party, uint64_t word, struct fmi_doorbell_shm *bell)
{
    atomic_store(&party->coming, word); /* seq_cst: before the look at the bell; pairs with arm */
    FMI_FAULT("party.coming");
    if (bell != NULL)
        (void)fmi_doorbell_ring(bell);
    FMI_FAULT("party.process");
    atomic_store_explicit(&party->process, word, memory_order_release); /* pairs with is_gone */
}

/* u1 .. u4 */
static void move_here(struct fmi_party_shm *party, uint64_t id, struct fmi_doorbell_shm *bell)
{
    if (atomic_load_explicit(&party->process, memory_order_relaxed) != own_word()) /* locked */
        move_to(party, own_word(), bell);
    FMI_FAULT("party.user");
    atomic_store_explicit(&party->user, id, memory_order_release); /* pairs with is_gone */
}

int fmi_party_use(struct fmi_party_shm *party, struct fmi_doorbell_shm *bell)
{
    uint64_t id = fmi_mortal_self();
    /* relaxed: who else wrote it does not matter */
    if (id != 0 && atomic_load_explicit(&party->user, memory_order_relaxed) == id)
        return 0;
    int rc = enter(party);
    if (rc != 0)
        return rc;
    move_here(party, id, bell);
    leave(party);
    return 0;
}

int fmi_party_give(struct fmi_party_shm *party, int pid, struct fmi_doorbell_shm *bell)
{
    if (pid <= 0 || (uint64_t)pid > PID_MASK)
        return fmi_error(-EINVAL, "%d is no pid", pid);
    int rc = enter(party);
    if (rc != 0)
        return rc;
    uint64_t word = word_of(pid);
    move_to(party, word != 0 ? word : (uint64_t)pid, bell); /* without a birth: it is dead */
    FMI_FAULT("party.given");
    atomic_store_explicit(&party->user, 0, memory_order_release); /* pairs with is_gone */
    leave(party);
    return 0;
}

int fmi_party_close(struct fmi_party_shm *party, struct fmi_doorbell_shm *bell)
{
    uint32_t open = FMI_PARTY_OPEN;
    uint64_t id = fmi_mortal_self();
    int is_locked = id != 0 && enter(party) == 0; /* a thread without an id may close, too */
    if (is_locked)
        move_here(party, id, bell);
    /* seq_cst: before the look at the bell (arm); release: pairs with fmi_party_is_closed */
    int is_first = atomic_compare_exchange_strong(&party->state, &open, FMI_PARTY_CLOSED);
    FMI_FAULT("party.closed");
    if (bell != NULL)
        (void)fmi_doorbell_ring(bell);
    if (is_locked)
        leave(party);
    return is_first;
}

int fmi_party_is_gone(const struct fmi_party_shm *party)
{
    /* acquire: pairs with fmi_party_use and _give; whoever is seen as the user has written his process */
    uint64_t user = atomic_load_explicit(&party->user, memory_order_acquire);
    if (user != 0 && fmi_mortal_is_alive(user))
        return 0;
    return !is_running(atomic_load_explicit(&party->process, memory_order_acquire));
}

uint64_t fmi_party_awaited(const struct fmi_party_shm *party)
{
    uint64_t user = atomic_load_explicit(&party->user, memory_order_acquire);
    return user != 0 && fmi_mortal_is_alive(user) ? user : 0;
}

uint64_t fmi_party_watched(const struct fmi_party_shm *party)
{
    uint64_t word = atomic_load(&party->coming); /* seq_cst: pairs with move_to, after arming */
    if (word != own_word() && !is_running(word))
        word = atomic_load_explicit(&party->process, memory_order_acquire);
    /* Also one that is ending: its thread may look alive for a moment yet, so the end is not gone before. */
    return word == own_word() ? 0 : word;
}
