/* SPDX-License-Identifier: MIT */
/* The output of a map with a journal, see part.h. */
#include "part.h"

#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const char *path, int code, const char *remedy)
{
    (void)fmc_say_error(FMC_ENVIRONMENT, remedy, "%s: %s", path, fm_strerror(code));
    return FMC_ENVIRONMENT;
}

/* A link stays: what it leads to is replaced at the end. */
static int name_files(struct fmc_part *p, const char *path)
{
    struct stat st;
    const int is_there = stat(path, &st) == 0;
    const int is_descriptor = strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
    if (is_descriptor || (is_there && !S_ISREG(st.st_mode)))
        return fmc_say_error(FMC_USAGE, "with --journal OUT is a file that can be gone on with",
                             "-o %s: it is no regular file", path);
    if (is_there && access(path, W_OK) != 0)
        return refuse(path, -errno, "choose another place with -o");
    p->target = is_there ? realpath(path, NULL) : strdup(path);
    if (p->target == NULL || asprintf(&p->unfinished, "%s.part", p->target) < 0) {
        p->unfinished = NULL;
        return refuse(path, -errno, NULL);
    }
    return FMC_DONE;
}

static int is_as_asked(const fm_array *a, fm_dtype dtype, int ndim, const int64_t *shape)
{
    return fm_array_dtype(a) == dtype && fm_array_ndim(a) == ndim &&
           memcmp(fm_array_shape(a), shape, (size_t)ndim * sizeof *shape) == 0;
}

static int map_existing(const char *path, const char *journal, fm_dtype dtype, int ndim,
                        const int64_t *shape, fm_array **out)
{
    char remedy[400];
    snprintf(remedy, sizeof remedy, "to begin anew, remove %s and %s", path, journal);
    const int code = fm_npy_load(path, FM_NPY_MAP_WRITE, out);
    if (code != 0) {
        (void)fmc_say_code(code, path, remedy);
        return FMC_ENVIRONMENT;
    }
    if (is_as_asked(*out, dtype, ndim, shape))
        return FMC_DONE;
    return fmc_say_error(FMC_ENVIRONMENT, remedy,
                         "%s: it is there, with another type or shape than this map's", path);
}

int fmc_part_open(struct fmc_part *p, const char *path, const char *journal, fm_dtype dtype,
                  int ndim, const int64_t *shape, fm_array **out)
{
    *p = (struct fmc_part){0};
    const int rc = name_files(p, path);
    if (rc != FMC_DONE)
        return rc;
    const int is_under_way = access(p->unfinished, F_OK) == 0;
    p->is_target = !is_under_way && access(p->target, F_OK) == 0 && access(journal, F_OK) == 0;
    if (is_under_way || p->is_target)
        return map_existing(p->is_target ? p->target : p->unfinished, journal, dtype, ndim, shape,
                            out);
    const int code = fm_npy_create(p->unfinished, dtype, ndim, shape, out);
    p->is_made = code == 0;
    if (code == 0)
        return FMC_DONE;
    (void)fmc_say_code(code, p->unfinished, "nothing was computed: choose another place with -o");
    return FMC_ENVIRONMENT;
}

/* An output keeps the permissions of the file that it replaces. */
static int finish(const struct fmc_part *p)
{
    struct stat st;
    const int fd = open(p->is_target ? p->target : p->unfinished, O_RDWR | O_CLOEXEC);
    int code = fd < 0 ? -errno : 0;
    if (code == 0 && !p->is_target && stat(p->target, &st) == 0 &&
        fchmod(fd, st.st_mode & 0777) != 0)
        code = -errno;
    if (code == 0 && fsync(fd) != 0)
        code = -errno;
    if (fd >= 0)
        close(fd);
    if (code == 0 && !p->is_target && rename(p->unfinished, p->target) != 0)
        code = -errno;
    return code;
}

static void forget(struct fmc_part *p)
{
    free(p->target);
    free(p->unfinished);
    *p = (struct fmc_part){0};
}

int fmc_part_commit(struct fmc_part *p)
{
    const int code = finish(p);
    const int rc = code == 0 ? FMC_DONE
                             : refuse(p->unfinished, code,
                                      "the results are in it; the same command finishes it");
    forget(p);
    return rc;
}

void fmc_part_abandon(struct fmc_part *p, int is_begun)
{
    if (p->is_made && !is_begun)
        unlink(p->unfinished);
    forget(p);
}
