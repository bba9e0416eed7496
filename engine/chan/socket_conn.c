/* SPDX-License-Identifier: MIT */
/* A connection that is a socket; see socket_conn.h. */
#include "socket_conn.h"

#include "clock.h"
#include "error.h"
#include "net.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALL_NS FM_SECONDS(5)

static struct fmi_socket_conn *socket_of(fm_conn *c)
{
    return (void *)c;
}

int fmi_socket_conn_create(fm_conn **out, int fd, uint64_t max_frame)
{
    struct fmi_socket_conn *s = aligned_alloc(alignof(struct fmi_socket_conn), sizeof *s);
    if (s == NULL) {
        fmi_sys_net_end(fd);
        close(fd);
        return fmi_error(-ENOMEM, "no memory for a connection");
    }
    *s = (struct fmi_socket_conn){.fd = fd,
                                  .max_frame = max_frame != 0 ? max_frame : UINT64_MAX,
                                  .sends = FMI_FORKLOCK,
                                  .receives = FMI_FORKLOCK};
    atomic_store_explicit(&s->owner, getpid(), memory_order_relaxed);
    atomic_store_explicit(&s->mark, FMI_CONN_SOCKET, memory_order_relaxed); /* nobody else has it */
    *out = (void *)s;
    return 0;
}

/* What the kernel says of a socket whose other end is gone; want of memory is ours. */
static int explain(int rc)
{
    if (rc == -ENOMEM || rc == -ENOBUFS)
        return fmi_error(-ENOMEM, "the kernel has no memory for the socket");
    return fmi_error(FM_ECLOSED, "the other end is gone: %s", fm_strerror(rc));
}

/* ---- sending --------------------------------------------------------------------------------------- */

struct outgoing {
    struct iovec parts[2]; /* of the frame, what is not out yet */
    int n;
    int has_begun;
};

static void skip(struct outgoing *o, size_t bytes)
{
    o->has_begun |= bytes > 0;
    while (o->n > 0 && bytes >= o->parts[0].iov_len) {
        bytes -= o->parts[0].iov_len;
        o->parts[0] = o->parts[1];
        o->n--;
    }
    if (o->n > 0) {
        o->parts[0].iov_base = (char *)o->parts[0].iov_base + bytes;
        o->parts[0].iov_len -= bytes;
    }
}

static int send_all(struct fmi_socket_conn *s, struct outgoing *o, int64_t timeout)
{
    int may_wait = timeout < 0;
    int64_t deadline_ns = fmi_deadline_of(timeout);
    while (o->n > 0) {
        ssize_t sent = fmi_sys_net_send(s->fd, o->parts, o->n, may_wait);
        if (sent > 0) {
            skip(o, (size_t)sent);
            if (!may_wait)
                deadline_ns = fmi_deadline_after(timeout > STALL_NS ? timeout : STALL_NS);
        } else if (sent != -EAGAIN) {
            return (int)sent;
        } else {
            int rc = fmi_sys_net_await(s->fd, 1, deadline_ns);
            if (rc != 0)
                return rc;
        }
    }
    return 0;
}

int fmi_socket_conn_send(fm_conn *c, const void *data, size_t bytes, int64_t timeout)
{
    struct fmi_socket_conn *s = socket_of(c);
    uint8_t header[FMI_FRAME_LONG];
    if (data == NULL && bytes != 0)
        return fmi_error(-EINVAL, "data is NULL");
    if (bytes > INT64_MAX)
        return fmi_error(-EINVAL, "%zu bytes are no message", bytes);
    struct outgoing o = {.parts = {{header, fmi_frame_write(header, bytes)}, {(void *)data, bytes}},
                         .n = bytes == 0 ? 1 : 2};
    int rc = fmi_forklock_acquire_until(&s->sends, fmi_deadline_of(timeout));
    if (rc != 0)
        return rc;
    rc = s->send_error;
    if (rc == 0) {
        rc = send_all(s, &o, timeout);
        if (rc != 0 && o.has_begun) { /* the peer must not take what comes next for the rest */
            rc = s->send_error = FM_ECLOSED;
            fmi_sys_net_end(s->fd);
            fmi_error_note("the other end took a part of the message, and no more");
        } else if (rc != 0 && rc != -ETIMEDOUT) {
            rc = explain(rc);
        }
    }
    fmi_forklock_release(&s->sends);
    return rc;
}

/* ---- receiving ------------------------------------------------------------------------------------- */

static int end_receiving(struct fmi_socket_conn *s, int rc)
{
    free(s->kept);
    s->kept = NULL;
    atomic_store_explicit(&s->receive_error, rc, memory_order_relaxed); /* a hint for poll */
    return rc;
}

/* At least a byte; what has come of `bytes` in *got. -ETIMEDOUT, FM_ECLOSED. */
static int receive_some(struct fmi_socket_conn *s, void *to, size_t bytes, size_t *got,
                        int64_t deadline_ns)
{
    *got = 0;
    for (;;) {
        ssize_t n = fmi_sys_net_receive(s->fd, to, bytes, deadline_ns == FMI_NEVER);
        if (n > 0) {
            *got = (size_t)n;
            return 0;
        }
        if (n == 0)
            return fmi_error(FM_ECLOSED, "the other end is closed");
        if (n != -EAGAIN)
            return explain((int)n);
        int rc = fmi_sys_net_await(s->fd, 0, deadline_ns);
        if (rc != 0)
            return rc;
    }
}

