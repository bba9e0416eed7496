/* SPDX-License-Identifier: MIT */
/* The event; see event.h. */
#include "event.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#include <errno.h>

#define TIMES (~(FMI_EVENT_WAITERS | FMI_EVENT_SET))

void fmi_event_init(struct fmi_event_shm *event)
{
    atomic_init(&event->word, 0);
}

/* One that is set already is exchanged for itself: what this thread did before is to be seen by whoever finds it set. */
static uint32_t when_set(uint32_t word)
{
    return (word & FMI_EVENT_SET) != 0 ? word : (word & TIMES) + FMI_EVENT_TIME + FMI_EVENT_SET;
}

void fmi_event_set(struct fmi_event_shm *event)
{
    uint32_t word = atomic_load_explicit(&event->word, memory_order_relaxed);
    FMI_FAULT("event.set");
    /* release: pairs with fmi_event_is_set and fmi_event_wait */
    while (!atomic_compare_exchange_weak(&event->word, &word, when_set(word)))
        ;
    FMI_FAULT("event.wake");
    if ((word & FMI_EVENT_WAITERS) != 0)
        fmi_sys_futex_wake_all(&event->word);
}

void fmi_event_clear(struct fmi_event_shm *event)
{
    /* acquire and release: what happened before it was set comes before what the clearing thread does next */
    atomic_fetch_and_explicit(&event->word, ~FMI_EVENT_SET, memory_order_acq_rel);
}

static int is_over(int64_t deadline_ns)
{
    return deadline_ns == FMI_AT_ONCE || (deadline_ns != FMI_NEVER && fmi_now_ns() >= deadline_ns);
}

int fmi_event_wait(struct fmi_event_shm *event, int64_t deadline_ns)
{
    /* acquire, here and below: pairs with fmi_event_set */
    uint32_t word = atomic_load_explicit(&event->word, memory_order_acquire);
    const uint32_t times = word & TIMES;
    while ((word & FMI_EVENT_SET) == 0 && (word & TIMES) == times) {
        if (is_over(deadline_ns))
            return -ETIMEDOUT;
        if ((word & FMI_EVENT_WAITERS) != 0 ||
            atomic_compare_exchange_strong(&event->word, &word, word | FMI_EVENT_WAITERS)) {
            FMI_FAULT("event.sleep");
            (void)fmi_mortal_wait(&event->word, word | FMI_EVENT_WAITERS, 0, deadline_ns);
            FMI_FAULT("event.woken");
        }
        word = atomic_load_explicit(&event->word, memory_order_acquire);
    }
    return 0;
}
