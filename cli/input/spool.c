/* SPDX-License-Identifier: MIT */
/* Input that is kept in memory. */
#include "spool.h"

#include "say.h"
#include "units.h"

#include <errno.h>
#include <forkmap/forkmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { COPY_BYTES = 1 << 20 };
#define STEP_BYTES ((uint64_t)32 << 20) /* between two looks at the memory that is left */

int fmc_spool_open(struct fmc_spool *s, const char *path)
{
    *s = (struct fmc_spool){.path = path, .fd = memfd_create("forkmap-input", MFD_CLOEXEC)};
    if (s->fd >= 0)
        return FMC_DONE;
    return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: no memory file: %s", path, strerror(errno));
}

static int refuse(const struct fmc_spool *s, const char *limit)
{
    char size[24];
    fmc_units_bytes(size, sizeof size, (int64_t)s->bytes);
    return fmc_say_error(
        FMC_ENVIRONMENT, "write it uncompressed to a file, and name that as the INPUT",
        "%s: %s were unpacked or read, there is more, and %s", s->path, size, limit);
}

/* The kernel would send SIGXFSZ, or kill some process for its memory. */
static int check_room(struct fmc_spool *s, size_t more)
{
    struct rlimit limit;
    char text[64], left[24];
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && s->bytes + more > limit.rlim_cur)
        return refuse(s, "files may not be larger here (ulimit -f)");
    if (s->bytes + more <= s->checked_bytes)
        return FMC_DONE;
    const int64_t bytes_left = fm_memory_left();
    if (bytes_left < (int64_t)(2 * STEP_BYTES)) {
        fmc_units_bytes(left, sizeof left, bytes_left);
        snprintf(text, sizeof text, "only %s of memory are left", left);
        return refuse(s, text);
    }
    s->checked_bytes = s->bytes + STEP_BYTES;
    return FMC_DONE;
}

int fmc_spool_write(struct fmc_spool *s, const void *data, size_t bytes)
{
    const char *p = data;
    const int rc = check_room(s, bytes);
    if (rc != FMC_DONE)
        return rc;
    while (bytes > 0) {
        const ssize_t n = write(s->fd, p, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return refuse(s, strerror(errno));
        p += n;
        bytes -= (size_t)n;
        s->bytes += (uint64_t)n;
    }
    return FMC_DONE;
}

int fmc_spool_copy(struct fmc_spool *s, int fd)
{
    char *block = malloc(COPY_BYTES);
    int rc = FMC_DONE;
    if (block == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: no memory to read it", s->path);
    while (rc == FMC_DONE) {
        const ssize_t n = read(fd, block, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: %s", s->path, strerror(errno));
        else if (n == 0)
            break;
        else
            rc = fmc_spool_write(s, block, (size_t)n);
    }
    free(block);
    return rc;
}

void fmc_spool_close(struct fmc_spool *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
