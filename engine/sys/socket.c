/* SPDX-License-Identifier: MIT */
/* Messages with descriptors over a Unix socket pair; see socket.h. */
#include "socket.h"

#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control { /* aligned as the kernel wants it */
    struct cmsghdr header;
    char bytes[CMSG_SPACE(FMI_SOCKET_FDS * sizeof(int))];
};

int fmi_sys_socketpair(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return -errno;
    fds[0] = fmi_sys_above_stdio(fds[0]);
    fds[1] = fmi_sys_above_stdio(fds[1]);
    if (fds[0] >= 0 && fds[1] >= 0)
        return 0;
    int rc = fds[0] < 0 ? fds[0] : fds[1];
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return rc;
}

void fmi_sys_socket_end(int socket)
{
    shutdown(socket, SHUT_RDWR);
    close(socket);
}

int fmi_sys_socket_send(int socket, const void *bytes, size_t n_bytes, const int *fds, int n_fds)
{
    union control control = {0};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = n_bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (n_fds > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        *header = (struct cmsghdr){.cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int)),
                                   .cmsg_level = SOL_SOCKET,
                                   .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(header), fds, (size_t)n_fds * sizeof(int));
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : 0;
}

/* 0: this process can have no more. */
static int take_fds(struct msghdr *message, int *fds, int *n_fds)
{
    int has_all = 1;
    *n_fds = 0;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        int n = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds + *n_fds, CMSG_DATA(header), (size_t)n * sizeof(int));
        for (int i = *n_fds; i < *n_fds + n; i++) {
            fds[i] = fmi_sys_above_stdio(fds[i]);
            has_all &= fds[i] >= 0;
        }
        *n_fds += n;
    }
    return has_all;
}

static void close_fds(int *fds, int *n_fds)
{
    for (int i = 0; i < *n_fds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    *n_fds = 0;
}

int fmi_sys_socket_receive(int socket, void *bytes, size_t n_bytes, int *fds, int *n_fds,
                           int64_t deadline_ns)
{
    union control control;
    struct iovec part = {.iov_base = bytes, .iov_len = n_bytes};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t got;
    *n_fds = 0;
    do {
        int rc = fmi_sys_await_end(socket, deadline_ns); /* readable */
        if (rc != 0)
            return rc;
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (got < 0 && (errno == EINTR || errno == EAGAIN));
    if (got < 0)
        return -errno;
    int has_all = take_fds(&message, fds, n_fds) && (message.msg_flags & MSG_CTRUNC) == 0;
    if (got != 0 && (size_t)got == n_bytes && (message.msg_flags & MSG_TRUNC) == 0 && has_all)
        return 0;
    close_fds(fds, n_fds);
    if (got == 0)
        return -EPIPE;
    return has_all ? -EPROTO : -EMFILE;
}
