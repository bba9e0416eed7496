/* SPDX-License-Identifier: MIT */
#ifndef T_QUEUE_H
#define T_QUEUE_H

/* Messages that tell whether they are whole, in order, and read once. */
#include "t_process.h"

#include <stdlib.h>

/* What a message begins with; the rest is filled with bytes that follow from it. */
struct t_message {
    uint32_t writer, sequence;
    uint64_t bytes, sum;
};

static inline uint64_t t_mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
    return x ^ x >> 29;
}

static inline uint64_t t_sum_of(const struct t_message *m)
{
    return t_mix(((uint64_t)m->writer << 32 | m->sequence) ^ t_mix(m->bytes));
}

/* Fills `bytes` (>= sizeof(struct t_message)). */
static inline void t_fill(void *to, size_t bytes, uint32_t writer, uint32_t sequence)
{
    struct t_message m = {writer, sequence, bytes, 0};
    m.sum = t_sum_of(&m);
    memset(to, (int)(m.sum & 0xff), bytes);
    memcpy(to, &m, sizeof m);
}

/* 1: it is as t_fill() made it. */
static inline int t_is_whole(const void *from, size_t bytes, struct t_message *m)
{
    const unsigned char *p = from;
    if (bytes < sizeof *m)
        return 0;
    memcpy(m, from, sizeof *m);
    if (m->bytes != bytes || m->sum != t_sum_of(m))
        return 0;
    for (size_t i = sizeof *m; i < bytes; i++)
        if (p[i] != (m->sum & 0xff))
            return 0;
    return 1;
}

#endif
