/* SPDX-License-Identifier: MIT */
/* Single values in the heap; see value.h. */
#include "value.h"

#include "array.h"
#include "clock.h"
#include "dtype.h"
#include "error.h"
#include "fault.h"
#include "heap.h"
#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What a record says, copied and checked. */
struct seen {
    fm_dtype dtype;
    size_t bytes;
    int is_raw;
    char *data;
    char *next; /* NULL: set by one instruction, or raw */
};

/* One instruction reads, writes or adds it. */
static int is_small(size_t bytes)
{
    return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

/* A large element and, if it has a lock, its `next`. */
static size_t bytes_outside(size_t bytes, int is_raw)
{
    size_t padded = (bytes + 63) / 64 * 64;
    return is_raw ? bytes : padded + bytes;
}

/* ---- the record ---- */

/* Where the element of a record lies whose other fields are in *s. 0: nowhere. */
static int place_element(const fm_value *v, char *data, struct seen *s)
{
    const int is_outside = s->bytes > FMI_VALUE_INLINE_BYTES;
    if (is_outside &&
        ((uintptr_t)data % 64 != 0 || !fmi_heap_contains(data, bytes_outside(s->bytes, s->is_raw))))
        return 0;
    s->data = is_outside ? data : (char *)v->element;
    if (!s->is_raw && !is_small(s->bytes))
        s->next = is_outside ? data + (s->bytes + 63) / 64 * 64 : (char *)v->next;
    return 1;
}

static int copy_record(const fm_value *v, struct seen *s)
{
    /* Acquire pairs with the release in publish. */
    if (atomic_load_explicit(&v->mark, memory_order_acquire) != FMI_VALUE_LIVE)
        return 0;
    s->dtype = v->dtype;
    const uint32_t lock_kind = v->lock_kind;
    char *data = v->data;
    /* From here on the compiler may not read the shared fields again: they may have changed since. */
    __asm__ volatile("" ::: "memory");
    s->bytes = fm_dtype_bytes(s->dtype);
    s->is_raw = lock_kind == FM_RAW;
    return s->bytes != 0 && (s->is_raw || lock_kind == FM_LOCKED) && place_element(v, data, s);
}

/* 0; -EINVAL: nothing of the heap; FM_ECORRUPT: no value. Says nothing of it. */
static int look_quietly(const fm_value *v, struct seen *s)
{
    memset(s, 0, sizeof *s);
    if ((uintptr_t)v % 64 != 0 || !fmi_heap_contains(v, sizeof *v))
        return -EINVAL;
    return fmi_heap_is_block(v, sizeof *v) && copy_record(v, s) ? 0 : FM_ECORRUPT;
}

static int look(const fm_value *v, struct seen *s)
{
    const int code = look_quietly(v, s);
    if (code == -EINVAL)
        return fmi_error(code, "value %p is not in the shared heap; make it with fm_value_create()",
                         (const void *)v);
    if (code != 0)
        return fmi_error(code, "value %p was destroyed or overwritten", (const void *)v);
    return 0;
}

/* For calls that read or write an element of the caller. */
static int look_beside(const fm_value *v, const void *element, struct seen *s)
{
    if (element == NULL)
        return fmi_error(-EINVAL, "the element is NULL");
    return look(v, s);
}

static int look_for_lock(const fm_value *v, struct seen *s)
{
    int code = look(v, s);
    if (code == 0 && s->is_raw)
        return fmi_error(-EINVAL, "value %p is raw: it was made with FM_RAW, and has no lock",
                         (const void *)v);
    return code;
}

/* ---- the lock ---- */

static int is_held(int code)
{
    return code == 0 || code == FM_EOWNERDEAD;
}

/* The second step of a set whose process died. Holding the lock. */
static void complete_set(fm_value *v, const struct seen *s)
{
    /* Acquire: the `next` of who died is there as well; pairs with the release of PENDING in set_in_steps. */
    if (s->next == NULL ||
        atomic_load_explicit(&v->state, memory_order_acquire) != FMI_VALUE_PENDING)
        return;
    memcpy(s->data, s->next, s->bytes);
    FMI_FAULT("value.completed");
    /* Release: a process that dies after it has left a whole element; pairs with the acquire above. */
    atomic_store_explicit(&v->state, FMI_VALUE_SETTLED, memory_order_release);
}

static int acquire(fm_value *v, const struct seen *s, int64_t timeout)
{
    int code = fmi_rlock_acquire(&v->lock, fmi_deadline_of(timeout));
    if (code != FM_EOWNERDEAD)
        return code;
    FMI_FAULT("value.told");
    complete_set(v, s);
    return fmi_error(code, "who had the lock of value %p last died holding it", (void *)v);
}

/* For one get, set or add. 0, or FM_EOWNERDEAD: go on; else it is not to be done. */
static int begin(fm_value *v, const struct seen *s)
{
    if (s->is_raw)
        return 0;
    int code = acquire(v, s, FM_FOREVER);
    if (!is_held(code))
        return fmi_error(code, "the lock of value %p: %s", (void *)v, fm_strerror(code));
    FMI_FAULT("value.locked");
    return code;
}

static void end(fm_value *v, const struct seen *s)
{
    if (s->is_raw)
        return;
    FMI_FAULT("value.changed");
    fmi_rlock_release(&v->lock);
}

/* ---- elements ---- */

/*
 * One instruction each. Loads acquire, stores release and additions do both: what was done before a raw value was
 * changed is seen by who sees the change. Each pairs with the others here; under a lock it would not be needed.
 */
#define DEFINE_SMALL(type)                                                                         \
    static void load_##type(const void *data, void *out)                                           \
    {                                                                                              \
        const type n = __atomic_load_n((const type *)data, __ATOMIC_ACQUIRE);                      \
        memcpy(out, &n, sizeof n);                                                                 \
    }                                                                                              \
    static void store_##type(void *data, const void *in)                                           \
    {                                                                                              \
        type n;                                                                                    \
        memcpy(&n, in, sizeof n);                                                                  \
        __atomic_store_n((type *)data, n, __ATOMIC_RELEASE);                                       \
    }                                                                                              \
    static void add_##type(void *data, const void *addend, void *old)                              \
    {                                                                                              \
        type n;                                                                                    \
        memcpy(&n, addend, sizeof n);                                                              \
        n = __atomic_fetch_add((type *)data, n, __ATOMIC_ACQ_REL);                                 \
        memcpy(old, &n, sizeof n);                                                                 \
    }
DEFINE_SMALL(uint8_t)
DEFINE_SMALL(uint16_t)
DEFINE_SMALL(uint32_t)
DEFINE_SMALL(uint64_t)

/* No processor adds floats in memory: exchanged until nobody else was faster. Relaxed where it is tried again. */
#define DEFINE_ADD_FLOAT(type, word)                                                               \
    static void add_##type(void *data, const void *addend, void *old)                              \
    {                                                                                              \
        word before = __atomic_load_n((word *)data, __ATOMIC_RELAXED), after;                      \
        type sum, n;                                                                               \
        do {                                                                                       \
            memcpy(&sum, &before, sizeof sum);                                                     \
            memcpy(&n, addend, sizeof n);                                                          \
            sum += n;                                                                              \
            memcpy(&after, &sum, sizeof after);                                                    \
        } while (!__atomic_compare_exchange_n((word *)data, &before, after, 1, __ATOMIC_ACQ_REL,   \
                                              __ATOMIC_RELAXED));                                  \
        memcpy(old, &before, sizeof before);                                                       \
    }
DEFINE_ADD_FLOAT(float, uint32_t)
DEFINE_ADD_FLOAT(double, uint64_t)

static const struct small {
    void (*load)(const void *data, void *out);
    void (*store)(void *data, const void *in);
    void (*add)(void *data, const void *addend, void *old);
    void (*add_float)(void *data, const void *addend, void *old);
} smalls[] = {
    [1] = {load_uint8_t, store_uint8_t, add_uint8_t, NULL},
    [2] = {load_uint16_t, store_uint16_t, add_uint16_t, NULL},
    [4] = {load_uint32_t, store_uint32_t, add_uint32_t, add_float},
    [8] = {load_uint64_t, store_uint64_t, add_uint64_t, add_double},
};

static void load(const struct seen *s, void *out)
{
    if (is_small(s->bytes))
        smalls[s->bytes].load(s->data, out);
    else
        memcpy(out, s->data, s->bytes);
}

/* Holding the lock: whole in `next` first, so that whoever is told of a death can complete it. */
static void set_in_steps(fm_value *v, const struct seen *s, const void *in)
{
    memcpy(s->next, in, s->bytes);
    FMI_FAULT("value.next");
    /* Release: `next` is whole where this is seen; pairs with the acquire in complete_set. */
    atomic_store_explicit(&v->state, FMI_VALUE_PENDING, memory_order_release);
    /* What follows a release may be moved before it; a death in between would then leave half an element as settled. */
    atomic_signal_fence(memory_order_seq_cst);
    FMI_FAULT("value.pending");
    memcpy(s->data, s->next, s->bytes);
    FMI_FAULT("value.copied");
    /* Release: the element is whole where this is seen; pairs with the acquire in complete_set. */
    atomic_store_explicit(&v->state, FMI_VALUE_SETTLED, memory_order_release);
}

static void store(fm_value *v, const struct seen *s, const void *in)
{
    if (is_small(s->bytes))
        smalls[s->bytes].store(s->data, in);
    else if (s->next != NULL)
        set_in_steps(v, s, in);
    else
        memcpy(s->data, in, s->bytes);
}

/* ---- life ---- */

static int make_element(fm_value *v, const struct seen *s)
{
    void *data;
    if (s->bytes <= FMI_VALUE_INLINE_BYTES)
        return 0;
    int code = fmi_heap_alloc(&data, bytes_outside(s->bytes, s->is_raw), FMI_HEAP_ZERO);
    if (code == 0)
        v->data = data;
    return code;
}

static void publish(fm_value *v, const struct seen *s, const void *init)
{
    v->dtype = s->dtype;
    v->lock_kind = s->is_raw ? FM_RAW : FM_LOCKED;
    if (init != NULL)
        memcpy(v->data != NULL ? v->data : v->element, init, s->bytes);
    atomic_init(&v->state, FMI_VALUE_SETTLED);
    /* Release: whoever sees the mark sees the rest; pairs with copy_record. */
    atomic_store_explicit(&v->mark, FMI_VALUE_LIVE, memory_order_release);
}

int fm_value_create(fm_value **out, fm_dtype dtype, const void *init, int lock)
{
    if (out == NULL)
        return fmi_error(-EINVAL, "out is NULL");
    *out = NULL;
    struct seen s = {.dtype = dtype, .bytes = fm_dtype_bytes(dtype)};
    if (s.bytes == 0)
        return fmi_error(-EINVAL, "dtype 0x%08" PRIx32 " is none", dtype);
    void *record;
    int code = fmi_array_lock_kind(&lock);
    if (code == 0)
        code = fmi_heap_alloc(&record, sizeof(fm_value), FMI_HEAP_ZERO);
    if (code != 0)
        return code;
    fm_value *v = record;
    s.is_raw = lock == FM_RAW;
    fmi_rlock_init(&v->lock);
    code = make_element(v, &s);
    if (code != 0) {
        fmi_heap_free(v);
        return code;
    }
    publish(v, &s, init);
    *out = v;
    return 0;
}

void fm_value_destroy(fm_value *v)
{
    if (v == NULL)
        return;
    struct seen s;
    uint64_t live = FMI_VALUE_LIVE;
    /* Relaxed: only one caller may win; nobody else may use it any more. */
    if (look(v, &s) != 0 ||
        !atomic_compare_exchange_strong_explicit(&v->mark, &live, FMI_VALUE_DEAD,
                                                 memory_order_relaxed, memory_order_relaxed)) {
        fmi_log(FM_LOG_ERROR, "destroy of %p, which is no value (any more)", (void *)v);
        return;
    }
    FMI_FAULT("value.dead");
    if ((s.data != v->element && fmi_heap_free(s.data) != 0) || fmi_heap_free(v) != 0)
        fmi_log(FM_LOG_ERROR, "value %p was overwritten; it is not freed", (void *)v);
}

/* ---- use ---- */

int fm_value_get(fm_value *v, void *out)
{
    struct seen s;
    int code = look_beside(v, out, &s);
    if (code == 0)
        code = begin(v, &s);
    if (!is_held(code))
        return code;
    load(&s, out);
    end(v, &s);
    return code;
}

int fm_value_set(fm_value *v, const void *in)
{
    struct seen s;
    int code = look_beside(v, in, &s);
    if (code == 0)
        code = begin(v, &s);
    if (!is_held(code))
        return code;
    store(v, &s, in);
    end(v, &s);
    return code;
}

static int is_number(fm_dtype dtype)
{
    const char kind = fmi_dtype_kind(dtype);
    return kind == 'i' || kind == 'u' || kind == 'f';
}

int fm_value_add(fm_value *v, const void *addend, void *old)
{
    struct seen s;
    uint64_t before;
    char name[16];
    int code = look_beside(v, addend, &s);
    if (code == 0 && !is_number(s.dtype)) {
        fm_dtype_name(s.dtype, name, sizeof name);
        return fmi_error(-EINVAL, "value %p is of dtype %s; integers and floats can be added to",
                         (void *)v, name);
    }
    if (code == 0)
        code = begin(v, &s);
    if (!is_held(code))
        return code;
    const struct small *small = &smalls[s.bytes];
    (fmi_dtype_kind(s.dtype) == 'f' ? small->add_float : small->add)(s.data, addend, &before);
    end(v, &s);
    if (old != NULL)
        memcpy(old, &before, s.bytes);
    return code;
}

int fm_value_lock(fm_value *v, int64_t timeout)
{
    struct seen s;
    int code = look_for_lock(v, &s);
    return code != 0 ? code : acquire(v, &s, timeout);
}

int fm_value_unlock(fm_value *v)
{
    struct seen s;
    int code = look_for_lock(v, &s);
    return code != 0 ? code : fmi_rlock_release(&v->lock);
}

void *fm_value_ptr(const fm_value *v)
{
    struct seen s;
    return look_quietly(v, &s) == 0 ? s.data : NULL;
}

fm_dtype fm_value_dtype(const fm_value *v)
{
    struct seen s;
    return look_quietly(v, &s) == 0 ? s.dtype : 0;
}
