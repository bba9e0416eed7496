/* SPDX-License-Identifier: MIT */
/* The key of a manager, from a file: neither arguments nor the environment are private. */
#include "keyfile.h"

#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEW_KEY_BYTES = 32 };

static int refuse(const char *path, const char *why, const char *remedy)
{
    return fmc_say_error(FMC_ENVIRONMENT, remedy, "%s: %s", path, why);
}

static int fill(int fd)
{
    unsigned char bytes[NEW_KEY_BYTES];
    const int is_written = getrandom(bytes, sizeof bytes, 0) == (ssize_t)sizeof bytes &&
                           write(fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes;
    explicit_bzero(bytes, sizeof bytes);
    return is_written;
}

/* It gets its name when it is whole: a manager that starts at the same time reads no half of it, and the first one's key counts. */
static int make(const char *path)
{
    char *draft;
    if (asprintf(&draft, "%s.XXXXXX", path) < 0)
        return refuse(path, strerror(ENOMEM), NULL);
    const int fd = mkostemp(draft, O_CLOEXEC); /* mode 0600 */
    int rc = FMC_DONE;
    if (fd < 0)
        rc = refuse(path, strerror(errno), NULL);
    else if (!fill(fd))
        rc = refuse(path, "the new key could not be written", NULL);
    else if (link(draft, path) != 0 && errno != EEXIST)
        rc = refuse(path, strerror(errno), NULL);
    if (fd >= 0) {
        close(fd);
        unlink(draft);
    }
    free(draft);
    return rc;
}

static int check(const char *path, const struct stat *file)
{
    if (!S_ISREG(file->st_mode))
        return refuse(path, "not a file", NULL);
    if (file->st_uid != geteuid() && file->st_uid != 0)
        return refuse(path, "another user's file", NULL);
    if ((file->st_mode & 077) != 0)
        return refuse(path, "others may read or change the key", "chmod 600 it, if nobody has");
    if (file->st_size < 1 || file->st_size > FM_MANAGER_MAX_KEY_BYTES)
        return refuse(path, "not a key: one has 1 to 64 bytes",
                      "head -c 32 /dev/urandom makes one; `forkmap manager` makes a file that is "
                      "not there");
    return FMC_DONE;
}

static int read_open(struct fmc_key *key, int fd, const char *path)
{
    struct stat file;
    if (fstat(fd, &file) != 0)
        return refuse(path, strerror(errno), NULL);
    const int rc = check(path, &file);
    if (rc != FMC_DONE)
        return rc;
    const ssize_t n = read(fd, key->bytes, sizeof key->bytes);
    key->n = n > 0 ? (size_t)n : 0;
    return n > 0 ? FMC_DONE : refuse(path, n < 0 ? strerror(errno) : "it is empty", NULL);
}

static int open_key(int *fd, const char *path, int may_make)
{
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    *fd = open(path, flags);
    if (*fd < 0 && errno == ENOENT && may_make) {
        const int rc = make(path);
        if (rc != FMC_DONE)
            return rc;
        *fd = open(path, flags);
    }
    if (*fd >= 0)
        return FMC_DONE;
    return refuse(path, strerror(errno),
                  errno == ENOENT ? "`forkmap manager --key-file` makes one" : NULL);
}

int fmc_key_read(struct fmc_key *key, const char *path, int may_make)
{
    int fd;
    *key = (struct fmc_key){.n = 0};
    int rc = open_key(&fd, path, may_make);
    if (rc != FMC_DONE)
        return rc;
    rc = read_open(key, fd, path);
    close(fd);
    return rc;
}

void fmc_key_forget(struct fmc_key *key)
{
    explicit_bzero(key, sizeof *key);
}
