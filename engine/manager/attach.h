/* SPDX-License-Identifier: MIT */
#ifndef FMI_ATTACH_H
#define FMI_ATTACH_H

/*
 * How a program of no family gets a manager's heap: as a spawned child does, but from the server, by a path's socket, after the key was shown.
 *
 *   client   HELLO: wants it, its pid, which heap it has (none)
 *   server   looks: a path's socket; the pid is that of the socket's other end, so both count pids alike; no heap there
 *   server   reply: "offered"; then, outside the frames, 32 bytes with the heap's descriptor
 *   client   maps it at the server's address, or goes on without, if something lies there
 *   server   watches the client's process, and frees what it had half done in the heap when it has ended
 *
 * What the heap knows of a process is its pid and its threads (mortal.h): both are the same for such a client as for the family.
 *
 * DIES HERE  client, before it maps: the socket ends. Mapped: the kernel marks its threads; the server sees the pidfd.
 *            server, before the descriptor: the client gets FM_ECLOSED. Later: nobody frees what such a client half does as it dies: a span or block stays taken.
 */

#include <stddef.h>
#include <stdint.h>

struct fmi_attach_offer {
    uint64_t base, bytes;
    uint64_t manager; /* address of the record */
    uint64_t number;  /* of it */
};

enum { FMI_ATTACH_HEAP_TEXT = 48 };

/* Which heap this process has, as a text that is no other's; "" if none. Does not make one. */
void fmi_attach_own_heap(char text[FMI_ATTACH_HEAP_TEXT]);

/* 1: this process has its heap from a manager. */
int fmi_attach_is_guest(void);

/* Both on a socket with no frame on its way. */
int fmi_attach_send(int socket, const void *manager, uint64_t number);
/* *manager: the record, checked. 0; -EEXIST ... something lies at the addresses: nothing was mapped (detail); FM_ECLOSED, -ETIMEDOUT, FM_EFORMAT: the socket is of no use. */
int fmi_attach_receive(int socket, int64_t deadline_ns, void **manager);

#endif
