/* SPDX-License-Identifier: MIT */
#ifndef FMI_CONN_H
#define FMI_CONN_H

/*
 * What a connection is. There are two kinds, and conn.c alone asks which:
 *
 *   an end of a pipe (pipe.h)        in the heap; the same for all processes of the family
 *   a connected socket               in private memory; its process's, and its forked children have copies (socket_conn.h)
 *
 * Both begin with a mark. Where it lies decides first: whatever a process writes into the heap, an end of a pipe is never taken for a socket.
 */

#include <assert.h>
#include <forkmap/conn.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define FMI_CONN_LIVE   UINT64_C(0x4c4e4e4f43494d46) /* "FMICONNL": an end of a pipe */
#define FMI_CONN_SOCKET UINT64_C(0x534e4e4f43494d46) /* "FMICONNS": a socket */
#define FMI_CONN_CLOSED UINT64_C(0x434e4e4f43494d46) /* "FMICONNC": either */

/*
 * An end of a pipe; of a socket only the mark.
 *
 *      0:  | mark |              creator, closer
 *      8:  | pipe | other |      creator
 *     24:  | end |               creator
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
