/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_QUEUE_H
#define FORKMAP_QUEUE_H

/**
 * @file queue.h
 * Queues of messages between the processes of a family.
 */
/**
 * @defgroup fm_queues Queues
 * Messages between any number of writing and reading processes and threads of a family.
 *
 * A queue lies in the heap: its address means the same in every process, whenever and by whatever start method it was made. A message is bytes of any
 * length, and whole. Messages of one thread are read in the order in which it put them. When fm_queue_put() returns, the message is there: no thread
 * sends it later, and a process may end at once.
 *
 * **Deaths.** A participant that is killed, at any instruction, holds nobody up. One that dies inside a put has not sent its message; one that dies
 * inside a get, or before the release of what it borrowed, has taken it along. No message is read twice, or in part. Memory that the dead had is freed by
 * those who go on.
 *
 * Waits are not ended by signals. A timeout is [ns], FM_FOREVER or FM_NOWAIT.
 * @{
 */

#include <forkmap/array.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A queue. Opaque; lives in the heap. */
typedef struct fm_queue fm_queue;

#define FM_QUEUE_DEFAULT_CAPACITY 16384 /**< [messages] of a queue that was asked for without one */
#define FM_QUEUE_MAX_CAPACITY     8388608 /**< [messages] at most */
#define FM_QUEUE_MAX_BYTES                                                                         \
    ((size_t)1 << 39) /**< [bytes] of a message at most; the heap is not larger */

/**
 * @def FM_QUEUE_OPTS
 * Options by name, the others 0: `FM_QUEUE_OPTS(.capacity = 8)`.
 */
/** Options of fm_queue_create(). */
typedef struct fm_queue_opts {
    /** Set by FM_QUEUE_OPTS(). */
    size_t struct_size;
    /** [messages] that the queue holds, 1 .. FM_QUEUE_MAX_CAPACITY; 0: FM_QUEUE_DEFAULT_CAPACITY (in Python, 0 is no limit) */
    int64_t capacity;
    /** [bytes] of a usual message, or 0. Up to this, and 4,080, messages lie in the queue itself; larger ones in memory of their own. Without it 112. */
    size_t message_bytes;
    int joinable; /**< non-zero: fm_queue_task_done() and fm_queue_join() may be used */
} fm_queue_opts;
#define FM_QUEUE_OPTS(...) FM_OPTS(fm_queue_opts, __VA_ARGS__)

/**
 * Makes a queue.
 * @param out   the queue; NULL on failure
 * @param opts  FM_QUEUE_OPTS(...), or NULL
 * @return 0; `-EINVAL` an option is out of range, or unknown; `-ENOMEM`, `-ENOSPC`, `-EFBIG` as fm_array_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Queue, multiprocessing.JoinableQueue. There maxsize 0 is no limit; here a put waits when FM_QUEUE_DEFAULT_CAPACITY messages wait.
 */
FM_API FM_NODISCARD int fm_queue_create(fm_queue **out, const fm_queue_opts *opts);

/**
 * Destroys a queue and the messages in it. Closes it first, so that those who wait in it are told.
 * @param q  a queue; NULL is ignored, one that is destroyed already is reported in the log
 * Undefined: another thread or process uses the queue, or what it has borrowed or reserved, at the same time or later.
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API void fm_queue_destroy(fm_queue *q);

/**
 * Puts a message at the end; waits while the queue is full.
 * @param q        a queue
 * @param data     the message; may be NULL if it has no bytes
 * @param bytes    [bytes] its length, 0 .. FM_QUEUE_MAX_BYTES
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; `-EAGAIN` full, and FM_NOWAIT; `-ETIMEDOUT` full all the time; FM_ECLOSED; `-EMSGSIZE` too long; `-ENOMEM`, `-ENOSPC` no memory for a
 *         long message, or 16,384 threads use the family's objects already; `-EINVAL`; FM_ECORRUPT no queue, or overwritten
 * State after an error: nothing was put.
 * Blocks / thread-safety: until there is room, the queue is closed, or the timeout; any process and thread.
 * Source: multiprocessing.Queue.put.
 */
FM_API FM_NODISCARD int fm_queue_put(fm_queue *q, const void *data, size_t bytes, int64_t timeout);

/**
 * fm_queue_put() with FM_NOWAIT.
 * @param q      a queue
 * @param data   the message
 * @param bytes  [bytes] its length
 * @return as fm_queue_put(); `-EAGAIN` full
 * State after an error: nothing was put.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Queue.put_nowait.
 */
