/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_SYNC_H
#define FORKMAP_SYNC_H

/** @file sync.h  Locks, semaphores, events, conditions, barriers, between all processes and threads of the family. */
/**
 * @defgroup fm_sync Synchronisation
 * Objects by which processes and threads of the family wait for each other. Their pointers mean the same in all of them, however they were started, and are handed on
 * as arguments. Any participant may be killed at any instruction: the others go on, and are told where something may be half done.
 *
 * * `fm_X_create()` makes an object in the shared heap, fm_X_destroy() ends it; `FM_AUTO(fm_X) x = NULL;` ends it with the scope.
 * * `fm_X_init()` makes it on bytes that the caller has: in an array, or in a shared mapping that was there before the fork, aligned to 8 [bytes]. fm_X_fini() ends it; the
 *   bytes stay the caller's.
 * * Who has something is a thread. One that ends with it, in whatever way, counts as dead.
 * * Timeouts are on the monotonic clock [ns], FM_FOREVER or FM_NOWAIT. Signals do not end a wait.
 * * A wait ends when it can. Where the process that would have woken it is killed in between, or one that is waited for, it ends at most 50 ms later.
 * * -EAGAIN everywhere: 16,384 living threads of the family use such objects already.
 *
 * Undefined, for all of them: to destroy or write over an object that somebody uses, waits on or has. Who finds such a one gets FM_ECORRUPT where that is noticed.
 * @{
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- locks --------------------------------------------------------------------------------------- */

/** A lock that any process may release. Opaque. */
typedef struct fm_lock fm_lock;
#define FM_LOCK_BYTES 64 /**< [bytes] that fm_lock_init() needs */

/**
 * Makes a lock, which is free, in the heap.
 * @param out  the lock; NULL on failure
 * @return 0; `-EINVAL` NULL; `-ENOMEM`, `-ENOSPC` no room; `-EAGAIN`
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Lock.
 */
FM_API FM_NODISCARD int fm_lock_create(fm_lock **out);

/**
 * fm_lock_create() on given bytes.
 * @param out      the lock, which is `bytes`; NULL on failure
 * @param bytes    memory that the family shares, aligned to 8; anything may be in it
 * @param n_bytes  [bytes] >= FM_LOCK_BYTES
 * @return 0; `-EINVAL` NULL, too few, or not aligned; `-ENOMEM`, `-ENOSPC` there is no heap yet, and no room for one; `-EAGAIN`
 * State after an error: nothing was written.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_lock_init(fm_lock **out, void *bytes, size_t n_bytes);

/**
 * Frees a lock of fm_lock_create(). What is none is left alone, with a message in the log.
 * @param lock  a lock; NULL is ignored
 * Undefined: see above.
 * Blocks / thread-safety: never; any process and thread, one of two that destroy at once wins. This holds for the end of all objects here.
 */
FM_API void fm_lock_destroy(fm_lock *lock);
/** Ends a lock of fm_lock_init(), as fm_lock_destroy(). @param lock  a lock; NULL is ignored */
FM_API void fm_lock_fini(fm_lock *lock);

/**
 * Acquires it. Not recursive: the thread that holds it waits for itself.
 * @param lock     a lock
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, and the last holder died holding it: check the data; `-ETIMEDOUT`; `-EINVAL` NULL; FM_ECORRUPT no lock; `-EAGAIN`
 * State after an error: not acquired, but for FM_EOWNERDEAD.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: multiprocessing.Lock.acquire.
 */
FM_API FM_NODISCARD int fm_lock_acquire(fm_lock *lock, int64_t timeout);

/**
 * Releases it, whoever holds it.
 * @param lock  a lock
 * @return 0; `-EPERM` it is free; `-EINVAL` NULL; FM_ECORRUPT no lock
 * State after an error: as it was.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Lock.release.
 */
FM_API int fm_lock_release(fm_lock *lock);

