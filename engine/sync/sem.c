/* SPDX-License-Identifier: MIT */
/* The semaphores; see sem.h. */
#include "sem.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#include <errno.h>

#define WAITERS     UINT64_C(0x80000000)
#define VALUE       UINT64_C(0x7fffffff)
#define ONE_VERSION (UINT64_C(1) << 32)

static _Atomic uint32_t *lower_half(struct fmi_sem_shm *sem)
{
    return (_Atomic uint32_t *)&sem->word + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

void fmi_sem_init(struct fmi_sem_shm *sem, uint32_t value, uint32_t max)
{
    atomic_init(&sem->word, value);
    sem->max = max;
    sem->max_owned = 0;
    fmi_bell_init(&sem->bell);
}

void fmi_sem_init_owned(struct fmi_sem_shm *sem, uint32_t max)
{
    fmi_sem_init(sem, max, max);
    sem->max_owned = max;
    for (uint32_t i = 0; i < max; i++)
        atomic_init(&sem->units[i], 0);
}

/* ---- counted ------------------------------------------------------------------------------------- */

/* 1: this thread has a unit. acquire: pairs with the release in release_counted.
 * NOLINTNEXTLINE(readability-non-const-parameter): the exchange writes to `word` */
static int take(struct fmi_sem_shm *sem, uint64_t *word)
{
    return atomic_compare_exchange_weak_explicit(&sem->word, word, *word - 1 + ONE_VERSION,
                                                 memory_order_acquire, memory_order_relaxed);
}

/* The value is 0: W on, then asleep. 0: look again; -ETIMEDOUT: once more. */
static int sleep_on(struct fmi_sem_shm *sem, uint64_t word, int64_t deadline_ns)
{
    if ((word & WAITERS) == 0 && !atomic_compare_exchange_strong(&sem->word, &word, word | WAITERS))
        return 0;
    FMI_FAULT("sem.sleep");
    int rc = fmi_mortal_wait(lower_half(sem), (uint32_t)WAITERS, 0, deadline_ns);
    FMI_FAULT("sem.woken");
    return rc == -ETIMEDOUT || (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns)
               ? -ETIMEDOUT
               : 0;
}

static int acquire_counted(struct fmi_sem_shm *sem, int64_t deadline_ns)
{
    int is_over = deadline_ns == FMI_AT_ONCE;
    for (;;) {
        uint64_t word = atomic_load_explicit(&sem->word, memory_order_relaxed);
        if ((word & VALUE) != 0) {
            if (take(sem, &word)) {
                FMI_FAULT("sem.taken");
                return 0;
            }
        } else if (is_over) {
            return -ETIMEDOUT;
        } else {
            is_over = sleep_on(sem, word, deadline_ns) == -ETIMEDOUT;
        }
    }
}

/* `word` is what the release has left, with W. */
static void wake_some(struct fmi_sem_shm *sem, uint64_t word, uint32_t n)
{
    FMI_FAULT("sem.wake");
    int n_woken = fmi_sys_futex_wake(lower_half(sem), (int)n);
    FMI_FAULT("sem.waked");
    if (n_woken < (int)n)
        atomic_compare_exchange_strong(&sem->word, &word, word & ~WAITERS);
}

static int release_counted(struct fmi_sem_shm *sem, uint32_t n)
{
    uint64_t word = atomic_load_explicit(&sem->word, memory_order_relaxed), left;
    FMI_FAULT("sem.release");
    do {
        if (n > sem->max - (word & VALUE))
            return -EOVERFLOW;
        left = word + n + ONE_VERSION;
        /* release: pairs with take */
    } while (!atomic_compare_exchange_weak_explicit(&sem->word, &word, left, memory_order_release,
                                                    memory_order_relaxed));
    if ((left & WAITERS) != 0)
        wake_some(sem, left, n);
    return 0;
}

/* ---- owned --------------------------------------------------------------------------------------- */

/* Where a thread begins to look, so that not all of them meet at the first unit. */
static uint32_t begin_of(const struct fmi_sem_shm *sem, uint64_t id)
{
    return (uint32_t)(id >> 12) % sem->max_owned;
}

/* 1: this thread has a unit that was free or a dead one's. 0: they are all held; *holder: by this one, among others. */
static int take_unit(struct fmi_sem_shm *sem, uint64_t id, uint64_t *holder)
{
    for (uint32_t k = 0, i = begin_of(sem, id); k < sem->max_owned; k++) {
        uint64_t unit = atomic_load_explicit(&sem->units[i], memory_order_relaxed);
        /* acquire: pairs with the release in release_owned, or with nothing that the dead did */
        if ((unit == 0 || !fmi_mortal_is_alive(unit)) &&
            atomic_compare_exchange_strong_explicit(&sem->units[i], &unit, id, memory_order_acquire,
                                                    memory_order_relaxed))
            return 1;
        if (unit != id || *holder == 0)
            *holder = unit;
        i = i + 1 == sem->max_owned ? 0 : i + 1;
    }
    return 0;
}

static int acquire_owned(struct fmi_sem_shm *sem, int64_t deadline_ns)
{
    const uint64_t id = fmi_mortal_self();
    int is_over = 0;
    if (id == 0)
        return -EAGAIN;
    for (;;) {
        uint64_t holder = 0;
        const uint32_t seen = fmi_bell_seen(&sem->bell);
        if (take_unit(sem, id, &holder)) {
            FMI_FAULT("sem.taken");
            return 0;
        }
        if (is_over)
            return -ETIMEDOUT;
        is_over = fmi_bell_wait(&sem->bell, seen, holder, deadline_ns) == -ETIMEDOUT;
    }
}

static uint32_t count_of(const struct fmi_sem_shm *sem, uint64_t id)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < sem->max_owned; i++)
        n += atomic_load_explicit(&sem->units[i], memory_order_relaxed) == id;
    return n;
}

static int release_owned(struct fmi_sem_shm *sem, uint32_t n)
{
    const uint64_t id = fmi_mortal_self();
    if (id == 0 || count_of(sem, id) < n)
        return -EPERM;
    for (uint32_t k = 0, i = begin_of(sem, id); k < sem->max_owned && n > 0; k++) {
        FMI_FAULT("sem.release");
        if (atomic_load_explicit(&sem->units[i], memory_order_relaxed) == id) {
            /* release: pairs with take_unit */
            atomic_store_explicit(&sem->units[i], 0, memory_order_release);
            n--;
        }
        i = i + 1 == sem->max_owned ? 0 : i + 1;
    }
    fmi_bell_ring(&sem->bell);
    return 0;
}

/* ---- both ---------------------------------------------------------------------------------------- */

int fmi_sem_acquire(struct fmi_sem_shm *sem, int64_t deadline_ns)
{
    return sem->max_owned != 0 ? acquire_owned(sem, deadline_ns)
                               : acquire_counted(sem, deadline_ns);
}

int fmi_sem_release(struct fmi_sem_shm *sem, uint32_t n)
{
    return sem->max_owned != 0 ? release_owned(sem, n) : release_counted(sem, n);
}

uint32_t fmi_sem_value(const struct fmi_sem_shm *sem)
{
    uint32_t n = 0;
    if (sem->max_owned == 0)
        return (uint32_t)(atomic_load_explicit(&sem->word, memory_order_relaxed) & VALUE);
    for (uint32_t i = 0; i < sem->max_owned; i++) {
        uint64_t unit = atomic_load_explicit(&sem->units[i], memory_order_relaxed);
        n += unit == 0 || !fmi_mortal_is_alive(unit);
    }
    return n;
}
