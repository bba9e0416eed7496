/* SPDX-License-Identifier: MIT */
/* From the path of an input to a regular file of a known kind. */
#include "source.h"

#include "say.h"
#include "spool.h"
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAGIC_BYTES = 512 };
enum { MAX_LAYERS = 2 }; /* packed twice happens, more often is a riddle */

static int is_stdin(const char *path)
{
    return strcmp(path, "-") == 0 || strcmp(path, "/dev/stdin") == 0;
}

/* A descriptor has a name, too. */
static void name_fd(struct fmc_source *s)
{
    snprintf(s->fd_path, sizeof s->fd_path, "/proc/self/fd/%d", s->fd);
    s->opened = s->fd_path;
}

/* From here on the spooled bytes are the source. */
static void take_spool(struct fmc_source *s, struct fmc_spool *spool)
{
    close(s->fd);
    s->fd = spool->fd;
    spool->fd = -1;
    s->is_spooled = 1;
    lseek(s->fd, 0, SEEK_SET);
    name_fd(s);
}

/* Reads a pipe to its end, or unpacks. */
static int spool(struct fmc_source *s, int packing)
{
    struct fmc_spool to;
    int rc = fmc_spool_open(&to, s->path);
    if (packing != FMC_PACKING_NONE)
        lseek(s->fd, 0, SEEK_SET); /* the standard input may have been read from */
    if (rc == FMC_DONE)
        rc = packing == FMC_PACKING_NONE ? fmc_spool_copy(&to, s->fd)
                                         : fmc_unpack(s->fd, packing, &to);
    if (rc == FMC_DONE)
        take_spool(s, &to);
    fmc_spool_close(&to);
    return rc;
}

static int open_file(struct fmc_source *s, const char *path, const char *missing_remedy)
{
    s->fd = is_stdin(path) ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                           : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (s->fd >= 0 && is_stdin(path))
        name_fd(s);
    if (s->fd >= 0)
        return FMC_DONE;
    return fmc_say_error(FMC_ENVIRONMENT, errno == ENOENT ? missing_remedy : NULL, "%s: %s",
                         s->path, strerror(errno));
}

static int has_name(const char *path, const char *ending)
{
    const size_t n = strlen(path), m = strlen(ending);
    return n > m && strcasecmp(path + n - m, ending) == 0;
}

/* What the name without .gz or .zst says. */
static int kind_of_name(const char *path)
{
    static const struct {
        const char *ending;
        int kind;
    } endings[] = {{".csv", FMC_KIND_CSV},
                   {".tsv", FMC_KIND_CSV},
                   {".npy", FMC_KIND_NPY},
                   {".h5", FMC_KIND_HDF5},
                   {".hdf5", FMC_KIND_HDF5}};
    char bare[4096];
    const char *dot = fmc_unpack_expect(path) != FMC_PACKING_NONE ? strrchr(path, '.') : NULL;
    snprintf(bare, sizeof bare, "%.*s", dot != NULL ? (int)(dot - path) : 4095, path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++)
        if (has_name(bare, endings[i].ending))
            return endings[i].kind;
    return FMC_KIND_OTHER;
}

static int kind_of(const struct fmc_source *s, const unsigned char *magic, size_t n)
{
    if (n >= 6 && memcmp(magic, "\x93NUMPY", 6) == 0)
        return FMC_KIND_NPY;
    if (n >= 8 && memcmp(magic, "\x89HDF\r\n\x1a\n", 8) == 0)
        return FMC_KIND_HDF5;
    if (n >= 4 && memcmp(magic, "PK\x03\x04", 4) == 0)
        return FMC_KIND_ZIP;
    if (s->is_nameless && n > 0 && memchr(magic, '\0', n) == NULL)
        return FMC_KIND_CSV; /* it is text */
    return kind_of_name(s->path);
}

/* Looks at the first bytes, and unpacks as long as they say that it is packed. */
static int look_inside(struct fmc_source *s, int is_raw)
{
    unsigned char magic[MAGIC_BYTES];
    const int named = fmc_unpack_expect(s->path);
    for (int layer = 0;; layer++) {
        const ssize_t n = pread(s->fd, magic, sizeof magic, 0);
        const int packing = n > 0 ? fmc_unpack_recognise(magic, (size_t)n) : FMC_PACKING_NONE;
        const int is_packed =
            packing != FMC_PACKING_NONE && (!is_raw || (layer == 0 && packing == named));
        if (n < 0)
            return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: %s", s->path, strerror(errno));
        if (layer == 0 && !is_packed && named != FMC_PACKING_NONE)
            return fmc_say_error(FMC_ENVIRONMENT, "rename it if it is not compressed",
                                 "%s: offset 0: no %s data, in spite of its name", s->path,
                                 named == FMC_PACKING_GZIP ? "gzip" : "zstd");
        if (n == 0 && s->is_spooled && !is_raw)
            return fmc_say_error(
                FMC_ENVIRONMENT, "was it written to its end?",
                layer > 0 ? "%s: it unpacks to nothing" : "%s: nothing comes from it", s->path);
        s->kind = kind_of(s, magic, (size_t)n);
        if (!is_packed)
            return FMC_DONE;
        if (layer == MAX_LAYERS)
            return fmc_say_error(FMC_ENVIRONMENT, "unpack it first",
                                 "%s: compressed more than %d times", s->path, MAX_LAYERS);
        const int rc = spool(s, packing);
        if (rc != FMC_DONE)
            return rc;
    }
}

int fmc_source_open(struct fmc_source *s, const char *path, int is_raw, const char *missing_remedy)
{
    struct stat st;
    *s = (struct fmc_source){.path = path, .opened = path, .fd = -1, .kind = FMC_KIND_OTHER};
    int rc = open_file(s, path, missing_remedy);
    if (rc == FMC_DONE && fstat(s->fd, &st) != 0)
        rc = fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: %s", path, strerror(errno));
    if (rc != FMC_DONE)
        return rc;
    s->is_nameless = is_stdin(path) || !S_ISREG(st.st_mode);
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        rc = spool(s, FMC_PACKING_NONE);
    else if (!S_ISREG(st.st_mode)) /* who reads it says what it is */
        return FMC_DONE;
    return rc == FMC_DONE ? look_inside(s, is_raw) : rc;
}

void fmc_source_close(struct fmc_source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
