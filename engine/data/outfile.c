/* SPDX-License-Identifier: MIT */
/* Files that appear whole or not at all. */
#include "outfile.h"
#include "error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { RESERVE_BYTES = 64 << 20 }; /* in one call: a signal then costs little that was reserved */
enum { WRITE_BYTES = 1 << 30 };    /* Linux moves at most 2^31 - 4096 bytes in one call */

static int fail(const struct fmi_outfile *o, int error, const char *what)
{
    return fmi_error(-error, "%s: %s: %s", o->path, what, fm_strerror(-error));
}

static int fail_forked(const struct fmi_outfile *o)
{
    return fmi_error(FM_EFORKED, "%s was opened by process %d", o->path, (int)o->owner);
}

/* /dev/stdout and the like: the descriptor itself, since opening the path would begin at offset 0. */
static int parse_descriptor(const char *path, int *fd)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/stderr") == 0) {
        *fd = path[8] == 'o' ? STDOUT_FILENO : STDERR_FILENO;
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        size_t n = strlen(folders[i]);
        const char *digits = path + n;
        if (strncmp(path, folders[i], n) == 0 && *digits != '\0' && strlen(digits) < 9 &&
            digits[strspn(digits, "0123456789")] == '\0') {
            *fd = (int)strtol(digits, NULL, 10);
            return 1;
        }
    }
    return 0;
}

static int open_direct(struct fmi_outfile *o, const char *path, int from_fd)
{
    o->fd = from_fd >= 0 ? fcntl(from_fd, F_DUPFD_CLOEXEC, 3)
                         : open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return o->fd < 0 ? fail(o, errno, "open") : 0;
}

/* Splits into folder and name. The folder is kept open: it stays the same one whatever is renamed. */
static int open_folder(struct fmi_outfile *o, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (*name == '\0')
        return fail(o, *path == '\0' ? ENOENT : EISDIR, "open");
    char *folder = slash == NULL   ? strdup(".")
                   : slash == path ? strdup("/")
                                   : strndup(path, (size_t)(slash - path));
    o->name = strdup(name);
    if (folder == NULL || o->name == NULL) {
        free(folder);
        return fail(o, ENOMEM, "open");
    }
    o->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (o->folder_fd < 0) /* a folder that may be entered but not listed */
        o->folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int error = errno;
    free(folder);
    return o->folder_fd < 0 ? fail(o, error, "open its folder") : 0;
}

static void pick_name(struct fmi_outfile *o)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != sizeof number)
        number =
            (uint64_t)getpid() << 32 ^ (uint64_t)(uintptr_t)o; /* taken names are tried again */
    snprintf(o->temp, sizeof o->temp, ".forkmap-%016" PRIx64, number);
}

static int open_named(struct fmi_outfile *o)
{
    for (int i = 0; i < 100; i++) {
        pick_name(o);
        o->fd =
            openat(o->folder_fd, o->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (o->fd >= 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    o->temp[0] = '\0';
    return fail(o, errno, "make a file beside it");
}

/* A file without a name needs /proc to be given one later; without it, it gets one at once. */
static int open_unfinished(struct fmi_outfile *o, unsigned flags)
{
    o->temp[0] = '\0';
    if (!(flags & FMI_OUTFILE_NAMED) && access("/proc/self/fd", X_OK) == 0)
        o->fd = openat(o->folder_fd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0666);
    return o->fd >= 0 ? 0 : open_named(o);
}

static int fail_full(const struct fmi_outfile *o, uint64_t free)
{
    if (free == UINT64_MAX)
        return fmi_error(-ENOSPC, "%s: %zu bytes needed, and there is no room", o->path, o->bytes);
    return fmi_error(-ENOSPC, "%s: %zu bytes needed, %" PRIu64 " free", o->path, o->bytes, free);
}

/* Bytes that this user may still take on the file system; UINT64_MAX: it does not tell. */
static uint64_t free_bytes(const struct fmi_outfile *o)
{
    struct statvfs fs;
    if (fstatvfs(o->fd, &fs) != 0 || fs.f_blocks == 0) /* a tmpfs without a limit has no blocks */
        return UINT64_MAX;
    return (uint64_t)(geteuid() == 0 ? fs.f_bfree : fs.f_bavail) *
           fs.f_frsize; /* root may take the rest */
}

/* What cannot be there is refused before anything is taken: others would find the disk full meanwhile. */
static int check_room(const struct fmi_outfile *o)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && o->bytes > limit.rlim_cur)
        return fmi_error(-EFBIG, "%s: %zu bytes, but files may have %" PRIu64 " (ulimit -f)",
                         o->path, o->bytes,
                         (uint64_t)limit.rlim_cur); /* the kernel would send SIGXFSZ */
    if (o->bytes > INT64_MAX)
        return fail(o, EFBIG, "reserve");
    return o->bytes > free_bytes(o) ? fail_full(o, free_bytes(o)) : 0;
}

static int reserve(struct fmi_outfile *o)
{
    int code = check_room(o);
    if (code != 0)
        return code;
    for (size_t at = 0; at < o->bytes;) {
        size_t n = o->bytes - at < RESERVE_BYTES ? o->bytes - at : RESERVE_BYTES;
        int error = posix_fallocate(o->fd, (off_t)at, (off_t)n);
        if (error == ENOSPC)
            return fail_full(o, free_bytes(o) == UINT64_MAX ? UINT64_MAX : free_bytes(o) + at);
        if (error != 0 && error != EINTR)
            return fail(o, error, "reserve space");
        if (error == 0)
            at += n;
    }
    return 0;
}

static int open_beside(struct fmi_outfile *o, const char *path, const struct stat *target,
                       unsigned flags)
{
    int code = open_folder(o, path);
    if (code == 0)
        code = open_unfinished(o, flags);
    if (code == 0 && target != NULL && fchmod(o->fd, target->st_mode & 0777) != 0)
        code = fail(o, errno, "keep its permissions");
    return code == 0 ? reserve(o) : code;
}

static int open_target(struct fmi_outfile *o, unsigned flags)
{
    struct stat st;
    int fd;
    if (parse_descriptor(o->path, &fd))
        return open_direct(o, o->path, fd);
    if (stat(o->path, &st) != 0)
        return open_beside(o, o->path, NULL, flags);
    if (S_ISDIR(st.st_mode))
        return fail(o, EISDIR, "open");
    if (!S_ISREG(st.st_mode))
        return open_direct(o, o->path, -1);
    /* Renaming over a file needs no right to write it; replacing a read-only file would surprise. */
    if (faccessat(AT_FDCWD, o->path, W_OK, AT_EACCESS) != 0)
        return fail(o, errno, "write");
    char *real = realpath(o->path, NULL);
    if (real == NULL)
        return fail(o, errno, "follow its links");
    int code = open_beside(o, real, &st, flags);
    free(real);
    return code;
}

/* The link that a name-to-be goes through is made under a temporary name: link() never replaces. */
static int give_temp_name(struct fmi_outfile *o)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", o->fd);
    for (int i = 0; i < 100; i++) {
        pick_name(o);
        if (linkat(AT_FDCWD, self, o->folder_fd, o->temp, AT_SYMLINK_FOLLOW) == 0)
            return 0;
        if (errno != EEXIST)
            break;
    }
    o->temp[0] = '\0';
    return fail(o, errno, "name the finished file");
}

