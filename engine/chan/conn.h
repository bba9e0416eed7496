/* SPDX-License-Identifier: MIT */
#ifndef FMI_CONN_H
#define FMI_CONN_H

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

#include "line.h"

#include <forkmap/conn.h>

#define FMI_CONN_LIVE   UINT64_C(0x4c4e4e4f43494d46) /* "FMICONNL" */
#define FMI_CONN_CLOSED UINT64_C(0x434e4e4f43494d46) /* "FMICONNC" */

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

/*
 *      0:  | mark |              creator, closer
 *      8:  | pipe | end |        creator
 *     64:  end
 */
struct fm_conn {
    alignas(64) _Atomic uint64_t mark;
    struct fmi_pipe_shm *pipe;
    struct fm_conn *other;
    uint32_t end; /* 0, 1 */
};
static_assert(sizeof(struct fm_conn) == 64, "conn: layout");
static_assert(offsetof(struct fm_conn, pipe) == 8, "conn: layout");

#endif
