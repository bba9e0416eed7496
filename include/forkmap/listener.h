/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_LISTENER_H
#define FORKMAP_LISTENER_H

/**
 * @file listener.h
 * Connections between programs that did not fork from each other.
 */
/**
 * @defgroup fm_listeners Listeners and clients
 * Connections between programs that did not fork from each other; in C, in Python, on one machine or on several.
 *
 *     fm_listener *l; fm_conn *c;                                          fm_conn *c;
 *     rc = fm_listener_open(&l, "/run/me/sums", key, 32, NULL);            rc = fm_connect("/run/me/sums", key, 32, NULL, &c);
 *     rc = fm_listener_accept(l, FM_FOREVER, &c);                          rc = fm_conn_send(c, "hello", 5);
 *     rc = fm_conn_recv(c, text, sizeof text, &bytes);                     fm_conn_close(c);
 *
 * What comes out is an fm_conn: conn.h has what is done with it, and what is different from a pipe.
 *
 * **Addresses.** With a slash or without a colon: the path of a socket (at most 107 bytes), which only this user may open (mode 0600), and at which both sides look who
 * the other one is. `host:port`: TCP. The host is a number (`10.0.0.7`, `[::1]`), a name that the system knows, or nothing or `localhost`, which are 127.0.0.1; so a listener is reached from this machine only, unless
 * an address is given (`0.0.0.0` is all of IPv4).
 *
 * **Keys.** Both sides show that they have the same key, without sending it. TCP asks for one; a path can do without. A key is random bytes, from a file that only its user can read: one that
 * can be guessed can be found from what goes over the wire, and who is in between can hand all of it on and read it. So TCP is for networks that one trusts, and for tunnels.
 *
 * **Python.** The bytes on the wire are those of multiprocessing.connection: `Listener` and `Client` with `send_bytes` and `recv_bytes`. With 3.12 and later the proof is HMAC-SHA256, with those before HMAC-MD5, unless FM_LISTEN_NO_MD5 or FM_CONNECT_NO_MD5
 * refuses that.
 * @{
 */

#include <forkmap/array.h> /* FM_AUTO */
#include <forkmap/conn.h>
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Where connections come in. Opaque; private to the process that opened it. */
typedef struct fm_listener fm_listener;

/** Flags of fm_listener_opts. */
enum fm_listener_flag {
    FM_LISTEN_NO_MD5 = 1 /**< refuses who shows his key by MD5: Python up to 3.11 */
};

/** Options of fm_listener_open(). */
typedef struct fm_listener_opts {
    size_t struct_size; /**< set by FM_LISTENER_OPTS() */
    unsigned flags;     /**< of fm_listener_flag */
    int max_strangers; /**< connections that have not shown the key yet, at most; of more, the oldest is dropped. 0: 1,024 */
    int64_t
        auth_timeout; /**< [ns] that each of them has to do so, not counting what passes while nobody accepts; 0: 5 s */
    uint64_t max_frame; /**< [bytes] longest message that accepted connections receive; 0: any */
} fm_listener_opts;
/**
 * @def FM_LISTENER_OPTS
 * Options by name, the others 0: `FM_LISTENER_OPTS(.max_frame = 1 << 20)`.
 */
#define FM_LISTENER_OPTS(...) FM_OPTS(fm_listener_opts, __VA_ARGS__)

/** Flags of fm_connect_opts. */
enum fm_connect_flag {
    FM_CONNECT_NO_MD5 = 1 /**< refuses a listener that asks for MD5: Python up to 3.11 */
};

/** Options of fm_connect(). */
typedef struct fm_connect_opts {
    size_t struct_size; /**< set by FM_CONNECT_OPTS() */
    unsigned flags;     /**< of fm_connect_flag */
    int64_t timeout;    /**< [ns] for all of it; 0: 20 s; FM_FOREVER */
    uint64_t max_frame; /**< [bytes] longest message that the connection receives; 0: any */
} fm_connect_opts;
/**
 * @def FM_CONNECT_OPTS
 * Options by name, the others 0: `FM_CONNECT_OPTS(.timeout = FM_SECONDS(1))`.
 */
#define FM_CONNECT_OPTS(...) FM_OPTS(fm_connect_opts, __VA_ARGS__)

/**
 * Begins to listen.
 * @param l              the listener; NULL on failure
 * @param address        as above; port 0: any that is free. NULL: a path in a new folder of its own (mode 0700), in `$TMPDIR` or `/tmp`
 * @param authkey        the key; NULL: none
 * @param authkey_bytes  [bytes] of it, 1 .. 4096; 0 if there is none. The listener has a copy, which forked children do not inherit, and which is wiped at the end
 * @param opts           FM_LISTENER_OPTS(...), or NULL
 * @return 0; `-EINVAL` no address, no key for TCP, key or options; `-EADDRINUSE` somebody listens there, or, for a path, a file is there: the detail
 *         says whether it is a socket that a dead listener has left; `-ENAMETOOLONG` path, host; `-EHOSTUNREACH` no such host; `-EADDRNOTAVAIL` not an address of this machine; `-EACCES`, `-ENOENT`, `-ENOTDIR`,
 *         `-EROFS`, `-ENOSPC`, `-EMFILE`, `-ENFILE`, `-ENOMEM` ... what the kernel said
 * State after an error: nothing was made.
 * Blocks / thread-safety: while a host's name is looked up, as long as the system's resolver does; else never. Any thread.
 * Source: multiprocessing.connection.Listener(address, authkey=authkey).
 */
