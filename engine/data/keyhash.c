/* SPDX-License-Identifier: MIT */
/* The keyed hash of dict keys; see keyhash.h. */
#include "keyhash.h"

#include <string.h>

struct state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* Section 2.1 of the paper, figure 2.1. */
static inline void do_round(struct state *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline void take_word(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    do_round(s);
    s->v0 ^= word;
}

uint64_t fmi_keyhash(const uint64_t seed[2], const void *data, size_t bytes)
{
    struct state s = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                      seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    const char *at = data;
    size_t left = bytes;
    uint64_t word;
    for (; left >= sizeof word; left -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        take_word(&s, word);
    }
    word = 0;
    if (left > 0)
        memcpy(&word, at, left);
    take_word(&s, word | (uint64_t)bytes << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; i++)
        do_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