/**
 * Whether somebody holds it, alive or not.
 * @param lock  a lock
 * @return 1, 0; `-EINVAL` NULL; FM_ECORRUPT no lock
 * Blocks / thread-safety: never; any process and thread. It may have changed when this returns.
 * Source: multiprocessing.Lock.locked.
 */
FM_API int fm_lock_locked(const fm_lock *lock);

/** A lock that its holder, a thread, may acquire again, and that only the holder releases. Opaque. */
typedef struct fm_rlock fm_rlock;
#define FM_RLOCK_BYTES 64 /**< [bytes] that fm_rlock_init() needs */

/**
 * Makes a recursive lock, which is free, in the heap.
 * @param out  the lock; NULL on failure
 * @return as fm_lock_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.RLock.
 */
FM_API FM_NODISCARD int fm_rlock_create(fm_rlock **out);
/**
 * fm_rlock_create() on given bytes.
 * @param out      the lock, which is `bytes`; NULL on failure
 * @param bytes    as for fm_lock_init()
 * @param n_bytes  [bytes] >= FM_RLOCK_BYTES
 * @return as fm_lock_init()
 * State after an error: nothing was written.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_rlock_init(fm_rlock **out, void *bytes, size_t n_bytes);
/** Frees a lock of fm_rlock_create(), as fm_lock_destroy(). @param rlock  a lock; NULL is ignored */
FM_API void fm_rlock_destroy(fm_rlock *rlock);
/** Ends a lock of fm_rlock_init(), as fm_lock_destroy(). @param rlock  a lock; NULL is ignored */
FM_API void fm_rlock_fini(fm_rlock *rlock);

/**
 * Acquires it, once more if this thread holds it.
 * @param rlock    a lock
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, once deep, and the last holder died holding it; `-ETIMEDOUT`; `-EOVERFLOW` 2^32 times recursive; `-EINVAL` NULL; FM_ECORRUPT no lock; `-EAGAIN`
 * State after an error: as it was, but for FM_EOWNERDEAD.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: multiprocessing.RLock.acquire.
 */
FM_API FM_NODISCARD int fm_rlock_acquire(fm_rlock *rlock, int64_t timeout);

/**
 * Releases it once; as often as it was acquired makes it free.
 * @param rlock  a lock
 * @return 0; `-EPERM` this thread does not hold it; `-EINVAL` NULL; FM_ECORRUPT no lock
 * State after an error: as it was.
 * Blocks / thread-safety: never; the thread that acquired it.
 * Source: multiprocessing.RLock.release.
 */
FM_API int fm_rlock_release(fm_rlock *rlock);

/**
 * Whether somebody holds it, alive or not.
 * @param rlock  a lock
 * @return 1, 0; `-EINVAL` NULL; FM_ECORRUPT no lock
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API int fm_rlock_locked(const fm_rlock *rlock);

/* ---- semaphores ---------------------------------------------------------------------------------- */

/** A number of units to acquire and release. Opaque. */
typedef struct fm_sem fm_sem;
#define FM_SEM_MAX                0x7fffffff /**< most units */
#define FM_SEM_MAX_OWNED          4096       /**< most units with FM_SEM_OWNED */
#define FM_SEM_BYTES              64         /**< [bytes] that fm_sem_init() needs */
#define FM_SEM_OWNED_BYTES(units) (64 + 8 * (size_t)(units)) /**< the same, with FM_SEM_OWNED */

/**
 * Flag: a unit belongs to the thread that acquired it. Only that thread releases it, and when it ends without, the unit is free again. Without the flag a
 * unit is a number: anyone may release one, and those of the dead are lost.
 */
#define FM_SEM_OWNED 1u

/** Options of fm_sem_create() and fm_sem_init(). */
typedef struct fm_sem_opts {
    /** Set by FM_SEM_OPTS(). */
    size_t struct_size;
    unsigned flags; /**< FM_SEM_OWNED */
} fm_sem_opts;
/**
 * @def FM_SEM_OPTS
 * Options by name, the others 0: `FM_SEM_OPTS(.flags = FM_SEM_OWNED)`.
 */