FM_API FM_NODISCARD int fm_queue_put_nowait(fm_queue *q, const void *data, size_t bytes);

/**
 * Gets the next message; waits while the queue is empty. A message that is just being put by another counts as not there yet, and so do those after it.
 * @param q        a queue
 * @param buf      gets the message; may be NULL if cap is 0
 * @param cap      [bytes] room in `buf`
 * @param bytes    [bytes] gets its length, also with FM_ETOOLONG; otherwise 0 after an error. May be NULL
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; `-EAGAIN` empty, and FM_NOWAIT; `-ETIMEDOUT` empty all the time; FM_ECLOSED closed, and all messages are read; FM_ETOOLONG it is longer
 *         than cap: it stays the next one, for whoever comes first; `-ENOMEM` 16,384 threads use the family's objects already; `-EINVAL`; FM_ECORRUPT no
 *         queue, or overwritten
 * State after an error: nothing was taken (FM_ECORRUPT: perhaps).
 * Blocks / thread-safety: until there is a message, the queue is closed and empty, or the timeout; any process and thread.
 * Source: multiprocessing.Queue.get.
 */
FM_API FM_NODISCARD int fm_queue_get(fm_queue *q, void *buf, size_t cap, size_t *bytes,
                                     int64_t timeout);

/**
 * fm_queue_get() with FM_NOWAIT.
 * @param q      a queue
 * @param buf    gets the message
 * @param cap    [bytes] room in `buf`
 * @param bytes  [bytes] gets its length; may be NULL
 * @return as fm_queue_get(); `-EAGAIN` empty
 * State after an error: nothing was taken.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Queue.get_nowait.
 */
FM_API FM_NODISCARD int fm_queue_get_nowait(fm_queue *q, void *buf, size_t cap, size_t *bytes);

/**
 * Memory for a message that is written in place. It has no place in the queue before fm_queue_commit(). Waits while the queue is full, so that
 * writers do not run ahead of readers.
 * @param q        a queue
 * @param bytes    [bytes] wanted, 0 .. FM_QUEUE_MAX_BYTES
 * @param ptr      gets the address, aligned to 64, undefined contents; NULL on failure. It means the same in every process of the family
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return as fm_queue_put()
 * State after an error: nothing is reserved.
 * Undefined: writing past `bytes`; writing after the commit. If the thread that reserved it ends before, the memory is taken back.
 * Blocks / thread-safety: as fm_queue_put().
 */
FM_API FM_NODISCARD int fm_queue_reserve(fm_queue *q, size_t bytes, void **ptr, int64_t timeout);

/**
 * Puts a message that was written in place; nothing is copied.
 * @param q        the queue
 * @param ptr      from fm_queue_reserve()
 * @param bytes    [bytes] of the message: what was reserved, or less
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT: the queue may be full again
 * @return as fm_queue_put(); `-EINVAL` nothing is reserved there, or more bytes than were reserved
 * State after an error: still reserved: commit it again, or abandon it.
 * Blocks / thread-safety: as fm_queue_put().
 */
FM_API FM_NODISCARD int fm_queue_commit(fm_queue *q, void *ptr, size_t bytes, int64_t timeout);

/**
 * Gives back what was reserved and is not to be put.
 * @param q    the queue
 * @param ptr  from fm_queue_reserve()
 * @return 0; `-EINVAL` nothing is reserved there; FM_ECORRUPT
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API int fm_queue_abandon(fm_queue *q, void *ptr);

/**
 * Takes the next message, to be read where it lies: a message longer than fits into the queue itself is not copied. It is this thread's until
 * fm_queue_release(), and takes no place in the queue.
 * @param q        a queue
 * @param ptr      gets its address, aligned to 64; NULL on failure. The reader may also write there
 * @param bytes    [bytes] gets its length; 0 on failure
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return as fm_queue_get(), but for FM_ETOOLONG; `-ENOMEM`, `-ENOSPC` also no memory for the copy of a short one, or it is not given back: at most 1,024
 *         more than the queue has places may be borrowed
 * State after an error: nothing was taken.
 * Undefined: use after the release. If the thread that borrowed it ends before, the memory is taken back.
 * Blocks / thread-safety: as fm_queue_get().
 */
FM_API FM_NODISCARD int fm_queue_borrow(fm_queue *q, void **ptr, size_t *bytes, int64_t timeout);

/**
 * Gives a borrowed message's memory back.
 * @param q    the queue
 * @param ptr  from fm_queue_borrow()
 * @return 0; `-EINVAL` nothing is borrowed there; FM_ECORRUPT
 * Blocks / thread-safety: never; any process and thread.
 */
