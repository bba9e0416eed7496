/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_CONN_H
#define FORKMAP_CONN_H

/**
 * @file conn.h
 * Connections: whole messages between two processes.
 */
/**
 * @defgroup fm_conns Pipes
 * Whole messages between two processes of the family, by a pipe; between any two, by a socket.
 *
 * A pipe has two ends, each an fm_conn in the shared heap: its pointer means the same in every process, whenever either was made, and can itself be
 * sent through another pipe. A message is copied into shared memory and out of it; while nobody sleeps, no system call is made.
 *
 * **Whose an end is.** One process uses an end at a time; a lock sees to it. An end belongs to the process that used it last, at first to the one that
 * made the pipe, and to the one that fm_conn_give() names. Unlike in Python nobody closes the ends that he does not use: fm_conn_close() closes an end for all
 * processes.
 *
 * **When an end is gone.** When it is closed, or when the process that it belongs to has died. Whoever then waits at the other end gets FM_ECLOSED, after
 * the last message. An end whose process died is there again as soon as another process uses it. A process that dies in the middle of a call loses at most the message of that call, and
 * leaves the pipe whole.
 *
 * **Sockets.** fm_listener_accept() and fm_connect() (listener.h) give an fm_conn that is a socket. All functions here take it, with these differences:
 * - It is memory of the process that made it, not of the heap: its pointer means nothing to a process that was not forked from this one afterwards. A forked child has a copy, and the same
 *   socket: whoever reads first gets the bytes, so only one of them uses it.
 * - fm_conn_close() ends it for all who have it, if this process owns it: the one that made it, or the one named to fm_conn_give() here. In any other it closes this process's copy. The other side learns of an end when its owner
 *   closes it, or when all who have it have closed it or died.
 * - A message is whole, or is not there: of one whose sender dies in the middle nothing is delivered, and FM_ECLOSED comes in its place.
 * - What one side sends may be taken by the kernel and never received, if the other side dies.
 * - When the timeout of fm_conn_send_timed() is over in the middle of a message, it goes on as long as the other side takes something every 5 s, or every `timeout` if that is longer; if not, FM_ECLOSED, and the connection is
 *   of no use any more. When that of fm_conn_recv_timed() is, what has come is kept, and the next call goes on from there.
 * - fm_conn_poll(), and its descriptor, tell of the beginning of a message, whose rest may be on its way.
 * - FM_EFORMAT, from receiving: what came is no message, or is longer than `max_frame` allows. The connection is at its end.
 * - A machine that is gone (TCP) is noticed after two minutes: FM_ECLOSED.
 * @{
 */

#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** One end of a pipe. Opaque; lives in the heap. */
typedef struct fm_conn fm_conn;

/**
 * Makes a pipe.
 * @param a       one end; NULL on failure
 * @param b       the other; NULL on failure
 * @param duplex  non-zero: both ends send and receive; 0: `a` only receives, `b` only sends
 * @return 0; `-EINVAL` a or b is NULL; `-ENOMEM`, `-ENOSPC`, `-EFBIG`, `-EMFILE` as fm_array_create(), for 64 KiB (duplex: 128);
 *         `-EAGAIN` too many threads of the family share objects (16,384)
 * State after an error: nothing was made.
 * Blocks / thread-safety: never; any process and thread. The memory is freed when both ends are closed.
 * Source: multiprocessing.Pipe.
 */
FM_API FM_NODISCARD int fm_pipe(fm_conn **a, fm_conn **b, int duplex);

/**
 * Sends a message.
 * @param c      an end that sends
 * @param data   the bytes; may be NULL if there are none
 * @param bytes  [bytes] 0 or more, without a limit but memory
 * @return 0: it will be received, if anyone receives; FM_ECLOSED the other end is closed, or, if the pipe is full, gone; `-EBADF` this end is closed, or only
 *         receives; `-ENOMEM`, `-ENOSPC` no room for a message of more than 12 KiB; `-EMFILE`, `-EACCES` the other end waits in poll(2) and its descriptor cannot be
 *         reached; `-EAGAIN` too many threads; `-EINVAL` NULL; FM_ECORRUPT no connection, or a pipe that was written over
 * State after an error: nothing was sent.
 * Blocks / thread-safety: while another thread sends at this end; and while the pipe is full, which it is with 60 KiB of messages, or with 64 MiB (or one message) of
 *   those over 12 KiB. Ends with the death of the other process. Not ended by signals. Any process and thread.
 * Source: multiprocessing.connection.Connection.send_bytes.
 */
FM_API FM_NODISCARD int fm_conn_send(fm_conn *c, const void *data, size_t bytes);

/**
 * fm_conn_send() that waits for a time only.
 * @param c        an end that sends
 * @param data     as for fm_conn_send()
 * @param bytes    [bytes]
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return as fm_conn_send(); `-ETIMEDOUT` the pipe is full, or another thread uses this end
 * State after an error: nothing was sent; for a socket, FM_ECLOSED: perhaps a part that the other side drops.
 * Blocks / thread-safety: as fm_conn_send(), up to `timeout`; what copies is not interrupted.
 */
FM_API FM_NODISCARD int fm_conn_send_timed(fm_conn *c, const void *data, size_t bytes,
                                           int64_t timeout);

/**
 * Sends a part of a buffer as a message.
 * @param c       an end that sends
 * @param data    a buffer
 * @param offset  [bytes] where the part begins
 * @param bytes   [bytes] its length
 * @return as fm_conn_send()
 * State after an error: nothing was sent.
 * Undefined: a part that is not all in the buffer.
 * Blocks / thread-safety: as fm_conn_send().
 * Source: multiprocessing.connection.Connection.send_bytes(buffer, offset, size).
 */