#define FM_SEM_OPTS(...) FM_OPTS(fm_sem_opts, __VA_ARGS__)

/**
 * Makes a semaphore in the heap.
 * @param out    the semaphore; NULL on failure
 * @param value  [units] there are now, 0 .. max
 * @param max    [units] there may be; 0: FM_SEM_MAX, or `value` with FM_SEM_OWNED
 * @param opts   FM_SEM_OPTS(...), or NULL. FM_SEM_OWNED takes value = max <= FM_SEM_MAX_OWNED
 * @return 0; `-EINVAL` NULL, a number or an option out of range; `-ENOMEM`, `-ENOSPC` no room; `-EAGAIN`
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Semaphore; BoundedSemaphore(n) is value = max = n.
 */
FM_API FM_NODISCARD int fm_sem_create(fm_sem **out, int value, int max, const fm_sem_opts *opts);
/**
 * fm_sem_create() on given bytes.
 * @param out      the semaphore, which is `bytes`; NULL on failure
 * @param bytes    as for fm_lock_init()
 * @param n_bytes  [bytes] >= FM_SEM_BYTES, or FM_SEM_OWNED_BYTES(max)
 * @param value    as for fm_sem_create()
 * @param max      as for fm_sem_create()
 * @param opts     as for fm_sem_create()
 * @return as fm_sem_create() and fm_lock_init()
 * State after an error: nothing was written.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_sem_init(fm_sem **out, void *bytes, size_t n_bytes, int value, int max,
                                    const fm_sem_opts *opts);
/** Frees a semaphore of fm_sem_create(), as fm_lock_destroy(). @param sem  a semaphore; NULL is ignored */
FM_API void fm_sem_destroy(fm_sem *sem);
/** Ends a semaphore of fm_sem_init(), as fm_lock_destroy(). @param sem  a semaphore; NULL is ignored */
FM_API void fm_sem_fini(fm_sem *sem);

/**
 * Acquires a unit.
 * @param sem      a semaphore
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; `-ETIMEDOUT`; `-EINVAL` NULL; FM_ECORRUPT no semaphore; `-EAGAIN`
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread. Who came first need not be served first.
 * Source: multiprocessing.Semaphore.acquire.
 */
FM_API FM_NODISCARD int fm_sem_acquire(fm_sem *sem, int64_t timeout);

/**
 * Releases units.
 * @param sem  a semaphore
 * @param n    [units] >= 1
 * @return 0; `-EOVERFLOW` there would be more than its maximum; `-EPERM` with FM_SEM_OWNED: this thread has not so many; `-EINVAL` NULL, n < 1; FM_ECORRUPT no semaphore
 * State after an error: as it was.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.BoundedSemaphore.release, threading.Semaphore.release(n).
 */
FM_API int fm_sem_release(fm_sem *sem, int n);

/**
 * Units that could be acquired now.
 * @param sem  a semaphore
 * @return [units] >= 0; `-EINVAL` NULL; FM_ECORRUPT no semaphore
 * Blocks / thread-safety: never; any process and thread. It may have changed when this returns.
 * Source: multiprocessing.Semaphore.get_value.
 */
FM_API int fm_sem_value(const fm_sem *sem);

/* ---- events -------------------------------------------------------------------------------------- */

/** Something that has happened or not. Opaque. */
typedef struct fm_event fm_event;
#define FM_EVENT_BYTES 64 /**< [bytes] that fm_event_init() needs */

/**
 * Makes an event, which is not set, in the heap.
 * @param out  the event; NULL on failure
 * @return as fm_lock_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Event.
 */
