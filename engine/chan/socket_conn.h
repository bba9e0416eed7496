/* SPDX-License-Identifier: MIT */
#ifndef FMI_SOCKET_CONN_H
#define FMI_SOCKET_CONN_H

/*
 * A connection that is a socket: frames (frame.h) out and in. It lies in private memory. A forked child has a copy, and the same socket: bytes
 * go to whoever reads first, so one of the two leaves it alone.
 *
 *   receiving     | BETWEEN --bytes of a header--> HEADER --all of it--> BODY --all of it--> BETWEEN
 *                 | a time that runs out changes nothing: what was read of the header stays in `header`, what was read of the body in `kept`
 *                 | end of file, an error, a length that none is or is over max_frame --> OVER, for good
 *   sending       | nothing out yet: a time that runs out changes nothing
 *                 | a part is out: it goes on as long as the peer takes something every STALL_NS, or every timeout if that is longer; else OVER
 *
 * INVARIANTS
 *   (1) The socket's next byte is the first of a header that `header` lacks, or of a body: byte `done`.
 *   (2) Nothing is read behind the message that is asked for, so the socket is readable while something is there.
 *   (3) What is allocated was received: never by a length that a peer names.
 *
 * DIES HERE: whoever has it. The peer gets what is in the socket, then the end: if that is in the middle of a frame, the frame is dropped there.
 */

#include "conn.h"
#include "forklock.h"
#include "frame.h"

#include <stddef.h>
#include <stdint.h>

struct fmi_socket_conn {
    alignas(64) _Atomic uint64_t mark; /* where fm_conn has it */
    int fd;
    _Atomic int owner;  /* pid: whose close ends it for all */
    uint64_t max_frame; /* [bytes] */
    struct fmi_forklock sends;
    struct fmi_forklock receives;
    /* of who receives */
    struct fmi_frame_header header;
    uint64_t bytes; /* of a message whose header is whole */
    uint64_t done;  /* of these have been read; they are in `kept` */
    uint8_t *kept;
    _Atomic int receive_error; /* 0; what each receive gets from now on */
    /* of who sends */
    int send_error;
};
static_assert(offsetof(struct fmi_socket_conn, mark) == offsetof(struct fm_conn, mark),
              "socket connection: layout");

/* Takes over `fd`, which it closes on failure. max_frame 0: no limit. 0, -ENOMEM. */
int fmi_socket_conn_create(fm_conn **out, int fd, uint64_t max_frame);

/* What fm_conn_...() does with it. `c` has the mark. */
int fmi_socket_conn_send(fm_conn *c, const void *data, size_t bytes, int64_t timeout);
int fmi_socket_conn_receive(fm_conn *c, void *buf, size_t cap, size_t *bytes, int64_t deadline_ns);
int fmi_socket_conn_poll(fm_conn *c, int64_t deadline_ns);
int fmi_socket_conn_fileno(fm_conn *c);
int fmi_socket_conn_give(fm_conn *c, int pid);
int fmi_socket_conn_close(fm_conn *c);

#endif
