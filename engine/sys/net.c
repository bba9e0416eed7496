/* SPDX-License-Identifier: MIT */
/* Stream sockets between programs; see net.h. */
#include "net.h"

#include "clock.h"
#include "process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    HOST_BYTES = 256,
    RETRY_MS = 1,          /* a listener whose queue is full is asked again */
    KEEPALIVE_IDLE_S = 60, /* a machine that is gone is noticed after two minutes */
    KEEPALIVE_EVERY_S = 10,
    KEEPALIVE_TIMES = 6
};

/* ---- addresses ------------------------------------------------------------------------------------- */

static int parse_path(const char *text, struct fmi_net_address *out)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t length = strlen(text);
    if (length > FMI_NET_PATH)
        return -ENAMETOOLONG;
    memcpy(at.sun_path, text, length + 1);
    out->bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    memcpy(&out->at, &at, sizeof at);
    return 1;
}

/* -1: no port. */
static int parse_port(const char *text)
{
    int port = 0;
    if (*text == '\0' || strlen(text) > 5)
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        port = 10 * port + (*text - '0');
    }
    return port > UINT16_MAX ? -1 : port;
}

static int resolve(const char *host, const char *port, struct fmi_net_address *out)
{
    struct addrinfo how = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int n = 0, rc = getaddrinfo(host, port, &how, &found);
    if (rc == EAI_NONAME) {
        how.ai_flags = AI_NUMERICSERV;
        rc = getaddrinfo(host, port, &how, &found);
    }
    if (rc != 0)
        return rc == EAI_MEMORY ? -ENOMEM : -EHOSTUNREACH;
    for (struct addrinfo *a = found; a != NULL && n < FMI_NET_ADDRESSES; a = a->ai_next) {
        if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
            continue;
        out[n].bytes = a->ai_addrlen;
        memcpy(&out[n++].at, a->ai_addr, a->ai_addrlen);
    }
    freeaddrinfo(found);
    return n > 0 ? n : -EHOSTUNREACH;
}

int fmi_sys_net_parse(const char *text, struct fmi_net_address out[FMI_NET_ADDRESSES])
{
    char host[HOST_BYTES];
    const char *colon = strrchr(text, ':');
    memset(out, 0, FMI_NET_ADDRESSES * sizeof *out);
    if (*text == '\0')
        return -EINVAL;
    if (strchr(text, '/') != NULL || colon == NULL)
        return parse_path(text, out);
    size_t length = (size_t)(colon - text);
    if (parse_port(colon + 1) < 0)
        return -EINVAL;
    if (length >= sizeof host)
        return -ENAMETOOLONG;
    if (*text == '[') {
        if (length < 2 || text[length - 1] != ']')
            return -EINVAL;
        text++, length -= 2;
    }
    memcpy(host, text, length);
    host[length] = '\0';
    int is_here = length == 0 || strcmp(host, "localhost") == 0;
    return resolve(is_here ? "127.0.0.1" : host, colon + 1, out);
}

int fmi_sys_net_is_path(const struct fmi_net_address *a)
{
    return a->at.ss_family == AF_UNIX;
}

void fmi_sys_net_text(const struct fmi_net_address *a, char text[FMI_NET_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "?";
    text[0] = '\0';
    if (a->at.ss_family == AF_UNIX) {
        const struct sockaddr_un *at = (const void *)&a->at;
        if (a->bytes > offsetof(struct sockaddr_un, sun_path))
            snprintf(text, FMI_NET_TEXT_BYTES, "%.*s", FMI_NET_PATH, at->sun_path);
    } else if (a->at.ss_family == AF_INET) {
        const struct sockaddr_in *at = (const void *)&a->at;
        inet_ntop(AF_INET, &at->sin_addr, host, sizeof host);
        snprintf(text, FMI_NET_TEXT_BYTES, "%s:%u", host, ntohs(at->sin_port));
    } else if (a->at.ss_family == AF_INET6) {
        const struct sockaddr_in6 *at = (const void *)&a->at;
        inet_ntop(AF_INET6, &at->sin6_addr, host, sizeof host);
        snprintf(text, FMI_NET_TEXT_BYTES, "[%s]:%u", host, ntohs(at->sin6_port));
    }
}

/* ---- life ------------------------------------------------------------------------------------------ */

static int open_socket(const struct fmi_net_address *a, int flags)
{
    int fd = socket(a->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value); /* a wish */
}

/* Short messages go out at once, and a machine that is gone is noticed. */
static void tune(int fd, const struct fmi_net_address *a)
{
    if (fmi_sys_net_is_path(a))
        return;
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TIMES);
}

static int close_with(int fd, int rc)
{
    close(fd);
    return rc;
}

int fmi_sys_net_listen(const struct fmi_net_address *a, struct fmi_net_address *bound)
{
    int fd = open_socket(a, SOCK_NONBLOCK), is_path = fmi_sys_net_is_path(a);
    if (fd < 0)
        return fd;
    if (is_path && fchmod(fd, 0600) != 0) /* bind() makes the file with the socket's own mode */
        return close_with(fd, -errno);
    if (!is_path)
        set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (bind(fd, (const struct sockaddr *)&a->at, a->bytes) != 0)
        return close_with(fd, -errno);
    *bound = *a;
    bound->bytes = sizeof bound->at;
    if (listen(fd, FMI_NET_BACKLOG) == 0 &&
        getsockname(fd, (struct sockaddr *)&bound->at, &bound->bytes) == 0)
        return fd;
    int rc = -errno;
    if (is_path)
        unlink(((const struct sockaddr_un *)&a->at)->sun_path);
    return close_with(fd, rc);
}

