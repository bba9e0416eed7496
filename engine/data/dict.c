/* SPDX-License-Identifier: MIT */
/* Dicts: their life, and what is done with one key; see dict.h. */
#include "dict.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "keyhash.h"
#include "message.h"
#include "opts.h"
#include "snapshot.h"
#include "step.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

static_assert((int)FMI_DICT_MAX_STRIPES == (int)FM_DICT_MAX_STRIPES, "dict: stripes");

/* ---- the record ---------------------------------------------------------------------------------- */

static size_t record_bytes(uint64_t n_stripes)
{
    return sizeof(struct fm_dict) + n_stripes * sizeof(struct fmi_stripe_shm);
}

/* 0; -EINVAL: nothing of the heap; FM_ECORRUPT: no dict. Says nothing of it. */
static int look_quietly(fm_dict *d, struct fmi_dict *seen)
{
    if ((uintptr_t)d % 64 != 0 || !fmi_heap_contains(d, sizeof *d))
        return -EINVAL;
    /* Acquire pairs with the release in publish. */
    if (atomic_load_explicit(&d->mark, memory_order_acquire) != FMI_DICT_LIVE)
        return FM_ECORRUPT;
    *seen = (struct fmi_dict){d, d->n_stripes, {d->seed[0], d->seed[1]}};
    /* From here on the compiler may not read the shared fields again: they may have changed since. */
    __asm__ volatile("" ::: "memory");
    const uint64_t n = seen->n_stripes;
    return n > 0 && n <= FMI_DICT_MAX_STRIPES && (n & (n - 1)) == 0 &&
                   fmi_heap_is_block(d, record_bytes(n))
               ? 0
               : FM_ECORRUPT;
}

int fmi_dict_look(fm_dict *d, struct fmi_dict *seen)
{
    const int code = look_quietly(d, seen);
    if (code == -EINVAL)
        return fmi_error(code, "dict %p is not in the shared heap; make it with fm_dict_create()",
                         (void *)d);
    if (code != 0)
        return fmi_error(code, "dict %p was destroyed or overwritten", (void *)d);
    return 0;
}

int fmi_dict_fail(const fm_dict *d, int code)
{
    if (code == FM_ECORRUPT)
        return fmi_error(code, "dict %p was overwritten", (const void *)d);
    if (code == -ETIMEDOUT || code == -EAGAIN)
        return fmi_error(code, "a lock of dict %p: %s", (const void *)d, fm_strerror(code));
    return code;
}

/* ---- life ---------------------------------------------------------------------------------------- */

static int read_opts(const fm_dict_opts *opts, uint64_t *n_stripes)
{
    fm_dict_opts own = {0};
    int code = fmi_opts_copy(&own, sizeof own, opts);
    if (code != 0)
        return code;
    if (own.stripes < 0 || own.stripes > FMI_DICT_MAX_STRIPES)
        return fmi_error(-EINVAL, "%d stripes; 0 to %d are possible", own.stripes,
                         FMI_DICT_MAX_STRIPES);
    const uint64_t wanted = own.stripes == 0 ? FM_DICT_DEFAULT_STRIPES : (uint64_t)own.stripes;
    for (*n_stripes = 1; *n_stripes < wanted;)
        *n_stripes *= 2;
    return 0;
}

