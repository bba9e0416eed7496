/* SPDX-License-Identifier: MIT */
/* The file of --failures. */
#include "failures.h"

#include "report.h"
#include "say.h"
#include "values.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int is_same_inode(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* The path of its folder. Returns 0 when it is too long. */
static int cut_name(char folder[PATH_MAX], const char *path)
{
    const size_t length = strlen(path);
    if (length + 2 > PATH_MAX) /* room for the dot */
        return 0;
    memcpy(folder, path, length + 1);
    char *slash = strrchr(folder, '/');
    snprintf(slash != NULL ? slash + 1 : folder, 2, ".");
    return 1;
}

static const char *last_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

int fmc_failures_same_file(const char *one, const char *other)
{
    char a[PATH_MAX], b[PATH_MAX];
    if (strcmp(one, other) == 0 || is_same_inode(one, other))
        return 1;
    /* Files that are still to be made are the same if their folders and names are. */
    return strcmp(last_name(one), last_name(other)) == 0 && cut_name(a, one) &&
           cut_name(b, other) && is_same_inode(a, b);
}

static int refuse(const struct fmc_failures *f, int code)
{
    return fmc_say_error(FMC_ENVIRONMENT, NULL, "--failures %s: %s", f->text, fm_strerror(code));
}

static void forget(struct fmc_failures *f)
{
    free(f->temporary);
    free(f->path);
    *f = (struct fmc_failures){.text = f->text};
}

/* Beside the file, so that the rename stays on one disk. */
static int open_temporary(struct fmc_failures *f)
{
    const int fd = open(f->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    f->file = fdopen(fd, "w");
    if (f->file != NULL)
        return 0;
    close(fd);
    unlink(f->temporary);
    return -ENOMEM;
}

/* Finds out that it can be made there. It is not kept: a command that is killed shall leave nothing. */
static int try_temporary(struct fmc_failures *f)
{
    if (asprintf(&f->temporary, "%s.%d.part", f->path, (int)getpid()) < 0) {
        f->temporary = NULL;
        return -ENOMEM;
    }
    const int code = open_temporary(f);
    if (code == 0) {
        fclose(f->file);
        f->file = NULL;
        unlink(f->temporary);
    }
    return code;
}

/* A symbolic link stays: what it leads to is replaced. */
static int open_regular(struct fmc_failures *f, int exists)
{
    if (exists && access(f->text, W_OK) != 0)
        return -errno;
    f->path = exists ? realpath(f->text, NULL) : strdup(f->text);
    if (f->path == NULL)
        return -errno;
    return try_temporary(f);
}

/* The number in /dev/stdout, /dev/fd/3 ...: what is written there goes on behind what stands there. -1: it is none. */
static int number_of_descriptor(const char *text)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    if (strcmp(text, "/dev/stdout") == 0 || strcmp(text, "/dev/stderr") == 0)
        return text[8] == 'o' ? STDOUT_FILENO : STDERR_FILENO;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const size_t n = strlen(folders[i]);
        int64_t number;
        if (strncmp(text, folders[i], n) == 0 && fmc_value_read_whole(text + n, &number) == 0 &&
            number >= 0 && number <= INT_MAX)
            return (int)number;
    }
    return -1;
}

static int open_descriptor(struct fmc_failures *f, int from)
{
    const int fd = fcntl(from, F_DUPFD_CLOEXEC, 3);
    f->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (f->file != NULL)
        return 0;
    const int code = -errno;
    if (fd >= 0)
        close(fd);
    return code;
}

int fmc_failures_open(struct fmc_failures *f, const char *text)
{
    struct stat info;
    *f = (struct fmc_failures){.text = text};
    if (text == NULL)
        return FMC_DONE;
    const int exists = stat(text, &info) == 0;
    const int descriptor = number_of_descriptor(text);
    int code = 0;
    if (descriptor >= 0) {
        code = open_descriptor(f, descriptor);
    } else if (exists && !S_ISREG(info.st_mode)) {
        f->file = fopen(text, "we"); /* refuses a folder */
        code = f->file != NULL ? 0 : -errno;
    } else {
        code = open_regular(f, exists);
    }
    if (code == 0)
        return FMC_DONE;
    forget(f);
    return refuse(f, code);
}

int fmc_failures_commit(struct fmc_failures *f, fm_pool *pool, const fm_failure *list, int64_t n)
{
    if (f->file == NULL && f->temporary == NULL)
        return FMC_DONE;
    int code = f->temporary != NULL ? open_temporary(f) : 0;
    if (code != 0) {
        forget(f);
        return refuse(f, code);
    }
    code = fmc_report_write(f->file, pool, list, n);
    if (fclose(f->file) != 0 && code == 0)
        code = -errno;
    f->file = NULL;
    if (f->temporary != NULL && code == 0 && rename(f->temporary, f->path) != 0)
        code = -errno;
    if (f->temporary != NULL && code != 0)
        unlink(f->temporary);
    forget(f);
    return code == 0 ? FMC_DONE : refuse(f, code);
}

void fmc_failures_abandon(struct fmc_failures *f)
{
    if (f->file != NULL)
        fclose(f->file);
    forget(f);
}
