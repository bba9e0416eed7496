/* SPDX-License-Identifier: MIT */
#ifndef FMI_NET_H
#define FMI_NET_H

/*
 * Stream sockets between programs: addresses, listening, connecting, bytes. 0 or -errno unless said otherwise. All is close-on-exec, nothing raises SIGPIPE,
 * signals end no wait, and deadlines are of the monotonic clock [ns].
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

struct fmi_net_address {
    socklen_t bytes;
    struct sockaddr_storage at;
};

enum {
    FMI_NET_ADDRESSES = 8,    /* most that a name can have */
    FMI_NET_PATH = 107,       /* longest path of a socket */
    FMI_NET_TEXT_BYTES = 128, /* of an address as text, the NUL included */
    FMI_NET_BACKLOG = 4096    /* connections that wait to be accepted */
};

/*
 * "/path" or a name without a colon: AF_UNIX. "host:port": a number with or without brackets, "localhost" (127.0.0.1), nothing (the same), or a name that
 * the system knows. Returns how many `out` got; -EINVAL no address; -ENAMETOOLONG; -EHOSTUNREACH no such host. Names may be looked up in the net.
 */
int fmi_sys_net_parse(const char *text, struct fmi_net_address out[FMI_NET_ADDRESSES]);
int fmi_sys_net_is_path(const struct fmi_net_address *a);
/* A path, "127.0.0.1:5000", "[::1]:5000"; "" for an end without a name. */
void fmi_sys_net_text(const struct fmi_net_address *a, char text[FMI_NET_TEXT_BYTES]);

/*
 * A socket that listens, and in *bound where. A path is made with mode 0600. -EADDRINUSE: something is there; it is a socket at which nobody listens, if
 * fmi_sys_net_is_stale().
 */
int fmi_sys_net_listen(const struct fmi_net_address *a, struct fmi_net_address *bound);
int fmi_sys_net_is_stale(const struct fmi_net_address *a);

/* The next connection; -EAGAIN: none waits. */
int fmi_sys_net_accept(int fd, struct fmi_net_address *peer);
int fmi_sys_net_connect(const struct fmi_net_address *a, int64_t deadline_ns);
/* Who made the other end of a socket that is no TCP. */
int fmi_sys_net_peer(int fd, struct ucred *out);

/* Up to `bytes`; 0: nothing will come any more. -EAGAIN, unless it may wait: then until all is there, or no more will come. */
ssize_t fmi_sys_net_receive(int fd, void *to, size_t bytes, int may_wait);
/* A part of it, > 0; -EAGAIN, unless it may wait. */
ssize_t fmi_sys_net_send(int fd, const struct iovec *parts, int n, int may_wait);
/* Until there is something to receive, or room to send. -ETIMEDOUT. */
int fmi_sys_net_await(int fd, int is_to_send, int64_t deadline_ns);
/* Ends both directions, for all who have the socket. */
void fmi_sys_net_end(int fd);

/* Several sockets at once: each has a pointer that says whose it is. */
int fmi_sys_net_poller(void);
int fmi_sys_net_watch(int poller, int fd, void *who);
void fmi_sys_net_unwatch(int poller, int fd);
/* One that has something, in turn; NULL: none has. */
void *fmi_sys_net_next(int poller);

#endif