FM_API FM_NODISCARD int fm_listener_open(fm_listener **l, const char *address, const void *authkey,
                                         size_t authkey_bytes, const fm_listener_opts *opts);

/**
 * Waits for a connection whose other side has the key. All that come meanwhile are asked for theirs at the same time, so one that is silent or slow holds up nobody. Who
 * has a wrong key, is of another user, sends something else or nothing, is refused with a line in the log, and the wait goes on.
 * @param l        a listener
 * @param timeout  [ns]; FM_FOREVER, FM_NOWAIT
 * @param c        the connection; NULL on failure
 * @return 0; `-ETIMEDOUT`; `-EMFILE`, `-ENFILE` no descriptor is free, also after the oldest stranger was dropped; `-ENOMEM`; `-EINVAL` NULL; FM_EFORKED the listener belongs to another process
 * State after an error: strangers who have not been refused are still there.
 * Blocks / thread-safety: up to `timeout`. Not ended by signals. Any thread; several take turns.
 * Source: multiprocessing.connection.Listener.accept.
 */
FM_API FM_NODISCARD int fm_listener_accept(fm_listener *l, int64_t timeout, fm_conn **c);

/**
 * Where it listens, with the port and the path that were chosen.
 * @param l  a listener
 * @return a text that lives as long as the listener; "" for NULL
 * Blocks / thread-safety: never; any thread and forked child.
 * Source: multiprocessing.connection.Listener.address.
 */
FM_API const char *fm_listener_address(const fm_listener *l);

/**
 * Where the last accepted connection came from.
 * @param l  a listener
 * @return "127.0.0.1:41234", valid until the next accept; "" by a path, before the first one, and for NULL
 * Blocks / thread-safety: never; not while another thread accepts.
 * Source: multiprocessing.connection.Listener.last_accepted.
 */
FM_API const char *fm_listener_last_accepted(const fm_listener *l);

/**
 * A descriptor for poll(2), epoll(7), select(2), fm_wait(): readable while fm_listener_accept() has something to do, which need not end with a connection: call it with FM_NOWAIT.
 * @param l  a listener
 * @return a descriptor >= 0 (of epoll; not to be read, written or closed), the same each time; `-EINVAL` NULL; FM_EFORKED
 * State after an error: nothing changed.
 * Blocks / thread-safety: never; any thread.
 * Source: none; in Python `listener._listener._socket.fileno()`.
 */
FM_API int fm_listener_fileno(fm_listener *l);

/**
 * Ends listening: who has not been accepted is refused, the path is removed if it is still this listener's, the key is wiped. Accepted connections live on. In a forked child it closes what the child has
 * of it, and nothing else.
 * @param l  a listener; NULL is ignored
 * @return 0
 * State after an error: there is none.
 * Undefined: while another thread uses it. A listener that is not closed before its process ends leaves its path behind.
 * Blocks / thread-safety: never.
 * Source: multiprocessing.connection.Listener.close.
 */
FM_API int fm_listener_close(fm_listener *l);

static inline void fm_listener_auto(fm_listener **l)
{
    fm_listener_close(*l);
}

/**
 * Connects to a listener, and shows that both have the key.
 * @param address        as above; not NULL; a port > 0
 * @param authkey        the key; NULL: none
 * @param authkey_bytes  [bytes] of it, 1 .. 4096; 0 if there is none. Nothing of it is kept
 * @param opts           FM_CONNECT_OPTS(...), or NULL
 * @param c              the connection; NULL on failure
 * @return 0; FM_EAUTH the keys differ, MD5 is refused, or the other side sends our own question back; `-ECONNREFUSED` nobody listens; `-ENOENT` no such path; `-EPERM` another user listens there; FM_ECLOSED it
 *         went away meanwhile, as one that refuses this user does; FM_EFORMAT it does not speak this protocol, or has no key; `-ETIMEDOUT` also: it has no key, and waits; `-EINVAL` no address, no
 *         key for TCP, key or options; `-ENAMETOOLONG`, `-EHOSTUNREACH` as fm_listener_open(); `-EACCES`, `-ENETUNREACH`, `-EMFILE`, `-ENOMEM` ... what the kernel said
 * State after an error: nothing was made.
 * Undefined: to connect without a key to a listener that has one: its question is then the first message received.
 * Blocks / thread-safety: up to `timeout`, and while a host's name is looked up. Not ended by signals. Any thread.
 * Source: multiprocessing.connection.Client(address, authkey=authkey).
 */
FM_API FM_NODISCARD int fm_connect(const char *address, const void *authkey, size_t authkey_bytes,
                                   const fm_connect_opts *opts, fm_conn **c);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