FM_API FM_NODISCARD int fm_conn_send_part(fm_conn *c, const void *data, size_t offset,
                                          size_t bytes);

/**
 * Receives the next message.
 * @param c      an end that receives
 * @param buf    gets it; may be NULL if cap is 0
 * @param cap    [bytes] room in `buf`
 * @param bytes  gets its size [bytes], also with FM_ETOOLONG, else 0; may be NULL
 * @return 0; FM_ETOOLONG it is longer than cap; FM_ECLOSED no message is left, and the other end is gone; `-EBADF` this end is closed, or only sends;
 *         `-EAGAIN` too many threads; `-EINVAL` NULL; FM_ECORRUPT no connection, or a pipe that was written over;
 *         FM_EFORMAT, `-ENOMEM` a socket: as above; what has come cannot be kept
 * State after an error: nothing was received; a message that was too long is the next one still.
 * Blocks / thread-safety: until there is a message, or the other end is gone; while another thread receives at this end. Not ended by signals. Any process and
 *   thread. An end that another process was to use and has never used still belongs to this one: see fm_conn_give().
 * Source: multiprocessing.connection.Connection.recv_bytes.
 */
FM_API FM_NODISCARD int fm_conn_recv(fm_conn *c, void *buf, size_t cap, size_t *bytes);

/**
 * fm_conn_recv() that waits for a time only.
 * @param c        an end that receives
 * @param buf      as for fm_conn_recv()
 * @param cap      [bytes] room in `buf`
 * @param bytes    as for fm_conn_recv()
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return as fm_conn_recv(); `-ETIMEDOUT` no message has come, or another thread uses this end
 * State after an error: as fm_conn_recv().
 * Blocks / thread-safety: as fm_conn_recv(), up to `timeout`.
 */
FM_API FM_NODISCARD int fm_conn_recv_timed(fm_conn *c, void *buf, size_t cap, size_t *bytes,
                                           int64_t timeout);

/**
 * Receives the next message into a part of a buffer.
 * @param c       an end that receives
 * @param buf     a buffer
 * @param offset  [bytes] where in it the message is to begin
 * @param cap     [bytes] of the whole buffer, >= offset: there is room for cap - offset
 * @param bytes   as for fm_conn_recv()
 * @return as fm_conn_recv(); `-EINVAL` offset > cap
 * State after an error: as fm_conn_recv().
 * Blocks / thread-safety: as fm_conn_recv().
 * Source: multiprocessing.connection.Connection.recv_bytes_into.
 */
FM_API FM_NODISCARD int fm_conn_recv_into(fm_conn *c, void *buf, size_t offset, size_t cap,
                                          size_t *bytes);

/**
 * Waits until fm_conn_recv() would not wait: there is a message, or the other end is gone.
 * @param c        an end that receives
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @return 1; `-ETIMEDOUT`; else as fm_conn_recv(). So ask for `> 0`, where Python has True
 * State after an error: nothing changed.
 * Blocks / thread-safety: up to `timeout`, as fm_conn_recv().
 * Source: multiprocessing.connection.Connection.poll.
 */
FM_API int fm_conn_poll(fm_conn *c, int64_t timeout);

/**
 * A descriptor for poll(2), epoll(7), select(2): readable while fm_conn_poll() would say 1. It is this process's, and is closed by fm_conn_close() in it.
 * @param c  an end that receives
 * @return a descriptor >= 0 (of epoll, or the socket; not to be read, written or closed); `-EMFILE`, `-ENFILE`, `-ENOMEM`; `-ENOSYS` /proc is not mounted; else as fm_conn_recv()
 * State after an error: nothing changed.
 * Undefined: to wait on it in a forked child, which asks for its own.
 * Blocks / thread-safety: while another thread receives at this end; any thread. As long as it has not been asked for, messages cost no system call.
 *   It is readable once for nothing when the other end begins to be used by another process, or if another process has received at this end: so
 *   receive with FM_NOWAIT. fm_wait() sees to that.
 * Source: multiprocessing.connection.Connection.fileno.
 */
FM_API int fm_conn_fileno(fm_conn *c);

/**
 * Says whose an end is before he has used it: if that process dies without ever having used it, or is dead, the end is gone. Of a socket: whose fm_conn_close() ends it for all; for what this process calls.
 * @param c    an end
 * @param pid  a process of the family, as fm_process_pid()
 * @return 0; `-EINVAL` NULL, pid <= 0; `-EBADF` it is closed; `-EAGAIN` too many threads; FM_ECORRUPT no connection
 * State after an error: it belongs to whom it did.
 * Blocks / thread-safety: while another thread begins to use the end; any process and thread. Not for the end at which somebody is just waiting.
 * Source: in Python each process closes what it inherited and does not use; here nobody has to.
 */
FM_API FM_NODISCARD int fm_conn_give(fm_conn *c, int pid);

/**
 * Closes an end, for all processes; of a socket see above. Whoever waits at the other end gets FM_ECLOSED, once nothing is left to receive; whoever waits at this one `-EBADF`.
 * @param c  an end; NULL is ignored
 * @return 0; `-EBADF` it is closed; FM_ECORRUPT, `-EINVAL` no connection
 * State after an error: as it was.
 * Undefined: any call on either end after both were closed; on a socket after it was closed, or while another thread uses it.
 * Blocks / thread-safety: the second close waits until who is inside a call on the pipe has left, and frees the memory; else never. Any process and thread.
 * Source: multiprocessing.connection.Connection.close.
 */
FM_API int fm_conn_close(fm_conn *c);

static inline void fm_conn_auto(fm_conn **c)
{
    fm_conn_close(*c);
}

/** @} */

#ifdef __cplusplus
}
#endif
#endif
