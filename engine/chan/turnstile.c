/* SPDX-License-Identifier: MIT */
/* Sleeping until it is one's turn; the protocol is in turnstile.h. */
#include "turnstile.h"

#include "clock.h"
#include "fault.h"
#include "futex.h"

#include <errno.h>

/*
 * To spin for as long as a sleep and its wake cost is right on its own. But an idle processor takes 20 to 90 us to wake, so when two that answer each
 * other have once slept, each would find the other asleep for ever. Who was woken soon spins the next time until the other can have been woken and
 * have answered: about half of what it slept, as its own wake was the other half. And if this does not help, since the other needs this very core, not
 * again for a while.
 */
enum { SHORT_NS = 4000, SOON_NS = 250000, PENALTY = 32 };

/* private to the thread */
static _Thread_local int64_t spin_ns = SHORT_NS;
static _Thread_local int penalty;

static void learn(int64_t slept_ns)
{
    int is_soon = slept_ns < SOON_NS;
    if (spin_ns > SHORT_NS && is_soon)
        penalty = PENALTY;
    spin_ns = SHORT_NS + (is_soon && penalty == 0 ? slept_ns * 5 / 8 : 0);
    penalty -= is_soon && penalty > 0;
}

void fmi_turnstile_wake_slowly(struct fmi_turnstile_shm *turnstile)
{
    FMI_FAULT("turnstile.wake");
    uint32_t word = atomic_fetch_add(&turnstile->word, 2) + 2;
    FMI_FAULT("turnstile.called");
    if (fmi_sys_futex_wake(&turnstile->word, 1) == 0) {
        FMI_FAULT("turnstile.nobody");
        atomic_compare_exchange_strong(&turnstile->word, &word, word & ~1u);
    }
}

void fmi_turnstile_wake_all(struct fmi_turnstile_shm *turnstile)
{
    atomic_fetch_add(&turnstile->word, 2);
    fmi_sys_futex_wake_all(&turnstile->word);
}

/* w2 */
static uint32_t join(struct fmi_turnstile_shm *turnstile)
{
    uint32_t word = atomic_load_explicit(&turnstile->word, memory_order_relaxed), joined;
    do
        joined = (word + 2) | 1;
    while (!atomic_compare_exchange_weak(&turnstile->word, &word, joined)); /* pairs with k2 */
    return joined;
}

void fmi_turn_begin(struct fmi_turn *turn, int64_t timeout)
{
    *turn = (struct fmi_turn){.deadline_ns = timeout};
}

/* The first time only: a thing that is there at once costs no look at a clock. 0: go on; 1: look again. */
static int spin(struct fmi_turn *turn)
{
    uint64_t now = fmi_ticks();
    if (turn->spin_end == 0) {
        turn->spin_end = now + fmi_ticks_of_ns(spin_ns);
        turn->deadline_ns = fmi_deadline_after(turn->deadline_ns);
    }
    fmi_relax();
    return now < turn->spin_end;
}

int fmi_turn_wait(struct fmi_turn *turn, struct fmi_turnstile_shm *turnstile,
                  const _Atomic uint64_t *made, uint64_t holder)
{
    if (turn->spin_end == 0 && turn->deadline_ns == FM_NOWAIT)
        return -EAGAIN;
    if (turn->is_over)
        return -ETIMEDOUT;
    if (turn->joined == 0) {
        if (spin(turn))
            return 0;
        FMI_FAULT("turnstile.join");
        turn->joined = join(turnstile);
        (void)atomic_load(made); /* pairs with k1 */
        return 0;
    }
    FMI_FAULT("turnstile.sleep");
    int64_t begin_ns = fmi_now_ns();
    turn->is_over =
        fmi_mortal_wait(&turnstile->word, turn->joined, holder, turn->deadline_ns) == -ETIMEDOUT;
    FMI_FAULT("turnstile.woken");
    learn(fmi_now_ns() - begin_ns);
    turn->joined = 0; /* look without the flag: what it was woken for is there, as a rule */
    return 0;
}
