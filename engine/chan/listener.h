/* SPDX-License-Identifier: MIT */
#ifndef FMI_LISTENER_H
#define FMI_LISTENER_H

/*
 * A listener: a socket that listens, those who came and have not shown their key, and one poller for all. Whoever is inside fm_listener_accept() moves it on.
 *
 *   place     | FREE --comes--> WAITING --has shown the key--> FREE: an fm_conn has the socket
 *             |                         --wrong, gone, late, or the oldest when there is no other place--> FREE: closed for all who have it
 *
 * INVARIANTS
 *   (1) WAITING places are in a list, the oldest first; FREE ones in another. `n_waiting` counts the first.
 *   (2) A socket is in the poller exactly while its place is WAITING. It is taken out before it is closed: a forked child has the socket, too,
 *       and the poller would go on telling of it.
 *   (3) One event is asked for at a time, so none is about a place that has been freed meanwhile; the poller gives all their turn.
 *   (4) Of each WAITING place: come_ns + auth_timeout is when it is late, on a clock that stands while nobody accepts.
 *
 * DIES HERE: whoever has it. All sockets close; the file of a path stays, and the next who wants it is told.
 */

#include "forklock.h"
#include "net.h"
#include "stranger.h"

#include <forkmap/listener.h>
#include <stdint.h>
#include <sys/types.h>

struct fmi_place {
    struct fmi_place *older, *newer; /* of a list; FREE: `newer` alone */
    int64_t come_ns;
    struct fmi_net_address peer;
    struct fmi_stranger stranger;
};

struct fmi_log_limit { /* so many lines in a second, and then how many more there were */
    int64_t since_ns;
    uint32_t n_said, n_unsaid;
};

struct fm_listener {
    int pid; /* whose it is */
    int fd, poller;
    struct fmi_forklock lock; /* of whoever accepts */
    struct fmi_challenge_key key;
    uint8_t *key_page; /* wiped in children */
    fm_listener_opts opts;
    struct fmi_net_address address;
    char text[FMI_NET_TEXT_BYTES], last[FMI_NET_TEXT_BYTES];
    char folder[FMI_NET_TEXT_BYTES]; /* that was made for the path; "" if none */
    dev_t device;                    /* of the path's file */
    ino_t inode;
    struct fmi_place *places, *free, *oldest, *newest;
    int n_waiting;
    int64_t left_ns; /* when nobody accepted any more */
    struct fmi_log_limit limit;
};

#endif
