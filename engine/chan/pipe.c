/* SPDX-License-Identifier: MIT */
/* Pipes and their ends; see pipe.h. */
#include "pipe.h"

#include "clock.h"
#include "error.h"
#include "fault.h"
#include "heap.h"

#include <errno.h>

/* ---- checks ---------------------------------------------------------------------------------------- */

static size_t pipe_bytes(int n_lines)
{
    return sizeof(struct fmi_pipe_shm) + (size_t)n_lines * sizeof(struct fmi_line_shm);
}

/* 0; -EBADF, FM_ECORRUPT. */
static int check(const fm_conn *c)
{
    /* acquire: pairs with fm_pipe */
    uint64_t mark = atomic_load_explicit(&c->mark, memory_order_acquire);
    if (mark == FMI_CONN_CLOSED)
        return fmi_error(-EBADF, "this end of the pipe is closed");
    const struct fmi_pipe_shm *pipe = c->pipe;
    if (mark != FMI_CONN_LIVE || c->end > 1 || pipe == NULL ||
        !fmi_heap_contains(pipe, pipe_bytes(1)) || pipe->is_duplex > 1 ||
        !fmi_heap_contains(pipe, pipe_bytes(1 + (int)pipe->is_duplex)))
        return fmi_error(FM_ECORRUPT, "%p is no connection (any more)", (const void *)c);
    return 0;
}

/* What `c` receives from, or sends to. -EBADF: it does not. */
static int find_line(const fm_conn *c, int is_to_send, struct fmi_line *line)
{
    int rc = check(c);
    if (rc != 0)
        return rc;
    struct fmi_pipe_shm *pipe = c->pipe;
    uint32_t reader = is_to_send ? 1 - c->end : c->end;
    if (reader == 1 && !pipe->is_duplex)
        return fmi_error(
            -EBADF,
            "the first end of a pipe that is not duplex only receives, the second only sends");
    *line = (struct fmi_line){.shm = &pipe->lines[reader],
                              .writer = &pipe->ends[1 - reader],
                              .reader = &pipe->ends[reader],
                              .back = pipe->is_duplex ? &pipe->lines[1 - reader].bell : NULL};
    return 0;
}

/* ---- life ------------------------------------------------------------------------------------------ */

static int fill_pipe(struct fmi_pipe_shm *pipe, int n_lines)
{
    atomic_init(&pipe->n_closed, 0);
    pipe->is_duplex = n_lines == 2;
    for (int i = 0; i < n_lines; i++)
        fmi_line_init(&pipe->lines[i]);
    int rc = fmi_party_init(&pipe->ends[0]);
    return rc != 0 ? rc : fmi_party_init(&pipe->ends[1]);
}

static void fill_conn(fm_conn *c, struct fmi_pipe_shm *pipe, fm_conn *other, uint32_t end)
{
    c->pipe = pipe;
    c->other = other;
    c->end = end;
    /* release: whoever sees the mark sees the rest; pairs with check */
    atomic_store_explicit(&c->mark, FMI_CONN_LIVE, memory_order_release);
}

int fm_pipe(fm_conn **a, fm_conn **b, int duplex)
{
    void *pipe = NULL, *first = NULL, *second = NULL;
    int n_lines = duplex ? 2 : 1;
    if (a != NULL)
        *a = NULL;
    if (b != NULL)
        *b = NULL;
    if (a == NULL || b == NULL)
        return fmi_error(-EINVAL, "an end of the pipe is NULL");
    int rc = fmi_heap_alloc(&pipe, pipe_bytes(n_lines), 0);
    if (rc == 0)
        rc = fmi_heap_alloc(&first, sizeof(fm_conn), FMI_HEAP_ZERO);
    if (rc == 0)
        rc = fmi_heap_alloc(&second, sizeof(fm_conn), FMI_HEAP_ZERO);
    if (rc == 0)
        rc = fill_pipe(pipe, n_lines);
    if (rc != 0) {
        (void)fmi_heap_free(second);
        (void)fmi_heap_free(first);
        (void)fmi_heap_free(pipe);
        return rc;
    }
    fill_conn(first, pipe, second, 0);
    fill_conn(second, pipe, first, 1);
    *a = first;
    *b = second;
    return 0;
}