FM_API FM_NODISCARD int fm_event_create(fm_event **out);
/**
 * fm_event_create() on given bytes.
 * @param out      the event, which is `bytes`; NULL on failure
 * @param bytes    as for fm_lock_init()
 * @param n_bytes  [bytes] >= FM_EVENT_BYTES
 * @return as fm_lock_init()
 * State after an error: nothing was written.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_event_init(fm_event **out, void *bytes, size_t n_bytes);
/** Frees an event of fm_event_create(), as fm_lock_destroy(). @param event  an event; NULL is ignored */
FM_API void fm_event_destroy(fm_event *event);
/** Ends an event of fm_event_init(), as fm_lock_destroy(). @param event  an event; NULL is ignored */
FM_API void fm_event_fini(fm_event *event);

/**
 * Sets it: all who wait go on, also if it is cleared right afterwards.
 * @param event  an event
 * @return 0, also if it is set already; `-EINVAL` NULL; FM_ECORRUPT no event
 * State after an error: as it was.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Event.set.
 */
FM_API int fm_event_set(fm_event *event);
/**
 * Clears it.
 * @param event  an event
 * @return 0, also if it is not set; `-EINVAL` NULL; FM_ECORRUPT no event
 * State after an error: as it was.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Event.clear.
 */
FM_API int fm_event_clear(fm_event *event);
/**
 * Whether it is set.
 * @param event  an event
 * @return 1, 0; `-EINVAL` NULL; FM_ECORRUPT no event
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Event.is_set.
 */
FM_API int fm_event_is_set(const fm_event *event);
/**
 * Waits until it is set.
 * @param event    an event
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0 it is set, or was since the call; `-ETIMEDOUT`; `-EINVAL` NULL; FM_ECORRUPT no event
 * State after an error: as it was.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: multiprocessing.Event.wait.
 */
FM_API FM_NODISCARD int fm_event_wait(fm_event *event, int64_t timeout);

/* ---- conditions ---------------------------------------------------------------------------------- */

/** Something to wait for that a lock protects. Opaque. */
typedef struct fm_cond fm_cond;
#define FM_COND_BYTES 512 /**< [bytes] that fm_cond_init() needs */

/** Whether what is waited for is there: non-zero. Called with the lock held. */
typedef int fm_predicate_fn(void *arg);

/**
 * Makes a condition in the heap.
 * @param out   the condition; NULL on failure
 * @param lock  an fm_lock or an fm_rlock, which must live as long; NULL: a recursive one of its own
 * @return 0; `-EINVAL` NULL, or `lock` is neither; `-ENOMEM`, `-ENOSPC` no room; `-EAGAIN`
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Condition.
 */
FM_API FM_NODISCARD int fm_cond_create(fm_cond **out, void *lock);
/**
 * fm_cond_create() on given bytes.
 * @param out      the condition, which is `bytes`; NULL on failure
 * @param bytes    as for fm_lock_init()
 * @param n_bytes  [bytes] >= FM_COND_BYTES
 * @param lock     as for fm_cond_create()
 * @return as fm_cond_create() and fm_lock_init()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_cond_init(fm_cond **out, void *bytes, size_t n_bytes, void *lock);
/** Frees a condition of fm_cond_create(), as fm_lock_destroy(). Its lock stays, unless it is its own. @param cond  a condition; NULL is ignored */
FM_API void fm_cond_destroy(fm_cond *cond);
/** Ends a condition of fm_cond_init(), as fm_lock_destroy(). @param cond  a condition; NULL is ignored */
FM_API void fm_cond_fini(fm_cond *cond);

/**
 * Acquires the condition's lock.
 * @param cond     a condition
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return as fm_lock_acquire() or fm_rlock_acquire(); `-EINVAL` NULL; FM_ECORRUPT no condition, or its lock is none any more
 * State after an error: as that.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 */
FM_API FM_NODISCARD int fm_cond_acquire(fm_cond *cond, int64_t timeout);
/**
 * Releases the condition's lock.
 * @param cond  a condition
 * @return as fm_lock_release() or fm_rlock_release(); `-EINVAL`, FM_ECORRUPT as fm_cond_acquire()
 * State after an error: as it was.
 * Blocks / thread-safety: never; as fm_lock_release() or fm_rlock_release().
 */
