/* SPDX-License-Identifier: MIT */
#ifndef FMI_SOCKET_H
#define FMI_SOCKET_H

/* Pairs of connected sockets that carry whole messages with descriptors. 0 or -errno; all is close-on-exec. */

#include <stddef.h>
#include <stdint.h>

enum { FMI_SOCKET_FDS = 8 }; /* most in one message */

int fmi_sys_socketpair(int fds[2]);

/* Closes it for all who have it. */
void fmi_sys_socket_end(int socket);

/* Sends one message; never a SIGPIPE. -EPIPE, -ECONNRESET: nobody is at the other end. */
int fmi_sys_socket_send(int socket, const void *bytes, size_t n_bytes, const int *fds, int n_fds);

/*
 * Receives one message of exactly n_bytes, with at most FMI_SOCKET_FDS descriptors; *n_fds says how many. -EPIPE at the end; -EPROTO another size; -EMFILE
 * descriptors had to be dropped, as this process can have no more; -ETIMEDOUT; deadline [ns].
 */
int fmi_sys_socket_receive(int socket, void *bytes, size_t n_bytes, int *fds, int *n_fds,
                           int64_t deadline_ns);

#endif