int fmi_sys_net_is_stale(const struct fmi_net_address *a)
{
    struct stat what;
    if (!fmi_sys_net_is_path(a) ||
        lstat(((const struct sockaddr_un *)&a->at)->sun_path, &what) != 0 ||
        !S_ISSOCK(what.st_mode))
        return 0;
    int fd = fmi_sys_net_connect(a, FMI_AT_ONCE);
    if (fd >= 0)
        close(fd);
    return fd == -ECONNREFUSED;
}

int fmi_sys_net_accept(int fd, struct fmi_net_address *peer)
{
    peer->bytes = sizeof peer->at;
    int connection;
    do
        connection = accept4(fd, (struct sockaddr *)&peer->at, &peer->bytes, SOCK_CLOEXEC);
    while (connection < 0 && errno == EINTR);
    if (connection < 0)
        return -errno;
    connection = fmi_sys_above_stdio(connection);
    if (connection >= 0)
        tune(connection, peer);
    return connection;
}

/* A connection that is under way: until it is there. */
static int finish_connect(int fd, int64_t deadline_ns)
{
    int error = 0, rc = fmi_sys_net_await(fd, 1, deadline_ns);
    socklen_t bytes = sizeof error;
    if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes) != 0)
        rc = -errno;
    return rc != 0 ? rc : -error;
}

/* A path whose listener's queue is full says EAGAIN, and poll() does not tell when it has room. */
static int connect_once(int fd, const struct fmi_net_address *a, int64_t deadline_ns)
{
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
    while (connect(fd, (const struct sockaddr *)&a->at, a->bytes) != 0) {
        if (errno == EINPROGRESS || (errno == EINTR && !fmi_sys_net_is_path(a)))
            return finish_connect(fd, deadline_ns);
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (deadline_ns <= fmi_now_ns())
            return -ETIMEDOUT;
        nanosleep(&pause, NULL);
    }
    return 0;
}

int fmi_sys_net_connect(const struct fmi_net_address *a, int64_t deadline_ns)
{
    int fd = open_socket(a, SOCK_NONBLOCK), off = 0;
    int rc = fd < 0 ? fd : connect_once(fd, a, deadline_ns);
    if (rc == 0 && ioctl(fd, FIONBIO, &off) != 0)
        rc = -errno;
    if (rc != 0)
        return fd < 0 ? fd : close_with(fd, rc);
    tune(fd, a);
    return fd;
}

int fmi_sys_net_peer(int fd, struct ucred *out)
{
    socklen_t bytes = sizeof *out;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, out, &bytes) == 0 ? 0 : -errno;
}

void fmi_sys_net_end(int fd)
{
    shutdown(fd, SHUT_RDWR);
}

/* ---- bytes ----------------------------------------------------------------------------------------- */

ssize_t fmi_sys_net_receive(int fd, void *to, size_t bytes, int may_wait)
{
    ssize_t got;
    do
        got = recv(fd, to, bytes, may_wait ? MSG_WAITALL : MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

ssize_t fmi_sys_net_send(int fd, const struct iovec *parts, int n, int may_wait)
{
    const struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = (size_t)n};
    ssize_t sent;
    do
        sent = sendmsg(fd, &message, MSG_NOSIGNAL | (may_wait ? 0 : MSG_DONTWAIT));
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int fmi_sys_net_await(int fd, int is_to_send, int64_t deadline_ns)
{
    struct pollfd wait = {.fd = fd, .events = is_to_send ? POLLOUT : POLLIN};
    for (;;) {
        int64_t left = deadline_ns == FMI_NEVER     ? 0
                       : deadline_ns == FMI_AT_ONCE ? 0
                                                    : deadline_ns - fmi_now_ns();
        struct timespec time = {.tv_sec = left > 0 ? left / 1000000000 : 0,
                                .tv_nsec = left > 0 ? left % 1000000000 : 0};
        int rc = ppoll(&wait, 1, deadline_ns == FMI_NEVER ? NULL : &time, NULL);
        if (rc != 0 && (rc > 0 || errno != EINTR))
            return rc > 0 ? 0 : -errno;
        if (rc == 0 && (deadline_ns == FMI_AT_ONCE || deadline_ns <= fmi_now_ns()))
            return -ETIMEDOUT;
    }
}

/* ---- several --------------------------------------------------------------------------------------- */

int fmi_sys_net_poller(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

int fmi_sys_net_watch(int poller, int fd, void *who)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    return epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

void fmi_sys_net_unwatch(int poller, int fd)
{
    (void)epoll_ctl(poller, EPOLL_CTL_DEL, fd, NULL);
}

void *fmi_sys_net_next(int poller)
{
    struct epoll_event event;
    int n;
    do
        n = epoll_wait(poller, &event, 1, 0);
    while (n < 0 && errno == EINTR);
    return n == 1 ? event.data.ptr : NULL;
}
