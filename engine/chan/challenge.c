/* SPDX-License-Identifier: MIT */
/* The exchange by which both sides show their key; see challenge.h. The only file that uses nettle. */
#include "challenge.h"

#include "error.h"

#include <errno.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <string.h>
#include <sys/random.h>

enum { WANT_RESPONSE = 1, WANT_CHALLENGE, WANT_WELCOME, OVER };
enum { RANDOM_BYTES = 24, TAG_BYTES = FMI_CHALLENGE_NONCE - RANDOM_BYTES, OLD_MESSAGE_BYTES = 20 };

#define CHALLENGE "#CHALLENGE#"
#define WELCOME   "#WELCOME#"
#define FAILURE   "#FAILURE#"
#define TEXT(s)   (s), (sizeof(s) - 1)

static const char client_label[] = "forkmap: a client's challenge";

/* ---- codes of messages ----------------------------------------------------------------------------- */

enum digest { MD5, SHA256, N_DIGESTS };
static const struct {
    const char *prefix;
    size_t prefix_bytes, bytes;
} digests[N_DIGESTS] = {
    [MD5] = {TEXT("{md5}"), MD5_DIGEST_SIZE}, [SHA256] = {TEXT("{sha256}"), SHA256_DIGEST_SIZE}};

/* Of two parts. */
static void mac_md5(const struct fmi_challenge_key *key, const void *a, size_t a_bytes,
                    uint8_t out[MD5_DIGEST_SIZE])
{
    struct hmac_md5_ctx context;
    hmac_md5_set_key(&context, key->n, key->bytes);
    hmac_md5_update(&context, a_bytes, a);
    hmac_md5_digest(&context, MD5_DIGEST_SIZE, out);
    explicit_bzero(&context, sizeof context);
}

static void mac_sha256(const struct fmi_challenge_key *key, const void *a, size_t a_bytes,
                       const void *b, size_t b_bytes, uint8_t out[SHA256_DIGEST_SIZE])
{
    struct hmac_sha256_ctx context;
    hmac_sha256_set_key(&context, key->n, key->bytes);
    hmac_sha256_update(&context, a_bytes, a);
    hmac_sha256_update(&context, b_bytes, b);
    hmac_sha256_digest(&context, SHA256_DIGEST_SIZE, out);
    explicit_bzero(&context, sizeof context);
}

static void mac(const struct fmi_challenge_key *key, enum digest digest, const uint8_t *message,
                size_t n, uint8_t out[SHA256_DIGEST_SIZE])
{
    if (digest == MD5)
        mac_md5(key, message, n, out);
    else
        mac_sha256(key, message, n, NULL, 0, out);
}

/* The digest that a message's braces name; N_DIGESTS: none of ours. */
static enum digest find_digest(const uint8_t *message, size_t n)
{
    enum digest d = MD5;
    while (d < N_DIGESTS && (n < digests[d].prefix_bytes ||
                             memcmp(message, digests[d].prefix, digests[d].prefix_bytes) != 0))
        d++;
    return d;
}

static int is_text(const uint8_t *frame, size_t n, const char *text, size_t text_bytes)
{
    return n == text_bytes && memcmp(frame, text, n) == 0;
}

static void put(struct fmi_challenge_frame *out, const void *bytes, size_t n)
{
    memcpy(out->bytes + out->n, bytes, n); /* 59 at most */
    out->n += (uint32_t)n;
}

/* ---- challenges ------------------------------------------------------------------------------------ */

static void tag(const struct fmi_challenge_key *key, const uint8_t *random, uint8_t out[TAG_BYTES])
{
    uint8_t whole[SHA256_DIGEST_SIZE];
    mac_sha256(key, TEXT(client_label), random, RANDOM_BYTES, whole);
    memcpy(out, whole, TAG_BYTES);
}

static int make_challenge(struct fmi_challenge *c, const struct fmi_challenge_key *key,
                          struct fmi_challenge_frame *out)
{
    uint8_t *nonce = c->message + FMI_CHALLENGE_PREFIX;
    memcpy(c->message, digests[SHA256].prefix, FMI_CHALLENGE_PREFIX);
    if (getrandom(nonce, FMI_CHALLENGE_NONCE, 0) != FMI_CHALLENGE_NONCE)
        return fmi_error(-errno, "getrandom: %s", fm_strerror(-errno));
    if (c->role == FMI_CHALLENGE_CLIENT)
        tag(key, nonce, nonce + RANDOM_BYTES);
    put(out, TEXT(CHALLENGE));
    put(out, c->message, FMI_CHALLENGE_MESSAGE);
    c->state = WANT_RESPONSE;
    return 0;
}

