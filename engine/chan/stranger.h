/* SPDX-License-Identifier: MIT */
#ifndef FMI_STRANGER_H
#define FMI_STRANGER_H

/*
 * The other side of a socket that has not shown its key yet: the exchange of challenge.h, by frames of at most 256 bytes, as far as it goes without waiting.
 */

#include "challenge.h"
#include "frame.h"

#include <stdint.h>

struct fmi_stranger {
    int fd;
    struct fmi_challenge challenge;
    struct fmi_frame_header header; /* of the frame that is coming */
    uint32_t n_got;                 /* [bytes] of its body */
    uint8_t body[FMI_CHALLENGE_FRAME];
};

/* Sends what this side sends first. 0; FM_ECLOSED, -errno. */
int fmi_stranger_greet(struct fmi_stranger *s, int fd, const struct fmi_challenge_key *key,
                       int role);
/* Takes what has come, and answers. 0: more is to come; 1: it has the key; FM_EAUTH, FM_EFORMAT, FM_ECLOSED, -errno: it is over. */
int fmi_stranger_proceed(struct fmi_stranger *s, const struct fmi_challenge_key *key);

#endif