static void free_pipe(fm_conn *c, fm_conn *other, struct fmi_pipe_shm *pipe)
{
    for (uint32_t i = 0; i <= pipe->is_duplex; i++)
        fmi_line_fini(&pipe->lines[i]);
    FMI_FAULT("conn.free");
    (void)fmi_heap_free(pipe);
    (void)fmi_heap_free(other);
    (void)fmi_heap_free(c);
}

/* Whoever waits for what `end` sends, in poll(2). NULL: it does not send. */
static struct fmi_doorbell_shm *bell_of_other(struct fmi_pipe_shm *pipe, uint32_t end)
{
    uint32_t other = 1 - end;
    return other == 0 || pipe->is_duplex ? &pipe->lines[other].bell : NULL;
}

int fmi_pipe_close(fm_conn *c)
{
    uint64_t live = FMI_CONN_LIVE;
    int rc = check(c);
    if (rc != 0)
        return rc;
    struct fmi_pipe_shm *pipe = c->pipe;
    fm_conn *other = c->other;
    FMI_FAULT("conn.close");
    if (!atomic_compare_exchange_strong(&c->mark, &live, FMI_CONN_CLOSED))
        return fmi_error(-EBADF, "this end of the pipe is closed");
    FMI_FAULT("conn.mark");
    (void)fmi_party_close(&pipe->ends[c->end], bell_of_other(pipe, c->end));
    FMI_FAULT("conn.party");
    for (uint32_t i = 0; i <= pipe->is_duplex; i++) {
        fmi_line_rouse(&pipe->lines[i]);
        if (i == c->end)
            fmi_line_hang_up(&pipe->lines[i]);
    }
    FMI_FAULT("conn.count");
    /* Acquire and release: what both did comes before the free; pairs with itself. */
    if (atomic_fetch_add_explicit(&pipe->n_closed, 1, memory_order_acq_rel) == 1)
        free_pipe(c, other, pipe);
    return 0;
}

int fmi_pipe_give(fm_conn *c, int pid)
{
    int rc = check(c);
    if (rc != 0)
        return rc;
    struct fmi_pipe_shm *pipe = c->pipe;
    rc = fmi_party_give(&pipe->ends[c->end], pid, bell_of_other(pipe, c->end));
    for (uint32_t i = 0; rc == 0 && i <= pipe->is_duplex; i++)
        fmi_line_rouse(&pipe->lines[i]);
    return rc;
}

/* ---- messages -------------------------------------------------------------------------------------- */

int fmi_pipe_send(fm_conn *c, const void *data, size_t bytes, int64_t deadline_ns)
{
    struct fmi_line line;
    int rc = find_line(c, 1, &line);
    if (rc == 0 && data == NULL && bytes != 0)
        rc = fmi_error(-EINVAL, "data is NULL");
    return rc != 0 ? rc : fmi_line_send(&line, data, bytes, deadline_ns);
}

int fmi_pipe_receive(fm_conn *c, void *buf, size_t cap, size_t *bytes, int64_t deadline_ns)
{
    struct fmi_line line;
    int rc = find_line(c, 0, &line);
    if (rc == 0 && buf == NULL && cap != 0)
        rc = fmi_error(-EINVAL, "buf is NULL");
    return rc != 0 ? rc : fmi_line_recv(&line, buf, cap, bytes, deadline_ns);
}

int fmi_pipe_poll(fm_conn *c, int64_t deadline_ns)
{
    struct fmi_line line;
    int rc = find_line(c, 0, &line);
    if (rc == 0)
        rc = fmi_line_poll(&line, deadline_ns);
    return rc == 0 ? 1 : rc;
}

int fmi_pipe_fileno(fm_conn *c)
{
    struct fmi_line line;
    int rc = find_line(c, 0, &line);
    return rc != 0 ? rc : fmi_line_fileno(&line, FMI_NEVER);
}
