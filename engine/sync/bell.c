/* SPDX-License-Identifier: MIT */
/* Sleep until somebody rings; see bell.h. */
#include "bell.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#include <errno.h>

int fmi_bell_wait(struct fmi_bell_shm *bell, uint32_t seen, uint64_t id, int64_t deadline_ns)
{
    if (deadline_ns == FMI_AT_ONCE)
        return -ETIMEDOUT;
    uint32_t word = seen;
    if (!atomic_compare_exchange_strong(&bell->word, &word, seen | FMI_BELL_WAITERS) &&
        word != (seen | FMI_BELL_WAITERS))
        return 0;
    FMI_FAULT("bell.sleep");
    int rc = fmi_mortal_wait(&bell->word, seen | FMI_BELL_WAITERS, id, deadline_ns);
    FMI_FAULT("bell.woken");
    /* A bell that rings all the time would keep its waiters beyond their time. */
    return rc == -ETIMEDOUT || (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns)
               ? -ETIMEDOUT
               : 0;
}

void fmi_bell_ring(struct fmi_bell_shm *bell)
{
    uint32_t word = atomic_load_explicit(&bell->word, memory_order_relaxed);
    FMI_FAULT("bell.ring");
    /* release: pairs with fmi_bell_seen; seq_cst: W is looked for after the change */
    while (!atomic_compare_exchange_weak(&bell->word, &word, (word | FMI_BELL_WAITERS) + 1))
        ;
    FMI_FAULT("bell.wake");
    if ((word & FMI_BELL_WAITERS) != 0)
        fmi_sys_futex_wake_all(&bell->word);
}
