/* SPDX-License-Identifier: MIT */
#ifndef FMI_HOLDER_H
#define FMI_HOLDER_H

/*
 * Words that say what state something is in and which thread has it, so that a death in the middle is seen by whoever comes next.
 *
 *   bits    63..61  60..36  35..22  21..0
 *          | state | round | index | generation |     index and generation: of a mortal (mortal.h); 0 where nobody has it
 *
 * A round grows by one each time; a word is never the same twice for 2^25 rounds. The generation has 22 of its 31 bits: a thread that died is taken for
 * alive if exactly a multiple of 4,194,304 threads had its entry since. Then it is waited for until that other one ends, and nothing else goes wrong.
 */

#include "mortal.h"

#define FMI_HOLDER_ROUNDS      0x1ffffffu
#define FMI_HOLDER_GENERATIONS 0x3fffffu
static_assert(FMI_MORTAL_BLOCK * FMI_MORTAL_BLOCKS <= 1 << 14, "holder: 14 bits of index");

/* `id`: of a thread, or 0. */
static inline uint64_t fmi_holder_word(unsigned state, uint64_t round, uint64_t id)
{
    uint64_t index = id == 0 ? 0 : ((id >> 12) - 1) & 0x3fff;
    return (uint64_t)state << 61 | (round & FMI_HOLDER_ROUNDS) << 36 | index << 22 |
           (id >> 32 & FMI_HOLDER_GENERATIONS);
}

static inline unsigned fmi_holder_state(uint64_t word)
{
    return (unsigned)(word >> 61);
}

static inline uint32_t fmi_holder_round(uint64_t word)
{
    return (uint32_t)(word >> 36) & FMI_HOLDER_ROUNDS;
}

/* How many rounds `word` is ahead of `round`; negative: behind. */
static inline int32_t fmi_holder_ahead(uint64_t word, uint64_t round)
{
    return (int32_t)(((uint32_t)(word >> 36) - (uint32_t)round) << 7) >> 7;
}

/* The id of the thread that has it; 0: that thread is dead. */
uint64_t fmi_holder_alive(uint64_t word);

#endif