FM_API int fm_cond_release(fm_cond *cond);

/**
 * Releases the lock, however deep, waits until it is called by a notify, and acquires the lock again, as deep.
 * @param cond     a condition whose lock this thread holds
 * @param timeout  [ns] for the call; the lock is waited for as long as it takes. FM_FOREVER, FM_NOWAIT
 * @return 0 called; `-ETIMEDOUT` not called; FM_EOWNERDEAD called or not, and the last holder of the lock died holding it; `-EPERM` this thread does not hold the
 *         lock; `-EINVAL` NULL; FM_ECORRUPT no condition, or no more; `-EAGAIN`
 * State after an error: the lock is held after `-ETIMEDOUT` and FM_EOWNERDEAD, and not after FM_ECORRUPT.
 * Blocks / thread-safety: see `timeout`; the thread that holds the lock.
 * Undefined: nothing. Now and then a wait returns 0 though nobody called it: look whether what is waited for is there, or use fm_cond_wait_for().
 * Source: multiprocessing.Condition.wait.
 */
FM_API FM_NODISCARD int fm_cond_wait(fm_cond *cond, int64_t timeout);

/**
 * Waits until a predicate holds: looks first, and after each call.
 * @param cond       a condition whose lock this thread holds
 * @param predicate  what is waited for; called with the lock held
 * @param arg        handed to it
 * @param timeout    [ns] in all; FM_FOREVER, FM_NOWAIT
 * @return 0 it holds; `-ETIMEDOUT` it did not, at the last look; otherwise as fm_cond_wait(), at once, whether it holds or not
 * State after an error: as fm_cond_wait().
 * Blocks / thread-safety: as fm_cond_wait().
 * Source: multiprocessing.Condition.wait_for.
 */
FM_API FM_NODISCARD int fm_cond_wait_for(fm_cond *cond, fm_predicate_fn *predicate, void *arg,
                                         int64_t timeout);

/**
 * Calls waiters: those who waited longest. If one is killed before it has returned from its wait, another is called in its place.
 * @param cond  a condition whose lock this thread holds
 * @param n     [waiters] >= 1; fewer if fewer wait
 * @return 0; `-EPERM` this thread does not hold the lock; `-EINVAL` NULL, n < 1; FM_ECORRUPT no condition
 * State after an error: as it was.
 * Blocks / thread-safety: never; the thread that holds the lock.
 * Source: multiprocessing.Condition.notify.
 */
FM_API int fm_cond_notify(fm_cond *cond, int n);
/**
 * Calls all waiters.
 * @param cond  a condition whose lock this thread holds
 * @return as fm_cond_notify()
 * State after an error: as it was.
 * Blocks / thread-safety: never; the thread that holds the lock.
 * Source: multiprocessing.Condition.notify_all.
 */
FM_API int fm_cond_notify_all(fm_cond *cond);

/* ---- barriers ------------------------------------------------------------------------------------ */

/** A point that a number of threads pass together. Opaque. */
typedef struct fm_barrier fm_barrier;
#define FM_BARRIER_MAX_PARTIES 4096 /**< most parties */
#define FM_BARRIER_BYTES(parties)                                                                  \
    (192 + 16 * (size_t)(parties)) /**< [bytes] that fm_barrier_init() needs */

/** What one of the parties does when all are there. Non-zero breaks the barrier. */
typedef int fm_barrier_fn(void *arg);

/**
 * Makes a barrier in the heap.
 * @param out      the barrier; NULL on failure
 * @param parties  [threads] 1 .. FM_BARRIER_MAX_PARTIES
 * @param action   called once by one of them, the last, before any of them goes on; of any loaded module; NULL: none
 * @param arg      handed to it as it is: a pointer that means something in whatever party calls it
 * @return 0; `-EINVAL` NULL, parties out of range; FM_ENOFUNC no such function; `-ENOMEM`, `-ENOSPC` no room; `-EAGAIN`
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Barrier.
 */
