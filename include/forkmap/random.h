/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_RANDOM_H
#define FORKMAP_RANDOM_H

/**
 * @file random.h
 * Random numbers that depend on a seed and an item's number, and on nothing else.
 */
/**
 * @defgroup fm_randoms Random numbers
 * Random numbers that depend on a seed and an item's number, and on nothing else.
 *
 * Each item has a stream of its own, so a map gives the same bits for any number of workers, any schedule, any retry and
 * any crash. In a function:
 *     fm_random r = fm_rng(item);
 *     x = fm_random_f64(&r);
 * A program without a map gets the same numbers by `fm_random_at(seed, item)`.
 *
 * Not for secrets: whoever knows seed and item knows the numbers.
 *
 * Method: Philox4x32-10. A stream is a sequence of 32-bit words. Words 4 b to 4 b + 3 are the block of the counter
 * { b mod 2^32, b / 2^32, item mod 2^32, item / 2^32 } under the key { seed mod 2^32, seed / 2^32 }; b runs from 0 to 2^64 - 1, so
 * that streams do not overlap. A 64-bit number takes the next two words, the low one first. What is made of them is said below, and
 * uses only operations that IEEE 754 defines to the bit: the numbers are the same on every machine.
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 * @{
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FM_RANDOM_WORDS 16 /**< words that a stream makes at a time */

/**
 * A stream, and how far it was read. Opaque; a value: a copy goes on from the same place. Made by fm_rng() or fm_random_at().
 * The members are here for the functions that are inline.
 */
typedef struct fm_random {
    uint64_t seed;                   /**< the key */
    uint64_t stream;                 /**< the item's number */
    uint64_t block;                  /**< that is made next */
    double spare;                    /**< second normal number of a pair */
    uint32_t has_spare;              /**< 1: it was not given out yet */
    uint32_t next;                   /**< place in words; FM_RANDOM_WORDS: all were given out */
    uint32_t words[FM_RANDOM_WORDS]; /**< made, not yet given out from `next` on */
} fm_random;

/**
 * The stream of an item, inside a function: that of the map's option `seed` and this number.
 * `fm_rng(i)` is `fm_random_at(seed, i)`. In a nested map the seed is the nested map's own. Outside of functions it is 0.
 * @param item  the item's number: chunk->begin + r, or what the function makes of its row. Any number is a stream of its own
 * @return the stream, at its beginning
 * Undefined: in a thread that a function started, the seed is that of the map that the worker serves; under a nested map, or in
 *   the share of a caller that works, it may be another or 0. Call fm_rng() in the function, and hand its result to the thread.
 * Blocks / thread-safety: never; any thread.
 */
FM_API fm_random fm_rng(int64_t item);

/**
 * A stream by its seed and number, anywhere.
 * @param seed    any number
 * @param stream  any number, for instance of an item
 * @return the stream, at its beginning
 * Blocks / thread-safety: never; any thread.
 */
FM_API fm_random fm_random_at(uint64_t seed, uint64_t stream);

/**
 * Makes the next FM_RANDOM_WORDS words, in place of those that were not given out. The functions below call it when they need it.
 * @param r  a stream
 * Blocks / thread-safety: never; one thread at a time on a stream.
 */
FM_API void fm_random_refill(fm_random *r);

/**
 * 32 random bits.
 * @param r  a stream; moves on by 1 word
 * @return 0 .. 2^32 - 1, all as likely
 * Blocks / thread-safety: never; one thread at a time on a stream.
 */
static inline uint32_t fm_random_u32(fm_random *r)
{
    if (__builtin_expect(r->next >= FM_RANDOM_WORDS, 0))
        fm_random_refill(r);
    return r->words[r->next++];
}

/**
 * 64 random bits.
 * @param r  a stream; moves on by 2 words
 * @return 0 .. 2^64 - 1, all as likely
 * Blocks / thread-safety: never; one thread at a time on a stream.
 */
static inline uint64_t fm_random_u64(fm_random *r)
{
    if (__builtin_expect(r->next > FM_RANDOM_WORDS - 2, 0)) {
        const uint64_t low = fm_random_u32(r);
        return low | (uint64_t)fm_random_u32(r) << 32;
    }
    const uint32_t *words = r->words + r->next;
    r->next += 2;
    return words[0] | (uint64_t)words[1] << 32;
}

/**
 * A number from 0 to 1: the 53 high bits of fm_random_u64(), times 2^-53.
 * @param r  a stream; moves on by 2 words
 * @return 0 <= x < 1
 * Blocks / thread-safety: never; one thread at a time on a stream.
 */
static inline double fm_random_f64(fm_random *r)
{
    return (double)(int64_t)(fm_random_u64(r) >> 11) * (1.0 / 9007199254740992.0);
}

/**
 * A number from 0 to 1: the 24 high bits of fm_random_u32(), times 2^-24.
 * @param r  a stream; moves on by 1 word
 * @return 0 <= x < 1
 * Blocks / thread-safety: never; one thread at a time on a stream.
 */
static inline float fm_random_f32(fm_random *r)
{
    return (float)(int32_t)(fm_random_u32(r) >> 8) * (1.0F / 16777216.0F);
}

/**
 * A whole number below n, all as likely.
 * @param r  a stream; moves on by 2 words, seldom by more
 * @param n  any number
 * @return 0 .. n - 1; 0 for n = 0
 * Blocks / thread-safety: never; one thread at a time on a stream.
 * Source: Lemire, "Fast random integer generation in an interval", ACM TOMACS 29 (2019).
 */
static inline uint64_t fm_random_below(fm_random *r, uint64_t n)
{
    __extension__ typedef unsigned __int128 product;
    product p = (product)fm_random_u64(r) * n;
    if (__builtin_expect((uint64_t)p < n, 0)) {
        const uint64_t surplus = (0 - n) % n; /* 2^64 mod n: so many are one too many */
        while ((uint64_t)p < surplus)
            p = (product)fm_random_u64(r) * n;
    }
    return (uint64_t)(p >> 64);
}

/**
 * A whole number of an interval, all as likely.
 * @param r   a stream; moves on as by fm_random_below()
 * @param lo  the least
 * @param hi  the largest, >= lo
 * @return lo .. hi, both included; lo if hi < lo
 * Blocks / thread-safety: never; one thread at a time on a stream.
 * Source: random.randint.
 */
static inline int64_t fm_random_between(fm_random *r, int64_t lo, int64_t hi)
{
    const uint64_t n = hi < lo ? 1 : (uint64_t)hi - (uint64_t)lo + 1;
    const uint64_t x = n == 0 ? fm_random_u64(r) : fm_random_below(r, n);
    return (int64_t)((uint64_t)lo + x);
}

/**
 * A normally distributed number, mean 0, standard deviation 1. At most 8.6 from 0.
 * Made in pairs, of which the second is kept for the next call. Needs no libm, so it is the same with any.
 * @param r  a stream; moves on by 4 words at every second call
 * @return the number
 * Blocks / thread-safety: never; one thread at a time on a stream.
 * Source: Box and Muller, "A note on the generation of random normal deviates", 1958.
 */
FM_API double fm_random_normal(fm_random *r);

/**
 * One block of Philox4x32-10, for programs with keys and counters of their own.
 * @param counter  4 words
 * @param key      2 words
 * @param out      4 words; may be `counter`
 * Blocks / thread-safety: never; any thread.
 * Source: Salmon et al., SC 2011, section 4; its known answers are among the tests.
 */
FM_API void fm_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
