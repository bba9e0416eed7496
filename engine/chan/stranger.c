/* SPDX-License-Identifier: MIT */
/* Whoever has not shown his key yet; see stranger.h. */
#include "stranger.h"

#include "error.h"
#include "fault.h"
#include "net.h"

#include <errno.h>
#include <inttypes.h>

/* All that is ever sent here fits into the buffer of a socket of which the peer reads; one that does not read is over. */
static int send_frame(int fd, const struct fmi_challenge_frame *frame)
{
    uint8_t header[FMI_FRAME_LONG];
    size_t header_bytes = fmi_frame_write(header, frame->n);
    const struct iovec parts[] = {{header, header_bytes}, {(void *)frame->bytes, frame->n}};
    if (frame->n == 0)
        return 0;
    ssize_t sent = fmi_sys_net_send(fd, parts, 2, 0);
    if (sent == (ssize_t)(header_bytes + frame->n))
        return 0;
    if (sent < 0 && sent != -EAGAIN)
        return fmi_error(FM_ECLOSED, "the other end is gone: %s", fm_strerror((int)sent));
    return fmi_error(FM_ECLOSED, "the other end does not take what it is sent");
}

int fmi_stranger_greet(struct fmi_stranger *s, int fd, const struct fmi_challenge_key *key,
                       int role)
{
    struct fmi_challenge_frame frame;
    s->fd = fd;
    s->header.n = 0;
    s->n_got = 0;
    int rc = fmi_challenge_begin(&s->challenge, key, role, &frame);
    return rc != 0 ? rc : send_frame(fd, &frame);
}

/* n bytes, or what there is: 1 all, 0 not yet, FM_ECLOSED. */
static int receive(int fd, void *to, uint32_t n, uint32_t *got)
{
    *got = 0;
    if (n == 0)
        return 1;
    ssize_t rc = fmi_sys_net_receive(fd, to, n, 0);
    if (rc > 0)
        *got = (uint32_t)rc;
    if (rc > 0 || rc == -EAGAIN)
        return *got == n;
    if (rc == 0)
        return fmi_error(FM_ECLOSED, "the other end went away before it had shown its key");
    return fmi_error(FM_ECLOSED, "the other end is gone: %s", fm_strerror((int)rc));
}

/* 1: a frame of *n bytes is in `body`. */
static int receive_frame(struct fmi_stranger *s, uint32_t *n)
{
    uint64_t bytes;
    uint32_t missing, got;
    while ((missing = fmi_frame_missing(&s->header)) > 0) {
        int rc = receive(s->fd, s->header.raw + s->header.n, missing, &got);
        s->header.n += got;
        if (rc != 1)
            return rc;
    }
    int rc = fmi_frame_length(&s->header, &bytes);
    if (rc != 0 || bytes > FMI_CHALLENGE_FRAME)
        return fmi_error(FM_EFORMAT,
                         "a frame of %" PRIu64 " bytes before the key was shown; %d are allowed",
                         bytes, FMI_CHALLENGE_FRAME);
    rc = receive(s->fd, s->body + s->n_got, (uint32_t)bytes - s->n_got, &got);
    s->n_got += got;
    *n = (uint32_t)bytes;
    return rc;
}

int fmi_stranger_proceed(struct fmi_stranger *s, const struct fmi_challenge_key *key)
{
    for (;;) {
        struct fmi_challenge_frame answer;
        uint32_t n;
        int rc = receive_frame(s, &n);
        if (rc != 1)
            return rc;
        FMI_FAULT("stranger.take");
        rc = fmi_challenge_take(&s->challenge, key, s->body, n, &answer);
        int sent = send_frame(s->fd, &answer);
        s->header.n = 0;
        s->n_got = 0;
        if (rc != 0 || sent != 0)
            return rc < 0 ? rc : sent != 0 ? sent : rc;
    }
}
