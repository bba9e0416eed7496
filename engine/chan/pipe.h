/* SPDX-License-Identifier: MIT */
#ifndef FMI_PIPE_H
#define FMI_PIPE_H

/*
 * A pipe: two ends, each a connection of its own, and one line or two between them.
 *
 *   connection a --.                    line 0   b sends, a receives
 *   connection b --+--> pipe -----------line 1   a sends, b receives; only if it is duplex
 *
 *   connection  | LIVE --close--> CLOSED    by one CAS: of two that close at once, one does it. For all processes.
 *   pipe        | n_closed 0 -> 1 -> 2      by addition, the last thing that a closer does with it; who makes it 2 frees all three
 *
 * INVARIANTS
 *   (1) Nothing of a connection changes but `mark`.
 *   (2) Whoever is inside a call on an end when it is closed leaves, as its wait ends; who frees waits for that (fmi_line_fini).
 *
 * DIES HERE
 *   in fm_pipe                            memory without an owner, until the family ends
 *   in close, before n_closed             the end is closed, the memory stays taken
 *   in close, after n_closed is 2         the same, a part of it
 */

#include "conn.h"
#include "line.h"

/*
 *      0:  | n_closed | is_duplex |      closers; creator
 *     64:  | ends [2] |                  party.h
 *    192:  | lines [1 or 2] |            line.h
 *  62080 or 123968:  end
 */
struct fmi_pipe_shm {
    alignas(64) _Atomic uint32_t n_closed;
    uint32_t is_duplex;
    struct fmi_party_shm ends[2];
    struct fmi_line_shm lines[]; /* [k]: end k receives from it */
};
static_assert(sizeof(struct fmi_pipe_shm) == 192, "pipe: layout");
static_assert(offsetof(struct fmi_pipe_shm, ends) == 64, "pipe: layout");

/* What fm_conn_...() does with an end of a pipe. `c` is a block of the heap; the rest is checked here. */
int fmi_pipe_send(fm_conn *c, const void *data, size_t bytes, int64_t deadline_ns);
int fmi_pipe_receive(fm_conn *c, void *buf, size_t cap, size_t *bytes, int64_t deadline_ns);
int fmi_pipe_poll(fm_conn *c, int64_t deadline_ns);
int fmi_pipe_fileno(fm_conn *c);
int fmi_pipe_give(fm_conn *c, int pid);
int fmi_pipe_close(fm_conn *c);

#endif
