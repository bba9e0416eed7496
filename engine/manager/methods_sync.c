/* SPDX-License-Identifier: MIT */
/* Locks, semaphores, events, conditions, barriers by name; see methods.h. */
#include "methods.h"

#include <forkmap/sync.h>
#include <stddef.h>

/* A code, or a number that is none. */
static int reply_count(const struct fmi_call *call, int n)
{
    return n < 0 ? n : fmi_reply_number(call->reply, n);
}

/* A method that waits, one that does not, one that tells a number: each calls the function of its name. */
#define WAITING(type, verb)                                                                        \
    static int type##_##verb(void *object, const struct fmi_call *call)                            \
    {                                                                                              \
        return fm_##type##_##verb(object, call->timeout);                                          \
    }
#define PLAIN(type, verb)                                                                          \
    static int type##_##verb(void *object, const struct fmi_call *call)                            \
    {                                                                                              \
        (void)call;                                                                                \
        return fm_##type##_##verb(object);                                                         \
    }
#define TELLING(type, verb)                                                                        \
    static int type##_##verb(void *object, const struct fmi_call *call)                            \
    {                                                                                              \
        return reply_count(call, fm_##type##_##verb(object));                                      \
    }
#define MADE(type)                                                                                 \
    static int create_##type(void **out, const fm_bytes *args, int n)                              \
    {                                                                                              \
        (void)args;                                                                                \
        (void)n;                                                                                   \
        return fm_##type##_create((fm_##type **)out);                                              \
    }
#define ENDED(type)                                                                                \
    static void destroy_##type(void *object)                                                       \
    {                                                                                              \
        fm_##type##_destroy(object);                                                               \
    }

WAITING(lock, acquire)
PLAIN(lock, release)
TELLING(lock, locked)
MADE(lock)
ENDED(lock)
static const struct fmi_method lock_methods[] = {{"acquire", 0, 0, FMI_METHOD_WAITS, lock_acquire},
                                                 {"release", 0, 0, 0, lock_release},
                                                 {"locked", 0, 0, 0, lock_locked},
                                                 {0}};
const struct fmi_kind fmi_kind_lock = {"lock", 0, 0, create_lock, destroy_lock, lock_methods};

WAITING(rlock, acquire)
PLAIN(rlock, release)
TELLING(rlock, locked)
MADE(rlock)
ENDED(rlock)
static const struct fmi_method rlock_methods[] = {
    {"acquire", 0, 0, FMI_METHOD_WAITS, rlock_acquire},
    {"release", 0, 0, 0, rlock_release},
    {"locked", 0, 0, 0, rlock_locked},
    {0}};
const struct fmi_kind fmi_kind_rlock = {"rlock", 0, 0, create_rlock, destroy_rlock, rlock_methods};

/* ---- semaphores ---------------------------------------------------------------------------------------- */

static int read_count(const fm_bytes *args, int n, int i, int least, int most, int *out)
{
    int64_t number;
    if (i >= n)
        return 0;
    int rc = fmi_argument_integer(args[i], least, most, &number);
    if (rc == 0)
        *out = (int)number;
    return rc;
}

WAITING(sem, acquire)
TELLING(sem, value)
ENDED(sem)

static int sem_release(void *object, const struct fmi_call *call)
{
    int units = 1;
    int rc = read_count(call->args, call->n, 0, 1, FM_SEM_MAX, &units);
    return rc != 0 ? rc : fm_sem_release(object, units);
}

static int create_sem(void **out, const fm_bytes *args, int n)
{
    int value = 1, most = FM_SEM_MAX;
    int rc = read_count(args, n, 0, 0, FM_SEM_MAX, &value);
    if (rc == 0)
        rc = read_count(args, n, 1, 1, FM_SEM_MAX, &most);
    return rc != 0 ? rc : fm_sem_create((fm_sem **)out, value, most, NULL);
}

static const struct fmi_method sem_methods[] = {{"acquire", 0, 0, FMI_METHOD_WAITS, sem_acquire},
                                                {"release", 0, 1, 0, sem_release},
                                                {"value", 0, 0, 0, sem_value},
                                                {0}};
const struct fmi_kind fmi_kind_semaphore = {"semaphore", 0,           2,
                                            create_sem,  destroy_sem, sem_methods};

/* ---- events -------------------------------------------------------------------------------------------- */

WAITING(event, wait)
PLAIN(event, set)
PLAIN(event, clear)
TELLING(event, is_set)
MADE(event)
ENDED(event)
static const struct fmi_method event_methods[] = {{"set", 0, 0, 0, event_set},
                                                  {"clear", 0, 0, 0, event_clear},
                                                  {"wait", 0, 0, FMI_METHOD_WAITS, event_wait},
                                                  {"is_set", 0, 0, 0, event_is_set},
                                                  {0}};
const struct fmi_kind fmi_kind_event = {"event", 0, 0, create_event, destroy_event, event_methods};

/* ---- conditions ---------------------------------------------------------------------------------------- */

WAITING(cond, acquire)
WAITING(cond, wait)
PLAIN(cond, release)
PLAIN(cond, notify_all)
ENDED(cond)

static int cond_notify(void *object, const struct fmi_call *call)
{
    int n = 1;
    int rc = read_count(call->args, call->n, 0, 1, INT32_MAX, &n);
    return rc != 0 ? rc : fm_cond_notify(object, n);
}

static int create_cond(void **out, const fm_bytes *args, int n)
{
    (void)args;
    (void)n;
    return fm_cond_create((fm_cond **)out, NULL);
}

static const struct fmi_method cond_methods[] = {
    {"acquire", 0, 0, FMI_METHOD_WAITS, cond_acquire},
    {"release", 0, 0, 0, cond_release},
    {"wait", 0, 0, FMI_METHOD_WAITS | FMI_METHOD_IS_WHOLE, cond_wait},
    {"notify", 0, 1, 0, cond_notify},
    {"notify_all", 0, 0, 0, cond_notify_all},
    {0}};
const struct fmi_kind fmi_kind_condition = {"condition",  0,           0, create_cond,
                                            destroy_cond, cond_methods};

/* ---- barriers ------------------------------------------------------------------------------------------ */

PLAIN(barrier, reset)
PLAIN(barrier, abort)
TELLING(barrier, parties)
TELLING(barrier, waiting)
TELLING(barrier, broken)
ENDED(barrier)

static int barrier_wait(void *object, const struct fmi_call *call)
{
    int index;
    int rc = fm_barrier_wait(object, &index, call->timeout);
    return rc != 0 ? rc : fmi_reply_number(call->reply, index);
}

static int create_barrier(void **out, const fm_bytes *args, int n)
{
    int parties = 1;
    int rc = read_count(args, n, 0, 1, FM_BARRIER_MAX_PARTIES, &parties);
    return rc != 0 ? rc : fm_barrier_create((fm_barrier **)out, parties, NULL, NULL);
}

static const struct fmi_method barrier_methods[] = {
    {"wait", 0, 0, FMI_METHOD_WAITS | FMI_METHOD_IS_WHOLE, barrier_wait},
    {"reset", 0, 0, 0, barrier_reset},
    {"abort", 0, 0, 0, barrier_abort},
    {"parties", 0, 0, 0, barrier_parties},
    {"waiting", 0, 0, 0, barrier_waiting},
    {"broken", 0, 0, 0, barrier_broken},
    {0}};
const struct fmi_kind fmi_kind_barrier = {"barrier",      1, 1, create_barrier, destroy_barrier,
                                          barrier_methods};

/* ---- reader-writer locks ------------------------------------------------------------------------------- */

WAITING(rwlock, acquire_read)
WAITING(rwlock, acquire_write)
PLAIN(rwlock, release)
MADE(rwlock)
ENDED(rwlock)
static const struct fmi_method rwlock_methods[] = {
    {"acquire_read", 0, 0, FMI_METHOD_WAITS, rwlock_acquire_read},
    {"acquire_write", 0, 0, FMI_METHOD_WAITS, rwlock_acquire_write},
    {"release", 0, 0, 0, rwlock_release},
    {0}};
const struct fmi_kind fmi_kind_rwlock = {"rwlock",      0, 0, create_rwlock, destroy_rwlock,
                                         rwlock_methods};