FM_API FM_NODISCARD int fm_barrier_create(fm_barrier **out, int parties, fm_barrier_fn *action,
                                          void *arg);
/**
 * fm_barrier_create() on given bytes. What is to be known of an action lies in the heap until fm_barrier_fini().
 * @param out      the barrier, which is `bytes`; NULL on failure
 * @param bytes    as for fm_lock_init()
 * @param n_bytes  [bytes] >= FM_BARRIER_BYTES(parties)
 * @param parties  as for fm_barrier_create()
 * @param action   as for fm_barrier_create()
 * @param arg      as for fm_barrier_create()
 * @return as fm_barrier_create() and fm_lock_init()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_barrier_init(fm_barrier **out, void *bytes, size_t n_bytes, int parties,
                                        fm_barrier_fn *action, void *arg);
/** Frees a barrier of fm_barrier_create(), as fm_lock_destroy(). @param barrier  a barrier; NULL is ignored */
FM_API void fm_barrier_destroy(fm_barrier *barrier);
/** Ends a barrier of fm_barrier_init(), as fm_lock_destroy(). @param barrier  a barrier; NULL is ignored */
FM_API void fm_barrier_fini(fm_barrier *barrier);

/**
 * Waits until all parties are there, and the action has run. The barrier is then empty, for the next time.
 *
 * It breaks when a wait takes longer than its timeout; when the action fails; when a party dies that is there, or runs the action, or was there the last time that it
 * opened and has not returned from its function since: killed in its work between two waits, it will not come.
 * @param barrier  a barrier
 * @param index    gets 0 .. parties - 1, each of them once; may be NULL
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EBROKEN it is broken, was broken or reset meanwhile, or `timeout` is over; `-EINVAL` NULL; FM_ECORRUPT no barrier; FM_ENOFUNC, FM_ESTALE
 *         the action cannot be found in this process; `-EAGAIN`
 * State after an error: broken, until fm_barrier_reset(); after a reset, and after codes other than FM_EBROKEN, as if this thread had not come.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: multiprocessing.Barrier.wait.
 */
FM_API FM_NODISCARD int fm_barrier_wait(fm_barrier *barrier, int *index, int64_t timeout);

/**
 * Makes it empty and whole. Who waits gets FM_EBROKEN.
 * @param barrier  a barrier
 * @return 0; `-EINVAL` NULL; FM_ECORRUPT no barrier; `-EAGAIN`
 * State after an error: as it was.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Barrier.reset.
 */
FM_API int fm_barrier_reset(fm_barrier *barrier);
/**
 * Breaks it: who waits, and who comes later, gets FM_EBROKEN.
 * @param barrier  a barrier
 * @return 0; `-EINVAL` NULL; FM_ECORRUPT no barrier; `-EAGAIN`
 * State after an error: as it was.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Barrier.abort.
 */
FM_API int fm_barrier_abort(fm_barrier *barrier);
/** How many pass together. @param barrier  a barrier @return [threads]; `-EINVAL` NULL; FM_ECORRUPT no barrier */
FM_API int fm_barrier_parties(const fm_barrier *barrier);
/** How many wait now. @param barrier  a barrier @return [threads]; `-EINVAL` NULL; FM_ECORRUPT no barrier */
FM_API int fm_barrier_waiting(const fm_barrier *barrier);
/** Whether it is broken. @param barrier  a barrier @return 1, 0; `-EINVAL` NULL; FM_ECORRUPT no barrier */
FM_API int fm_barrier_broken(const fm_barrier *barrier);

/* ---- reader-writer locks ------------------------------------------------------------------------- */

/** A lock for many readers or one writer. Opaque. */
typedef struct fm_rwlock fm_rwlock;
#define FM_RWLOCK_BYTES 64 /**< [bytes] that fm_rwlock_init() needs */
#define FM_RWLOCK_MAX_READS                                                                        \
    11 /**< how often one thread may hold such locks to read, all together */

