/* SPDX-License-Identifier: MIT */
/* Unpacks by zlib and libzstd. Corruption is an error at the offset in the compressed file where it showed. */
#include "unpack.h"

#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { IN_BYTES = 256 << 10, OUT_BYTES = 1 << 20 };
enum { GZIP_WINDOW = 15 + 16 }; /* zlib: the largest window, with a gzip header */
enum { ZSTD_WINDOW_LOG = 31 };  /* what `zstd --long=31` writes */

struct unpack {
    struct fmc_spool *to;
    int fd;
    const char *kind;        /* "gzip" */
    unsigned char *in, *out; /* one block each */
    size_t n_in;             /* bytes in the block */
    uint64_t offset;         /* of its begin in the file */
};

int fmc_unpack_recognise(const unsigned char *magic, size_t n)
{
    if (n >= 3 && memcmp(magic, "\x1f\x8b\x08", 3) == 0)
        return FMC_PACKING_GZIP;
    if (n >= 4 && memcmp(magic, "\x28\xb5\x2f\xfd", 4) == 0)
        return FMC_PACKING_ZSTD;
    if (n >= 4 && magic[0] >= 0x50 && magic[0] <= 0x5f && memcmp(magic + 1, "\x2a\x4d\x18", 3) == 0)
        return FMC_PACKING_ZSTD; /* a skippable frame, as pzstd writes it first */
    return FMC_PACKING_NONE;
}

int fmc_unpack_expect(const char *name)
{
    const char *dot = strrchr(name, '.');
    if (dot != NULL && strcmp(dot, ".gz") == 0)
        return FMC_PACKING_GZIP;
    if (dot != NULL && (strcmp(dot, ".zst") == 0 || strcmp(dot, ".zstd") == 0))
        return FMC_PACKING_ZSTD;
    return FMC_PACKING_NONE;
}

static int fail(const struct unpack *u, size_t at, const char *reason)
{
    return fmc_say_error(FMC_ENVIRONMENT, "the file is damaged: fetch or compress it again",
                         "%s: offset %" PRIu64 ": %s data: %s", u->to->path, u->offset + at,
                         u->kind, reason);
}

/* The next block, none at the end of the file. */
static int read_block(struct unpack *u)
{
    ssize_t n;
    u->offset += u->n_in;
    do {
        n = read(u->fd, u->in, IN_BYTES);
    } while (n < 0 && errno == EINTR);
    u->n_in = n > 0 ? (size_t)n : 0;
    if (n >= 0)
        return FMC_DONE;
    return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: %s", u->to->path, strerror(errno));
}

/* gzip(1) passes over zeros behind the last member: tapes pad with them. */
static int is_padding(const z_stream *z)
{
    for (uInt i = 0; i < z->avail_in; i++)
        if (z->next_in[i] != 0)
            return 0;
    return 1;
}

static size_t position(const struct unpack *u, const z_stream *z)
{
    return u->n_in - z->avail_in;
}

/* Unpacks what is in the block. *inside: a member has begun and not ended. */
static int inflate_block(struct unpack *u, z_stream *z, int *inside)
{
    int code = Z_OK;
    do {
        if (!*inside && is_padding(z))
            return FMC_DONE;
        z->next_out = u->out;
        z->avail_out = OUT_BYTES;
        *inside = 1;
        code = inflate(z, Z_NO_FLUSH);
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
            return fail(u, position(u, z), z->msg != NULL ? z->msg : zError(code));
        const int rc = fmc_spool_write(u->to, u->out, OUT_BYTES - z->avail_out);
        if (rc != FMC_DONE)
            return rc;
        if (code == Z_STREAM_END) {
            *inside = 0;
            inflateReset(z);
        }
    } while (z->avail_in > 0 || z->avail_out == 0);
    return FMC_DONE;
}

static int unpack_gzip(struct unpack *u)
{
    z_stream z = {0};
    int inside = 0, rc = FMC_DONE;
    if (inflateInit2(&z, GZIP_WINDOW) != Z_OK)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: no memory to unpack it", u->to->path);
    while (rc == FMC_DONE) {
        rc = read_block(u);
        if (rc != FMC_DONE || u->n_in == 0)
            break;
        z.next_in = u->in;
        z.avail_in = (uInt)u->n_in;
        rc = inflate_block(u, &z, &inside);
    }
    inflateEnd(&z);
    return rc == FMC_DONE && inside ? fail(u, 0, "it ends in the middle; truncated?") : rc;
}

static int unpack_zstd(struct unpack *u)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    size_t left = 0; /* not 0: a frame has begun and not ended */
    int rc = FMC_DONE;
    if (z == NULL || ZSTD_isError(ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
        rc = fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: no memory to unpack it", u->to->path);
    while (rc == FMC_DONE) {
        rc = read_block(u);
        if (rc != FMC_DONE || u->n_in == 0)
            break;
        ZSTD_inBuffer in = {.src = u->in, .size = u->n_in};
        ZSTD_outBuffer out;
        do {
            out = (ZSTD_outBuffer){.dst = u->out, .size = OUT_BYTES};
            left = ZSTD_decompressStream(z, &out, &in);
            rc = ZSTD_isError(left) ? fail(u, in.pos, ZSTD_getErrorName(left))
                                    : fmc_spool_write(u->to, u->out, out.pos);
        } while (rc == FMC_DONE && (in.pos < in.size || (left != 0 && out.pos == out.size)));
    }
    ZSTD_freeDStream(z);
    return rc == FMC_DONE && left != 0 ? fail(u, 0, "it ends in the middle; truncated?") : rc;
}

int fmc_unpack(int fd, int packing, struct fmc_spool *to)
{
    struct unpack u = {.to = to, .fd = fd, .kind = packing == FMC_PACKING_GZIP ? "gzip" : "zstd"};
    u.in = malloc(IN_BYTES);
    u.out = malloc(OUT_BYTES);
    int rc = FMC_ENVIRONMENT;
    if (u.in == NULL || u.out == NULL)
        fmc_say_error(rc, NULL, "%s: no memory to unpack it", to->path);
    else
        rc = packing == FMC_PACKING_GZIP ? unpack_gzip(&u) : unpack_zstd(&u);
    free(u.in);
    free(u.out);
    return rc;
}
