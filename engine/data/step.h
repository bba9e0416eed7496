/* SPDX-License-Identifier: MIT */
#ifndef FMI_STEP_H
#define FMI_STEP_H

/*
 * Steps of a protocol whose process may be killed between any two of them, while it holds the lock of what it changes. The kernel kills between two instructions,
 * so what counts is that the compiler leaves the order of the program as it is.
 */

#include <stdatomic.h>
#include <stdint.h>

/* What stands before it in the program is done before it, what follows after it. Release: pairs with the acquire in fmi_step_load, if the lock's last holder died. */
static inline void fmi_step(_Atomic uint64_t *word, uint64_t value)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(word, value, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

static inline uint64_t fmi_step_load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_acquire);
}

#endif
