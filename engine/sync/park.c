/* SPDX-License-Identifier: MIT */
/* Parking; the protocol is in park.h. */
#include "park.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

enum { LOOKS = 16 }; /* between two pauses */

void fmi_park_init(struct fmi_park_shm *p)
{
    atomic_init(&p->word, 2); /* no state is 0 */
    p->pad = 0;
    for (int i = 0; i < 7; i++)
        atomic_init(&p->beside[i], 0);
}

/* Spinning pays only while it is cheaper than a sleep and its wake. From *ticks on; *ticks is when it last saw nothing new. */
static inline int spin_from(const struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns,
                            uint64_t *ticks)
{
    uint64_t begin = *ticks, limit = fmi_ticks_of_ns(spin_ns);
    do {
        for (int i = 0; i < LOOKS; i++) /* a look costs nothing until the line is taken away */
            if (fmi_park_seen(p) != seen)
                return 1;
        fmi_relax();
        *ticks = fmi_ticks();
    } while (*ticks - begin < limit);
    return 0;
}

int fmi_park_spin(const struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns)
{
    if (fmi_park_seen(p) != seen)
        return 1;
    uint64_t ticks = fmi_ticks();
    return spin_from(p, seen, spin_ns, &ticks);
}

/* w4: sets the flag while seq is still `seen`. 0 if it has moved on. */
static int set_flag(struct fmi_park_shm *p, uint32_t seen)
{
    uint32_t word = atomic_load(&p->word);
    while (word == seen)
        if (atomic_compare_exchange_weak(&p->word, &word, seen | FMI_PARK_FLAG)) /* pairs with k3 */
            return 1;
    return word == (seen | FMI_PARK_FLAG);
}

static int sleep_on(struct fmi_park_shm *p, uint32_t seen, int64_t deadline_ns)
{
    FMI_FAULT("park.sleep");
    if (!set_flag(p, seen))
        return 0;
    return fmi_sys_futex_wait(&p->word, seen | FMI_PARK_FLAG, deadline_ns);
}

int fmi_park(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns, int64_t deadline_ns)
{
    return fmi_park_spin(p, seen, spin_ns) ? 0 : sleep_on(p, seen, deadline_ns);
}

int fmi_park_timed(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns, int64_t deadline_ns,
                   uint64_t *ticks)
{
    if (spin_from(p, seen, spin_ns, ticks))
        return 0;
    int rc = sleep_on(p, seen, deadline_ns);
    *ticks = fmi_ticks();
    return rc;
}

int fmi_park_alive(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns,
                   const _Atomic uint32_t *life, uint32_t life_value, int64_t deadline_ns)
{
    if (fmi_park_spin(p, seen, spin_ns) || !set_flag(p, seen))
        return 0;
    int rc =
        fmi_sys_futex_wait_alive(&p->word, seen | FMI_PARK_FLAG, life, life_value, deadline_ns);
    if (atomic_load(life) != life_value)
        fmi_sys_futex_wake_all(
            (_Atomic uint32_t *)life); /* of all that wait for a death the kernel wakes one */
    return rc;
}

int fmi_park_announce(struct fmi_park_shm *p)
{
    FMI_FAULT("park.announce");
    return (atomic_fetch_add(&p->word, 2) & FMI_PARK_FLAG) ==
           0; /* k2: releases the caller's change */
}

static int take_flag(struct fmi_park_shm *p)
{
    if ((atomic_load(&p->word) & FMI_PARK_FLAG) == 0) /* k3: pairs with w4 */
        return 0;
    return (atomic_fetch_and(&p->word, ~FMI_PARK_FLAG) & FMI_PARK_FLAG) != 0;
}

void fmi_park_rouse(struct fmi_park_shm *p)
{
    FMI_FAULT("park.rouse");
    if (!take_flag(p))
        return;
    FMI_FAULT("park.taken");
    fmi_sys_futex_wake_all(&p->word);
}

void fmi_park_wake(struct fmi_park_shm *p)
{
    fmi_park_announce(p);
    fmi_park_rouse(p);
}

void fmi_park_wake_all(struct fmi_park_shm *p)
{
    fmi_park_announce(p);
    take_flag(p);
    fmi_sys_futex_wake_all(&p->word);
}