static int check_length(struct fmi_socket_conn *s)
{
    int rc = fmi_frame_length(&s->header, &s->bytes);
    if (rc != 0)
        return fmi_error(rc, "what the other end sends is no message: its length is %#" PRIx64,
                         s->bytes);
    if (s->bytes > s->max_frame)
        return fmi_error(FM_EFORMAT, "a message of %" PRIu64 " bytes; the limit here is %" PRIu64,
                         s->bytes, s->max_frame);
    s->done = 0;
    return 0;
}

static int receive_header(struct fmi_socket_conn *s, int64_t deadline_ns)
{
    struct fmi_frame_header *h = &s->header;
    uint32_t missing = fmi_frame_missing(h);
    if (missing == 0)
        return 0;
    for (; missing > 0; missing = fmi_frame_missing(h)) {
        size_t got;
        int rc = receive_some(s, h->raw + h->n, missing, &got, deadline_ns);
        h->n += (uint32_t)got;
        if (rc != 0)
            return rc == -ETIMEDOUT || rc == -ENOMEM ? rc : end_receiving(s, rc);
    }
    int rc = check_length(s);
    if (rc != 0)
        fmi_sys_net_end(s->fd); /* where the next message begins is not known */
    return rc != 0 ? end_receiving(s, rc) : 0;
}

/* The time is over: what has come is kept, since the socket has it no more. */
static int keep(struct fmi_socket_conn *s, const uint8_t *buf, uint64_t done, int rc)
{
    if (done == s->done)
        return rc;
    uint8_t *kept = realloc(s->kept, done);
    if (kept == NULL) {
        fmi_sys_net_end(s->fd);
        (void)end_receiving(s, FM_ECLOSED);
        return fmi_error(-ENOMEM, "no memory to keep %" PRIu64 " bytes of a message", done);
    }
    memcpy(kept + s->done, buf + s->done, done - s->done);
    s->kept = kept;
    s->done = done;
    return rc;
}

static int receive_body(struct fmi_socket_conn *s, uint8_t *buf, int64_t deadline_ns)
{
    uint64_t done = s->done;
    if (done > 0 && buf != NULL) /* there is room for a message with bytes, so it is not NULL */
        memcpy(buf, s->kept, done);
    while (done < s->bytes) {
        size_t got;
        int rc = receive_some(s, buf + done, s->bytes - done, &got, deadline_ns);
        done += got;
        if (rc != 0)
            return rc == -ETIMEDOUT || rc == -ENOMEM ? keep(s, buf, done, rc)
                                                     : end_receiving(s, rc);
    }
    free(s->kept);
    s->kept = NULL;
    s->header.n = 0;
    return 0;
}

int fmi_socket_conn_receive(fm_conn *c, void *buf, size_t cap, size_t *bytes, int64_t deadline_ns)
{
    struct fmi_socket_conn *s = socket_of(c);
    if (buf == NULL && cap != 0)
        return fmi_error(-EINVAL, "buf is NULL");
    int rc = fmi_forklock_acquire_until(&s->receives, deadline_ns);
    if (rc != 0)
        return rc;
    rc = atomic_load_explicit(&s->receive_error, memory_order_relaxed);
    if (rc == 0)
        rc = receive_header(s, deadline_ns);
    uint64_t length = s->bytes;
    if (rc == 0 && length > cap)
        rc = FM_ETOOLONG;
    else if (rc == 0)
        rc = receive_body(s, buf, deadline_ns);
    if (rc == 0 || rc == FM_ETOOLONG)
        *bytes = length;
    fmi_forklock_release(&s->receives);
    return rc;
}

int fmi_socket_conn_poll(fm_conn *c, int64_t deadline_ns)
{
    struct fmi_socket_conn *s = socket_of(c);
    if (atomic_load_explicit(&s->receive_error, memory_order_relaxed) != 0)
        return 1;
    int rc = fmi_sys_net_await(s->fd, 0, deadline_ns);
    return rc == 0 ? 1 : rc;
}

int fmi_socket_conn_fileno(fm_conn *c)
{
    return socket_of(c)->fd;
}

/* ---- end ------------------------------------------------------------------------------------------- */

int fmi_socket_conn_give(fm_conn *c, int pid)
{
    if (pid <= 0)
        return fmi_error(-EINVAL, "%d is no process", pid);
    atomic_store_explicit(&socket_of(c)->owner, pid, memory_order_relaxed);
    return 0;
}

int fmi_socket_conn_close(fm_conn *c)
{
    struct fmi_socket_conn *s = socket_of(c);
    uint64_t live = FMI_CONN_SOCKET;
    if (!atomic_compare_exchange_strong(&s->mark, &live, FMI_CONN_CLOSED))
        return fmi_error(-EBADF, "the connection is closed");
    if (atomic_load_explicit(&s->owner, memory_order_relaxed) == getpid())
        fmi_sys_net_end(s->fd);
    close(s->fd);
    free(s->kept);
    free(s);
    return 0;
}
