/* SPDX-License-Identifier: MIT */
/* The cache of compiled expressions. Source of its place: XDG Base Directory Specification 0.8. */
#include "cache.h"

#include "say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char elsewhere[] =
    "or set XDG_CACHE_HOME to a directory of your own, and compiled expressions are kept there";

/* ---- the directory ------------------------------------------------------------------------------ */

static int is_absolute(const char *path)
{
    return path != NULL && path[0] == '/';
}

/* NULL: there is no home, or no memory. */
static char *make_path(void)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (is_absolute(base))
        return asprintf(&path, "%s/forkmap", base) < 0 ? NULL : path;
    if (!is_absolute(home)) {
        /* cppcheck-suppress getpwuidCalled ; the command has one thread */
        const struct passwd *user = getpwuid(geteuid());
        home = user != NULL ? user->pw_dir : NULL;
    }
    if (!is_absolute(home))
        return NULL;
    return asprintf(&path, "%s/.cache/forkmap", home) < 0 ? NULL : path;
}

/* Makes the directory, and those above it that are missing, all 0700 as the specification wants it. */
static int make_directories(char *path)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        const int failed = mkdir(path, 0700) != 0 && errno != EEXIST;
        *slash = '/';
        if (failed)
            return -errno;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -errno;
}

static int refuse(const char *path, const char *why, const char *command)
{
    char *remedy = NULL;
    const int length = asprintf(&remedy, "%s %s; %s", command, path, elsewhere);
    fmc_say_error(FMC_ENVIRONMENT, length < 0 ? elsewhere : remedy,
                  "%s: the cache of compiled expressions %s", path, why);
    if (length >= 0)
        free(remedy);
    return FMC_ENVIRONMENT;
}

/* Whoever can write there could have us run what he likes. */
static int check_owner(struct fmc_cache *cache)
{
    struct stat s;
    if (fstat(cache->fd, &s) != 0)
        return fmc_say_error(FMC_ENVIRONMENT, elsewhere, "%s: %s", cache->path, strerror(errno));
    if (s.st_uid != geteuid())
        return refuse(cache->path, "belongs to another user", "remove");
    if ((s.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return refuse(cache->path, "can be written by others", "empty it, and chmod 700");
    return FMC_DONE;
}

static int open_temporary(struct fmc_cache *cache)
{
    const char *folder = getenv("TMPDIR");
    if (!is_absolute(folder))
        folder = "/tmp";
    if (asprintf(&cache->path, "%s/forkmap-XXXXXX", folder) < 0)
        cache->path = NULL;
    if (cache->path == NULL)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "-e: out of memory");
    if (mkdtemp(cache->path) == NULL)
        return fmc_say_error(
            FMC_ENVIRONMENT, "set TMPDIR or XDG_CACHE_HOME to a directory that can be written",
            "-e: no place for the compiled expression (%s: %s)", folder, strerror(errno));
    cache->temporary = 1;
    cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (cache->fd < 0)
        return fmc_say_error(FMC_ENVIRONMENT, NULL, "%s: %s", cache->path, strerror(errno));
    return FMC_DONE;
}

int fmc_cache_open(struct fmc_cache *cache)
{
    *cache = (struct fmc_cache){.path = make_path(), .fd = -1};
    if (cache->path != NULL && make_directories(cache->path) == 0) {
        cache->fd = open(cache->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (cache->fd >= 0) {
            const int rc = check_owner(cache);
            /* Of one's own, but on a disk that is read-only now. */
            if (rc != FMC_DONE || faccessat(cache->fd, ".", W_OK, AT_EACCESS) == 0)
                return rc;
            close(cache->fd);
            cache->fd = -1;
        } else if (errno == ENOTDIR || errno == ELOOP) {
            return refuse(cache->path, "is a link or a file", "remove");
        }
    }
    free(cache->path);
    return open_temporary(cache);
}

char *fmc_cache_path(const struct fmc_cache *cache, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", cache->path, name) < 0 ? NULL : path;
}

/* ---- entries ------------------------------------------------------------------------------------- */

int fmc_cache_has(const struct fmc_cache *cache, const char *name)
{
    struct stat s;
    if (fstatat(cache->fd, name, &s, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(s.st_mode) ||
        s.st_uid != geteuid() || (s.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return 0;
    (void)utimensat(cache->fd, name, NULL, AT_SYMLINK_NOFOLLOW);
    return 1;
}

struct entry {
    char name[256];
    struct timespec used;
};

static int order_by_use(const void *a, const void *b)
{
    const struct timespec *x = &((const struct entry *)a)->used,
                          *y = &((const struct entry *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? 1 : -1;
    return x->tv_nsec < y->tv_nsec ? 1 : -(x->tv_nsec > y->tv_nsec);
}

/* Everything in the directory that can be looked at. The list is to be freed. */
static size_t list_entries(const struct fmc_cache *cache, struct entry **list)
{
    size_t n = 0, cap = 0;
    const int fd = openat(cache->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd >= 0 ? fdopendir(fd) : NULL;
    *list = NULL;
    for (struct dirent *d; directory != NULL && (d = readdir(directory)) != NULL;) {
        struct stat s;
        if (fstatat(cache->fd, d->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(s.st_mode))
            continue;
        if (n == cap) {
            cap = cap == 0 ? 64 : 2 * cap;
            struct entry *longer = realloc(*list, cap * sizeof **list);
            if (longer == NULL)
                break;
            *list = longer;
        }
        snprintf((*list)[n].name, sizeof(*list)[n].name, "%s", d->d_name);
        (*list)[n++].used = s.st_mtim;
    }
    if (directory != NULL)
        closedir(directory);
    else if (fd >= 0)
        close(fd);
    return n;
}

/* What was left half made by a command that was killed counts among the rest, and goes with it. */
static void remove_oldest(const struct fmc_cache *cache)
{
    struct entry *list;
    const size_t n = list_entries(cache, &list);
    if (n > FMC_CACHE_ENTRIES) {
        qsort(list, n, sizeof *list, order_by_use);
        for (size_t i = FMC_CACHE_ENTRIES; i < n; i++)
            fmc_cache_remove(cache, list[i].name);
    }
    free(list);
}

/* The bytes first, then the name: a crash of the machine must not leave an entry that is not whole. */
int fmc_cache_put(const struct fmc_cache *cache, const char *made, const char *name)
{
    const int fd = openat(cache->fd, made, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = fchmod(fd, 0700) != 0 || fsync(fd) != 0 ? -errno : 0;
    close(fd);
    if (rc == 0 && renameat(cache->fd, made, cache->fd, name) != 0)
        rc = -errno;
    if (rc == 0)
        remove_oldest(cache);
    return rc;
}

void fmc_cache_remove(const struct fmc_cache *cache, const char *name)
{
    (void)unlinkat(cache->fd, name, 0);
}

void fmc_cache_close(struct fmc_cache *cache)
{
    if (cache->path == NULL)
        return;
    struct entry *list = NULL;
    const size_t n = cache->temporary && cache->fd >= 0 ? list_entries(cache, &list) : 0;
    for (size_t i = 0; i < n; i++)
        fmc_cache_remove(cache, list[i].name);
    free(list);
    if (cache->fd >= 0)
        close(cache->fd);
    if (cache->temporary)
        (void)rmdir(cache->path);
    free(cache->path);
    *cache = (struct fmc_cache){.fd = -1};
}
