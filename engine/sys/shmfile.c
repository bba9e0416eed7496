/* SPDX-License-Identifier: MIT */
/* Files in /dev/shm; see shmfile.h. */
#include "shmfile.h"

#include "fault.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h> /* shm_open */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define FOLDER "/dev/shm" /* where the C library keeps what shm_open() makes */

static void path_of(const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, FOLDER "/%s", name);
}

static int open_shm(const char *name, int flags)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/%s", name);
    /* NONBLOCK: a FIFO of that name would wait for its other end */
    int fd = shm_open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600);
    return fd < 0 ? -errno : fmi_sys_above_stdio(fd);
}

static void unlink_shm(const char *name)
{
    char path[PATH_MAX];
    int error = errno;
    path_of(name, path);
    unlink(path);
    errno = error;
}

int fmi_shmfile_write(int fd, const void *from, size_t n, uint64_t at)
{
    const char *p = from;
    for (size_t done = 0; done < n;) {
        ssize_t m = pwrite(fd, p + done, n - done, (off_t)(at + done));
        if (m < 0 && errno != EINTR)
            return -errno;
        done += m > 0 ? (size_t)m : 0;
    }
    return 0;
}

/* fchmod: a umask of 0777 would have made the mode 0. */
static int fill(int fd, const void *first, size_t n)
{
    return fchmod(fd, 0600) != 0 ? -errno : fmi_shmfile_write(fd, first, n, 0);
}

static int give_name(int fd, const char *name)
{
    char self[32], path[PATH_MAX];
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    path_of(name, path);
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

static int create_nameless(int *out, const char *name, const void *first, size_t n)
{
    int fd = open(FOLDER, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    fd = fd < 0 ? -errno : fmi_sys_above_stdio(fd);
    if (fd < 0)
        return fd;
    FMI_FAULT("shmfile.nameless");
    int rc = fill(fd, first, n);
    if (rc == 0)
        rc = give_name(fd, name);
    if (rc == 0)
        *out = fd;
    else
        close(fd);
    return rc;
}

static int create_plain(int *out, const char *name, const void *first, size_t n)
{
    int fd = open_shm(name, O_CREAT | O_EXCL | O_RDWR);
    if (fd < 0)
        return fd;
    FMI_FAULT("shmfile.empty");
    int rc = fill(fd, first, n);
    if (rc == 0) {
        *out = fd;
        return 0;
    }
    unlink_shm(name);
    close(fd);
    return rc;
}

/* Whatever the first way fails of, the second one says what is wrong, or works. */
int fmi_shmfile_create(int *out, const char *name, const void *first, size_t n, unsigned flags)
{
    *out = -1;
    int rc = -EOPNOTSUPP;
    if (!(flags & FMI_SHMFILE_PLAIN))
        rc = create_nameless(out, name, first, n);
    return rc == 0 || rc == -EEXIST ? rc : create_plain(out, name, first, n);
}

int fmi_shmfile_open(int *out, const char *name, int is_writable)
{
    struct stat status;
    char path[PATH_MAX];
    *out = -1;
    path_of(name, path);
    if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return -ENXIO; /* to open a FIFO would wake its writer */
    int fd = open_shm(name, is_writable ? O_RDWR : O_RDONLY);
    if (fd < 0)
        return fd == -ELOOP || fd == -EISDIR ? -ENXIO : fd;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -ENXIO;
    }
    *out = fd;
    return 0;
}

int64_t fmi_shmfile_read(int fd, void *to, size_t n)
{
    ssize_t got;
    do
        got = pread(fd, to, n, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? -errno : got;
}

int fmi_shmfile_resize(int fd, uint64_t bytes)
{
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : -errno;
}

uint64_t fmi_shmfile_room(int fd)
{
    struct statvfs fs;
    if (fstatvfs(fd, &fs) != 0 || fs.f_blocks == 0) /* a tmpfs without a limit has no blocks */
        return UINT64_MAX;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static int is_name_of(const struct stat *file, const char *path)
{
    struct stat found;
    return lstat(path, &found) == 0 && found.st_dev == file->st_dev && found.st_ino == file->st_ino;
}

int fmi_shmfile_remove(int fd, const char *name)
{
    struct stat file;
    char path[PATH_MAX];
    path_of(name, path);
    if (fstat(fd, &file) != 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    int rc = is_name_of(&file, path) ? 0 : -ENOENT;
    FMI_FAULT("shmfile.remove");
    if (rc == 0 && unlink(path) != 0)
        rc = -errno;
    flock(
        fd,
        LOCK_UN); /* by hand: a child that another thread forked meanwhile has the descriptor, too */
    return rc;
}

int fmi_shmfile_each(int (*call)(const char *name, void *arg), void *arg)
{
    int rc = 0;
    DIR *folder = opendir(FOLDER);
    if (folder == NULL)
        return -errno;
    for (struct dirent *entry; rc == 0 && (entry = readdir(folder)) != NULL;)
        rc = call(entry->d_name, arg);
    closedir(folder);
    return rc;
}
