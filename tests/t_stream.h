/* SPDX-License-Identifier: MIT */
#ifndef T_STREAM_H
#define T_STREAM_H

/* What the tests of streams share: opening in both orders, taking with a check, generators that count. Each asserts. */
#include "t_pool.h"

#include <stdio.h>

typedef int t_imap_fn(fm_pool *pool, fm_item_fn *fn, fm_source source, const fm_stream_opts *opts,
                      fm_stream **stream);

/* In order first; for loops over both. */
static t_imap_fn *const t_imaps[2] = {fm_pool_imap, fm_pool_imap_unordered};

static inline fm_stream *t_stream(t_imap_fn *imap, fm_pool *pool, fm_item_fn *fn, fm_source source,
                                  const fm_stream_opts *opts)
{
    fm_stream *stream;
    t_expect(imap(pool, fn, source, opts, &stream), 0);
    assert_non_null(stream);
    return stream;
}

#define T_RESULT_I64 FM_STREAM_OPTS(.result_bytes = sizeof(int64_t))

static inline int t_square(const void *item, void *result, void *arg)
{
    int64_t x = *(const int64_t *)item;
    (void)arg;
    *(int64_t *)result = x * x;
    return 0;
}

/* What became of an item that was not to fail: a death that comes once in a thousand runs is known by nothing else. */
static inline void t_tell_failure(const fm_failure *f)
{
    fprintf(stderr, "item %lld %s: code %d, signal %d, address %llx, attempt %d, pid %d\n",
            (long long)f->item, fm_item_state_name(f->state), f->code, f->signal,
            (unsigned long long)f->address, f->attempt, f->pid);
}

/* The next item, which is number `index` and did not fail. */
static inline const void *t_take(fm_stream *stream, int64_t index)
{
    fm_stream_item item;
    int rc = fm_stream_next(stream, &item, FM_FOREVER);
    if (rc != 0 && item.failure != NULL)
        t_tell_failure(item.failure);
    t_expect(rc, 0);
    assert_int_equal(item.index, index);
    assert_null(item.failure);
    return item.result;
}

static inline int64_t t_take_i64(fm_stream *stream, int64_t index)
{
    return *(const int64_t *)t_take(stream, index);
}

static inline void t_expect_end(fm_stream *stream)
{
    fm_stream_item item;
    for (int i = 0; i < 2; i++) {
        t_expect(fm_stream_next(stream, &item, FM_FOREVER), FM_ECLOSED);
        assert_null(item.result);
        assert_null(item.failure);
    }
}

/* Squares of begin .. begin + n - 1, each once, and the end. */
static inline void t_expect_squares(fm_stream *stream, int is_ordered, int64_t begin, int64_t n)
{
    char *seen = test_calloc((size_t)n + 1, 1);
    for (int64_t k = 0; k < n; k++) {
        fm_stream_item item;
        t_expect(fm_stream_next(stream, &item, FM_FOREVER), 0);
        assert_in_range(item.index, 0, n - 1);
        if (is_ordered)
            assert_int_equal(item.index, k);
        assert_int_equal(seen[item.index]++, 0);
        assert_int_equal(*(const int64_t *)item.result,
                         (begin + item.index) * (begin + item.index));
    }
    t_expect_end(stream);
    test_free(seen);
}

/* A generator of 0, 1, 2 ... `end` - 1; then, and ever after, it says `code`. */
struct t_numbers {
    int64_t n_drawn, end;
    int code;
    int64_t n_taken,
        ahead;   /* ahead: the most that n_drawn was before n_taken, which the test counts */
    int n_dirty; /* slots that were not zeroed */
};

static inline int t_next_number(void *slot, void *arg)
{
    struct t_numbers *g = arg;
    if (g->n_drawn >= g->end)
        return g->code;
    g->n_dirty += *(int64_t *)slot != 0;
    *(int64_t *)slot = g->n_drawn++;
    if (g->n_drawn - g->n_taken > g->ahead)
        g->ahead = g->n_drawn - g->n_taken;
    return 0;
}

static inline fm_source t_generated(struct t_numbers *g)
{
    return fm_source_generator(t_next_number, g, sizeof(int64_t));
}

#endif
