/* SPDX-License-Identifier: MIT */
/* Parking; the protocol is in park.h. */
#include "park.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

void fmi_park_init(struct fmi_park_shm *p)
{
    atomic_init(&p->seq, 1);
    atomic_init(&p->sleepers, 0);
    for (int i = 0; i < 7; i++)
        atomic_init(&p->beside[i], 0);
}

/* Spinning pays only while it is cheaper than a sleep and its wake. */
int fmi_park_spin(const struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns)
{
    if (fmi_park_seen(p) != seen)
        return 1;
    uint64_t begin = fmi_ticks(), limit = fmi_ticks_of_ns(spin_ns);
    do {
        fmi_relax();
        if (fmi_park_seen(p) != seen)
            return 1;
    } while (fmi_ticks() - begin < limit);
    return 0;
}

int fmi_park(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns, int64_t deadline_ns)
{
    if (fmi_park_spin(p, seen, spin_ns))
        return 0;
    FMI_FAULT("park.sleep");
    atomic_store(&p->sleepers, 1); /* w4: before the kernel compares seq at w5; pairs with k3 */
    return fmi_sys_futex_wait(&p->seq, seen, deadline_ns);
}

int fmi_park_alive(struct fmi_park_shm *p, uint32_t seen, int64_t spin_ns,
                   const _Atomic uint32_t *life, uint32_t life_value, int64_t deadline_ns)
{
    if (fmi_park_spin(p, seen, spin_ns))
        return 0;
    atomic_store(&p->sleepers, 1); /* w4, as in fmi_park */
    return fmi_sys_futex_wait_alive(&p->seq, seen, life, life_value, deadline_ns);
}

void fmi_park_announce(struct fmi_park_shm *p)
{
    FMI_FAULT("park.announce");
    atomic_fetch_add(&p->seq, 1); /* k2: releases the caller's change */
}

void fmi_park_rouse(struct fmi_park_shm *p)
{
    FMI_FAULT("park.rouse");
    if (atomic_load(&p->sleepers) != 0 && atomic_exchange(&p->sleepers, 0) != 0) /* pairs with w4 */
        fmi_sys_futex_wake_all(&p->seq);
}

void fmi_park_wake(struct fmi_park_shm *p)
{
    fmi_park_announce(p);
    fmi_park_rouse(p);
}
