/* SPDX-License-Identifier: MIT */
/* Who has taken what; see hands.h. */
#include "hands.h"

#include "fault.h"

#include <errno.h>
#include <unistd.h>

static uint32_t count_of(uint64_t word)
{
    return (uint32_t)word;
}

static int number_of(uint64_t id)
{
    return (int)((id >> 12 & 0xfffff) - 1) % FMI_HANDS;
}

static int is_of(uint64_t word, uint64_t id)
{
    return word >> 32 == id >> 32;
}

static int is_alive(uint64_t word, int i)
{
    return fmi_mortal_is_alive((word >> 32 << 32) | (uint64_t)(i + 1) << 12);
}

void fmi_hands_add(struct fmi_hands_shm *hands, uint64_t me)
{
    _Atomic uint64_t *mine = &hands->words[number_of(me)];
    uint64_t word = atomic_load_explicit(mine, memory_order_relaxed), next;
    do /* seq_cst: before r1; pairs with fmi_hands_are_empty, which comes after a look at the cells */
        next = is_of(word, me) ? word + 1 : (me >> 32 << 32) | 1;
    while (!atomic_compare_exchange_weak(mine, &word, next));
    FMI_FAULT("hands.add");
    if (!is_of(word, me) && count_of(word) != 0)
        atomic_fetch_add(&hands->lost, count_of(word));
}

static int take_one(struct fmi_hands_shm *hands, int i)
{
    uint64_t word = atomic_load_explicit(&hands->words[i], memory_order_relaxed);
    while (count_of(word) != 0)
        if (atomic_compare_exchange_weak(&hands->words[i], &word, word - 1))
            return 1;
    return 0;
}

int fmi_hands_take_off(struct fmi_hands_shm *hands, uint64_t me)
{
    uint64_t word = atomic_load_explicit(&hands->words[number_of(me)], memory_order_relaxed);
    if (is_of(word, me) && take_one(hands, number_of(me)))
        return 0;
    int n = fmi_mortal_count();
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < n; i++) {
            struct fmi_mortal_shm *m = fmi_mortal_at(i);
            if (m == NULL || (round == 0 && atomic_load_explicit(&m->pid, memory_order_relaxed) !=
                                                (uint32_t)getpid()))
                continue;
            if (take_one(hands, i))
                return 0;
        }
    return -EINVAL;
}

int fmi_hands_are_empty(struct fmi_hands_shm *hands)
{
    for (int i = 0, n = fmi_mortal_count(); i < n; i++) {
        uint64_t word = atomic_load(&hands->words[i]);
        if (count_of(word) == 0)
            continue;
        if (is_alive(word, i))
            return 0;
        FMI_FAULT("hands.lost");
        if (!atomic_compare_exchange_strong(&hands->words[i], &word, word >> 32 << 32))
            return 0; /* it moves: look again */
        atomic_fetch_add(&hands->lost, count_of(word));
    }
    return 1;
}
