/* SPDX-License-Identifier: MIT */
/*
 * The side of interop.py that is in C.
 *
 *     peer listen ADDRESS KEY            prints its address, accepts one connection, sends back all that it receives until the other side is gone
 *     peer connect ADDRESS KEY BYTES...  sends messages of so many bytes, and expects each back
 *     peer take ADDRESS KEY              as listen, for one long message: answers with its length and the sum of its 8-byte words, then sends it back
 *
 * Ends with a line on stdout: OK, or the name of the code.
 */
#include <errno.h>
#include <forkmap/forkmap.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PATIENCE FM_SECONDS(60)

/* The next message, whatever its length: the first try tells it. Long ones lie on huge pages: it takes minutes to fault in a million small ones. */
static int receive(fm_conn *c, uint8_t **buf, size_t *bytes)
{
    const size_t huge = 2 << 20;
    *buf = NULL;
    int rc = fm_conn_recv_timed(c, NULL, 0, bytes, PATIENCE);
    if (rc != FM_ETOOLONG)
        return rc;
    *buf = aligned_alloc(huge, (*bytes + huge - 1) / huge * huge);
    if (*buf != NULL && *bytes >= huge)
        (void)madvise(*buf, *bytes, MADV_HUGEPAGE);
    return *buf == NULL ? -ENOMEM : fm_conn_recv_timed(c, *buf, *bytes, bytes, PATIENCE);
}

static int echo(fm_conn *c)
{
    for (;;) {
        uint8_t *buf;
        size_t bytes;
        int rc = receive(c, &buf, &bytes);
        if (rc == 0)
            rc = fm_conn_send(c, buf, bytes);
        free(buf);
        if (rc != 0)
            return rc == FM_ECLOSED ? 0 : rc;
    }
}

static int take(fm_conn *c)
{
    uint8_t *buf;
    size_t bytes;
    uint64_t said[2] = {0}, word;
    int rc = receive(c, &buf, &bytes);
    if (rc == 0) {
        said[0] = bytes;
        for (size_t i = 0; i + sizeof word <= bytes; i += sizeof word) {
            memcpy(&word, buf + i, sizeof word);
            said[1] += word;
        }
        rc = fm_conn_send(c, said, sizeof said);
    }
    if (rc == 0)
        rc = fm_conn_send(c, buf, bytes);
    free(buf);
    return rc;
}

static int serve(const char *address, const char *key, int (*how)(fm_conn *c))
{
    FM_AUTO(fm_listener) l = NULL;
    FM_AUTO(fm_conn) c = NULL;
    int rc = fm_listener_open(&l, address, key, strlen(key), NULL);
    if (rc != 0)
        return rc;
    printf("%s\n", fm_listener_address(l));
    fflush(stdout);
    rc = fm_listener_accept(l, PATIENCE, &c);
    return rc != 0 ? rc : how(c);
}

static int send_and_expect(fm_conn *c, size_t n)
{
    uint8_t *out = malloc(n + 1), *back = NULL;
    size_t bytes = 0;
    int rc = out == NULL ? -ENOMEM : 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        out[i] = (uint8_t)(i * 31 + (i >> 9));
    if (rc == 0)
        rc = fm_conn_send(c, out, n);
    if (rc == 0)
        rc = receive(c, &back, &bytes);
    if (rc == 0 && (bytes != n || (n > 0 && memcmp(out, back, n) != 0)))
        rc = -EBADMSG;
    free(back);
    free(out);
    return rc;
}

static int ask(const char *address, const char *key, char **sizes)
{
    FM_AUTO(fm_conn) c = NULL;
    int rc = fm_connect(address, key, strlen(key), NULL, &c);
    for (; rc == 0 && *sizes != NULL; sizes++)
        rc = send_and_expect(c, strtoull(*sizes, NULL, 10));
    return rc;
}

int main(int argc, char **argv)
{
    int rc = -EINVAL;
    if (argc >= 4 && strcmp(argv[1], "listen") == 0)
        rc = serve(argv[2], argv[3], echo);
    else if (argc >= 4 && strcmp(argv[1], "take") == 0)
        rc = serve(argv[2], argv[3], take);
    else if (argc >= 4 && strcmp(argv[1], "connect") == 0)
        rc = ask(argv[2], argv[3], argv + 4);
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_strerror(rc), fm_error_detail());
    printf("%s\n", fm_errname(rc));
    return 0;
}