/* 1: this side has asked that itself, or a client of this key has. */
static int is_reflected(const struct fmi_challenge *c, const struct fmi_challenge_key *key,
                        const uint8_t *message, size_t n)
{
    uint8_t expected[TAG_BYTES];
    if (n != FMI_CHALLENGE_MESSAGE)
        return 0;
    if (memcmp(message, c->message, n) == 0)
        return 1;
    if (c->role != FMI_CHALLENGE_CLIENT)
        return 0; /* a client's challenge is what it is to answer */
    const uint8_t *nonce = message + FMI_CHALLENGE_PREFIX;
    tag(key, nonce, expected);
    return memeql_sec(expected, nonce + RANDOM_BYTES, TAG_BYTES);
}

/* ---- steps ----------------------------------------------------------------------------------------- */

static int take_challenge(struct fmi_challenge *c, const struct fmi_challenge_key *key,
                          const uint8_t *frame, size_t n, struct fmi_challenge_frame *out)
{
    const size_t word = sizeof CHALLENGE - 1;
    uint8_t response[SHA256_DIGEST_SIZE];
    if (n < word + OLD_MESSAGE_BYTES || memcmp(frame, CHALLENGE, word) != 0)
        return fmi_error(FM_EFORMAT, "the peer sent no challenge: it has no key, or speaks "
                                     "another protocol");
    const uint8_t *message = frame + word;
    n -= word;
    int is_old = n == OLD_MESSAGE_BYTES;
    enum digest d = is_old ? MD5 : find_digest(message, n);
    if (d == N_DIGESTS)
        return fmi_error(FM_EFORMAT, "the peer's challenge asks for none of md5 and sha256");
    if (d == MD5 && key->refuses_md5)
        return fmi_error(FM_EAUTH, "the peer asks for MD5, which is refused here");
    if (is_reflected(c, key, message, n))
        return fmi_error(FM_EAUTH, "the peer sent a client's own challenge back");
    mac(key, d, message, n, response);
    if (!is_old)
        put(out, digests[d].prefix, digests[d].prefix_bytes);
    put(out, response, digests[d].bytes);
    c->state = WANT_WELCOME;
    return 0;
}

static int is_right(const struct fmi_challenge *c, const struct fmi_challenge_key *key,
                    const uint8_t *frame, size_t n)
{
    uint8_t expected[SHA256_DIGEST_SIZE];
    enum digest d = n == MD5_DIGEST_SIZE ? MD5 : find_digest(frame, n);
    if (d == N_DIGESTS || (d == MD5 && key->refuses_md5))
        return 0;
    size_t prefix = n == MD5_DIGEST_SIZE ? 0 : digests[d].prefix_bytes;
    if (n - prefix != digests[d].bytes)
        return 0;
    mac(key, d, c->message, FMI_CHALLENGE_MESSAGE, expected);
    int is_same = memeql_sec(expected, frame + prefix, digests[d].bytes);
    explicit_bzero(expected, sizeof expected);
    return is_same;
}

static int take_response(struct fmi_challenge *c, const struct fmi_challenge_key *key,
                         const uint8_t *frame, size_t n, struct fmi_challenge_frame *out)
{
    if (!is_right(c, key, frame, n)) {
        put(out, TEXT(FAILURE));
        return fmi_error(FM_EAUTH, "the peer has another key");
    }
    put(out, TEXT(WELCOME));
    c->state = c->role == FMI_CHALLENGE_LISTENER ? WANT_CHALLENGE : OVER;
    return c->state == OVER;
}

static int take_welcome(struct fmi_challenge *c, const struct fmi_challenge_key *key,
                        const uint8_t *frame, size_t n, struct fmi_challenge_frame *out)
{
    if (is_text(frame, n, TEXT(FAILURE)))
        return fmi_error(FM_EAUTH, "the peer refused this key");
    if (!is_text(frame, n, TEXT(WELCOME)))
        return fmi_error(FM_EFORMAT, "the peer said neither yes nor no to the key");
    if (c->role == FMI_CHALLENGE_CLIENT)
        return make_challenge(c, key, out);
    c->state = OVER;
    return 1;
}

int fmi_challenge_begin(struct fmi_challenge *c, const struct fmi_challenge_key *key, int role,
                        struct fmi_challenge_frame *out)
{
    *c = (struct fmi_challenge){.role = (uint32_t)role, .state = WANT_CHALLENGE};
    out->n = 0;
    return role == FMI_CHALLENGE_LISTENER ? make_challenge(c, key, out) : 0;
}

int fmi_challenge_take(struct fmi_challenge *c, const struct fmi_challenge_key *key,
                       const uint8_t *frame, size_t n, struct fmi_challenge_frame *out)
{
    int rc = FM_EFORMAT;
    out->n = 0;
    switch (c->state) {
    case WANT_RESPONSE:
        rc = take_response(c, key, frame, n, out);
        break;
    case WANT_CHALLENGE:
        rc = take_challenge(c, key, frame, n, out);
        break;
    case WANT_WELCOME:
        rc = take_welcome(c, key, frame, n, out);
        break;
    default:
        break;
    }
    if (rc < 0)
        c->state = OVER;
    return rc;
}
