/* SPDX-License-Identifier: MIT */
/*
 * Fuzz target: what a stranger can send to whoever asks for a key: headers of frames, and the exchange. An input is
 *
 *      0:  | how (1) | bytes as they come through the socket ... |
 *
 * how & 1: a client is asked, else a listener; how & 2: it refuses MD5; how & 4: as a stranger who knows the key would answer, frames with the byte '=' alone
 * are replaced by the right answer, so that what lies behind the first step is reached; how >> 4: where what comes is cut in two.
 */
#include "fuzz.h"

#include "challenge.h"
#include "frame.h"

#include <forkmap/status.h>
#include <string.h>

struct answers { /* of somebody who has the key */
    struct fmi_challenge c;
    struct fmi_challenge_frame last;
};

static const char secret[] = "fuzz";

/* The header, read in two goes, must be what it is in one. Returns its length, or 0 if it is not whole. */
static uint32_t read_header(const uint8_t *bytes, size_t n, uint32_t cut, uint64_t *length, int *rc)
{
    struct fmi_frame_header h = {0};
    while (fmi_frame_missing(&h) > 0) {
        uint32_t missing = fmi_frame_missing(&h);
        FUZZ_EXPECT(h.n + missing <= FMI_FRAME_LONG);
        uint32_t part = cut != 0 && cut < missing ? cut : missing;
        if (part > n - h.n)
            return 0;
        memcpy(h.raw + h.n, bytes + h.n, part);
        h.n += part;
        cut = 0;
    }
    *rc = fmi_frame_length(&h, length);
    FUZZ_EXPECT(*rc == 0 || *rc == FM_EFORMAT);
    FUZZ_EXPECT(h.n == FMI_FRAME_SHORT || h.n == FMI_FRAME_LONG);
    FUZZ_EXPECT(*rc != 0 || *length <= INT64_MAX);
    return h.n;
}

/* What is written must be read again. */
static void check_writing(uint64_t length)
{
    uint8_t raw[FMI_FRAME_LONG];
    uint64_t again = 0;
    int rc;
    uint32_t n = fmi_frame_write(raw, length);
    FUZZ_EXPECT(n == (length <= 0x7fffffff ? FMI_FRAME_SHORT : FMI_FRAME_LONG));
    FUZZ_EXPECT(read_header(raw, n, 1, &again, &rc) == n && rc == 0 && again == length);
}

static int is_right_answer(const uint8_t *body, size_t n, int how)
{
    return (how & 4) != 0 && n == 1 && *body == '=';
}

/* One frame to whoever is asked, and what he answers to the other one. */
static int step(struct fmi_challenge *c, const struct fmi_challenge_key *key, const uint8_t *body,
                size_t n, struct answers *other, int how)
{
    struct fmi_challenge_frame out;
    if (is_right_answer(body, n, how)) {
        body = other->last.bytes;
        n = other->last.n;
    }
    int rc = fmi_challenge_take(c, key, body, n, &out);
    FUZZ_EXPECT(rc == 0 || rc == 1 || rc == FM_EAUTH || rc == FM_EFORMAT);
    FUZZ_EXPECT(out.n <= 59);
    FUZZ_EXPECT(rc >= 0 || out.n == 0 ||
                (rc == FM_EAUTH && out.n == 9 && memcmp(out.bytes, "#FAILURE#", 9) == 0));
    if (rc == 0 && out.n > 0)
        (void)fmi_challenge_take(&other->c, key, out.bytes, out.n, &other->last);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fmi_challenge c;
    struct answers other;
    struct fmi_challenge_frame first;
    if (n < 1)
        return 0;
    const int how = data[0], is_client = how & 1;
    const struct fmi_challenge_key key = {(const uint8_t *)secret, 4, (how & 2) != 0};
    FUZZ_EXPECT(fmi_challenge_begin(&c, &key,
                                    is_client ? FMI_CHALLENGE_CLIENT : FMI_CHALLENGE_LISTENER,
                                    &first) == 0);
    FUZZ_EXPECT(fmi_challenge_begin(&other.c, &key,
                                    is_client ? FMI_CHALLENGE_LISTENER : FMI_CHALLENGE_CLIENT,
                                    &other.last) == 0);
    if (!is_client)
        FUZZ_EXPECT(fmi_challenge_take(&other.c, &key, first.bytes, first.n, &other.last) == 0);
    data++, n--;
    int is_known = 0; /* a right answer has come */
    for (int rc = 0; rc == 0;) {
        uint64_t length = 0;
        uint32_t header = read_header(data, n, (uint32_t)how >> 4, &length, &rc);
        if (header == 0 || rc != 0)
            return 0;
        check_writing(length);
        data += header, n -= header;
        if (length > FMI_CHALLENGE_FRAME || length > n)
            return 0;
        is_known |= is_right_answer(data, length, how);
        rc = step(&c, &key, data, length, &other, how);
        FUZZ_EXPECT(rc != 1 || is_known); /* nobody gets in without one */
        data += length, n -= length;
    }
    return 0;
}