static void close_all(struct fmi_outfile *o)
{
    if (o->fd >= 0)
        close(o->fd);
    if (o->folder_fd >= 0)
        close(o->folder_fd);
    free(o->name);
    free(o->path);
    *o = (struct fmi_outfile){.fd = -1, .folder_fd = -1};
}

int fmi_outfile_open(struct fmi_outfile *o, const char *path, size_t bytes, unsigned flags)
{
    *o = (struct fmi_outfile){.fd = -1, .folder_fd = -1, .bytes = bytes, .owner = getpid()};
    o->is_new = (flags & FMI_OUTFILE_NEW) != 0;
    if (path == NULL)
        return fmi_error(-EINVAL, "path is NULL");
    o->path = strdup(path);
    if (o->path == NULL)
        return fmi_error(-ENOMEM, "%s: no memory", path);
    int code = open_target(o, flags);
    if (code != 0)
        fmi_outfile_abandon(o);
    return code;
}

int fmi_outfile_write(struct fmi_outfile *o, const void *data, size_t bytes)
{
    const char *p = data;
    if (o->owner != getpid()) /* its offset is shared with the parent's */
        return fail_forked(o);
    while (bytes > 0) {
        ssize_t n = write(o->fd, p, bytes < WRITE_BYTES ? bytes : WRITE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(o, errno, "write");
        p += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int fmi_outfile_write_at(struct fmi_outfile *o, const void *data, size_t bytes, uint64_t at)
{
    const char *p = data;
    if (o->owner != getpid())
        return fail_forked(o);
    while (bytes > 0) {
        ssize_t n = pwrite(o->fd, p, bytes, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(o, errno, "write");
        p += n;
        at += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* rename() replaces, link() does not. A file with a temporary name loses that one when it is abandoned. */
static int give_new_name(struct fmi_outfile *o)
{
    char self[32];
    snprintf(self, sizeof self, "/proc/self/fd/%d", o->fd);
    int is_nameless = o->temp[0] == '\0';
    if (linkat(is_nameless ? AT_FDCWD : o->folder_fd, is_nameless ? self : o->temp, o->folder_fd,
               o->name, is_nameless ? AT_SYMLINK_FOLLOW : 0) == 0)
        return 0;
    return fail(o, errno, "name the finished file");
}

static int replace_target(struct fmi_outfile *o)
{
    int code = o->temp[0] == '\0' ? give_temp_name(o) : 0;
    if (code != 0)
        return code;
    if (renameat(o->folder_fd, o->temp, o->folder_fd, o->name) != 0)
        return fail(o, errno, "rename the finished file to it");
    o->temp[0] = '\0';
    return 0;
}

int fmi_outfile_commit(struct fmi_outfile *o)
{
    int code = 0;
    if (o->owner != getpid())
        code = fail_forked(o);
    else if (o->name != NULL && fsync(o->fd) != 0)
        code = fail(o, errno, "sync");
    if (code == 0 && o->name != NULL)
        code = o->is_new ? give_new_name(o) : replace_target(o);
    fmi_outfile_abandon(o);
    return code;
}

void fmi_outfile_abandon(struct fmi_outfile *o)
{
    if (o->temp[0] != '\0' && o->owner == getpid())
        unlinkat(o->folder_fd, o->temp, 0);
    close_all(o);
}
