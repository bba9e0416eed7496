/* SPDX-License-Identifier: MIT */
#ifndef FMI_EVENT_H
#define FMI_EVENT_H

/*
 * An event between processes: set or not; those who wait for it go on when it is set. Placed.
 *
 * One word, { times:30, set:1, W:1 }: how often it was set, so that whoever waited goes on even if it is cleared before he is awake; W: somebody may be asleep.
 *
 *   state      | wait                  | set                                  | clear       | the process dies here
 *   clear      | CAS: W on; sleeps     | CAS: set, times + 1, W off           | -           | -
 *   clear, W   | sleeps                | the same; wakes all                  | -           | waiter: one needless wake
 *   set        | 0                     | -                                    | CAS: clear  | setter, before the wake: sleepers look by themselves
 */

#include "mortal.h"

struct fmi_event_shm {
    _Atomic uint32_t word;
};
static_assert(sizeof(struct fmi_event_shm) == 4, "event: layout");

#define FMI_EVENT_WAITERS 1u
#define FMI_EVENT_SET     2u
#define FMI_EVENT_TIME    4u

void fmi_event_init(struct fmi_event_shm *event);

void fmi_event_set(struct fmi_event_shm *event);
void fmi_event_clear(struct fmi_event_shm *event);

static inline int fmi_event_is_set(const struct fmi_event_shm *event)
{
    /* acquire: pairs with fmi_event_set */
    return (atomic_load_explicit(&event->word, memory_order_acquire) & FMI_EVENT_SET) != 0;
}

/* 0: it is set, or was since the call; -ETIMEDOUT. Not ended by signals. */
int fmi_event_wait(struct fmi_event_shm *event, int64_t deadline_ns);

#endif
