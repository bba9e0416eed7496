/* SPDX-License-Identifier: MIT */
/* The robust lock; see lock.h. */
#include "lock.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#include <errno.h>

/*
 * Before it sleeps. Between two looks the word is left alone, longer each time: whoever has it may take it a hundred times in that time, from its own
 * cache, where with a look every few ns each turn could carry the line to the other core and back.
 */
enum { FIRST_PAUSE_NS = 1000, LAST_PAUSE_NS = 4000 };

static const _Atomic uint32_t *lower_half(const struct fmi_lock_shm *lock)
{
    return (const _Atomic uint32_t *)&lock->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

static int is_held(uint64_t word)
{
    return (word & FMI_MORTAL_IS_THERE) != 0;
}

/* What the word is with `id` as its holder. */
static uint64_t held_by(uint64_t id, uint64_t word)
{
    return id | (word & FMI_MORTAL_WAITERS) | ((word + 1) & FMI_MORTAL_VERSION);
}

void fmi_lock_init(struct fmi_lock_shm *lock)
{
    atomic_init(&lock->word, 0);
}

/* 1: it is this thread's. acquire: pairs with the release in fmi_lock_release, or with nothing that the dead did.
 * NOLINTNEXTLINE(readability-non-const-parameter): the exchange writes to `word` */
static int take(struct fmi_lock_shm *lock, uint64_t id, uint64_t *word)
{
    return atomic_compare_exchange_weak_explicit(&lock->word, word, held_by(id, *word),
                                                 memory_order_acquire, memory_order_relaxed);
}

static void pause_for(int64_t ns)
{
    uint64_t limit = fmi_ticks_of_ns(ns), begin = fmi_ticks();
    while (fmi_ticks() - begin < limit)
        fmi_relax();
}

/* W on, then asleep, until the word is another or its holder dead. 0; -ETIMEDOUT; -EINTR. */
static int sleep_on(struct fmi_lock_shm *lock, uint64_t word, int64_t deadline_ns)
{
    if ((word & FMI_MORTAL_WAITERS) == 0 &&
        !atomic_compare_exchange_strong(&lock->word, &word, word | FMI_MORTAL_WAITERS))
        return 0;
    FMI_FAULT("lock.sleep");
    int rc = fmi_mortal_wait(lower_half(lock), (uint32_t)word, word & FMI_MORTAL_ID, deadline_ns);
    FMI_FAULT("lock.woken");
    return rc;
}

static int acquire_slowly(struct fmi_lock_shm *lock, uint64_t id, int64_t deadline_ns)
{
    int64_t pause_ns = deadline_ns == FMI_AT_ONCE ? LAST_PAUSE_NS + 1 : FIRST_PAUSE_NS;
    int is_over = 0;
    for (;;) {
        uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);
        if (!is_held(word)) {
            if (take(lock, id, &word))
                return 0;
            continue;
        }
        if (pause_ns <= LAST_PAUSE_NS) {
            pause_for(pause_ns);
            pause_ns *= 2;
            continue;
        }
        if (!fmi_mortal_is_alive(word & FMI_MORTAL_ID)) {
            if (take(lock, id, &word))
                return FM_EOWNERDEAD;
            continue;
        }
        if (is_over || deadline_ns == FMI_AT_ONCE)
            return -ETIMEDOUT;
        is_over = sleep_on(lock, word, deadline_ns) ==
                  -ETIMEDOUT; /* one more look: it may just have been woken */
    }
}

int fmi_lock_acquire(struct fmi_lock_shm *lock, int64_t deadline_ns)
{
    uint64_t id = fmi_mortal_self(), word = atomic_load_explicit(&lock->word, memory_order_relaxed);
    if (id == 0)
        return -EAGAIN;
    if (!is_held(word) && take(lock, id, &word)) {
        FMI_FAULT("lock.held");
        return 0;
    }
    return acquire_slowly(lock, id, deadline_ns);
}

/* The word is free and has W. */
static void wake_one(struct fmi_lock_shm *lock, uint64_t word)
{
    FMI_FAULT("lock.wake");
    int n = fmi_sys_futex_wake((_Atomic uint32_t *)lower_half(lock), 1);
    FMI_FAULT("lock.waked");
    if (n == 0)
        atomic_compare_exchange_strong(&lock->word, &word, word & ~FMI_MORTAL_WAITERS);
}

int fmi_lock_release(struct fmi_lock_shm *lock)
{
    uint64_t word = atomic_load_explicit(&lock->word, memory_order_relaxed), left;
    FMI_FAULT("lock.release");
    do {
        if (!is_held(word))
            return -EPERM;
        left = word & (FMI_MORTAL_WAITERS | FMI_MORTAL_VERSION);
        /* release: pairs with take */
    } while (!atomic_compare_exchange_weak_explicit(&lock->word, &word, left, memory_order_release,
                                                    memory_order_relaxed));
    if ((left & FMI_MORTAL_WAITERS) != 0)
        wake_one(lock, left);
    return 0;
}