int fm_dict_create(fm_dict **out, const fm_dict_opts *opts)
{
    uint64_t n_stripes;
    void *record;
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    int code = read_opts(opts, &n_stripes);
    if (code == 0)
        code = fmi_heap_alloc(&record, record_bytes(n_stripes), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    fm_dict *d = record;
    if (getrandom(d->seed, sizeof d->seed, 0) != (ssize_t)sizeof d->seed) {
        code = -errno;
        fmi_heap_free(d);
        return fmi_error(code, "getrandom: %s", fm_strerror(code));
    }
    d->n_stripes = n_stripes;
    for (uint64_t i = 0; i < n_stripes; i++)
        fmi_lock_init(&d->stripes[i].lock);
    FMI_FAULT("dict.publish");
    /* Release: whoever sees the mark sees the rest; pairs with look_quietly. */
    atomic_store_explicit(&d->mark, FMI_DICT_LIVE, memory_order_release);
    *out = d;
    return 0;
}

void fm_dict_destroy(fm_dict *d)
{
    if (d == NULL)
        return;
    struct fmi_dict seen;
    uint64_t live = FMI_DICT_LIVE;
    /* Relaxed: only one caller may win; nobody else may use it any more. */
    if (fmi_dict_look(d, &seen) != 0 ||
        !atomic_compare_exchange_strong_explicit(&d->mark, &live, FMI_DICT_DEAD,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        fmi_log(FM_LOG_ERROR, "destroy of %p, which is no dict (any more)", (void *)d);
        return;
    }
    FMI_FAULT("dict.dead");
    for (uint64_t i = 0; i < seen.n_stripes; i++)
        fmi_stripe_fini(&d->stripes[i]);
    if (fmi_heap_free(d) != 0)
        fmi_log(FM_LOG_ERROR, "dict %p was overwritten; it is not freed", (void *)d);
}

/* ---- one key ------------------------------------------------------------------------------------- */

/* What one call does, and has. */
struct call {
    struct fmi_dict dict;
    struct fmi_key key;
    struct fmi_stripe stripe;
    struct fmi_pair pair; /* if it is there */
};

/* With the stripe of a key. 1: the key is there; 0: it is not; else not held. */
static int begin(struct call *c, fm_dict *d, fm_bytes key, int64_t timeout)
{
    c->pair = (struct fmi_pair){0};
    int code = fmi_bytes_check(key, "a key");
    if (code == 0)
        code = fmi_dict_look(d, &c->dict);
    if (code != 0)
        return code;
    const uint64_t hash = fmi_keyhash(c->dict.seed, key.data, key.bytes);
    c->key = (struct fmi_key){key, (uint32_t)(hash >> 32)};
    code = fmi_stripe_acquire(&c->stripe, &d->stripes[hash & (c->dict.n_stripes - 1)], &d->epoch,
                              fmi_deadline_of(timeout));
    if (code != 0)
        return fmi_dict_fail(d, code);
    code = fmi_table_find(&c->stripe.table, &c->key, &c->pair);
    if (code != FM_ECORRUPT)
        return code;
    fmi_stripe_release(&c->stripe);
    return fmi_dict_fail(d, code);
}

static int end(struct call *c, int code)
{
    fmi_stripe_release(&c->stripe);
    return fmi_dict_fail(c->dict.shm, code);
}

static int put(struct call *c, int is_there, fm_bytes value)
{
    return is_there ? fmi_stripe_replace(&c->stripe, &c->pair, value)
                    : fmi_stripe_insert(&c->stripe, &c->key, value, &c->dict.shm->next_seq);
}

int fm_dict_get(fm_dict *d, fm_bytes key, fm_buf *buf, int64_t timeout)
{
    struct call c;
    int code = fmi_buf_check(buf);
    if (code != 0)
        return code;
    buf->bytes = 0;
    code = begin(&c, d, key, timeout);
    if (code < 0)
        return code;
    return end(&c, code == 0 ? -ENOENT : fmi_buf_put(buf, c.pair.value));
}

int fm_dict_set(fm_dict *d, fm_bytes key, fm_bytes value, int64_t timeout)
{
    struct call c;
    int code = fmi_bytes_check(value, "a value");
    if (code != 0)
        return code;
    code = begin(&c, d, key, timeout);
    return code < 0 ? code : end(&c, put(&c, code, value));
}

int fm_dict_delete(fm_dict *d, fm_bytes key, int64_t timeout)
{
    return fm_dict_pop(d, key, NULL, timeout);
}

int fm_dict_contains(fm_dict *d, fm_bytes key, int64_t timeout)
{
    struct call c;
    const int code = begin(&c, d, key, timeout);
    return code < 0 ? code : end(&c, code);
}

/* For calls that need no value: buf is NULL. */
static int put_if_wanted(fm_buf *buf, fm_bytes value)
{
    return buf == NULL ? 0 : fmi_buf_put(buf, value);
}

static int check_if_wanted(fm_buf *buf)
{
    const int code = buf == NULL ? 0 : fmi_buf_check(buf);
    if (buf != NULL && code == 0)
        buf->bytes = 0;
    return code;
}

int fm_dict_pop(fm_dict *d, fm_bytes key, fm_buf *buf, int64_t timeout)
{
    struct call c;
    int code = check_if_wanted(buf);
    if (code != 0)
        return code;
    code = begin(&c, d, key, timeout);
    if (code < 0)
        return code;
    code = code == 0 ? -ENOENT : put_if_wanted(buf, c.pair.value);
    if (code == 0)
        fmi_stripe_remove(&c.stripe, &c.pair);
    return end(&c, code);
}

int fm_dict_setdefault(fm_dict *d, fm_bytes key, fm_bytes value, fm_buf *buf, int64_t timeout)
{
    struct call c;
    int code = check_if_wanted(buf);
    if (code == 0)
        code = fmi_bytes_check(value, "a value");
    if (code != 0)
        return code;
    code = begin(&c, d, key, timeout);
    if (code < 0)
        return code;
    const int is_there = code;
    code = put_if_wanted(buf, is_there ? c.pair.value : value);
    if (code == 0 && !is_there && (code = put(&c, 0, value)) != 0 && buf != NULL)
        buf->bytes = 0;
    return end(&c, code == 0 ? is_there : code);
}

static int add_to(struct call *c, int is_there, int64_t addend, int64_t *sum)
{
    int64_t now = 0, after;
    if (is_there && c->pair.value.bytes != sizeof now)
        return fmi_error(-EINVAL, "a value of %zu bytes is no int64_t", c->pair.value.bytes);
    if (is_there)
        memcpy(&now, c->pair.value.data, sizeof now);
    if (__builtin_add_overflow(now, addend, &after))
        return fmi_error(-ERANGE, "%" PRId64 " and %" PRId64 " are more than an int64_t holds", now,
                         addend);
    const int code = put(c, is_there, fm_bytes_of(&after, sizeof after));
    if (code == 0 && sum != NULL)
        *sum = after;
    return code;
}

int fm_dict_add(fm_dict *d, fm_bytes key, int64_t addend, int64_t *sum, int64_t timeout)
{
    struct call c;
    const int code = begin(&c, d, key, timeout);
    return code < 0 ? code : end(&c, add_to(&c, code, addend, sum));
}

/* What is left of a time that began with the call. */
static int64_t time_left(int64_t timeout, int64_t deadline_ns)
{
    if (timeout <= 0)
        return timeout;
    const int64_t left = deadline_ns - fmi_now_ns();
    return left > 0 ? left : FM_NOWAIT;
}

int fm_dict_update(fm_dict *d, const fm_bytes *keys, const fm_bytes *values, int64_t n,
                   int64_t *n_set, int64_t timeout)
{
    const int64_t deadline_ns = fmi_deadline_of(timeout);
    struct fmi_dict seen;
    if (n_set != NULL)
        *n_set = 0;
    if (n < 0 || (n > 0 && (keys == NULL || values == NULL)))
        return fmi_error(-EINVAL, "%" PRId64 " keys at %p, values at %p", n, (const void *)keys,
                         (const void *)values);
    int code = fmi_dict_look(d, &seen);
    for (int64_t i = 0; code == 0 && i < n; i++) {
        code = fm_dict_set(d, keys[i], values[i], time_left(timeout, deadline_ns));
        if (code == 0 && n_set != NULL)
            *n_set = i + 1;
    }
    return code;
}
