/* SPDX-License-Identifier: MIT */
/* Connections of both kinds; see conn.h. */
#include "conn.h"

#include "clock.h"
#include "error.h"
#include "heap.h"
#include "pipe.h"
#include "socket_conn.h"

#include <errno.h>

enum kind { PIPE, SOCKET };

/* A kind; -EINVAL, -EBADF. */
static int kind_of(fm_conn *c)
{
    if (c == NULL)
        return fmi_error(-EINVAL, "the connection is NULL");
    if (fmi_heap_is_block(c, sizeof *c))
        return PIPE;
    if ((uintptr_t)c % alignof(struct fm_conn) == 0 && !fmi_heap_contains(c, sizeof *c)) {
        /* relaxed: another thread that closes it now is the caller's mistake */
        uint64_t mark = atomic_load_explicit(&c->mark, memory_order_relaxed);
        if (mark == FMI_CONN_SOCKET)
            return SOCKET;
        if (mark == FMI_CONN_CLOSED)
            return fmi_error(-EBADF, "the connection is closed");
    }
    return fmi_error(-EINVAL, "%p is no connection", (const void *)c);
}

int fm_conn_send_timed(fm_conn *c, const void *data, size_t bytes, int64_t timeout)
{
    int kind = kind_of(c);
    if (kind < 0)
        return kind;
    return kind == PIPE ? fmi_pipe_send(c, data, bytes, fmi_deadline_of(timeout))
                        : fmi_socket_conn_send(c, data, bytes, timeout);
}

int fm_conn_send(fm_conn *c, const void *data, size_t bytes)
{
    return fm_conn_send_timed(c, data, bytes, FM_FOREVER);
}

int fm_conn_send_part(fm_conn *c, const void *data, size_t offset, size_t bytes)
{
    if (data == NULL)
        return fmi_error(-EINVAL, "data is NULL");
    return fm_conn_send_timed(c, (const char *)data + offset, bytes, FM_FOREVER);
}

int fm_conn_recv_timed(fm_conn *c, void *buf, size_t cap, size_t *bytes, int64_t timeout)
{
    size_t ignored;
    if (bytes == NULL)
        bytes = &ignored;
    *bytes = 0;
    int kind = kind_of(c);
    if (kind < 0)
        return kind;
    return kind == PIPE ? fmi_pipe_receive(c, buf, cap, bytes, fmi_deadline_of(timeout))
                        : fmi_socket_conn_receive(c, buf, cap, bytes, fmi_deadline_of(timeout));
}

int fm_conn_recv(fm_conn *c, void *buf, size_t cap, size_t *bytes)
{
    return fm_conn_recv_timed(c, buf, cap, bytes, FM_FOREVER);
}

int fm_conn_recv_into(fm_conn *c, void *buf, size_t offset, size_t cap, size_t *bytes)
{
    if (bytes != NULL)
        *bytes = 0;
    if (buf == NULL || offset > cap)
        return fmi_error(-EINVAL, "buf is NULL, or the offset %zu is behind its %zu bytes", offset,
                         cap);
    return fm_conn_recv_timed(c, (char *)buf + offset, cap - offset, bytes, FM_FOREVER);
}

int fm_conn_poll(fm_conn *c, int64_t timeout)
{
    int kind = kind_of(c);
    if (kind < 0)
        return kind;
    return kind == PIPE ? fmi_pipe_poll(c, fmi_deadline_of(timeout))
                        : fmi_socket_conn_poll(c, fmi_deadline_of(timeout));
}

int fm_conn_fileno(fm_conn *c)
{
    int kind = kind_of(c);
    if (kind < 0)
        return kind;
    return kind == PIPE ? fmi_pipe_fileno(c) : fmi_socket_conn_fileno(c);
}

int fm_conn_give(fm_conn *c, int pid)
{
    int kind = kind_of(c);
    if (kind < 0)
        return kind;
    return kind == PIPE ? fmi_pipe_give(c, pid) : fmi_socket_conn_give(c, pid);
}

int fm_conn_close(fm_conn *c)
{
    int kind = c == NULL ? 0 : kind_of(c);
    if (c == NULL || kind < 0)
        return kind;
    return kind == PIPE ? fmi_pipe_close(c) : fmi_socket_conn_close(c);
}