FM_API int fm_queue_release(fm_queue *q, void *ptr);

/**
 * Messages in the queue: a snapshot. One that a killed process was about to put may count until a reader passes it.
 * @param q  a queue
 * @return [messages], 0 .. capacity; 0 for NULL
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.Queue.qsize.
 */
FM_API int64_t fm_queue_size(fm_queue *q);
/** Whether a get would find nothing just now: a snapshot. @param q  a queue @return 1 or 0; 1 for NULL */
FM_API int fm_queue_empty(fm_queue *q);
/** Whether a put would find no room just now: a snapshot. @param q  a queue @return 1 or 0; 0 for NULL, and for a closed one */
FM_API int fm_queue_full(fm_queue *q);

/**
 * Closes the queue, for all processes: nothing can be put from now on, readers get what is there, then FM_ECLOSED. Those who wait are woken.
 * @param q  a queue; closed already is fine
 * @return 0; `-EINVAL`, FM_ECORRUPT no queue
 * Blocks / thread-safety: never; any process and thread.
 * Source: queue.Queue.shutdown (Python 3.13). multiprocessing.Queue.close is for one process, and has no end that a reader could see.
 */
FM_API int fm_queue_close(fm_queue *q);

/**
 * Says that a message which was taken is dealt with: once for each get or borrow.
 * @param q  a joinable queue
 * @return 0; `-EINVAL` more often than messages were taken, or not joinable; `-ENOMEM`; FM_ECORRUPT
 * Blocks / thread-safety: never; any process and thread, best the one that took it.
 * Source: multiprocessing.JoinableQueue.task_done.
 */
FM_API int fm_queue_task_done(fm_queue *q);

/**
 * Waits until all messages that were put are taken and dealt with. What a thread had taken and not called done when it ended is done, too, as
 * nobody else can say so; the join that finds this tells of it. (In Python such a join never returns.)
 * @param q        a joinable queue
 * @param timeout  [ns], FM_FOREVER, FM_NOWAIT
 * @return 0; FM_EOWNERDEAD all is done, but threads that ended had taken messages, and it is not known what became of them (detail: how many): once;
 *         `-EAGAIN` not done, and FM_NOWAIT; `-ETIMEDOUT` not done; `-EINVAL` not joinable; FM_ECORRUPT
 * Blocks / thread-safety: until all is done or the timeout; any process and thread.
 * Source: multiprocessing.JoinableQueue.join.
 */
FM_API FM_NODISCARD int fm_queue_join(fm_queue *q, int64_t timeout);

/** A queue without options: opaque, lives in the heap. */
typedef struct fm_simple_queue fm_simple_queue;

/**
 * Makes a simple queue: FM_QUEUE_DEFAULT_CAPACITY messages, all waits without a limit.
 * @param out  the queue; NULL on failure
 * @return as fm_queue_create()
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread.
 * Source: multiprocessing.SimpleQueue.
 */
FM_API FM_NODISCARD int fm_simple_queue_create(fm_simple_queue **out);
/** As fm_queue_destroy(). @param q  a queue; NULL is ignored */
FM_API void fm_simple_queue_destroy(fm_simple_queue *q);
/** As fm_queue_put() with FM_FOREVER. @param q  a queue @param data  the message @param bytes  [bytes] its length @return as fm_queue_put() */
FM_API FM_NODISCARD int fm_simple_queue_put(fm_simple_queue *q, const void *data, size_t bytes);
/**
 * As fm_queue_get() with FM_FOREVER.
 * @param q      a queue
 * @param buf    gets the message
 * @param cap    [bytes] room in `buf`
 * @param bytes  [bytes] gets its length; may be NULL
 * @return as fm_queue_get()
 */
FM_API FM_NODISCARD int fm_simple_queue_get(fm_simple_queue *q, void *buf, size_t cap,
                                            size_t *bytes);
/** As fm_queue_empty(). @param q  a queue @return 1 or 0; 1 for NULL */
FM_API int fm_simple_queue_empty(fm_simple_queue *q);
/** As fm_queue_close(). @param q  a queue @return as fm_queue_close() */
FM_API int fm_simple_queue_close(fm_simple_queue *q);

/** @} */

static inline void fm_queue_auto(fm_queue **q)
{
    fm_queue_destroy(*q);
}
static inline void fm_simple_queue_auto(fm_simple_queue **q)
{
    fm_simple_queue_destroy(*q);
}

#ifdef __cplusplus
}
#endif
#endif