/**
 * Makes a reader-writer lock, which is free, in the heap.
 * @param out  the lock; NULL on failure
 * @return as fm_lock_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API FM_NODISCARD int fm_rwlock_create(fm_rwlock **out);
/**
 * fm_rwlock_create() on given bytes.
 * @param out      the lock, which is `bytes`; NULL on failure
 * @param bytes    as for fm_lock_init()
 * @param n_bytes  [bytes] >= FM_RWLOCK_BYTES
 * @return as fm_lock_init()
 * State after an error: nothing was written.
 * Blocks / thread-safety: never; before others know of it.
 */
FM_API FM_NODISCARD int fm_rwlock_init(fm_rwlock **out, void *bytes, size_t n_bytes);
/** Frees a lock of fm_rwlock_create(), as fm_lock_destroy(). @param rwlock  a lock; NULL is ignored */
FM_API void fm_rwlock_destroy(fm_rwlock *rwlock);
/** Ends a lock of fm_rwlock_init(), as fm_lock_destroy(). @param rwlock  a lock; NULL is ignored */
FM_API void fm_rwlock_fini(fm_rwlock *rwlock);

/**
 * Acquires it to read, together with others. A writer that waits comes first, but for a thread that reads already. A reader that dies is forgotten.
 * @param rwlock   a lock
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, and a writer died holding it: every reader is told, until the next writer has had it; `-ETIMEDOUT`; `-EDEADLK` this thread
 *         writes; `-EINVAL` NULL; FM_ECORRUPT no lock; `-EAGAIN`, also if this thread has FM_RWLOCK_MAX_READS of them
 * State after an error: as it was, but for FM_EOWNERDEAD.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: pthread_rwlock_timedrdlock, POSIX.
 */
FM_API FM_NODISCARD int fm_rwlock_acquire_read(fm_rwlock *rwlock, int64_t timeout);
/**
 * Acquires it to write, alone.
 * @param rwlock   a lock
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD acquired, and the last writer died holding it: check the data; `-ETIMEDOUT`; `-EDEADLK` this thread reads or writes; `-EINVAL` NULL;
 *         FM_ECORRUPT no lock; `-EAGAIN`
 * State after an error: as it was, but for FM_EOWNERDEAD.
 * Blocks / thread-safety: up to `timeout`; any process and thread.
 * Source: pthread_rwlock_timedwrlock, POSIX.
 */
FM_API FM_NODISCARD int fm_rwlock_acquire_write(fm_rwlock *rwlock, int64_t timeout);
/**
 * Releases what this thread has of it, once.
 * @param rwlock  a lock
 * @return 0; `-EPERM` this thread neither reads nor writes; `-EINVAL` NULL; FM_ECORRUPT no lock
 * State after an error: as it was.
 * Blocks / thread-safety: never; the thread that acquired it.
 * Source: pthread_rwlock_unlock, POSIX.
 */
FM_API int fm_rwlock_release(fm_rwlock *rwlock);

/** @} */

static inline void fm_lock_auto(fm_lock **lock)
{
    fm_lock_destroy(*lock);
}
static inline void fm_rlock_auto(fm_rlock **rlock)
{
    fm_rlock_destroy(*rlock);
}
static inline void fm_sem_auto(fm_sem **sem)
{
    fm_sem_destroy(*sem);
}
static inline void fm_event_auto(fm_event **event)
{
    fm_event_destroy(*event);
}
static inline void fm_cond_auto(fm_cond **cond)
{
    fm_cond_destroy(*cond);
}
static inline void fm_barrier_auto(fm_barrier **barrier)
{
    fm_barrier_destroy(*barrier);
}
static inline void fm_rwlock_auto(fm_rwlock **rwlock)
{
    fm_rwlock_destroy(*rwlock);
}

#ifdef __cplusplus
}
#endif
#endif
