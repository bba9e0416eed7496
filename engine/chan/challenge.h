/* SPDX-License-Identifier: MIT */
#ifndef FMI_CHALLENGE_H
#define FMI_CHALLENGE_H

/*
 * Two programs show each other that they have the same key, in the words of Python's multiprocessing.connection, of both versions in use.
 *
 *   listener                                      client
 *     "#CHALLENGE#" M  ------------------------->             M = "{sha256}" and 40 random bytes
 *                      <-------------------------   R          R = "{sha256}" HMAC-SHA256(key, M)
 *     "#WELCOME#"      ------------------------->             or "#FAILURE#", and it is over
 *                      <-------------------------   "#CHALLENGE#" M'
 *     R'               ------------------------->
 *                      <-------------------------   "#WELCOME#"
 *
 * The client answers first: who cannot answer is answered nothing. Up to Python 3.11, M is 20 random bytes and R a bare HMAC-MD5 of M, whatever M is; from 3.12 on, R is
 * made as the braces in M say, and 20 bytes without braces are answered as before. So a challenge with {sha256} is right for both: the old ones answer with 16 bytes of MD5,
 * which is taken unless the caller refuses them. Nobody in between can make a new one answer so: the braces are a part of what is answered.
 *
 *   state          | comes                     | goes, next
 *   WANT_RESPONSE  | right                     | WELCOME; listener: WANT_CHALLENGE, client: DONE
 *                  | wrong                     | FAILURE; FM_EAUTH
 *   WANT_CHALLENGE | one that can be answered  | the answer; WANT_WELCOME
 *                  | our own, or a client's    | nothing; FM_EAUTH
 *   WANT_WELCOME   | "#WELCOME#"               | listener: DONE; client: its challenge, WANT_RESPONSE
 *                  | "#FAILURE#"               | nothing; FM_EAUTH
 *   any            | anything else             | nothing; FM_EFORMAT
 *
 * Reflection. A client answers whatever it is asked, before it has asked anything. Whoever listens in a listener's place could ask one client what another one, or the same one on
 * another connection, has just asked him. So a client's challenge is recognisable to whoever has the key: the last 16 of its 40 bytes are a MAC of the first 24. It is never
 * answered. A listener answers only those who have answered, so its challenges are all random.
 *
 * What this does not prevent: a program in between that hands everything on, and reads and changes what comes after. For that there are tunnels.
 *
 * Nothing here waits; the only call is getrandom().
 */

#include <stddef.h>
#include <stdint.h>

enum { FMI_CHALLENGE_FRAME = 256 }; /* [bytes] longest frame of the exchange */
enum fmi_challenge_role { FMI_CHALLENGE_LISTENER = 1, FMI_CHALLENGE_CLIENT = 2 };

struct fmi_challenge_key { /* is not copied */
    const uint8_t *bytes;
    size_t n;
    int refuses_md5;
};

enum {
    FMI_CHALLENGE_NONCE = 40,
    FMI_CHALLENGE_PREFIX = 8, /* "{sha256}" */
    FMI_CHALLENGE_MESSAGE = FMI_CHALLENGE_PREFIX + FMI_CHALLENGE_NONCE
};

struct fmi_challenge {
    uint32_t role;
    uint32_t state;                         /* of challenge.c */
    uint8_t message[FMI_CHALLENGE_MESSAGE]; /* what this side has asked */
};

struct fmi_challenge_frame {
    uint32_t n; /* [bytes]; 0: nothing is to be sent */
    uint8_t bytes[FMI_CHALLENGE_FRAME];
};

/* What this side sends first. 0, or -errno of getrandom(). */
int fmi_challenge_begin(struct fmi_challenge *c, const struct fmi_challenge_key *key, int role,
                        struct fmi_challenge_frame *out);
/* A frame has come. 0: go on; 1: both have shown it; FM_EAUTH, FM_EFORMAT: it is over. `out` is to be sent in any case. */
int fmi_challenge_take(struct fmi_challenge *c, const struct fmi_challenge_key *key,
                       const uint8_t *frame, size_t n, struct fmi_challenge_frame *out);

#endif
